// @ts-check
// Measuring with a device: what it shows, its wave, what is wrong with it, and "take". The field can always be typed instead.
import { html, useEffect, useRef, useSignal } from "/ui/lib/dom.js";
import { del, post } from "/ui/lib/http.js";
import { pick, t } from "/ui/lib/l10n.js";
import { Choice, Dialog, Icon, toast } from "/ui/lib/parts.js";
import { item } from "/ui/lib/reference.js";
import { unitText } from "/ui/lib/units.js";
import { errorText } from "../commands.js";
import { devicesFor, measured, measurement, wave } from "../devices.js";

/** States in which a person has to do something. */
const TROUBLE = ["absent", "waiting", "no_finger", "noisy", "no_record"];

/** The button beside a field; nothing when no device can fill it. @param {{vital: any, onOpen: () => void}} props */
export function DeviceButton({ vital, onOpen }) {
  const there = devicesFor(vital.id);
  if (there.length === 0) return null;
  return html`<button type="button" class="device" data-test=${`vital-${vital.id}-device`} onClick=${onOpen}>
    <${Icon} name=${{ sbp: "cuff", dbp: "cuff", rbs_mgdl: "sugar" }[/** @type {string} */ (vital.id)] ?? "heart"} /> ${t("device-measure")}
    <span class="visually-hidden">: ${pick(vital)}</span></button>`;
}

/** The pulse wave, as it comes. */
function Wave() {
  const canvas = useRef(/** @type {HTMLCanvasElement|null} */ (null));
  const points = wave.value;
  useEffect(() => {
    const box = canvas.current;
    const pen = box?.getContext("2d");
    if (!box || !pen) return;
    pen.clearRect(0, 0, box.width, box.height);
    pen.strokeStyle = getComputedStyle(box).color;
    pen.lineWidth = 3;
    pen.beginPath();
    points.forEach((point, place) => pen.lineTo((place / 160) * box.width, box.height - 4 - (point / 127) * (box.height - 8)));
    pen.stroke();
  }, [points]);
  return html`<canvas ref=${canvas} class="wave" width="480" height="72" role="img" aria-label=${t("device-wave")} data-test="device-wave"></canvas>`;
}

/**
 * @param {{vital: string, visitId: string, onTake: (readings: import("/ui/api").Reading[]) => void, onClose: () => void}} props
 */
export function MeasureDialog({ vital, visitId, onTake, onClose }) {
  const there = devicesFor(vital);
  const chosen = useSignal((there.find((one) => one.present) ?? there[0])?.device_id ?? "");
  const wrong = useSignal("");
  const now = measurement.value;
  const end = () => {
    const old = measurement.peek();
    measurement.value = null;
    wave.value = [];
    if (old) void del(`/api/measurements/${old.measurement_id}`).catch(() => {});
  };
  useEffect(() => {
    let gone = false;
    wrong.value = "";
    post(`/api/visits/${visitId}/measurements`, { device_id: chosen.value }).then(
      (/** @type {import("/ui/api").MeasurementNow} */ begun) => {
        if (gone) void del(`/api/measurements/${begun.measurement_id}`).catch(() => {});
        else measurement.value = begun;
      },
      (error) => (wrong.value = errorText(error)),
    );
    return () => {
      gone = true;
      end();
    };
  }, [chosen.value]);

  const take = async () => {
    const held = measurement.peek();
    if (!held) return;
    try {
      const { readings } = await post(`/api/measurements/${held.measurement_id}/take`);
      measurement.value = null;
      onTake(readings);
    } catch (error) {
      toast("bad", errorText(error));
    }
  };
  const again = async () => {
    const held = measurement.peek();
    if (!held) return;
    wave.value = [];
    try {
      const reply = await post(`/api/measurements/${held.measurement_id}/again`);
      measured({ ...reply, type: "measure", wave: [] });
    } catch (error) {
      wrong.value = errorText(error);
    }
  };
  const state = now?.state ?? "waiting";
  const result = now?.result ?? null;
  const values = result?.values ?? now?.values ?? [];
  const doubtful = result?.quality === "doubtful";
  const streams = (now?.vitals ?? []).includes("spo2");
  return html`<${Dialog} title=${now?.title ?? t("device-measure")} test="device-dialog" onClose=${onClose}>
    ${there.length > 1 ? html`<${Choice} name="device" legend=${t("device-which")} value=${chosen.value}
      onValue=${(/** @type {string} */ id) => (chosen.value = id)} options=${there.map((one) => ({ value: one.device_id, label: one.title }))} />` : null}
    <p class=${`notice ${TROUBLE.includes(state) ? "warn" : state === "ready" ? "good" : ""}`} role="status" data-test="device-state" data-state=${state}>
      ${t(`device-state-${state.replace("_", "-")}`)}</p>
    ${wrong.value ? html`<p class="notice bad" role="alert">${wrong.value}</p>` : null}
    <div class="row device-values" data-test="device-values">${values.map((one) => html`<p key=${one.vital}><span class="soft">${pick(item("vitals", one.vital))}</span>
      <span class="big-number num" data-test=${`device-value-${one.vital}`}>${one.value}</span> <span class="soft">${unitText(item("vitals", one.vital)?.unit)}</span></p>`)}</div>
    ${streams && wave.value.length > 0 ? html`<${Wave} />` : null}
    ${doubtful ? html`<p class="notice warn" data-test="device-doubtful">${result.device_time
      ? t("device-compare-time", { time: result.device_time.replace("T", " ") }) : t("device-compare")}</p>` : null}
    <div class="row">
      <button type="button" class="primary grow" data-test="device-take" disabled=${!result} onClick=${() => void take()}>
        ${doubtful ? t("device-take-doubtful") : t("device-take")}</button>
      <button type="button" class="grow" data-test="device-again" onClick=${() => void again()}>${t("device-again")}</button>
      <button type="button" data-test="device-by-hand" onClick=${onClose}>${t("device-by-hand")}</button>
    </div>
  <//>`;
}
