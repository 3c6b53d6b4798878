// @ts-check
// One line before a call: what will work now. The devices are asked about, never opened: before somebody takes the call
// nothing of the room is seen or heard. The link is the node's to measure.
import { html, useEffect, useSignal } from "../lib/dom.js";
import { post } from "../lib/http.js";
import { t } from "../lib/l10n.js";
import { RUNGS } from "./banner.js";

/** @typedef {"ok"|"unknown"|"denied"|"missing"|"busy"|"off"} DeviceState */
/** @typedef {{expect: string, rung: string, line: string, devices: string[], up_bps: number, down_bps: number, sent_bytes: number, took_ms: number}} Found */

const SOUND_MS = 400;

/** @param {string} kind @param {MediaDeviceInfo[]} devices @returns {Promise<DeviceState>} */
async function inputState(kind, devices) {
  if (!devices.some((device) => device.kind === (kind === "camera" ? "videoinput" : "audioinput"))) return "missing";
  try {
    const permission = await navigator.permissions.query({ name: /** @type {PermissionName} */ (kind) });
    return permission.state === "denied" ? "denied" : permission.state === "granted" ? "ok" : "unknown";
  } catch { // this browser does not tell
    return "unknown";
  }
}

/** Whether the page may make a sound. @returns {Promise<DeviceState>} */
async function soundState() {
  try {
    const sound = new AudioContext();
    await Promise.race([sound.resume(), new Promise((resolve) => setTimeout(resolve, SOUND_MS))]);
    const heard = sound.state === "running";
    void sound.close();
    return heard ? "ok" : "off";
  } catch {
    return "unknown";
  }
}

/**
 * How camera, microphone and loudspeaker of this tablet stand.
 * @param {boolean} useCamera whether the call takes picture and sound from here
 * @returns {Promise<{camera: DeviceState, microphone: DeviceState, sound: DeviceState}>}
 */
export async function lookAtDevices(useCamera) {
  const sound = await soundState();
  if (!useCamera || !navigator.mediaDevices?.enumerateDevices) return { camera: "unknown", microphone: "unknown", sound };
  const devices = await navigator.mediaDevices.enumerateDevices().catch(() => null);
  if (!devices) return { camera: "unknown", microphone: "unknown", sound };
  return { camera: await inputState("camera", devices), microphone: await inputState("microphone", devices), sound };
}

/** @param {Found} found @returns {string} */
function lineOf(found) {
  const rung = RUNGS[/** @type {keyof typeof RUNGS} */ (found.rung)];
  return t(found.line, { carries: rung ? t(rung) : "" });
}

/** @param {{useCamera: boolean}} props */
export function Preflight({ useCamera }) {
  const found = useSignal(/** @type {Found|null} */ (null));
  const silent = useSignal(false);
  useEffect(() => {
    void (async () => {
      try {
        found.value = await post("/api/preflight", await lookAtDevices(useCamera));
      } catch {
        silent.value = true; // the call can be taken all the same
      }
    })();
  }, []);
  if (silent.value) return null;
  return html`<div class="call-preflight" role="status" data-test="preflight" data-expect=${found.value?.expect ?? ""}>${found.value
    ? [lineOf(found.value), ...found.value.devices.map((id) => t(id))].join(" · ") : t("preflight-checking")}</div>`;
}
