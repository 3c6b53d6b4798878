// @ts-check
// A button that records the microphone and hands over what was said. Knows no page and no server.
import { html, useEffect, useRef, useSignal } from "./dom.js";
import { t } from "./l10n.js";
import { toast } from "./parts.js";

const MOST_S = 120;
const BPS = 12_000;

/**
 * @param {{busy: boolean, name: string, text: string, onNote: (note: Blob) => void}} props `name` of the control for scripts:
 *   `<name>-record`, `<name>-stop`
 */
export function RecordButton({ busy, name, text, onNote }) {
  const seconds = useSignal(-1);
  const recorder = useRef(/** @type {MediaRecorder|null} */ (null));
  const gone = useRef(false);
  const stop = () => recorder.current?.state === "recording" && recorder.current.stop();
  useEffect(() => () => {
    gone.current = true;
    if (recorder.current) recorder.current.ondataavailable = null;
    stop();
  }, []);
  const start = async () => {
    try {
      const stream = await navigator.mediaDevices.getUserMedia({ audio: { echoCancellation: true, noiseSuppression: true, channelCount: 1 } });
      if (gone.current) { // the page went on while the browser asked for the microphone: nobody sees that it records
        for (const track of stream.getTracks()) track.stop();
        return;
      }
      const type = ["audio/webm;codecs=opus", "audio/ogg;codecs=opus"].find((one) => MediaRecorder.isTypeSupported(one)) ?? "";
      const made = new MediaRecorder(stream, { mimeType: type, audioBitsPerSecond: BPS });
      recorder.current = made;
      seconds.value = 0;
      const timer = setInterval(() => {
        seconds.value += 1;
        if (seconds.value >= MOST_S) stop();
      }, 1000);
      made.ondataavailable = (event) => event.data.size > 0 && onNote(event.data);
      made.onstop = () => {
        clearInterval(timer);
        seconds.value = -1;
        for (const track of stream.getTracks()) track.stop();
      };
      made.start();
    } catch {
      toast("bad", t("note-no-microphone"));
    }
  };
  const running = seconds.value >= 0;
  return html`<button type="button" class=${running ? "danger" : ""} data-test=${running ? `${name}-stop` : `${name}-record`} disabled=${busy && !running}
    onClick=${() => (running ? stop() : void start())}>${running ? t("note-stop", { seconds: seconds.value }) : text}</button>`;
}
