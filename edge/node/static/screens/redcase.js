// @ts-check
// A RED patient while nobody is logged in, also at a locked node: who, at once to the doctor, then values, answer and slip.
// Large, for one hand; nothing has to be filled in before the doctor is told.
import { decimalIn, digitsIn } from "/ui/lib/digits.js";
import { html, signal, useEffect, useRef, useSignal } from "/ui/lib/dom.js";
import { ApiError, get, post } from "/ui/lib/http.js";
import { newId } from "/ui/lib/ids.js";
import { pick, t } from "/ui/lib/l10n.js";
import { Choice, TextField } from "/ui/lib/parts.js";
import { list, loadReference, reference, words } from "/ui/lib/reference.js";
import { unitText } from "/ui/lib/units.js";
import { errorText } from "../commands.js";
import { go, keepInTab, keptInTab } from "../store.js";
import { EmergencyFacts } from "./emergency.js";
import { OnCallLinks } from "./oncall.js";
import { PrintButton } from "./printer.js";
import { placeWords, ReferDialog } from "./sending.js";

/** @typedef {{visit: import("/ui/api").Visit, patient: import("/ui/api").Patient, at_hub: boolean, online: boolean, locked: boolean, printer: boolean, jobs: import("./printer.js").Job[]}} CasePage */

const LOOK_EVERY_MS = 3000;
const VITALS = ["spo2", "hr", "sbp", "dbp", "rr", "temp_c", "rbs_mgdl"];
const NOBODY = { name: "", gender: "", age: "", unit: "years" };
const NOTHING = { values: /** @type {Record<string, string>} */ ({}), avpu: "", words: "", allergy: "", allergy_text: "" };

/** Which case this tab goes on with, and its key: random, nothing of a patient. */
const kept = signal(keptInTab("upk-case"));
const who = signal({ ...NOBODY });
const said = signal({ ...NOTHING });
const page = signal(/** @type {CasePage|null} */ (null));
const wrong = signal("");
const told = signal("");
/** Whom to ring; null until the node has said. @type {import("/ui/vendor/signals.js").Signal<{name: string, phone: string}[]|null>} */
const onCall = signal(null);
const busy = signal(false);

/** @param {string} value */
function keep(value) {
  kept.value = value;
  keepInTab("upk-case", value);
}

const path = () => `/api/emergency/${kept.value.split(".")[0]}`;
const query = () => `?case=${kept.value.split(".")[1]}`;

/** @param {() => Promise<void>} work */
async function trying(work) {
  if (busy.value) return;
  busy.value = true;
  wrong.value = told.value = "";
  try {
    await work();
  } catch (error) {
    wrong.value = errorText(error);
  } finally {
    busy.value = false;
  }
}

/** Drawn once for a case: what is sent again after a lost answer is the same case. */
let drawn = "";

const open = () => trying(async () => {
  drawn ||= hex(crypto.getRandomValues(new Uint8Array(16)));
  const name = /\p{L}/u.test(who.value.name) ? who.value.name.trim() : t("emergency-unknown-name");
  const body = { case: drawn, name, gender: who.value.gender, age: { value: Number(who.value.age), unit: who.value.unit } };
  page.value = await post("/api/emergency", body);
  keep(`${page.value?.visit.visit_id}.${drawn}`);
});

/** @param {Uint8Array} bytes */
const hex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");

/** @param {Record<string, unknown>} command */
const say = async (command) => {
  page.value = await post(`${path()}/commands${query()}`, { command_id: newId(), visit_id: kept.value.split(".")[0], ...command });
};

const sendSaid = () => trying(async () => {
  const { values, avpu, words: happened, allergy, allergy_text } = said.value;
  const readings = Object.entries(values).filter(([, value]) => value.trim()).map(([vital, value]) => ({ vital, value: Number(value.replace(",", ".")) }));
  if (readings.length > 0 || avpu) await say({ type: "record_vitals", vitals: { readings, avpu } });
  said.value = { ...said.value, values: {}, avpu: "" };
  if (happened.trim()) await say({ type: "record_complaints", complaints: [{ code: "other", text: happened.trim() }] });
  if (allergy === "none" || allergy_text.trim()) {
    const items = allergy === "none" ? [] : allergy_text.split(/[,،]/).map((one) => one.trim()).filter(Boolean);
    await say({ type: "record_history", history: {}, allergies: { none_known: allergy === "none", items } });
  }
  said.value = { ...NOTHING };
  told.value = t("red-told");
});

/** @param {string} what */
const printHere = (what) => () => trying(async () => {
  page.value = await post(`${path()}/${what}/print${query()}`);
});

async function loadOnCall() {
  const reply = await get("/api/on-call");
  onCall.value = [...reply.from_hub, ...reply.items];
}

async function look() {
  if (!kept.value || busy.value) return;
  const before = page.value;
  try {
    const reply = await get(path() + query());
    if (page.value === before) page.value = reply; // what was said meanwhile is newer
  } catch (error) {
    if (error instanceof ApiError && error.status === 404) {
      end();
      wrong.value = t("red-restarted");
    }
  }
}

