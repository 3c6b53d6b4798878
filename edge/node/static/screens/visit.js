// @ts-check
// One visit after its token: where it stands, what was recorded, the call, the prescription, the end.
import { html, useEffect, useSignal } from "/ui/lib/dom.js";
import { clockTime, day, t } from "/ui/lib/l10n.js";
import { Choice, ColourBadge, Dialog, toast } from "/ui/lib/parts.js";
import { colourOf } from "/ui/lib/colour.js";
import { ageWords } from "/ui/lib/ages.js";
import { errorText, submit } from "../commands.js";
import { dropDraft } from "../drafts.js";
import { go, loadRecord, queue, record, staffName, status } from "../store.js";
import { EmergencyButton, EmergencyFacts } from "./emergency.js";
import { RecordFacts } from "/ui/lib/facts.js";
import { MediaCard } from "./media.js";
import { Answers } from "./answers.js";
import { Prescription } from "./prescription.js";
import { PrintHere, printer } from "./printer.js";
import { SendOn } from "./sending.js";
import { InPersonCard } from "./shelf.js";
import { Expected, SmsCard, SyncCard, arrived } from "./progress.js";
import { Turn } from "./turn.js";
import { ClosingBack, offerClosingUndo } from "../undo.js";
import { reasonWords } from "/ui/lib/reasons.js";
import { specialityName } from "/ui/lib/speciality.js";

const OPEN = ["draft", "triaged", "waiting", "in_call", "rx_pending", "rx_ready"];

