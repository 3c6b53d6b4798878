// @ts-check
// The lists that prescribing and triage stand on: versions, what is open, and who approved what and when.
import { html } from "/ui/lib/dom.js";
import { clockTime, day, t } from "/ui/lib/l10n.js";
import { FormularyVersions } from "./formulary.js";
import { Loading, useLoaded } from "./office.js";

export function Lists() {
  const [found] = useLoaded("/api/lists");
  if (!found) return html`<${Loading} />`;
  return html`<div class="stack" data-test="lists"><h1 id="record-title" tabindex="-1">${t("office-lists")}</h1><p>${t("lists-explain")}</p>
    <section class="card"><h2>${t("lists-open")}</h2><div class="scroll"><table data-test="lists-kinds"><thead><tr><th scope="col">${t("review-kind")}</th><th scope="col">${t("lists-count-open")}</th><th scope="col">${t("lists-count-approved")}</th><th scope="col">${t("lists-count-rejected")}</th></tr></thead>
      <tbody>${found.kinds.map((/** @type {any} */ one) => html`<tr key=${one.kind}><th scope="row">${t(`review-${one.kind}`)}</th><td class="num">${one.open}</td><td class="num">${one.approved}</td><td class="num">${one.rejected}</td></tr>`)}</tbody></table></div></section>
    <section class="card"><h2>${t("lists-versions")}</h2><div class="scroll"><table><thead><tr><th scope="col">${t("lists-name")}</th><th scope="col">${t("fleet-version")}</th><th scope="col">${t("lists-status")}</th></tr></thead>
      <tbody>${found.versions.map((/** @type {any} */ one) => html`<tr key=${one.name} data-test="list-version" data-list=${one.name}><th scope="row">${t(`list-${one.name.replace("_", "-")}`)}</th><td class="num">${one.version}</td><td class="small">${one.status ? html`<span class="unapproved">${one.status}</span>` : "–"}</td></tr>`)}</tbody></table></div></section>
    <${FormularyVersions} />
    <section class="card"><h2>${t("lists-history")}</h2>${found.history.length === 0 ? html`<p class="soft" role="status" data-test="history-none">${t("lists-history-none")}</p>` : html`<ul class="stack tight">${found.history.map((/** @type {any} */ one, /** @type {number} */ index) => html`<li key=${index} data-test="history-line">
      <span class="num small">${day(one.at_ms)} ${clockTime(one.at_ms)}</span> · <strong>${one.person_name}</strong> · ${t(`review-is-${one.decision}`)}: ${one.title}${one.present ? "" : html` <span class="unapproved">${t("review-outdated")}</span>`}</li>`)}</ul>`}</section></div>`;
}
