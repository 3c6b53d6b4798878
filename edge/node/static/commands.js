// @ts-check
// Commands on their way to the node, in order. One that the node did not answer stays in memory and
// is sent again under the same id, so that it is recorded once; the page says so meanwhile.
import { computed, signal } from "/ui/lib/dom.js";
import { ApiError, post } from "/ui/lib/http.js";
import { newId } from "/ui/lib/ids.js";
import { errorText } from "/ui/lib/errors.js";
import { toast } from "/ui/lib/parts.js";
import { heardVisit } from "./store.js";

const RETRY_MS = 2000;

/** @typedef {{type: string, [field: string]: unknown}} CommandBody */
/** @typedef {{ok: true, reply: any} | {ok: false, error: ApiError} | {ok: false, waiting: true}} Outcome */
/** @typedef {{body: CommandBody & {command_id: string}, settle: (outcome: Outcome) => void, failed: boolean}} Waiting */

/** @type {import("/ui/vendor/signals.js").Signal<Waiting[]>} */
const waiting = signal([]);
/** How many commands the node has not taken yet although we tried. */
export const unsaved = computed(() => waiting.value.filter((entry) => entry.failed).length);
let running = false;

/**
 * Give a command. Settles with the node's answer, or with `waiting` after the first attempt that
 * reached nobody: the command then goes on by itself.
 * @param {CommandBody} body without `command_id`
 * @returns {Promise<Outcome>}
 */
export function submit(body) {
  return new Promise((settle) => {
    const full = { ...body, command_id: newId() };
    waiting.value = [...waiting.value, { body: full, settle, failed: false }];
    void run();
  });
}

async function run() {
  if (running) return;
  running = true;
  while (waiting.value.length > 0) {
    const first = waiting.value[0];
    try {
      const reply = await post("/api/commands", first.body);
      waiting.value = waiting.value.slice(1);
      heardVisit(reply?.visit);
      first.settle({ ok: true, reply });
    } catch (error) {
      const failure = error instanceof ApiError ? error : new ApiError(0, { code: "unreachable", message: String(error) }, null);
      const again = failure.unreachable || failure.status === 401 || failure.status === 423 || failure.status === 429 || failure.status >= 500;
      if (again) {
        first.failed = true;
        waiting.value = [...waiting.value];
        for (const entry of waiting.value) entry.settle({ ok: false, waiting: true });
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      } else {
        waiting.value = waiting.value.slice(1);
        if (first.failed) toast("bad", errorText(failure));
        first.settle({ ok: false, error: failure });
      }
    }
  }
  running = false;
}

export { errorText };

window.addEventListener("beforeunload", (event) => {
  if (waiting.value.length > 0) event.preventDefault();
});
