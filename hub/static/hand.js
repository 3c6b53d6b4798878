// @ts-check
// Handing one's own patient on: to a doctor who is ready, to a speciality, or back to the queue.
import { html, useEffect, useSignal } from "/ui/lib/dom.js";
import { get, post } from "/ui/lib/http.js";
import { t } from "/ui/lib/l10n.js";
import { Dialog, toast } from "/ui/lib/parts.js";
import { specialityName } from "/ui/lib/speciality.js";
import { active } from "./call.js";
import { doctor, errorText, loadQueue, loadRecord } from "./store.js";

/** @typedef {{doctor_id: string, name: string, specialities: string[], languages: string[], ready: boolean}} Colleague */

const GENERAL = "general";

/** @param {{visitId: string}} props */
export function HandOver({ visitId }) {
  const open = useSignal(false);
  return html`<button type="button" data-test="hand-over" aria-keyshortcuts="Alt+G" onClick=${() => (open.value = true)}>${t("hand-over")}</button>
    ${open.value ? html`<${HandDialog} visitId=${visitId} onClose=${() => (open.value = false)} />` : null}`;
}

/** @param {{visitId: string, onClose: () => void}} props */
function HandDialog({ visitId, onClose }) {
  const people = useSignal(/** @type {Colleague[]|null} */ (null));
  const to = useSignal("");
  const busy = useSignal(false);
  const wrong = useSignal("");
  useEffect(() => {
    get("/api/colleagues").then((reply) => (people.value = reply.items)).catch((error) => (wrong.value = errorText(error)));
  }, []);
  const others = (people.value ?? []).filter((one) => one.doctor_id !== doctor.value?.doctor_id);
  const names = [...new Set(others.flatMap((one) => one.specialities))].filter((name) => name !== GENERAL).sort();
  const ready = (/** @type {string} */ name) => others.filter((one) => one.ready && one.specialities.includes(name)).length;
  const [kind, name] = to.value.split(":");
  const go = async (/** @type {Event} */ event) => {
    event.preventDefault();
    if (!to.value || busy.value) return;
    busy.value = true;
    wrong.value = "";
    try {
      await post(`/api/visits/${visitId}/hand-over`, kind === "doctor" ? { doctor_id: name } : { speciality: name });
      toast("good", t("hand-given"));
      onClose();
      await Promise.all([loadRecord(visitId), loadQueue()]);
      document.getElementById("record-title")?.focus();
    } catch (error) {
      wrong.value = errorText(error);
    } finally {
      busy.value = false;
    }
  };
  return html`<${Dialog} title=${t("hand-title")} test="hand-dialog" onClose=${onClose}>
    <form class="stack" onSubmit=${go}>
      ${people.value === null && !wrong.value ? html`<p role="status">${t("loading")}</p>` : html`<div class="field"><label for="hand-to">${t("hand-to")}</label>
        <select id="hand-to" data-test="hand-to" value=${to.value} onChange=${(/** @type {any} */ event) => (to.value = event.currentTarget.value)}>
          <option value="">${t("choose")}</option>
          <option value=${`speciality:${GENERAL}`}>${t("hand-queue")}</option>
          ${names.length > 0 ? html`<optgroup label=${t("hand-specialities")}>${names.map((one) => html`<option key=${one} value=${`speciality:${one}`}>
            ${ready(one) > 0 ? t("hand-speciality-ready", { name: specialityName(one), n: ready(one) }) : t("hand-speciality-none", { name: specialityName(one) })}</option>`)}</optgroup>` : null}
          <optgroup label=${t("hand-doctors")}>${others.filter((one) => one.ready).map((one) => html`<option key=${one.doctor_id} value=${`doctor:${one.doctor_id}`}>
            ${one.name} · ${one.specialities.map(specialityName).join(", ")}</option>`)}</optgroup></select></div>`}
      ${kind === "speciality" && name !== GENERAL && ready(name) === 0 ? html`<p class="notice warn" role="status" data-test="hand-waits">${t("hand-waits")}</p>` : null}
      <p class="small soft">${t("hand-explain")} ${active.value?.visitId === visitId ? html`<strong>${t("hand-call")}</strong>` : null}</p>
      ${wrong.value ? html`<p class="notice bad" role="alert" data-test="hand-wrong">${wrong.value}</p>` : null}
      <div class="row tight"><button class="primary grow" data-test="hand-go" disabled=${!to.value || busy.value}>${t("hand-over")}</button>
        <button type="button" data-test="hand-close" onClick=${onClose}>${t("cancel")}</button></div></form><//>`;
}
