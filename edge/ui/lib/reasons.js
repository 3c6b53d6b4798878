// @ts-check
// Codes of triage rules in words: by the signs that lead to them, else by a message of their own.
import { known, pick, t } from "./l10n.js";
import { list } from "./reference.js";

/** @param {string} code */
export function reasonWords(code) {
  const id = `reason-${code.toLowerCase().replace(/[^a-z0-9]+/g, "-")}`;
  if (known(id)) return t(id);
  const signs = list("signs").filter((sign) => (sign.asks ?? []).some((/** @type {any} */ ask) => ask.code === code));
  if (signs.length > 0 && signs.length <= 4) return signs.map((sign) => pick(sign)).join(" / ");
  const vital = list("vitals").find((one) => code.toLowerCase().includes((one.id ?? "").split("_")[0]) && (one.id ?? "").length > 1);
  if (vital && code.startsWith("HIGH")) return t("reason-vital", { vital: pick(vital) });
  return t("reason-rule");
}

/** @param {string} code */
export function missingWords(code) {
  const [kind, rest] = code.split(":");
  const vital = list("vitals").find((one) => one.id === (rest ?? kind));
  if (vital) return pick(vital);
  const sign = list("signs").find((one) => one.id === (rest ?? kind));
  if (sign) return pick(sign);
  const id = `missing-${kind.replaceAll("_", "-")}`;
  return known(id) ? t(id) : code;
}
