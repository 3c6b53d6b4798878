// @ts-check
// A call comes in for a visit: ring, accept or decline, the doctor on the screen. The picture of the
// patient comes from the node's own camera unless the node was told to use this tablet's.
import { html, signal, useEffect, useRef } from "/ui/lib/dom.js";
import { ApiError, get, post } from "/ui/lib/http.js";
import { addWords, known, t } from "/ui/lib/l10n.js";
import { Icon, toast } from "/ui/lib/parts.js";
import { bannerLine } from "/ui/call/banner.js";
import { TabletCall } from "/ui/call/tablet.js";
import { errorText } from "../commands.js";
import { calledTo, forgetTheirs, heard, setSender, shownPhoto } from "/ui/lib/drawing.js";
import { go, keepInTab, keptInTab, loadQueue, loadRecord, queue, record, tablet } from "../store.js";

/** @typedef {import("../store.js").CallInfo} CallInfo */

/** @type {import("/ui/vendor/signals.js").Signal<CallInfo|null>} */
export const ringing = signal(null);
/** The call that this tablet took. @type {import("/ui/vendor/signals.js").Signal<CallInfo|null>} */
export const callOnScreen = signal(null);
/** What the node says of the call. @type {import("/ui/call/banner.js").Seen} */
const BLANK = { state: "", rung: "", notes: false, relayed: false, silent: false, attempt: 0, restarted: false };
const line = signal(BLANK);
const leg = signal("connecting");
/** What comes from the doctor: whether the picture moves, for how long the leg is up, whether the browser holds the sound back. */
const incoming = signal({ picture: false, seconds: 0, muted: false });
/** The reason that the node gives while nothing comes through. */
const NO_LINK = "call-why-no-link";
/** Rungs without any picture. */
const SOUND_ONLY = ["audio-low"];
/** After so long without a picture it is said that none comes. */
const PICTURE_WAIT_S = 6;
/** Counts the node's processes for this call; a new one needs a new leg. */
const running = signal(-1);
const useCamera = signal(false);
/** Who came into the calls of this visit as a third person, while another visit is on the screen. @type {import("/ui/vendor/signals.js").Signal<NonNullable<import("/ui/api").Visit["thirds"]>>} */
const thirds = signal([]);
const declined = new Set();

/** @param {import("/ui/lib/live.js").LiveMessage} message */
export function callMessage(message) {
  if (message.type === "ring") {
    if (callOnScreen.value?.call_id === message.call_id || declined.has(message.call_id)) return;
    ringing.value = { call_id: message.call_id, visit_id: message.visit_id, doctor_name: message.doctor_name ?? "" };
    useCamera.value = message.camera === "tablet";
    void loadQueue().catch(() => {}); // a form does not follow the queue: the banner names who is called
  } else if (message.type === "call") {
    if (message.call_id === callOnScreen.value?.call_id) {
      const restarted = message.state !== "connected" && ((message.process ?? 0) > running.value || line.value.restarted);
      line.value = {
        state: message.state ?? "", rung: message.rung || line.value.rung, notes: message.notes ?? false, relayed: message.relayed ?? false,
        silent: message.why === NO_LINK, attempt: message.attempt ?? 0, restarted: running.value > 0 && restarted,
      };
      running.value = message.process ?? running.value;
      if (message.camera) useCamera.value = message.camera === "tablet";
      if (message.state === "ended") over(message.call_id, message.why ?? "");
    } else if (message.state !== "ringing" && ringing.value?.call_id === message.call_id) ringing.value = null;
  } else if (message.type === "sharp") void takeSharp(message);
  else if (message.type === "drew") heard(message);
  else if (message.type === "bye") over(message.call_id, message.reason ?? "");
}

/** Something about a visit has changed: somebody may have come into its call. @param {string} visitId */
export function visitMessage(visitId) {
  if (callOnScreen.value?.visit_id !== visitId || record.value?.visit.visit_id === visitId) return;
  void get(`/api/visits/${visitId}`).then((page) => (thirds.value = page.visit.thirds ?? [])).catch(() => {});
}

/** Who is in this call besides the doctor. @param {CallInfo} call */
function others(call) {
  const seen = record.value?.visit.visit_id === call.visit_id ? record.value?.visit.thirds ?? [] : thirds.value;
  return seen.filter((one) => one.call_id === call.call_id && !one.left_ms);
}

/** The leg that runs, for who asks it for a picture. @type {TabletCall|null} */
let camera = null;
/** Pictures that were asked for and taken. */
const taken = new Set();

/** The doctor wants a sharp picture: this tablet takes it, when its camera is the call's. @param {import("/ui/lib/live.js").LiveMessage} message */
async function takeSharp({ call_id, visit_id, still_id, doctor_name }) {
  if (callOnScreen.value?.call_id !== call_id || !useCamera.value || !camera || taken.has(still_id)) return;
  taken.add(still_id);
  toast("good", t("sharp-taking"));
  try {
    const { attachPhoto } = await import("./media.js"); // not in the first load
    await attachPhoto(visit_id, await camera.photo(), t("sharp-caption", { name: doctor_name || t("doctor") }));
    toast("good", t("sharp-kept"));
  } catch (error) {
    toast("bad", error instanceof ApiError ? errorText(error) : t("sharp-failed"));
  }
  if (record.value?.visit.visit_id === visit_id) void loadRecord(visit_id).catch(() => {});
}

