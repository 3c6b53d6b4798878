// @ts-check
// Brings the screen of a call: behind the first screen, or at once with the first word of a call.
import { signal } from "/ui/lib/dom.js";
import { get } from "/ui/lib/http.js";
import { seesPatients } from "./store.js";

/** @typedef {typeof import("./screens/call.js")} CallModule */

/** The call's screen once it is here. @type {import("/ui/vendor/signals.js").Signal<CallModule|null>} */
export const call = signal(null);
/** @type {Promise<CallModule>|null} */
let asked = null;

/** The call's screen; who waits for it is served in the order of asking. @returns {Promise<CallModule>} */
export function calls() {
  asked ??= import("./screens/call.js").then((loaded) => (call.value = loaded)).catch((error) => {
    asked = null;
    throw error;
  });
  return asked;
}

/** After a reload or a lost channel: is there a call that goes on? */
export async function findCall() {
  if (!seesPatients()) return;
  try {
    const going = (await get("/api/calls")).items[0] ?? null;
    if (going || asked) (await calls()).foundCall(going);
  } catch {
    // the next message of the live channel says it again
  }
}
