// @ts-check
// A visit from home: the questions one after the other, then the waiting room, then the answer.
import { nowAll } from "/ui/lib/answer.js";
import { decimalIn } from "/ui/lib/digits.js";
import { html, useEffect, useRef, useSignal } from "/ui/lib/dom.js";
import { ageDays, ADULT_CHART_DAYS, isMinor } from "/ui/lib/ages.js";
import { ComplaintStep } from "/ui/lib/complaints.js";
import { HistoryStep } from "/ui/lib/history.js";
import { pick, t } from "/ui/lib/l10n.js";
import { Choice, showWrong, TextField, toast } from "/ui/lib/parts.js";
import { item, list, reference } from "/ui/lib/reference.js";
import { SignsStep } from "/ui/lib/signs.js";
import { blankForm, doubtful, numberOf, recordedForm, sendStep, stepFaults, wrongRange } from "/ui/lib/visit_form.js";
import { errorText } from "/ui/lib/errors.js";
import { Emergency } from "./login.js";
import { Photos } from "./photos.js";
import { loadVisit, opening, submit, visit } from "./store.js";
import { Waiting } from "./wait.js";

/** @typedef {import("/ui/lib/visit_form.js").VisitForm} VisitForm */
/** @typedef {import("./store.js").HomeVisit} HomeVisit */

const STEPS = ["complaint", "signs", "history", "measured", "photos", "consent"];
/** What may be known at home; nothing of it is asked for. */
const AT_HOME = ["temp_c", "weight_kg"];

export function VisitPage() {
  const now = visit.value;
  if (!now || !reference.value) return html`<p class="card" role="status">${t("loading")}</p>`;
  const asking = !now.token && (now.state === "draft" || now.state === "triaged");
  return html`<div class="page stack" data-test="home-visit" data-state=${now.state} data-colour=${now.colour}>
    <h1>${now.patient.person.name}</h1>
    ${now.colour === "red" && !now.papers.length ? html`<div class="stack tight" role="alert" data-test="home-red"><p class="notice bad lead">${t("home-red")}</p><${Emergency} /><p>${t(opening.value?.open ? "home-red-more" : "home-red-closed")}</p></div>` : null}
    ${asking ? html`<${Questions} key=${now.visit_id} now=${now} />` : html`<${Waiting} now=${now} />`}</div>`;
}

/** The first step that has no answer yet. @param {HomeVisit} now */
function firstOpen(now) {
  if (now.complaints.length === 0) return 0;
  if (now.signs_present.length + now.signs_absent.length === 0) return 1;
  return now.history && now.allergies ? 3 : 2;
}

/** @param {{now: HomeVisit}} props */
function Questions({ now }) {
  const step = useSignal(firstOpen(now));
  const form = useSignal(/** @type {VisitForm} */ (blankForm()));
  const bad = useSignal(/** @type {Record<string, string>} */ ({}));
  const busy = useSignal(false);
  const title = useRef(/** @type {HTMLElement|null} */ (null));
  const record = { visit: now, patient: now.patient };
  useEffect(() => {
    form.value = { ...recordedForm(record), method: "otp" };
  }, []);
  useEffect(() => title.current?.focus(), [step.value]);
  const name = STEPS[step.value];
  const change = (/** @type {import("/ui/lib/visit_form.js").Change} */ what) => {
    const part = typeof what === "function" ? what(form.value) : what;
    form.value = { ...form.value, ...part };
    if (name === "complaint" || "values" in part) bad.value = {};
  };
  const mark = (/** @type {any} */ part) => (form.value = { ...form.value, sent: { ...form.value.sent, ...part.sent } });
  const next = async () => {
    nowAll();
    bad.value = name === "measured" ? measuredFaults(form.value, now) : name === "photos" ? {} : stepFaults(name, form.value, now.patient);
    if (Object.keys(bad.value).length > 0) return showWrong();
    busy.value = true;
    const measured = AT_HOME.some((id) => numberOf(id, form.value) !== null);
    const said = name === "measured" ? (measured ? "vitals" : "") : name === "photos" ? "" : name;
    let trouble = said ? await sendStep(said, form.value, record, mark, submit) : "";
    if (!trouble && name === "consent" && form.value.tele) {
      const done = now.colour === "red" ? { ok: true } : await submit({ type: "issue_token", visit_id: now.visit_id });
      if (!done.ok) trouble = errorText(done.error);
    }
    await loadVisit(now.visit_id).catch(() => {});
    busy.value = false;
    if (trouble) toast("bad", trouble);
    else if (step.value < STEPS.length - 1) step.value += 1;
  };
  const props = { form: form.value, change, record: { patient: now.patient }, faults: bad.value };
  return html`<p class="soft" data-test="home-step" data-step=${name}>${t("home-step", { n: step.value + 1, all: STEPS.length })}</p>
    <h2 ref=${title} tabindex="-1">${t(`home-step-${name}`)}</h2>
    ${name === "complaint" ? html`<${ComplaintStep} ...${props} />`
      : name === "signs" ? html`<${SignsStep} ...${props} />`
      : name === "history" ? html`<${HistoryStep} ...${props} />`
      : name === "measured" ? html`<${MeasuredStep} ...${props} />`
      : name === "photos" ? html`<${Photos} now=${now} />` : html`<${ConsentStep} ...${props} />`}
    <div class="foot row">${step.value > 0 ? html`<button type="button" data-test="home-back" onClick=${() => (step.value -= 1)}>${t("back")}</button>` : null}
      <button type="button" class="primary big grow" data-test="home-next" disabled=${busy.value || (name === "consent" && form.value.tele === false)} aria-busy=${busy.value ? "true" : "false"}
        onClick=${() => void next()}>${t(name === "consent" ? "home-get-token" : name === "photos" && now.photos.length === 0 ? "home-skip" : "next")}</button></div>`;
}

