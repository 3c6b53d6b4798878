// @ts-check
// The prescription as the doctor writes it. Nothing is filled in by the page; what the rules deny is
// said beside the line, and asked anew after every change.
import { html, signal, useEffect, useSignal } from "/ui/lib/dom.js";
import { ApiError, get, post, put } from "/ui/lib/http.js";
import { newId } from "/ui/lib/ids.js";
import { isoDay, pick, t } from "/ui/lib/l10n.js";
import { Dialog, Icon, toast } from "/ui/lib/parts.js";
import { doseLine, frequencies } from "/ui/lib/dose.js";
import { list } from "/ui/lib/reference.js";
import { active } from "./call.js";
import { ChildDose, InPerson, SavedLines } from "./rxmore.js";
import { canSign, errorText, loadQueue, loadRecord, record, refusalText } from "./store.js";

/** @typedef {{code: string, message: string, field: string}} Denial */
/** @typedef {{key: string, drug: any, dose: string, route: string, frequency: string, days: string, food: string, quantity: string, instructions: string}} Line */

const CHECK_MS = 500;
const RECHECK_MS = 6000;
const SAVE_MS = 1000;
const AGAIN_MS = 3000;
/** A code of the ICD, as the hub takes it. */
const ICD = /^[A-Z]\d\d(\.\d{1,2})?$/;
const blank = () => ({
  diagnosis: "", code: "", provisional: true, findings: "", lines: /** @type {Line[]} */ ([]), advice: "", tests: "",
  urgency: "", to: "", reason: "", follow_up: "", warn_told: false, allergy_ack: false, allergies_seen: /** @type {string[]} */ ([]), child_seen: /** @type {string[]} */ ([]), command_id: newId(),
  /** Medicines of what was begun that have left the formulary. */
  lost: /** @type {string[]} */ ([]),
});

/** What was begun for each visit; the hub gets a copy soon after every change. @type {Map<string, ReturnType<typeof blank>>} */
const drafts = new Map();
/** Visits whose last change the hub does not have yet. @type {Map<string, number>} */
const unsaved = new Map();
const saving = signal(/** @type {""|"saved"|"saving"|"unsaved"} */ (""));
/** Visits that are being signed, and visits that were signed although no answer came. */
const signing = new Set();
const signedBefore = signal(/** @type {string[]} */ ([]));
export function forgetDrafts() {
  signedBefore.value = [];
  for (const timer of unsaved.values()) clearTimeout(timer);
  unsaved.clear();
  drafts.clear();
}
window.addEventListener("beforeunload", (event) => {
  if (unsaved.size > 0) event.preventDefault();
});

/** Ask for the draft to be kept. @param {string} visitId @param {number} wait_ms */
function saveSoon(visitId, wait_ms) {
  clearTimeout(unsaved.get(visitId));
  unsaved.set(visitId, window.setTimeout(() => void save(visitId), wait_ms));
}

/** @param {string} visitId */
async function save(visitId) {
  const kept = drafts.get(visitId);
  if (!kept) {
    unsaved.delete(visitId);
    return;
  }
  try {
    const sheet = await put(`/api/visits/${visitId}/draft`, { draft: packed(kept), command_id: kept.command_id });
    if (drafts.get(visitId) !== kept) return;
    if (sheet && !sheet.draft) { // not kept: its command was signed already
      if (signing.has(visitId)) saveSoon(visitId, AGAIN_MS);
      else await beginSecond(visitId);
      return;
    }
    unsaved.delete(visitId);
    if (visitId === record.value?.visit.visit_id) saving.value = "saved";
  } catch (error) {
    if (drafts.get(visitId) !== kept) return;
    if (visitId === record.value?.visit.visit_id) saving.value = "unsaved";
    if (error instanceof ApiError && (error.code === "visit_closed" || error.code === "not_found")) unsaved.delete(visitId);
    else saveSoon(visitId, AGAIN_MS);
  }
}

