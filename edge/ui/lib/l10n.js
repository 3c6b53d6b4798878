// @ts-check
// Both languages of the pages. Messages are Fluent files shared with Python; terms of the clinical
// reference carry their own two texts. Hindi is the default; the choice is the only thing kept in
// the browser's storage.
import { FluentBundle, FluentResource } from "../vendor/fluent/index.js";
import { signal } from "./dom.js";

/** @type {import("../vendor/signals.js").Signal<"hi"|"en">} */
export const language = signal("hi");
const version = signal(0);

/** @type {Record<string, FluentBundle>} */
const bundles = {};

/** Pages whose words are in files of their own, so that the others do not load them. @type {string[]} */
const parts = [];
/** What has been asked for of them. @type {Record<string, Promise<void>>} */
const coming = {};

/** @param {"hi"|"en"} code */
async function load(code) {
  if (bundles[code]) return;
  const bundle = new FluentBundle(code === "hi" ? "hi-IN" : "en-IN", { useIsolating: false });
  await Promise.all(["", ...parts].map((part) => read(bundle, code, part)));
  bundles[code] = bundle;
  version.value += 1;
}

/** @param {FluentBundle} bundle @param {string} code @param {string} part */
async function read(bundle, code, part) {
  const reply = await fetch(`/ui/fluent/${code}${part && `-${part}`}.ftl`);
  if (!reply.ok) throw new Error(`messages ${code} ${part}: HTTP ${reply.status}`);
  for (const error of bundle.addResource(new FluentResource(await reply.text()))) console.error(error.message);
}

/** Load the words of one more page, in every language that is or will be loaded. @param {string} part */
export function addWords(part) {
  coming[part] ??= readPart(part).catch((error) => {
    delete coming[part];
    throw error;
  });
  return coming[part];
}

/** @param {string} part */
async function readPart(part) {
  if (!parts.includes(part)) parts.push(part);
  await Promise.all(Object.entries(bundles).map(([code, bundle]) => read(bundle, code, part)));
  version.value += 1;
}

/** Load the chosen language. @param {"hi"|"en"} fallback used when nothing was chosen on this tablet */
export async function startLanguage(fallback) {
  const kept = readKept();
  await setLanguage(kept ?? fallback);
}

/** @returns {"hi"|"en"|null} */
function readKept() {
  try {
    const kept = localStorage.getItem("upk-language");
    return kept === "hi" || kept === "en" ? kept : null;
  } catch {
    return null;
  }
}

/** @param {"hi"|"en"} code */
export async function setLanguage(code) {
  await load(code);
  language.value = code;
  document.documentElement.lang = code;
  try {
    localStorage.setItem("upk-language", code);
  } catch {
    // a private window has no storage; the choice then lasts as long as the page
  }
}

/**
 * A message in the language of the page.
 * @param {string} id
 * @param {Record<string, string|number>} [args]
 */
export function t(id, args) {
  return say(language.value, id, args);
}

/**
 * A message in a given language (the patient's lines are Hindi whatever the page speaks).
 * @param {string} code @param {string} id @param {Record<string, string|number>} [args]
 */
export function say(code, id, args) {
  version.value;
  const bundle = bundles[code];
  const message = bundle?.getMessage(id);
  if (!bundle || !message?.value) {
    if (bundle) console.error(`no message ${id} in ${code}`);
    return `⟦${id}⟧`;
  }
  /** @type {Error[]} */
  const errors = [];
  const text = bundle.formatPattern(message.value, args, errors);
  for (const error of errors) console.error(`message ${id}: ${error.message}`);
  return text;
}

/** True when a message exists. @param {string} id */
export function known(id) {
  return Boolean(bundles[language.value]?.getMessage(id)?.value);
}

/** Load the other language as well, for a page that shows both. @param {"hi"|"en"} code */
export const ensureLanguage = load;

/**
 * The text of a reference item in the page's language.
 * @param {{hi?: string, en?: string}|null|undefined} item @param {string} [otherwise]
 */
export function pick(item, otherwise = "") {
  if (!item) return otherwise;
  return (language.value === "hi" ? item.hi : item.en) || item.en || item.hi || otherwise;
}

// made once: a list of patients asks for hundreds of dates, and each of these takes longer to make than to use
const CLOCK = new Intl.DateTimeFormat("en-IN", { hour: "2-digit", minute: "2-digit", hour12: false, timeZone: "Asia/Kolkata" });
const DAY = new Intl.DateTimeFormat("en-GB", { day: "2-digit", month: "2-digit", year: "numeric", timeZone: "Asia/Kolkata" });
const ISO_DAY = new Intl.DateTimeFormat("en-CA", { timeZone: "Asia/Kolkata" });

/** Time of day in India. @param {number} ms */
export const clockTime = (ms) => CLOCK.format(new Date(ms));

/** Date in India, day first. @param {number} ms */
export const day = (ms) => DAY.format(new Date(ms));

/** Today's date in India as YYYY-MM-DD. @param {number} [ms] */
export const isoDay = (ms = Date.now()) => ISO_DAY.format(new Date(ms));

/** How long ago something was; "" when its time is not known. @param {number} ms @param {number} nowMs of the same clock */
export function ago(ms, nowMs) {
  if (!ms) return "";
  const seconds = (nowMs - ms) / 1000;
  return seconds < 60 ? t("span-now") : t("ago", { time: span(seconds) });
}

/** A span in words. @param {number} seconds */
export function span(seconds) {
  const minutes = Math.max(0, Math.floor(seconds / 60));
  if (minutes < 1) return t("span-now");
  if (minutes < 120) return t("span-minutes", { n: minutes });
  if (minutes < 48 * 60) return t("span-hours", { n: Math.floor(minutes / 60) });
  return t("span-days", { n: Math.floor(minutes / 1440) });
}
