// @ts-check
// Start of the page for patients at home: log-in, family, visit, and the call that may ring at any moment.
import { effect, html, render, signal } from "/ui/lib/dom.js";
import { ApiError, del, reachable, signedOut } from "/ui/lib/http.js";
import { addWords, language, setLanguage, startLanguage, t } from "/ui/lib/l10n.js";
import { Live } from "/ui/lib/live.js";
import { often } from "/ui/lib/often.js";
import { Toasts, toast } from "/ui/lib/parts.js";
import { loadReference } from "/ui/lib/reference.js";
import { errorText } from "/ui/lib/errors.js";
import { CallScreen, callMessage, setSender } from "./call.js";
import { FamilyPage, PersonPage } from "./family.js";
import { LoginPage } from "./login.js";
import { CheckPage } from "./papers.js";
import { stopPush, wantPush } from "./push.js";
import { API, enter, family, go, loadFamily, loadOpening, loadVisit, opening, route, routedVisit, visit, wasHere } from "./store.js";
import { VisitPage } from "./visit.js";

const started = signal(false);
/** @type {Live|null} */
let live = null;

async function start() {
  try {
    await Promise.all([addWords("home"), addWords("wait")]);
    await startLanguage("hi");
    await loadOpening();
    if (wasHere()) await loadFamily();
  } catch (error) {
    if (!(error instanceof ApiError) || error.unreachable) {
      setTimeout(() => void start(), 2000);
      started.value = true;
      return;
    }
  }
  started.value = true;
}

const visitChanged = often(async () => {
  if (routedVisit()) await loadVisit(routedVisit());
});
const familyChanged = often(loadFamily);

/** @param {import("/ui/lib/live.js").LiveMessage} message */
function heard(message) {
  if (message.type === "open" || message.type === "visit") {
    void visitChanged();
    void familyChanged();
  }
  callMessage(message);
}

effect(() => {
  if (family.value && !live) {
    live = new Live(`${API}/live`, heard);
    void wantPush();
    setSender((message) => live?.send(message));
    void loadReference(`${API}/reference`).catch((error) => toast("bad", errorText(error)));
  } else if (!family.value && live) {
    live.close();
    live = null;
  }
});
effect(() => {
  if (signedOut.value > 0) enter(null);
});
effect(() => {
  route.value;
  if (visit.peek()?.visit_id !== routedVisit()) visit.value = null;
  if (family.value && routedVisit()) void loadVisit(routedVisit()).catch((error) => {
    toast("bad", errorText(error));
    go("/");
  });
});
setInterval(() => void loadOpening().catch(() => {}), 60_000);
// A place in the queue moves without a change of the visit.
setInterval(() => {
  if (family.value && routedVisit()) void visitChanged();
}, 15_000);

async function logOut() {
  await stopPush();
  await del(`${API}/session`).catch(() => {});
  go("/");
  enter(null);
}

function Screen() {
  if (route.value === "#/check") return html`<${CheckPage} />`;
  if (!family.value) return html`<${LoginPage} />`;
  if (route.value === "#/person") return html`<${PersonPage} />`;
  return routedVisit() ? html`<${VisitPage} />` : html`<${FamilyPage} />`;
}

/** Whom to complain to, on every screen. */
function Grievance() {
  const who = opening.value?.grievance;
  if (!who) return null;
  return html`<footer class="narrow soft small" data-test="home-grievance"><p>${t("home-grievance", { name: who.name })}
    ${who.phone ? html` <a href=${`tel:${who.phone.replace(/[^+0-9]/g, "")}`}>${who.phone}</a>` : null}
    ${who.email ? html` <a href=${`mailto:${who.email}`}>${who.email}</a>` : null}</p></footer>`;
}

function App() {
  if (!started.value) return html`<p class="card" role="status">…</p>`;
  const other = language.value === "hi" ? "en" : "hi";
  return html`<header class="top"><a class="brand" href="#/"><img src="/icon.svg" alt="" width="32" height="32" />${t("home-title")}</a>
      <button type="button" class="quiet" data-test="language-toggle" lang=${other} onClick=${() => void setLanguage(other)}>${other === "hi" ? "हिंदी" : "English"}</button>
      ${family.value ? html`<button type="button" class="quiet" data-test="logout" onClick=${() => void logOut()}>${t("logout")}</button>` : null}</header>
    ${reachable.value ? null : html`<p class="notice warn away" role="status" data-test="away">${t("home-away")}</p>`}
    <main id="content" tabindex="-1"><${Screen} /></main><${Grievance} />
    <${CallScreen} /><${Toasts} />`;
}

const root = document.getElementById("app");
if (root) render(html`<${App} />`, root);
void start();
if ("serviceWorker" in navigator) void navigator.serviceWorker.register("/home/sw.js").catch(() => {});
