// @ts-check
// Medical review: every drug, rule, term and text that nobody has approved, its source, and who decided what.
import { html, signal, useEffect, useSignal } from "/ui/lib/dom.js";
import { get, post } from "/ui/lib/http.js";
import { clockTime, day, t } from "/ui/lib/l10n.js";
import { toast } from "/ui/lib/parts.js";
import { errorText } from "./store.js";

/** @typedef {{item: {item: string, kind: string, title: string, says: string, status: string, sources: string[], fingerprint: string}, decision: "approved"|"rejected"|null, by: string, note: string, at_ms: number, outdated: boolean}} Reviewed */

const items = signal(/** @type {Reviewed[]|null} */ (null));
const mayDecide = signal(false);

/** @param {{items: Reviewed[], may_decide: boolean}} reply */
function take(reply) {
  items.value = reply.items;
  mayDecide.value = reply.may_decide;
}

export function Review() {
  const kind = useSignal("drug");
  const openOnly = useSignal(true);
  useEffect(() => {
    get("/api/review").then(take).catch((error) => toast("bad", errorText(error)));
  }, []);
  const all = items.value ?? [];
  const shown = all.filter((one) => one.item.kind === kind.value && !(openOnly.value && one.decision));
  return html`<div class="stack" data-test="review"><h1 id="record-title" tabindex="-1">${t("review")}</h1>
    <p>${t("review-explain")}${mayDecide.value ? "" : ` ${t("review-look-only")}`}</p>
    <div class="row tight"><div class="field"><label for="review-kind">${t("review-kind")}</label>
      <select id="review-kind" data-test="review-kind" value=${kind.value} onChange=${(/** @type {any} */ event) => (kind.value = event.currentTarget.value)}>
        ${["drug", "rule", "term", "text"].map((one) => html`<option key=${one} value=${one}>${t(`review-${one}`)} (${all.filter((found) => found.item.kind === one && !found.decision).length})</option>`)}</select></div>
      <label class="check"><input type="checkbox" data-test="review-open" checked=${openOnly.value} onChange=${(/** @type {any} */ event) => (openOnly.value = event.currentTarget.checked)} />${t("review-open-only")}</label></div>
    ${items.value === null ? html`<p role="status">${t("loading")}</p>` : null}
    ${items.value !== null && shown.length === 0 ? html`<p class="soft" role="status">${t("review-none")}</p>` : null}
    <ol class="stack tight">${shown.map((one) => html`<${Item} key=${one.item.item} one=${one} />`)}</ol></div>`;
}

/** @param {{one: Reviewed}} props */
function Item({ one }) {
  const note = useSignal("");
  const busy = useSignal(false);
  const decide = (/** @type {"approved"|"rejected"} */ decision) => async () => {
    busy.value = true;
    try {
      take(await post("/api/review", { item: one.item.item, fingerprint: one.item.fingerprint, decision, note: note.value.trim() }));
    } catch (error) {
      toast("bad", errorText(error));
    } finally {
      busy.value = false;
    }
  };
  const id = `note-${one.item.item}`;
  return html`<li class="card stack tight" data-test="review-item" data-item=${one.item.item} data-decision=${one.decision ?? ""}>
    <strong>${one.item.title}</strong><span class="prewrap">${one.item.says}</span>
    <span class="small"><span class="unapproved">${one.item.status}</span></span>
    <span class="small soft">${t("review-source")}: ${one.item.sources.filter(Boolean).join("; ") || "–"}</span>
    ${one.by ? html`<span class="small">${one.outdated ? t("review-outdated") : t(`review-is-${one.decision}`)} · ${one.by} · <span class="num">${day(one.at_ms)} ${clockTime(one.at_ms)}</span>${one.note ? ` · ${one.note}` : ""}</span>` : null}
    ${mayDecide.value ? html`<div class="row tight"><div class="field grow"><label for=${id} class="small">${t("review-note")}</label>
      <input id=${id} maxlength="200" value=${note.value} onInput=${(/** @type {any} */ event) => (note.value = event.currentTarget.value)} /></div>
      <button type="button" data-test="review-approve" disabled=${busy.value} onClick=${decide("approved")}>${t("review-approve")}</button>
      <button type="button" data-test="review-reject" disabled=${busy.value} onClick=${decide("rejected")}>${t("review-reject")}</button></div>` : null}</li>`;
}