function end() {
  keep("");
  page.value = null;
  who.value = { ...NOBODY };
  said.value = { ...NOTHING };
  drawn = "";
}

export function RedCase() {
  useEffect(() => {
    void loadReference().catch(() => {});
    void loadOnCall().catch(() => {});
    void look();
    const timer = setInterval(() => void look(), LOOK_EVERY_MS);
    return () => clearInterval(timer);
  }, []);
  return html`<div class="narrow stack red-case" data-test="red-case">
    <p class="call-108"><a class="button danger-link big wide" href="tel:108">${t("emergency-108")}</a></p>
    ${kept.value ? html`<${Case} />` : html`<${Who} />`}
    ${onCall.value ? html`<section class="card stack tight" data-test="red-on-call"><h2>${t("on-call")}</h2><${OnCallLinks} known=${onCall.value} /></section>` : null}
    <details class="card"><summary>${t("red-first-aid")}</summary><${EmergencyFacts} /></details>
    <button type="button" class="wide" data-test="red-leave" onClick=${() => go("/")}>${t("back")}</button>
  </div>`;
}

function Who() {
  const now = who.value;
  const set = (/** @type {Partial<typeof NOBODY>} */ part) => (who.value = { ...who.value, ...part });
  const ready = now.gender && now.age !== "" && !busy.value;
  return html`<form class="card stack" onSubmit=${(/** @type {Event} */ event) => (event.preventDefault(), void open())}>
    <h1>${t("red-title")}</h1><p>${t("emergency-who")}</p>
    <${Choice} name="red-gender" legend=${t("gender")} value=${now.gender} onValue=${(/** @type {string} */ gender) => set({ gender })}
      options=${["female", "male", "other"].map((value) => ({ value, label: t(`gender-${value}`) }))} />
    <${TextField} id="red-age" test="red-age" label=${t("age-about")} value=${now.age} inputmode="numeric" maxlength=${3} onValue=${(/** @type {string} */ text) => set({ age: digitsIn(text) })} />
    <${Choice} name="red-unit" legend=${t("age-unit")} quiet value=${now.unit} onValue=${(/** @type {string} */ unit) => set({ unit })}
      options=${["years", "months", "days"].map((value) => ({ value, label: t(`unit-${value}`) }))} />
    <${TextField} id="red-name" test="red-name" label=${t("name-if-known")} value=${now.name} maxlength=${80} onValue=${(/** @type {string} */ name) => set({ name })} />
    ${wrong.value ? html`<p class="notice bad" role="alert" data-test="red-wrong">${wrong.value}</p>` : null}
    <button class="danger big wide" data-test="red-go" disabled=${!ready} aria-busy=${busy.value ? "true" : "false"}>${t("emergency-go")}</button>
  </form>`;
}

function Case() {
  const now = page.value;
  if (!now) return html`<p class="card" role="status">${t("loading")}</p>`;
  const { visit } = now;
  const doctor = visit.doctor_name;
  const state = now.at_hub ? (doctor ? t("red-doctor", { name: doctor }) : t("red-at-hub")) : t(now.online ? "red-sending" : "red-offline");
  return html`<section class="card stack tight red-token" data-test="red-open" data-hub=${String(now.at_hub)}>
      <h1 class="num" data-test="red-token">${visit.token}</h1><p>${now.patient.person.name}</p>
      <p class=${now.at_hub ? "notice good" : "notice warn"} role="status" data-test="red-state">${state}</p>
      <p class="small" data-test="red-sent">${visit.vitals.flatMap((round) => round.vitals.readings.map((one) => `${words("vitals", one.vital)} ${one.value}`)).join(" · ")}</p>
      ${now.locked ? null : html`<p class="notice good" role="status">${t("red-unlocked")}</p>`}
      ${now.printer ? html`<${PrintButton} jobs=${now.jobs} kind="token" subject=${visit.token} text=${t("token-print-here")} print=${printHere("token")} />` : null}
    </section>
    <${Slips} prescriptions=${visit.prescriptions} page=${now} />
    <${Values} />
    <${SendOn} page=${now} />
    <button type="button" class="wide" data-test="red-next" onClick=${end}>${t("red-next")}</button>`;
}

/** @param {{prescriptions: import("/ui/api").Visit["prescriptions"], page: CasePage}} props */
function Slips({ prescriptions, page: { printer, jobs } }) {
  return html`${prescriptions.map((one) => html`<section class="card stack tight" key=${one.prescription_id} data-test="red-answer">
    <h2>${t("red-answer")}</h2>
    ${printer ? html`<${PrintButton} jobs=${jobs} kind="slip" subject=${one.prescription_id} main text=${t("print-here")} print=${printHere(`slip/${one.prescription_id}`)} />` : null}
    <a class=${`button big wide ${printer ? "" : "primary"}`} data-test="red-slip" target="_blank" rel="noopener" href=${`${path()}/slip/${one.prescription_id}${query()}`}>${t("red-slip")}</a>
    ${one.printed_ms ? html`<p class="notice good" role="status" data-test="red-printed">${t("red-printed")}</p>`
      : html`<button type="button" class="big wide" data-test="red-print-done" disabled=${busy.value} onClick=${() => void trying(() => say({ type: "confirm_printed", prescription_id: one.prescription_id }))}>${t("red-print-done")}</button>`}
  </section>`)}`;
}

