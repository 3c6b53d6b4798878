// @ts-check
// The node is locked after it was started: badge and PIN open its records.
import { html, signal } from "/ui/lib/dom.js";
import { post } from "/ui/lib/http.js";
import { t } from "/ui/lib/l10n.js";
import { TextField } from "/ui/lib/parts.js";
import { errorText } from "../commands.js";
import { EmergencyFacts } from "./emergency.js";

const badge = signal("");
const pin = signal("");
const wrong = signal("");
const busy = signal(false);

/** @param {{onDone: () => Promise<void>}} props */
export function Unlock({ onDone }) {
  const unlock = async (/** @type {Event} */ event) => {
    event.preventDefault();
    busy.value = true;
    wrong.value = "";
    try {
      await post("/api/unlock", { badge: badge.value.trim(), pin: pin.value.trim() });
      badge.value = "";
      await onDone();
    } catch (error) {
      wrong.value = errorText(error);
    } finally {
      pin.value = "";
      busy.value = false;
    }
  };
  return html`<div class="narrow stack">
    <form class="card stack" onSubmit=${unlock} data-test="unlock-form">
      <h1>${t("unlock-title")}</h1>
      <p class="soft">${t("unlock-hint")}</p>
      <${TextField} id="badge" label=${t("unlock-badge")} test="unlock-badge" value=${badge.value} focus
        onValue=${(/** @type {string} */ text) => (badge.value = text)} />
      <${TextField} id="unlock-pin" label=${t("pin")} test="unlock-pin" type="password" inputmode="numeric" value=${pin.value}
        onValue=${(/** @type {string} */ text) => (pin.value = text)} />
      ${wrong.value ? html`<p class="notice bad" role="alert" data-test="unlock-wrong">${wrong.value}</p>` : null}
      <button class="primary big" data-test="unlock-submit" aria-busy=${busy.value ? "true" : "false"}
        disabled=${!badge.value.trim() || !pin.value.trim() || busy.value}>${t("unlock-open")}</button>
    </form>
    <div class="card stack tight"><h2>${t("emergency")}</h2><${EmergencyFacts} /></div>
  </div>`;
}
