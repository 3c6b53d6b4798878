// @ts-check
// A new patient: only what is needed (forms.md §1), with a look for people who are known already.
import { html, useEffect, useSignal } from "/ui/lib/dom.js";
import { get } from "/ui/lib/http.js";
import { newId } from "/ui/lib/ids.js";
import { isoDay, t } from "/ui/lib/l10n.js";
import { Choice, Dialog, TextField, toast } from "/ui/lib/parts.js";
import { ageWords } from "/ui/lib/ages.js";
import { errorText, submit } from "../commands.js";
import { dropDraft, keepDraft, openDraft, saveDraft } from "../drafts.js";
import { go, route } from "../store.js";
import { beginUnheard, beginVisit } from "./home.js";
import { EmergencyButton } from "./emergency.js";

const EMPTY = { name: "", gender: "", age: "", unit: "years", birth_date: "", relative: "", mobile: "", owner: "", village: "" };
/** Villages that were typed here in this session, offered again. @type {Set<string>} */
const villages = new Set();
/** What the node said to a registration that it refused, by patient. @type {Map<string, string>} */
const refused = new Map();

/** What is wrong with the form, by field; empty when nothing is. @param {typeof EMPTY} form */
function faults(form) {
  /** @type {Record<string, string>} */
  const found = {};
  if (!/\p{L}/u.test(form.name)) found.name = t("wrong-name");
  else if (/[<>\d]/.test(form.name)) found.name = t("wrong-name-letters");
  if (!form.gender) found.gender = t("wrong-gender");
  if (form.birth_date) {
    if (form.birth_date > isoDay() || form.birth_date < `${Number(isoDay().slice(0, 4)) - 120}`) found.birth_date = t("wrong-birth-date");
  } else if (form.age === "") found.age = t("wrong-age");
  else if (form.unit === "years" && Number(form.age) > 120) found.age = t("wrong-age-high");
  if (form.mobile && !/^([6-9]\d{9}|5550\d{6})$/.test(form.mobile)) found.mobile = t("wrong-mobile");
  if (!form.village.trim()) found.village = t("wrong-village");
  return found;
}