/** @param {VisitForm} form @param {HomeVisit} now */
function measuredFaults(form, now) {
  /** @type {Record<string, string>} */
  const found = {};
  for (const id of AT_HOME) {
    const vital = item("vitals", id);
    if (!vital || !(form.values[id] ?? "").trim()) continue;
    const value = numberOf(id, form);
    if (value === null) found[id] = t("wrong-number");
    else if (value < vital.hard_low || value > vital.hard_high) found[id] = wrongRange(vital, form);
  }
  const days = ageDays(now.patient);
  const unsure = doubtful(form, days === null || days >= ADULT_CHART_DAYS);
  if (Object.keys(found).length === 0) for (const vital of unsure) found[vital.id ?? ""] = t("home-measure-again");
  return found;
}

/** @param {{form: VisitForm, change: (part: any) => void, faults: Record<string, string>}} props */
function MeasuredStep({ form, change, faults }) {
  const unit = (/** @type {string} */ id) => (id === "temp_c" ? (form.fahrenheit ? "°F" : "°C") : "kg");
  const celsius = form.fahrenheit && !faults.temp_c ? numberOf("temp_c", form) : null;
  return html`<p class="notice">${t("home-measured-why")}</p><section class="card stack">
    ${AT_HOME.map((id) => html`<div key=${id} class="stack tight"><${TextField} id=${`vital-${id}`} test=${`vital-${id}`} label=${`${pick(item("vitals", id), id)} (${unit(id)})`} inputmode="decimal" maxlength=${6}
        hint=${id === "temp_c" && celsius !== null ? `= ${celsius} °C` : undefined} value=${form.values[id] ?? ""} wrong=${faults[id]} onValue=${(/** @type {string} */ text) => change({ values: { ...form.values, [id]: decimalIn(text) }, confirmed: form.confirmed.filter((one) => one !== id) })} />
      ${id === "temp_c" ? html`<button type="button" class="quiet" data-test="temp-unit" onClick=${() => change({ fahrenheit: !form.fahrenheit, values: { ...form.values, temp_c: "" } })}>${t(form.fahrenheit ? "use-celsius" : "use-fahrenheit")}</button>` : null}
      ${faults[id] === t("home-measure-again") ? html`<label class="check"><input type="checkbox" data-test=${`confirm-${id}`} checked=${form.confirmed.includes(id)}
        onChange=${(/** @type {any} */ event) => change({ confirmed: event.currentTarget.checked ? [...form.confirmed, id] : form.confirmed.filter((one) => one !== id) })} />${t("home-measured-sure")}</label>` : null}</div>`)}
  </section>`;
}

/** Two questions, each for itself. @param {{form: VisitForm, change: (part: any) => void, record: any, faults: Record<string, string>}} props */
function ConsentStep({ form, change, record, faults }) {
  const guardian = (/** @type {any} */ part) => change({ guardian: { ...form.guardian, ...part } });
  return html`${isMinor(record.patient) ? html`<section class="card stack" aria-label=${t("guardian")}><h3>${t("guardian")}</h3><p class="soft">${t("guardian-why")}</p>
      <${TextField} id="guardian-name" test="guardian-name" label=${t("guardian-name")} required value=${form.guardian.name} wrong=${faults.guardian} maxlength=${80}
        onValue=${(/** @type {string} */ name) => guardian({ name })} />
      <${TextField} id="guardian-relation" test="guardian-relation" label=${t("guardian-relation")} required value=${form.guardian.relation} wrong=${faults.relation} maxlength=${60}
        onValue=${(/** @type {string} */ relation) => guardian({ relation })} /></section>` : null}
    ${[["teleconsultation", "tele"], ["data", "data"]].map(([purpose, field]) => {
      const statement = list("consent_statements").find((one) => one.purpose === purpose);
      const key = /** @type {"tele"|"data"} */ (field);
      return html`<section class="card stack" key=${purpose} aria-label=${t(`consent-${field}`)}><h3>${t(`consent-${field}`)}</h3><p class="statement">${pick(statement)}</p>
        ${statement?.reviewed ? null : html`<p class="soft small">${t("home-unreviewed")}</p>`}
        <${Choice} name=${`consent-${field}`} legend=${t(`consent-${field}`)} quiet value=${form[key]} wrong=${faults[field]} onValue=${(/** @type {boolean} */ value) => change({ [field]: value })}
          options=${[{ value: true, label: t("i-agree"), test: `consent-${field}-yes` }, { value: false, label: t("i-disagree"), test: `consent-${field}-no` }]} />
        ${form[key] === false ? html`<p class="notice warn">${t(`home-consent-${field}-refused`)}</p>` : null}</section>`;
    })}`;
}
