// @ts-check
// Photos and voice notes of a visit: taken, made small in the tablet, handed to the node piece by piece, and
// shown with how far each has come. Nothing of them stays in the browser.
import { html, useRef, useSignal } from "/ui/lib/dom.js";
import { ApiError, api, post, put } from "/ui/lib/http.js";
import { newId } from "/ui/lib/ids.js";
import { PREVIEW, readPicture, small } from "/ui/lib/pictures.js";
import { clockTime, t } from "/ui/lib/l10n.js";
import { kept, shownPhoto } from "/ui/lib/drawing.js";
import { lazy } from "/ui/lib/lazy.js";
import { toast } from "/ui/lib/parts.js";
import { RecordButton } from "/ui/lib/recorder.js";
import { errorText, submit } from "../commands.js";
import { loadRecord, status } from "../store.js";
import { SyncLine } from "./progress.js";

/** @typedef {import("/ui/api").MediaItem} MediaItem */
/** @typedef {import("../store.js").ItemLine} ItemLine */

const clipRecorder = lazy(async () => (await import("/ui/lib/clips.js")).ClipRecorder);
const ownCamera = lazy(async () => (await import("/ui/lib/clips.js")).OwnCameraButton);
const photoDialog = lazy(async () => (await import("/ui/lib/photo.js")).PhotoDialog);
const PHOTO = { side: 1600, bytes: 300_000 };
const PART_BYTES = 128 * 1024;
const TRIES = 20;
const CLIP_MS = 300_000;

/** Hand over what the node does not hold yet; goes on where it stopped. @param {string} visitId @param {string} purpose @param {Blob} content */
async function upload(visitId, purpose, content) {
  const id = newId();
  const path = `/api/visits/${visitId}/uploads/${id}`;
  for (let tries = 0; ; ) {
    try {
      let state = await put(path, { purpose, size_bytes: content.size });
      while (state.held_bytes < content.size) {
        state = await put(`${path}/parts/${state.held_bytes}`, content.slice(state.held_bytes, state.held_bytes + PART_BYTES));
      }
      if (state.refusal) throw new ApiError(400, state.refusal, null);
      return id;
    } catch (error) {
      tries += 1;
      if (!(error instanceof ApiError) || !error.unreachable || tries >= TRIES) throw error;
      await new Promise((resolve) => setTimeout(resolve, 1500));
    }
  }
}

/** @param {string} visitId @param {string} upload_id @param {string} [preview_upload_id] @param {string} [caption] */
async function attach(visitId, upload_id, preview_upload_id = "", caption = "") {
  const outcome = await submit({ type: "attach_media", visit_id: visitId, upload_id, preview_upload_id, caption });
  if (!outcome.ok && "error" in outcome) throw outcome.error;
}

/** A photo of the visit, with its preview. @param {string} visitId @param {Blob} content @param {string} [caption] */
export async function attachPhoto(visitId, content, caption = "") {
  const picture = await readPicture(content);
  const preview = await upload(visitId, "preview", await small(picture, PREVIEW));
  await attach(visitId, await upload(visitId, "original", await small(picture, PHOTO)), preview, caption);
  picture.close();
}

/** A clip of the visit: the node makes it small, which takes some seconds. @param {string} visitId @param {Blob} content */
async function attachClip(visitId, content) {
  await made(`/api/visits/${visitId}/uploads/${await upload(visitId, "clip", content)}/clip`, {});
}

/** Ask for a clip until it is kept; asked again it is made once. @param {string} path @param {unknown} [body] */
async function made(path, body) {
  for (let tries = 1; ; tries += 1) {
    try {
      await api("POST", path, body, { timeout_ms: CLIP_MS });
      return;
    } catch (error) {
      if (!(error instanceof ApiError) || !error.unreachable || tries >= TRIES) throw error;
      await new Promise((resolve) => setTimeout(resolve, 1500));
    }
  }
}

