// @ts-check
// A medicine line in words, as edge/model/doses.py has them; amounts are said as on the slip.
import { item, list, reference } from "./reference.js";

/** Said by `food`, no frequency by themselves. */
const FOOD_CODES = ["AC", "PC"];
export const frequencies = () => list("frequencies").filter((one) => !FOOD_CODES.includes(one.code ?? ""));

const HALF = ["1/2", "½", "0.5"];
const QUARTER = ["1/4", "¼", "0.25"];

/** @param {string} dose @param {string} form @param {"hi"|"en"} language */
function doseWords(dose, form, language) {
  const amount = dose.trim();
  const unit = form.includes("/") ? undefined : list("units").find((one) => form.toLowerCase().includes(one.form));
  if (!unit || /\p{L}/u.test(amount)) return amount;
  const part = HALF.includes(amount) ? "आधी" : QUARTER.includes(amount) ? "चौथाई" : "";
  if (language === "hi") return `${part && unit.form === "tablet" ? part : amount} ${unit.hi}`;
  const many = unit.en?.endsWith("y") ? `${unit.en.slice(0, -1)}ies` : `${unit.en}s`;
  return `${amount} ${part || amount === "1" ? unit.en : many}`;
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

const AMOUNT = /^\d{1,2}$/;

/**
 * How many pieces the whole course takes, as the doctor wrote it or by plain arithmetic; 0 where that is none: a bottle,
 * "as needed", a dose in words. @param {import("../api").Medicine} medicine
 */
export function piecesOf({ form, dose, frequency, duration_days, quantity }) {
  if (/^[1-9]\d{0,3}$/.test(quantity.trim())) return Number(quantity);
  const times = item("frequencies", frequency)?.per_day ?? 0;
  const amount = dose.trim();
  const each = HALF.includes(amount) ? 0.5 : QUARTER.includes(amount) ? 0.25 : AMOUNT.test(amount) ? Number(amount) : 0;
  return ["tablet", "capsule"].includes(form.toLowerCase()) ? Math.ceil(each * times * duration_days) : 0;
}
