// @ts-check
// The medical devices that are plugged in, and the measurement of this tablet. Takes nothing by itself.
import { signal } from "/ui/lib/dom.js";
import { get } from "/ui/lib/http.js";

/** @typedef {import("/ui/api").DeviceNow} DeviceNow */
/** @typedef {import("/ui/api").MeasurementNow} MeasurementNow */

const WAVE_POINTS = 160;

/** @type {import("/ui/vendor/signals.js").Signal<DeviceNow[]|null>} */
export const devices = signal(null);
/** The measurement on the screen, as the node last told it. @type {import("/ui/vendor/signals.js").Signal<MeasurementNow|null>} */
export const measurement = signal(null);
/** Points of the pulse wave, oldest first. @type {import("/ui/vendor/signals.js").Signal<number[]>} */
export const wave = signal([]);

export async function loadDevices() {
  devices.value = (await get("/api/devices")).items;
}

/** Devices that can fill a field. @param {string} vital */
export const devicesFor = (vital) => (devices.value ?? []).filter((one) => one.vitals.includes(vital) && (one.present || one.configured));

/** @param {import("/ui/lib/live.js").LiveMessage} message */
export function measured(message) {
  const now = measurement.value;
  if (!now || now.measurement_id !== message.measurement_id) return;
  measurement.value = { ...now, state: message.state, values: message.values, result: message.result };
  if (message.state !== "reading" && message.state !== "ready") wave.value = [];
  else if (message.wave.length > 0) wave.value = [...wave.value, ...message.wave].slice(-WAVE_POINTS);
}
