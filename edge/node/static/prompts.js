// @ts-check
// What is read out to a patient: a recording of a person, else the node's placeholder, else the tablet's own voice; and
// words that were written for one patient, by the tablet's own voice, else by the node's: never by one that asks a
// server on the internet, which would hear what was prescribed.
import { signal } from "/ui/lib/dom.js";
import { errorText } from "/ui/lib/errors.js";
import { api, get } from "/ui/lib/http.js";
import { toast } from "/ui/lib/parts.js";
import { canSpeak, hush, speak, speaksAlone } from "/ui/lib/speech.js";

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

/** Whether the node can read out. */
const nodeSpeaks = signal(false);
export async function loadVoice() {
  nodeSpeaks.value = (await get("/api/voice")).speaks;
}
/** Whether a text can be read out, here or by the node. */
export const canReadOut = () => speaksAlone() || nodeSpeaks.value;

/** First aid, spoken. @type {import("/ui/vendor/signals.js").Signal<Prompt[]>} */
const aid = signal([]);
export async function loadAid() {
  if (aid.value.length === 0) aid.value = (await get("/api/first-aid/prompts")).items;
}
/** @param {string} language @returns {string[]} */
export const aidPaths = (language) => aid.value.filter((one) => one.language === language).map((one) => one.path).sort();

export function stopPrompt() {
  hush();
  sound?.pause();
  sound = null;
  playing.value = "";
}

/** Sounds one after the other; why one cannot be played, null when all were or somebody stopped them. @param {string} id @param {Iterable<string|Promise<Blob>>} pieces @returns {Promise<unknown>} */
async function playAll(id, pieces) {
  const mine = new Audio();
  sound = mine;
  playing.value = id;
  try {
    for (const piece of pieces) {
      const made = typeof piece === "string" ? "" : URL.createObjectURL(await piece);
      try {
        if (sound !== mine) return null;
        mine.src = made || /** @type {string} */ (piece);
        const over = new Promise((resolve) => {
          for (const name of ["ended", "pause", "error"]) mine.addEventListener(name, resolve, { once: true });
        });
        await mine.play();
        await over;
      } finally {
        if (made) URL.revokeObjectURL(made);
      }
      if (sound !== mine) return null;
    }
    return null;
  } catch (error) {
    return sound === mine ? error : null;
  } finally {
    if (sound === mine) stopPrompt();
  }
}

/** Read a prompt out; what was being said stops. @param {string} id @param {string} text its words */
export async function playPrompt(id, text) {
  const found = promptOf(id);
  const again = playing.value === id;
  stopPrompt();
  if (again) return;
  if (!found || (await playAll(id, [found.path])) !== null) speak(text);
}

/** First aid in the page's language. @param {string} language */
export async function playAid(language) {
  const again = playing.value === "aid";
  stopPrompt();
  if (!again) await playAll("aid", aidPaths(language));
}

const PIECE_MAX = 300;

/** A text in pieces that the node reads out at once, cut at ends of sentences where it can. @param {string} text @returns {string[]} */
function piecesOf(text) {
  const pieces = [""];
  for (const part of text.match(/[^।.;,!?\n]{1,280}[।.;,!?\n]*|[।.;,!?\n]+/g) ?? []) {
    const last = pieces.length - 1;
    if ((pieces[last] + part).length <= PIECE_MAX) pieces[last] += part;
    else pieces.push(part.slice(0, PIECE_MAX));
  }
  return pieces.map((piece) => piece.trim()).filter((piece) => /[\p{L}\p{N}]/u.test(piece));
}

/** One piece after the other, each asked for while the one before is heard. @param {string[]} pieces @returns {Generator<Promise<Blob>>} */
function* soundsOf(pieces) {
  const ask = (/** @type {string} */ text) => {
    const made = api("POST", "/api/voice", { text, language: LANGUAGE }, { sound: true, timeout_ms: 30_000 });
    made.catch(() => {});
    return made;
  };
  let next = pieces[0] === undefined ? undefined : ask(pieces[0]);
  for (let at = 1; next !== undefined; at += 1) {
    const now = next;
    const following = pieces[at];
    next = following === undefined ? undefined : now.then(() => ask(following));
    next?.catch(() => {});
    yield now;
  }
}

/** Read lines of one patient out in Hindi: by the tablet's own voice, else by the node's; what does not work is said. Again: stop. @param {string} id @param {string[]} lines */
export async function readOut(id, lines) {
  const again = playing.value === id;
  stopPrompt();
  if (again) return;
  if (speaksAlone()) {
    speak(...lines);
    return;
  }
  const wrong = await playAll(id, soundsOf(lines.filter(Boolean).flatMap(piecesOf)));
  if (wrong !== null) toast("bad", errorText(wrong));
}
