// @ts-check
// A doctor calls: the ring, taking it, the picture and sound, one honest line, hanging up.
import { bannerLine } from "/ui/call/banner.js";
import { PatientCall } from "/ui/call/patient.js";
import { loadRules } from "/ui/call/peer_ladder.js";
import { html, signal, useEffect, useRef } from "/ui/lib/dom.js";
import { get } from "/ui/lib/http.js";
import { known, t } from "/ui/lib/l10n.js";
import { Icon, toast } from "/ui/lib/parts.js";
import { API, go, keepCall, keptCall, loadVisit, routedVisit, visit } from "./store.js";

/** @typedef {{type: string, call_id: string, visit_id: string, doctor_name: string, ice_servers: any[]}} Ring */
/** @typedef {import("/ui/call/patient.js").PatientFigures} Figures */

const RING_PAUSE_MS = 2000;
const PICTURE = { width: { ideal: 640 }, height: { ideal: 480 }, frameRate: { max: 20 } };

const ringing = signal(/** @type {Ring|null} */ (null));
const running = signal(/** @type {Ring|null} */ (null));
const figures = signal(/** @type {Figures|null} */ (null));
const picture = { element: /** @type {HTMLVideoElement|null} */ (null), track: /** @type {MediaStreamTrack|null} */ (null) };
const ownPicture = { element: /** @type {HTMLVideoElement|null} */ (null) };
/** An element of its own: a video element keeps the sound back until its first picture has come. */
const sound = new Audio();
/** @type {PatientCall|null} */
let call = null;
/** @type {MediaStream|null} */
let own = null;
/** @type {(message: any) => void} */
let send = () => {};

/** @param {(message: any) => void} sender */
export function setSender(sender) {
  send = sender;
}

/** @param {import("/ui/lib/live.js").LiveMessage} message */
export function callMessage(message) {
  if (message.type === "ring") heardRing(/** @type {any} */ (message));
  else if (message.type === "refused" && message.code === "call_elsewhere") {
    if (ringing.value?.call_id === message.call_id) ringing.value = null;
    else if (call && call.callId === message.call_id) call.finish("elsewhere", false);
  } else if (message.type === "refused" && message.code === "call_unknown" && call && call.callId === message.call_id) call.finish("hangup", false);
  else if (message.type === "bye" && ringing.value?.call_id === message.call_id) {
    ringing.value = null;
    toast("warn", t("home-call-missed"));
  } else if (call && message.call_id === call.callId) call.handle(/** @type {any} */ (message));
}

/** @param {Ring} ring */
function heardRing(ring) {
  if (call?.callId === ring.call_id) {
    call.handle(ring);
    return;
  }
  const [callId, attempt] = keptCall().split(":");
  if (callId === ring.call_id && !running.value) void begin(ring, Number(attempt)); // this tab was in it before it was loaded anew
  else if (!running.value) {
    ringing.value = ring;
    if (document.hidden) void notify(t("home-rings"));
  }
}

/** Say something in the telephone's own list while the page is behind others, where that was allowed. @param {string} text */
async function notify(text) {
  if (!("Notification" in window) || Notification.permission !== "granted") return;
  const worker = await navigator.serviceWorker?.getRegistration("/home/");
  await worker?.showNotification(text, { tag: "upkendra-call", requireInteraction: true });
}

async function ownMedia() {
  const audio = { echoCancellation: true, noiseSuppression: true, autoGainControl: true };
  for (const wanted of [{ audio, video: PICTURE }, { audio }]) {
    try {
      return await navigator.mediaDevices.getUserMedia(wanted);
    } catch {
      // a telephone without a camera still has its voice
    }
  }
  toast("bad", t("home-try-bad"));
  return null;
}

/** Take the call. @param {Ring} ring @param {number} [attempt] the last one of this tab, -1 for none */
async function begin(ring, attempt = -1) {
  ringing.value = null;
  running.value = ring;
  figures.value = null;
  go(`/visit/${ring.visit_id}`);
  if (attempt < 0) send({ type: "accept", call_id: ring.call_id, by: "" });
  const [stream, rules, servers] = await Promise.all([
    ownMedia(), loadRules().catch(() => null), get(`${API}/ice-servers`).then((reply) => reply.ice_servers).catch(() => ring.ice_servers),
  ]);
  if (running.value?.call_id !== ring.call_id) { // hung up while the browser asked for the camera
    for (const track of stream?.getTracks() ?? []) track.stop();
    return;
  }
  own = stream;
  if (!rules) { // the network ended with the ring: said and tidied up, instead of connecting for ever with the camera on
    send({ type: "bye", call_id: ring.call_id, reason: "failed" });
    over("failed");
    return;
  }
  if (ownPicture.element) ownPicture.element.srcObject = own;
  call = new PatientCall({
    callId: ring.call_id, iceServers: servers, rules, localStream: own, attempt, onEnd: over,
    send: (message) => {
      if (message.type === "offer") keepCall(`${ring.call_id}:${message.attempt}`);
      send(message);
    },
    onFigures: (now) => (figures.value = now),
    onTrack: (track) => {
      if (track.kind === "audio") play(sound, track);
      else {
        picture.track = track;
        if (picture.element) play(picture.element, track);
      }
    },
  });
}

/** @param {HTMLMediaElement} element @param {MediaStreamTrack} track */
function play(element, track) {
  element.srcObject = new MediaStream([track]);
  element.play().catch(() => {}); // somebody touched the page to take the call; after a reload the next touch does
}

