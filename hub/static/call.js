// @ts-check
// The call with a node: ring, the patient's picture and sound, what the link carries, hang up.
import { bannerLine } from "/ui/call/banner.js";
import { DoctorCall } from "/ui/call/doctor.js";
import { calledTo, forgetTheirs, heard, setSender as setDrawingSender, shownPhoto } from "/ui/lib/drawing.js";
import { html, signal, useEffect, useRef } from "/ui/lib/dom.js";
import { get } from "/ui/lib/http.js";
import { newId } from "/ui/lib/ids.js";
import { known, t } from "/ui/lib/l10n.js";
import { Icon, toast } from "/ui/lib/parts.js";
import { errorText, keepCall, keptCall, loadRecord, record, refusalText } from "./store.js";

/** @typedef {{type: string, call_id: string, [key: string]: any}} Signal */

/** @type {import("/ui/vendor/signals.js").Signal<{callId: string, visitId: string, again: boolean}|null>} `again`: taken up after a reload */
export const active = signal(null);
/** Ends that nobody wished for; each has a sentence of its own. */
const FAILED = ["declined", "no_answer", "failed", "busy", "no_camera"];
const SETTLE = 5;
const state = signal("");
const figures = signal(/** @type {import("/ui/call/doctor.js").CallStats|null} */ (null));
/** What the node's uplink carries, as the node says. */
const uplink = signal({ rung: "", notes: false, relayed: false, sharp: false });
const asideOpen = signal(false);
/** The last still that came in the place of video: its address in this page, and when it was taken (`performance.now()`). */
const still = signal(/** @type {{url: string, takenAt: number}|null} */ (null));
/** Figures that came since the media was connected: the first ones say nothing yet. */
let settled = 0;
const video = { element: /** @type {HTMLVideoElement|null} */ (null) };
/** @type {DoctorCall|null} */
let call = null;
/** @type {MediaStream|null} */
let own = null;
/** What a third person's leg is made of: the call that runs, the own media, and what comes from the patient.
 * @type {import("/ui/vendor/signals.js").Signal<{callId: string, visitId: string, own: MediaStream|null, audio: MediaStreamTrack|null, video: MediaStreamTrack|null}|null>} */
export const parts = signal(null);
/** @type {(message: Signal) => void} */
let send = () => {};

/** Send the patient this sound in the place of the microphone's; null: the microphone's again. @param {MediaStreamTrack|null} sound */
export function sendSound(sound) {
  void call?.setLocalStream(sound ? new MediaStream([sound, ...(own?.getVideoTracks() ?? [])]) : own);
}

/** @param {(message: Signal) => void} sender */
export function setSender(sender) {
  send = sender;
}

/** The channel came back: say again which call is ours, so that the hub knows where to send. */
export function channelOpen() {
  if (active.value && state.value !== "ended") send({ type: "ring", call_id: active.value.callId, visit_id: active.value.visitId });
}

/** @param {import("/ui/lib/live.js").LiveMessage} message */
export function callSignal(message) {
  if (!call || message.call_id !== active.value?.callId) return;
  if (message.type === "refused") {
    if (message.code === "node_offline" && state.value !== "calling") {
      // a call that was up: the channel rings again when it opens
      toast("warn", refusalText(/** @type {any} */ (message)));
      return;
    }
    toast("bad", refusalText(/** @type {any} */ (message)));
    call.close();
  } else void call.handle(/** @type {Signal} */ (message));
}

export async function ownMedia() {
  try {
    return await navigator.mediaDevices.getUserMedia({
      audio: { echoCancellation: true, noiseSuppression: true, autoGainControl: true },
      video: { width: { ideal: 640 }, height: { ideal: 480 }, frameRate: { max: 20 } },
    });
  } catch {
    try {
      return await navigator.mediaDevices.getUserMedia({ audio: true });
    } catch {
      toast("warn", t("no-camera"));
      return null;
    }
  }
}

