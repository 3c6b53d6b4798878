// @ts-check
// What the law gives to patients: how long things are kept, and erasing, which takes two people.
import { html, useSignal } from "/ui/lib/dom.js";
import { post, put } from "/ui/lib/http.js";
import { clockTime, day, t } from "/ui/lib/l10n.js";
import { TextField, toast } from "/ui/lib/parts.js";
import { Breach } from "./breach.js";
import { Act, Download, Loading, useLoaded } from "./office.js";
import { errorText, roles } from "./store.js";

const REASON_MIN = 10;

/** The page. */
export function Rights() {
  const [found, keep] = useLoaded("/api/rights");
  if (!found) return html`<${Loading} />`;
  return html`<div class="stack" data-test="rights"><h1 id="record-title" tabindex="-1">${t("office-rights")}</h1>
    <${Erase} keep=${keep} /><${Requests} found=${found} keep=${keep} /><${Keeping} found=${found} keep=${keep} />
    ${roles.value.includes("administrator") ? html`<${Breach} />` : null}</div>`;
}

/** Who it is, what would go, and the request. @param {{keep: (fresh?: any) => void}} props */
function Erase({ keep }) {
  const who = useSignal("");
  const reason = useSignal("");
  const plan = useSignal(/** @type {any} */ (null));
  const asking = useSignal(false);
  const look = async (/** @type {Event} */ event) => {
    event.preventDefault();
    plan.value = made.value = null;
    try {
      plan.value = await post("/api/erasures/plan", { reference: who.value.trim() });
    } catch (error) {
      toast("bad", errorText(error));
    }
  };
  const ask = async (/** @type {string} */ password) => {
    keep(await post("/api/erasures", { password, reference: plan.value.patient_id, reason: reason.value.trim() }));
    plan.value = null;
    reason.value = who.value = "";
  };
  const copying = useSignal(false);
  const made = useSignal(/** @type {any} */ (null));
  const copy = async (/** @type {string} */ password) => {
    made.value = await post("/api/copies", { password, reference: plan.value.patient_id });
  };
  const goes = plan.value?.items.some((/** @type {any} */ item) => item.goes);
  return html`<section class="card stack tight"><h2>${t("rights-erase")}</h2><p>${t("rights-explain")}</p>
    <form class="row filters" onSubmit=${look}><${TextField} id="rights-who" test="rights-who" label=${t("rights-who")} hint=${t("rights-who-hint")} value=${who.value} maxlength=${60} onValue=${(/** @type {string} */ text) => (who.value = text)} />
      <button data-test="rights-look" disabled=${!who.value.trim()}>${t("rights-look")}</button></form>
    ${plan.value && roles.value.includes("medical_officer") ? html`<div class="row"><button type="button" data-test="rights-copy" onClick=${() => (copying.value = true)}>${t("rights-copy")}</button><${Nominee} patientId=${plan.value.patient_id} />
      ${made.value ? html`<${Download} base64=${made.value.zip} name=${made.value.file_name} type="application/zip" label=${t("rights-copy-save", { n: made.value.visits })} test="rights-copy-save" />` : null}</div>` : null}
    ${copying.value ? html`<${Act} title=${t("rights-copy")} says=${t("rights-copy-says")} go=${t("rights-copy")} act=${copy} onClose=${() => (copying.value = false)} />` : null}
    ${plan.value ? html`<${Plan} plan=${plan.value} />
      ${goes ? html`<div><button type="button" class="danger" data-test="rights-ask" onClick=${() => (asking.value = true)}>${t("rights-ask")}</button></div>` : null}` : null}
    ${asking.value ? html`<${Act} title=${t("rights-ask")} says=${t("rights-ask-says")} go=${t("rights-ask")} danger ready=${reason.value.trim().length >= REASON_MIN} act=${ask} onClose=${() => (asking.value = false)}>
      <${TextField} id="rights-reason" test="rights-reason" label=${t("glass-reason")} hint=${t("glass-reason-hint")} value=${reason.value} maxlength=${60} onValue=${(/** @type {string} */ text) => (reason.value = text)} /><//>` : null}</section>`;
}

/** Whom she has named to speak in her place. @param {{patientId: string}} props */
function Nominee({ patientId }) {
  const known = useSignal(/** @type {any} */ (null));
  const look = async () => {
    try {
      known.value = await post("/api/nominees/look", { reference: patientId });
    } catch (error) {
      toast("bad", errorText(error));
    }
  };
  const save = async (/** @type {string} */ password) => {
    await put("/api/nominees", { password, reference: patientId, nominee: known.value });
    toast("good", t("nominee-noted"));
  };
  const field = (/** @type {"name"|"relation"|"phone"} */ name) => html`<${TextField} id=${`nominee-${name}`} test=${`nominee-${name}`} label=${t(`nominee-${name}`)} value=${known.value[name]} maxlength=${name === "phone" ? 19 : 60} onValue=${(/** @type {string} */ text) => (known.value = { ...known.value, [name]: text })} />`;
  return html`<button type="button" data-test="nominee" onClick=${look}>${t("nominee")}</button>
    ${known.value ? html`<${Act} title=${t("nominee")} says=${t("nominee-says")} go=${t("nominee-save")} act=${save} onClose=${() => (known.value = null)}>${field("name")}${field("relation")}${field("phone")}<//>` : null}`;
}

/** What of a person would go now, and what stays and why. @param {{plan: any}} props */
function Plan({ plan }) {
  return html`<ul class="stack tight" data-test="rights-plan">${plan.items.map((/** @type {any} */ item, /** @type {number} */ at) => html`<${Line} key=${at} item=${item} />`)}</ul>
    ${plan.items.some((/** @type {any} */ item) => item.goes) ? null : html`<p class="notice" role="status" data-test="rights-nothing">${t("error-nothing-to-erase")}</p>`}`;
}

