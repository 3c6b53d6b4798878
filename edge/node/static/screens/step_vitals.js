// @ts-check
// Measurements. A value outside the hard limits is not taken; outside the soft ones it is asked again.
import { decimalIn } from "/ui/lib/digits.js";
import { html, useEffect, useSignal } from "/ui/lib/dom.js";
import { pick, t } from "/ui/lib/l10n.js";
import { Choice, Dialog, Icon } from "/ui/lib/parts.js";
import { ADULT_CHART_DAYS, ageDays } from "/ui/lib/ages.js";
import { list } from "/ui/lib/reference.js";
import { unitText } from "/ui/lib/units.js";
import { loadDevices } from "../devices.js";
import { DeviceButton, MeasureDialog } from "./device.js";
import { BODY, doubtful, numberOf, takeReadings } from "/ui/lib/visit_form.js";

/** The order in which they are measured, one pressure side by side in two columns and in three; what the reference adds later comes after. */
const FIRST = ["sbp", "dbp", "temp_c", "hr", "spo2", "rr", "weight_kg", "height_cm", "rbs_mgdl", "hb_gdl", "muac_cm", "pain"];

/** @param {{form: import("/ui/lib/visit_form.js").VisitForm, change: (part: any) => void, record: any, faults: Record<string, string>}} props */
export function VitalsStep({ form, change, record, faults }) {
  const more = useSignal(false);
  const dismissed = useSignal("");
  const measuring = useSignal("");
  useEffect(() => void loadDevices().catch(() => {}), []);
  const days = ageDays(record.patient);
  const adult = days !== null && days >= ADULT_CHART_DAYS;
  const all = list("vitals").filter((vital) => !vital.derived);
  const rank = (/** @type {any} */ vital) => (FIRST.includes(vital.id) ? FIRST.indexOf(vital.id) : 99);
  const ordered = [...all].sort((one, two) => rank(one) - rank(two));
  const main = ordered.filter((vital) => rank(vital) < (adult || days === null ? 8 : 7) || (!adult && vital.id === "muac_cm"));
  const others = ordered.filter((vital) => !main.includes(vital));
  const typed = (/** @type {string} */ id) => Boolean((form.values[id] ?? "").trim());
  const seeOthers = more.value || others.some((vital) => typed(vital.id ?? "") || faults[vital.id ?? ""]);
  const doubt = doubtful(form, adult)[0];
  const measured = doubt?.derived ? BODY : [doubt?.id ?? ""];
  const values = measured.map((id) => form.values[id]).join(" ");
  const active = typeof document !== "undefined" ? document.activeElement?.id : "";
  const asking = doubt && !measured.some((id) => active === `vital-${id}`) && dismissed.value !== `${doubt.id} ${values}` ? doubt : null;
  useEffect(() => void (dismissed.value = ""), [faults]); // "Next" asks again

  const field = (/** @type {any} */ vital) => {
    const id = vital.id;
    const unit = id === "temp_c" && form.fahrenheit ? "°F" : unitText(vital.unit);
    const done = !form.not_done.includes(id);
    const wrong = faults[id];
    return html`<div class="vital" key=${id}>
      <label for=${`vital-${id}`}>${pick(vital)}</label>
      <div class="row tight nowrap">
        <input id=${`vital-${id}`} class="num" data-test=${`vital-${id}`} inputmode=${vital.decimals > 0 || id === "temp_c" ? "decimal" : "numeric"}
          maxlength="6" value=${form.values[id] ?? ""} disabled=${!done} aria-invalid=${wrong ? "true" : undefined}
          aria-describedby=${`vital-${id}-note`}
          onInput=${(/** @type {any} */ event) => change({
            values: { ...form.values, [id]: decimalIn(event.currentTarget.value) },
            confirmed: form.confirmed.filter((one) => one !== id) })}
          onBlur=${() => doubtful(form, adult).length > 0 && change({})} />
        <span class="unit soft">${unit}</span>
        <button type="button" class="choice slim" data-test=${`vital-${id}-notdone`} aria-pressed=${done ? "false" : "true"}
          onClick=${() => change({ not_done: done ? [...form.not_done, id] : form.not_done.filter((one) => one !== id),
            values: { ...form.values, [id]: "" } })}>${t("not-done")}</button>
      </div>
      ${done ? html`<${DeviceButton} vital=${vital} onOpen=${() => (measuring.value = id)} />` : null}
      <span id=${`vital-${id}-note`} class=${wrong ? "wrong" : "hint small soft"} role=${wrong ? "alert" : undefined}>
        ${wrong ?? (id === "temp_c" && form.fahrenheit && numberOf(id, form) !== null ? `= ${numberOf(id, form)} °C` : "")}
        ${!wrong && form.confirmed.includes(id) ? t("measured-again") : ""}
        ${!wrong && form.sources[id] && form.sources[id].value === numberOf(id, form) ? t("device-from", { name: form.sources[id].device }) : ""}</span>
    </div>`;
  };
  return html`
    <section class="card stack">
      <${Choice} name="avpu" legend=${t("avpu-question")} value=${form.avpu} onValue=${(/** @type {string} */ avpu) => change({ avpu })} wrong=${faults.avpu}
        options=${list("avpu").map((one) => ({ value: one.code, label: pick(one), alarm: one.code !== "A" }))} />
    </section>
    <section class="card stack">
      <div class="row between"><h2>${t("step-vitals")}</h2>
        <button type="button" class="quiet" data-test="temp-unit" onClick=${() => change({ fahrenheit: !form.fahrenheit, values: { ...form.values, temp_c: "" } })}>
          ${form.fahrenheit ? t("use-celsius") : t("use-fahrenheit")}</button></div>
      <div class="vitals">${main.map(field)}</div>
      ${seeOthers ? html`<div class="vitals">${others.map(field)}</div>`
        : html`<button type="button" data-test="more-vitals" onClick=${() => (more.value = true)}><${Icon} name="plus" /> ${t("more-vitals")}</button>`}
      <${Choice} name="oxygen" legend=${t("oxygen-question")} value=${form.oxygen} onValue=${(/** @type {boolean} */ oxygen) => change({ oxygen })}
        options=${[{ value: false, label: t("no") }, { value: true, label: t("yes") }]} />
    </section>
    ${measuring.value ? html`<${MeasureDialog} key=${measuring.value} vital=${measuring.value} visitId=${record.visit.visit_id}
      onClose=${() => (measuring.value = "")} onTake=${(/** @type {import("/ui/api").Reading[]} */ readings) => {
        measuring.value = "";
        change(takeReadings(form, readings));
      }} />` : null}
    ${asking && !measuring.value ? html`<${Dialog} title=${t("soft-title")} test="soft-dialog" onClose=${() => (dismissed.value = `${asking.id} ${values}`)}>
      ${all.filter((vital) => measured.includes(vital.id ?? "")).map((vital) => html`<p class="big-number num" key=${vital.id}>${pick(vital)}: ${form.values[vital.id ?? ""]} ${asking.derived ? unitText(vital.unit) : ""}</p>`)}
      <p>${t(asking.derived ? "soft-pair-hint" : "soft-hint")}</p>
      <div class="row">
        <button type="button" class="primary grow" data-test="soft-again" onClick=${() => {
          change({ values: { ...form.values, ...Object.fromEntries(measured.map((id) => [id, ""])) } });
          setTimeout(() => document.getElementById(`vital-${measured[0]}`)?.focus(), 50);
        }}>${t("soft-again")}</button>
        <button type="button" class="grow" data-test="soft-confirm" onClick=${() => change({ confirmed: [...form.confirmed, ...measured] })}>${t("soft-confirm")}</button>
      </div>
    <//>` : null}`;
}
