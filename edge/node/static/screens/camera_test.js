// @ts-check
// The technician's test of cameras and sound: what this tablet sees and hears now, a tone of its loudspeaker, and one
// picture of the node's own camera. Nothing of it is kept, and nothing of the tablet's leaves the tablet.
import { html, useEffect, useRef, useSignal } from "/ui/lib/dom.js";
import { api } from "/ui/lib/http.js";
import { clockTime, t } from "/ui/lib/l10n.js";
import { errorText } from "../commands.js";
import { status } from "../store.js";

const LISTEN_MS = 100;
/** A camera that has given no picture by then gives none. */
const PICTURE_MOST_MS = 6000;
/** What was heard counts for so long, so that the words do not change with each syllable. */
const HEARD_MS = 2000;
/** Loudest sample, against full scale: the foot of the meter, and what is no longer the microphone's own noise (our choice). */
const FOOT_DB = -60;
const HEARD_DB = -40;
/** More than one look, so that nothing falls between two. */
const SAMPLES = 8192;
const TONE_HZ = 660;
const TONE_S = 1;
const TONE_GAIN = 0.3;
/** The node opens its camera, and waits for its light. */
const STILL_MOST_MS = 40_000;
/** No help of the browser: what is tested is the microphone. */
const WANTED = {
  video: { width: { ideal: 640 }, height: { ideal: 480 } },
  audio: { echoCancellation: false, noiseSuppression: false, autoGainControl: false },
};

/** @typedef {"refused"|"missing"|"busy"} Trouble why a device does not open */

/** @param {unknown} error @returns {Trouble} */
function troubleOf(error) {
  const name = error instanceof DOMException ? error.name : "";
  if (name === "NotAllowedError" || name === "SecurityError") return "refused";
  return name === "NotFoundError" || name === "OverconstrainedError" ? "missing" : "busy";
}

/** Camera and microphone by one question; where one of them does not open, each by itself. @returns {Promise<(MediaStreamTrack|Trouble)[]>} */
async function openBoth() {
  try {
    const both = await navigator.mediaDevices.getUserMedia(WANTED);
    return [both.getVideoTracks()[0] ?? "missing", both.getAudioTracks()[0] ?? "missing"];
  } catch {
    return [await openOne("video"), await openOne("audio")];
  }
}

/** @param {"video"|"audio"} kind @returns {Promise<MediaStreamTrack|Trouble>} */
async function openOne(kind) {
  try {
    return (await navigator.mediaDevices.getUserMedia({ [kind]: WANTED[kind] })).getTracks()[0] ?? "missing";
  } catch (error) {
    return troubleOf(error);
  }
}

export function CameraTest() {
  const open = useSignal(false);
  const secure = Boolean(navigator.mediaDevices?.getUserMedia);
  return html`<section class="card stack tight" data-test="tech-camera" aria-label=${t("camera-test")}><h2>${t("camera-test")}</h2>
    <h3>${t("camera-tablet")}</h3>
    ${secure ? html`<div class="row"><button type="button" data-test="tablet-test" aria-expanded=${String(open.value)}
        onClick=${() => (open.value = !open.value)}>${t(open.value ? "camera-close" : "camera-open")}</button></div>
      ${open.value ? html`<${Tablet} />` : html`<p class="soft">${t("camera-hint")}</p>`}`
    : html`<p class="notice warn" data-test="tablet-no-https">${t("camera-no-https")}</p>`}
    <${Tone} />
    <h3>${t("camera-own")}</h3>
    <${Own} />
  </section>`;
}

