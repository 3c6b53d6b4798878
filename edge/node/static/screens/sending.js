// @ts-check
// Sending a patient on without a doctor's word: whom to ring, the referral slip, and what became of her.
import { phoneIn } from "/ui/lib/digits.js";
import { html, signal, useEffect, useSignal } from "/ui/lib/dom.js";
import { get, put } from "/ui/lib/http.js";
import { clockTime, day, span, t } from "/ui/lib/l10n.js";
import { Choice, Dialog, Icon, TextField, toast } from "/ui/lib/parts.js";
import { colourOf } from "/ui/lib/colour.js";
import { reasonWords } from "/ui/lib/reasons.js";
import { errorText, submit } from "../commands.js";
import { loadRecord, nodeNow, staffName } from "../store.js";
import { ReferralBack, offerReferralUndo } from "../undo.js";
import { unansweredMs } from "../unanswered.js";
import { OnCallLinks } from "./oncall.js";
import { PrintHere } from "./printer.js";

/** @typedef {import("/ui/api").Visit} Visit */
/** @typedef {{name: string, phone: string}} OnCall */
const PLACES = ["phc", "chc", "district", "college", "private", "other"];
const WAYS = ["108", "own", "not_gone"];
const ENDINGS = ["reached", "refused", "better", "died", "not_heard"];

/** @type {import("/ui/vendor/signals.js").Signal<OnCall[]|null>} */
const numbers = signal(null);
/** What the hub says; this centre does not change it. @type {import("/ui/vendor/signals.js").Signal<OnCall[]>} */
const fromHub = signal([]);
/** @param {{items: OnCall[], from_hub: OnCall[]}} reply */
function keepNumbers(reply) {
  numbers.value = reply.items;
  fromHub.value = reply.from_hub;
}
const loadNumbers = async () => keepNumbers(await get("/api/on-call"));

/** Whom to ring, in their order. */
export function OnCallNumbers() {
  const editing = useSignal(false);
  useEffect(() => void loadNumbers().catch(() => {}), []);
  const known = [...fromHub.value, ...(numbers.value ?? [])];
  return html`<div class="stack tight" data-test="on-call"><h3>${t("on-call")}</h3>
    <${OnCallLinks} known=${known} />
    <div><button type="button" class=${known.length > 0 ? "quiet" : ""} data-test="on-call-edit" onClick=${() => (editing.value = true)}>${t(known.length > 0 ? "on-call-edit" : "on-call-write")}</button></div>
    ${editing.value ? html`<${NumbersDialog} onClose=${() => (editing.value = false)} />` : null}</div>`;
}

/** @param {{onClose: () => void}} props */
function NumbersDialog({ onClose }) {
  const list = useSignal(/** @type {OnCall[]} */ (numbers.value ?? []));
  const name = useSignal("");
  const phone = useSignal("");
  const wrong = useSignal("");
  const save = async () => {
    const added = name.value.trim() && phone.value.trim() ? [{ name: name.value.trim(), phone: phone.value.trim() }] : [];
    try {
      keepNumbers(await put("/api/on-call", { items: [...list.value, ...added] }));
      onClose();
    } catch (error) {
      wrong.value = errorText(error);
    }
  };
  return html`<${Dialog} title=${t("on-call-edit")} test="on-call-dialog" onClose=${onClose}>
    <ul class="stack tight">${list.value.map((one, index) => html`<li key=${index} class="row between"><span class="grow">${one.name} · <span class="num">${one.phone}</span></span>
      <button type="button" class="quiet" aria-label=${t("on-call-remove", { name: one.name })} onClick=${() => (list.value = list.value.filter((_, at) => at !== index))}><${Icon} name="cross" /></button></li>`)}</ul>
    <${TextField} id="on-call-name" test="on-call-name" label=${t("on-call-name")} value=${name.value} maxlength=${80} onValue=${(/** @type {string} */ text) => (name.value = text)} />
    <${TextField} id="on-call-phone" test="on-call-phone" label=${t("on-call-phone")} value=${phone.value} inputmode="tel" maxlength=${18} onValue=${(/** @type {string} */ text) => (phone.value = phoneIn(text))} />
    ${wrong.value ? html`<p class="notice bad" role="alert">${wrong.value}</p>` : null}
    <div class="row"><button type="button" onClick=${onClose}>${t("back")}</button>
      <button type="button" class="primary grow" data-test="on-call-save" onClick=${() => void save()}>${t("save")}</button></div>
  <//>`;
}

