// @ts-check
// A visit from consent to token, one thing on the screen at a time. Any step can be opened again;
// what was changed is recorded anew, what was not is not sent twice.
import { afterPicture, nowAll, picture } from "/ui/lib/answer.js";
import { computed, html, signal, useEffect } from "/ui/lib/dom.js";
import { t } from "/ui/lib/l10n.js";
import { toast } from "/ui/lib/parts.js";
import { ageWords } from "/ui/lib/ages.js";
import { errorText, submit } from "../commands.js";
import { keepDraft, openDraft, openForms, saveDraft, watchDraft } from "../drafts.js";
import { go, leaving, loadRecord, record } from "../store.js";
import { EmergencyButton } from "./emergency.js";
import { OtherTablet } from "./othertablet.js";
import { blankForm, recordedForm, sendStep, stepFaults } from "/ui/lib/visit_form.js";
import { ConsentStep } from "./step_consent.js";
import { ComplaintStep } from "/ui/lib/complaints.js";
import { HistoryStep } from "/ui/lib/history.js";
import { SignsStep } from "/ui/lib/signs.js";
import { VitalsStep } from "./step_vitals.js";
import { TriageStep } from "./step_triage.js";

export const STEPS = ["consent", "complaint", "history", "signs", "vitals", "triage"];
/** @type {Record<string, any>} */
const PAGES = { consent: ConsentStep, complaint: ComplaintStep, history: HistoryStep, signs: SignsStep, vitals: VitalsStep, triage: TriageStep };

/** The form of the visit on the screen. */
export const form = signal(blankForm());
const ready = signal("");
const shown = signal(/** @type {Record<string, string>} */ ({}));
const busy = signal(false);
/** The whole step is built anew for a mark, so only where there was one. */
const unmark = () => {
  if (Object.keys(shown.value).length > 0) shown.value = {};
};
openForms.add(() => {
  ready.value = "";
  form.value = blankForm();
  shown.value = {};
});

/** @param {string} visitId */
async function prepare(visitId) {
  ready.value = "";
  const known = record.value;
  if (known?.visit.visit_id !== visitId) record.value = null;
  else if (known.sync.length === 0 && known.visit.state === "draft") {
    form.value = recordedForm(known);
    ready.value = visitId;
    return;
  }
  try {
    const [loaded, kept] = await Promise.all([loadRecord(visitId), openDraft(`visit-${visitId}`)]);
    const recorded = recordedForm(loaded);
    form.value = { ...recorded, ...(kept ?? {}), sent: { ...recorded.sent, ...kept?.sent } };
    ready.value = visitId;
  } catch (error) {
    toast("bad", errorText(error));
    setTimeout(() => {
      if (ready.value !== visitId && location.hash.includes(visitId)) void prepare(visitId);
    }, 2000);
  }
}

/** The record as the steps before the result need it: another one only for another visit or person. */
const basis = computed(() => {
  const [now, before] = [record.value, basisBefore];
  const same = now && before && now.visit.visit_id === before.visit.visit_id && JSON.stringify(now.patient) === JSON.stringify(before.patient);
  return (basisBefore = same ? before : now);
});
/** @type {import("../store.js").VisitRecord|null} */
let basisBefore = null;

/**
 * Change some fields of the form, or what was sent of it; the node has them within 5 s.
 * @param {import("/ui/lib/visit_form.js").Change} what
 */
export function change(what) {
  const part = typeof what === "function" ? what(form.value) : what;
  if (part.sent) form.value.sent = { ...form.value.sent, ...part.sent }; // no screen shows it: none is built anew
  else {
    form.value = { ...form.value, ...part };
    unmark();
  }
  if (ready.value) keepDraft(`visit-${ready.value}`, form.value);
}

