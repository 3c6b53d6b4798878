// @ts-check
// What a doctor said into her microphone for this visit: played to the patient, beside the prescription.
import { html, useEffect, useSignal } from "/ui/lib/dom.js";
import { get } from "/ui/lib/http.js";
import { clockTime, t } from "/ui/lib/l10n.js";
import { Icon } from "/ui/lib/parts.js";

/** @typedef {{answer_id: string, at_ms: number, doctor_id: string, parts_here: number, parts: number, whole: boolean}} AnswerState */
const AGAIN_MS = 5000;

/** @param {{visit: import("/ui/api").Visit}} props */
export function Answers({ visit }) {
  const states = useSignal(/** @type {AnswerState[]} */ ([]));
  const count = visit.answers?.length ?? 0;
  useEffect(() => {
    if (count === 0) return undefined;
    const load = () => void get(`/api/visits/${visit.visit_id}/answers`).then((reply) => (states.value = reply.items)).catch(() => {});
    load();
    const timer = setInterval(() => {
      if (states.value.length < count || states.value.some((one) => !one.whole)) load();
    }, AGAIN_MS);
    return () => clearInterval(timer);
  }, [visit.visit_id, count]);
  if (count === 0) return null;
  return html`<section class="card stack tight print-hide" data-test="answers" aria-label=${t("answers-title")}><h2><${Icon} name="speaker" /> ${t("answers-title")}</h2>
    <ul class="media-list">${states.value.map((one) => html`<li key=${one.answer_id} class="media-item" data-test="answer" data-whole=${String(one.whole)}>
      ${one.whole ? html`<audio controls preload="none" src=${`/api/visits/${visit.visit_id}/answers/${one.answer_id}`} aria-label=${t("answer-alt", { time: clockTime(one.at_ms) })}></audio>` : null}
      <div class="soft small num">${clockTime(one.at_ms)} ${one.whole ? "" : t("media-parts", { n: one.parts_here, all: one.parts })}</div></li>`)}</ul></section>`;
}