/** The way on for a visit: open for an emergency, folded away for the others. @param {{visit: Visit, name: string, open: boolean}} props */
export function SendOn({ visit, name, open }) {
  const writing = useSignal(false);
  const ending = useSignal(false);
  const made = visit.referrals ?? [];
  const red = colourOf(visit) === "red";
  if (!open && made.length === 0 && !red) return null;
  const latest = made.at(-1);
  const send = async (/** @type {import("../commands.js").CommandBody} */ command) => {
    const outcome = await submit(command);
    if (!outcome.ok && "error" in outcome) return outcome.error;
    const last = outcome.ok ? outcome.reply.visit?.referrals?.at(-1) : undefined;
    if (last) offerReferralUndo(visit.visit_id, last, name);
    await loadRecord(visit.visit_id).catch(() => {});
    return null;
  };
  const waited = red && open && !latest ? unansweredMs(visit, nodeNow()) : 0;
  const body = html`
    ${waited ? html`<p class="notice bad" role="alert" data-test="unanswered">${t("unanswered", { time: span(waited / 1000) })}</p>` : null}
    ${red && open ? html`<${OnCallNumbers} />` : null}
    ${latest ? html`<p data-test="referred"><strong>${t("referred-to", { place: placeWords(latest.to) })}</strong> · ${t(`urgency-${latest.urgency}`)} · ${t(`way-${latest.way.replace("_", "-")}`)}
        <span class="soft num"> ${day(latest.at_ms)} ${clockTime(latest.at_ms)} ${staffName(latest.by)}</span>
        ${open ? html`<${ReferralBack} visitId=${visit.visit_id} one=${latest} name=${name} />` : null}</p>
      <div class="row"><${PrintHere} main path=${`/api/visits/${visit.visit_id}/referral/print`} kind="referral" visitId=${visit.visit_id} subject=${String(latest.at_ms)} text=${t("sending-print-here")} />
        <a class="button" data-test="referral-pdf" href=${`/api/visits/${visit.visit_id}/referral.pdf`} target="_blank" rel="noopener"><${Icon} name="printer" /> ${t("sending-print")}</a></div>` : null}
    ${visit.ending ? html`<p class="notice good" data-test="ending">${t(`ending-${visit.ending.ending.replace("_", "-")}`)}${visit.ending.note ? ` · ${visit.ending.note}` : ""}
      <span class="soft num"> ${day(visit.ending.at_ms)} ${clockTime(visit.ending.at_ms)}</span></p>` : null}
    <div class="row">
      ${open ? html`<button type="button" class=${red && !latest ? "danger" : ""} data-test="referral-write" onClick=${() => (writing.value = true)}>${t(latest ? "sending-again" : "sending-write")}</button>` : null}
      ${latest || red ? html`<button type="button" data-test="ending-write" onClick=${() => (ending.value = true)}>${t("ending-write")}</button>` : null}</div>
    ${writing.value ? html`<${ReferDialog} visit=${visit} send=${send} onClose=${() => (writing.value = false)} />` : null}
    ${ending.value ? html`<${EndingDialog} visit=${visit} onClose=${() => (ending.value = false)} />` : null}`;
  if (red || latest) return html`<section class="card stack print-hide" data-test="send-on" aria-label=${t("sending-title")}><h2>${t("sending-title")}</h2>${body}</section>`;
  return html`<details class="card print-hide" data-test="send-on"><summary>${t("sending-title")}</summary><div class="stack">${body}</div></details>`;
}

/** @param {string} to a place of the list, or its own words */
export const placeWords = (to) => (PLACES.includes(to) ? t(`place-${to}`) : to);

/**
 * Where to, how, and why. ``send`` gives what was wrong, or null.
 * @param {{visit: Visit, onClose: () => void, send: (command: import("../commands.js").CommandBody) => Promise<unknown>}} props
 */