/** @param {string} reason */
function over(reason) {
  const ring = running.value;
  for (const track of own?.getTracks() ?? []) track.stop();
  own = null;
  call = null;
  picture.track = null;
  sound.srcObject = null;
  running.value = null;
  keepCall("");
  toast(reason === "failed" ? "warn" : "good", t(reason === "failed" ? "home-call-failed" : "call-over"));
  if (ring && routedVisit() === ring.visit_id) void loadVisit(ring.visit_id).catch(() => {});
}

function decline() {
  if (ringing.value) send({ type: "bye", call_id: ringing.value.call_id, reason: "declined" });
  ringing.value = null;
}

function hangUp() {
  if (call) call.close();
  else if (running.value) {
    send({ type: "bye", call_id: running.value.call_id, reason: "hangup" });
    over("hangup");
  }
}

window.addEventListener("pagehide", () => call?.report());

/** Two soft tones and a shake until somebody answers. */
function useBell() {
  useEffect(() => {
    /** @type {AudioContext|null} */
    let context = null;
    const ring = () => {
      navigator.vibrate?.([300, 150, 300]);
      try {
        context ??= new AudioContext();
        if (context.state === "suspended") return;
        [660, 520].forEach((frequency_hz, index) => {
          if (!context) return;
          const begin_s = context.currentTime + index * 0.28;
          const tone = context.createOscillator();
          const gain = context.createGain();
          tone.frequency.value = frequency_hz;
          gain.gain.setValueAtTime(0.2, begin_s);
          gain.gain.exponentialRampToValueAtTime(0.001, begin_s + 0.25);
          tone.connect(gain).connect(context.destination);
          tone.start(begin_s);
          tone.stop(begin_s + 0.26);
        });
      } catch {
        // a page that was never touched stays silent; the screen says it
      }
    };
    ring();
    const timer = setInterval(ring, RING_PAUSE_MS);
    return () => {
      clearInterval(timer);
      void context?.close();
    };
  }, []);
}

/** @param {{ring: Ring}} props */
function Ringing({ ring }) {
  useBell();
  const take = useRef(/** @type {HTMLButtonElement|null} */ (null));
  useEffect(() => take.current?.focus(), []);
  const now = visit.value?.visit_id === ring.visit_id ? visit.value : null;
  return html`<section class="call-full" role="alertdialog" aria-label=${t("home-rings")} data-test="home-ring"><h1>${t("home-rings")}</h1><p class="lead">${ring.doctor_name}</p>
    ${now?.doctor_registration ? html`<p>${[now.doctor_qualification, t("home-registration", { number: now.doctor_registration })].filter(Boolean).join(" · ")}</p>` : null}
    <button type="button" ref=${take} class="primary big" data-test="home-accept" onClick=${() => void begin(ring)}><${Icon} name="phone" /> ${t("home-accept")}</button>
    <button type="button" data-test="home-decline" onClick=${decline}>${t("home-decline")}</button></section>`;
}

/** @param {{ring: Ring}} props */
function Running({ ring }) {
  const video = useRef(/** @type {HTMLVideoElement|null} */ (null));
  const small = useRef(/** @type {HTMLVideoElement|null} */ (null));
  useEffect(() => {
    picture.element = video.current;
    ownPicture.element = small.current;
    if (picture.element && picture.track) play(picture.element, picture.track);
    if (ownPicture.element && own) ownPicture.element.srcObject = own;
  }, []);
  const now = figures.value;
  const state = now?.state ?? "connecting";
  const said = bannerLine({
    state, rung: now?.rung ?? "", notes: now?.notes ?? false, relayed: false, silent: now?.silent ?? false, attempt: Math.max(now?.attempt ?? 0, 0), restarted: false,
  });
  const words = `home-call-${state}`;
  const seen = visit.value?.visit_id === ring.visit_id ? visit.value.thirds ?? [] : [];
  const others = seen.filter((one) => one.call_id === ring.call_id && !one.left_ms);
  return html`<section class="call-full" aria-label=${t("call")} data-test="home-call" data-state=${state} data-rung=${now?.rung ?? ""}>
    <div class="call-picture"><video ref=${video} autoplay playsinline data-test="home-call-video" aria-label=${t("home-doctor-picture")}></video>
      ${now && now.fps < 0.5 ? html`<p class="call-blank">${t("home-no-picture")}</p>` : null}
      <video ref=${small} class="own" autoplay playsinline muted hidden=${!own?.getVideoTracks().length} aria-label=${t("home-own-picture")}></video></div>
    <div class="call-words"><strong role="status">${known(words) ? t(words, { name: ring.doctor_name }) : ""}</strong>
      ${others.map((one) => html`<strong key=${one.third_id} role="status" data-test="home-call-third">${t("call-third", { name: one.name, number: one.registration })}</strong>`)}
      <span data-test="home-call-line" data-audio=${String(Math.round(now?.received.audio_s ?? 0))} data-frames=${String(now?.received.frames ?? 0)}>${said.line ? t(said.line) : ""}</span></div>
    <button type="button" class="danger big" data-test="home-hangup" onClick=${hangUp}>${t("call-hangup")}</button></section>`;
}

export function CallScreen() {
  if (running.value) return html`<${Running} key=${running.value.call_id} ring=${running.value} />`;
  return ringing.value ? html`<${Ringing} key=${ringing.value.call_id} ring=${ringing.value} />` : null;
}
