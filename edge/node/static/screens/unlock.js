// @ts-check
// The node is locked after it was started: this tablet's day slot and a PIN open its records, or a badge and its PIN.
import { latin } from "/ui/lib/digits.js";
import { html, signal, useEffect } from "/ui/lib/dom.js";
import { post } from "/ui/lib/http.js";
import { language, t } from "/ui/lib/l10n.js";
import { TextField } from "/ui/lib/parts.js";
import { errorText } from "../commands.js";
import { forgetDay, opening, openers } from "../dayslot.js";
import { logInAs, status } from "../store.js";
import { AskHub } from "./askhub.js";
import { PinPad } from "./pinpad.js";
import { RedDoor } from "./reddoor.js";

/** @typedef {import("../dayslot.js").Opener} Opener */

const badge = signal("");
const pin = signal("");
const wrong = signal("");
const busy = signal(false);
/** Who may open the node from this tablet today. */
const here = signal(/** @type {Opener[]} */ ([]));
const chosen = signal(/** @type {Opener|null} */ (null));

/** @param {() => Promise<void>} work */
async function trying(work) {
  if (busy.value) return;
  busy.value = true;
  wrong.value = "";
  try {
    await work();
  } catch (error) {
    wrong.value = errorText(error);
    if (/** @type {any} */ (error).code === "day_slot_gone") {
      await forgetDay().catch(() => {});
      here.value = [];
      chosen.value = null;
    }
  } finally {
    pin.value = "";
    busy.value = false;
  }
}

/** @param {{onDone: () => Promise<void>}} props */
export function Unlock({ onDone }) {
  const node = status.value?.node_id ?? "";
  useEffect(() => void openers(node, status.value?.day_slots ?? []).then((found) => (here.value = found)), []);
  const byDay = () => trying(async () => {
    const person = chosen.value;
    if (!person || !pin.value) return;
    const told = await opening(node, person.staff_id);
    if (!told) {
      here.value = [];
      chosen.value = null;
      return;
    }
    const typed = pin.value;
    const { staff_id } = await post("/api/tablet/unlock", { ...told, pin: typed });
    chosen.value = null;
    await logInAs({ ...person, staff_id }, typed).catch(() => {}); // then the log-in page asks
    await onDone();
  });
  const byBadge = () => trying(async () => {
    await post("/api/unlock", { badge: badge.value.trim(), pin: pin.value.trim() });
    badge.value = "";
    await onDone();
  });
  const trouble = wrong.value ? html`<p class="notice bad" role="alert" data-test="unlock-wrong">${wrong.value}</p>` : null;
  return html`<div class="narrow stack"><${RedDoor} />
    <p class="call-108"><a class="button danger-link" href="tel:108">${t("emergency-108")}</a></p>
    ${chosen.value
      ? html`<form class="card stack" data-test="day-form" onSubmit=${(/** @type {Event} */ event) => (event.preventDefault(), void byDay())}>
          <h1>${nameOf(chosen.value)}</h1>
          <${PinPad} id="day-pin" test="day-pin" pin=${pin} />
          ${trouble}
          <div class="row"><button type="button" data-test="day-other" onClick=${() => ((chosen.value = null), (pin.value = ""), (wrong.value = ""))}>${t("login-other")}</button>
            <button class="primary grow" data-test="day-submit" disabled=${!pin.value || busy.value} aria-busy=${busy.value ? "true" : "false"}>${t("unlock-open")}</button></div>
        </form>`
      : html`${here.value.length > 0
          ? html`<section class="card stack tight" data-test="day-openers"><h1>${t("day-title")}</h1><p class="soft">${t("day-hint")}</p>
              ${here.value.map((person) => html`<button type="button" key=${person.staff_id} class="big wide" data-test=${`day-${person.staff_id}`}
                onClick=${() => ((chosen.value = person), (pin.value = ""), (wrong.value = ""))}>${nameOf(person)}</button>`)}</section>`
          : null}
        <form class="card stack" onSubmit=${(/** @type {Event} */ event) => (event.preventDefault(), void byBadge())} data-test="unlock-form">
          <h1>${t("unlock-title")}</h1>
          <p class="soft">${t("unlock-hint")}</p>
          <${TextField} id="badge" label=${t("unlock-badge")} test="unlock-badge" value=${badge.value} focus=${here.value.length === 0}
            onValue=${(/** @type {string} */ text) => (badge.value = text)} />
          <${TextField} id="unlock-pin" label=${t("pin")} test="unlock-pin" type="password" inputmode="numeric" value=${pin.value}
            onValue=${(/** @type {string} */ text) => (pin.value = latin(text))} />
          ${trouble}
          <button class="primary big" data-test="unlock-submit" aria-busy=${busy.value ? "true" : "false"}
            disabled=${!badge.value.trim() || !pin.value.trim() || busy.value}>${t("unlock-open")}</button>
        </form>
        <${AskHub} onDone=${onDone} />`}
  </div>`;
}

/** @param {Opener} person */
const nameOf = (person) => (language.value === "hi" ? person.name_hi || person.name : person.name);
