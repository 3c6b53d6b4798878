// @ts-check
// Start of the doctor's console: session, live channel, the three columns.
import { effect, html, render, signal, useEffect, useSignal, useState } from "/ui/lib/dom.js";
import { ApiError, del, get, post, reachable, signedOut } from "/ui/lib/http.js";
import { addWords, ensureLanguage, language, setLanguage, span, startLanguage, t } from "/ui/lib/l10n.js";
import { lazy } from "/ui/lib/lazy.js";
import { Live } from "/ui/lib/live.js";
import { often } from "/ui/lib/often.js";
import { ColourBadge, TextField, Toasts, toast } from "/ui/lib/parts.js";
import { loadReference, reference } from "/ui/lib/reference.js";
import { ageText } from "/ui/lib/ages.js";
import { specialityName } from "/ui/lib/speciality.js";
import { CallPanel, callSignal, channelOpen, hangUp, rejoin, setSender } from "./call.js";
import { EarlyList, loadEarly } from "./early.js";
import { Record } from "./record.js";
import { BrokenRecord, GlassReview } from "./glass.js";
import { brokenVisit, mine, OfficeNav } from "./office.js";
import { Review } from "./review.js";
import { Coordination, DayFigures, EndsSoon, forgetRota, LeftBehind, loadCoordination, loadRota, Offer, ReadyButton, rota } from "./rota.js";
import { forgetDrafts, RxForm } from "./rx.js";
import { forgetThirds, invited, loadThirds, Seat, seated, setThirdSender, ThirdOffer, ThirdPanel, thirdSignal } from "./third.js";
import { Unlocks } from "./unlocks.js";
import { canSign, chosen, doctor, enter, errorText, given, keepHere, loadQueue, loadRecord, queue, record, roles, treats, wasHere } from "./store.js";

const started = signal(false);
/** @type {Live|null} */
let live = null;

async function start() {
  try {
    await Promise.all([addWords("console"), addWords("office"), addWords("clip"), addWords("third")]);
    await startLanguage("en");
    await ensureLanguage("hi");
    if (wasHere()) enter(await get("/api/session"));
  } catch (error) {
    if (!(error instanceof ApiError)) {
      setTimeout(() => void start(), 2000);
      return;
    }
  }
  started.value = true;
}

const queueChanged = often(loadQueue);

/** @param {import("/ui/lib/live.js").LiveMessage} message */
function heard(message) {
  if (message.type === "open") {
    void queueChanged();
    void loadEarly().catch(() => {});
    if (chosen.value) void loadRecord(chosen.value).catch(() => {});
    rotaChanged();
    void loadThirds().catch(() => {});
    channelOpen();
  } else if (message.type === "queue") {
    void queueChanged();
    void loadEarly().catch(() => {});
  } else if (message.type === "visit") {
    void queueChanged();
    if (message.visit_id === chosen.value) void loadRecord(message.visit_id).catch(() => {});
  } else if (message.type === "rota") rotaChanged();
  else if (message.type === "third") void loadThirds().catch(() => {});
  else if (!thirdSignal(/** @type {any} */ (message))) callSignal(message);
}

function rotaChanged() {
  void loadRota();
  if (page.value === "waiting") void loadCoordination();
}

effect(() => {
  if (doctor.value && given.value) return;
  if (doctor.value && !live && !treats()) void loadReference().catch((error) => toast("bad", errorText(error)));
  else if (doctor.value && !live) {
    live = new Live("/api/live", heard);
    setSender((message) => live?.send(message));
    setThirdSender((message) => live?.send(message));
    void loadReference().catch((error) => toast("bad", errorText(error)));
    void loadQueue().catch((error) => toast("bad", errorText(error)));
    if (routed()) void choose(routed());
    void rejoin();
  } else if (!doctor.value && live) {
    live.close();
    live = null;
  }
});
effect(() => {
  if (signedOut.value > 0) doctor.value = null;
});
setInterval(() => {
  if (doctor.value && !given.value && treats()) void loadQueue().catch(() => {});
}, 15_000);

/** The visit of the address, so that a reload and the back button find it. */
const routed = () => /^#\/visit\/([0-9A-Za-z_-]+)$/.exec(location.hash)?.[1] ?? "";
/** The page beside the patients that is open: "review", "waiting", one of administration, or none. */
const pageOf = () => /^#\/(own|review|waiting|fleet|sites|people|updates|plan|on-call|figures|lists|glass|rights)$/.exec(location.hash)?.[1] ?? "";
const page = signal(pageOf());
window.addEventListener("hashchange", () => {
  page.value = pageOf();
  brokenVisit.value = "";
  if (page.value) return;
  if (doctor.value && routed() !== chosen.value) void choose(routed());
});

