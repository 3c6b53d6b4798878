// @ts-check
// Small parts that several screens are made of. They know no server and no record.
import { html, signal, useEffect, useRef } from "./dom.js";
import { t } from "./l10n.js";

/** A drawing of our own beside a word, never instead of it. @param {{name: string}} props */
export function Icon({ name }) {
  return html`<svg class="icon" aria-hidden="true" focusable="false"><use href=${`/ui/icons.svg#${name}`}></use></svg>`;
}

/** A triage colour: word and shape, never colour alone. @param {{colour: string}} props */
export function ColourBadge({ colour }) {
  return html`<span class=${`colour ${colour}`} data-colour=${colour}>${t(`colour-${colour.replace("_", "-")}`)}</span>`;
}

/**
 * A labelled field. `wrong` is what to do about it, shown under it and read with it.
 * @param {{id: string, label: string, hint?: string, wrong?: string, required?: boolean, children?: unknown}} props
 */
export function Field({ id, label, hint, wrong, required, children }) {
  return html`<div class="field">
    <label for=${id}>${label}${required ? html` <span class="soft small">(${t("required")})</span>` : null}</label>
    ${children}
    ${hint ? html`<span class="hint" id=${`${id}-hint`}>${hint}</span>` : null}
    ${wrong ? html`<span class="wrong" id=${`${id}-wrong`} role="alert">${wrong}</span>` : null}
  </div>`;
}

/**
 * A text field bound to a value.
 * @param {{id: string, label: string, value: string, onValue: (value: string) => void, test?: string, hint?: string,
 *   wrong?: string, required?: boolean, type?: string, inputmode?: string, maxlength?: number, autocomplete?: string,
 *   placeholder?: string, focus?: boolean, list?: string, lang?: string}} props
 */
export function TextField(props) {
  const { id, label, value, onValue, hint, wrong, required } = props;
  const input = useRef(/** @type {HTMLInputElement|null} */ (null));
  useEffect(() => {
    if (props.focus) input.current?.focus();
  }, []);
  const described = [hint ? `${id}-hint` : "", wrong ? `${id}-wrong` : ""].filter(Boolean).join(" ") || undefined;
  return html`<${Field} id=${id} label=${label} hint=${hint} wrong=${wrong} required=${required}>
    <input id=${id} ref=${input} data-test=${props.test} type=${props.type ?? "text"} inputmode=${props.inputmode}
      maxlength=${props.maxlength} autocomplete=${props.autocomplete ?? "off"} placeholder=${props.placeholder}
      list=${props.list} lang=${props.lang} value=${value} aria-invalid=${wrong ? "true" : undefined} aria-describedby=${described}
      aria-required=${required ? "true" : undefined}
      onInput=${(/** @type {any} */ event) => onValue(event.currentTarget.value)} />
  <//>`;
}

/**
 * One of several, as big buttons.
 * @param {{legend: string, options: {value: any, label: string, test?: string, alarm?: boolean}[], value: any,
 *   onValue: (value: any) => void, wrong?: string, name: string, quiet?: boolean, required?: boolean}} props
 */
export function Choice({ legend, options, value, onValue, wrong, name, quiet, required }) {
  return html`<fieldset class="field">
    <legend class=${quiet ? "visually-hidden" : "label"}>${legend}${required ? html` <span class="soft small">(${t("required")})</span>` : null}</legend>
    <div class="choices" role="radiogroup" aria-label=${legend}>
      ${options.map(
        (option) => html`<button type="button" key=${String(option.value)} role="radio" data-test=${option.test ?? `${name}-${option.value}`}
          class=${option.alarm ? "choice alarm" : "choice"} aria-checked=${option.value === value ? "true" : "false"}
          onClick=${() => onValue(option.value)}>${option.label}</button>`,
      )}
    </div>
    ${wrong ? html`<span class="wrong" role="alert">${wrong}</span>` : null}
  </fieldset>`;
}

/**
 * A dialog that the browser itself makes modal (focus kept inside, Escape closes).
 * @param {{title: string, onClose: () => void, test?: string, children?: unknown}} props
 */
export function Dialog({ title, onClose, test, children }) {
  const box = useRef(/** @type {HTMLDialogElement|null} */ (null));
  useEffect(() => {
    const dialog = box.current;
    if (dialog && !dialog.open) dialog.showModal();
    return () => dialog?.close();
  }, []);
  return html`<dialog ref=${box} aria-label=${title} data-test=${test} onCancel=${(/** @type {Event} */ event) => {
    event.preventDefault();
    onClose();
  }}>
    <div class="stack"><h2>${title}</h2>${children}</div>
  </dialog>`;
}

/** @type {import("../vendor/signals.js").Signal<{id: number, kind: string, text: string}[]>} */
export const toasts = signal([]);
let toastNumber = 0;

/** Say something that passes; good news takes the place of the good news before. @param {"good"|"bad"|"warn"} kind @param {string} text */
export function toast(kind, text) {
  const id = ++toastNumber;
  const stale = (/** @type {{kind: string, text: string}} */ item) => item.text === text || (kind === "good" && item.kind === "good");
  toasts.value = [...toasts.value.filter((item) => !stale(item)), { id, kind, text }].slice(-3);
  setTimeout(() => dismiss(id), kind === "bad" ? 12_000 : 5_000);
}
/** @param {number} id */
function dismiss(id) {
  toasts.value = toasts.value.filter((item) => item.id !== id);
}

export function Toasts() {
  return html`<div class="toasts" role="status" aria-live="polite">
    ${toasts.value.map(
      (item) => html`<div class=${`notice ${item.kind} row between`} key=${item.id} data-test=${`toast-${item.kind}`}>
        <span class="grow">${item.text}</span>
        <button class="quiet" type="button" onClick=${() => dismiss(item.id)} aria-label=${t("close")}><${Icon} name="cross" /></button>
      </div>`,
    )}
  </div>`;
}

/** Bring what is wrong first into sight, once it is drawn: the button that found it may be a screen away. */
export function showWrong() {
  requestAnimationFrame(() => document.querySelector("main :is(.wrong, p.notice.bad:not(.lead))")?.scrollIntoView({ block: "center" }));
}
