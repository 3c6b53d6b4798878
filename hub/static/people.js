// @ts-check
// Accounts: who there is, what each may do, and adding, closing and resetting one. No clinical content.
import { html, useSignal } from "/ui/lib/dom.js";
import { post } from "/ui/lib/http.js";
import { day, t } from "/ui/lib/l10n.js";
import { Dialog, TextField } from "/ui/lib/parts.js";
import { Act, Loading, Qr, useLoaded } from "./office.js";
import { doctor } from "./store.js";

/** @typedef {{person_id: string, name: string, registration: string, qualification: string, contact: string, roles: string[], districts: string[], made_ms: number, disabled_ms: number}} Person */
/** @typedef {{person_id: string, password: string, totp_secret: string, totp_uri: string, qr: string[]}} Secrets */

const ROLES = ["doctor", "specialist", "coordinator", "pharmacist", "viewer", "administrator", "medical_officer"];

export function People() {
  const [found, keep] = useLoaded("/api/people");
  const adding = useSignal(false);
  const shown = useSignal(/** @type {Secrets|null} */ (null));
  const took = (/** @type {{items: Person[], secrets: Secrets|null}} */ reply) => {
    keep({ items: reply.items });
    shown.value = reply.secrets;
  };
  if (!found) return html`<${Loading} />`;
  return html`<div class="stack" data-test="people"><div class="row between"><h1 id="record-title" tabindex="-1">${t("office-people")}</h1>
      <button type="button" class="primary" data-test="person-add" onClick=${() => (adding.value = true)}>${t("person-add")}</button></div>
    <p>${t("people-explain")}</p>
    <ul class="stack tight">${found.items.map((/** @type {Person} */ one) => html`<${Line} key=${one.person_id} one=${one} took=${took} />`)}</ul>
    ${adding.value ? html`<${Add} took=${took} onClose=${() => (adding.value = false)} />` : null}
    ${shown.value ? html`<${Shown} secrets=${shown.value} onClose=${() => (shown.value = null)} />` : null}</div>`;
}

/** @param {{one: Person, took: (reply: any) => void}} props */
function Line({ one, took }) {
  const doing = useSignal("");
  const own = one.person_id === doctor.value?.doctor_id;
  const act = (/** @type {any} */ body) => async (/** @type {string} */ password) => took(await post(`/api/people/${encodeURIComponent(one.person_id)}`, { ...body, password }));
  const button = (/** @type {string} */ what) => html`<button type="button" class="quiet" data-test=${`person-${what}`} onClick=${() => (doing.value = what)}>${t(`person-${what}`)}</button>`;
  const onClose = () => (doing.value = "");
  return html`<li class="card stack tight" data-test="person" data-person=${one.person_id} data-closed=${String(one.disabled_ms > 0)}>
    <div class="row between"><div class="grow"><strong>${one.name}</strong> <span class="soft">${one.person_id}</span><br />
      <span class="small">${one.qualification} · ${one.registration}${one.contact ? ` · ${one.contact}` : ""}</span></div>
      ${one.disabled_ms ? html`<span class="notice bad slim">${t("person-closed", { day: day(one.disabled_ms) })}</span>` : null}</div>
    <p class="small">${one.roles.map((role) => t(`role-${role.replace("_", "-")}`)).join(" · ")}${one.districts.length ? ` · ${one.districts.join(", ")}` : ""}</p>
    ${own ? html`<p class="small soft">${t("person-own")}</p>` : html`<div class="row tight">${button("roles")}${button("reset")}${button(one.disabled_ms ? "enable" : "disable")}</div>`}
    ${doing.value === "roles" ? html`<${Roles} one=${one} act=${act} onClose=${onClose} />` : null}
    ${doing.value && doing.value !== "roles" ? html`<${Act} title=${`${t(`person-${doing.value}`)}: ${one.name}`} says=${t(`person-${doing.value}-says`)} go=${t(`person-${doing.value}`)} danger=${doing.value !== "enable"}
      act=${act({ type: doing.value })} onClose=${onClose} />` : null}</li>`;
}

/** @param {{one: Person, act: (body: any) => (password: string) => Promise<void>, onClose: () => void}} props */
function Roles({ one, act, onClose }) {
  const held = useSignal(one.roles);
  const districts = useSignal(one.districts.join(", "));
  const flip = (/** @type {string} */ role) => (held.value = held.value.includes(role) ? held.value.filter((other) => other !== role) : [...held.value, role]);
  const named = () => districts.value.split(",").map((text) => text.trim()).filter(Boolean);
  return html`<${Act} title=${`${t("person-roles")}: ${one.name}`} says=${t("person-roles-says")} go=${t("save")} ready=${held.value.length > 0}
      act=${(/** @type {string} */ password) => act({ type: "roles", roles: held.value, districts: named() })(password)} onClose=${onClose}>
    <fieldset class="stack tight"><legend class="label">${t("person-roles")}</legend>${ROLES.map((role) => html`<label key=${role} class="check"><input type="checkbox" data-test=${`role-${role}`} checked=${held.value.includes(role)} onChange=${() => flip(role)} />${t(`role-${role.replace("_", "-")}`)}</label>`)}</fieldset>
    ${held.value.includes("viewer") ? html`<${TextField} id="person-districts" test="person-districts" label=${t("person-districts")} hint=${t("person-districts-hint")} value=${districts.value} onValue=${(/** @type {string} */ text) => (districts.value = text)} />` : null}<//>`;
}

/** @param {{took: (reply: any) => void, onClose: () => void}} props */
function Add({ took, onClose }) {
  const form = useSignal({ person_id: "", name: "", registration: "", qualification: "", contact: "" });
  const field = (/** @type {"person_id"|"name"|"registration"|"qualification"|"contact"} */ name) => html`<${TextField} id=${`person-${name}`} test=${`person-${name}`} label=${t(`person-field-${name.replace("_", "-")}`)} maxlength=${name === "person_id" ? 60 : 80}
    value=${form.value[name]} required=${name !== "contact"} onValue=${(/** @type {string} */ text) => (form.value = { ...form.value, [name]: name === "person_id" ? text.toLowerCase().replace(/[^a-z0-9._-]/g, "") : text })} />`;
  const { person_id, name, registration, qualification } = form.value;
  return html`<${Act} title=${t("person-add")} says=${t("person-add-says")} go=${t("person-add")} ready=${[person_id, name, registration, qualification].every((text) => text.trim())}
    act=${async (/** @type {string} */ password) => took(await post("/api/people", { ...form.value, password }))} onClose=${onClose}>
    ${field("person_id")}${field("name")}${field("registration")}${field("qualification")}${field("contact")}<//>`;
}

/** @param {{secrets: Secrets, onClose: () => void}} props */
function Shown({ secrets, onClose }) {
  return html`<${Dialog} title=${t("secrets")} test="secrets-dialog" onClose=${onClose}><div class="stack print-only-this">
    <p class="notice warn">${t("secrets-once")}</p>
    <dl class="facts"><dt>${t("user")}</dt><dd data-test="secrets-user">${secrets.person_id}</dd><dt>${t("password")}</dt><dd class="num" data-test="secrets-password">${secrets.password}</dd>
      <dt>${t("secrets-totp")}</dt><dd class="num" data-test="secrets-totp">${secrets.totp_secret.match(/.{1,4}/g)?.join(" ")}</dd></dl>
    <${Qr} rows=${secrets.qr} label=${t("secrets-qr")} /><p class="small">${t("secrets-qr")}</p></div>
    <div class="row"><button type="button" class="primary" data-test="secrets-close" onClick=${onClose}>${t("secrets-close")}</button></div><//>`;
}
