// @ts-check
// Questions for a complaint from the node's reviewed file, where there is one. Answers become lines of the notes, in
// the reviewed Hindi words, and are read back from there; no rule reads them.
import { decimalIn } from "./digits.js";
import { html, signal, useEffect } from "./dom.js";
import { get } from "./http.js";
import { pick, say, t } from "./l10n.js";
import { Choice, TextField } from "./parts.js";

/** @typedef {{id: string, hi: string, en: string}} Option */
/** @typedef {Option & {kind: string, options: Option[], unit: string}} Question */
/** @type {import("../vendor/signals.js").Signal<{reviewed_by: string, reviewed_on: string, complaints: Record<string, Question[]>}|null>} */
const guided = signal(null);
const MARK = "▸ ";

/** @param {string} complaint @returns {Question[]} */
const questionsOf = (complaint) => guided.value?.complaints[complaint] ?? [];

/** The answer in the words of the record. @param {Question} question @param {string} value */
function inWords(question, value) {
  if (question.kind === "yes_no") return say("hi", value === "yes" ? "yes" : "no");
  if (question.kind === "choice") return question.options.find((one) => one.id === value)?.hi ?? "";
  return [value, question.unit].filter(Boolean).join(" ");
}

/** Notes with the answers below them. @param {string} notes @param {{code: string}[]} complaints @param {Record<string, string>} answers */
export function notesWith(notes, complaints, answers) {
  const lines = complaints.flatMap(({ code }) => questionsOf(code).flatMap((question) => {
    const value = answers[`${code}.${question.id}`] ?? "";
    return value ? [`${MARK}${question.hi} ${inWords(question, value)}`] : [];
  }));
  return [notes.trim(), ...lines].filter(Boolean).join("\n");
}

/**
 * What of a record's notes stands outside the guided questions; a line that no question here explains stays.
 * @param {string} notes @param {{code: string}[]} complaints
 */
export function ownNotes(notes, complaints) {
  const answers = answersIn(notes, complaints);
  const known = complaints.flatMap(({ code }) => questionsOf(code).filter((one) => answers[`${code}.${one.id}`]).map((one) => `${MARK}${one.hi} `));
  return notes.split("\n").filter((line) => !known.some((one) => line.startsWith(one))).join("\n");
}

/** The answers that stand in a record's notes. @param {string} notes @param {{code: string}[]} complaints @returns {Record<string, string>} */
export function answersIn(notes, complaints) {
  const lines = notes.split("\n");
  /** @type {Record<string, string>} */
  const found = {};
  for (const { code } of complaints) {
    for (const question of questionsOf(code)) {
      const line = lines.find((one) => one.startsWith(`${MARK}${question.hi} `))?.slice(`${MARK}${question.hi} `.length);
      if (line === undefined) continue;
      const values = question.kind === "yes_no" ? ["yes", "no"] : question.options.map((one) => one.id);
      found[`${code}.${question.id}`] = question.kind === "number" ? (line.split(" ")[0] ?? "") : (values.find((one) => inWords(question, one) === line) ?? "");
    }
  }
  return found;
}

/** Whether this page's server has questions at all: it was asked for them at the start. */
let wanted = false;
export async function loadQuestions() {
  wanted = true;
  guided.value ??= await get("/api/questions");
}

/** @param {{complaint: string, answers: Record<string, string>, onAnswer: (key: string, value: string) => void}} props */
export function GuidedQuestions({ complaint, answers, onAnswer }) {
  useEffect(() => {
    if (wanted) void loadQuestions().catch(() => {});
  }, []);
  const questions = questionsOf(complaint);
  if (questions.length === 0) return null;
  return html`<div class="stack tight guided" data-test=${`guided-${complaint}`}>
    ${questions.map((question) => {
      const key = `${complaint}.${question.id}`;
      const value = answers[key] ?? "";
      if (question.kind === "number") return html`<${TextField} key=${key} id=${`guided-${key}`} test=${`guided-${key}`} label=${[pick(question), question.unit && `(${question.unit})`].filter(Boolean).join(" ")} value=${value} inputmode="decimal" maxlength=${8}
        onValue=${(/** @type {string} */ text) => onAnswer(key, decimalIn(text))} />`;
      const options = question.kind === "yes_no" ? ["yes", "no"].map((one) => ({ value: one, label: t(one) })) : question.options.map((one) => ({ value: one.id, label: pick(one) }));
      return html`<${Choice} key=${key} name=${`guided-${key}`} legend=${pick(question)} value=${value} options=${options} onValue=${(/** @type {string} */ one) => onAnswer(key, one === value ? "" : one)} />`;
    })}
    <p class="notice warn slim" data-test="guided-unverified">${t("guided-reviewed", { name: guided.value?.reviewed_by ?? "", date: (guided.value?.reviewed_on ?? "").split("-").reverse().join("-") })}</p></div>`;
}
