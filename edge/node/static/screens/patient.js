// @ts-check
// A patient who was here before: the data of last time to look at, consent, and the token at once. What
// is to be asked and measured follows with the token in hand. Also the correction of who a patient is.
import { picture } from "/ui/lib/answer.js";
import { html, useEffect, useSignal } from "/ui/lib/dom.js";
import { get } from "/ui/lib/http.js";
import { newId } from "/ui/lib/ids.js";
import { day, t } from "/ui/lib/l10n.js";
import { Choice, Icon, toast } from "/ui/lib/parts.js";
import { refusalText } from "/ui/lib/errors.js";
import { words } from "/ui/lib/reference.js";
import { errorText, submit } from "../commands.js";
import { keepDraft, saveDraft } from "../drafts.js";
import { go, goOn, heardOpening, openedVisit, route } from "../store.js";
import { offerVisitUndo } from "../undo.js";
import { EmergencyButton } from "./emergency.js";
import { PersonLine, onNumber } from "./people.js";
import { faults, formOf, personOf } from "/ui/lib/person.js";
import { PersonFields, showFirst } from "./personform.js";
import { ConsentStep } from "./step_consent.js";
import { blankForm, fromLastTime, sendStep, stepFaults } from "/ui/lib/visit_form.js";

/** @typedef {import("/ui/api").Patient} Patient */
/** @typedef {import("/ui/api").Visit} Visit */
const EARLIER_SHOWN = 3;
const OPEN = ["draft", "triaged", "waiting", "in_call", "rx_pending", "rx_ready"];

/** `#/patient/<id>`, `#/patient/<id>/edit`, and `#/patient/<id>/for/<visit>` for who comes again. @param {{patientId: string}} props */
export function PatientPage({ patientId }) {
  const page = useSignal(/** @type {{patient: Patient, visits: Visit[]}|null} */ (null));
  const load = async () => {
    page.value = await get(`/api/patients/${patientId}`);
  };
  useEffect(() => void load().catch((error) => toast("bad", errorText(error))), [patientId]);
  if (!page.value) return html`<p class="card" role="status">${t("loading")}</p>`;
  if (route.value[2] === "edit") return html`<${Edit} patient=${page.value.patient} reload=${load} />`;
  return html`<${Returning} patient=${page.value.patient} visits=${page.value.visits} reload=${load} />`;
}

