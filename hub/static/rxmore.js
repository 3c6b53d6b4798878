// @ts-check
// Around the prescription: the doctor's own favourites and templates, and her word that she saw the patient in
// person. Only lines that she saved herself come back, and only when she asks for them.
import { html, signal, useEffect, useSignal } from "/ui/lib/dom.js";
import { del, get, post, put } from "/ui/lib/http.js";
import { newId } from "/ui/lib/ids.js";
import { day, isoDay, t } from "/ui/lib/l10n.js";
import { toast } from "/ui/lib/parts.js";
import { doctor, errorText, loadRecord, record } from "./store.js";

/** @typedef {{drug_id: string, dose: string, route: string, frequency: string, duration_days: number, food: string, quantity: string, instructions: string}} SavedLine */
/** @typedef {{saved_id: string, name: string, lines: SavedLine[]}} Saved */

const saved = signal(/** @type {Saved[]} */ ([]));

/** @param {{lines: SavedLine[], onTake: (lines: SavedLine[]) => void}} props */
export function SavedLines({ lines, onTake }) {
  const chosen = useSignal("");
  const name = useSignal("");
  const naming = useSignal(false);
  useEffect(() => {
    get("/api/saved-lines").then((reply) => (saved.value = reply.items)).catch((error) => toast("warn", errorText(error)));
  }, [doctor.value?.doctor_id]);
  const keep = async () => {
    try {
      saved.value = (await put("/api/saved-lines", { saved_id: newId(), name: name.value.trim(), lines })).items;
      naming.value = false;
      name.value = "";
    } catch (error) {
      toast("bad", errorText(error));
    }
  };
  const remove = async () => {
    try {
      await del(`/api/saved-lines/${chosen.value}`);
      saved.value = saved.value.filter((one) => one.saved_id !== chosen.value);
      chosen.value = "";
    } catch (error) {
      toast("bad", errorText(error));
    }
  };
  const take = () => {
    const found = saved.value.find((one) => one.saved_id === chosen.value);
    if (found) onTake(found.lines);
  };
  return html`<div class="stack tight" data-test="saved-lines">
    ${saved.value.length > 0 ? html`<div class="row tight"><div class="field grow"><label for="saved" class="small">${t("saved-lines")}</label>
      <select id="saved" data-test="saved-choose" value=${chosen.value} onChange=${(/** @type {any} */ event) => (chosen.value = event.currentTarget.value)}>
        <option value="">${t("choose")}</option>${saved.value.map((one) => html`<option key=${one.saved_id} value=${one.saved_id}>${one.name} (${one.lines.length})</option>`)}</select></div>
      <button type="button" data-test="saved-take" disabled=${!chosen.value} onClick=${take}>${t("saved-take")}</button>
      <button type="button" class="quiet" data-test="saved-remove" disabled=${!chosen.value} onClick=${() => void remove()}>${t("saved-remove")}</button></div>` : null}
    ${lines.length === 0 ? null : naming.value ? html`<div class="row tight"><div class="field grow"><label for="saved-name" class="small">${t("saved-name")}</label>
        <input id="saved-name" data-test="saved-name" maxlength="80" value=${name.value} onInput=${(/** @type {any} */ event) => (name.value = event.currentTarget.value)} /></div>
        <button type="button" data-test="saved-keep" disabled=${!name.value.trim()} onClick=${() => void keep()}>${t("saved-keep")}</button></div>`
      : html`<button type="button" class="quiet" data-test="saved-new" onClick=${() => (naming.value = true)}>${t("saved-new")}</button>`}</div>`;
}

/** Who saw the patient in person for this condition, and the doctor's own word for it. @param {{visitId: string}} props */
export function InPerson({ visitId }) {
  const on = useSignal("");
  const busy = useSignal(false);
  const seen = record.value?.visit.in_person ?? [];
  const confirm = async () => {
    busy.value = true;
    try {
      await post(`/api/visits/${visitId}/in-person`, { held_on: on.value });
      on.value = "";
      await loadRecord(visitId);
    } catch (error) {
      toast("bad", errorText(error));
    } finally {
      busy.value = false;
    }
  };
  return html`<details class="small" data-test="in-person"><summary>${t("in-person")}${seen.length > 0 ? ` (${seen.length})` : ""}</summary>
    <ul>${seen.map((one, index) => html`<li key=${index}><span class="num">${day(Date.parse(`${one.held_on}T12:00:00+05:30`))}</span> · ${one.doctor_id} · ${t(`in-person-${one.said_by}`)}</li>`)}</ul>
    <p class="soft">${t("in-person-why")}</p>
    <div class="row tight"><div class="field grow"><label for="in-person-day">${t("in-person-day")}</label>
      <input id="in-person-day" type="date" data-test="in-person-day" max=${isoDay()} value=${on.value} onInput=${(/** @type {any} */ event) => (on.value = event.currentTarget.value)} /></div>
      <button type="button" data-test="in-person-confirm" disabled=${!on.value || busy.value} onClick=${() => void confirm()}>${t("in-person-confirm")}</button></div></details>`;
}

/** A dose for a child: no list gives one by weight, so the doctor confirms each. @param {{dose: string, seen: string[], onSeen: (seen: string[]) => void}} props */
export function ChildDose({ dose, seen, onSeen }) {
  if (!dose) return null;
  const tick = (/** @type {any} */ event) => onSeen(event.currentTarget.checked ? [...seen.filter((one) => one !== dose), dose].slice(-40) : seen.filter((one) => one !== dose));
  return html`<label class="check"><input type="checkbox" data-test="child-dose" checked=${seen.includes(dose)} onChange=${tick} />
    ${t("child-dose", { weight: dose.split(" ")[0] })}</label>`;
}
