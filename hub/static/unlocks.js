// @ts-check
// Locked boxes that ask to be opened: who asks, since when, and a person's yes or no with a reason and the password.
import { html, signal, useEffect, useSignal } from "/ui/lib/dom.js";
import { get, post } from "/ui/lib/http.js";
import { clockTime, t } from "/ui/lib/l10n.js";
import { TextField, toast } from "/ui/lib/parts.js";
import { errorText } from "./store.js";

/** @typedef {{node_id: string, request: string, site_code: string, site_name: string, district: string, state: string, asked_ms: number, still_asks: boolean, decided_by: string, why: string, decided_ms: number}} Asking */

const LOOK_EVERY_MS = 5000;
const items = signal(/** @type {Asking[]|null} */ (null));

async function load() {
  items.value = (await get("/api/unlocks")).items;
}

export function Unlocks() {
  useEffect(() => {
    const look = () => void load().catch(() => {});
    look();
    const timer = setInterval(look, LOOK_EVERY_MS);
    return () => clearInterval(timer);
  }, []);
  const found = items.value ?? [];
  const waiting = found.filter((one) => one.state === "waiting");
  const decided = found.filter((one) => one.state !== "waiting");
  return html`<section class="stack" data-test="unlocks" aria-label=${t("unlocks")}><h1>${t("unlocks")}</h1>
    <p>${t("unlocks-explain")}</p>
    ${items.value && waiting.length === 0 ? html`<p class="card soft" role="status" data-test="unlocks-none">${t("unlocks-none")}</p>` : null}
    <ol class="stack tight">${waiting.map((one) => html`<${Waiting} key=${one.request} one=${one} />`)}</ol>
    ${decided.length > 0 ? html`<ul class="stack tight small soft" data-test="unlocks-decided">${decided.map((one) => html`<li key=${one.request}>
      ${one.site_name} (${one.site_code}) · ${clockTime(one.decided_ms)} · ${t(`unlocks-${one.state}`)} · ${one.decided_by}: ${one.why}</li>`)}</ul>` : null}
  </section>`;
}

/** @param {{one: Asking}} props */
function Waiting({ one }) {
  const why = useSignal("");
  const password = useSignal("");
  const busy = useSignal(false);
  const wrong = useSignal("");
  const decide = async (/** @type {boolean} */ approve) => {
    busy.value = true;
    wrong.value = "";
    try {
      const body = { request: one.request, approve, why: why.value.trim(), password: password.value };
      items.value = (await post(`/api/unlocks/${one.node_id}`, body)).items;
      toast("good", t(approve ? "unlocks-approved" : "unlocks-refused"));
    } catch (error) {
      wrong.value = errorText(error);
    } finally {
      password.value = "";
      busy.value = false;
    }
  };
  const ready = why.value.trim().length >= 3 && password.value && !busy.value;
  return html`<li class="card stack tight" data-test="unlock-request" data-node=${one.node_id}>
    <strong>${one.site_name} (${one.site_code})</strong>
    <span>${one.district} · ${t("unlocks-since", { time: clockTime(one.asked_ms) })} · ${t(one.still_asks ? "unlocks-asks" : "unlocks-silent")}</span>
    <p class="notice warn">${t("unlocks-check")}</p>
    <${TextField} id=${`why-${one.request}`} test="unlock-why" label=${t("unlocks-why")} value=${why.value} maxlength=${60} onValue=${(/** @type {string} */ text) => (why.value = text)} />
    <${TextField} id=${`password-${one.request}`} test="unlock-password" label=${t("unlocks-password")} type="password" autocomplete="current-password" value=${password.value} onValue=${(/** @type {string} */ text) => (password.value = text)} />
    ${wrong.value ? html`<p class="notice bad" role="alert" data-test="unlock-wrong">${wrong.value}</p>` : null}
    <div class="row tight"><button type="button" class="primary" data-test="unlock-approve" disabled=${!ready} onClick=${() => void decide(true)}>${t("unlocks-approve")}</button>
      <button type="button" class="danger" data-test="unlock-refuse" disabled=${!ready} onClick=${() => void decide(false)}>${t("unlocks-refuse")}</button></div>
  </li>`;
}
