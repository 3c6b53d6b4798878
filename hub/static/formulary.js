// @ts-check
// Versions of the formulary: taken in from a file, compared with the one that counts, approved or rejected by somebody else.
import { html, useSignal } from "/ui/lib/dom.js";
import { ApiError, get, post } from "/ui/lib/http.js";
import { clockTime, day, known, t } from "/ui/lib/l10n.js";
import { TextField, toast } from "/ui/lib/parts.js";
import { Act, Loading, useLoaded } from "./office.js";
import { doctor, errorText, roles } from "./store.js";

/** @typedef {{number: number, version: string, sha256: string, note: string, drafted_ms: number, drafted_by: string, drafter_id: string, state: "draft"|"approved"|"rejected", decided_ms: number, decided_by: string, decided_note: string}} Version */
/** @typedef {{number: number, version: string, release: string, medicines: number, items: Version[]}} Versions */
/** @typedef {{drug_id: string, title: string, kind: string, fields: {name: string, before: string, after: string}[]}} Difference */
/** @typedef {{number: number, version: string, standing: number, standing_version: string, lines: Difference[]}} Comparison */

const ROOT = "/api/lists/formulary";
const may = (/** @type {string[]} */ ...who) => who.some((role) => roles.value.includes(role));
const when = (/** @type {number} */ ms) => `${day(ms)} ${clockTime(ms)}`;

export function FormularyVersions() {
  /** @type {[Versions|null, (fresh?: any) => void]} */
  const [found, keep] = useLoaded(ROOT);
  const adding = useSignal(false);
  const compared = useSignal(/** @type {Comparison|null} */ (null));
  if (!found) return html`<${Loading} />`;
  const look = async (/** @type {number} */ number) => {
    try {
      compared.value = await get(`${ROOT}/${number}`);
    } catch (error) {
      toast("bad", errorText(error));
    }
  };
  const chosen = found.items.find((one) => one.number === compared.value?.number);
  return html`<section class="card stack" aria-label=${t("formulary-versions")} data-test="formulary-versions"><h2>${t("formulary-versions")}</h2><p>${t("formulary-explain")}</p>
    <p data-test="formulary-counts"><strong>${t("formulary-counts", { version: found.version, n: found.medicines })}</strong> ${found.number === 0 ? t("formulary-of-release") : t("formulary-release-has", { version: found.release })}</p>
    <div class="row"><a class="button" data-test="formulary-file" href=${`${ROOT}/${found.number}/file`} download=${`formulary-${found.version}.json`}>${t("formulary-file")}</a>
      ${may("administrator", "pharmacist", "medical_officer") ? html`<button type="button" class="primary" data-test="formulary-add" onClick=${() => (adding.value = true)}>${t("formulary-add")}</button>` : null}</div>
    ${found.items.length === 0 ? html`<p class="soft" role="status">${t("formulary-none")}</p>` : html`<ul class="stack tight">${found.items.map((one) => html`<li key=${one.number} class="stack tight" data-test="formulary-version" data-state=${one.state} data-number=${one.number}>
      <div class="row between"><div class="grow"><strong class="num">${one.version}</strong> ${one.state === "approved" ? t("formulary-approved") : html`<span class="unapproved">${t(`formulary-${one.state}`)}</span>`}${one.number === found.number ? html` <span class="state online">${t("formulary-now")}</span>` : null}<br />
        <span class="small">${t("formulary-drafted", { name: one.drafted_by, when: when(one.drafted_ms) })}${one.note ? ` · ${one.note}` : ""}${one.decided_ms ? ` · ${t(`formulary-was-${one.state}`, { name: one.decided_by, when: when(one.decided_ms) })}${one.decided_note ? ` · ${one.decided_note}` : ""}` : ""}</span></div>
        <button type="button" data-test="formulary-look" onClick=${() => void look(one.number)}>${t("formulary-look")}</button></div></li>`)}</ul>`}
    ${compared.value && chosen ? html`<${Compared} key=${chosen.number} one=${chosen} found=${compared.value} keep=${keep} onClose=${() => (compared.value = null)} />` : null}
    ${adding.value ? html`<${Add} keep=${keep} onClose=${() => (adding.value = false)} />` : null}</section>`;
}

