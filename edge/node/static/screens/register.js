// @ts-check
// A new patient: only what is needed (forms.md §1), with a look for people who are known already.
import { picture } from "/ui/lib/answer.js";
import { html, useEffect, useSignal } from "/ui/lib/dom.js";
import { get, post } from "/ui/lib/http.js";
import { newId } from "/ui/lib/ids.js";
import { t } from "/ui/lib/l10n.js";
import { Dialog, toast } from "/ui/lib/parts.js";
import { errorText, submit } from "../commands.js";
import { dropDraft, keepDraft, openDraft, saveDraft, watchDraft } from "../drafts.js";
import { go, route } from "../store.js";
import { discardForm } from "../undo.js";
import { beginUnheard } from "./home.js";
import { EmergencyButton } from "./emergency.js";
import { OtherTablet } from "./othertablet.js";
import { EMPTY, faults, personOf, sharedOf } from "/ui/lib/person.js";
import { PersonFields, showFirst } from "./personform.js";
import { PersonLine, onNumber } from "./people.js";

/** @typedef {import("/ui/api").Patient} Patient */
/** What the node said to a registration that it refused, by patient. @type {Map<string, string>} */
const refused = new Map();
/** Fields that are not called by their own word. @type {Record<string, string>} */
const WORDS = { unit: "age-unit", birth_date: "birth-date", relative: "relative-name", owner: "mobile-owner", abha_again: "abha-again" };
const fieldWord = (/** @type {string} */ field) => t(WORDS[field] ?? field);

/** `#/register/<id>`, or `#/register/<id>/with/<patient>` for somebody of the same house. */
export function Register() {
  const [, id = "", , housemate = ""] = route.value;
  const key = `register-${id}`;
  const form = useSignal({ ...EMPTY });
  const shown = useSignal(false);
  const busy = useSignal(false);
  const wrong = useSignal(refused.get(id) ?? "");
  const same = useSignal(/** @type {Patient[]} */ ([]));
  const family = useSignal(/** @type {Patient[]} */ ([]));
  useEffect(() => {
    if (!id) {
      go(`/register/${newId()}`);
      return;
    }
    void openDraft(key).then(async (kept) => {
      if (kept) form.value = { ...EMPTY, ...kept };
      else if (housemate) form.value = { ...form.value, ...sharedOf((await get(`/api/patients/${housemate}`)).patient.person) };
    }).catch((error) => toast("bad", errorText(error)));
  }, [id]);
  useEffect(() => watchDraft(key, (body) => (form.value = { ...EMPTY, ...body })), [key]);
  useEffect(() => {
    let stale = false;
    family.value = [];
    if (form.value.mobile.length === 10) void onNumber(form.value.mobile).then((found) => {
      if (stale) return;
      family.value = found;
      if (found[0] && !form.value.village) form.value = { ...form.value, ...sharedOf(found[0].person) };
    }).catch(() => {});
    return () => {
      stale = true;
    };
  }, [form.value.mobile]);
  const change = (/** @type {Record<string, any>} */ part) => {
    form.value = { ...form.value, ...part };
    keepDraft(key, form.value);
  };
  const set = (/** @type {string} */ field) => (/** @type {string} */ value) => change({ [field]: value });
  const now = form.value;
  const bad = shown.value ? faults(now) : {};

  const save = async () => {
    busy.value = true;
    wrong.value = "";
    refused.delete(id);
    same.value = [];
    const person = personOf(now);
    // The nurse goes on at once; the draft stays until the node has both, and a refusal brings her back to it.
    const registered = submit({ type: "register_patient", patient_id: id, person });
    const opened = beginUnheard({ patient_id: id, local_id: "", person, registered_ms: Date.now(), amended: 0 });
    const outcome = await registered;
    busy.value = false;
    if (!outcome.ok && "error" in outcome && outcome.error.code !== "already_registered") {
      await opened;
      refused.set(id, errorText(outcome.error));
      go(`/register/${id}`);
      return;
    }
    if (await opened) void dropDraft(key);
  };

  const next = async (/** @type {Event} */ event) => {
    event.preventDefault();
    const found = faults(form.value);
    shown.value = Object.keys(found).length > 0; // nothing to mark: the form is not built anew for that
    if (busy.peek() || showFirst(found)) return;
    busy.value = true;
    await picture();
    void saveDraft(key);
    const candidates = await alike(personOf(form.value));
    busy.value = false;
    if (candidates.length > 0) same.value = candidates;
    else await save();
  };
  const use = (/** @type {Patient} */ patient) => {
    void dropDraft(key);
    go(`/patient/${patient.patient_id}`);
  };

  return html`<form class="stack page" data-test="register-form" onSubmit=${next} novalidate>
    <div class="row between"><h1>${t("new-patient")}</h1>
      <${EmergencyButton} compact person=${{ name: now.name, gender: now.gender, age: now.age, unit: now.unit }} /></div>
    <${OtherTablet} form=${key} word=${fieldWord} change=${change} />
    <${PersonFields} form=${now} set=${set} bad=${bad} focus>
      ${family.value.length > 0 ? html`<div class="span-2 stack tight" role="group" aria-label=${t("on-this-number")} data-test="family">
        <span class="soft">${t("on-this-number")}</span>
        <div class="choices">${family.value.map((one) => html`<button type="button" key=${one.patient_id} class="choice" data-test="family-member"
          onClick=${() => use(one)}>${one.person.name}</button>`)}</div></div>` : null}
    <//>
    ${wrong.value ? html`<p class="notice bad" role="alert" data-test="register-wrong">${wrong.value}</p>` : null}
    ${Object.keys(bad).length > 0 ? html`<p class="notice bad" role="alert">${t("fix-marked")}</p>` : null}
    <div class="foot row">
      <button type="button" data-test="reg-cancel" onClick=${() => {
        void discardForm(key, form.value, () => go(`/register/${id}`));
        go("/");
      }}>${t("cancel")}</button>
      <${SaveButton} busy=${busy} />
    </div>
    ${same.value.length > 0 ? html`<${Dialog} title=${t("duplicate-title")} test="duplicate-dialog" onClose=${() => (same.value = [])}>
      <ul class="stack tight">${same.value.map((patient) => html`<li key=${patient.patient_id} class="card patient">
        <div class="grow"><strong>${patient.person.name}</strong><${PersonLine} patient=${patient} /></div>
        <button type="button" class="primary" data-test="duplicate-use" onClick=${() => use(patient)}>${t("duplicate-use")}</button></li>`)}</ul>
      <button type="button" data-test="duplicate-new" onClick=${() => void save()}>${t("duplicate-new")}</button>
    <//>` : null}
  </form>`;
}

/** Alone in knowing that something is under way: the form around it is not built anew for that. @param {{busy: import("/ui/vendor/signals.js").Signal<boolean>}} props */
const SaveButton = ({ busy }) => html`<button class="primary big grow" data-test="reg-submit" disabled=${busy.value} aria-busy=${busy.value ? "true" : "false"}>${t("save-next")}</button>`;

/** Who may be this person already. @param {import("/ui/api").Person} person @returns {Promise<Patient[]>} */
async function alike(person) {
  try {
    return (await post("/api/patients/alike", person)).items.slice(0, 5);
  } catch (error) {
    toast("warn", errorText(error));
    return [];
  }
}
