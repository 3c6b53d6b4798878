// @ts-check
// Figures of many visits: charts, a table, CSV and a sheet to print. Nothing about one person.
import { html, useEffect, useRef, useSignal } from "/ui/lib/dom.js";
import { api } from "/ui/lib/http.js";
import { isoDay, language, t } from "/ui/lib/l10n.js";
import uPlot from "/ui/vendor/uplot.js";
import { Loading, Select } from "./office.js";
import { errorText, roles } from "./store.js";

/** @typedef {Record<string, number> & {day: string, of: string}} Line */
/** @typedef {{since: string, until: string, by: string, items: Line[], districts: string[], doctors: Record<string, string>, totals: Record<string, number>, coarse: boolean}} Sheet */

const DAY_MS = 86_400_000;
const PATIENCE_MS = 310_000;
const COLUMNS = ["visits", "cumulative", "patients", "red", "yellow", "green", "video", "audio", "text", "unanswered", "within_15_min", "within_30_min", "within_60_min", "wait_p50_min", "wait_p90_min", "video_min", "audio_min", "prescriptions", "referred", "no_shows", "kilobytes"];
/** Colours that are told apart with any eyes, and a dash beside each. @type {[string, number[]][]} */
const LINES = [["#0b5a57", []], ["#a8161c", [8, 5]], ["#1a4fd0", [2, 4]], ["#8a6800", [12, 4, 2, 4]]];
/** @type {[string, string[], boolean][]} name, series, as bars */
const CHARTS = [["visits", ["visits"], true], ["cumulative", ["cumulative"], false], ["wait", ["wait_p50_min", "wait_p90_min"], false], ["answered", ["within_15_min", "within_30_min", "within_60_min"], false], ["mode", ["video", "audio", "text", "unanswered"], false], ["proof", ["video_min", "audio_min"], false], ["bytes", ["kilobytes"], true]];

const named = (/** @type {string} */ name) => t(`figure-${name.replaceAll("_", "-")}`);

export function Figures() {
  const asked = useSignal({ since: isoDay(Date.now() - 29 * DAY_MS), until: isoDay(), by: "all", district: "", monthly: false, demo: false });
  const sheet = useSignal(/** @type {Sheet|null} */ (null));
  const wrong = useSignal("");
  const busy = useSignal(false);
  const number = useRef(0);
  const query = () => new URLSearchParams(Object.entries(asked.value).map(([name, value]) => [name, String(value)]));
  const load = async () => {
    const mine = ++number.current;
    busy.value = true;
    wrong.value = "";
    try {
      const reply = await api("GET", `/api/report?${query()}`, undefined, { timeout_ms: PATIENCE_MS });
      if (mine === number.current) sheet.value = reply;
    } catch (error) {
      if (mine === number.current) wrong.value = errorText(error);
    } finally {
      if (mine === number.current) busy.value = false;
    }
  };
  useEffect(() => void load(), []);
  const ask = (/** @type {Partial<typeof asked.value>} */ change) => {
    asked.value = { ...asked.value, ...change };
    void load();
  };
  const date = (/** @type {"since"|"until"} */ name) => html`<div class="field"><label for=${`figures-${name}`}>${t(`figures-${name}`)}</label><input id=${`figures-${name}`} data-test=${`figures-${name}`} type="date" value=${asked.value[name]} max=${isoDay()} onChange=${(/** @type {any} */ event) => event.currentTarget.value && ask({ [name]: event.currentTarget.value })} /></div>`;
  const byDoctor = roles.value.some((role) => role === "administrator" || role === "coordinator");
  const now = sheet.value;
  return html`<div class="stack wide" data-test="figures"><h1 id="record-title" tabindex="-1">${t("office-figures")}</h1><p class="small soft">${t("figures-explain")}</p>
    <form class="row filters no-print" onSubmit=${(/** @type {Event} */ event) => event.preventDefault()}>${date("since")}${date("until")}
      <${Select} id="figures-by" label=${t("figures-by")} value=${asked.value.by} options=${["all", "district", "block", "node", ...(byDoctor ? ["doctor"] : [])].map((one) => [one, t(`figures-by-${one}`)])} onValue=${(/** @type {string} */ by) => ask({ by })} />
      <${Select} id="figures-district" label=${t("day-district")} value=${asked.value.district} options=${[["", t("day-all")], ...(now?.districts ?? []).map((one) => [one, one])]} onValue=${(/** @type {string} */ district) => ask({ district })} />
      <label class="check"><input type="checkbox" data-test="figures-monthly" checked=${asked.value.monthly} onChange=${(/** @type {any} */ event) => ask({ monthly: event.currentTarget.checked })} />${t("figures-monthly")}</label>
      <label class="check"><input type="checkbox" data-test="figures-demo" checked=${asked.value.demo} onChange=${(/** @type {any} */ event) => ask({ demo: event.currentTarget.checked })} />${t("figures-demo")}</label></form>
    ${now?.coarse ? html`<p class="notice" data-test="figures-coarse">${t("figures-coarse")}</p>` : null}
    ${wrong.value ? html`<p class="notice bad" role="alert">${wrong.value}</p>` : null}
    ${busy.value ? html`<p role="status" data-test="figures-busy">${t("figures-busy")}</p>` : null}
    ${!now ? (wrong.value ? null : html`<${Loading} />`) : now.items.length === 0 ? html`<p class="card soft" role="status" data-test="figures-none">${t("figures-none")}</p>` : html`
      <div class="row tight no-print"><a class="button" data-test="figures-csv" href=${`/api/report.csv?${query()}`} download>${t("figures-csv")}</a><a class="button" data-test="figures-pdf" href=${`/api/report.pdf?${query()}`} download=${`upkendra-${now.since}-${now.until}.pdf`}>${t("figures-pdf")}</a></div>
      <${Totals} totals=${now.totals} />
      <div class="charts">${CHARTS.map(([name, series, bars]) => html`<${Chart} key=${name} name=${name} series=${series} bars=${bars} lines=${now.items} />`)}</div>
      <${Table} sheet=${now} />`}</div>`;
}

