// @ts-check
// The red button. It is on every screen of a visit and never asks for a form first.
import { digitsIn } from "/ui/lib/digits.js";
import { html, signal, useEffect } from "/ui/lib/dom.js";
import { newId } from "/ui/lib/ids.js";
import { language, t } from "/ui/lib/l10n.js";
import { Choice, Dialog, Icon, TextField, toast } from "/ui/lib/parts.js";
import { errorText, submit } from "../commands.js";
import { aidPaths, loadAid, playAid, playing, stopPrompt } from "../prompts.js";
import { go } from "../store.js";

/** First aid in few words, and the number to ring. Shown even while the node is locked. */
export function EmergencyFacts() {
  useEffect(() => {
    void loadAid().catch(() => {});
    return stopPrompt;
  }, []);
  const heard = playing.value === "aid";
  return html`<p class="call-108"><a class="button danger-link" href="tel:108">${t("emergency-108")}</a></p>
    <ul class="first-aid">
      ${["emergency-aid-1", "emergency-aid-2", "emergency-aid-3", "emergency-aid-4"].map((id) => html`<li key=${id}>${t(id)}</li>`)}
    </ul>
    ${aidPaths(language.value).length > 0 ? html`<p class="print-hide"><button type="button" data-test="aid-read" aria-pressed=${heard ? "true" : "false"}
      onClick=${() => void playAid(language.value)}><${Icon} name="speaker" /> ${t(heard ? "stop-reading" : "read-aloud")}</button></p>` : null}`;
}

const open = signal(false);
const name = signal("");
const gender = signal("");
const age = signal("");
const unit = signal("years");
const busy = signal(false);
const wrong = signal("");
/** The node does not answer: what was said goes out later, and the number to ring stays on the screen. */
const unheard = signal(false);

/**
 * @param {{visitId?: string, patientId?: string, person?: {name?: string, gender?: string, age?: string, unit?: string}, compact?: boolean}} props
 */
export function EmergencyButton({ visitId, patientId, person, compact }) {
  return html`<button type="button" class=${compact ? "danger" : "danger big"} data-test="emergency" onClick=${() => {
      name.value = person?.name ?? "";
      gender.value = person?.gender ?? "";
      age.value = person?.age ?? "";
      unit.value = person?.unit ?? "years";
      wrong.value = "";
      unheard.value = false;
      open.value = true;
    }}>${t("emergency")}</button>
    ${open.value ? html`<${EmergencyDialog} visitId=${visitId} patientId=${patientId} />` : null}`;
}

/** Of a visit, of a patient who is known, or of somebody nobody knows. @param {{visitId?: string, patientId?: string}} props */
function EmergencyDialog({ visitId, patientId }) {
  const raise = async () => {
    busy.value = true;
    wrong.value = "";
    let id = visitId ?? (await openVisit(patientId));
    if (id) {
      let raised = await red(id);
      // Somebody closed that visit meanwhile: an emergency begins another one.
      if (!raised.ok && "error" in raised && raised.error.code === "visit_closed" && patientId) {
        id = await openVisit(patientId);
        if (id) raised = await red(id);
      }
      // What the node has not heard waits in its order: the token behind the colour.
      const queued = !raised.ok && "error" in raised ? raised : await submit({ type: "issue_token", visit_id: id });
      if (!raised.ok && "error" in raised) wrong.value = errorText(raised.error);
      else if (!raised.ok) unheard.value = true;
      else {
        if (!queued.ok && "error" in queued && queued.error.code !== "token_exists") toast("warn", errorText(queued.error));
        open.value = false;
        go(`/visit/${id}`);
      }
    }
    busy.value = false;
  };
  const ready = visitId || patientId || (gender.value && age.value !== "");
  return html`<${Dialog} title=${t("emergency")} test="emergency-dialog" onClose=${() => (open.value = false)}>
    <${EmergencyFacts} />
    ${visitId || patientId || unheard.value ? null : html`<${WhoForm} />`}
    ${unheard.value ? html`<p class="notice bad" role="alert" data-test="emergency-unheard">${t("emergency-unheard")}</p>` : null}
    ${wrong.value ? html`<p class="notice bad" role="alert">${wrong.value}</p>` : null}
    <div class="row">
      <button type="button" data-test="emergency-cancel" onClick=${() => (open.value = false)}>${t("back")}</button>
      ${unheard.value ? null : html`<button type="button" class="danger grow big" data-test="emergency-go" disabled=${!ready || busy.value}
        aria-busy=${busy.value ? "true" : "false"} onClick=${() => void raise()}>${t("emergency-go")}</button>`}
    </div>
  <//>`;
}

function WhoForm() {
  return html`<p>${t("emergency-who")}</p>
    <${TextField} id="em-name" test="emergency-name" label=${t("name-if-known")} value=${name.value} maxlength=${80}
      onValue=${(/** @type {string} */ text) => (name.value = text)} />
    <${Choice} name="emergency-gender" legend=${t("gender")} value=${gender.value} onValue=${(/** @type {string} */ value) => (gender.value = value)}
      options=${["female", "male", "other"].map((value) => ({ value, label: t(`gender-${value}`) }))} />
    <${TextField} id="em-age" test="emergency-age" label=${t("age-about")} value=${age.value} inputmode="numeric" maxlength=${3}
      onValue=${(/** @type {string} */ text) => (age.value = digitsIn(text))} />
    <${Choice} name="emergency-unit" legend=${t("age-unit")} quiet value=${unit.value} onValue=${(/** @type {string} */ value) => (unit.value = value)}
      options=${["years", "months", "days"].map((value) => ({ value, label: t(`unit-${value}`) }))} />`;
}

/** @param {string} visit_id */
const red = (visit_id) => submit({ type: "raise_triage", visit_id, colour: "red", reason: "emergency button" });

/** Open a visit; of somebody nobody knows after what is known was registered. @param {string} [known] patient id @returns {Promise<string|null>} the visit's id */
async function openVisit(known) {
  const patientId = known ?? newId();
  const visitId = newId();
  const person = {
    name: /\p{L}/u.test(name.value) ? name.value.trim() : t("emergency-unknown-name"), gender: gender.value, village: "",
    age: { value: Number(age.value), unit: /** @type {"years"} */ (unit.value) }, birth_date: "", relative_name: "", mobile: "",
    mobile_owner: "", abha_number: "", abha_address: "", language: "hi",
  };
  for (const body of [
    ...(known ? [] : [{ type: "register_patient", patient_id: patientId, person }]),
    { type: "open_visit", visit_id: visitId, patient_id: patientId, category: "emergency" },
  ]) {
    const outcome = await submit(body);
    if (!outcome.ok && "error" in outcome) {
      wrong.value = errorText(outcome.error);
      return null;
    }
  }
  return visitId;
}