/** @param {{visitId: string, step: string}} props */
export function Wizard({ visitId, step }) {
  useEffect(() => {
    void prepare(visitId);
    return watchDraft(`visit-${visitId}`, (body) => (form.value = { ...blankForm(), ...body }));
  }, [visitId]);
  useEffect(() => {
    unmark();
    document.getElementById("main")?.focus({ preventScroll: true });
  }, [step]);
  const now = step === "triage" ? record.value : basis.value;
  if (ready.value !== visitId || !now) return html`<p class="card" role="status">${t("loading")}</p>`;
  const at = Math.max(0, STEPS.indexOf(step));
  const name = STEPS[at];
  const Page = PAGES[name];

  /** @param {string} target */
  const leave = async (target) => {
    void saveDraft(`visit-${visitId}`);
    go(target);
  };
  const next = async (/** @type {Event} */ event) => {
    event.preventDefault();
    if (leaving() || busy.peek()) return; // touched twice
    nowAll();
    const said = form.value;
    const faults = stepFaults(name, said, now.patient);
    if (Object.keys(faults).length > 0) {
      shown.value = faults;
      afterPicture(() => document.querySelector("form.page [role=alert]")?.scrollIntoView({ block: "center" }));
      return;
    }
    unmark();
    // The result needs the node's answer; the steps before it do not keep the nurse waiting.
    const waits = name === "vitals";
    if (!waits) go(`/visit/${visitId}/step/${STEPS[at + 1]}`);
    busy.value = waits;
    await picture();
    void saveDraft(`visit-${visitId}`);
    // What waits may be answered when another visit is open, or nobody is logged in.
    const trouble = await sendStep(name, said, record.value ?? now, (part) => ready.value === visitId && change(part), submit);
    busy.value = false;
    if (trouble) {
      go(`/visit/${visitId}/step/${name}`);
      toast("bad", trouble);
      setTimeout(() => (shown.value = { all: trouble }), 50);
      return;
    }
    if (waits) go(`/visit/${visitId}/step/triage`);
  };

  return html`<form class="stack page" data-test=${`step-${name}`} onSubmit=${next} novalidate>
    <div class="row between">
      <div class="grow"><h1 class="patient-name">${now.patient.person.name}</h1>
        <p class="soft">${ageWords(now.patient)} · ${t(`gender-${now.patient.person.gender}`)} · ${now.patient.person.village}</p></div>
      <${EmergencyButton} compact visitId=${visitId} patientId=${now.patient.patient_id} />
    </div>
    <${OtherTablet} form=${`visit-${visitId}`} word=${stepWord} change=${change} />
    <nav aria-label=${t("steps")}><ol class="steps">
      ${STEPS.map((one, index) => html`<li key=${one}><button type="button" class=${index === at ? "here" : ""} data-test=${`go-${one}`}
        aria-current=${index === at ? "step" : undefined} onClick=${() => void leave(`/visit/${visitId}/step/${one}`)}>
        <span class="num">${index + 1}</span><span class="word">${t(`step-${one}`)}</span></button></li>`)}
    </ol></nav>
    <${Page} form=${form.value} change=${change} record=${now} faults=${shown.value} />
    ${shown.value.all ? html`<p class="notice bad" role="alert" data-test="step-wrong">${shown.value.all}</p>` : null}
    ${Object.keys(shown.value).length > 0 && !shown.value.all ? html`<p class="notice bad" role="alert" data-test="step-wrong">${t("fix-marked")}</p>` : null}
    <div class="foot row">
      <button type="button" data-test="step-back" onClick=${() => void leave(at === 0 ? "/" : `/visit/${visitId}/step/${STEPS[at - 1]}`)}>${t("back")}</button>
      ${name === "triage"
        ? null
        : html`<${NextButton} />`}
    </div>
  </form>`;
}

/** Alone in knowing that something is under way: the step around it is not built anew for that. */
function NextButton() {
  return html`<button class="primary big grow" data-test="step-next" disabled=${busy.value} aria-busy=${busy.value ? "true" : "false"}>${t("next")}</button>`;
}

/** Which step a field of the form belongs to. @type {Record<string, string>} */
const STEP_OF = {
  tele: "consent", data: "consent", method: "consent", guardian: "consent", complaints: "complaint", complaint_notes: "complaint",
  signs: "signs", rest_absent: "signs", values: "vitals", not_done: "vitals", confirmed: "vitals", avpu: "vitals", oxygen: "vitals", fahrenheit: "vitals", sources: "vitals",
};
const stepWord = (/** @type {string} */ field) => t(`step-${STEP_OF[field] ?? "history"}`);
