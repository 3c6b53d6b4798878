// @ts-check
// Screens that are loaded when they are first needed.
import { html, signal } from "./dom.js";
import { t } from "./l10n.js";

/**
 * A screen that is loaded when it is first needed, so that the first load stays small.
 * @param {() => Promise<(props: any) => any>} load
 */
export function lazy(load) {
  /** @type {import("/ui/vendor/signals.js").Signal<((props: any) => any)|null>} */
  const found = signal(null);
  let asked = false;
  const fetchIt = () => {
    if (asked) return;
    asked = true;
    load().then((screen) => (found.value = screen)).catch(() => setTimeout(() => (asked = false, fetchIt()), 2000));
  };
  /** @param {any} props */
  const Screen = (props) => {
    if (found.value) return html`<${found.value} ...${props} />`;
    fetchIt();
    return html`<p class="card" role="status">${t("loading")}</p>`;
  };
  return { Screen, fetchIt };
}
