// @ts-check
// The clinical reference of this node: complaints, signs, vitals, frequencies, statements. Read once
// per page; the node's copy is the only source, so that a new list needs no new page.
import { signal } from "./dom.js";
import { get } from "./http.js";
import { pick } from "./l10n.js";

/** @typedef {{id?: string, code?: string, hi?: string, en?: string, [key: string]: any}} Item */

/** @type {import("../vendor/signals.js").Signal<any>} */
export const reference = signal(null);

/** @param {string} [path] where this server has it */
export async function loadReference(path = "/api/reference") {
  if (!reference.value) reference.value = await get(path);
}

/** @param {string} name @returns {Item[]} */
export function list(name) {
  const found = reference.value?.[name];
  return Array.isArray(found) ? found : (found?.items ?? []);
}

/** @param {string} name @param {string} id @returns {Item|null} */
export function item(name, id) {
  return list(name).find((entry) => (entry.id ?? entry.code ?? entry.form) === id) ?? null;
}

/** Words for an id of a list; the id itself when the list does not have it. @param {string} name @param {string} id */
export function words(name, id) {
  return pick(item(name, id), id);
}
