// @ts-check
// What the hub said of a wait, in words: a range with the time at which it was said, because clocks differ.
import { clockTime, day, t } from "./l10n.js";

/** @typedef {{state: string, low_min: number, high_min: number, opens_ms: number, at_ms: number}} Expected */

/** @param {Expected|null|undefined} told @returns {string} empty when nothing was said */
export function expectedText(told) {
  if (!told) return "";
  if (told.state === "waiting") return t("expected-waiting", { low: told.low_min, high: told.high_min, at: clockTime(told.at_ms) });
  if (told.state === "nobody") return t("expected-nobody", { at: clockTime(told.at_ms) });
  if (!told.opens_ms) return t("expected-closed");
  return t("expected-opens", { when: `${day(told.opens_ms)} ${clockTime(told.opens_ms)}` });
}
