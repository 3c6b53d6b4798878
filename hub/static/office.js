// @ts-check
// What the pages of administration share: which page is for whom, loading, and acts that ask for the password again.
import { html, signal, useEffect, useSignal } from "/ui/lib/dom.js";
import { get } from "/ui/lib/http.js";
import { t } from "/ui/lib/l10n.js";
import { Dialog, TextField, toast } from "/ui/lib/parts.js";
import { errorText, roles, treats } from "./store.js";

/** Each page with the roles that may see it: hub/permits.py says the same of its routes. @type {[string, string[]][]} */
export const PAGES = [
  ["fleet", ["administrator", "coordinator"]],
  ["sites", ["administrator"]],
  ["people", ["administrator"]],
  ["updates", ["administrator"]],
  ["plan", ["administrator", "coordinator"]],
  ["on-call", ["administrator", "coordinator"]],
  ["figures", ["administrator", "coordinator", "viewer"]],
  ["lists", ["administrator", "pharmacist", "medical_officer"]],
  ["glass", ["administrator", "medical_officer"]],
  ["rights", ["administrator", "medical_officer"]],
];

/** Pages that this person may see. */
export const mine = () => PAGES.filter(([, who]) => who.some((role) => roles.value.includes(role))).map(([page]) => page);

/** @param {{page: string}} props */
export function OfficeNav({ page }) {
  const pages = mine();
  if (pages.length === 0) return null;
  return html`<nav class="office-nav" aria-label=${t("office")}>
    <a class="button quiet" data-test="to-home" href="#/" aria-current=${page === "" ? "page" : undefined}>${t(treats() ? "to-patients" : "office-home")}</a>
    ${pages.map((one) => html`<a key=${one} class="button quiet" data-test=${`to-${one}`} href=${`#/${one}`} aria-current=${page === one ? "page" : undefined}>${t(`office-${one}`)}</a>`)}</nav>`;
}

/** Loads something once, and again when `again` is called. @param {string} path @returns {[any, (fresh?: any) => void]} */
export function useLoaded(path) {
  const found = useSignal(/** @type {any} */ (null));
  const load = () => void get(path).then((reply) => (found.value = reply)).catch((error) => toast("bad", errorText(error)));
  useEffect(load, [path]);
  return [found.value, (fresh) => (fresh === undefined ? load() : (found.value = fresh))];
}

/** While something is loaded. */
export const Loading = () => html`<p role="status">${t("loading")}</p>`;

/**
 * A dialog for an act that is written down: what will happen, fields of the caller, and one's password.
 * @param {{title: string, says?: string, go: string, danger?: boolean, ready?: boolean, act: (password: string) => Promise<unknown>, onClose: () => void, children?: unknown}} props
 */
export function Act({ title, says, go, danger, ready = true, act, onClose, children }) {
  const password = useSignal("");
  const wrong = useSignal("");
  const busy = useSignal(false);
  const submit = async (/** @type {Event} */ event) => {
    event.preventDefault();
    busy.value = true;
    wrong.value = "";
    try {
      await act(password.value);
      onClose();
    } catch (error) {
      wrong.value = errorText(error);
    } finally {
      password.value = "";
      busy.value = false;
    }
  };
  return html`<${Dialog} title=${title} test="act-dialog" onClose=${onClose}><form class="stack" onSubmit=${submit}>
    ${says ? html`<p>${says}</p>` : null}${children}
    <${TextField} id="act-password" test="act-password" label=${t("unlocks-password")} type="password" autocomplete="current-password" value=${password.value} onValue=${(/** @type {string} */ text) => (password.value = text)} />
    ${wrong.value ? html`<p class="notice bad" role="alert" data-test="act-wrong">${wrong.value}</p>` : null}
    <div class="row"><button type="button" data-test="act-back" onClick=${onClose}>${t("back")}</button>
      <button class=${danger ? "danger" : "primary"} data-test="act-go" disabled=${!ready || !password.value || busy.value}>${go}</button></div></form><//>`;
}

/** A QR code from its modules. @param {{rows: string[], label: string}} props */
export function Qr({ rows, label }) {
  const side = rows.length + 8;
  const path = rows.flatMap((row, y) => [...row].map((cell, x) => (cell === "1" ? `M${x + 4} ${y + 4}h1v1h-1z` : ""))).join("");
  return html`<svg class="qr" role="img" aria-label=${label} viewBox=${`0 0 ${side} ${side}`} shape-rendering="crispEdges"><rect width=${side} height=${side} fill="#fff" /><path d=${path} fill="#000" /></svg>`;
}

/** A file that the page already holds. @param {{base64: string, name: string, label: string, test: string, type?: string}} props */
export function Download({ base64, name, label, test, type = "application/pdf" }) {
  const url = useSignal("");
  useEffect(() => {
    const bytes = Uint8Array.from(atob(base64), (one) => one.charCodeAt(0));
    url.value = URL.createObjectURL(new Blob([bytes], { type }));
    return () => URL.revokeObjectURL(url.value);
  }, [base64, type]);
  return html`<a class="button" data-test=${test} href=${url.value} download=${name}>${label}</a>`;
}

/** A labelled choice from a list. @param {{id: string, label: string, value: string, options: [string, string][], onValue: (value: string) => void, test?: string}} props */
export function Select({ id, label, value, options, onValue, test }) {
  return html`<div class="field"><label for=${id}>${label}</label><select id=${id} data-test=${test ?? id} value=${value} onChange=${(/** @type {any} */ event) => onValue(event.currentTarget.value)}>
    ${options.map(([one, text]) => html`<option key=${one} value=${one} selected=${one === value}>${text}</option>`)}</select></div>`;
}

/** The visit whose record is open behind broken glass; "" for none. */
export const brokenVisit = signal("");
