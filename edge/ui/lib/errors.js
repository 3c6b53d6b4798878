// @ts-check
// Refusals in the words of the page. Codes are those of docs/errors.md; one that has no message of its
// own is shown with what the server said.
import { ApiError } from "./http.js";
import { known, t } from "./l10n.js";

/** A refusal, denial or warning by its code. @param {{code: string, message: string}} refusal */
export function refusalText({ code, message }) {
  const id = `error-${code.replaceAll("_", "-")}`;
  return known(id) ? t(id, { detail: message }) : t("error-other", { detail: message });
}

/** What went wrong and what to do, in the page's language. @param {unknown} error */
export function errorText(error) {
  return error instanceof ApiError ? refusalText(error) : t("error-other", { detail: String(error) });
}