/** @param {{visitId: string}} props */
export function VisitPage({ visitId }) {
  const closing = useSignal(false);
  useEffect(() => {
    if (record.value?.visit.visit_id !== visitId) record.value = null;
    const load = () => void loadRecord(visitId).catch((error) => toast("bad", errorText(error)));
    load();
    const timer = setInterval(() => {
      if (document.visibilityState === "visible") void loadRecord(visitId).catch(() => {});
    }, 15_000);
    return () => clearInterval(timer);
  }, [visitId]);
  const now = record.value;
  if (!now || now.visit.visit_id !== visitId) return html`<p class="card" role="status">${t("loading")}</p>`;
  const { visit, patient } = now;
  const colour = colourOf(visit);
  const open = OPEN.includes(visit.state) || (visit.state === "no_show" && !visit.closed_ms);
  const done = visit.state === "rx_ready";
  // A stamp is its time in ms and 16 bits of a counter; what is lost of it in a double is less than a millisecond.
  const endedMs = visit.closed_ms || Math.floor((visit.stamps?.state ?? 0) / 65_536);
  const unasked = visit.triage.colour === "not_triaged" && ["draft", "triaged", "waiting"].includes(visit.state);
  const place = queue.value?.find((one) => one.visit.visit_id === visitId);
  return html`<div class="stack page" data-test="visit-page" data-state=${visit.state}>
    <div class="row between">
      <div class="grow"><h1 class="patient-name">${patient.person.name}</h1>
        <p class="soft">${[ageWords(patient), t(`gender-${patient.person.gender}`), patient.person.village, patient.local_id].filter(Boolean).join(" · ")}</p></div>
      ${open ? html`<${EmergencyButton} compact visitId=${visitId} patientId=${patient.patient_id} />` : null}
    </div>
    <section class=${`card token-card ${colour} ${visit.prescriptions.length > 0 || !open ? "small-token" : ""}`} aria-label=${t("token")}>
      <div><span class="soft">${t("token")}</span><div class="token-number num" data-test="token-number">${visit.token || "—"}</div></div>
      <div class="stack tight"><${ColourBadge} colour=${colour} />
        <strong data-test="visit-state" data-state=${visit.state}>${t(`state-${visit.state.replace("_", "-")}`)}</strong>
        ${visit.state === "waiting" && place ? html`<span>${place.place > 1 ? t("before-you", { n: place.place - 1 }) : t("first-in-queue")}</span>` : null}
        ${visit.doctor_name ? html`<span class="soft">${t("doctor-named", { name: visit.doctor_name })}</span>`
          : visit.speciality ? html`<span class="soft" data-test="speciality">${t("speciality-wanted", { name: specialityName(visit.speciality) })}</span>` : null}
        ${!visit.doctor_name && visit.state === "waiting" && visit.expected ? html`<${Expected} told=${visit.expected} />` : null}
        ${visit.token ? html`<div class="print-hide"><${PrintHere} path=${`/api/visits/${visitId}/token/print`} kind="token" visitId=${visitId} subject=${visit.token} text=${t("token-print-here")} /></div>` : null}
        ${printer.value?.fitted ? null : html`<button type="button" class="quiet print-hide" data-test="token-print" onClick=${() => window.print()}>${t("token-print")}</button>`}</div>
    </section>
    <${Turn} visit=${visit} />
    ${colour === "red" && open ? html`<section class="card red-card stack tight"><strong>${t("colour-meaning-red")}</strong>
      ${visit.triage.reasons.length > 0 ? html`<p>${visit.triage.reasons.map(reasonWords).join(" · ")}</p>` : null}<${EmergencyFacts} /></section>` : null}
    ${colour === "red" || (visit.referrals ?? []).length > 0 ? html`<${SendOn} visit=${visit} name=${patient.person.name} open=${open} />` : null}
    ${visit.state === "waiting" ? html`<p class="notice" data-test="waiting-line">${status.value?.training ? t("training-hint") : arrived(now.sync.filter((one) => one.item !== "sms" && one.item !== "attachment")) ? t("waiting-arrived") : status.value?.link.online ? t("waiting-doctor") : t("waiting-offline")}</p>` : null}
    ${(!visit.token || unasked) && open ? html`<div class="row"><button type="button" class="primary big" data-test="continue-form" onClick=${() => go(`/visit/${visitId}/step/${unasked && visit.consents.length > 0 ? "complaint" : "consent"}`)}>${t(visit.token ? "assess-now" : "continue-form")}</button></div>` : null}
    ${visit.prescriptions.map((one) => html`<${Prescription} key=${one.prescription_id} visit=${visit} patient=${patient} state=${one} />`)}
    <${Answers} visit=${visit} />
    ${visit.notes.length > 0 ? html`<section class="card"><h2>${t("doctor-notes")}</h2>${visit.notes.map((note, index) => html`<p key=${index} class="prewrap">${note}</p>`)}</section>` : null}
    <${MediaCard} visitId=${visitId} media=${visit.media} sync=${now.sync} open=${open} />
    ${status.value?.training ? null : html`<${SyncCard} sync=${now.sync} line=${now.line} />`}
    <${SmsCard} visitId=${visitId} open=${open} />
    ${open ? html`<${InPersonCard} visit=${visit} />` : null}
    ${open && colour !== "red" && (visit.referrals ?? []).length === 0 ? html`<${SendOn} visit=${visit} name=${patient.person.name} open />` : null}
    <${RecordFacts} visit=${visit} patient=${patient} nameOf=${staffName} />
    ${open && !done ? html`<div class="print-hide row"><${CloseButton} onClose=${() => (closing.value = true)} />
      ${visit.state !== "in_call" && visit.prescriptions.length === 0 ? html`<${CancelButton} visit=${visit} name=${patient.person.name} />` : null}</div>` : null}
    <div class="foot row print-hide">
      <button type="button" class=${open && !done ? "grow" : ""} data-test="visit-home" onClick=${() => go("/")}>${t("to-queue")}</button>
      ${open ? html`<button type="button" data-test="edit-form" onClick=${() => go(`/visit/${visitId}/step/complaint`)}>${t("edit-form")}</button>
        ${done ? html`<${CloseButton} main onClose=${() => (closing.value = true)} />` : null}`
      : html`<span class="notice good" data-test="visit-closed">${t("visit-closed", { time: `${day(endedMs)} ${clockTime(endedMs)}` })}</span>
        <${ClosingBack} visitId=${visitId} endedMs=${endedMs} />`}
    </div>
    ${closing.value ? html`<${CloseDialog} visit=${visit} name=${patient.person.name} onClose=${() => (closing.value = false)} />` : null}
  </div>`;
}

