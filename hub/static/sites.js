// @ts-check
// Centres: where each lies, who works there, tokens for machines with their paper, and what is believed no more.
import { html, useSignal } from "/ui/lib/dom.js";
import { post, put } from "/ui/lib/http.js";
import { clockTime, day, language, t } from "/ui/lib/l10n.js";
import { Dialog, TextField, toast } from "/ui/lib/parts.js";
import { PlaceForm } from "./place.js";
import { Act, Download, Loading, Qr, Select, useLoaded } from "./office.js";
import { errorText } from "./store.js";

/** @typedef {{node_id: string, site_code: string, site_name: string, district: string, block: string, demo: boolean, enrolled_ms: number, revoked_ms: number, tablets_lost_ms: number}} Site */
/** @typedef {{site_code: string, site_name: string, district: string, block: string, made_ms: number, expires_ms: number, replaces: string}} Token */
/** @typedef {{token: string, site_code: string, site_name: string, expires_ms: number, qr: string[], label: string}} Made */

const SHOWN = 100;

export function Sites() {
  const [found, keep] = useLoaded("/api/sites");
  const words = useSignal("");
  const adding = useSignal(false);
  const made = useSignal(/** @type {Made|null} */ (null));
  if (!found) return html`<${Loading} />`;
  /** @type {Site[]} */
  const all = found.items;
  const asked = words.value.toLowerCase().split(/\s+/).filter(Boolean);
  const fitting = all.filter((one) => asked.every((word) => `${one.site_code} ${one.site_name} ${one.district} ${one.block} ${one.node_id}`.toLowerCase().includes(word)));
  const took = (/** @type {Made} */ reply) => {
    made.value = reply;
    keep();
  };
  return html`<div class="stack" data-test="sites"><div class="row between"><h1 id="record-title" tabindex="-1">${t("office-sites")}</h1>
      <button type="button" class="primary" data-test="token-add" onClick=${() => (adding.value = true)}>${t("token-add")}</button></div>
    ${found.tokens.length > 0 ? html`<section class="card stack tight" data-test="tokens"><h2>${t("tokens-waiting")}</h2><ul>${found.tokens.map((/** @type {Token} */ one, /** @type {number} */ index) => html`<li key=${index}>
      <span class="num">${one.site_code}</span> ${one.site_name} · ${[one.block, one.district].filter(Boolean).join(", ")} · ${t("token-until", { when: `${day(one.expires_ms)} ${clockTime(one.expires_ms)}` })}${one.replaces ? ` · ${t("token-replaces", { node: one.replaces })}` : ""}</li>`)}</ul></section>` : null}
    <${TextField} id="sites-q" test="sites-q" label=${t("fleet-search")} value=${words.value} maxlength=${60} onValue=${(/** @type {string} */ text) => (words.value = text)} />
    ${fitting.length === 0 ? html`<p class="card soft" role="status" data-test="sites-none">${t(all.length === 0 ? "fleet-empty" : "fleet-none")}</p>` : null}
    <ul class="stack tight">${fitting.slice(0, SHOWN).map((one) => html`<${Line} key=${one.node_id} one=${one} keep=${keep} took=${took} />`)}</ul>
    ${fitting.length > SHOWN ? html`<p class="soft" role="status">${t("sites-more", { n: fitting.length - SHOWN })}</p>` : null}
    ${adding.value ? html`<${Add} took=${took} onClose=${() => (adding.value = false)} />` : null}
    ${made.value ? html`<${TokenPaper} made=${made.value} onClose=${() => (made.value = null)} />` : null}</div>`;
}

