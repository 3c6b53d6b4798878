// @ts-check
// Updates in waves: who gets which one from when on, how far that has come, and a pause.
import { html, useSignal } from "/ui/lib/dom.js";
import { api, post, put } from "/ui/lib/http.js";
import { clockTime, day, t } from "/ui/lib/l10n.js";
import { TextField } from "/ui/lib/parts.js";
import { Act, Loading, Select, useLoaded } from "./office.js";

/** @typedef {{starts_ms: number, share: number, districts: string[]}} Wave */
/** @typedef {{sha256: string, name: string, version: string, target: string, size_bytes: number, plan: Wave[], paused: boolean, added_ms: number, added_by: string, reached: number[], offered: number, nodes: number}} Offered */
/** @typedef {{told: Record<string, Record<string, number>>, stocked: string[]}} Far */

const SHARES = [1, 5, 10, 25, 50, 100];
/** As nodes name them. */
const STATES = ["coming", "here", "installed", "committed", "refused", "rolled_back"];
const DAY_MS = 86_400_000;
/** A quarter of an hour from now, so that a plan can still be looked at. */
const soon = () => Math.ceil(Date.now() / 900_000) * 900_000;
/** @returns {Wave[]} */
const usual = () => [5, 25, 100].map((share, number) => ({ starts_ms: soon() + number * 2 * DAY_MS, share, districts: [] }));
/** For a field of date and time, in this machine's own zone. @param {number} ms */
const local = (ms) => new Date(ms - new Date(ms).getTimezoneOffset() * 60_000).toISOString().slice(0, 16);

export function Updates() {
  const [found, keep] = useLoaded("/api/updates");
  const adding = useSignal(false);
  if (!found) return html`<${Loading} />`;
  return html`<div class="stack" data-test="updates"><div class="row between"><h1 id="record-title" tabindex="-1">${t("office-updates")}</h1>
      <button type="button" class="primary" data-test="update-add" onClick=${() => (adding.value = true)}>${t("update-add")}</button></div>
    <p>${t("updates-explain")}</p>
    ${found.items.length === 0 ? html`<p class="card soft" role="status" data-test="updates-none">${t("updates-none")}</p>` : null}
    <ul class="stack tight">${found.items.map((/** @type {Offered} */ one) => html`<${Line} key=${one.sha256} one=${one} keep=${keep} districts=${found.districts} now=${found.now_ms} far=${found} />`)}</ul>
    ${adding.value ? html`<${Add} keep=${keep} districts=${found.districts} onClose=${() => (adding.value = false)} />` : null}</div>`;
}

