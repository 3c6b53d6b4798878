// @ts-check
// Somebody came back to a replaced node by name alone: a colleague's badge vouches, then badge and PIN are made.
import { latin } from "/ui/lib/digits.js";
import { html, signal } from "/ui/lib/dom.js";
import { post } from "/ui/lib/http.js";
import { t } from "/ui/lib/l10n.js";
import { TextField } from "/ui/lib/parts.js";
import { errorText } from "../commands.js";

const FIELDS = { badge: "", badgePin: "", pin: "", again: "" };
const typed = signal({ ...FIELDS });
const wrong = signal("");
const busy = signal(false);
const made = signal(/** @type {{badge: string, qr: string}|null} */ (null));

function forget() {
  typed.value = { ...FIELDS };
  made.value = null;
  wrong.value = "";
}

/** @param {{person: import("/ui/api").Staff, name: string, onDone: () => void}} props */
export function NewBadge({ person, name, onDone }) {
  const leave = () => {
    forget();
    onDone();
  };
  if (made.value) {
    return html`<section class="card stack narrow" data-test="badge-made">
      <h1>${t("badge-made", { name })}</h1>
      <p class="notice warn" role="status">${t("badge-once")}</p>
      <img class="qr" src=${made.value.qr} alt=${t("badge-picture")} />
      <p class="code" data-test="badge-code">${made.value.badge}</p>
      <div class="row">
        <button type="button" onClick=${() => window.print()}>${t("badge-print")}</button>
        <button type="button" class="primary grow" data-test="badge-kept" onClick=${leave}>${t("badge-kept")}</button>
      </div>
    </section>`;
  }
  const fields = typed.value;
  const differs = Boolean(fields.again) && fields.again !== fields.pin;
  const ready = fields.badge.trim() && fields.badgePin && fields.pin.length >= 4 && fields.again === fields.pin;
  const give = async (/** @type {Event} */ event) => {
    event.preventDefault();
    if (!ready || busy.value) return;
    busy.value = true;
    wrong.value = "";
    try {
      const body = { badge: fields.badge.trim(), badge_pin: fields.badgePin, pin: fields.pin };
      made.value = await post(`/api/staff/${person.staff_id}/badge`, body);
      typed.value = { ...FIELDS };
    } catch (error) {
      wrong.value = errorText(error);
      typed.value = { ...fields, badgePin: "" };
    } finally {
      busy.value = false;
    }
  };
  const field = (/** @type {keyof typeof FIELDS} */ key, /** @type {string} */ label, secret = true) =>
    html`<${TextField} id=${`new-${key}`} label=${t(label)} test=${`badge-${key}`} type=${secret ? "password" : "text"}
      inputmode=${secret ? "numeric" : "text"} value=${fields[key]}
      onValue=${(/** @type {string} */ text) => (typed.value = { ...typed.value, [key]: secret ? latin(text) : text })} />`;
  return html`<form class="card stack narrow" data-test="badge-form" onSubmit=${give}>
    <h1>${name}</h1>
    <p>${t("badge-why")}</p>
    <h2>${t("badge-vouch")}</h2>
    <p class="soft small">${t("badge-vouch-hint")}</p>
    ${field("badge", "unlock-badge", false)}
    ${field("badgePin", "badge-vouch-pin")}
    <h2>${t("badge-own", { name })}</h2>
    ${field("pin", "badge-new-pin")}
    ${field("again", "badge-again")}
    ${differs ? html`<p class="notice warn" role="status">${t("badge-differs")}</p>` : null}
    ${wrong.value ? html`<p class="notice bad" role="alert" data-test="badge-wrong">${wrong.value}</p>` : null}
    <div class="row">
      <button type="button" data-test="badge-leave" onClick=${leave}>${t("login-other")}</button>
      <button class="primary grow" data-test="badge-give" disabled=${!ready || busy.value}
        aria-busy=${busy.value ? "true" : "false"}>${t("badge-give")}</button>
    </div>
  </form>`;
}
