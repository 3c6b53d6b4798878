// @ts-check
// The month's report: figures from the day registers, and empty lines where nothing is recorded here.
import { html, useEffect, useSignal } from "/ui/lib/dom.js";
import { get } from "/ui/lib/http.js";
import { isoDay, language, t } from "/ui/lib/l10n.js";
import { TextField, toast } from "/ui/lib/parts.js";
import { errorText } from "../commands.js";
import { go, nodeNow } from "../store.js";

/** @typedef {[string, string]} Pair */
/** @typedef {{month: string, notes: Pair[], sections: {head: Pair, lines: {code: string, name: Pair, value: string, why: Pair, since: Pair}[]}[], by_age: Pair, total_heads: string[], totals: string[][], not_recorded: Pair}} Month */

const said = (/** @type {Pair} */ pair) => pair[language.value === "hi" ? 0 : 1];

export function MonthPage() {
  const month = useSignal(isoDay(nodeNow()).slice(0, 7));
  const page = useSignal(/** @type {Month|null} */ (null));
  useEffect(() => {
    page.value = null;
    if (/^\d{4}-\d{2}$/.test(month.value)) void get(`/api/month?month=${month.value}`).then((found) => (page.value = found)).catch((error) => toast("bad", errorText(error)));
  }, [month.value]);
  const now = page.value;
  return html`<div class="stack page" data-test="month-page">
    <div class="row between"><h1 class="grow">${t("month-title")}</h1>
      <div class="closing-day"><${TextField} id="month" test="month" type="month" label=${t("month-which")} value=${month.value} onValue=${(/** @type {string} */ value) => (month.value = value)} /></div></div>
    ${now ? html`${now.notes.map((note, index) => html`<p key=${index} class="notice warn slim">${said(note)}</p>`)}
      ${now.sections.map((section, index) => html`<section class="card" key=${index} aria-label=${said(section.head)}><h2>${said(section.head)}</h2><table class="month-lines"><tbody>
        ${section.lines.map((line, number) => html`<tr key=${number} data-test="month-line" data-code=${line.code}><th scope="row"><span class="soft small num">${line.code}</span> ${said(line.name)}</th>
          <td class="num">${line.value === "" ? html`<span class="soft small">${said(line.why)}</span>` : html`<strong>${line.value}</strong>${line.since[0] ? html` <span class="soft small" data-test="month-since">${said(line.since)}</span>` : null}`}</td></tr>`)}</tbody></table></section>`)}
      <div class="card"><h2>${said(now.by_age)}</h2><div class="scroll" tabindex="0" role="region" aria-label=${said(now.by_age)}><table class="num">
        <thead><tr>${now.total_heads.map((head, index) => (head ? html`<th scope="col" key=${index}>${head}</th>` : html`<td key=${index}></td>`))}</tr></thead>
        <tbody>${now.totals.map((row, index) => html`<tr key=${index}>${row.map((cell, at) => (at === 0 ? html`<th scope="row" key=${at}>${cell}</th>` : html`<td key=${at}>${cell}</td>`))}</tr>`)}</tbody></table></div></div>`
      : html`<p class="card" role="status">${t("loading")}</p>`}
    <div class="foot row"><button type="button" data-test="month-back" onClick=${() => go("/closing")}>${t("back")}</button>
      <a class="button" data-test="month-csv" href=${`/api/month/report.csv?month=${month.value}`} download>${t("month-csv")}</a>
      <a class="button primary grow" data-test="month-print" href=${`/api/month/report.pdf?month=${month.value}`} target="_blank" rel="noopener">${t("month-print")}</a></div></div>`;
}