/** @param {{patient: Patient, visits: Visit[], reload: () => Promise<void>}} props */
function Returning({ patient, visits, reload }) {
  const form = useSignal(blankForm());
  const shown = useSignal(/** @type {Record<string, string>} */ ({}));
  const busy = useSignal("");
  const house = useSignal(/** @type {Patient[]} */ ([]));
  const here = visits.find((one) => OPEN.includes(one.state));
  const past = visits.filter((one) => one !== here && one.state !== "cancelled");
  const last = past[0];
  const asked = route.value[2] === "for" ? route.value[3] ?? "" : "";
  const follows = useSignal(past.some((one) => one.visit_id === asked) ? asked : "");
  useEffect(() => {
    const { mobile } = patient.person;
    if (mobile) void onNumber(mobile).then((found) => (house.value = found.filter((one) => one.patient_id !== patient.patient_id))).catch(() => {});
  }, [patient.patient_id]);
  const change = (/** @type {any} */ part) => {
    form.value = { ...form.value, ...part };
    if (Object.keys(shown.value).length > 0) shown.value = {};
  };

  /** Open the visit; its id, or "" when the node refused. @returns {Promise<string>} */
  const open = async () => {
    const visitId = newId();
    const open_known = visits.filter((one) => OPEN.includes(one.state) || (one.state === "no_show" && !one.closed_ms)).length;
    const opening = submit({ type: "open_visit", visit_id: visitId, patient_id: patient.patient_id, follow_up_of: follows.value, open_known });
    heardOpening({ visit: openedVisit(visitId, patient.patient_id), patient });
    const outcome = await opening;
    if (!outcome.ok && "error" in outcome) {
      toast("bad", errorText(outcome.error));
      void reload().catch(() => {});
      return "";
    }
    for (const warning of (outcome.ok && outcome.reply?.warnings) || []) toast("warn", refusalText(warning));
    if (last) {
      keepDraft(`visit-${visitId}`, { ...blankForm(), ...fromLastTime(last), ...consents() });
      void saveDraft(`visit-${visitId}`);
    }
    offerVisitUndo(visitId, patient.person.name);
    return visitId;
  };
  const consents = () => ({ tele: form.value.tele, data: form.value.data, method: form.value.method, guardian: form.value.guardian });

  const giveToken = async () => {
    const found = stepFaults("consent", form.value, patient);
    if (Object.keys(found).length > 0) {
      shown.value = found;
      document.querySelector("[role=alert]")?.scrollIntoView({ block: "center" });
      return;
    }
    busy.value = "token";
    await picture();
    const visitId = await open();
    if (visitId) {
      const record = { visit: openedVisit(visitId, patient.patient_id), patient };
      const trouble = await sendStep("consent", form.value, record, () => {}, submit);
      const token = trouble ? null : await submit({ type: "issue_token", visit_id: visitId });
      if (token?.ok) offerVisitUndo(visitId, patient.person.name, token.reply.visit?.token);
      if (trouble || (token && !token.ok && "error" in token)) toast("bad", trouble || errorText(/** @type {any} */ (token).error));
      goOn(`/visit/${visitId}`);
    }
    busy.value = "";
  };
  const assess = async () => {
    busy.value = "assess";
    await picture();
    const visitId = await open();
    if (visitId) goOn(`/visit/${visitId}/step/consent`);
    busy.value = "";
  };

  return html`<div class="stack page" data-test="patient-page">
    <div class="row between">
      <div class="grow"><h1 class="patient-name">${patient.person.name}</h1><${PersonLine} patient=${patient} />
        <div class="soft small num">${[patient.local_id, patient.person.mobile, patient.person.mobile_owner].filter(Boolean).join(" · ")}</div></div>
      <${EmergencyButton} compact visitId=${here?.visit_id} patientId=${patient.patient_id} />
    </div>
    ${here ? html`<section class="card row between here" data-test="here-already"><strong class="grow">${here.token ? t("here-token", { token: here.token }) : t("here-open")}</strong>
      <button type="button" class="primary" data-test="to-open-visit" onClick=${() => go(`/visit/${here.visit_id}`)}>${t("to-visit")}</button></section>` : null}
    <div class="beside">${last ? html`<${LastTime} visit=${last} />` : html`<p class="card soft">${t("no-visit-yet")}</p>`}
      ${past.length > 0 && !here ? html`<${WhyToday} past=${past} follows=${follows} />` : null}</div>
    <${ConsentStep} form=${form.value} change=${change} record=${{ patient }} faults=${shown.value} />
    ${house.value.length > 0 ? html`<section class="card stack tight" data-test="family"><h2>${t("on-this-number")}</h2>
      <div class="choices">${house.value.map((one) => html`<button type="button" key=${one.patient_id} class="choice" data-test="family-member"
        onClick=${() => go(`/patient/${one.patient_id}`)}>${one.person.name}</button>`)}</div></section>` : null}
    <div class="row"><button type="button" class="quiet" data-test="family-new" onClick=${() => go(`/register/${newId()}/with/${patient.patient_id}`)}><${Icon} name="plus" /> ${t("family-new")}</button>
      <button type="button" class="quiet" data-test="edit-person" onClick=${() => go(`/patient/${patient.patient_id}/edit`)}>${t("edit-person")}</button></div>
    <${Foot} busy=${busy} assess=${assess} giveToken=${giveToken} />
  </div>`;
}

/**
 * Alone in knowing that something is under way: the page above it is not built anew for that.
 * @param {{busy: import("/ui/vendor/signals.js").Signal<string>, assess: () => Promise<void>, giveToken: () => Promise<void>}} props
 */
function Foot({ busy, assess, giveToken }) {
  return html`<div class="foot row">
    <button type="button" data-test="patient-back" onClick=${() => go("/")}>${t("back")}</button>
    <button type="button" data-test="begin-steps" disabled=${Boolean(busy.value)} aria-busy=${busy.value === "assess" ? "true" : "false"} onClick=${() => void assess()}>${t("begin-visit")}</button>
    <button type="button" class="primary big grow" data-test="give-token" disabled=${Boolean(busy.value)} aria-busy=${busy.value === "token" ? "true" : "false"} onClick=${() => void giveToken()}>${t("issue-token")}</button>
  </div>`;
}

