// @ts-check
// Whom to ring when no doctor answers: a list of links, the same for who is logged in and for a locked node.
import { html } from "/ui/lib/dom.js";
import { t } from "/ui/lib/l10n.js";

/** @param {{known: {name: string, phone: string}[]}} props in the order in which they are rung */
export function OnCallLinks({ known }) {
  if (known.length === 0) return html`<p class="soft">${t("on-call-none")}</p>`;
  return html`<ul class="stack tight">${known.map((one, index) => html`<li key=${index}>
    <a class="button wide between" href=${`tel:${one.phone.replace(/[ -]/g, "")}`}><span>${one.name}</span><span class="num">${one.phone}</span></a></li>`)}</ul>`;
}
