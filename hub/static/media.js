// @ts-check
// Photos and recordings of the visit at the doctor's: small pictures at once, the rest when it has come.
import { html, useEffect, useSignal } from "/ui/lib/dom.js";
import { kept, shownPhoto } from "/ui/lib/drawing.js";
import { get, post } from "/ui/lib/http.js";
import { clockTime, t } from "/ui/lib/l10n.js";
import { toast } from "/ui/lib/parts.js";
import { PhotoDialog } from "/ui/lib/photo.js";
import { errorText, loadRecord } from "./store.js";

const AGAIN_MS = 5000;

/** @typedef {import("/ui/api").MediaItem} MediaItem */
/** @typedef {{blob_id: string, state: string, parts_here: number, parts: number, shown_bytes: number, size_bytes: number}} State */

/** @param {{visitId: string, media: MediaItem[], open: boolean}} props */
export function Media({ visitId, media, open }) {
  const states = useSignal(/** @type {State[]} */ ([]));
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
  const big = shown.find((one) => one.blob_id === shownPhoto.value);
  if (shown.length === 0) return null;
  /** @param {import("/ui/lib/strokes.js").Mark[]} marks */
  const keep = async (marks) => {
    if (!big) return;
    try {
      await post(`/api/visits/${visitId}/media/${big.blob_id}/marks`, { marks });
    } catch (error) {
      toast("bad", errorText(error));
      throw error;
    }
    await loadRecord(visitId).catch(() => {});
    kept(big.blob_id, marks);
    toast("good", t("marks-kept"));
  };
  const at = `/api/visits/${visitId}/media/`;
  const of = (/** @type {string} */ id) => states.value.find((one) => one.blob_id === id);
  return html`<section class="card" data-test="media" aria-label=${t("media-title")}><h2>${t("media-title")}</h2>
    <ul class="media-list">${shown.map((one) => {
      const state = of(one.blob_id);
      const whole = state?.state === "whole";
      const picture = one.purpose === "original";
      const clip = one.purpose === "clip";
      const early = clip && one.preview_id && of(one.preview_id)?.state === "whole";
      const ready = whole || (picture && (state?.shown_bytes ?? 0) > 0);
      return html`<li key=${one.blob_id} class="media-item" data-test="media-item" data-blob=${one.blob_id} data-purpose=${one.purpose} data-state=${state?.state ?? "absent"}>
        ${picture ? html`<button type="button" class="thumb" data-test="media-open" disabled=${!ready} aria-label=${t("photo-alt", { time: clockTime(one.at_ms) })} onClick=${() => (shownPhoto.value = one.blob_id)}>
            ${of(one.preview_id)?.state === "whole" ? html`<img src=${at + one.preview_id} alt="" />` : html`<span class="soft small">${t("media-preview-comes")}</span>`}</button>`
        : whole && clip ? html`<video controls playsinline preload="none" poster=${early ? at + one.preview_id : undefined} src=${at + one.blob_id} data-test="clip-player"
            aria-label=${t("media-clip-alt", { time: clockTime(one.at_ms) })}></video>`
        : early ? html`<img src=${at + one.preview_id} alt=${t("media-clip-first")} data-test="clip-first" />`
        : whole ? html`<audio controls preload="none" src=${at + one.blob_id} aria-label=${t("note-alt", { time: clockTime(one.at_ms) })}></audio>` : null}
        <div class="soft small num" data-test="media-line">${clockTime(one.at_ms)} ${one.caption}
          ${state?.state === "refused" ? html`<div class="wrong">${t("error-media-refused")}</div>`
          : whole ? null : html`<div>${t(picture ? "media-preview-only" : clip ? "media-clip-comes" : "media-note-comes", { n: state?.parts_here ?? 0, all: state?.parts ?? one.chunks })}</div>`}</div></li>`;
    })}</ul>
    ${big ? html`<${PhotoDialog} title=${t("photo-alt", { time: clockTime(big.at_ms) })} src=${at + big.blob_id} blobId=${big.blob_id}
      whole=${of(big.blob_id)?.state === "whole"} drawn=${big.drawn ?? []}
      asDoctor=${true} canDraw=${open} note=${of(big.blob_id)?.state === "whole" ? "" : t("media-not-sharp")} onKeep=${keep} onClose=${() => (shownPhoto.value = "")} />` : null}
  </section>`;
}
