// @ts-check
// The fleet: one line a node, looked for, sorted and cut into pages at the hub.
import { html, useEffect, useRef, useSignal } from "/ui/lib/dom.js";
import { get } from "/ui/lib/http.js";
import { clockTime, day, known, span, t } from "/ui/lib/l10n.js";
import { TextField, toast } from "/ui/lib/parts.js";
import { Loading, Select } from "./office.js";
import { errorText } from "./store.js";

/** @typedef {{node_id: string, site_code: string, site_name: string, district: string, block: string, state: string, last_ack_age_s: number|null, software: string, bearer: string, rtt_ms: number, backlog: {cls: number, items: number, size_bytes: number, oldest_s: number}[], backlog_items: number, findings: string[], disk_free_mb: number, clock_trusted: boolean, power: string, battery_mv: number, sim: string, update: string, staged: string, progress: {name: string, version: string, state: string, done_bytes: number, size_bytes: number, code: string, why: string, told_ms: number}|null, told_ms: number}} Line */
/** @typedef {{items: Line[], total: number, offset: number, counts: {nodes: number, online: number, silent: number, never: number, revoked: number, trouble: number, backlog: number, versions: Record<string, number>}, districts: string[], now_ms: number}} Page */

const PAGE = 50;
const WAIT_MS = 250;
const SHOW = ["all", "trouble", "silent", "backlog", "revoked"];
const SORT = ["site", "heard", "backlog", "disk", "power", "version", "bearer"];

export function Fleet() {
  const found = useSignal(/** @type {Page|null} */ (null));
  const words = useSignal("");
  const asked = useSignal({ q: "", district: "", show: "all", sort: "site", offset: 0 });
  const number = useRef(0);
  const timer = useRef(0);
  const load = async () => {
    const mine = ++number.current;
    try {
      const query = new URLSearchParams({ ...asked.value, offset: String(asked.value.offset), limit: String(PAGE) });
      const reply = await get(`/api/fleet?${query}`);
      if (mine === number.current) found.value = reply;
    } catch (error) {
      toast("bad", errorText(error));
    }
  };
  const ask = (/** @type {Partial<typeof asked.value>} */ change) => {
    asked.value = { ...asked.value, offset: 0, ...change };
    void load();
  };
  useEffect(() => {
    void load();
    return () => clearTimeout(timer.current);
  }, []);
  const typed = (/** @type {string} */ text) => {
    words.value = text;
    clearTimeout(timer.current);
    timer.current = setTimeout(() => ask({ q: text }), WAIT_MS);
  };
  const page = found.value;
  if (!page) return html`<${Loading} />`;
  const { counts } = page;
  const last = page.offset + page.items.length;
  return html`<div class="stack wide" data-test="fleet"><h1 id="record-title" tabindex="-1">${t("office-fleet")}</h1>
    <ul class="tiles" data-test="fleet-counts">${["nodes", "online", "trouble", "silent", "never", "backlog", "revoked"].map((name) => html`<li key=${name}><strong class="num">${/** @type {any} */ (counts)[name]}</strong><span>${t(`fleet-count-${name}`)}</span></li>`)}</ul>
    <p class="small soft">${t("fleet-versions")}: ${Object.entries(counts.versions).map(([name, n]) => `${name} (${n})`).join(" · ") || "–"}</p>
    <form class="row filters" onSubmit=${(/** @type {Event} */ event) => { event.preventDefault(); clearTimeout(timer.current); ask({ q: words.value }); }}>
      <${TextField} id="fleet-q" test="fleet-q" label=${t("fleet-search")} value=${words.value} maxlength=${60} onValue=${typed} />
      <${Select} id="fleet-district" label=${t("day-district")} value=${asked.value.district} options=${[["", t("day-all")], ...page.districts.map((one) => [one, one])]} onValue=${(/** @type {string} */ district) => ask({ district })} />
      <${Select} id="fleet-show" label=${t("fleet-show")} value=${asked.value.show} options=${SHOW.map((one) => [one, t(`fleet-show-${one}`)])} onValue=${(/** @type {string} */ show) => ask({ show })} />
      <${Select} id="fleet-sort" label=${t("fleet-sort")} value=${asked.value.sort} options=${SORT.map((one) => [one, t(`fleet-sort-${one}`)])} onValue=${(/** @type {string} */ sort) => ask({ sort })} />
      <button type="button" data-test="fleet-again" onClick=${() => void load()}>${t("fleet-again")}</button></form>
    ${page.items.length === 0 ? html`<p class="card soft" role="status" data-test="fleet-none">${t(counts.nodes === 0 ? "fleet-empty" : "fleet-none")}</p>` : html`
    <div class="scroll" tabindex="0" role="region" aria-label=${t("office-fleet")}><table class="dense" data-test="fleet-table"><thead><tr>${["site", "heard", "backlog", "bearer", "power", "disk", "clock", "sim", "version", "update"].map((one) => html`<th key=${one} scope="col">${t(`fleet-${one}`)}</th>`)}</tr></thead>
      <tbody>${page.items.map((one) => html`<${Row} key=${one.node_id} one=${one} now=${page.now_ms} />`)}</tbody></table></div>`}
    <div class="row between"><span class="num soft" role="status" data-test="fleet-range">${t("fleet-range", { first: page.items.length ? page.offset + 1 : 0, last, total: page.total })}</span>
      <span class="row tight"><button type="button" data-test="fleet-back" disabled=${page.offset === 0} onClick=${() => ask({ offset: Math.max(0, page.offset - PAGE) })}>${t("fleet-earlier")}</button>
        <button type="button" data-test="fleet-next" disabled=${last >= page.total} onClick=${() => ask({ offset: page.offset + PAGE })}>${t("fleet-later")}</button></span></div></div>`;
}

