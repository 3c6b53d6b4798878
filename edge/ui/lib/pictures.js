// @ts-check
// Photos made small in the browser before they leave it. What a telephone writes into a photo is gone with that.
import { ApiError } from "./http.js";

/** The small picture that goes before a photo. */
export const PREVIEW = { side: 240, bytes: 8_000 };

/** A picture out of a file. @param {Blob} content @returns {Promise<ImageBitmap>} */
export async function readPicture(content) {
  try {
    return await createImageBitmap(content);
  } catch {
    throw new ApiError(400, { code: "media_damaged", message: "the browser cannot read it" }, null);
  }
}

/** @param {HTMLCanvasElement} canvas @param {string} type @param {number} quality @returns {Promise<Blob|null>} */
const encode = (canvas, type, quality) => new Promise((resolve) => canvas.toBlob(resolve, type, quality));

/** A picture no longer than `side` pixels and no larger than `bytes`. @param {ImageBitmap} picture @param {{side: number, bytes: number}} most */
export async function small(picture, { side, bytes }) {
  let scale = Math.min(1, side / Math.max(picture.width, picture.height));
  for (let round = 0; round < 8; round += 1, scale *= 0.75) {
    const canvas = document.createElement("canvas");
    canvas.width = Math.max(1, Math.round(picture.width * scale));
    canvas.height = Math.max(1, Math.round(picture.height * scale));
    canvas.getContext("2d")?.drawImage(picture, 0, 0, canvas.width, canvas.height);
    for (const quality of [0.82, 0.68, 0.54, 0.4]) {
      const made = (await encode(canvas, "image/webp", quality)) ?? (await encode(canvas, "image/jpeg", quality));
      if (made && made.size <= bytes) return made;
    }
  }
  throw new ApiError(400, { code: "media_too_large", message: "cannot be made small enough" }, null);
}
