// @ts-check
// Names of doctors' specialities; one that the administrator added stands as it was written.
import { known, t } from "./l10n.js";

/** @param {string} name as the rota writes it: small letters and _ */
export function specialityName(name) {
  const word = `speciality-${name.replaceAll("_", "-")}`;
  return known(word) ? t(word) : name.replaceAll("_", " ");
}
