// @ts-check
// Who is working: pick the name, type the PIN.
import { computed, html, signal, useEffect } from "/ui/lib/dom.js";
import { language, t } from "/ui/lib/l10n.js";
import { lazy } from "/ui/lib/lazy.js";
import { errorText } from "../commands.js";
import { go, loadPeople, lockedOut, logInAs, people } from "../store.js";
import { PinPad } from "./pinpad.js";
import { RedDoor } from "./reddoor.js";

const newBadge = lazy(async () => (await import("./badge.js")).NewBadge);
const chosen = signal(/** @type {import("/ui/api").Staff|null} */ (null));
/** Whose PIN is asked: who was chosen, or who worked here when the tablet locked itself. */
const who = computed(() => chosen.value ?? lockedOut.value);
function nobody() {
  chosen.value = lockedOut.value = null;
}
const pin = signal("");
const wrong = signal("");
const busy = signal(false);

async function askPeople() {
  try {
    await loadPeople();
    wrong.value = "";
  } catch (error) {
    wrong.value = errorText(error);
    setTimeout(() => void askPeople(), 2000);
  }
}

/** @param {import("/ui/api").Staff} person */
const nameOf = (person) => (language.value === "hi" ? person.name_hi || person.name : person.name);

/** Where a PIN brings back to what was left: a tablet locks itself while somebody is measured. */
const STAYS = /^#\/(visit|register|patient|due|stock|closing)\b/;

async function logIn() {
  const person = who.value;
  if (!person || !pin.value || busy.value) return;
  busy.value = true;
  wrong.value = "";
  try {
    await logInAs(person, pin.value);
    nobody();
    if (STAYS.test(location.hash)) return;
    go("/");
  } catch (error) {
    wrong.value = errorText(error);
  } finally {
    pin.value = "";
    busy.value = false;
  }
}

export function Login() {
  useEffect(() => void askPeople(), []);
  const person = who.value;
  if (!person) {
    return html`<div class="narrow stack" data-test="login-page">
      <${RedDoor} />
      <h1>${t("login-title")}</h1>
      ${wrong.value ? html`<p class="notice bad" role="alert">${wrong.value}</p>` : null}
      ${people.value === null ? html`<p role="status">${t("loading")}</p>` : null}
      ${people.value?.length === 0 ? html`<p class="notice warn">${t("login-nobody")}</p>` : null}
      <ul class="stack tight">
        ${(people.value ?? []).map(
          (person) => html`<li key=${person.staff_id}>
            <button type="button" class="big wide staff" data-test=${`staff-${person.staff_id}`} onClick=${() => {
              chosen.value = person;
              wrong.value = "";
            }}><span class="grow">${nameOf(person)}</span>
              <span class="soft small">${t(person.has_pin ? `role-${person.role}` : "badge-needed")}</span></button>
          </li>`,
        )}
      </ul>
    </div>`;
  }
  if (!person.has_pin) {
    return html`<${RedDoor} /><${newBadge.Screen} person=${person} name=${nameOf(person)} onDone=${() => {
      nobody();
      void askPeople();
    }} />`;
  }
  return html`<div class="narrow stack"><${RedDoor} /><form class="card stack" data-test="login-form" onSubmit=${(/** @type {Event} */ event) => {
    event.preventDefault();
    void logIn();
  }}>
    <h1>${nameOf(person)}</h1>
    <${PinPad} id="login-pin" test="login-pin" pin=${pin} />
    ${wrong.value ? html`<p class="notice bad" role="alert" data-test="login-wrong">${wrong.value}</p>` : null}
    <div class="row">
      <button type="button" data-test="login-other" onClick=${nobody}>${t("login-other")}</button>
      <button class="primary grow" data-test="login-submit" disabled=${!pin.value || busy.value}
        aria-busy=${busy.value ? "true" : "false"}>${t("login")}</button>
    </div>
  </form></div>`;
}
