// @ts-check
// The waiting room: token, place and told wait, what to do after a missed turn, and the answer when it is there.
import { html, useRef, useSignal } from "/ui/lib/dom.js";
import { expectedText } from "/ui/lib/expected.js";
import { clockTime, t } from "/ui/lib/l10n.js";
import { Dialog, toast } from "/ui/lib/parts.js";
import { errorText } from "/ui/lib/errors.js";
import { specialityName } from "/ui/lib/speciality.js";
import { Hours } from "./login.js";
import { Papers, Spoken } from "./papers.js";
import { Photos } from "./photos.js";
import { wantPush } from "./push.js";
import { loadVisit, opening, submit } from "./store.js";

const WAITS = ["waiting", "no_show", "rx_pending", "in_call"];

/** @param {{now: import("./store.js").HomeVisit}} props */
export function Waiting({ now }) {
  const busy = useSignal(false);
  const asksCancel = useSignal(false);
  const act = async (/** @type {{type: string, [field: string]: unknown}} */ body) => {
    busy.value = true;
    const done = await submit({ ...body, visit_id: now.visit_id });
    busy.value = false;
    asksCancel.value = false;
    if (!done.ok) toast("bad", errorText(done.error));
    void loadVisit(now.visit_id).catch(() => {});
  };
  const over = now.closed_ms > 0;
  const waits = WAITS.includes(now.state) && !over;
  const back = now.state === "no_show" && now.token_today;
  const anew = waits && Boolean(now.token) && !now.token_today;
  const nobody = now.state === "waiting" && now.expected?.state === "nobody";
  const shut = now.state === "waiting" && opening.value?.open === false;
  const words = over || now.state === "cancelled" ? "home-over" : now.papers.length > 0 ? "home-answered" : now.state === "no_show" ? "home-missed"
    : now.state === "in_call" ? "home-in-call" : now.doctor_name ? "home-with-doctor" : shut ? "home-kept" : "home-waiting";
  return html`
    ${waits || now.papers.length === 0 ? html`<section class=${`card token-card ${now.colour}`} aria-label=${t("home-token")} data-test="home-token-card">
      ${now.token ? html`<div><p class="soft">${t("home-token")}</p><p class="token-number num" data-test="home-token">${now.token}</p></div>` : null}
      <div class="stack tight"><p class="lead" role="status" data-test="home-words" data-words=${words}>${t(words, { name: now.doctor_name })}</p>
        ${now.doctor_registration ? html`<p class="soft" data-test="home-doctor">${[now.doctor_qualification, t("home-registration", { number: now.doctor_registration })].filter(Boolean).join(" · ")}</p>` : null}
        ${waits && now.speciality && !now.doctor_name ? html`<p class="soft" data-test="home-speciality">${t("speciality-wanted", { name: specialityName(now.speciality) })}</p>` : null}
        ${now.state === "waiting" && now.place > 0 && now.token_today && !shut ? html`<p data-test="home-place" data-place=${String(now.place)}>${now.place === 1 ? t("home-place-next") : t("home-place", { n: now.place - 1 })}</p>` : null}
        ${now.state === "waiting" && now.expected && (opening.value?.open || now.expected.state !== "waiting") ? html`<p data-test="home-expected">${nobody ? t("home-nobody", { at: clockTime(now.expected.at_ms) }) : expectedText(now.expected)}</p>` : null}
        ${now.day_pass && waits ? html`<p class="soft">${t("home-pass")} <strong class="nobreak num" data-test="home-pass">${now.token}-${now.day_pass}</strong></p>` : null}</div></section>` : null}
    ${now.state === "no_show" ? html`<p class="notice warn" data-test="home-missed">${t(now.missed > 1 ? "home-missed-end" : "home-missed-place")}</p>` : null}
    ${back ? html`<button type="button" class="primary wide big" data-test="home-here" disabled=${busy.value} onClick=${() => void act({ type: "move_visit", state: "waiting" })}>${t("home-here")}</button>` : null}
    ${anew ? html`<button type="button" class="primary wide big" data-test="home-token-again" disabled=${busy.value} onClick=${() => void act({ type: "issue_token" })}>${t("home-token-again")}</button>` : null}
    <${Spoken} now=${now} />
    ${now.papers.length > 0 ? html`<${Papers} visitId=${now.visit_id} papers=${now.papers} open=${!over} />` : null}
    ${waits && now.papers.length === 0 ? html`${nobody ? null : html`<${Hours} />`}${shut ? html`<p data-test="home-case">${t("home-case")}</p>` : null}
      ${shut ? null : html`<p>${t("home-keep-open")}</p>`}<${Ready} /><${Photos} now=${now} />` : null}
    ${waits && now.state !== "in_call" && now.papers.length === 0 ? html`<button type="button" class="quiet wide" data-test="home-cancel" onClick=${() => (asksCancel.value = true)}>${t("home-cancel")}</button>` : null}
    <a class="button quiet wide" href="#/">${t("home-to-family")}</a>
    ${asksCancel.value ? html`<${Dialog} title=${t("home-cancel-ask")} test="home-cancel-dialog" onClose=${() => (asksCancel.value = false)}>
      <button type="button" class="danger" data-test="home-cancel-yes" disabled=${busy.value} onClick=${() => void act({ type: "close_visit", outcome: "cancelled" })}>${t("home-cancel")}</button>
      <button type="button" onClick=${() => (asksCancel.value = false)}>${t("back")}</button><//>` : null}`;
}

/** Try camera and microphone before the doctor calls: the browser asks now, not then. */
function Ready() {
  const state = useSignal("");
  const video = useRef(/** @type {HTMLVideoElement|null} */ (null));
  const stream = useRef(/** @type {MediaStream|null} */ (null));
  const stop = () => {
    for (const track of stream.current?.getTracks() ?? []) track.stop();
    stream.current = null;
    state.value = "good";
  };
  const look = async () => {
    try {
      stream.current = await navigator.mediaDevices.getUserMedia({ audio: true, video: { width: 320, height: 240 } });
      state.value = "on";
      if ("Notification" in window && Notification.permission === "default") void Notification.requestPermission().then(wantPush);
      if (video.current) video.current.srcObject = stream.current;
    } catch {
      state.value = "bad";
    }
  };
  return html`<section class="card stack tight" aria-label=${t("home-try")} data-test="home-try-card" data-state=${state.value}>
    <video ref=${video} class="own" autoplay playsinline muted hidden=${state.value !== "on"} aria-label=${t("home-own-picture")}></video>
    ${state.value === "on" ? html`<button type="button" data-test="home-try-stop" onClick=${stop}>${t("home-try-good")}</button>`
      : html`<button type="button" data-test="home-try" onClick=${() => void look()}>${t("home-try")}</button>`}
    ${state.value === "good" ? html`<p class="notice good">${t("home-try-done")}</p>` : null}
    ${state.value === "bad" ? html`<p class="notice bad" role="alert">${t("home-try-bad")}</p>` : null}</section>`;
}
