// @ts-check
// The doctor's spoken answer: recorded, listened to, then sent; it goes to the health post in the visit's record, or onto the page of a patient at home.
import { html, useEffect, useSignal } from "/ui/lib/dom.js";
import { put } from "/ui/lib/http.js";
import { newId } from "/ui/lib/ids.js";
import { clockTime, t } from "/ui/lib/l10n.js";
import { toast } from "/ui/lib/parts.js";
import { RecordButton } from "/ui/lib/recorder.js";
import { errorText, loadRecord } from "./store.js";

/** @param {{visit: import("/ui/api").Visit, home: boolean}} props `home`: nobody sits between doctor and patient */
export function SpokenAnswer({ visit, home }) {
  const made = useSignal(/** @type {{id: string, note: Blob, url: string}|null} */ (null));
  const busy = useSignal(false);
  const forget = () => {
    if (made.value) URL.revokeObjectURL(made.value.url);
    made.value = null;
  };
  useEffect(() => forget, []);
  const keep = (/** @type {Blob} */ note) => {
    forget();
    made.value = { id: newId(), note, url: URL.createObjectURL(note) };
  };
  const send = async () => {
    if (!made.value) return;
    busy.value = true;
    try {
      await put(`/api/visits/${visit.visit_id}/answers/${made.value.id}`, made.value.note);
      forget();
      toast("good", t(home ? "answer-sent-home" : "answer-sent"));
      await loadRecord(visit.visit_id);
    } catch (error) {
      toast("bad", errorText(error));
    } finally {
      busy.value = false;
    }
  };
  const given = visit.answers ?? [];
  if (visit.closed_ms && given.length === 0) return null;
  return html`<section class="card stack tight" data-test="answer-card" aria-label=${t("answers-title")}><h2>${t("answers-title")}</h2>
    ${visit.closed_ms ? null : html`<div class="row tight"><${RecordButton} busy=${busy.value} name="answer" text=${t("answer-record")} onNote=${keep} />
      ${made.value ? html`<audio controls src=${made.value.url} data-test="answer-listen" aria-label=${t("answer-listen")}></audio>
        <button type="button" onClick=${forget} data-test="answer-discard" disabled=${busy.value}>${t("answer-discard")}</button>
        <button type="button" class="primary" data-test="answer-send" disabled=${busy.value} onClick=${() => void send()}>${t("answer-send")}</button>` : null}</div>
      ${made.value ? null : html`<p class="soft small">${t(home ? "answer-hint-home" : "answer-hint")}</p>`}`}
    <ul class="media-list">${given.map((one) => html`<li key=${one.answer_id} class="media-item" data-test="answer"><audio controls preload="none"
      src=${`/api/visits/${visit.visit_id}/answers/${one.answer_id}`} aria-label=${t("answer-alt", { time: clockTime(one.at_ms) })}></audio><span class="soft small num">${clockTime(one.at_ms)}</span></li>`)}</ul></section>`;
}