/** One thing that is kept, and whether it would go. @param {{item: any}} props */
function Line({ item }) {
  const why = item.goes ? t("rights-goes") : t(`rights-stays-${item.why}`, { day: item.until_ms ? day(item.until_ms) : "" });
  const counts = item.entries ? t("rights-counts", { entries: item.entries, blobs: item.blobs }) : "";
  return html`<li data-test="rights-line" data-goes=${String(item.goes)} data-why=${item.why}><div class="row between"><strong class="grow">${t(`retention-${item.name}`)} <span class="num small">${item.visit_id}</span></strong><span class="num">${day(item.last_ms)}</span></div>
    <p class="small">${[why, counts].filter(Boolean).join(" · ")}</p>${item.documents ? html`<p class="small notice warn">${t("rights-documents", { n: item.documents })}</p>` : null}</li>`;
}

/** @param {{found: any, keep: (fresh?: any) => void}} props */
function Requests({ found, keep }) {
  return html`<section class="stack tight"><h2>${t("rights-requests")}</h2>
    ${found.items.length === 0 ? html`<p class="card soft" role="status" data-test="rights-none">${t("rights-none")}</p>` : null}
    <ul class="stack tight">${found.items.map((/** @type {any} */ one) => html`<${Request} key=${one.erasure_id} one=${one} me=${found.me} keep=${keep} />`)}</ul></section>`;
}

/** @param {{one: any, me: string, keep: (fresh?: any) => void}} props */
function Request({ one, me, keep }) {
  const deciding = useSignal(/** @type {boolean | null} */ (null));
  const plan = useSignal(/** @type {any} */ (null));
  const look = async () => {
    try {
      plan.value = await post("/api/erasures/plan", { reference: one.patient_id });
      deciding.value = true;
    } catch (error) {
      toast("bad", errorText(error));
    }
  };
  const decide = async (/** @type {string} */ password) => keep(await post(`/api/erasures/${one.erasure_id}`, { password, agree: deciding.value }));
  const home = one.node_ms === 0 ? t("rights-node-waits") : t("rights-node-done", { day: day(one.node_ms) });
  return html`<li class="card stack tight" data-test="rights-request" data-state=${one.state}>
    <div class="row between"><strong class="grow">${t(`rights-state-${one.state}`)}</strong><span class="num">${day(one.asked_ms)} ${clockTime(one.asked_ms)}</span></div>
    <p>${one.reason}</p><p class="small soft">${t("rights-asked-by", { who: one.asked_by || "—" })}${one.decided_by ? ` · ${t("rights-decided-by", { who: one.decided_by })}` : ""}</p>
    ${one.state === "done" ? html`<p class="small">${t("rights-done", { visits: one.visits, entries: one.entries, blobs: one.blobs })} · ${one.scrubbed_ms ? t("rights-scrubbed") : t("rights-not-scrubbed")} · ${home}</p>` : null}
    ${one.state === "waiting" ? html`<div class="row"><button type="button" data-test="rights-refuse" onClick=${() => (deciding.value = false)}>${t("rights-refuse")}</button>
      ${one.asked_by === me ? html`<span class="soft small">${t("error-own-request")}</span>` : html`<button type="button" class="danger" data-test="rights-agree" onClick=${look}>${t("rights-agree-look")}</button>`}</div>` : null}
    ${deciding.value === false ? html`<${Act} title=${t("rights-refuse")} go=${t("rights-refuse")} act=${decide} onClose=${() => (deciding.value = null)} />` : null}
    ${deciding.value ? html`<${Act} title=${t("rights-agree")} says=${t("rights-agree-says")} go=${t("rights-agree")} danger ready=${plan.value.items.some((/** @type {any} */ item) => item.goes)} act=${decide} onClose=${() => (deciding.value = null)}><${Plan} plan=${plan.value} /><//>` : null}</li>`;
}

/** @param {{found: any, keep: (fresh?: any) => void}} props */
function Keeping({ found, keep }) {
  return html`<section class="stack tight"><h2>${t("retention")}</h2><p>${t("retention-explain")}</p>
    <ul class="stack tight">${found.settings.map((/** @type {any} */ one) => html`<${Setting} key=${one.name} one=${one} keep=${keep} />`)}</ul></section>`;
}

/** @param {{one: any, keep: (fresh?: any) => void}} props */
function Setting({ one, keep }) {
  const days = useSignal("");
  const asking = useSignal(false);
  const save = async (/** @type {string} */ password) => keep(await put(`/api/retention/${one.name}`, { password, keep_days: Number(days.value || 0) }));
  return html`<li class="card row between" data-test="retention" data-class=${one.name}><div class="grow"><strong>${t(`retention-${one.name}`)}</strong>
      <p class="small">${one.keep_days ? t("retention-days", { n: one.keep_days }) : t("retention-kept")} · ${t("retention-floor", { n: one.floor_days })}</p></div>
    ${roles.value.includes("administrator") ? html`<button type="button" class="quiet" data-test="retention-set" onClick=${() => ((days.value = String(one.keep_days || "")), (asking.value = true))}>${t("retention-set")}</button>` : null}
    ${asking.value ? html`<${Act} title=${t(`retention-${one.name}`)} says=${t("retention-says", { n: one.floor_days })} go=${t("retention-set")} ready=${/^\d*$/.test(days.value)} act=${save} onClose=${() => (asking.value = false)}>
      <${TextField} id="retention-value" test="retention-value" label=${t("retention-value")} value=${days.value} inputmode="numeric" maxlength=${5} onValue=${(/** @type {string} */ text) => (days.value = text)} /><//>` : null}</li>`;
}
