// @ts-check
// Commands on their way to the node, in order. One that the node did not answer stays in memory and
// is sent again under the same id, so that it is recorded once; the page says so meanwhile. It goes out only
// as the person who said it: when somebody else has logged in, it waits until that person is back. One that is not answered at
// once is sealed in the tablet too, and comes back after a reload.
import { computed, signal } from "/ui/lib/dom.js";
import { ApiError, api } from "/ui/lib/http.js";
import { newId } from "/ui/lib/ids.js";
import { errorText } from "/ui/lib/errors.js";
import { toast } from "/ui/lib/parts.js";
import { drop, seal } from "./sealed.js";
import { heardVisit, staff } from "./store.js";

const RETRY_MS = 2000;
const SEAL_AFTER_MS = 250;

/** @typedef {{type: string, [field: string]: unknown}} CommandBody */
/** @typedef {{ok: true, reply: any} | {ok: false, error: ApiError} | {ok: false, waiting: true}} Outcome */
/** @typedef {{body: CommandBody & {command_id: string}, by: string, said_ms: number, settle: (outcome: Outcome) => void, failed: boolean}} Waiting `by`: the staff id of who said it */

/** @type {import("/ui/vendor/signals.js").Signal<Waiting[]>} */
const waiting = signal([]);
/** How many commands the node has not taken yet although we tried. */
export const unsaved = computed(() => waiting.value.filter((entry) => entry.failed).length);
/** How many commands of the person who is logged in the node has not answered. */
export const underWay = computed(() => waiting.value.filter((entry) => entry.by === staff.value?.staff_id).length);
/** Whether the node has not answered something that was said of a visit, by whomever. @param {string} visitId */
export const isBehind = (visitId) => waiting.value.some((entry) => entry.body.visit_id === visitId);
/** Staff ids of others whose commands wait for them. */
export const waitsFor = computed(() => [...new Set(waiting.value.map((entry) => entry.by))].filter((by) => by !== staff.value?.staff_id));
let running = false;
/** Ids of commands of this page, the latest. @type {string[]} */
const said = [];
const SAID_MAX = 50;
/** Whether this page said a command: then its answer brings what it changed. @param {string|undefined} id */
export const saidHere = (id) => id !== undefined && said.includes(id);

/**
 * Give a command. Settles with the node's answer, or with `waiting` after the first attempt that
 * reached nobody: the command then goes on by itself.
 * @param {CommandBody} body without `command_id`
 * @returns {Promise<Outcome>}
 */
export function submit(body) {
  return new Promise((settle) => {
    const full = { ...body, command_id: newId() };
    const entry = { body: full, by: staff.value?.staff_id ?? "", said_ms: performance.timeOrigin + performance.now(), settle, failed: false };
    waiting.value = [...waiting.value, entry];
    said.push(full.command_id);
    if (said.length > SAID_MAX) said.shift();
    setTimeout(() => keep(entry), SEAL_AFTER_MS);
    void run();
  });
}

const nameOf = (/** @type {Waiting} */ { body }) => `command/${body.command_id}`;

/** Into the tablet as long as the node has not answered. @param {Waiting} entry */
function keep(entry) {
  if (entry.by !== staff.value?.staff_id) return;
  return seal(nameOf(entry), () => (waiting.value.includes(entry) ? { body: entry.body, by: entry.by, said_ms: entry.said_ms } : null));
}

/** Everything that waits of who is logged in. */
export const keepCommands = () => Promise.all(waiting.value.map(keep));

/** Commands that lay in the tablet, in the order in which they were said. @param {{body: Waiting["body"], by: string, said_ms: number}[]} kept */
export function takeUp(kept) {
  const known = new Set(waiting.value.map((entry) => entry.body.command_id));
  const fresh = kept.filter((one) => !known.has(one.body.command_id)).map((one) => ({ ...one, settle: () => {}, failed: true }));
  if (fresh.length === 0) return;
  waiting.value = [...waiting.value, ...fresh].sort((one, two) => one.said_ms - two.said_ms);
  void run();
}

/** What waits goes on by itself, in a while. */
async function notNow() {
  const here = staff.value?.staff_id;
  for (const entry of waiting.value) if (entry.by !== here) entry.failed = true;
  waiting.value = [...waiting.value];
  for (const entry of waiting.value) entry.settle({ ok: false, waiting: true });
  await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
}

async function run() {
  if (running) return;
  running = true;
  while (waiting.value.length > 0) {
    const first = waiting.value.find((entry) => entry.by === staff.value?.staff_id);
    if (!first) {
      await notNow();
      continue;
    }
    const done = () => {
      waiting.value = waiting.value.filter((entry) => entry !== first);
      drop(nameOf(first));
    };
    try {
      const reply = await api("POST", "/api/commands", first.body, { headers: { "X-Staff": first.by } });
      done();
      heardVisit(reply?.visit);
      first.settle({ ok: true, reply });
    } catch (error) {
      const failure = error instanceof ApiError ? error : new ApiError(0, { code: "unreachable", message: String(error) }, null);
      const again = failure.unreachable || failure.status === 401 || failure.status === 423 || failure.status === 429 || failure.status >= 500 || failure.code === "other_person";
      if (again) {
        first.failed = true;
        await notNow();
      } else {
        done();
        if (first.failed) toast("bad", errorText(failure));
        first.settle({ ok: false, error: failure });
      }
    }
  }
  running = false;
}

/** The tablet is lost: what it had to say goes from its memory. */
export function forgetCommands() {
  waiting.value = [];
}

export { errorText };

window.addEventListener("beforeunload", (event) => {
  if (waiting.value.length > 0) event.preventDefault();
});
