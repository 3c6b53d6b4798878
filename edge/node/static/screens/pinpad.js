// @ts-check
// A PIN by large keys or by keyboard.
import { latin } from "/ui/lib/digits.js";
import { html, useEffect, useRef } from "/ui/lib/dom.js";
import { t } from "/ui/lib/l10n.js";
import { Icon } from "/ui/lib/parts.js";

const KEYS = ["1", "2", "3", "4", "5", "6", "7", "8", "9"];

/** @param {{id: string, test: string, pin: import("/ui/vendor/signals.js").Signal<string>}} props */
export function PinPad({ id, test, pin }) {
  const field = useRef(/** @type {HTMLInputElement|null} */ (null));
  useEffect(() => field.current?.focus(), []);
  return html`<label for=${id}>${t("pin")}</label>
    <input id=${id} ref=${field} class="pin" data-test=${test} type="password" inputmode="numeric" autocomplete="off" maxlength="12"
      value=${pin.value} onInput=${(/** @type {any} */ event) => (pin.value = latin(event.currentTarget.value))} />
    <div class="keypad" role="group" aria-label=${t("pin-keys")}>
      ${KEYS.map((key) => html`<button type="button" key=${key} onClick=${() => (pin.value += key)}>${key}</button>`)}
      <button type="button" onClick=${() => (pin.value = "")} aria-label=${t("clear")}><${Icon} name="cross" /></button>
      <button type="button" onClick=${() => (pin.value += "0")}>0</button>
      <button type="button" onClick=${() => (pin.value = pin.value.slice(0, -1))} aria-label=${t("delete-last")}><${Icon} name="erase" /></button>
    </div>`;
}