/** It was signed, the answer was lost, and it was changed since: what stands here now would be a second prescription. @param {string} visitId */
async function beginSecond(visitId) {
  const kept = drafts.get(visitId);
  if (kept) {
    const second = { ...kept, command_id: newId() };
    drafts.set(visitId, second);
    if (record.value?.visit.visit_id === visitId) draft.value = second;
    saveSoon(visitId, 0);
  }
  signedBefore.value = [...signedBefore.value.filter((one) => one !== visitId), visitId];
  await Promise.all([loadRecord(visitId), loadQueue()]).catch(() => {});
}

/** The form that a kept draft came from; null when nothing was kept. @param {any} sheet @returns {ReturnType<typeof blank>|null} */
function unpacked(sheet) {
  const { draft: found, command_id } = sheet;
  if (!found) return null;
  const { lines, lost } = linesOf(found.medicines);
  return {
    diagnosis: found.diagnosis, code: found.diagnosis_code, provisional: found.provisional, findings: found.findings, lines,
    advice: found.advice, tests: found.tests.join("\n"), urgency: found.referral?.urgency ?? "", to: found.referral?.to ?? "",
    reason: found.referral?.reason ?? "", follow_up: found.follow_up_date, warn_told: found.warn_signs_told,
    allergy_ack: found.allergy_acknowledged, allergies_seen: found.allergies_seen, child_seen: found.child_doses_seen, command_id, lost,
  };
}

/** Take up what was begun: here, on another page, before a reload. @param {string} visitId */
async function restore(visitId) {
  if (drafts.has(visitId)) return;
  try {
    const found = unpacked(await get(`/api/visits/${visitId}/draft`));
    if (!found || drafts.has(visitId)) return;
    drafts.set(visitId, found);
    if (record.value?.visit.visit_id !== visitId) return;
    draft.value = found;
    saving.value = "saved";
    void check(visitId);
  } catch (error) {
    toast("warn", errorText(error));
  }
}

const draft = signal(blank());
/** The signed prescription that the next signature amends. @type {import("/ui/vendor/signals.js").Signal<{visit_id: string, prescription_id: string, reason: string}|null>} */
const amending = signal(null);

/** Lines of a draft from lines as they are kept, and the medicines among them that the formulary no longer has. @param {any[]} kept @returns {{lines: Line[], lost: string[]}} */
function linesOf(kept) {
  /** @type {string[]} */
  const lost = [];
  const lines = kept.flatMap((one) => {
    const drug = list("formulary").find((known) => known.id === one.drug_id);
    if (!drug) lost.push(one.drug_id);
    return drug ? [{ key: newId(), drug, dose: one.dose, route: one.route, frequency: one.frequency, food: one.food, quantity: one.quantity,
      instructions: one.instructions, days: one.duration_days ? String(one.duration_days) : "" }] : [];
  });
  return { lines, lost };
}

/** Open a signed prescription to be amended, as the doctor wrote it. @param {string} visitId @param {any} old */
export function startAmending(visitId, old) {
  amending.value = { visit_id: visitId, prescription_id: old.prescription_id, reason: "" };
  change(visitId, { ...blank(), diagnosis: old.diagnosis, code: old.diagnosis_code, provisional: old.provisional, ...linesOf(old.medicines), advice: old.advice,
    tests: old.tests.join("\n"), urgency: old.referral?.urgency ?? "", to: old.referral?.to ?? "", reason: old.referral?.reason ?? "", follow_up: old.follow_up_date });
  setTimeout(() => document.getElementById("amend-reason")?.focus(), 30);
}
const checked = signal(/** @type {{denials: Denial[], warnings: Denial[], mode: string, consult_type: string, dose_lines: [string, string][], child_doses: string[], asked: string[]}|null} */ (null));
const refused = signal(/** @type {Denial[]} */ ([]));
let checkTimer = 0;
/** Questions in the order in which they were put: a late reply is about an older sheet, or about another patient. */
let checks = 0;
let checkTaken = 0;

/** @param {{code: string}} now */
const codeOf = (now) => now.code.trim().toUpperCase();