/** @param {{one: Offered, keep: (fresh?: any) => void, districts: string[], now: number, far: Far}} props */
function Line({ one, keep, districts, now, far }) {
  const doing = useSignal("");
  const plan = useSignal(one.plan);
  const onClose = () => (doing.value = "");
  const change = (/** @type {boolean} */ paused, /** @type {Wave[]} */ waves) => async (/** @type {string} */ password) => keep(await put(`/api/updates/${one.sha256}`, { password, plan: waves, paused }));
  const name = `${one.name} ${one.version}`;
  return html`<li class="card stack tight" data-test="update" data-version=${one.version} data-paused=${String(one.paused)}>
    <div class="row between"><div class="grow"><strong>${name}</strong> <span class="soft small">${one.target} · ${(one.size_bytes / 1e6).toFixed(1)} MB · ${one.added_by} · ${day(one.added_ms)}</span></div>
      <span class=${one.paused ? "notice warn slim" : "notice good slim"}>${t(one.paused ? "update-paused" : "update-goes", { offered: one.offered, nodes: one.nodes })}</span></div>
    <ol class="stack tight small">${one.plan.map((wave, number) => html`<li key=${number} class=${wave.starts_ms <= now && !one.paused ? "wave on" : "wave"}>${t("wave-line", { number: number + 1, when: `${day(wave.starts_ms)} ${clockTime(wave.starts_ms)}`, share: wave.share, where: wave.districts.join(", ") || t("day-all"), nodes: one.reached[number] })}</li>`)}</ol>
    <p class="small" data-test="update-far">${t(far.stocked.includes(one.sha256) ? "update-by-link" : "update-by-stick")}${STATES.filter((state) => far.told[name]?.[state]).map((state) => html` · <span key=${state}>${t(`update-n-${state.replace("_", "-")}`, { nodes: far.told[name][state] })}</span>`)}</p>
    <div class="row tight"><button type="button" data-test="update-toggle" onClick=${() => (doing.value = "toggle")}>${t(one.paused ? "update-go" : "update-pause")}</button>
      <button type="button" class="quiet" data-test="update-waves" onClick=${() => { plan.value = one.plan; doing.value = "waves"; }}>${t("update-waves")}</button>
      <button type="button" class="quiet" data-test="update-remove" onClick=${() => (doing.value = "remove")}>${t("update-remove")}</button></div>
    ${doing.value === "toggle" ? html`<${Act} title=${`${t(one.paused ? "update-go" : "update-pause")}: ${name}`} says=${t(one.paused ? "update-go-says" : "update-pause-says")} go=${t(one.paused ? "update-go" : "update-pause")} act=${change(!one.paused, one.plan)} onClose=${onClose} />` : null}
    ${doing.value === "waves" ? html`<${Act} title=${`${t("update-waves")}: ${name}`} go=${t("save")} act=${change(one.paused, plan.value)} onClose=${onClose}><${Plan} plan=${plan} districts=${districts} /><//>` : null}
    ${doing.value === "remove" ? html`<${Act} title=${`${t("update-remove")}: ${name}`} says=${t("update-remove-says")} go=${t("update-remove")} danger
      act=${async (/** @type {string} */ password) => keep(await api("DELETE", `/api/updates/${one.sha256}`, { password }))} onClose=${onClose} />` : null}</li>`;
}

/** @param {{plan: import("/ui/vendor/signals.js").Signal<Wave[]>, districts: string[]}} props */
function Plan({ plan, districts }) {
  const set = (/** @type {number} */ at, /** @type {Partial<Wave>} */ change) => (plan.value = plan.value.map((wave, number) => (number === at ? { ...wave, ...change } : wave)));
  return html`<ol class="stack tight">${plan.value.map((wave, number) => html`<li key=${number} class="row wave-edit">
      <div class="field"><label for=${`wave-start-${number}`}>${t("wave-start", { number: number + 1 })}</label><input id=${`wave-start-${number}`} type="datetime-local" value=${local(wave.starts_ms)} onInput=${(/** @type {any} */ event) => event.currentTarget.value && set(number, { starts_ms: new Date(event.currentTarget.value).getTime() })} /></div>
      <${Select} id=${`wave-share-${number}`} label=${t("wave-share")} value=${String(wave.share)} options=${[...new Set([...SHARES, wave.share])].sort((a, b) => a - b).map((share) => [String(share), `${share} %`])} onValue=${(/** @type {string} */ share) => set(number, { share: Number(share) })} />
      <${TextField} id=${`wave-where-${number}`} label=${t("wave-where")} list="wave-districts" value=${wave.districts.join(", ")} onValue=${(/** @type {string} */ text) => set(number, { districts: text.split(",").map((one) => one.trim()).filter(Boolean) })} />
      <button type="button" class="quiet" disabled=${plan.value.length === 1} aria-label=${t("wave-remove", { number: number + 1 })} onClick=${() => (plan.value = plan.value.filter((_, at) => at !== number))}>${t("remove")}</button></li>`)}</ol>
    <datalist id="wave-districts">${districts.map((one) => html`<option key=${one} value=${one} />`)}</datalist>
    <div><button type="button" class="quiet" data-test="wave-add" disabled=${plan.value.length >= 12} onClick=${() => (plan.value = [...plan.value, { starts_ms: (plan.value.at(-1)?.starts_ms ?? soon()) + DAY_MS, share: 100, districts: [] }])}>${t("wave-add")}</button></div>`;
}

/** @param {{keep: (fresh?: any) => void, districts: string[], onClose: () => void}} props */
function Add({ keep, districts, onClose }) {
  const release = useSignal("");
  const plan = useSignal(usual());
  const take = async (/** @type {any} */ event) => {
    const file = event.currentTarget.files?.[0];
    const bytes = file ? new Uint8Array(await file.arrayBuffer()) : new Uint8Array();
    release.value = btoa(Array.from(bytes, (one) => String.fromCharCode(one)).join(""));
  };
  return html`<${Act} title=${t("update-add")} says=${t("update-add-says")} go=${t("update-add")} ready=${release.value !== ""}
    act=${async (/** @type {string} */ password) => keep(await post("/api/updates", { password, release: release.value, plan: plan.value }))} onClose=${onClose}>
    <div class="field"><label for="update-file">${t("update-file")}</label><input id="update-file" data-test="update-file" type="file" accept=".json,application/json" onChange=${take} /></div>
    <${Plan} plan=${plan} districts=${districts} /><//>`;
}
