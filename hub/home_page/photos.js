// @ts-check
// Photos of a visit from home.
import { html, useRef, useSignal } from "/ui/lib/dom.js";
import { t } from "/ui/lib/l10n.js";
import { toast } from "/ui/lib/parts.js";
import { PREVIEW, readPicture, small } from "/ui/lib/pictures.js";
import { errorText } from "/ui/lib/errors.js";
import { API, loadVisit, sendPhoto } from "./store.js";

const PHOTO = { side: 1600, bytes: 200_000 };

/** Photos of the visit; made small here, so that what a telephone writes into them stays in it. @param {{now: import("./store.js").HomeVisit}} props */
export function Photos({ now }) {
  const busy = useSignal(false);
  const input = useRef(/** @type {HTMLInputElement|null} */ (null));
  const take = async (/** @type {any} */ event) => {
    const file = event.currentTarget.files?.[0];
    event.currentTarget.value = "";
    if (!file) return;
    busy.value = true;
    try {
      const picture = await readPicture(file);
      await sendPhoto(now.visit_id, await small(picture, PREVIEW), await small(picture, PHOTO));
      picture.close();
      await loadVisit(now.visit_id);
    } catch (error) {
      toast("bad", errorText(error));
    } finally {
      busy.value = false;
    }
  };
  const shown = now.photos.filter((one) => one.purpose === "original");
  return html`<section class="card stack" data-test="home-photos" aria-label=${t("home-step-photos")}><p>${t("home-photos-why")}</p>
    <ul class="row">${shown.map((one) => html`<li key=${one.blob_id}><img class="photo" data-test="home-photo" alt=${t("home-photo-alt")} src=${`${API}/visits/${now.visit_id}/photos/${one.preview_id}`} /></li>`)}</ul>
    <input ref=${input} type="file" accept="image/*" hidden data-test="home-photo-file" onChange=${take} />
    <button type="button" data-test="home-photo-take" disabled=${busy.value} aria-busy=${busy.value ? "true" : "false"} onClick=${() => input.current?.click()}>${t(busy.value ? "media-saving" : "photo-take")}</button></section>`;
}