/** @param {string} callId @param {string} reason */
function over(callId, reason) {
  if (ringing.value?.call_id === callId) ringing.value = null;
  if (callOnScreen.value?.call_id !== callId) return;
  const visitId = callOnScreen.value.visit_id;
  callOnScreen.value = null;
  running.value = -1;
  if (reason === "no_camera") toast("bad", t("call-no-camera"));
  else toast(reason === "failed" ? "warn" : "good", t("call-over"));
  void loadQueue().catch(() => {});
  if (record.value?.visit.visit_id === visitId) void loadRecord(visitId).catch(() => {});
}

/** What the node says of the call that goes on now. @param {any} call null: there is none */
export function foundCall(call) {
  if (!call) {
    if (callOnScreen.value) over(callOnScreen.value.call_id, "");
    ringing.value = null;
    return;
  }
  const info = { call_id: call.call_id, visit_id: call.visit_id, doctor_name: call.doctor_name };
  useCamera.value = call.camera === "tablet";
  if (call.state === "ringing") {
    if (!declined.has(info.call_id)) ringing.value = info;
  } else if (keptInTab("upk-call") === call.call_id && !callOnScreen.value) callOnScreen.value = info;
}

async function accept() {
  const call = ringing.value;
  if (!call) return;
  try {
    await post(`/api/calls/${call.call_id}/accept`, { tablet });
    keepInTab("upk-call", call.call_id);
    line.value = { ...BLANK, state: "connecting" };
    callOnScreen.value = call;
    ringing.value = null;
    go(`/visit/${call.visit_id}`);
  } catch (error) {
    toast("bad", errorText(error));
  }
}

/** @param {CallInfo} call */
async function end(call) {
  declined.add(call.call_id);
  if (ringing.value?.call_id === call.call_id) ringing.value = null;
  try {
    await post(`/api/calls/${call.call_id}/end`);
  } catch (error) {
    toast("warn", errorText(error));
  }
  if (callOnScreen.value?.call_id === call.call_id) over(call.call_id, "");
}

/** Two soft tones a second until somebody answers. */
function useBell() {
  useEffect(() => {
    /** @type {AudioContext|null} */
    let sound = null;
    const ring = () => {
      try {
        sound ??= new AudioContext();
        if (sound.state === "suspended") return;
        [660, 520].forEach((frequency_hz, index) => {
          if (!sound) return;
          const start = sound.currentTime + index * 0.28;
          const tone = sound.createOscillator();
          const volume = sound.createGain();
          tone.frequency.value = frequency_hz;
          volume.gain.setValueAtTime(0.0001, start);
          volume.gain.exponentialRampToValueAtTime(0.25, start + 0.03);
          volume.gain.exponentialRampToValueAtTime(0.0001, start + 0.26);
          tone.connect(volume).connect(sound.destination);
          tone.start(start);
          tone.stop(start + 0.3);
        });
      } catch {
        // a tablet without sound still shows the banner
      }
    };
    ring();
    navigator.vibrate?.([300, 200, 300]);
    const timer = setInterval(ring, 1600);
    return () => {
      clearInterval(timer);
      void sound?.close();
    };
  }, []);
}

export function CallBanner() {
  return ringing.value ? html`<${Ringing} key=${ringing.value.call_id} call=${ringing.value} />` : null;
}

/** The line that says what will work: not in the first load, and nobody waits for it. @type {import("/ui/vendor/signals.js").Signal<((props: {useCamera: boolean}) => any)|null>} */
const Preflight = signal(null);
function loadPreflight() {
  if (Preflight.value) return;
  Promise.all([import("/ui/call/preflight.js"), addWords("call")]).then(([found]) => (Preflight.value = found.Preflight)).catch(() => {});
}

/** @param {{call: CallInfo}} props */
function Ringing({ call }) {
  useBell();
  useEffect(loadPreflight, []);
  const entry = queue.value?.find((one) => one.visit.visit_id === call.visit_id);
  return html`<div class="call-banner" role="alertdialog" aria-label=${t("call-incoming")} data-test="call-banner" data-call=${call.call_id}>
    <div class="grow"><strong><${Icon} name="phone" /> ${call.doctor_name ? t("call-from", { name: call.doctor_name }) : t("call-incoming")}</strong>
      ${entry ? html`<div>${entry.visit.token} · ${entry.patient_name}</div>` : null}
      ${Preflight.value ? html`<${Preflight.value} useCamera=${useCamera.value} />` : null}</div>
    <button type="button" data-test="call-decline" onClick=${() => void end(call)}>${t("call-decline")}</button>
    <button type="button" class="primary big" data-test="call-accept" onClick=${() => void accept()}>${t("call-accept")}</button>
  </div>`;
}