/** A draft as the hub takes it. @param {ReturnType<typeof blank>} now */
function packed(now) {
  return {
    diagnosis: now.diagnosis.trim(),
    diagnosis_code: ICD.test(codeOf(now)) ? codeOf(now) : "",
    provisional: now.provisional,
    findings: now.findings.trim(),
    medicines: now.lines.map((line) => ({
      drug_id: line.drug.id, dose: line.dose.trim(), route: line.route, frequency: line.frequency, duration_days: Number(line.days.replace(/\D/g, "")) || 0,
      food: line.food, quantity: line.quantity.trim(), instructions: line.instructions.trim() })),
    advice: now.advice.trim(),
    tests: now.tests.split("\n").map((one) => one.trim()).filter(Boolean),
    referral: now.urgency ? { to: now.to.trim(), urgency: now.urgency, reason: now.reason.trim() } : null,
    follow_up_date: now.follow_up,
    warn_signs_told: now.warn_told,
    allergy_acknowledged: now.allergy_ack,
    allergies_seen: now.allergies_seen,
    child_doses_seen: now.child_seen,
  };
}

const allergies = () => record.value?.visit.allergies?.items ?? [];

/** @param {string} visitId @param {Partial<ReturnType<typeof blank>>} part */
function change(visitId, part) {
  // an allergy is acknowledged for the medicines that stand there: with another one it is looked at again
  if (part.lines?.some((line) => !draft.value.lines.some((one) => one.drug.id === line.drug.id))) part = { allergy_ack: false, allergies_seen: [], ...part };
  draft.value = { ...draft.value, ...part };
  drafts.set(visitId, draft.value);
  saving.value = "saving";
  saveSoon(visitId, SAVE_MS);
  refused.value = [];
  clearTimeout(checkTimer);
  checkTimer = window.setTimeout(() => void check(visitId), CHECK_MS);
}

/** @param {string} visitId */
async function check(visitId) {
  const mine = ++checks;
  try {
    const sheet = packed(draft.value);
    const reply = await post(`/api/visits/${visitId}/check`, { draft: sheet, replaces: replacing(visitId).replaces ?? "" });
    if (mine < checkTaken || record.value?.visit.visit_id !== visitId) return;
    checkTaken = mine;
    checked.value = { ...reply, asked: sheet.medicines.map((one) => JSON.stringify(one)) };
  } catch (error) {
    if (error instanceof ApiError && !error.unreachable) toast("warn", errorText(error));
  }
}

/** What the signing says of an amendment. @param {string} visitId */
function replacing(visitId) {
  const now = amending.value;
  return now?.visit_id === visitId ? { replaces: now.prescription_id, reason: now.reason.trim() } : {};
}

