// @ts-check
// Start of the tablet's page: language, session, live channel, and which screen is shown.
import { showTouches } from "/ui/lib/answer.js";
import { effect, html, render, signal, useEffect } from "/ui/lib/dom.js";
import { attend } from "/ui/lib/hands.js";
import { ApiError, api, del, get, reachable, signedOut } from "/ui/lib/http.js";
import { addWords, ensureLanguage, language, setLanguage, startLanguage, t } from "/ui/lib/l10n.js";
import { lazy } from "/ui/lib/lazy.js";
import { Live } from "/ui/lib/live.js";
import { often } from "/ui/lib/often.js";
import { Dialog, Toasts, toast } from "/ui/lib/parts.js";
import { isLost, openers, sealedHere } from "./dayslot.js";
import { devices, loadDevices, measured } from "./devices.js";
import { draftHeard, draftsFailing, forgetDrafts, keepAll, recover } from "./drafts.js";
import { countSealed, forgetKey, mayKeep } from "./sealed.js";
import { forgetCommands, saidHere, underWay, unsaved, waitsFor } from "./commands.js";
import { loadReference, reference } from "/ui/lib/reference.js";
import { enter, forgetHere, go, goOn, loadPeople, loadQueue, loadRecord, loadStatus, lockedOut, loggedIn, people, queue, record, route, seesPatients, staff, staffName, status, wasHere } from "./store.js";
import { Login } from "./screens/login.js";
import { Home } from "./screens/home.js";
import { UndoBar, forgetUndo } from "./undo.js";
import { call, calls, findCall } from "./calls.js";

const REST_AFTER_MS = 1500;
const started = signal(false);
/** @type {Live|null} */
let live = null;

async function start() {
  try {
    await loadStatus();
  } catch {
    await startLanguage("hi").catch(() => {});
    setTimeout(() => void start(), 2000);
    return;
  }
  if (await lookWhetherLost()) return;
  void countSealed();
  void openers(status.value?.node_id ?? "", status.value?.day_slots ?? []); // a day that was closed elsewhere is forgotten here
  await startLanguage(status.value?.language === "en" ? "en" : "hi");
  await ensureLanguage("hi");
  if (!status.value?.locked && wasHere()) {
    try {
      const reply = await get("/api/session");
      if (reply?.staff) enter(reply);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
    }
  }
  started.value = true;
}

/** Somebody said that this tablet is lost: its key, half-filled forms and what waited to be sent go, and so does the page's memory. */
async function lookWhetherLost() {
  const now = status.value;
  if (!now?.lost_slots?.length || !(await isLost(now.node_id, now.lost_slots))) return false;
  forgetCommands();
  leave();
  location.reload();
  return true;
}
effect(() => {
  if (started.value && status.value?.lost_slots?.length) void lookWhetherLost();
});

/** No form shows the queue, and every step of one changes it. */
const showsQueue = () => route.value[0] !== "register" && route.value[0] !== "patient" && route.value[2] !== "step";
const queueChanged = often(loadQueue, { wanted: showsQueue });
effect(() => {
  if (showsQueue()) void queueChanged(false);
});

/** What the node said last of a USB stick. @type {import("/ui/vendor/signals.js").Signal<{stage: string, written: number, total: number, code: string}|null>} */
const stick = signal(null);

/** @param {import("/ui/lib/live.js").LiveMessage} message */
function heard(message) {
  switch (message.type) {
    case "open":
      void loadStatus().catch(() => {});
      void queueChanged();
      void findCall();
      break;
    case "queue":
      void queueChanged();
      break;
    case "visit":
    case "prescription":
      if (message.type === "prescription") toast("good", t("rx-arrived"));
      // a step of the form shows nothing but the visit, and the answer to its own command brings that
      if (record.value?.visit.visit_id === message.visit_id && !(route.value[2] === "step" && saidHere(message.command_id))) void loadRecord(message.visit_id).catch(() => {});
      call.value?.visitMessage(message.visit_id);
      void queueChanged();
      break;
    case "draft":
      void draftHeard(/** @type {any} */ (message)).catch(() => {});
      break;
    case "link":
      if (status.value) {
        const { type: _, link, ...flat } = message;
        status.value = { ...status.value, link: { ...status.value.link, ...(link ?? flat) } };
      }
      break;
    case "devices":
      if (devices.value) void loadDevices().catch(() => {});
      break;
    case "printer":
      void import("./screens/printer.js").then(({ loadPrinter }) => loadPrinter()).catch(() => {});
      break;
    case "measure":
      measured(message);
      break;
    case "stick":
      // that it may be pulled does not take the word of a failure away; that one says so too
      if (message.stage !== "out" || stick.value?.stage !== "failed") stick.value = /** @type {any} */ (message);
      break;
    default:
      void calls().then(({ callMessage }) => callMessage(message)).catch(() => {});
  }
}

