// @ts-check
// The board of the waiting room: whose turn it is and who comes next, by token number, in both languages; calls the
// token by voice. Nobody logs in here and nothing else is known here. Asks again by itself after any failure.
import { html, render, signal } from "/ui/lib/dom.js";
import { get } from "/ui/lib/http.js";
import { addWords, clockTime, ensureLanguage, say, startLanguage } from "/ui/lib/l10n.js";

const ASK_MS = 2000;
const FRESH_MS = 20_000;
const LANGUAGES = /** @type {const} */ (["hi", "en"]);

/** @typedef {{token: string, digits: string, at_ms: number, times: number}} Called */
/** @typedef {{site_name: string, demo: boolean, training: boolean, locked: boolean, time_ms: number, called: Called[], waiting: string[], more: number}} Board */
/** @type {import("/ui/vendor/signals.js").Signal<Board|null>} */
const board = signal(null);
const away = signal(false);
/** The browser lets a page sound only after somebody has touched it, unless it was started as a kiosk. */
const mute = signal(false);
/** Token and times of the last call that was said here; null before the first answer, which says nothing. @type {string|null} */
let said = null;
let speaking = Promise.resolve();

/** @param {Called|undefined} one */
const nameOf = (one) => (one ? `${one.token}/${one.times}` : "");

async function ask() {
  try {
    const now = /** @type {Board} */ (await get("/api/board"));
    board.value = now;
    away.value = false;
    const latest = now.called[0];
    if (latest && said !== null && nameOf(latest) !== said) {
      const { digits } = latest;
      speaking = speaking.then(() => call(digits));
    }
    if (!now.locked) said = nameOf(latest);
  } catch {
    away.value = true;
  }
  setTimeout(() => void ask(), ASK_MS);
}

/** Say a call in both languages, piece by piece; a piece without a file is left out. @param {string} digits */
async function call(digits) {
  try {
    const files = (await get("/api/board/prompts")).items;
    for (const language of LANGUAGES) {
      const pieces = ["board-token", ...[...digits].map((digit) => `board-digit-${digit}`), "board-come"];
      for (const piece of pieces) {
        const found = files.find((/** @type {any} */ one) => one.prompt_id === piece && one.language === language);
        if (found) await play(found.path);
      }
    }
    mute.value = false;
  } catch (error) {
    mute.value = error instanceof DOMException && error.name === "NotAllowedError";
  }
}

/** @param {string} path @returns {Promise<void>} when it has ended */
function play(path) {
  const sound = new Audio(path);
  return new Promise((done, failed) => {
    sound.addEventListener("ended", () => done());
    sound.addEventListener("error", () => done());
    sound.play().catch(failed);
  });
}

/** A message in both languages. @param {{id: string, args?: Record<string, string|number>}} props */
const Both = ({ id, args }) => html`<span lang="hi">${say("hi", id, args)}</span> <span class="en" lang="en">${say("en", id, args)}</span>`;

function Page() {
  const now = board.value;
  const [latest, ...before] = now?.called ?? [];
  const fresh = latest && now && now.time_ms - latest.at_ms < FRESH_MS;
  return html`<header><h1>${now?.site_name ?? ""}</h1>
      ${now?.demo ? html`<span class="demo">${say("hi", now.training ? "training-mark" : "demo-mark")}</span>` : null}
      <span class="clock">${now ? clockTime(now.time_ms) : ""}</span></header>
    ${away.value ? html`<p class="line" role="alert" data-test="board-away"><${Both} id="board-away" /></p>` : null}
    ${mute.value ? html`<div><button type="button" data-test="board-sound" onClick=${() => latest && void call(latest.digits)}>${say("hi", "board-sound")} · ${say("en", "board-sound")}</button></div>` : null}
    <main tabindex="-1">
      <section aria-live="polite"><h2 lang="hi">${say("hi", "board-now")}<span lang="en">${say("en", "board-now")}</span></h2>
        ${now?.locked ? html`<p class="empty" data-test="board-locked"><span><${Both} id="board-locked" /></span></p>`
          : latest ? html`<p class=${fresh ? "now fresh" : "now"} data-test="board-called" data-times=${latest.times}><span class="code">${latest.token.slice(0, latest.token.lastIndexOf("-") + 1)}</span>${latest.digits}</p>`
          : html`<p class="empty" data-test="board-nobody"><span><${Both} id="board-nobody" /></span></p>`}
        ${before.length > 0 ? html`<ul class="before" aria-label=${say("hi", "board-before")}>${before.map((one) => html`<li key=${one.token}>${one.token}</li>`)}</ul>` : null}
      </section>
      <section><h2 lang="hi">${say("hi", "board-next")}<span lang="en">${say("en", "board-next")}</span></h2>
        <ul class="next" data-test="board-waiting">${(now?.waiting ?? []).map((token) => html`<li key=${token}>${token}</li>`)}</ul>
        ${now && now.more > 0 ? html`<p class="more"><${Both} id="board-more" args=${{ n: now.more }} /></p>` : null}
      </section>
    </main>`;
}

async function start() {
  try {
    await addWords("board"); // first: each language then comes with them
    await Promise.all([startLanguage("hi"), ensureLanguage("hi"), ensureLanguage("en")]);
  } catch {
    setTimeout(() => void start(), ASK_MS);
    return;
  }
  render(html`<${Page} />`, /** @type {HTMLElement} */ (document.getElementById("board")));
  void ask();
}
void start();
