// @ts-check
// Says that somebody has the same form open on another tablet, or went on with it meanwhile, and brings back what was replaced by it.
import { html } from "/ui/lib/dom.js";
import { t } from "/ui/lib/l10n.js";
import { otherWriter, takeBack } from "../drafts.js";
import { staffName } from "../store.js";

/** @param {{form: string, word: (field: string) => string, change: (mine: Record<string, any>) => void}} props `form`: key of its draft; `word`: what a field is called */
export function OtherTablet({ form, word, change }) {
  const other = otherWriter.value;
  if (!other || other.key !== form) return null;
  const words = [...new Set(other.fields.map(word))];
  return html`<div class="notice warn stack tight" role="status" data-test="other-tablet" data-replaced=${String(other.fields.length)}>
    <span data-test="other-who" data-how=${other.how ?? "live"}>${whoWrote(other)}</span>
    ${words.length > 0 ? html`<span>${t((other.how ?? "live") === "live" ? "draft-replaced" : "draft-older", { fields: words.join(", ") })}</span>
      <button type="button" data-test="take-back" onClick=${() => change(takeBack())}>${t("draft-take-back")}</button>` : null}
  </div>`;
}

/** @param {import("../drafts.js").Other} other */
function whoWrote({ staff_id, how = "live" }) {
  if (!staff_id) return t("draft-ended");
  const name = staffName(staff_id) || t("draft-somebody");
  return how === "live" ? t("draft-other", { name }) : t("draft-since", { name });
}