/** The clinical lists; the queue needs none of them. */
function wantReference() {
  void loadReference().catch(() => setTimeout(wantReference, 2000));
}

/** What comes next, before it is needed and while the node is surely near; not while the first screen is still coming. */
function fetchRest() {
  wantReference();
  for (const screen of [visit, register, wizard, patient]) screen.fetchIt();
  void calls().catch(() => {}); // with the first word of a call it is tried again
}

effect(() => {
  if (loggedIn.value) setTimeout(fetchRest, REST_AFTER_MS);
});

effect(() => {
  if (loggedIn.value && !live) {
    recover();
    live = new Live("/api/live", heard);
    void loadQueue().catch(() => {});
    if (!people.value) void loadPeople().catch(() => {});
  } else if (!loggedIn.value && live) {
    live.close();
    live = null;
    forgetKey();
  }
});

effect(() => {
  if (signedOut.value > 0) {
    lockedOut.value = staff.peek() ?? lockedOut.peek();
    staff.value = null;
    void loadStatus().catch(() => {});
  }
});

effect(() => {
  if (status.value?.locked) lockedOut.value = null;
});

/** Whether we ask before logging out: something has not reached the node. */
const leaving = signal(false);

export async function logOut() {
  leaving.value = false;
  try {
    await del("/api/session");
  } catch {
    // the cookie dies with the node's session anyway
  }
  await keepAll();
  leave();
}

function leave() {
  forgetDrafts();
  forgetUndo();
  forgetHere();
  queue.value = null;
  record.value = null;
  staff.value = lockedOut.value = null;
  goOn("/");
}

/** Everybody was logged out; the node comes back locked in a moment. */
function dayClosed() {
  leave();
  if (status.value) status.value = { ...status.value, locked: true, day_slots: [] };
}

function Header() {
  const other = language.value === "hi" ? "en" : "hi";
  const known = status.value;
  return html`<header class="top">
    <a class="skip" href="#main" onClick=${(/** @type {Event} */ event) => {
      event.preventDefault();
      document.getElementById("main")?.focus();
    }}>${t("skip-to-content")}</a>
    <button class="quiet brand" type="button" data-test="home" onClick=${() => go("/")} disabled=${!loggedIn.value}>
      <img src="/icon.svg" alt="" width="36" height="36" /><span>${known?.site_name || t("app-name")}</span>
    </button>
    ${known?.demo && !known.training ? html`<span class="demo-mark">${t("demo-mark")}</span>` : null}
    <span class="grow"></span>
    <${LinkLine} />
    <button class="quiet" type="button" data-test="language-toggle" lang=${other} onClick=${() => void setLanguage(other)}>
      ${other === "en" ? "English" : "हिन्दी"}
    </button>
    ${staff.value
      ? html`<button class="quiet" type="button" data-test="logout" onClick=${() => (underWay.value > 0 || draftsFailing.value ? (leaving.value = true) : void logOut())} title=${staff.value.name}>
          <span class="who">${language.value === "hi" ? staff.value.name_hi || staff.value.name : staff.value.name}</span>
          <span>${t("logout")}</span>
        </button>`
      : null}
  </header>`;
}

/** One line on the link to the hub, in plain words. */
function LinkLine() {
  if (status.value?.training && reachable.value) return null;
  const link = status.value?.link;
  if (!reachable.value) return html`<span class="link off" data-test="link-line" role="status">${t("node-away")}</span>`;
  if (!link) return null;
  const waiting = link.backlog_items > 0 ? ` · ${t("link-waiting", { n: link.backlog_items })}` : "";
  const why = link.waits && link.waiting_items > 0 ? ` · ${t(`link-waits-${link.waits}`)}` : "";
  return html`<span class=${link.online ? "link on" : "link off"} data-test="link-line" data-online=${String(Boolean(link.online))} role="status">
    ${link.online ? t("link-online") : t("link-offline")}${waiting}${why}
  </span>`;
}

