// @ts-check
// A touch is answered with the next picture: the control shows that it was touched, and what takes
// longer, such as building another screen, comes when that picture is on the glass.

const SHOWN_MS = 120;
/** A page that is not shown makes no pictures. */
const NO_PICTURE_MS = 100;

/** What waits for the next picture, in its order. @type {Set<() => void>} */
const waiting = new Set();

/** Do something once the next picture is shown. @param {() => void} work */
export function afterPicture(work) {
  const once = () => {
    if (waiting.delete(once)) work();
  };
  waiting.add(once);
  requestAnimationFrame(() => setTimeout(once));
  setTimeout(once, NO_PICTURE_MS);
}

/** Do at once what waits for the picture: whoever reads a form needs every touch that came before. */
export function nowAll() {
  for (const once of [...waiting]) once();
}

/** The same as a promise. @returns {Promise<void>} */
export const picture = () => new Promise(afterPicture);

/** Let every control of the page show that it was touched. */
export function showTouches() {
  document.addEventListener("click", (event) => {
    const control = event.target instanceof Element ? event.target.closest("button, a.button") : null;
    if (!control) return;
    control.setAttribute("data-touched", "");
    setTimeout(() => control.removeAttribute("data-touched"), SHOWN_MS);
  }, { capture: true });
}