/** Where the link carries no picture, notes and photos of the same visit do: they lie below the call. */
function showNotes() {
  const button = /** @type {HTMLElement|null} */ (document.querySelector('[data-test="note-record"]'));
  if (button) {
    button.scrollIntoView({ block: "center" });
    button.focus();
  } else if (callOnScreen.value) go(`/visit/${callOnScreen.value.visit_id}`);
}

/** What the link carries and why, in plain words. Nothing before it carries anything. */
function ladderLine() {
  const said = bannerLine(line.value);
  return [said.line, said.how].filter(Boolean).map((id) => t(id)).join(" · ");
}

export function CallScreen() {
  const call = callOnScreen.value;
  const video = useRef(/** @type {HTMLVideoElement|null} */ (null));
  const connected = useRef(/** @type {TabletCall|null} */ (null));
  useEffect(() => {
    thirds.value = [];
    if (call) visitMessage(call.visit_id);
  }, [call?.call_id]);
  useEffect(() => {
    if (!call) return undefined;
    leg.value = "connecting";
    const connection = new TabletCall({
      post: async (sdp) => (await post(`/api/calls/${call.call_id}/lan`, { sdp, tablet })).sdp,
      remoteVideo: video.current,
      useCamera: useCamera.value,
      onState: (state) => (leg.value = state),
    });
    connected.current = connection;
    camera = connection;
    connection.start().catch(() => toast("bad", t("camera-refused")));
    incoming.value = { picture: false, seconds: 0, muted: false };
    let frames = 0;
    const timer = setInterval(async () => {
      const seen = await connection.stats();
      const { seconds } = incoming.value;
      incoming.value = {
        picture: seen.frames > frames, muted: Boolean(connection.sound.srcObject) && connection.sound.paused,
        seconds: leg.value === "connected" ? seconds + 1 : 0,
      };
      frames = seen.frames;
    }, 1000);
    return () => {
      clearInterval(timer);
      camera = null;
      connection.close();
    };
  }, [call?.call_id]);
  useEffect(() => {
    if (!call) return undefined;
    // A mark that gets lost on the way is still in the record once it is kept.
    setSender(({ blob_id, mark_id, mark }) => void post(`/api/calls/${call.call_id}/drew`, { blob_id, mark_id, mark }).catch(() => {}));
    return () => {
      setSender(null);
      forgetTheirs();
    };
  }, [call?.call_id]);
  const seenProcess = useRef(-1);
  useEffect(() => {
    const before = seenProcess.current;
    seenProcess.current = running.value;
    if (before > 0 && running.value > before) void connected.current?.restart();
  }, [running.value]);
  if (!call) return null;
  const entry = queue.value?.find((one) => one.visit.visit_id === call.visit_id);
  const state = line.value.state === "connected" || line.value.state === "" ? leg.value : line.value.state;
  return html`<section class="call-screen" aria-label=${t("call")} data-test="call-screen" data-state=${state}>
    <div class="call-picture"><video ref=${video} autoplay playsinline data-test="call-video"></video>
      ${incoming.value.picture || state !== "connected" ? null : html`<p class="call-blank" role="status" data-test="call-blank"><${Icon} name="phone" />
        ${t(incoming.value.seconds < PICTURE_WAIT_S ? "call-doctor-coming" : "call-doctor-sound-only")}</p>`}
      ${incoming.value.muted ? html`<button type="button" class="primary big call-unmute" data-test="call-unmute" onClick=${() => void connected.current?.sound.play()}>
        <${Icon} name="speaker" /> ${t("call-sound-on")}</button>` : null}</div>
    <div class="call-text">
      <strong>${call.doctor_name || t("doctor")}</strong>
      ${others(call).map((one) => html`<strong key=${one.third_id} role="status" data-test="call-third">${t("call-third", { name: one.name, number: one.registration })}</strong>`)}
      ${entry ? html`<span>${entry.visit.token} · ${entry.patient_name}</span>` : null}
      <span data-test="call-state" role="status">${known(`call-state-${state}`) ? t(`call-state-${state}`) : t("call-state-connecting")}</span>
      <span data-test="call-ladder" data-rung=${line.value.rung}>${ladderLine()}</span>
    </div>
    ${line.value.state === "connected" && (line.value.notes || SOUND_ONLY.includes(line.value.rung))
      ? html`<button type="button" class="big" data-test="call-note" onClick=${showNotes}><${Icon} name="speaker" /> ${t("call-note")}</button>` : null}
    ${calledTo.value ? html`<button type="button" class="big" data-test="call-marks" onClick=${() => {
      go(`/visit/${call.visit_id}`);
      shownPhoto.value = calledTo.value;
    }}>${t("call-marks-doctor")}</button>` : null}
    <button type="button" class="danger big" data-test="call-hangup" onClick=${() => void end(call)}>${t("call-hangup")}</button>
  </section>`;
}
