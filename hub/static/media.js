// @ts-check
// Photos and recordings of the visit at the doctor's: small pictures at once, the rest when it has come.
import { html, useEffect, useSignal } from "/ui/lib/dom.js";
import { get } from "/ui/lib/http.js";
import { clockTime, t } from "/ui/lib/l10n.js";
import { Dialog } from "/ui/lib/parts.js";

const AGAIN_MS = 5000;

/** @typedef {import("/ui/api").MediaItem} MediaItem */
/** @typedef {{blob_id: string, state: string, parts_here: number, parts: number, shown_bytes: number, size_bytes: number}} State */

/** @param {{visitId: string, media: MediaItem[]}} props */
export function Media({ visitId, media }) {
  const states = useSignal(/** @type {State[]} */ ([]));
  const big = useSignal(/** @type {MediaItem|null} */ (null));
  const shown = media.filter((one) => !one.removed_ms && one.purpose !== "preview");
  useEffect(() => {
    if (shown.length === 0) return undefined;
    const load = () => void get(`/api/visits/${visitId}/media`).then((reply) => (states.value = reply.items)).catch(() => {});
    load();
    const timer = setInterval(() => {
      if (states.value.some((one) => one.state === "waiting") || states.value.length < shown.length) load();
    }, AGAIN_MS);
    return () => clearInterval(timer);
  }, [visitId, shown.length]);
  if (shown.length === 0) return null;
  const at = `/api/visits/${visitId}/media/`;
  const of = (/** @type {string} */ id) => states.value.find((one) => one.blob_id === id);
  return html`<section class="card" data-test="media" aria-label=${t("media-title")}><h2>${t("media-title")}</h2>
    <ul class="media-list">${shown.map((one) => {
      const state = of(one.blob_id);
      const whole = state?.state === "whole";
      const picture = one.purpose === "original";
      const ready = whole || (picture && (state?.shown_bytes ?? 0) > 0);
      return html`<li key=${one.blob_id} class="media-item" data-test="media-item" data-blob=${one.blob_id} data-purpose=${one.purpose} data-state=${state?.state ?? "absent"}>
        ${picture ? html`<button type="button" class="thumb" data-test="media-open" disabled=${!ready} aria-label=${t("photo-alt", { time: clockTime(one.at_ms) })} onClick=${() => (big.value = one)}>
            ${of(one.preview_id)?.state === "whole" ? html`<img src=${at + one.preview_id} alt="" />` : html`<span class="soft small">${t("media-preview-comes")}</span>`}</button>`
        : whole && one.purpose === "clip" ? html`<video controls preload="none" src=${at + one.blob_id}></video>`
        : whole ? html`<audio controls preload="none" src=${at + one.blob_id} aria-label=${t("note-alt", { time: clockTime(one.at_ms) })}></audio>` : null}
        <div class="soft small num" data-test="media-line">${clockTime(one.at_ms)} ${one.caption}
          ${state?.state === "refused" ? html`<div class="wrong">${t("error-media-refused")}</div>`
          : whole ? null : html`<div>${t(picture ? "media-preview-only" : "media-note-comes", { n: state?.parts_here ?? 0, all: state?.parts ?? one.chunks })}</div>`}</div></li>`;
    })}</ul>
    ${big.value ? html`<${Dialog} title=${t("photo-alt", { time: clockTime(big.value.at_ms) })} test="media-dialog" onClose=${() => (big.value = null)}>
      <img class="media-big" data-test="media-big" src=${at + big.value.blob_id} alt=${t("photo-alt", { time: clockTime(big.value.at_ms) })} />
      ${of(big.value.blob_id)?.state === "whole" ? null : html`<p class="notice warn">${t("media-not-sharp")}</p>`}
      <div class="row"><button type="button" data-test="media-close" onClick=${() => (big.value = null)}>${t("media-close")}</button></div>
    <//>` : null}
  </section>`;
}