/** What the node does not have waits, sealed, until the same person is back; where the tablet keeps no keys, a form is lost. */
function Leaving() {
  if (!leaving.value || !staff.value) return null;
  return html`<${Dialog} title=${t("logout")} test="logout-dialog" onClose=${() => (leaving.value = false)}>
    <p>${t(mayKeep() ? "logout-kept" : "logout-unsaved")}</p>
    <div class="row"><button type="button" class="primary grow" data-test="logout-stay" onClick=${() => (leaving.value = false)}>${t("back")}</button>
      <button type="button" class="danger" data-test="logout-anyway" onClick=${() => void logOut()}>${t("logout-anyway")}</button></div>
  <//>`;
}

/** Stays while something typed has not reached the node. */
function UnsavedLine() {
  if (!draftsFailing.value && unsaved.value === 0) return null;
  if (!draftsFailing.value && underWay.value === 0) {
    const name = waitsFor.value.map((id) => staffName(id) || id).join(", ");
    return html`<p class="notice warn unsaved" role="alert" data-test="unsaved-line" data-waits="other">${t("unsaved-other", { name })}</p>`;
  }
  return html`<p class="notice warn unsaved" role="alert" data-test="unsaved-line">${t("unsaved-line")}</p>`;
}

/** Before anybody can see it: what did not reach the node before a reload, or waits for somebody else. */
function SealedLine() {
  if (sealedHere.value === 0) return null;
  return html`<p class="notice warn unsaved" role="status" data-test="sealed-line" data-n=${String(sealedHere.value)}>${t("sealed-line")}</p>`;
}

/** Stays for good: what is recorded here reaches nobody any more. */
function RevokedLine() {
  const why = status.value?.revoked;
  return why ? html`<p class="notice bad" role="alert" data-test="revoked-line" data-why=${why}>${t("revoked-line")}</p>` : null;
}

/** How a USB stick in the node stands, until somebody has read the end of it. */
function StickLine() {
  const now = stick.value;
  if (!now) return null;
  const ended = now.stage === "out" || now.stage === "failed";
  const kind = { busy: "warn", done: "warn", out: "good", failed: "bad" }[now.stage] ?? "warn";
  const text = now.stage === "busy" && now.total > 0 ? t("stick-busy-n", { n: now.written, total: now.total }) : t(`stick-${now.stage}`);
  return html`<div class=${`notice ${kind} row between`} role="status" data-test="stick-line" data-stage=${now.stage}><span>${text}${now.code ? ` (${now.code})` : ""}</span>
    ${ended ? html`<button type="button" class="quiet" data-test="stick-seen" onClick=${() => (stick.value = null)}>${t("close")}</button>` : null}</div>`;
}

/** A screen that needs the lists came before they did. */
function Waiting() {
  useEffect(wantReference, []);
  return html`<p class="card" role="status">${t("loading")}</p>`;
}

function Screen() {
  if (!started.value) return html`<div class="card" role="status"><h1>${t("starting")}</h1></div>`;
  if (route.value[0] === "emergency" && !loggedIn.value) return html`<${redcase.Screen} />`;
  if (status.value?.locked) return html`<${unlock.Screen} onDone=${() => loadStatus()} />`;
  if (!staff.value) return html`<${Login} />`;
  const [place, id, third, step] = route.value;
  if (!seesPatients()) return html`<${technician.Screen} />`;
  if (place && !reference.value) return html`<${Waiting} />`;
  if (place === "patient" && id) return html`<${patient.Screen} key=${id} patientId=${id} />`;
  if (place === "month") return html`<${month.Screen} />`;
  if (place === "due") return html`<${due.Screen} />`;
  if (place === "stock") return html`<${stock.Screen} />`;
  if (place === "closing") return html`<${closing.Screen} loggedOut=${dayClosed} />`;
  if (place === "register") return html`<${register.Screen} key=${id ?? "new"} />`;
  if (place === "visit" && id && third === "step") return html`<${wizard.Screen} key=${id} visitId=${id} step=${step ?? "consent"} />`;
  if (place === "visit" && id) return html`<${visit.Screen} key=${id} visitId=${id} />`;
  return html`<${Home} />`;
}