/** @param {{keep: (fresh?: any) => void, onClose: () => void}} props */
function Add({ keep, onClose }) {
  const content = useSignal("");
  const note = useSignal("");
  const read = async (/** @type {any} */ event) => (content.value = (await event.currentTarget.files[0]?.text()) ?? "");
  const send = async (/** @type {string} */ password) => {
    keep(await post(ROOT, { password, content: content.value, note: note.value.trim() }));
    toast("good", t("formulary-kept"));
  };
  return html`<${Act} title=${t("formulary-add")} says=${t("formulary-add-says")} go=${t("formulary-add")} ready=${content.value !== ""} act=${send} onClose=${onClose}>
    <div class="field"><label for="formulary-upload">${t("formulary-upload")}</label><input id="formulary-upload" type="file" accept=".json,application/json" data-test="formulary-upload" onChange=${(/** @type {Event} */ event) => void read(event)} /></div>
    <${TextField} id="formulary-note" test="formulary-note" label=${t("formulary-note")} maxlength=${200} value=${note.value} onValue=${(/** @type {string} */ text) => (note.value = text)} /><//>`;
}

/** @param {{one: Version, found: Comparison, keep: (fresh?: any) => void, onClose: () => void}} props */
function Compared({ one, found, keep, onClose }) {
  const asking = useSignal("");
  const note = useSignal("");
  const own = one.drafter_id === doctor.value?.doctor_id;
  const decide = async (/** @type {string} */ password) => {
    try {
      keep(await post(`${ROOT}/${one.number}`, { password, standing: found.standing, approve: asking.value === "approve", note: note.value.trim() }));
    } catch (error) {
      if (error instanceof ApiError && error.code.startsWith("formulary_")) keep();
      throw error;
    }
    toast("good", t(asking.value === "approve" ? "formulary-counts-now" : "formulary-is-rejected"));
    onClose();
  };
  const field = (/** @type {string} */ name) => (known(`formulary-field-${name.replaceAll("_", "-")}`) ? t(`formulary-field-${name.replaceAll("_", "-")}`) : name);
  return html`<section class="notice stack" aria-label=${t("formulary-compared", { version: one.version, standing: found.standing_version })} data-test="formulary-compared">
    <h3>${t("formulary-compared", { version: one.version, standing: found.standing_version })}</h3>
    ${found.lines.length === 0 ? html`<p>${t("formulary-same")}</p>` : html`<ul class="stack tight">${found.lines.map((line) => html`<li key=${line.drug_id} data-test="formulary-line" data-kind=${line.kind}><strong>${t(`formulary-kind-${line.kind}`)}: <span class="num">${line.drug_id}</span> ${line.title}</strong>
      ${line.kind === "removed" ? null : html`<ul class="dots small">${line.fields.map((other) => html`<li key=${other.name}>${field(other.name)}: ${line.kind === "added" ? "" : html`<s>${other.before || "–"}</s> → `}${other.after || "–"}</li>`)}</ul>`}</li>`)}</ul>`}
    <div class="row"><button type="button" data-test="formulary-close" onClick=${onClose}>${t("close")}</button>
      ${one.state === "draft" && may("medical_officer") && !own ? html`<button type="button" class="danger" data-test="formulary-reject" onClick=${() => (asking.value = "reject")}>${t("review-reject")}</button>
        <button type="button" class="primary" data-test="formulary-approve" onClick=${() => (asking.value = "approve")}>${t("review-approve")}</button>` : null}</div>
    ${one.state === "draft" && own ? html`<p class="small">${t("formulary-own")}</p>` : null}
    ${asking.value ? html`<${Act} title=${`${t(asking.value === "approve" ? "review-approve" : "review-reject")}: ${one.version}`} says=${t(asking.value === "approve" ? "formulary-approve-says" : "formulary-reject-says")} go=${t(asking.value === "approve" ? "review-approve" : "review-reject")} danger=${asking.value === "reject"} act=${decide} onClose=${() => (asking.value = "")}>
      <${TextField} id="formulary-why" test="formulary-why" label=${t("review-note")} maxlength=${200} value=${note.value} onValue=${(/** @type {string} */ text) => (note.value = text)} /><//>` : null}</section>`;
}