/** @param {{totals: Record<string, number>}} props */
function Totals({ totals }) {
  const sum = (/** @type {string} */ name) => totals[name] ?? 0;
  const answered = sum("visits") - sum("unanswered");
  return html`<ul class="tiles" data-test="figures-totals">${[["visits", sum("visits")], ["answered", answered], ["within_30_min", sum("within_30_min")], ["prescriptions", sum("prescriptions")], ["referred", sum("referred")], ["video_min", Math.round(sum("video_min"))]].map(([name, value]) => html`<li key=${name}><strong class="num">${value}</strong><span>${named(String(name))}</span></li>`)}</ul>`;
}

/**
 * Sums (or for waits the largest) of all lines of a day; days without a visit are drawn as such.
 * @param {Line[]} lines @param {string} name
 */
function byDay(lines, name) {
  const found = new Map();
  const most = name.startsWith("wait");
  for (const line of lines) {
    const value = line[name] ?? null; // a wait that is not shown is no wait of nothing
    const before = found.get(line.day) ?? null;
    found.set(line.day, value === null || before === null ? value ?? before : most ? Math.max(before, value) : before + value);
  }
  return found;
}

/** What grows is the sum of what each place came to so far, not of those that have a line on the day. @param {Line[]} lines @param {string[]} days */
function grown(lines, days) {
  /** @type {Map<string, number>} */
  const so_far = new Map();
  return days.map((day) => {
    for (const line of lines) if (line.day === day) so_far.set(line.of, line.cumulative ?? 0);
    return [...so_far.values()].reduce((all, one) => all + one, 0);
  });
}

/** @param {{name: string, series: string[], bars: boolean, lines: Line[]}} props */
function Chart({ name, series, bars, lines }) {
  const box = useRef(/** @type {HTMLElement|null} */ (null));
  const days = [...new Set(lines.map((line) => line.day))].sort();
  const columns = series.map((one) => byDay(lines, one));
  const values = columns.map((column) => (name === "cumulative" ? grown(lines, days) : days.map((one) => column.get(one) ?? (name === "wait" ? null : 0))));
  useEffect(() => {
    const into = box.current;
    if (!into) return undefined;
    const width = () => Math.max(into.clientWidth, 240);
    const labels = (/** @type {any} */ _, /** @type {number[]} */ splits) => splits.map((at) => (Number.isInteger(at) ? (days[at] ?? "").slice(days[0]?.length === 7 ? 0 : 5) : ""));
    const path = bars ? uPlot.paths.bars?.({ size: [0.7, 40] }) : undefined;
    const font = "13px system-ui, sans-serif";
    const plot = new uPlot({
      width: width(), height: 210, legend: { show: false }, cursor: { drag: { x: false, y: false } },
      scales: { x: { time: false, range: (_, low, high) => [low - 0.5, high + 0.5] }, y: { range: (_, _low, high) => [0, Math.max(high * 1.1, 1)] } },
      axes: [{ values: labels, font, stroke: "#1d2528", incrs: [1, 2, 5, 7, 14, 30, 60], space: 60, grid: { show: false } }, { font, stroke: "#1d2528", size: 56, grid: { stroke: "#d8cfbf" } }],
      series: [{}, ...series.map((one, at) => ({ label: named(one), stroke: LINES[at]?.[0] ?? "#000", width: 2, dash: LINES[at]?.[1] ?? [], ...(path ? { paths: path, fill: "#9cc9c4" } : {}), points: { show: !bars, size: 6 } }))],
    }, [days.map((_, at) => at), ...values], into);
    const resized = new ResizeObserver(() => plot.setSize({ width: width(), height: 210 }));
    resized.observe(into);
    return () => {
      resized.disconnect();
      plot.destroy();
    };
  }, [lines, language.value]);
  const told = series.map((one, at) => `${named(one)}: ${days.map((when, which) => `${when} ${values[at]?.[which] ?? 0}`).slice(-7).join(", ")}`).join("; ");
  return html`<figure class="card chart" data-test="chart" data-chart=${name}><figcaption><strong>${t(`chart-${name}`)}</strong>
      ${series.length > 1 ? html`<span class="legend">${series.map((one, at) => html`<span key=${one} class=${`swatch s${at}`}>${named(one)}</span>`)}</span>` : null}</figcaption>
    <div ref=${box} role="img" aria-label=${told}></div></figure>`;
}

/** @param {{sheet: Sheet}} props */
function Table({ sheet }) {
  const of = (/** @type {Line} */ line) => (sheet.by === "doctor" ? (sheet.doctors[line.of] ?? line.of) : line.of) || t(sheet.by === "all" ? "day-all" : "figures-nobody");
  return html`<div class="scroll" tabindex="0" role="region" aria-label=${t("office-figures")}><table class="dense" data-test="figures-table"><thead><tr><th scope="col">${t("figure-day")}</th><th scope="col">${t(`figures-by-${sheet.by}`)}</th>${COLUMNS.map((one) => html`<th key=${one} scope="col">${named(one)}</th>`)}</tr></thead>
    <tbody>${sheet.items.map((line) => html`<tr key=${`${line.day} ${line.of}`} data-test="figures-line"><th scope="row" class="num">${line.day}</th><td>${of(line)}</td>${COLUMNS.map((one) => html`<td key=${one} class="num">${line[one] ?? "–"}</td>`)}</tr>`)}</tbody></table></div>`;
}