/** @param {{visitId: string}} props */
export function RxForm({ visitId }) {
  const asking = useSignal(false);
  const busy = useSignal(false);
  const wrong = useSignal("");
  useEffect(() => {
    draft.value = drafts.get(visitId) ?? blank();
    checked.value = null;
    refused.value = [];
    saving.value = unsaved.has(visitId) ? "saving" : drafts.has(visitId) ? "saved" : "";
    void restore(visitId);
    void check(visitId);
    return () => clearTimeout(checkTimer);
  }, [visitId]);
  useEffect(() => {
    // what the rules allow depends on what the call has reached so far, and on who saw the patient in person
    void check(visitId);
    if (!active.value) return undefined;
    const timer = setInterval(() => void check(visitId), RECHECK_MS);
    return () => clearInterval(timer);
  }, [active.value === null, record.value?.visit.in_person?.length, allergies().join("\n")]);
  const set = (/** @type {string} */ field) => (/** @type {any} */ event) => change(visitId, { [field]: event.currentTarget.value });
  const tick = (/** @type {string} */ field) => (/** @type {any} */ event) => change(visitId, { [field]: event.currentTarget.checked });
  const now = draft.value;
  const signed = (record.value?.visit.prescriptions.length ?? 0) > 0 && now.lines.length === 0 && !now.diagnosis && !now.advice;
  const denials = refused.value.length > 0 ? refused.value : (checked.value?.denials ?? []);
  const begun = Boolean(now.diagnosis || now.lines.length > 0 || now.advice || now.tests);
  const general = denials.filter((one) => !one.field.startsWith("medicines["));

  const sign = async (/** @type {string} */ password) => {
    if (busy.value) return;
    if (!draft.value.diagnosis.trim()) {
      wrong.value = t("wrong-diagnosis");
      document.getElementById("diagnosis")?.focus();
      return;
    }
    if (codeOf(draft.value) && !ICD.test(codeOf(draft.value))) {
      wrong.value = t("wrong-diagnosis-code");
      document.getElementById("diagnosis-code")?.focus();
      return;
    }
    if (draft.value.lines.some((line) => !line.dose.trim() || !line.route || !line.frequency || !Number(line.days))) {
      wrong.value = t("wrong-medicine");
      return;
    }
    if (!canSign.value && !password) {
      asking.value = true;
      return;
    }
    busy.value = true;
    wrong.value = "";
    signing.add(visitId);
    try {
      await post(`/api/visits/${visitId}/sign`, { command_id: draft.value.command_id, draft: packed(draft.value), password, ...replacing(visitId) });
      amending.value = null;
      canSign.value = true;
      asking.value = false;
      clearTimeout(unsaved.get(visitId));
      unsaved.delete(visitId);
      drafts.delete(visitId);
      signedBefore.value = signedBefore.value.filter((one) => one !== visitId);
      saving.value = "";
      draft.value = blank();
      refused.value = [];
      toast("good", t("sent-toast"));
      await Promise.all([loadRecord(visitId), loadQueue()]);
    } catch (error) {
      const body = error instanceof ApiError ? /** @type {any} */ (error.body) : null;
      if (Array.isArray(body?.denials) && body.denials.length > 0) {
        refused.value = body.denials;
        wrong.value = t("sign-refused");
        asking.value = false;
      } else if (error instanceof ApiError && error.code.includes("password")) {
        canSign.value = false;
        asking.value = true;
        wrong.value = password ? t("error-wrong-login") : "";
      } else if (error instanceof ApiError && error.code === "command_reused") {
        drafts.set(visitId, draft.value);
        asking.value = false;
        await beginSecond(visitId);
      } else wrong.value = errorText(error);
    } finally {
      signing.delete(visitId);
      busy.value = false;
      // the button that was pressed is shut until the next sheet is begun: the keyboard goes on at the record
      if (document.activeElement === document.body || document.activeElement?.matches(":disabled")) document.getElementById("record-title")?.focus();
    }
  };

  const amends = amending.value?.visit_id === visitId ? amending.value : null;
  if (record.value?.visit.closed_ms && !amends) return null;
  return html`<form class="rx-form stack tight" data-test="rx-form" onSubmit=${(/** @type {Event} */ event) => event.preventDefault()}>
    <div class="row between"><h2>${t("prescription")}</h2>
      ${saving.value ? html`<span class="small soft" role="status" data-test="draft-state" data-state=${saving.value}>${t(`rx-draft-${saving.value}`)}</span>` : null}
      ${checked.value ? html`<span class="mode" data-test="check-mode" data-mode=${checked.value.mode} data-type=${checked.value.consult_type}>${t("mode-now", {
        mode: t(`mode-${checked.value.mode}`), type: t(`type-${checked.value.consult_type.replace("_", "-")}`) })}</span>` : null}</div>
    ${signed ? html`<p class="notice good slim">✓ ${t("rx-written")}</p>` : null}
    ${amends ? html`<div class="notice warn stack tight" data-test="amending"><strong>${t("amending")}</strong>
      <div class="field"><label for="amend-reason">${t("amend-reason")}</label><input id="amend-reason" data-test="amend-reason" maxlength="200" value=${amends.reason}
        onInput=${(/** @type {any} */ event) => (amending.value = { ...amends, reason: event.currentTarget.value })} /></div>
      <button type="button" data-test="amend-stop" onClick=${() => {
        amending.value = null;
        change(visitId, blank());
      }}>${t("amend-stop")}</button></div>` : null}
    <${InPerson} visitId=${visitId} />
    <${Diagnosis} visitId=${visitId} set=${set} />
    <label class="check"><input type="checkbox" data-test="provisional" checked=${now.provisional} onChange=${tick("provisional")} />${t("provisional")}</label>
    <div class="field"><label for="findings">${t("findings")}</label>
      <textarea id="findings" data-test="findings" maxlength="2000" value=${now.findings} onInput=${set("findings")}></textarea></div>
    <${DrugSearch} visitId=${visitId} />
    <${SavedLines} lines=${packed(now).medicines} onTake=${(/** @type {any[]} */ kept) => {
      const taken = linesOf(kept);
      change(visitId, { lines: [...draft.value.lines, ...taken.lines].slice(0, 20), lost: taken.lost });
    }} />
    ${now.lines.map((line, index) => html`<${DrugLine} key=${line.key} visitId=${visitId} line=${line} index=${index}
      denials=${denials.filter((one) => one.field.startsWith(`medicines[${index}]`))}
      warnings=${(checked.value?.warnings ?? []).filter((one) => one.field.startsWith(`medicines[${index}]`))} />`)}
    <div class="field"><label for="advice">${t("advice")}</label><textarea id="advice" data-test="advice" maxlength="2000" value=${now.advice} onInput=${set("advice")}></textarea></div>
    <div class="two"><div class="field"><label for="tests">${t("tests")}</label>
        <textarea id="tests" data-test="tests" placeholder=${t("tests-hint")} value=${now.tests} onInput=${set("tests")}></textarea></div>
      <div class="field"><label for="follow-up">${t("follow-up-date")}</label>
        <input id="follow-up" type="date" data-test="follow-up" min=${isoDay()} value=${now.follow_up} onInput=${set("follow_up")} /></div></div>
    <fieldset class="two"><legend class="label">${t("referral")}</legend>
      <div class="field"><label for="urgency" class="small">${t("referral-urgency")}</label>
        <select id="urgency" data-test="referral-urgency" value=${now.urgency} onChange=${set("urgency")}>
          <option value="">${t("referral-none")}</option>${["now", "today", "week"].map((one) => html`<option key=${one} value=${one}>${t(`urgency-${one}`)}</option>`)}</select></div>
      ${now.urgency ? html`<div class="field"><label for="refer-to" class="small">${t("referral-to")}</label>
          <input id="refer-to" data-test="referral-to" maxlength="200" list="places" value=${now.to} onInput=${set("to")} />
          <datalist id="places">${["PHC", "CHC", "District Hospital", "Medical College"].map((one) => html`<option key=${one} value=${one}></option>`)}</datalist></div>
        <div class="field"><label for="refer-why" class="small">${t("referral-reason")}</label>
          <input id="refer-why" data-test="referral-reason" maxlength="200" value=${now.reason} onInput=${set("reason")} /></div>` : null}</fieldset>
    <div class="two"><label class="check"><input type="checkbox" data-test="warn-told" checked=${now.warn_told} onChange=${tick("warn_told")} />${t("warn-told")}</label>
      <label class="check"><input type="checkbox" data-test="allergy-ack" checked=${now.allergy_ack && allergies().every((one) => now.allergies_seen.includes(one))}
        onChange=${(/** @type {any} */ event) => change(visitId, { allergy_ack: event.currentTarget.checked, allergies_seen: event.currentTarget.checked ? allergies() : [] })} />${t("allergy-ack")}</label></div>
    ${begun && general.length > 0 ? html`<ul class="notice warn" data-test="check-denials">${general.map((one) => html`<li key=${one.code + one.field} data-test="check-denial" data-code=${one.code}>${refusalText(one)}</li>`)}</ul>` : null}
    ${(checked.value?.warnings ?? []).filter((one) => !one.field.startsWith("medicines[")).map((one) => html`<p key=${one.code} class="small soft" data-test="check-warning" data-code=${one.code}>${t("warnings")}: ${refusalText(one)}</p>`)}
    ${now.lost.length > 0 ? html`<p class="notice warn" role="alert" data-test="lines-lost">${t("rx-lines-lost", { n: now.lost.length, ids: now.lost.join(", ") })}</p>` : null}
    ${signedBefore.value.includes(visitId) ? html`<p class="notice warn" role="alert" data-test="signed-before">${t("rx-signed-before")}</p>` : null}
    ${wrong.value ? html`<p class="notice bad" role="alert" data-test="sign-wrong">${wrong.value}</p>` : null}
    <button type="button" class="primary big sign" data-test="sign" disabled=${!begun} aria-busy=${busy.value ? "true" : "false"} onClick=${() => void sign("")}><${Icon} name="pen" /> ${t("sign")}</button>
    ${asking.value ? html`<${SignDialog} busy=${busy.value} wrong=${wrong.value} onSign=${sign} onClose=${() => (asking.value = false)} />` : null}
  </form>`;
}