/** The paper for the hospital, and the record that she was sent there. @param {{page: CasePage}} props */
function SendOn({ page: { visit, printer, jobs } }) {
  const writing = useSignal(false);
  const latest = (visit.referrals ?? []).at(-1);
  const id = useRef(newId()); // the same after a lost answer: it is one referral
  const send = async (/** @type {import("../commands.js").CommandBody} */ command) => {
    try {
      await say({ ...command, command_id: id.current });
      id.current = newId();
      return null;
    } catch (error) {
      return error;
    }
  };
  return html`<section class="card stack tight" data-test="red-send-on"><h2>${t("sending-title")}</h2>
    ${latest ? html`<p class="notice good" role="status" data-test="red-referred"><strong>${t("referred-to", { place: placeWords(latest.to) })}</strong> · ${t(`way-${latest.way.replace("_", "-")}`)}</p>
      <button type="button" class="quiet" data-test="red-refer-undo" disabled=${busy.value} onClick=${() => void trying(() => say({ type: "take_back_referral", made_ms: latest.at_ms, made_count: latest.at_count }))}>${t("undo-referral-label")}</button>
      ${printer ? html`<${PrintButton} jobs=${jobs} kind="referral" subject=${String(latest.at_ms)} main text=${t("sending-print-here")} print=${printHere("referral")} />` : null}
      <a class=${`button big wide ${printer ? "" : "primary"}`} data-test="red-referral" target="_blank" rel="noopener" href=${`${path()}/referral.pdf${query()}`}>${t("sending-print")}</a>` : null}
    <button type="button" class=${latest ? "wide" : "big wide"} data-test="red-refer" onClick=${() => (writing.value = true)}>${t(latest ? "sending-again" : "sending-write")}</button>
    ${writing.value ? html`<${ReferDialog} visit=${visit} send=${send} onClose=${() => (writing.value = false)} />` : null}</section>`;
}

function Values() {
  const now = said.value;
  const set = (/** @type {Partial<typeof NOTHING>} */ part) => (said.value = { ...said.value, ...part });
  const any = now.avpu || now.words.trim() || now.allergy === "none" || now.allergy_text.trim() || Object.values(now.values).some((value) => value.trim());
  const known = reference.value ? VITALS.map((id) => list("vitals").find((vital) => vital.id === id)).filter(Boolean) : [];
  return html`<form class="card stack" onSubmit=${(/** @type {Event} */ event) => (event.preventDefault(), void sendSaid())}><h2>${t("red-more")}</h2>
    <${Choice} name="red-avpu" legend=${t("avpu-question")} value=${now.avpu} onValue=${(/** @type {string} */ avpu) => set({ avpu })}
      options=${list("avpu").map((one) => ({ value: one.code, label: pick(one), alarm: one.code !== "A" }))} />
    <div class="vitals">${known.map((vital) => {
      const { id = "", unit, decimals } = /** @type {any} */ (vital);
      return html`<div class="vital" key=${id}><label for=${`red-${id}`}>${pick(vital)}</label><div class="row tight nowrap">
        <input id=${`red-${id}`} class="num" data-test=${`red-${id}`} inputmode=${decimals > 0 ? "decimal" : "numeric"} maxlength="6" value=${now.values[id] ?? ""}
          onInput=${(/** @type {any} */ event) => set({ values: { ...said.value.values, [id]: decimalIn(event.currentTarget.value) } })} />
        <span class="unit soft">${unitText(unit)}</span></div></div>`;
    })}</div>
    <${Choice} name="red-allergy" legend=${t("allergy-question")} value=${now.allergy} onValue=${(/** @type {string} */ allergy) => set({ allergy })}
      options=${[{ value: "none", label: t("allergy-none") }, { value: "some", label: t("allergy-some"), alarm: true }]} />
    ${now.allergy === "some" ? html`<${TextField} id="red-allergy-text" test="red-allergy-text" label=${t("allergy-text")} value=${now.allergy_text} maxlength=${200} onValue=${(/** @type {string} */ allergy_text) => set({ allergy_text })} />` : null}
    <${TextField} id="red-words" test="red-words" label=${t("red-words")} value=${now.words} maxlength=${200} onValue=${(/** @type {string} */ words) => set({ words })} />
    ${wrong.value ? html`<p class="notice bad" role="alert" data-test="red-wrong">${wrong.value}</p>` : null}
    ${told.value ? html`<p class="notice good" role="status" data-test="red-told">${told.value}</p>` : null}
    <button class="primary big wide" data-test="red-send" disabled=${!any || busy.value} aria-busy=${busy.value ? "true" : "false"}>${t("red-send")}</button>
  </form>`;
}