export function Register() {
  const id = route.value[1] ?? "";
  const key = `register-${id}`;
  const form = useSignal({ ...EMPTY });
  const shown = useSignal(false);
  const busy = useSignal(false);
  const wrong = useSignal(refused.get(id) ?? "");
  const same = useSignal(/** @type {import("/ui/api").Patient[]} */ ([]));
  useEffect(() => {
    if (!id) {
      go(`/register/${newId()}`);
      return;
    }
    void openDraft(key).then((kept) => {
      if (kept) form.value = { ...EMPTY, ...kept };
    });
  }, [id]);
  const set = (/** @type {string} */ field) => (/** @type {string} */ value) => {
    form.value = { ...form.value, [field]: value };
    keepDraft(key, form.value);
  };
  const now = form.value;
  const bad = shown.value ? faults(now) : {};

  const save = async () => {
    busy.value = true;
    wrong.value = "";
    refused.delete(id);
    same.value = [];
    const person = {
      name: now.name.trim(), gender: now.gender, village: now.village.trim(),
      age: now.birth_date ? null : { value: Number(now.age), unit: /** @type {"years"} */ (now.unit) },
      birth_date: now.birth_date, relative_name: now.relative.trim(), mobile: now.mobile, mobile_owner: now.owner.trim(),
      abha_number: "", abha_address: "", language: "hi",
    };
    villages.add(now.village.trim());
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
    shown.value = true;
    const found = faults(form.value);
    const first = Object.keys(found)[0];
    if (first) {
      document.querySelector(`[data-field="${first}"] input, [data-field="${first}"] button`)?.scrollIntoView({ block: "center" });
      return;
    }
    busy.value = true;
    void saveDraft(key);
    const candidates = await alike(now);
    busy.value = false;
    if (candidates.length > 0) same.value = candidates;
    else await save();
  };

  return html`<form class="stack page" data-test="register-form" onSubmit=${next} novalidate>
    <div class="row between"><h1>${t("new-patient")}</h1>
      <${EmergencyButton} compact person=${{ name: now.name, gender: now.gender, age: now.age, unit: now.unit }} /></div>
    <div class="card form-grid">
      <div data-field="name" class="span-2"><${TextField} id="reg-name" test="reg-name" label=${t("name")} required value=${now.name} wrong=${bad.name}
        maxlength=${80} onValue=${set("name")} focus /></div>
      <div data-field="gender" class="span-2"><${Choice} name="reg-gender" legend=${t("gender")} value=${now.gender} onValue=${set("gender")} wrong=${bad.gender}
        options=${["female", "male", "other"].map((value) => ({ value, label: t(`gender-${value}`) }))} /></div>
      <div data-field="age"><${TextField} id="reg-age" test="reg-age" label=${t("age")} inputmode="numeric" value=${now.age} wrong=${bad.age}
        maxlength=${3} onValue=${(/** @type {string} */ text) => set("age")(text.replace(/\D/g, ""))} hint=${t("age-hint")} /></div>
      <div><${Choice} name="reg-age-unit" legend=${t("age-unit")} value=${now.unit} onValue=${set("unit")}
        options=${["years", "months", "days"].map((value) => ({ value, label: t(`unit-${value}`) }))} /></div>
      <div data-field="village" class="span-2"><${TextField} id="reg-village" test="reg-village" label=${t("village")} required value=${now.village} wrong=${bad.village}
        maxlength=${200} list="villages" onValue=${set("village")} />
        <datalist id="villages">${[...villages].map((name) => html`<option key=${name} value=${name}></option>`)}</datalist></div>
      <div><${TextField} id="reg-relative" test="reg-relative" label=${t("relative-name")} value=${now.relative} maxlength=${200} onValue=${set("relative")} /></div>
      <div data-field="mobile"><${TextField} id="reg-mobile" test="reg-mobile" label=${t("mobile")} type="tel" inputmode="numeric" maxlength=${10}
        value=${now.mobile} wrong=${bad.mobile} onValue=${(/** @type {string} */ text) => set("mobile")(text.replace(/\D/g, ""))} hint=${t("mobile-hint")} /></div>
      <div><${TextField} id="reg-owner" test="reg-owner" label=${t("mobile-owner")} value=${now.owner} maxlength=${80} onValue=${set("owner")} /></div>
      <div data-field="birth_date"><${TextField} id="reg-birth" test="reg-birth-date" label=${t("birth-date")} type="date" value=${now.birth_date}
        wrong=${bad.birth_date} onValue=${set("birth_date")} hint=${t("birth-date-hint")} /></div>
    </div>
    ${wrong.value ? html`<p class="notice bad" role="alert" data-test="register-wrong">${wrong.value}</p>` : null}
    ${Object.keys(bad).length > 0 ? html`<p class="notice bad" role="alert">${t("fix-marked")}</p>` : null}
    <div class="foot row">
      <button type="button" data-test="reg-cancel" onClick=${() => {
        void dropDraft(key);
        go("/");
      }}>${t("cancel")}</button>
      <button class="primary big grow" data-test="reg-submit" disabled=${busy.value} aria-busy=${busy.value ? "true" : "false"}>${t("save-next")}</button>
    </div>
    ${same.value.length > 0 ? html`<${Dialog} title=${t("duplicate-title")} test="duplicate-dialog" onClose=${() => (same.value = [])}>
      <ul class="stack tight">${same.value.map((patient) => html`<li key=${patient.patient_id} class="card patient">
        <div class="grow"><strong>${patient.person.name}</strong><div class="soft">
          ${[ageWords(patient), t(`gender-${patient.person.gender}`), patient.person.village, patient.person.relative_name].filter(Boolean).join(" · ")}</div></div>
        <button type="button" class="primary" data-test="duplicate-use" onClick=${() => {
          void dropDraft(key);
          void beginVisit(patient.patient_id);
        }}>${t("duplicate-use")}</button></li>`)}</ul>
      <button type="button" data-test="duplicate-new" onClick=${() => void save()}>${t("duplicate-new")}</button>
    <//>` : null}
  </form>`;
}

/** People who may be the same: same mobile, or the same name, sex and village. @param {typeof EMPTY} form */
async function alike(form) {
  /** @type {Map<string, import("/ui/api").Patient>} */
  const all = new Map();
  const questions = [form.name.trim(), form.mobile].filter(Boolean);
  try {
    const replies = await Promise.all(questions.map((one) => get(`/api/patients?q=${encodeURIComponent(one)}&limit=10`)));
    for (const reply of replies) for (const patient of reply.items) all.set(patient.patient_id, patient);
  } catch (error) {
    toast("warn", errorText(error));
    return [];
  }
  const fold = (/** @type {string} */ text) => text.trim().toLowerCase();
  return [...all.values()].filter(({ person }) =>
    fold(person.name) === fold(form.name) && person.gender === form.gender && fold(person.village) === fold(form.village)).slice(0, 5);
}