/** Camera and microphone of this tablet; open for as long as this is on the page. */
function Tablet() {
  const picture = useSignal("opening");
  const sound = useSignal("opening");
  const level = useSignal(0);
  const video = useRef(/** @type {HTMLVideoElement|null} */ (null));
  useEffect(() => {
    const listening = new AudioContext();
    /** @type {MediaStreamTrack[]} */
    let tracks = [];
    /** @type {ReturnType<typeof setInterval>|undefined} */
    let timer;
    /** @type {ReturnType<typeof setTimeout>|undefined} */
    let late;
    let gone = false;
    const release = () => {
      if (gone) return;
      gone = true;
      clearInterval(timer);
      clearTimeout(late);
      for (const track of tracks) track.stop();
      if (video.current) video.current.srcObject = null;
      void listening.close();
    };
    const listen = (/** @type {MediaStreamTrack} */ track) => {
      const ear = listening.createAnalyser();
      ear.fftSize = SAMPLES;
      listening.createMediaStreamSource(new MediaStream([track])).connect(ear);
      void listening.resume();
      const samples = new Float32Array(SAMPLES);
      let heard_ms = -HEARD_MS;
      sound.value = "silent";
      timer = setInterval(() => {
        ear.getFloatTimeDomainData(samples);
        const db = 20 * Math.log10(samples.reduce((most, one) => Math.max(most, Math.abs(one)), 1e-6));
        level.value = Math.round(100 * Math.min(1, Math.max(0, 1 - db / FOOT_DB)));
        if (db >= HEARD_DB) heard_ms = performance.now();
        if (track.readyState === "live") sound.value = performance.now() - heard_ms < HEARD_MS ? "heard" : "silent";
      }, LISTEN_MS);
    };
    void openBoth().then(([camera, microphone]) => {
      tracks = [camera, microphone].filter((one) => typeof one !== "string");
      if (gone) { // closed while the browser asked
        for (const track of tracks) track.stop();
        return;
      }
      if (typeof camera === "string") picture.value = camera;
      else {
        camera.addEventListener("ended", () => (picture.value = "busy"));
        late = setTimeout(() => picture.value === "opening" && (picture.value = "nothing"), PICTURE_MOST_MS);
        if (video.current) video.current.srcObject = new MediaStream([camera]);
      }
      if (typeof microphone === "string") sound.value = microphone;
      else {
        microphone.addEventListener("ended", () => (sound.value = "busy"));
        listen(microphone);
      }
    });
    window.addEventListener("pagehide", release);
    return () => {
      window.removeEventListener("pagehide", release);
      release();
    };
  }, []);
  const seen = picture.value === "live" || picture.value === "opening";
  const heard = sound.value === "heard" || sound.value === "silent";
  return html`<div class="stack tight">
    <video ref=${video} class="camera-view" autoplay muted playsinline hidden=${!seen} aria-label=${t("camera-picture")} onLoadedData=${() => (picture.value = "live")}></video>
    <p class=${seen ? "" : "notice warn"} role="status" data-test="tablet-picture" data-state=${picture.value}>${t(`camera-picture-${picture.value}`)}</p>
    ${heard ? html`<meter class="camera-level" min="0" max="100" value=${level.value} aria-label=${t("camera-level")} data-test="tablet-level"></meter>` : null}
    <p class=${heard || sound.value === "opening" ? "" : "notice warn"} role="status" data-test="tablet-sound" data-state=${sound.value}>${t(`camera-sound-${sound.value}`)}</p>
  </div>`;
}

/** Soft at both ends, so that it does not crack. @param {AudioContext} sound @returns {Promise<unknown>} when it has ended */
function tone(sound) {
  const made = sound.createOscillator();
  const volume = sound.createGain();
  const start_s = sound.currentTime;
  made.frequency.value = TONE_HZ;
  volume.gain.setValueAtTime(0, start_s);
  volume.gain.linearRampToValueAtTime(TONE_GAIN, start_s + 0.05);
  volume.gain.setValueAtTime(TONE_GAIN, start_s + TONE_S - 0.05);
  volume.gain.linearRampToValueAtTime(0, start_s + TONE_S);
  made.connect(volume).connect(sound.destination);
  made.start(start_s);
  made.stop(start_s + TONE_S);
  return new Promise((done) => (made.onended = done));
}

/** A tone of this tablet's loudspeaker. */
function Tone() {
  const state = useSignal("");
  const sound = useRef(/** @type {AudioContext|null} */ (null));
  const close = () => {
    void sound.current?.close();
    sound.current = null;
  };
  useEffect(() => close, []);
  const play = async () => {
    if (sound.current) return; // it sounds already
    try {
      const made = (sound.current = new AudioContext());
      state.value = "playing";
      await made.resume();
      await tone(made);
      state.value = "played";
    } catch {
      state.value = "failed";
    }
    close();
  };
  return html`<div class="row"><button type="button" data-test="tone-play" aria-busy=${String(state.value === "playing")} onClick=${() => void play()}>${t("camera-tone")}</button></div>
    <p class=${state.value === "failed" ? "notice warn" : "soft"} role="status" data-test="tone-state" data-state=${state.value}>${state.value ? t(`camera-tone-${state.value}`) : null}</p>`;
}

/** One picture of the camera of the centre; it lies in this page only, and goes with it. */
function Own() {
  const still = useSignal(/** @type {import("/ui/api").CameraStill|null} */ (null));
  const busy = useSignal(false);
  const wrong = useSignal("");
  if (!status.value?.own_camera) return html`<p class="soft" data-test="own-none">${t("camera-own-none")}</p>`;
  const take = async () => {
    if (busy.value) return;
    busy.value = true;
    wrong.value = "";
    still.value = null;
    try {
      still.value = await api("POST", "/api/camera/still", undefined, { timeout_ms: STILL_MOST_MS });
    } catch (error) {
      wrong.value = errorText(error);
    }
    busy.value = false;
  };
  const shown = still.value;
  return html`<div class="row"><button type="button" data-test="own-still" aria-busy=${String(busy.value)} onClick=${() => void take()}>${t("camera-own-take")}</button></div>
    <p class="soft" role="status" data-test="own-state" data-state=${busy.value ? "taking" : shown ? "taken" : ""}>${busy.value ? t("camera-own-taking")
      : shown ? t("camera-own-taken", { time: clockTime(shown.taken_ms), width: String(shown.width), height: String(shown.height) }) : t("camera-own-hint")}</p>
    ${wrong.value ? html`<p class="notice warn" role="alert" data-test="own-wrong">${wrong.value}</p>` : null}
    ${shown ? html`<img class="camera-view" src=${`data:image/webp;base64,${shown.webp}`} alt=${t("camera-own-alt", { time: clockTime(shown.taken_ms) })} data-test="own-picture" />` : null}`;
}