/** @param {string} visitId "" for none */
async function choose(visitId) {
  chosen.value = visitId;
  if (routed() !== visitId) location.hash = visitId ? `/visit/${visitId}` : "/";
  if (!visitId) {
    record.value = null;
    return;
  }
  if (record.value?.visit.visit_id !== visitId) record.value = null;
  try {
    await loadRecord(visitId);
    document.getElementById("record-title")?.focus();
  } catch (error) {
    toast("bad", errorText(error));
  }
}

/** On to the patient behind the chosen one in the order of the queue, or to the first; whom another doctor has taken is passed over. */
function nextPatient() {
  const waiting = (queue.value ?? []).filter(({ visit }) => visit.state === "waiting" && (!visit.doctor_name || visit.doctor_id === doctor.value?.doctor_id));
  const next = waiting[waiting.findIndex(({ visit }) => visit.visit_id === chosen.value) + 1] ?? waiting[0];
  if (!next) return toast("warn", t("console-empty"));
  /** @type {HTMLElement|null} */ (document.querySelector(`[data-visit="${next.visit.visit_id}"]`))?.focus();
  return void choose(next.visit.visit_id);
}

async function logOut() {
  await del("/api/session").catch(() => {});
  keepHere("");
  hangUp();
  forgetDrafts();
  record.value = null;
  chosen.value = "";
  location.hash = "/";
  queue.value = null;
  brokenVisit.value = "";
  forgetRota();
  forgetThirds();
  doctor.value = null;
}

window.addEventListener("keydown", (event) => {
  if (!event.altKey || event.ctrlKey || !doctor.value) return;
  if (event.code === "KeyP" && treats()) {
    event.preventDefault();
    if (!document.querySelector("dialog[open]")) nextPatient();
    return;
  }
  const target = /** @type {Record<string, string>} */ ({ KeyQ: '[data-test="queue-row"]', KeyC: '[data-test="call"]:not([disabled]), [data-test="call-hangup"]', KeyN: '[data-test="notes"]', KeyD: '[data-test="drug-search"]', KeyS: '[data-test="sign"]', KeyR: '[data-test="ready"]', KeyG: '[data-test="hand-over"]', KeyA: '[data-test="offer-accept"]', KeyX: '[data-test="offer-decline"]' })[event.code];
  if (!target) return;
  event.preventDefault();
  const element = /** @type {HTMLElement|null} */ (document.querySelector(target));
  element?.focus();
  if (["KeyC", "KeyS", "KeyR", "KeyG", "KeyA", "KeyX"].includes(event.code)) element?.click();
});

/** Whether this person may let a locked box be opened. */
const opens = () => roles.value.some((role) => role === "coordinator" || role === "administrator");

function Header() {
  const other = language.value === "hi" ? "en" : "hi";
  return html`<header class="top">
    <img src="/icon.svg" alt="" width="30" height="30" /><strong>${t(doctor.value && !treats() ? "office" : "console")}</strong>
    ${reachable.value ? null : html`<span class="notice warn slim" role="status" data-test="hub-line">${t("hub-away")}</span>`}
    <span class="soft small keys">${doctor.value && treats() ? t("shortcuts") : ""}</span>
    ${doctor.value ? html`<span class="who" title=${doctor.value.name}>${doctor.value.name} <span class="soft small">${doctor.value.qualification} · ${doctor.value.registration}</span></span>` : null}
    <button type="button" class="quiet" data-test="language-toggle" lang=${other} onClick=${() => void setLanguage(other)}>${other === "en" ? "English" : "हिन्दी"}</button>
    ${doctor.value && !given.value && treats() ? html`<${ReadyButton} /><a class="button quiet" data-test="to-waiting" href=${page.value === "waiting" ? "#/" : "#/waiting"}>${t(page.value === "waiting" ? "to-patients" : "coordination-short")}</a>
      <a class="button quiet" data-test="to-review" href=${page.value === "review" ? "#/" : "#/review"}>${t(page.value === "review" ? "to-patients" : "review")}</a>` : null}
    ${doctor.value && !given.value ? html`<a class="button quiet" data-test="to-own" href=${page.value === "own" ? "#/" : "#/own"}>${t(page.value === "own" ? "back" : "own-login")}</a>` : null}
    ${doctor.value ? html`<button type="button" class="quiet" data-test="logout" onClick=${() => void logOut()}>${t("logout")}</button>` : null}
  </header>`;
}