/** @param {{one: Site, keep: (fresh?: any) => void, took: (reply: Made) => void}} props */
function Line({ one, keep, took }) {
  const doing = useSignal("");
  const onClose = () => (doing.value = "");
  const button = (/** @type {string} */ what) => html`<button type="button" class="quiet" data-test=${`site-${what}`} onClick=${() => (doing.value = what)}>${t(`site-${what}`)}</button>`;
  return html`<li class="card stack tight" data-test="site" data-node=${one.node_id} data-revoked=${String(one.revoked_ms > 0)}>
    <div class="row between"><div class="grow"><strong><span class="num">${one.site_code}</span> ${one.site_name}</strong><br />
      <span class="small">${[one.block, one.district].filter(Boolean).join(", ")} · ${t("site-since", { day: day(one.enrolled_ms) })}${one.demo ? ` · ${t("site-demo")}` : ""} · <span class="num soft">${one.node_id}</span></span></div>
      ${one.revoked_ms ? html`<span class="notice bad slim">${t("site-revoked", { day: day(one.revoked_ms) })}</span>` : null}</div>
    <div class="row tight">${button("move")}${button("place")}${button("staff")}${button("replace")}${one.revoked_ms ? null : html`${button("tablet")}${button("revoke")}`}</div>
    ${one.tablets_lost_ms ? html`<p class="small soft" data-test="site-tablet-said">${t("site-tablet-said", { day: day(one.tablets_lost_ms), time: clockTime(one.tablets_lost_ms) })}</p>` : null}
    ${doing.value === "move" ? html`<${Move} one=${one} keep=${keep} onClose=${onClose} />` : null}
    ${doing.value === "place" ? html`<${PlaceForm} one=${one} onClose=${onClose} />` : null}
    ${doing.value === "staff" ? html`<${Staff} one=${one} onClose=${onClose} />` : null}
    ${doing.value === "tablet" ? html`<${Act} title=${`${t("site-tablet")}: ${one.site_name}`} says=${t("site-tablet-says")} go=${t("site-tablet-go")} danger
      act=${async (/** @type {string} */ password) => keep(await post(`/api/sites/${one.node_id}/tablet-lost`, { password }))} onClose=${onClose} />` : null}
    ${doing.value === "revoke" ? html`<${Act} title=${`${t("site-revoke")}: ${one.site_name}`} says=${t("site-revoke-says")} go=${t("site-revoke")} danger
      act=${async (/** @type {string} */ password) => keep(await post(`/api/sites/${one.node_id}/revoke`, { password }))} onClose=${onClose} />` : null}
    ${doing.value === "replace" ? html`<${Act} title=${`${t("site-replace")}: ${one.site_name}`} says=${t("site-replace-says")} go=${t("token-add")}
      act=${async (/** @type {string} */ password) => took(await post("/api/tokens", { password, replaces: one.node_id }))} onClose=${onClose} />` : null}</li>`;
}

/** @param {{one: Site, keep: (fresh?: any) => void, onClose: () => void}} props */
function Move({ one, keep, onClose }) {
  const district = useSignal(one.district);
  const block = useSignal(one.block);
  const wrong = useSignal("");
  const save = async (/** @type {Event} */ event) => {
    event.preventDefault();
    try {
      keep(await put(`/api/sites/${one.node_id}`, { district: district.value.trim(), block: block.value.trim() }));
      onClose();
    } catch (error) {
      wrong.value = errorText(error);
    }
  };
  return html`<${Dialog} title=${`${t("site-move")}: ${one.site_name}`} test="move-dialog" onClose=${onClose}><form class="stack" onSubmit=${save}>
    <${TextField} id="move-district" test="move-district" label=${t("day-district")} value=${district.value} maxlength=${80} onValue=${(/** @type {string} */ text) => (district.value = text)} />
    <${TextField} id="move-block" test="move-block" label=${t("site-block")} value=${block.value} maxlength=${80} onValue=${(/** @type {string} */ text) => (block.value = text)} />
    ${wrong.value ? html`<p class="notice bad" role="alert">${wrong.value}</p>` : null}
    <div class="row"><button type="button" onClick=${onClose}>${t("back")}</button><button class="primary" data-test="move-save" disabled=${!district.value.trim()}>${t("save")}</button></div></form><//>`;
}