/** Take up the call that ran before a reload: the node starts its media anew. */
export async function rejoin() {
  const [callId, visitId] = keptCall().split(":");
  if (!callId || !visitId || active.value) return;
  try {
    const { calls } = await get(`/api/visits/${visitId}`);
    if (calls.some((/** @type {any} */ one) => one.call_id === callId && one.ended_because)) keepCall("");
    else await startCall(visitId, callId);
  } catch (error) {
    toast("warn", errorText(error));
  }
}

/** @param {string} visitId @param {string} [callId] of a call that is taken up again */
export async function startCall(visitId, callId) {
  if (active.value) return;
  const again = callId !== undefined;
  callId ??= newId();
  active.value = { callId, visitId, again };
  keepCall(`${callId}:${visitId}`);
  state.value = "waiting";
  figures.value = null;
  uplink.value = { rung: "", notes: false, relayed: false, sharp: false };
  showStill(null);
  /** @type {any[]} */
  let iceServers = [];
  try {
    iceServers = (await get("/api/ice-servers")).ice_servers;
  } catch (error) {
    toast("warn", errorText(error));
  }
  const stream = await ownMedia();
  if (active.value?.callId !== callId) { // hung up while the browser asked for the camera
    for (const track of stream?.getTracks() ?? []) track.stop();
    return;
  }
  own = stream;
  call = new DoctorCall({
    callId, iceServers, send: (message) => send(message), localStream: own, remoteVideo: video.element,
    onState: (next, reason) => {
      state.value = next;
      settled = 0;
      if (next === "ended") ended(visitId, reason ?? "");
    },
    onStats: (stats) => {
      settled += 1;
      figures.value = stats;
    },
    onStill: showStill,
    onAside: (message) => {
      if (message.type === "drew") heard(message);
      if (message.type === "link_state") {
        uplink.value = { rung: String(message.rung), notes: message.notes === true, relayed: message.relayed === true, sharp: message.sharp === true };
      }
    },
    onAsideOpen: (open) => (asideOpen.value = open),
    onTrack: (track) => {
      if (parts.value?.callId === callId) parts.value = { ...parts.value, [track.kind]: track };
    },
  });
  parts.value = { callId, visitId, own, audio: null, video: null };
  setDrawingSender(({ mark, ...rest }) => void call?.aside.send({ ...rest, mark: mark && [mark.mark_id, mark.kind, mark.points] }));
  send({ type: "ring", call_id: callId, visit_id: visitId });
  if (state.value === "waiting") state.value = "calling";
}

/** Ask for a sharp picture; it comes into the record as a photo, previews first. */
function askSharp() {
  const asked = call?.aside.send({ type: "ask_still", still_id: newId() }) ?? false;
  toast(asked ? "good" : "warn", t(asked ? "sharp-asked" : "sharp-not-now"));
}

/** @param {import("/ui/call/aside.js").Still|null} came */
function showStill(came) {
  if (still.value) URL.revokeObjectURL(still.value.url);
  still.value = came && { url: URL.createObjectURL(came.picture), takenAt: came.takenAt };
}

/** @param {string} visitId @param {string} reason */
function ended(visitId, reason) {
  for (const track of own?.getTracks() ?? []) track.stop();
  own = null;
  call = null;
  active.value = null;
  parts.value = null;
  setDrawingSender(null);
  forgetTheirs();
  showStill(null);
  keepCall("");
  const failed = FAILED.includes(reason);
  toast(failed ? "warn" : "good", failed ? t(`call-${reason.replaceAll("_", "-")}`) : t("call-over"));
  void loadRecord(visitId).catch(() => {});
}

export function hangUp() {
  const now = active.value;
  if (call) call.close();
  else if (now) {
    if (now.again) send({ type: "bye", call_id: now.callId, reason: "hangup" });
    ended(now.visitId, "hangup");
  }
}

window.addEventListener("pagehide", () => call?.report());

