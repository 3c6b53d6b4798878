// @ts-check
// The doctor's answer: the prescription in words, its slip to keep, and whether a slip is genuine.
import { html, useSignal } from "/ui/lib/dom.js";
import { ApiError, api } from "/ui/lib/http.js";
import { clockTime, day, pick, t } from "/ui/lib/l10n.js";
import { toast } from "/ui/lib/parts.js";
import { errorText } from "/ui/lib/errors.js";
import { API, loadVisit, submit } from "./store.js";

const SLIP_MAX_BYTES = 256 * 1024;

/** @param {{visitId: string, papers: import("./store.js").Paper[], open: boolean}} props */
export function Papers({ visitId, papers, open }) {
  const busy = useSignal(false);
  const done = async () => {
    busy.value = true;
    const closed = await submit({ type: "close_visit", visit_id: visitId, outcome: "completed", explained: true });
    busy.value = false;
    if (!closed.ok) toast("bad", errorText(closed.error));
    void loadVisit(visitId).catch(() => {});
  };
  return html`<div class="stack" data-test="home-papers">
    ${[...papers].reverse().map((one) => html`<section class="card stack tight paper" key=${one.prescription_id} data-test="home-paper" data-standing=${one.stands.standing} aria-label=${t("home-prescription")}>
      <h2>${t("home-prescription")}</h2>
      ${one.stands.standing === "valid" ? html`<p class="notice good" data-test="home-genuine">${t("home-genuine", { name: one.doctor_name, registration: one.registration })}</p>`
        : html`<p class="notice bad">${t(`home-stands-${one.stands.standing}`)}</p>`}
      ${one.cancels ? html`<p class="notice bad">${t("home-cancels")}</p>` : html`
      <p><strong>${t("home-diagnosis")}:</strong> ${one.diagnosis}</p>
      <ul class="stack tight">${one.medicines.map((line) => html`<li key=${line.name} class="medicine-line"><strong>${line.name}</strong>
        <span class="hindi-line">${pick({ hi: line.how_hi, en: line.how_en })}</span></li>`)}</ul>
      ${one.advice ? html`<p class="prewrap"><strong>${t("home-advice")}:</strong> ${one.advice}</p>` : null}
      ${one.follow_up ? html`<p><strong>${t("home-follow-up")}:</strong> ${one.follow_up}</p>` : null}`}
      <p class="soft small">${day(one.signed_ms)} ${clockTime(one.signed_ms)} · ${one.doctor_name} · ${one.registration}</p>
      <a class="button primary wide" data-test="home-slip" href=${`${API}/visits/${visitId}/prescriptions/${one.prescription_id}/slip.pdf`} target="_blank" rel="noopener"
        onClick=${() => setTimeout(() => void loadVisit(visitId).catch(() => {}), 3000)}>${t("home-slip")}</a>
    </section>`)}
    ${open ? html`<button type="button" class="wide" data-test="home-done" disabled=${busy.value} onClick=${() => void done()}>${t("home-done")}</button>` : null}
  </div>`;
}

/** What the doctor said into her microphone. @param {{now: import("./store.js").HomeVisit}} props */
export function Spoken({ now }) {
  if (!now.answers?.length) return null;
  return html`<section class="card stack tight" data-test="home-answers" aria-label=${t("answers-title")}><h2>${t("answers-title")}</h2>
    <ul class="media-list">${now.answers.map((one) => html`<li key=${one.answer_id} class="media-item" data-test="home-answer"><audio controls preload="none"
      src=${`${API}/visits/${now.visit_id}/answers/${one.answer_id}`} aria-label=${t("answer-alt", { time: clockTime(one.at_ms) })}></audio>
      <span class="soft small num">${day(one.at_ms)} ${clockTime(one.at_ms)}</span></li>`)}</ul></section>`;
}

/** Is this slip one of this hub, to the last byte, and does it still stand? */
export function CheckPage() {
  const found = useSignal(/** @type {any} */ (null));
  const wrong = useSignal("");
  const look = async (/** @type {any} */ event) => {
    const file = event.currentTarget.files?.[0];
    event.currentTarget.value = "";
    found.value = null;
    wrong.value = "";
    if (!file) return;
    try {
      if (file.size > SLIP_MAX_BYTES) throw new ApiError(413, { code: "too_large", message: "the file is no slip" }, null);
      found.value = await api("POST", `${API}/check-slip`, file, { timeout_ms: 30_000 });
    } catch (error) {
      wrong.value = error instanceof ApiError && !error.unreachable && error.status !== 429 ? t("home-check-bad") : errorText(error);
    }
  };
  const one = found.value;
  return html`<div class="page stack" data-test="home-check-page"><h1>${t("home-check")}</h1><p>${t("home-check-how")}</p>
    <div class="card field"><label for="slip-file">${t("home-check-file")}</label>
      <input id="slip-file" type="file" accept="application/pdf" data-test="home-check-file" onChange=${look} /></div>
    ${wrong.value ? html`<p class="notice bad" role="alert" data-test="home-check-no">${wrong.value}</p>` : null}
    ${one ? html`<p class=${one.stands?.standing === "valid" ? "notice good" : "notice bad"} role="status" data-test="home-check-yes" data-standing=${one.stands?.standing ?? ""}>
      ${one.stands?.standing === "valid" ? t("home-genuine", { name: one.doctor_name, registration: one.registration }) : t(`home-stands-${one.stands?.standing ?? "replaced"}`)}
      ${" "}${day(one.signed_ms)}</p>` : null}
    <a class="button quiet wide" href="#/">${t("back")}</a></div>`;
}