/** @param {{busy: boolean, wrong: string, onSign: (password: string) => Promise<void>, onClose: () => void}} props */
function SignDialog({ busy, wrong, onSign, onClose }) {
  const password = useSignal("");
  return html`<${Dialog} title=${t("sign-confirm")} test="sign-dialog" onClose=${onClose}>
    <div class="field"><label for="sign-password">${t("password")}</label>
      <input id="sign-password" type="password" autocomplete="current-password" data-test="sign-password" value=${password.value}
        onInput=${(/** @type {any} */ event) => (password.value = event.currentTarget.value)} /></div>
    ${wrong ? html`<p class="notice bad" role="alert">${wrong}</p>` : null}
    <div class="row"><button type="button" onClick=${onClose}>${t("back")}</button>
      <button type="button" class="primary grow" data-test="sign-confirm" disabled=${!password.value} aria-busy=${busy ? "true" : "false"} onClick=${() => void onSign(password.value)}>${t("sign")}</button></div>
  <//>`;
}

/** A list that opens under a field: arrows move, Enter takes, Escape closes. @param {{id: string, test: string, label: string, text: string, onText: (text: string) => void, options: {key: string, test: string, node: unknown, take: () => void}[], empty?: string, placeholder?: string}} props */
function Picker({ id, test, label, text, onText, options, empty, placeholder }) {
  const at = useSignal(-1);
  const open = useSignal(false);
  const shown = open.value && text.trim() !== "";
  const take = (/** @type {{take: () => void}} */ option) => {
    option.take();
    open.value = false;
    at.value = -1;
  };
  return html`<div class="field picker"><label for=${id}>${label}</label>
    <input id=${id} data-test=${test} role="combobox" aria-expanded=${String(shown)} aria-controls=${`${id}-list`} aria-autocomplete="list" autocomplete="off"
      aria-activedescendant=${shown && at.value >= 0 ? `${id}-${at.value}` : undefined} placeholder=${placeholder} maxlength="200" value=${text}
      onInput=${(/** @type {any} */ event) => {
        open.value = true;
        at.value = -1;
        onText(event.currentTarget.value);
      }}
      onBlur=${() => setTimeout(() => (open.value = false), 200)}
      onKeyDown=${(/** @type {KeyboardEvent} */ event) => {
        if (!shown) return;
        if (event.key === "ArrowDown") at.value = Math.min(at.value + 1, options.length - 1);
        else if (event.key === "ArrowUp") at.value = Math.max(at.value - 1, 0);
        else if (event.key === "Enter" && options[at.value]) take(options[at.value]);
        else if (event.key === "Escape") open.value = false;
        else return;
        event.preventDefault();
      }} />
    <ul id=${`${id}-list`} role="listbox" aria-label=${label} class="options" hidden=${!shown || (options.length === 0 && !empty)}>
      ${options.map((option, index) => html`<li key=${option.key} id=${`${id}-${index}`} role="option" data-test=${option.test} aria-selected=${index === at.value ? "true" : "false"}
        onMouseDown=${(/** @type {Event} */ event) => event.preventDefault()} onClick=${() => take(option)}>${option.node}</li>`)}
      ${options.length === 0 && empty ? html`<li class="soft" role="option" aria-selected="false" aria-disabled="true">${empty}</li>` : null}
    </ul></div>`;
}