/** What the link carries and why, in plain words. */
function line() {
  const now = figures.value;
  if (!now) return "";
  if (now.state === "connected" && now.fps < 0.5 && settled < SETTLE && !still.value) return t("call-waiting-picture");
  const silent = now.state === "connected" && settled >= SETTLE && now.recvBps === 0;
  const said = bannerLine({ ...uplink.value, state: now.state, silent, attempt: Math.max(now.attempt, 0), restarted: false });
  return [said.line, said.how].filter(Boolean).map((id) => t(id)).join(" · ");
}

/** The still in the place of the picture that does not move, with its age in words. */
function StillPicture() {
  const now = figures.value;
  if (!still.value || !now || now.fps >= 0.5) return null;
  const seconds = Math.max(0, Math.round((performance.now() - still.value.takenAt) / 1000));
  return html`<figure class="call-still" data-test="call-still"><img src=${still.value.url} alt=${t("call-still-alt")} />
    <figcaption class="small num" data-test="call-still-age" data-seconds=${String(seconds)}>${t("call-still-age", { seconds })}</figcaption></figure>`;
}

/** @param {{more: any}} props `more`: what else belongs to a call */
export function CallPanel({ more }) {
  const element = useRef(/** @type {HTMLVideoElement|null} */ (null));
  useEffect(() => {
    video.element = element.current;
  }, []);
  const now = active.value;
  const shown = figures.value;
  const name = `call-${state.value}`;
  const words = state.value === "connected" ? t(record.value?.site.home ? "call-with-home" : "call-with-centre") : known(`call-state-${state.value}`) ? t(`call-state-${state.value}`) : known(name) ? t(name) : "";
  return html`<section class=${now ? "call-panel" : record.value && !record.value.visit.closed_ms ? "call-panel idle" : "call-panel empty"} aria-label=${t("call")} data-test="call-panel" data-state=${now ? state.value : ""}>
    <div class="call-view" hidden=${!now}><video ref=${element} autoplay playsinline data-test="call-video" aria-label=${t("video-of-patient")}></video>
      <${StillPicture} /></div>
    ${now ? html`<div class="row tight"><div class="grow">
        <strong data-test="call-state" role="status">${words}</strong>
        <div class="small" data-test="call-ladder" data-rung=${uplink.value.rung}>${line()}</div>
        <div class="small num" data-test="call-figures" data-frames=${String(shown?.frames ?? 0)} data-audio=${String(Math.round(shown?.audioS ?? 0))}>${shown && shown.state === "connected"
          ? shown.fps >= 0.5 ? t("call-figures", { width: shown.width, height: shown.height, fps: Math.round(shown.fps), kbps: Math.round(shown.recvBps / 1000), gaps: Math.round(shown.concealedPct) })
            : t("call-audio-figures", { kbps: Math.round(shown.recvBps / 1000) }) : ""}</div></div>
      ${uplink.value.sharp ? html`<button type="button" data-test="call-sharp" disabled=${!asideOpen.value} onClick=${askSharp}>${t("call-sharp")}</button>` : null}
      ${calledTo.value ? html`<button type="button" data-test="call-marks" onClick=${() => (shownPhoto.value = calledTo.value)}>${t("call-marks-nurse")}</button>` : null}
      <button type="button" class="danger" data-test="call-hangup" onClick=${hangUp}>${t("call-hangup")}</button></div>
      ${state.value === "connected" || state.value === "interrupted" || state.value === "connecting" ? html`<${more} callId=${now.callId} visitId=${now.visitId} />` : null}`
    : record.value && !record.value.visit.closed_ms ? html`<button type="button" class="primary wide" data-test="call" disabled=${!record.value.site.online && !record.value.site.home}
        onClick=${() => {
          const seen = record.value;
          if (seen) void startCall(seen.visit.visit_id);
        }}><${Icon} name="phone" /> ${t(record.value.site.home ? "call-home" : "call-patient")}</button>
        ${record.value.site.online ? null : html`<p class="small soft">${t(record.value.site.home ? "home-page-closed" : "node-offline")}</p>`}` : null}
  </section>`;
}