export function ReferDialog({ visit, onClose, send }) {
  const place = useSignal("");
  const words = useSignal("");
  const urgency = useSignal(colourOf(visit) === "red" ? "now" : "");
  const way = useSignal("");
  const reason = useSignal(visit.triage.reasons.map(reasonWords).join(", ").slice(0, 160));
  const given = useSignal("");
  const wrong = useSignal("");
  const busy = useSignal(false);
  const to = place.value === "other" ? words.value.trim() : place.value;
  const save = async () => {
    busy.value = true;
    const error = await send({ type: "refer", visit_id: visit.visit_id, referral: { to, urgency: urgency.value, reason: reason.value.trim() }, way: way.value, given: given.value.trim() });
    busy.value = false;
    if (error) wrong.value = errorText(error);
    else onClose();
  };
  const choice = (/** @type {string} */ name, /** @type {string[]} */ values, /** @type {string} */ prefix, /** @type {{value: string}} */ to_, /** @type {string} */ legend) => html`<${Choice} name=${name} legend=${legend}
    value=${to_.value} onValue=${(/** @type {string} */ value) => (to_.value = value)} options=${values.map((value) => ({ value, label: t(`${prefix}-${value.replace("_", "-")}`) }))} />`;
  return html`<${Dialog} title=${t("sending-write")} test="referral-dialog" onClose=${onClose}>
    ${choice("referral-place", PLACES, "place", place, t("sending-place"))}
    ${place.value === "other" ? html`<${TextField} id="referral-words" test="referral-words" label=${t("sending-words")} value=${words.value} maxlength=${80} onValue=${(/** @type {string} */ text) => (words.value = text)} />` : null}
    ${choice("referral-urgency", ["now", "today", "week"], "urgency", urgency, t("sending-when"))}
    ${choice("referral-way", WAYS, "way", way, t("sending-way"))}
    <${TextField} id="referral-reason" test="referral-reason" label=${t("sending-reason")} value=${reason.value} maxlength=${160} onValue=${(/** @type {string} */ text) => (reason.value = text)} />
    <div class="field"><label for="referral-given">${t("sending-given")}</label>
      <textarea id="referral-given" data-test="referral-given" maxlength="1000" value=${given.value} onInput=${(/** @type {any} */ event) => (given.value = event.currentTarget.value)}></textarea></div>
    ${wrong.value ? html`<p class="notice bad" role="alert">${wrong.value}</p>` : null}
    <div class="row"><button type="button" onClick=${onClose}>${t("back")}</button>
      <button type="button" class="primary grow" data-test="referral-save" disabled=${!to || !urgency.value || !way.value || busy.value} aria-busy=${busy.value ? "true" : "false"} onClick=${() => void save()}>${t("sending-save")}</button></div>
  <//>`;
}

/** @param {{visit: Visit, onClose: () => void}} props */
function EndingDialog({ visit, onClose }) {
  const ending = useSignal("");
  const note = useSignal("");
  const wrong = useSignal("");
  const save = async () => {
    const outcome = await submit({ type: "tell_ending", visit_id: visit.visit_id, ending: ending.value, note: note.value.trim() });
    if (!outcome.ok && "error" in outcome) {
      wrong.value = errorText(outcome.error);
      return;
    }
    onClose();
    toast("good", t("saved"));
    await loadRecord(visit.visit_id).catch(() => {});
  };
  return html`<${Dialog} title=${t("ending-write")} test="ending-dialog" onClose=${onClose}>
    <${Choice} name="ending" legend=${t("ending-what")} value=${ending.value} onValue=${(/** @type {string} */ value) => (ending.value = value)}
      options=${ENDINGS.map((value) => ({ value, label: t(`ending-${value.replace("_", "-")}`) }))} />
    <${TextField} id="ending-note" test="ending-note" label=${t("ending-note")} value=${note.value} maxlength=${300} onValue=${(/** @type {string} */ text) => (note.value = text)} />
    ${wrong.value ? html`<p class="notice bad" role="alert">${wrong.value}</p>` : null}
    <div class="row"><button type="button" onClick=${onClose}>${t("back")}</button>
      <button type="button" class="primary grow" data-test="ending-save" disabled=${!ending.value} onClick=${() => void save()}>${t("save")}</button></div>
  <//>`;
}
