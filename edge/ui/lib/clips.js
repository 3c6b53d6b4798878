// @ts-check
// Records a short clip with this device's camera, seen while it is recorded. Knows no page and no server.
import { html, useEffect, useRef, useSignal } from "./dom.js";
import { t } from "./l10n.js";
import { toast } from "./parts.js";

export const MOST_S = 30;
/** Shorter than this there may be no picture in it. */
const LEAST_S = 1;
const PICTURE_BPS = 1_600_000;
const SOUND_BPS = 32_000;
const TYPES = ["video/webm;codecs=vp8,opus", "video/webm;codecs=vp9,opus"];

/**
 * The recorder's dialog: the camera's picture, a button to begin and to end, a count of seconds.
 * @param {{onClip: (clip: Blob) => void, onClose: () => void}} props
 */
export function ClipRecorder({ onClip, onClose }) {
  const seconds = useSignal(-1);
  const ready = useSignal(false);
  const picture = useRef(/** @type {HTMLVideoElement|null} */ (null));
  const dialog = useRef(/** @type {HTMLDialogElement|null} */ (null));
  const stream = useRef(/** @type {MediaStream|null} */ (null));
  const recorder = useRef(/** @type {MediaRecorder|null} */ (null));
  const timer = useRef(/** @type {ReturnType<typeof setInterval>|undefined} */ (undefined));
  const stop = () => recorder.current?.state === "recording" && recorder.current.stop();
  useEffect(() => {
    let gone = false;
    dialog.current?.showModal();
    const type = TYPES.find((one) => window.MediaRecorder && MediaRecorder.isTypeSupported(one));
    const opened = type ? navigator.mediaDevices.getUserMedia({
      video: { width: { ideal: 640 }, height: { ideal: 480 }, frameRate: { ideal: 24, max: 30 }, facingMode: "environment" },
      audio: { echoCancellation: false, noiseSuppression: false },
    }) : Promise.reject(new Error("no recorder"));
    opened.then((found) => {
      if (gone) {
        for (const track of found.getTracks()) track.stop();
        return;
      }
      stream.current = found;
      if (picture.current) picture.current.srcObject = found;
      recorder.current = new MediaRecorder(found, { mimeType: type, videoBitsPerSecond: PICTURE_BPS, audioBitsPerSecond: SOUND_BPS });
      ready.value = true;
    }).catch(() => {
      toast("bad", t(type ? "clip-no-camera" : "error-clip-codec"));
      onClose();
    });
    return () => {
      gone = true;
      clearInterval(timer.current);
      if (recorder.current) recorder.current.onstop = null;
      stop();
      for (const track of stream.current?.getTracks() ?? []) track.stop();
    };
  }, []);
  const start = () => {
    const made = recorder.current;
    if (!made || made.state !== "inactive") return;
    /** @type {Blob[]} */
    const pieces = [];
    seconds.value = 0;
    timer.current = setInterval(() => {
      seconds.value += 1;
      if (seconds.value >= MOST_S) stop();
    }, 1000);
    made.ondataavailable = (event) => event.data.size > 0 && pieces.push(event.data);
    made.onstop = () => {
      clearInterval(timer.current);
      onClip(new Blob(pieces, { type: "video/webm" }));
    };
    made.start();
  };
  const running = seconds.value >= 0;
  return html`<dialog ref=${dialog} class="clip-dialog" aria-label=${t("clip-title")} data-test="clip-dialog" onCancel=${onClose}><div class="stack tight">
    <h2>${t("clip-title")}</h2>
    <video ref=${picture} autoplay muted playsinline aria-label=${t("clip-picture")}></video>
    <p class="num" role=${running ? "timer" : "status"} data-test="clip-seconds" data-seconds=${seconds.value}>${running ? t("clip-running", { seconds: seconds.value, most: MOST_S })
      : ready.value ? t("clip-ready", { most: MOST_S }) : t("clip-opening")}</p>
    <div class="row">
      <button type="button" data-test="clip-cancel" onClick=${onClose}>${t("cancel")}</button>
      ${running ? html`<button type="button" class="danger big" data-test="clip-stop" disabled=${seconds.value < LEAST_S} onClick=${stop}>${t("clip-stop")}</button>`
      : html`<button type="button" class="primary big" data-test="clip-start" disabled=${!ready.value} onClick=${start}>${t("clip-start")}</button>`}
    </div></div></dialog>`;
}

/**
 * Records with the camera of the centre, for which this page only gives the words.
 * @param {{busy: boolean, begin: () => Promise<void>, end: () => Promise<void>}} props `end` comes back when the clip is kept
 */
export function OwnCameraButton({ busy, begin, end }) {
  const seconds = useSignal(-1);
  const timer = useRef(/** @type {ReturnType<typeof setInterval>|undefined} */ (undefined));
  useEffect(() => () => clearInterval(timer.current), []);
  const stop = () => {
    clearInterval(timer.current);
    seconds.value = -1;
    void end();
  };
  const start = async () => {
    try {
      await begin();
    } catch {
      return; // said by who asked
    }
    seconds.value = 0;
    timer.current = setInterval(() => {
      seconds.value += 1;
      if (seconds.value >= MOST_S) stop();
    }, 1000);
  };
  const running = seconds.value >= 0;
  return html`<button type="button" class=${running ? "danger" : ""} data-test=${running ? "clip-own-stop" : "clip-own"} disabled=${running ? seconds.value < LEAST_S : busy}
    onClick=${() => (running ? stop() : void start())}>${running ? t("clip-own-stop", { seconds: seconds.value }) : t("clip-own")}</button>`;
}
