// @ts-check
// One tap from where nobody is logged in to a RED patient.
import { html } from "/ui/lib/dom.js";
import { t } from "/ui/lib/l10n.js";
import { go, keptInTab } from "../store.js";

export function RedDoor() {
  return html`<button type="button" class="danger big wide" data-test="red-door" onClick=${() => go("/emergency")}>${t(keptInTab("upk-case") ? "red-door-back" : "red-door")}</button>`;
}
