// @ts-check
// What is read out to a patient: a recording of a person, else the node's placeholder, else the tablet's own voice.
import { signal } from "/ui/lib/dom.js";
import { get } from "/ui/lib/http.js";
import { canSpeak, hush, speak } from "/ui/lib/speech.js";

/** @typedef {{prompt_id: string, language: string, path: string, synthetic: boolean}} Prompt */
const LANGUAGE = "hi"; // what the patient hears, whatever the page is in
/** @type {import("/ui/vendor/signals.js").Signal<Prompt[]>} */
const known = signal([]);
/** Path of the prompt that is being played; "" for none. */
export const playing = signal("");
/** @type {HTMLAudioElement|null} */
let sound = null;

export async function loadPrompts() {
  known.value = (await get("/api/prompts")).items;
}

/** @param {string} id @returns {Prompt|undefined} */
export const promptOf = (id) => known.value.find((one) => one.prompt_id === id && one.language === LANGUAGE);
/** Whether anything can read this out. @param {string} id */
export const canPlay = (id) => promptOf(id) !== undefined || canSpeak();

export function stopPrompt() {
  hush();
  sound?.pause();
  sound = null;
  playing.value = "";
}

/** Read a prompt out; what was being said stops. @param {string} id @param {string} text its words */
export function playPrompt(id, text) {
  const found = promptOf(id);
  const again = playing.value === id;
  stopPrompt();
  if (again) return;
  if (!found) {
    speak(text);
    return;
  }
  const mine = new Audio(found.path);
  sound = mine;
  playing.value = id;
  const done = () => {
    if (sound === mine) stopPrompt();
  };
  mine.addEventListener("ended", done);
  mine.play().catch(() => {
    done();
    speak(text);
  });
}