/** @param {{visitId: string, media: MediaItem[], sync: ItemLine[], open: boolean}} props */
export function MediaCard({ visitId, media, sync, open }) {
  const busy = useSignal("");
  const filming = useSignal(false);
  const own = useRef("");
  const beginOwn = async () => {
    own.current = `/api/visits/${visitId}/clips/${newId()}`;
    try {
      await post(own.current);
    } catch (error) {
      toast("bad", error instanceof ApiError ? errorText(error) : t("media-failed"));
      throw error;
    }
  };
  const camera = useRef(/** @type {HTMLInputElement|null} */ (null));
  const work = async (/** @type {string} */ name, /** @type {() => Promise<void>} */ act) => {
    busy.value = name;
    try {
      await act();
    } catch (error) {
      toast("bad", error instanceof ApiError ? errorText(error) : t("media-failed"));
    } finally {
      busy.value = "";
      void loadRecord(visitId).catch(() => {});
    }
  };
  const photo = (/** @type {any} */ event) => {
    const file = event.currentTarget.files?.[0];
    event.currentTarget.value = "";
    if (!file) return;
    void work("photo", () => attachPhoto(visitId, file));
  };
  const shown = media.filter((one) => !one.removed_ms && one.purpose !== "preview");
  if (!open && shown.length === 0) return null;
  return html`<section class="card stack tight print-hide" data-test="media-card" aria-label=${t("media-title")}><h2>${t("media-title")}</h2>
    ${open ? html`<div class="row">
      <input ref=${camera} type="file" accept="image/*" capture="environment" hidden data-test="photo-file" onChange=${photo} />
      <button type="button" data-test="photo-take" disabled=${busy.value !== ""} aria-busy=${busy.value === "photo" ? "true" : "false"}
        onClick=${() => camera.current?.click()}>${busy.value === "photo" ? t("media-saving") : t("photo-take")}</button>
      <${RecordButton} busy=${busy.value !== ""} name="note" text=${t("note-record")} onNote=${(/** @type {Blob} */ note) => void work("note", async () => attach(visitId, await upload(visitId, "voice_note", note)))} />
      <button type="button" data-test="clip-record" disabled=${busy.value !== ""} aria-busy=${busy.value === "clip" ? "true" : "false"}
        onClick=${() => (filming.value = true)}>${busy.value === "clip" ? t("media-clip-making") : t("media-clip-record")}</button>
      ${status.value?.own_camera ? html`<${ownCamera.Screen} busy=${busy.value !== ""} begin=${beginOwn} end=${() => work("clip", () => made(`${own.current}/stop`, undefined))} />` : null}
    </div>` : null}
    ${filming.value ? html`<${clipRecorder.Screen} onClose=${() => (filming.value = false)} onClip=${(/** @type {Blob} */ clip) => {
      filming.value = false;
      void work("clip", () => attachClip(visitId, clip));
    }} />` : null}
    <${Opened} visitId=${visitId} media=${media} open=${open} />
    <ul class="media-list">${shown.map((one) => html`<${Item} key=${one.blob_id} visitId=${visitId} one=${one} open=${open}
      line=${sync.find((line) => line.item === "attachment" && line.subject === one.blob_id)} />`)}</ul>
  </section>`;
}

/** The photo that was opened, with what was drawn on it. @param {{visitId: string, media: MediaItem[], open: boolean}} props */
function Opened({ visitId, media, open }) {
  const one = media.find((item) => item.blob_id === shownPhoto.value && !item.removed_ms);
  if (!one) return null;
  /** @param {import("/ui/lib/strokes.js").Mark[]} marks */
  const keep = async (marks) => {
    const outcome = await submit({ type: "mark_photo", visit_id: visitId, blob_id: one.blob_id, marks });
    if (!outcome.ok) {
      if ("error" in outcome) toast("bad", errorText(outcome.error));
      throw new Error("not kept");
    }
    await loadRecord(visitId).catch(() => {});
    kept(one.blob_id, marks);
    toast("good", t("marks-kept"));
  };
  return html`<${photoDialog.Screen} title=${t("photo-alt", { time: clockTime(one.at_ms) })} src=${`/api/visits/${visitId}/media/${one.blob_id}`} blobId=${one.blob_id}
    whole=${true} drawn=${one.drawn ?? []} asDoctor=${false} canDraw=${open} note="" onKeep=${keep} onClose=${() => (shownPhoto.value = "")} />`;
}

/** One photo or note, and how far it has come. @param {{visitId: string, one: MediaItem, line?: ItemLine, open: boolean}} props */
function Item({ visitId, one, line, open }) {
  const at = `/api/visits/${visitId}/media/`;
  const parts = line ? line.parts.level_1 + line.parts.level_2 : 0;
  const state = one.seen_ms ? "doctor_opened" : (line?.state ?? "waiting");
  const remove = async () => {
    const outcome = await submit({ type: "remove_media", visit_id: visitId, blob_id: one.blob_id });
    if (outcome.ok) toast("good", t("media-removed-toast"));
    else if ("error" in outcome) toast("bad", errorText(outcome.error));
    await loadRecord(visitId).catch(() => {});
  };
  return html`<li class="media-item" data-test="media-item" data-blob=${one.blob_id} data-purpose=${one.purpose} data-state=${state}>
    ${one.preview_id && one.purpose === "original" ? html`<button type="button" class="thumb" data-test="media-open" aria-label=${t("photo-open", { time: clockTime(one.at_ms) })}
        onClick=${() => (shownPhoto.value = one.blob_id)}><img src=${at + one.preview_id} alt="" /></button>`
    : one.purpose === "clip" ? html`<video controls playsinline preload="none" poster=${at + one.preview_id} src=${at + one.blob_id} data-test="clip-player"
        aria-label=${t("media-clip-alt", { time: clockTime(one.at_ms) })}></video>`
    : html`<audio controls preload="none" src=${at + one.blob_id} aria-label=${t("note-alt", { time: clockTime(one.at_ms) })}></audio>`}
    <div class="grow"><${SyncLine} state=${state} at=${line?.at_ms ?? one.at_ms} />
      ${parts > 0 && parts < one.chunks ? html`<div class="soft small num" data-test="media-parts">${t("media-parts", { n: parts, all: one.chunks })}</div>` : null}</div>
    ${open && (state === "waiting" || state === "sent") ? html`<button type="button" data-test="media-remove" onClick=${() => void remove()}>${t("media-remove")}</button>` : null}
  </li>`;
}