/** @param {{visitId: string, set: (field: string) => (event: any) => void}} props */
function Diagnosis({ visitId, set }) {
  const now = draft.value;
  const wanted = now.diagnosis.trim().toLowerCase();
  const badCode = codeOf(now) !== "" && !ICD.test(codeOf(now));
  const found = wanted ? list("diagnoses").filter((one) => `${one.code} ${one.title}`.toLowerCase().includes(wanted)).slice(0, 8) : [];
  return html`<div class="two wide-first"><${Picker} id="diagnosis" test="diagnosis" label=${t("diagnosis")} placeholder=${t("diagnosis-pick")} text=${now.diagnosis}
      onText=${(/** @type {string} */ diagnosis) => change(visitId, { diagnosis })}
      options=${found.map((one) => ({ key: one.code ?? "", test: `diagnosis-option-${one.code}`, node: html`<strong class="num">${one.code}</strong> ${one.title}`,
        take: () => change(visitId, { diagnosis: one.title, code: one.code ?? "" }) }))} />
    <div class="field"><label for="diagnosis-code">${t("diagnosis-code")}</label>
      <input id="diagnosis-code" data-test="diagnosis-code" maxlength="6" value=${now.code} onInput=${set("code")} aria-invalid=${String(badCode)}
        aria-describedby=${badCode ? "diagnosis-code-wrong" : undefined} />
      ${badCode ? html`<p class="wrong" id="diagnosis-code-wrong" data-test="diagnosis-code-wrong">${t("wrong-diagnosis-code")}</p>` : null}</div></div>`;
}