/** What a check found, in words where there are some. @param {string} finding */
const said = (finding) => {
  const id = `fleet-check-${finding.split(":")[0].replaceAll("_", "-")}`;
  return known(id) ? t(id) : finding;
};

/** @param {{one: Line, now: number}} props */
function Row({ one }) {
  const heard = one.state === "online" ? t("fleet-online") : one.last_ack_age_s === null ? t("fleet-never") : t("ago", { time: span(one.last_ack_age_s) });
  const told = one.told_ms > 0;
  return html`<tr data-test="fleet-line" data-node=${one.node_id} data-state=${one.state}>
    <th scope="row"><span class="num">${one.site_code}</span> ${one.site_name}<br /><span class="small soft">${[one.block, one.district].filter(Boolean).join(", ")}</span>
      ${one.findings.length ? html`<br />${one.findings.map((finding) => html`<span key=${finding} class="unapproved">${said(finding)}</span> `)}` : null}</th>
    <td><span class=${`state ${one.state}`}>${one.state === "revoked" ? t("fleet-revoked") : heard}</span></td>
    <td class="num">${one.backlog_items === 0 ? "0" : html`<ul>${one.backlog.map((line) => html`<li key=${line.cls}>${known(`fleet-class-${line.cls}`) ? t(`fleet-class-${line.cls}`) : line.cls}: ${line.items} · ${Math.ceil(line.size_bytes / 1000)} kB</li>`)}</ul>`}</td>
    <td>${one.bearer || "–"}${one.rtt_ms ? html`<br /><span class="small soft num">${one.rtt_ms} ms</span>` : null}</td>
    <td>${one.power ? t(`fleet-power-${one.power}`) : "–"}${one.battery_mv ? html`<br /><span class="small num">${(one.battery_mv / 1000).toFixed(1)} V</span>` : null}</td>
    <td class="num">${told ? `${(one.disk_free_mb / 1000).toFixed(1)} GB` : "–"}</td>
    <td>${told ? t(one.clock_trusted ? "fleet-clock-good" : "fleet-clock-bad") : "–"}</td>
    <td>${one.sim ? (one.sim === "up" ? t("fleet-sim-up") : one.sim) : "–"}</td>
    <td class="num">${one.software || "–"}${told ? html`<br /><span class="small soft">${day(one.told_ms)} ${clockTime(one.told_ms)}</span>` : null}</td>
    <td>${one.update || "–"}${one.staged ? html`<br /><span class="small">${t("fleet-staged", { name: one.staged })}</span>` : null}${one.progress ? html`<br /><span class="small" data-test="fleet-progress" data-state=${one.progress.state} title=${one.progress.why}>${far(one.progress)}</span>` : null}</td></tr>`;
}

const STATES = ["coming", "here", "installed", "committed", "refused", "rolled_back"];

/** How far a node is with its update, by its own word. @param {NonNullable<Line["progress"]>} one */
function far(one) {
  const name = `${one.name} ${one.version}`;
  const mb = (/** @type {number} */ bytes) => (bytes / 1e6).toFixed(2);
  const words = STATES.includes(one.state) ? t(`update-is-${one.state.replace("_", "-")}`, { name, done: mb(one.done_bytes), size: mb(one.size_bytes) }) : `${name}: ${one.state}`;
  return one.code ? `${words} (${one.code})` : words;
}
