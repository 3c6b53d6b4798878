// @ts-check
// Handing out by a prescription, the book of the shelf beside it, and who saw the patient in person.
import { digitsIn } from "/ui/lib/digits.js";
import { html, signal, useEffect, useSignal } from "/ui/lib/dom.js";
import { get } from "/ui/lib/http.js";
import { clockTime, day, isoDay, t } from "/ui/lib/l10n.js";
import { toast } from "/ui/lib/parts.js";
import { errorText, submit } from "../commands.js";
import { loadRecord } from "../store.js";
import { HandOutBack, offerHandOutUndo } from "../undo.js";

/** @typedef {import("./stock.js").Level} Level */
/** What the book says. @type {import("/ui/vendor/signals.js").Signal<Record<string, Level>>} */
const shelf = signal({});
async function loadShelf() {
  const reply = await get("/api/stock");
  shelf.value = Object.fromEntries(reply.items.map((/** @type {Level} */ one) => [one.drug_id, one]));
}

/** A number below nothing is none: the book was never counted, or what came in does not stand in it. @param {Level|undefined} level */
const levelWords = (level) => (!level || (level.units < 0 && !level.counted_ms) ? t("shelf-unknown") : level.units < 0 ? t("shelf-recount") : t("shelf-has", { n: level.units }));

/** @param {{visit: import("/ui/api").Visit, prescriptionId: string, drugId: string, name: string, pieces: number}} props `pieces`: of the whole course, 0 if that is not known */
export function HandOut({ visit, prescriptionId, drugId, name, pieces }) {
  const units = useSignal("");
  const busy = useSignal(false);
  useEffect(() => void loadShelf().catch(() => {}), [visit.visit_id]);
  const mine = (/** @type {import("/ui/api").Visit} */ one) => (one.handed_out ?? []).filter((given) => given.prescription_id === prescriptionId && given.drug_id === drugId);
  const out = mine(visit);
  const given = out.reduce((sum, one) => sum + one.units, 0);
  const again = () => void loadShelf().catch(() => {});
  const amount = Number(units.value);
  const say = (/** @type {any} */ command) => async () => {
    busy.value = true;
    const outcome = await submit({ drug_id: drugId, units: amount, ...command });
    busy.value = false;
    if (!outcome.ok && "error" in outcome) toast("bad", errorText(outcome.error));
    else units.value = "";
    const last = outcome.ok && command.type === "dispense" ? mine(outcome.reply.visit).at(-1) : undefined;
    if (last) offerHandOutUndo(visit.visit_id, last, name, again);
    await Promise.all([loadRecord(visit.visit_id), loadShelf()]).catch(() => {});
  };
  const id = `units-${prescriptionId}-${drugId}`;
  return html`<div class="row print-hide" data-test="hand-out" data-drug=${drugId}>
    <span class="soft" data-test="on-shelf">${levelWords(shelf.value[drugId])}${given ? ` · ${t("handed-out", { n: given })}` : ""}</span>
    <label for=${id} class="row tight nowrap"><span aria-hidden="true">${t("units-how-many")}</span>
    <input id=${id} class="num" style=${{ maxWidth: "6rem" }} inputmode="numeric" maxlength="5" aria-label=${t("units-of", { name })} data-test="units" value=${units.value}
      onInput=${(/** @type {any} */ event) => (units.value = event.currentTarget.value = digitsIn(event.currentTarget.value))} /></label>
    ${pieces > given ? html`<button type="button" class="choice slim" data-test="units-by-slip" onClick=${() => (units.value = String(pieces - given))}>${t("units-by-slip", { n: pieces - given })}</button>` : null}
    <button type="button" data-test="dispense" disabled=${!amount || busy.value} onClick=${say({ type: "dispense", visit_id: visit.visit_id, prescription_id: prescriptionId, given_before: given })}>${t("dispense")}</button>
    <button type="button" class="quiet" data-test="count-stock" disabled=${units.value === "" || busy.value} onClick=${say({ type: "count_stock" })}>${t("count-stock")}</button>
    <button type="button" class="quiet" data-test="receive-stock" disabled=${!amount || busy.value} onClick=${say({ type: "receive_stock" })}>${t("receive-stock")}</button></div>
    ${out.map((one) => html`<p key=${one.at_ms} class="row tight small print-hide" data-test="given-line"><span class="num">${clockTime(one.at_ms)}</span> ${t("handed-out", { n: one.units })}
      <${HandOutBack} visitId=${visit.visit_id} one=${one} medicine=${name} then=${again} /></p>`)}`;
}

/** @param {{visit: import("/ui/api").Visit}} props */
export function InPersonCard({ visit }) {
  const doctors = useSignal(/** @type {{doctor_id: string, name: string}[]} */ ([]));
  const who = useSignal("");
  const on = useSignal(isoDay());
  const paper = useSignal(false);
  useEffect(() => {
    get("/api/doctors").then((reply) => (doctors.value = reply.items)).catch(() => {});
  }, [visit.visit_id, visit.doctor_id, visit.prescriptions.length]);
  const nameOf = (/** @type {string} */ id) => doctors.value.find((one) => one.doctor_id === id)?.name ?? id;
  const keep = async () => {
    const outcome = await submit({ type: "record_in_person", visit_id: visit.visit_id, doctor_id: who.value, held_on: on.value, paper_seen: paper.value });
    if (!outcome.ok && "error" in outcome) toast("bad", errorText(outcome.error));
    else who.value = "";
    await loadRecord(visit.visit_id).catch(() => {});
  };
  const seen = visit.in_person ?? [];
  if (doctors.value.length === 0 && seen.length === 0) return null;
  return html`<details class="card print-hide" data-test="in-person"><summary>${t("in-person-card")}${seen.length > 0 ? ` (${seen.length})` : ""}</summary>
    <ul>${seen.map((one, index) => html`<li key=${index}>${nameOf(one.doctor_id)} · <span class="num">${day(Date.parse(`${one.held_on}T12:00:00+05:30`))}</span></li>`)}</ul>
    <div class="field"><label for="in-person-who">${t("in-person-who")}</label><select id="in-person-who" data-test="in-person-who" value=${who.value}
      onChange=${(/** @type {any} */ event) => (who.value = event.currentTarget.value)}><option value=""></option>
      ${doctors.value.map((one) => html`<option key=${one.doctor_id} value=${one.doctor_id}>${one.name}</option>`)}</select></div>
    <div class="field"><label for="in-person-on">${t("in-person-on")}</label><input id="in-person-on" type="date" data-test="in-person-on" max=${isoDay()} value=${on.value}
      onInput=${(/** @type {any} */ event) => (on.value = event.currentTarget.value)} /></div>
    <label class="check"><input type="checkbox" data-test="in-person-paper" checked=${paper.value} onChange=${(/** @type {any} */ event) => (paper.value = event.currentTarget.checked)} />${t("in-person-by-paper")}</label>
    <button type="button" data-test="in-person-keep" disabled=${!who.value || !on.value} onClick=${() => void keep()}>${t("in-person-keep")}</button></details>`;
}