/** @param {{one: Site, onClose: () => void}} props */
function Staff({ one, onClose }) {
  const [found, keep] = useLoaded(`/api/sites/${one.node_id}/staff`);
  const chosen = useSignal(/** @type {any} */ (null));
  if (chosen.value) {
    const person = chosen.value;
    const removed = !person.removed_ms;
    return html`<${Act} title=${`${t(removed ? "staff-remove" : "staff-back")}: ${person.name}`} says=${t(removed ? "staff-remove-says" : "staff-back-says")} go=${t(removed ? "staff-remove" : "staff-back")} danger=${removed}
      act=${async (/** @type {string} */ password) => {
        keep(await put(`/api/sites/${one.node_id}/staff/${person.staff_id}`, { password, removed }));
        toast("good", t("staff-told"));
      }} onClose=${() => (chosen.value = null)} />`;
  }
  return html`<${Dialog} title=${`${t("site-staff")}: ${one.site_name}`} test="staff-dialog" onClose=${onClose}>
    ${!found ? html`<${Loading} />` : found.items.length === 0 ? html`<p class="soft" role="status">${t("staff-none")}</p>` : html`<ul class="stack tight">${found.items.map((/** @type {any} */ person) => html`<li key=${person.staff_id} class="row between" data-test="staff-line">
      <span class="grow">${(language.value === "hi" && person.name_hi) || person.name} · ${t(`role-${person.role}`)}${person.removed_ms ? html` <span class="unapproved">${t("staff-removed", { day: day(person.removed_ms) })}</span>` : null}</span>
      <button type="button" data-test="staff-change" onClick=${() => (chosen.value = person)}>${t(person.removed_ms ? "staff-back" : "staff-remove")}</button></li>`)}</ul>`}
    <div class="row"><button type="button" onClick=${onClose}>${t("close")}</button></div><//>`;
}

/** @param {{took: (reply: Made) => void, onClose: () => void}} props */
function Add({ took, onClose }) {
  const form = useSignal({ code: "", name: "", district: "", block: "" });
  const hours = useSignal("72");
  const demo = useSignal(false);
  const field = (/** @type {"code"|"name"|"district"|"block"} */ name) => html`<${TextField} id=${`token-${name}`} test=${`token-${name}`} label=${t(`token-field-${name}`)} maxlength=${name === "code" ? 40 : 80} required=${name !== "block"}
    value=${form.value[name]} onValue=${(/** @type {string} */ text) => (form.value = { ...form.value, [name]: name === "code" ? text.replace(/[^A-Za-z0-9_.-]/g, "") : text })} />`;
  const { code, name, district } = form.value;
  return html`<${Act} title=${t("token-add")} says=${t("token-add-says")} go=${t("token-add")} ready=${[code, name, district].every((text) => text.trim())}
    act=${async (/** @type {string} */ password) => took(await post("/api/tokens", { ...form.value, hours: Number(hours.value), demo: demo.value, password }))} onClose=${onClose}>
    ${field("code")}${field("name")}${field("district")}${field("block")}
    <${Select} id="token-hours" label=${t("token-hours")} value=${hours.value} options=${[["24", t("span-hours", { n: 24 })], ["72", t("span-days", { n: 3 })], ["336", t("span-days", { n: 14 })]]} onValue=${(/** @type {string} */ value) => (hours.value = value)} />
    <label class="check"><input type="checkbox" data-test="token-demo" checked=${demo.value} onChange=${(/** @type {any} */ event) => (demo.value = event.currentTarget.checked)} />${t("token-demo")}</label><//>`;
}

/** @param {{made: Made, onClose: () => void}} props */
function TokenPaper({ made, onClose }) {
  return html`<${Dialog} title=${`${t("token")}: ${made.site_name}`} test="token-dialog" onClose=${onClose}>
    <p class="notice warn">${t("token-once")}</p>
    <p class="num token-text" data-test="token-text">${made.token}</p><${Qr} rows=${made.qr} label=${t("token-qr")} />
    <p class="small">${t("token-until", { when: `${day(made.expires_ms)} ${clockTime(made.expires_ms)}` })}</p>
    <div class="row"><${Download} base64=${made.label} name=${`enrol-${made.site_code}.pdf`} label=${t("token-label")} test="token-label" />
      <button type="button" class="primary" data-test="token-close" onClick=${onClose}>${t("secrets-close")}</button></div><//>`;
}