/** What a medical officer has decided, as the hub said last. @type {Map<string, boolean>} */
const decided = new Map();

/** @param {any} drug */
function letterOf(drug) {
  const letter = (drug.tpg_list ?? "").replace("?", "");
  return html`<span class="letter" data-letter=${letter}>${t("list-letter", { letter: letter || "–" })}</span>
    ${!decided.get(drug.id) && (decided.has(drug.id) || (drug.tpg_list ?? "").endsWith("?") || drug.tpg_status !== "sourced") ? html`<span class="unapproved">${t("not-approved")}</span>` : null}`;
}

/** @param {{visitId: string}} props */
function DrugSearch({ visitId }) {
  const text = useSignal("");
  const found = useSignal(/** @type {any[]} */ ([]));
  const number = useSignal(0);
  const shelf = useSignal(/** @type {Map<string, number>} */ (new Map()));
  /** The text that `found` answers, so that "no such medicine" is never said too early. */
  const answered = useSignal("");
  const search = async (/** @type {string} */ wanted) => {
    text.value = wanted;
    const mine = ++number.value;
    if (!wanted.trim()) return;
    try {
      const reply = await get(`/api/formulary?visit_id=${visitId}&q=${encodeURIComponent(wanted.trim().slice(0, 60))}`);
      if (mine !== number.value) return;
      shelf.value = new Map(reply.shelf.map((/** @type {any} */ level) => [level.drug_id, level.units]));
      for (const id of reply.approved) decided.set(id, true);
      for (const id of reply.rejected) decided.set(id, false);
      found.value = reply.items.slice(0, 10);
      answered.value = wanted;
    } catch (error) {
      toast("warn", errorText(error));
    }
  };
  return html`<${Picker} id="drug-search" test="drug-search" label=${t("medicines")} placeholder=${t("drug-search")} text=${text.value} onText=${(/** @type {string} */ wanted) => void search(wanted)}
    empty=${answered.value === text.value ? t("drug-none") : ""}
    options=${found.value.map((drug) => ({ key: drug.id, test: `drug-option-${drug.id}`,
      node: html`<strong>${drug.generic}</strong> ${drug.form} ${drug.strength} ${letterOf(drug)} ${shelf.value.has(drug.id) ? html`<span class="small num" data-test="on-shelf">${t("on-shelf", { n: shelf.value.get(drug.id) ?? 0 })}</span>` : null}`,
      take: () => {
        const key = newId();
        change(visitId, { lines: [...draft.value.lines, { key, drug, dose: "", route: "", frequency: "", days: "", food: "", quantity: "", instructions: "" }] });
        text.value = "";
        found.value = [];
        setTimeout(() => document.getElementById(`dose-${key}`)?.focus(), 30);
      } }))} />`;
}