/** @param {Visit} visit */
const complaintsOf = (visit) => visit.complaints.map((one) => (one.code === "other" ? one.text : words("complaints", one.code))).join(", ");

/**
 * Something new, or what an earlier visit was about: only then may a doctor who saw her go on with the same medicine.
 * @param {{past: Visit[], follows: import("/ui/vendor/signals.js").Signal<string>}} props
 */
function WhyToday({ past, follows }) {
  const chosen = past.find((one) => one.visit_id === follows.value);
  const shown = past.slice(0, EARLIER_SHOWN);
  if (chosen && !shown.includes(chosen)) shown.push(chosen);
  const label = (/** @type {Visit} */ one) => [t("why-same", { date: day(one.opened_ms) }), complaintsOf(one)].filter(Boolean).join(": ");
  return html`<section class="card" data-test="why-today"><${Choice} name="why" legend=${t("why-today")} value=${follows.value}
    onValue=${(/** @type {string} */ value) => (follows.value = value)}
    options=${[{ value: "", label: t("why-new"), test: "why-new" }, ...shown.map((one) => ({ value: one.visit_id, label: label(one), test: "why-same" }))]} /></section>`;
}

/** What was said at the visit before, for the nurse to ask again. @param {{visit: Visit}} props */
function LastTime({ visit }) {
  const { allergies, history } = visit;
  /** @type {[string, string][]} */
  const rows = [
    [t("complaints"), complaintsOf(visit)],
    [t("allergies"), allergies ? (allergies.none_known ? t("allergy-none") : allergies.items.join(", ")) : t("not-asked")],
    [t("other-illness"), history ? history.conditions.map((id) => words("conditions", id)).join(", ") || t("none-said") : t("not-asked")],
    [t("medicines-now"), history?.medicines ?? ""],
    [t("doctor"), visit.doctor_name],
  ];
  return html`<section class="card" aria-label=${t("last-time")} data-test="last-time"><h2>${t("last-time")} <span class="soft">${day(visit.opened_ms)}</span></h2>
    <dl class="facts pairs">${rows.filter(([, value]) => value).map(([label, value]) => html`<dt>${label}</dt><dd>${value}</dd>`)}</dl></section>`;
}

/** @param {{patient: Patient, reload: () => Promise<void>}} props */
function Edit({ patient, reload }) {
  const form = useSignal(formOf(patient.person));
  const shown = useSignal(false);
  const busy = useSignal(false);
  const wrong = useSignal("");
  const set = (/** @type {string} */ field) => (/** @type {string} */ value) => (form.value = { ...form.value, [field]: value });
  const bad = shown.value ? faults(form.value) : {};
  const save = async (/** @type {Event} */ event) => {
    event.preventDefault();
    shown.value = true;
    wrong.value = "";
    if (showFirst(faults(form.value))) return;
    busy.value = true;
    const person = personOf(form.value, patient.person);
    const outcome = await submit({ type: "amend_patient", patient_id: patient.patient_id, person, based_on: patient.amended });
    busy.value = false;
    if (!outcome.ok && "error" in outcome) {
      wrong.value = errorText(outcome.error);
      if (outcome.error.code === "changed_meanwhile") void reload().catch(() => {});
      return;
    }
    toast("good", t("person-saved"));
    await reload().catch(() => {});
    // Another age may be another colour: then that is what has to be seen.
    const told = outcome.ok ? outcome.reply?.visit : null;
    go(told ? `/visit/${told.visit_id}` : `/patient/${patient.patient_id}`);
  };
  return html`<form class="stack page" data-test="edit-person-form" onSubmit=${save} novalidate>
    <h1>${t("edit-person")}</h1>
    <p class="soft" data-test="person-as-known">${[patient.person.name, patient.person.village, patient.person.mobile].filter(Boolean).join(" · ")}</p>
    <${PersonFields} form=${form.value} set=${set} bad=${bad} />
    ${wrong.value ? html`<p class="notice bad" role="alert" data-test="edit-wrong">${wrong.value}</p>` : null}
    <div class="foot row"><button type="button" data-test="edit-cancel" onClick=${() => go(`/patient/${patient.patient_id}`)}>${t("cancel")}</button>
      <button class="primary big grow" data-test="edit-save" disabled=${busy.value} aria-busy=${busy.value ? "true" : "false"}>${t("save")}</button></div>
  </form>`;
}
