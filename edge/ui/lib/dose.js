// @ts-check
// A medicine line in words, the same words as on the slip (edge/model/doses.py).
import { item, list, reference } from "./reference.js";

/** Said by `food`, no frequency by themselves. */
const FOOD_CODES = ["AC", "PC"];
export const frequencies = () => list("frequencies").filter((one) => !FOOD_CODES.includes(one.code ?? ""));

/** @param {string} dose @param {string} form @param {"hi"|"en"} language */
function doseWords(dose, form, language) {
  const amount = dose.trim();
  const unit = list("units").find((one) => form.toLowerCase().includes(one.form));
  if (!unit || /\p{L}/u.test(amount)) return amount;
  if (language === "hi") return ["1/2", "½", "0.5"].includes(amount) && unit.form === "tablet" ? `आधी ${unit.hi}` : `${amount} ${unit.hi}`;
  const plural = ["1", "1/2", "½", "0.5"].includes(amount) || unit.en?.endsWith("s") ? "" : "s";
  return `${amount} ${unit.en}${plural}`;
}

/**
 * @param {{dose: string, form: string, frequency: string, route: string, food: string, duration_days: number|string}} line
 * @param {"hi"|"en"} language
 */
export function doseLine(line, language) {
  const hindi = language === "hi";
  let times = item("frequencies", line.frequency)?.[language] ?? line.frequency;
  const route = item("routes", line.route);
  if (route && line.route !== "oral") times = hindi ? `${route.hi} ${route.verb_hi}, ${times}` : `${route.en}, ${times}`;
  const food = item("food", line.food)?.[language] ?? "";
  const gap = hindi ? " — " : " - ";
  let template = reference.value?.dose_templates?.[language] ?? "";
  if (!food) template = template.replace(`${gap}{food}`, "");
  if (!hindi && Number(line.duration_days) === 1) template = template.replace("days", "day").replace("{day}", "{days}");
  /** @type {Record<string, string>} */
  const parts = { "{dose} {unit}": doseWords(line.dose, line.form, language), "{times}": times, "{food}": food, "{days}": String(line.duration_days) };
  for (const [name, value] of Object.entries(parts)) template = template.replace(name, () => value);
  return template;
}

/** Which of the four times of the day a frequency means; null when it goes by other words. @param {string} code */
export function timesOfDay(code) {
  const parts = (item("frequencies", code)?.pattern ?? "-").split("-");
  if (parts.length < 3 || parts.includes("")) return null;
  const taken = parts.map((/** @type {string} */ part) => part !== "0");
  return { morning: taken[0], noon: taken[1], evening: parts.length === 4 && taken[2], night: taken[parts.length - 1] };
}