/** One's own log-in; its code is loaded when it is looked at. */
const Own = lazy(async () => (await import("./own.js")).OwnLogin).Screen;

function Login() {
  const user = useSignal("");
  const password = useSignal("");
  const totp = useSignal("");
  const lost = useSignal(false);
  const wrong = useSignal("");
  const busy = useSignal(false);
  const logIn = async (/** @type {Event} */ event) => {
    event.preventDefault();
    busy.value = true;
    wrong.value = "";
    try {
      enter(await post("/api/login", { user: user.value.trim(), password: password.value, totp: totp.value.replace(/\s/g, "") }));
      canSign.value = true;
    } catch (error) {
      wrong.value = error instanceof ApiError && (error.status === 401 || error.code === "bad_input") ? t("error-wrong-login") : errorText(error);
    } finally {
      password.value = "";
      totp.value = "";
      busy.value = false;
    }
  };
  const ready = user.value && password.value && totp.value.length >= 6;
  return html`<form class="card stack login" data-test="login-form" onSubmit=${logIn}>
    <h1>${t("console-login")}</h1>
    <${TextField} id="user" test="login-user" label=${t("user")} autocomplete="username" value=${user.value} focus onValue=${(/** @type {string} */ text) => (user.value = text)} />
    <${TextField} id="password" test="login-password" label=${t("password")} type="password" autocomplete="current-password" value=${password.value} onValue=${(/** @type {string} */ text) => (password.value = text)} />
    <${TextField} id="totp" test="login-totp" label=${t(lost.value ? "recovery-code" : "totp")} inputmode=${lost.value ? "text" : "numeric"} autocomplete="one-time-code" maxlength=${lost.value ? 24 : 8} value=${totp.value} onValue=${(/** @type {string} */ text) => (totp.value = text)} />
    ${wrong.value ? html`<p class="notice bad" role="alert" data-test="login-wrong">${wrong.value}</p>` : null}
    <button type="button" class="quiet" data-test="login-lost" onClick=${() => {
      lost.value = !lost.value;
      totp.value = "";
    }}>${t(lost.value ? "totp-again" : "totp-lost")}</button>
    <button class="primary" data-test="login-submit" disabled=${!ready || busy.value} aria-busy=${busy.value ? "true" : "false"}>${t("login")}</button>
  </form>`;
}

/** One who waits; drawn anew only when something of it changes: two hundred may stand here. @param {{item: import("./store.js").HubItem, isChosen: boolean}} props */
function QueueRow({ item, isChosen }) {
  const { colour } = item.visit;
  const isMine = Boolean(item.visit.doctor_name) && item.visit.doctor_id === doctor.value?.doctor_id;
  const others = item.visit.doctor_name && !isMine;
  return html`<li><button type="button" class=${`queue-row ${colour}`} data-test="queue-row" data-visit=${item.visit.visit_id}
    data-node-online=${String(item.node_online)} aria-current=${isChosen ? "true" : undefined}
    onClick=${() => void choose(item.visit.visit_id)}>
    <span class="row tight between"><strong class="num">${item.visit.token || "—"}</strong><${ColourBadge} colour=${colour} /></span>
    <strong class="name">${item.patient_name || "—"}</strong>
    <span class="soft">${[ageText(item.patient_age), item.patient_sex ? t(`gender-${item.patient_sex}`) : ""].filter(Boolean).join(" · ")}</span>
    ${item.visit.state === "waiting" ? html`<span class="soft">${t("waits", { time: span(item.waited_s) })}</span>` : html`<span>${t(`state-${item.visit.state.replace("_", "-")}`)}</span>`}
    <span class="soft small">${item.site_name} · <span class=${item.node_online ? "on" : "off"}>${item.home ? t(item.node_online ? "home-page-open" : "home-page-away") : item.node_online ? t("node-online")
      : item.last_ack_age_s === null ? t("node-offline") : t("node-offline-since", { time: span(item.last_ack_age_s) })}</span></span>
    ${item.visit.speciality ? html`<span class="small">${t("speciality-asked", { name: specialityName(item.visit.speciality) })}</span>` : null}
    ${isMine && item.visit.given && item.visit.state === "waiting" ? html`<strong class="small" data-test="given">${t("given-to-you")}</strong>` : null}
    ${others ? html`<span class="small">${t("taken-by", { name: item.visit.doctor_name })}</span>` : null}
  </button></li>`;
}