const unlock = lazy(async () => (await Promise.all([import("./screens/unlock.js"), addWords("opening")]))[0].Unlock);
const redcase = lazy(async () => (await Promise.all([import("./screens/redcase.js"), addWords("red"), addWords("sending")]))[0].RedCase);
const visit = lazy(async () => (await Promise.all([import("./screens/visit.js"), addWords("sending"), addWords("clip")]))[0].VisitPage);
const wizard = lazy(async () => {
  const loaded = await import("./screens/wizard.js");
  void import("./prompts.js").then(({ loadPrompts }) => loadPrompts()).catch(() => {}); // so that nothing moves under the finger when it comes
  await import("/ui/lib/guided.js").then(({ loadQuestions }) => loadQuestions()).catch(() => {}); // before a record's notes are read
  return loaded.Wizard;
});
const patient = lazy(async () => (await import("./screens/patient.js")).PatientPage);
const register = lazy(async () => (await import("./screens/register.js")).Register);
const closing = lazy(async () => (await Promise.all([import("./screens/closing.js"), addWords("closing")]))[0].ClosingPage);
const month = lazy(async () => (await Promise.all([import("./screens/month.js"), addWords("closing")]))[0].MonthPage);
const due = lazy(async () => (await Promise.all([import("./screens/due.js"), addWords("due")]))[0].DuePage);
const clock = lazy(async () => (await Promise.all([import("./screens/clockline.js"), addWords("clock")]))[0].ClockLine);
const stock = lazy(async () => (await Promise.all([import("./screens/stock.js"), addWords("stock")]))[0].StockPage);
const technician = lazy(async () => (await Promise.all([import("./screens/tech.js"), addWords("technician"), addWords("clip")]))[0].TechPage);

function App() {
  const known = call.value;
  document.title = status.value?.site_name ? `${status.value.site_name} · Upkendra` : "Upkendra";
  document.documentElement.classList.toggle("training", Boolean(status.value?.training));
  return html`${status.value?.training ? html`<aside class="training-mark" aria-label=${t("training-mark")} data-test="training-mark"><strong>${t("training-mark")}</strong> <span>${t("training-hint")}</span></aside>` : null}
    <${Header} /><${Leaving} />
    <${RevokedLine} /><${SealedLine} />
    ${loggedIn.value && status.value?.doubted_ms ? html`<${clock.Screen} />` : null}
    ${loggedIn.value ? html`<${UnsavedLine} /><${StickLine} />${known && html`<${known.CallBanner} />`}` : null}
    ${loggedIn.value && known?.callOnScreen.value ? html`<${known.CallScreen} key=${known.callOnScreen.value.call_id} />` : null}
    <main id="main" tabindex="-1"><${Screen} /></main>
    ${loggedIn.value ? html`<${UndoBar} />` : null}
    <${Toasts} />`;
}

void countSealed();
showTouches();
render(html`<${App} />`, /** @type {HTMLElement} */ (document.getElementById("app")));
void start();

setInterval(() => {
  // asking for the status keeps no session alive: a tablet that nobody touches logs out, but not within a call
  if (loggedIn.value && call.value?.callOnScreen.value) {
    attend();
    void get("/api/session").catch(() => {});
  }
  if (loggedIn.value) void api("GET", "/api/status", undefined, { timeout_ms: 4000 }).then((reply) => (status.value = reply)).catch(() => {});
}, 10_000);

if ("serviceWorker" in navigator && window.isSecureContext) {
  const { serviceWorker } = navigator;
  const first = !serviceWorker.controller;
  serviceWorker.register("/sw.js").then(() => serviceWorker.ready).then(({ active }) => {
    if (!first) return;
    // what this page loads past a worker that has only just come, else the first reload without the node has no page
    new PerformanceObserver((seen) => active?.postMessage(seen.getEntries().map((one) => one.name))).observe({ type: "resource", buffered: true });
  }).catch(() => {
    // without it the page works as long as the node is reachable
  });
}
