// @ts-check
// After a breach: who was affected and what has to be sent by when, by one button. Ids and counts, no name of a patient.
import { html, useSignal } from "/ui/lib/dom.js";
import { post } from "/ui/lib/http.js";
import { isoDay, t } from "/ui/lib/l10n.js";
import { TextField, toast } from "/ui/lib/parts.js";
import { Download } from "./office.js";
import { errorText } from "./store.js";

const DAY_MS = 86_400_000;
const IST_MS = 19_800_000;

/** Which readings count, and the file. */
export function Breach() {
  const asked = useSignal({ since: isoDay(Date.now() - 6 * DAY_MS), until: isoDay(), noticed: new Date(Date.now() + IST_MS).toISOString().slice(0, 16), account: "", centre: "" });
  const made = useSignal(/** @type {any} */ (null));
  const busy = useSignal(false);
  const set = (/** @type {Partial<typeof asked.value>} */ change) => {
    asked.value = { ...asked.value, ...change };
    made.value = null;
  };
  const make = async (/** @type {Event} */ event) => {
    event.preventDefault();
    busy.value = true;
    try {
      made.value = await post("/api/breach-report", asked.value);
    } catch (error) {
      toast("bad", errorText(error));
    } finally {
      busy.value = false;
    }
  };
  const time = (/** @type {"since"|"until"|"noticed"} */ name, /** @type {string} */ type) => html`<div class="field"><label for=${`breach-${name}`}>${t(`breach-${name}`)}</label><input id=${`breach-${name}`} data-test=${`breach-${name}`} type=${type} required value=${asked.value[name]} onChange=${(/** @type {any} */ event) => set({ [name]: event.currentTarget.value.slice(0, 16) })} /></div>`;
  const words = (/** @type {"account"|"centre"} */ name) => html`<${TextField} id=${`breach-${name}`} test=${`breach-${name}`} label=${t(`breach-${name}`)} hint=${t(`breach-${name}-hint`)} value=${asked.value[name]} maxlength=${60} onValue=${(/** @type {string} */ text) => set({ [name]: text })} />`;
  return html`<section class="card stack tight" data-test="breach"><h2>${t("breach")}</h2><p>${t("breach-explain")}</p>
    <form class="stack tight" onSubmit=${make}><div class="row filters">${time("since", "date")}${time("until", "date")}${time("noticed", "datetime-local")}</div>
      <div class="row filters top-even">${words("account")}${words("centre")}</div>
      <div><button class="primary" data-test="breach-make" disabled=${busy.value} aria-busy=${String(busy.value)}>${t("breach-make")}</button></div></form>
    ${made.value ? html`<${Found} made=${made.value} />` : null}</section>`;
}

/** What the logs say, and the file. @param {{made: any}} props */
function Found({ made }) {
  return html`<div class="stack tight" role="status" data-test="breach-found" data-patients=${made.patients}>
    <p><strong>${t("breach-patients", { n: made.patients })}</strong> · ${t("breach-listed", { n: made.listed })} · ${t("breach-reads", { n: made.reads, there: made.at_nodes })}</p>
    ${made.audit_broken_at ? html`<p class="notice bad" data-test="breach-broken">${t("breach-broken", { n: made.audit_broken_at })}</p>` : html`<p class="small">${t("breach-whole")}</p>`}
    ${made.unknown ? html`<p class="notice warn">${t("breach-unknown", { n: made.unknown })}</p>` : null}
    ${made.unsaid ? html`<p class="notice warn">${t("breach-unsaid", { n: made.unsaid })}</p>` : null}
    <div><${Download} base64=${made.zip} name=${made.file_name} type="application/zip" label=${t("breach-save")} test="breach-save" /></div>
    <p class="small">${t("breach-files")}</p></div>`;
}
