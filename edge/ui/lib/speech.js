// @ts-check
// Lines for the patient, spoken by the tablet's own Hindi voice where it has one.
import { signal } from "./dom.js";

/** Browsers bring their voices some time after the page: what shows whether there is one is drawn again then. */
const changes = signal(0);
if ("speechSynthesis" in window) speechSynthesis.addEventListener("voiceschanged", () => (changes.value += 1));

/** @returns {SpeechSynthesisVoice|undefined} */
function hindiVoice() {
  if (!("speechSynthesis" in window)) return undefined;
  void changes.value;
  const hindi = speechSynthesis.getVoices().filter((voice) => voice.lang.toLowerCase().startsWith("hi"));
  return hindi.find((voice) => voice.localService) ?? hindi[0];
}

/** True when that voice is in the tablet: others ask a server on the internet. */
export const speaksAlone = () => hindiVoice()?.localService === true;

/** True when this tablet can speak Hindi. */
export function canSpeak() {
  return hindiVoice() !== undefined;
}

/** Say lines in Hindi; what was being said stops. @param {...string} lines */
export function speak(...lines) {
  const voice = hindiVoice();
  if (!voice) return;
  speechSynthesis.cancel();
  for (const line of lines.filter(Boolean)) {
    const words = new SpeechSynthesisUtterance(line);
    words.voice = voice;
    words.lang = "hi-IN";
    words.rate = 0.9;
    speechSynthesis.speak(words);
  }
}

export function hush() {
  if ("speechSynthesis" in window) speechSynthesis.cancel();
}
