// @ts-check
// Numbers as people type them: keyboards in Hindi, Bengali or Urdu write digits of their own, and a telephone number
// comes with the country's code.

/** Where the digits of a script begin in Unicode. */
const ZEROS = [0x0660, 0x06f0, 0x0966, 0x09e6, 0xff10];

/** The same text with digits as a telephone has them. @param {string} text */
export const latin = (text) => text.replace(/[०-९০-৯٠-٩۰-۹０-９]/g, (one) => String(one.charCodeAt(0) - Number(ZEROS.filter((zero) => zero <= one.charCodeAt(0)).at(-1))));

/** The digits of a text, and nothing else of it. @param {string} text */
export const digitsIn = (text) => latin(text).replace(/\D/g, "");

/** A number with its decimal point or comma. @param {string} text */
export const decimalIn = (text) => latin(text).replace(/[^\d.,]/g, "");

/** A telephone number as somebody writes it. @param {string} text */
export const phoneIn = (text) => latin(text).replace(/[^0-9+ -]/g, "");

/** A mobile number without what stands before its ten digits: +91, 0091 or 0. @param {string} text */
export function mobileIn(text) {
  const digits = digitsIn(text);
  const before = { 11: "0", 12: "91", 13: "091", 14: "0091" }[digits.length];
  return before && digits.startsWith(before) ? digits.slice(-10) : digits;
}
