// The simulated board on a page: what it shows, and the world around it by buttons. Knows no product code.

/** @typedef {{display: string, buzz: boolean, pi: boolean, node: boolean, mains: boolean, battery_mv: number}} State */

/** @type {Record<string, Record<string, string>>} */
const TEXTS = {
  hi: {
    title: "पैनल और पावर बोर्ड",
    note: "यह बोर्ड का असली फ़र्मवेयर है, जो सिम्युलेटर में चल रहा है। यहाँ सब कुछ बनावटी है।",
    board: "बोर्ड",
    press: "अगला मरीज़",
    long: "फिर से बुलाएँ (देर तक दबाएँ)",
    buzzer: "बज़र",
    sounds: "बज रहा है",
    silent: "शांत",
    pi: "पाई की बिजली",
    on: "चालू",
    off: "बंद",
    node: "नोड का प्रोग्राम",
    runs: "चल रहा है",
    ended: "रुका हुआ",
    world: "आसपास",
    mainsOn: "मेन बिजली: चालू",
    mainsOff: "मेन बिजली: बंद",
    hang: "नोड को अटकाएँ",
    battery: "बैटरी",
    hint: "मेन बिजली बंद करें और बैटरी 11.2 V से नीचे लाएँ: नोड ढंग से बंद होता है, फिर बोर्ड पाई की बिजली काटता है। मेन बिजली लौटे तो नोड फिर चालू होता है और बैज माँगता है। अटका हुआ नोड 30 सेकंड बाद बंद करके चालू किया जाता है।",
    empty: "डिस्प्ले खाली है",
    shows: "डिस्प्ले पर",
    lost: "डेमो से संपर्क टूट गया।",
    other: "English",
  },
  en: {
    title: "Panel and power board",
    note: "This is the board's real firmware, run by a simulator. Everything here is made up.",
    board: "Board",
    press: "Next patient",
    long: "Call again (long press)",
    buzzer: "Buzzer",
    sounds: "sounding",
    silent: "silent",
    pi: "Power of the Pi",
    on: "on",
    off: "off",
    node: "The node's program",
    runs: "runs",
    ended: "ended",
    world: "Around it",
    mainsOn: "Mains: on",
    mainsOff: "Mains: off",
    hang: "Hang the node",
    battery: "Battery",
    hint: "Switch the mains off and bring the battery below 11.2 V: the node ends in order, then the board cuts the Pi's power. When the mains return the node starts again and asks for the badge. A hung node is power-cycled after 30 seconds.",
    empty: "The display is dark",
    shows: "On the display",
    lost: "The demo does not answer any more.",
    other: "हिन्दी",
  },
};

/** Segments a to g of each character that the board can show, as bits 6 to 0. */
const SEGMENTS = new Map(
  Object.entries({
    0: 0x7e, 1: 0x30, 2: 0x6d, 3: 0x79, 4: 0x33, 5: 0x5b, 6: 0x5f, 7: 0x70, 8: 0x7f, 9: 0x7b,
    A: 0x77, b: 0x1f, C: 0x4e, d: 0x3d, E: 0x4f, F: 0x47, H: 0x37, L: 0x0e, P: 0x67, U: 0x3e, "-": 0x01,
  }),
);
/** Corners of the segments a to g in a digit of 40 × 70. */
const SHAPES = [
  "8,4 32,4 28,9 12,9", "35,7 35,33 30,29 30,11", "35,37 35,63 30,59 30,41", "8,66 12,61 28,61 32,66",
  "5,37 10,41 10,59 5,63", "5,7 10,11 10,29 5,33", "9,35 13,32 27,32 31,35 27,38 13,38",
];

let language = new URLSearchParams(location.search).get("lang") === "en" ? "en" : "hi";
/** @type {State | undefined} */
let state;

/** @param {string} id */
function byId(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(id);
  return found;
}

/** @param {string} key */
function text(key) {
  return TEXTS[language]?.[key] ?? key;
}

/** The picture of the digits. @param {string} shown */
function picture(shown) {
  /** @type {{bits: number, point: boolean}[]} */
  const digits = [];
  for (const character of shown) {
    const last = digits[digits.length - 1];
    if (character === "." && last) last.point = true;
    else digits.push({ bits: SEGMENTS.get(character) ?? 0, point: false });
  }
  const parts = digits.map(({ bits, point }, place) => {
    const shapes = SHAPES.map(
      (corners, at) => `<polygon class="${bits & (0x40 >> at) ? "on" : "off"}" points="${corners}"/>`,
    );
    const dot = `<circle class="${point ? "on" : "off"}" cx="41" cy="64" r="3"/>`;
    return `<g transform="translate(${place * 48} 0)">${shapes.join("")}${dot}</g>`;
  });
  return `<svg viewBox="0 0 388 70" aria-hidden="true">${parts.join("")}</svg>`;
}

/** @param {string} id @param {boolean} good @param {string} yes @param {string} no */
function tell(id, good, yes, no) {
  const place = byId(id);
  place.textContent = text(good ? yes : no);
  place.className = good ? "good" : "bad";
}

let drawn = "";

function draw() {
  document.documentElement.lang = language;
  for (const place of document.querySelectorAll("[data-text]"))
    place.textContent = text(place.getAttribute("data-text") ?? "");
  byId("language").textContent = text("other");
  byId("language").lang = language === "en" ? "hi" : "en";
  if (!state) return;
  const display = byId("display");
  if (drawn !== state.display) {
    drawn = state.display;
    display.innerHTML = picture(state.display);
  }
  const shown = state.display.trim();
  display.setAttribute("aria-label", shown ? `${text("shows")}: ${shown}` : text("empty"));
  byId("buzzer").textContent = text(state.buzz ? "sounds" : "silent");
  tell("pi", state.pi, "on", "off");
  tell("node", state.node, "runs", "ended");
  byId("mains").textContent = text(state.mains ? "mainsOn" : "mainsOff");
  byId("mains").setAttribute("aria-pressed", String(state.mains));
  const slider = /** @type {HTMLInputElement} */ (byId("battery"));
  if (document.activeElement !== slider) slider.value = String(state.battery_mv);
  byId("volts").textContent = `${(state.battery_mv / 1000).toFixed(1)} V`;
}

/** @param {Record<string, unknown>} what */
async function ask(what) {
  await fetch("/do", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(what) });
}

byId("press").addEventListener("click", () => ask({ what: "press" }));
byId("long").addEventListener("click", () => ask({ what: "long" }));
byId("hang").addEventListener("click", () => ask({ what: "hang" }));
byId("mains").addEventListener("click", () => ask({ what: "mains", on: !state?.mains }));
byId("battery").addEventListener("input", (event) =>
  ask({ what: "battery", mv: Number(/** @type {HTMLInputElement} */ (event.target).value) }),
);
byId("language").addEventListener("click", () => {
  language = language === "en" ? "hi" : "en";
  draw();
});

const events = new EventSource("/events");
events.onmessage = (event) => {
  byId("lost").hidden = true;
  state = /** @type {State} */ (JSON.parse(event.data));
  draw();
};
events.onerror = () => {
  byId("lost").hidden = false;
};
draw();