/** The main button once the prescription is here; before that a quiet one at the end. @param {{main?: boolean, onClose: () => void}} props */
const CloseButton = ({ main, onClose }) => html`<button type="button" class=${main ? "primary grow" : "quiet"} data-test="close-visit" onClick=${onClose}>${t("close-visit")}</button>`;

/** Opened by mistake, also long after the ten seconds of “undo”. @param {{visit: import("/ui/api").Visit, name: string}} props */
function CancelButton({ visit, name }) {
  const asking = useSignal(false);
  const wrong = useSignal("");
  const cancel = async () => {
    const outcome = await submit({ type: "move_visit", visit_id: visit.visit_id, state: "cancelled", reason: "opened by mistake" });
    if (!outcome.ok && "error" in outcome) {
      wrong.value = errorText(outcome.error);
      return;
    }
    void dropDraft(`visit-${visit.visit_id}`);
    if (outcome.ok) offerClosingUndo(visit.visit_id, name);
    toast("good", t("visit-cancelled"));
    go("/");
  };
  return html`<button type="button" class="quiet" data-test="cancel-visit" onClick=${() => (asking.value = true)}>${t("cancel-visit")}</button>
    ${asking.value ? html`<${Dialog} title=${t("cancel-visit")} test="cancel-dialog" onClose=${() => (asking.value = false)}>
      <p>${t("cancel-visit-ask", { name })}</p>
      ${wrong.value ? html`<p class="notice bad" role="alert">${wrong.value}</p>` : null}
      <div class="row"><button type="button" class="grow" onClick=${() => (asking.value = false)}>${t("back")}</button>
        <button type="button" class="danger" data-test="cancel-confirm" onClick=${() => void cancel()}>${t("cancel-visit-yes")}</button></div>
    <//>` : null}`;
}

/** @param {{visit: import("/ui/api").Visit, name: string, onClose: () => void}} props */
function CloseDialog({ visit, name, onClose }) {
  const outcome = useSignal("");
  const explained = useSignal(false);
  const busy = useSignal(false);
  const wrong = useSignal("");
  const close = async () => {
    busy.value = true;
    const result = await submit({ type: "close_visit", visit_id: visit.visit_id, outcome: outcome.value, explained: explained.value });
    busy.value = false;
    if (!result.ok && "error" in result) {
      wrong.value = errorText(result.error);
      return;
    }
    void dropDraft(`visit-${visit.visit_id}`);
    onClose();
    if (result.ok) offerClosingUndo(visit.visit_id, name);
    toast("good", t("visit-closed-toast"));
    await loadRecord(visit.visit_id).catch(() => {});
  };
  const unprinted = visit.prescriptions.some((one) => !one.printed_ms);
  return html`<${Dialog} title=${t("close-visit")} test="close-dialog" onClose=${onClose}>
    ${unprinted ? html`<p class="notice warn">${t("close-unprinted")}</p>` : null}
    <${Choice} name="close-outcome" legend=${t("close-outcome")} value=${outcome.value} onValue=${(/** @type {string} */ value) => (outcome.value = value)}
      options=${["completed", "referred", "no_show", "cancelled"].map((value) => ({ value, label: t(`outcome-${value.replace("_", "-")}`) }))} />
    <label class="check"><input type="checkbox" data-test="close-explained" checked=${explained.value}
      onChange=${(/** @type {any} */ event) => (explained.value = event.currentTarget.checked)} />${t("close-explained")}</label>
    ${wrong.value ? html`<p class="notice bad" role="alert" data-test="close-wrong">${wrong.value}</p>` : null}
    <div class="row"><button type="button" onClick=${onClose}>${t("back")}</button>
      <button type="button" class="primary grow" data-test="close-confirm" disabled=${!outcome.value || busy.value} aria-busy=${busy.value ? "true" : "false"}
        onClick=${() => void close()}>${t("close-visit")}</button></div>
  <//>`;
}