/** The words of the slip, where the hub has answered for exactly this line. @param {Line} line @param {number} index */
function slipLine(line, index) {
  const told = checked.value;
  const asked = told?.asked[index] === JSON.stringify(packed({ ...blank(), lines: [line] }).medicines[0]);
  return (asked && told?.dose_lines[index]?.[0]) || doseLine({ ...line, form: line.drug.form, duration_days: line.days }, "hi");
}

/** @param {{visitId: string, line: Line, index: number, denials: Denial[], warnings: Denial[]}} props */
function DrugLine({ visitId, line, index, denials, warnings }) {
  const edit = (/** @type {string} */ field) => (/** @type {any} */ event) =>
    change(visitId, { lines: draft.value.lines.map((one) => (one.key === line.key ? { ...one, [field]: event.currentTarget.value } : one)) });
  const id = (/** @type {string} */ name) => `${name}-${line.key}`;
  const choice = (/** @type {string} */ name, /** @type {"route"|"frequency"|"food"} */ field, /** @type {any[]} */ options) => html`<div class="field">
    <label for=${id(field)} class="small">${t(name)}</label><select id=${id(field)} data-test=${field} value=${line[field]} onChange=${edit(field)}>
      <option value="">${t("choose")}</option>${options.map((one) => html`<option key=${one.code} value=${one.code}>${pick(one)}</option>`)}</select></div>`;
  const input = (/** @type {string} */ name, /** @type {"dose"|"days"|"quantity"|"instructions"} */ field, /** @type {string} */ mode) => html`<div class="field">
    <label for=${id(field)} class="small">${t(name)}</label><input id=${id(field)} data-test=${field} inputmode=${mode} maxlength=${field === "days" ? 3 : 120} value=${line[field]} onInput=${edit(field)} /></div>`;
  const whole = line.dose.trim() && line.frequency && Number(line.days);
  return html`<fieldset class=${denials.length > 0 && whole ? "drug-line denied" : "drug-line"} data-test="drug-line" data-drug=${line.drug.id}>
    <legend class="visually-hidden">${t("medicine-number", { n: index + 1 })}: ${line.drug.generic}</legend>
    <div class="row tight between"><div class="grow"><strong>${index + 1}. ${line.drug.generic}</strong> ${line.drug.form} ${line.drug.strength} ${letterOf(line.drug)}</div>
      <button type="button" class="quiet" data-test="remove-line" aria-label=${t("remove-named", { name: line.drug.generic })}
        onClick=${() => change(visitId, { lines: draft.value.lines.filter((one) => one.key !== line.key) })}><${Icon} name="cross" /></button></div>
    <div class="drug-grid">${input("dose", "dose", "text")}${choice("route", "route", list("routes"))}${choice("frequency", "frequency", frequencies())}
      ${input("days", "days", "numeric")}${choice("food", "food", list("food"))}${input("quantity", "quantity", "text")}</div>
    ${input("instructions", "instructions", "text")}
    ${whole ? html`<p class="preview" lang="hi" data-test="hindi-preview"><span class="small soft">${t("hindi-preview")}:</span> ${slipLine(line, index)}</p>` : null}
    <${ChildDose} dose=${checked.value?.child_doses[index] ?? ""} seen=${draft.value.child_seen} onSeen=${(/** @type {string[]} */ seen) => change(visitId, { child_seen: seen })} />
    ${denials.map((one) => html`<p key=${one.code + one.field} class="wrong" data-test="line-denial" data-code=${one.code} role="alert">${t("denials")}: ${refusalText(one)}</p>`)}
    ${warnings.map((one) => html`<p key=${one.code + one.field} class="small soft" data-test="line-warning" data-code=${one.code}>${refusalText(one)}</p>`)}
  </fieldset>`;
}
