// @ts-check
// Weekdays in words.
import { language } from "./l10n.js";

/** 0 is Monday: 1 January 2024 was one. @param {number} day */
export const weekday = (day) =>
  new Intl.DateTimeFormat(language.value === "hi" ? "hi-IN" : "en-IN", { weekday: "long", timeZone: "UTC" }).format(Date.UTC(2024, 0, 1 + day));