function Queue() {
  const items = queue.value;
  return html`<nav class="queue" aria-label=${t("patients-waiting")}>
    <h2>${t("patients-waiting")} <span class="soft num">${items ? items.length : ""}</span></h2>
    ${items?.length === 0 ? html`<p class="soft" data-test="queue-empty">${t("console-empty")}</p>` : null}
    <ol data-test="queue">${(items ?? []).map((item) => html`<${QueueRow} key=${item.visit.visit_id} item=${item} isChosen=${chosen.value === item.visit.visit_id} />`)}</ol>
    <${EarlyList} />
  </nav>`;
}

/** The page of administration that is open; its code is loaded when it is first looked at. */
function Office() {
  const [Page, setPage] = useState(/** @type {any} */ (null));
  useEffect(() => {
    let here = true;
    const show = (/** @type {any} */ found) => here && setPage(() => found);
    void OFFICE[page.value]?.().then(show).catch(() => toast("bad", t("error-other", { detail: "" })));
    return () => void (here = false);
  }, []);
  return Page ? html`<${Page} />` : html`<p role="status">${t("loading")}</p>`;
}

/** @type {Record<string, () => Promise<any>>} */
const OFFICE = {
  fleet: () => import("./fleet.js").then((found) => found.Fleet),
  sites: () => import("./sites.js").then((found) => found.Sites),
  people: () => import("./people.js").then((found) => found.People),
  updates: () => import("./updates.js").then((found) => found.Updates),
  plan: () => import("./plan.js").then((found) => found.PlanPage),
  "on-call": () => import("./oncall.js").then((found) => found.OnCall),
  figures: () => import("./figures.js").then((found) => found.Figures),
  lists: () => import("./lists.js").then((found) => found.Lists),
  glass: () => Promise.resolve(GlassReview),
  rights: () => import("./rights.js").then((found) => found.Rights),
};

/** What somebody who treats nobody sees first. */
function Home() {
  if (brokenVisit.value) return html`<${BrokenRecord} key=${brokenVisit.value} />`;
  const figures = roles.value.some((role) => ["viewer", "administrator", "coordinator"].includes(role));
  return html`${opens() ? html`<${Unlocks} />` : null}${roles.value.includes("coordinator") ? html`<${Coordination} />` : null}
    ${figures ? html`<${DayFigures} />` : html`<${Review} />`}`;
}

function App() {
  document.title = `${invited()?.phase === "asking" ? `● ${t("third-offer")}` : rota.value?.offer ? `● ${t("rota-offer")}` : t(doctor.value && !treats() ? "office" : "console")} · Upkendra`;
  let body;
  if (!started.value) body = html`<main class="wait"><p role="status">${t("starting")}</p></main>`;
  else if (!doctor.value) body = html`<main class="wait"><${Login} /></main>`;
  else if (given.value || page.value === "own") body = html`<main class="wait"><${Own} /></main>`;
  else if (!reference.value) body = html`<main class="wait"><p role="status">${t("loading")}</p></main>`;
  else if (mine().includes(page.value)) body = html`<main class="review"><${Office} key=${page.value} /></main>`;
  else if (!treats()) body = html`<main class="review"><${Home} /></main>`;
  else if (page.value === "review") body = html`<main class="review"><${Review} /></main>`;
  else if (page.value === "waiting") body = html`<main class="review">${opens() ? html`<${Unlocks} />` : null}<${Coordination} /></main>`;
  else body = html`<div class="columns"><${Queue} />
      <main class="middle">${record.value ? html`<${Record} key=${record.value.visit.visit_id} />`
        : html`<h1 class="visually-hidden">${t("console")}</h1><p class="soft empty" role="status">${chosen.value ? t("loading") : t("choose-patient")}</p>`}</main>
      <aside class="work" aria-label=${t("prescription")}>${seated() ? html`<${Seat} />` : html`<${CallPanel} more=${ThirdPanel} />`}
        ${record.value && !seated() ? html`<${RxForm} key=${record.value.visit.visit_id} visitId=${record.value.visit.visit_id} />` : null}</aside></div>`;
  return html`<${Header} />${doctor.value && !given.value && reference.value ? html`<${OfficeNav} page=${page.value} />` : null}${doctor.value && !given.value && treats() ? html`<${Offer} onTaken=${(/** @type {string} */ visitId) => void choose(visitId)} /><${EndsSoon} /><${LeftBehind} onOpen=${(/** @type {string} */ visitId) => void choose(visitId)} /><${ThirdOffer} onCome=${(/** @type {string} */ visitId) => void choose(visitId)} />` : null}${body}<${Toasts} />`;
}

void start().then(() => render(html`<${App} />`, /** @type {HTMLElement} */ (document.getElementById("app"))));
