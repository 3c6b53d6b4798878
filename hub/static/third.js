// @ts-check
// Three-way calls: the doctor asks a specialist into a call that runs, and this page is the bridge between both ends;
// or one is asked oneself, and comes.
import { Bridge } from "/ui/call/bridge.js";
import { DoctorCall } from "/ui/call/doctor.js";
import { loadRules } from "/ui/call/peer_ladder.js";
import { effect, html, signal, useEffect, useRef, useSignal } from "/ui/lib/dom.js";
import { ApiError, get, post } from "/ui/lib/http.js";
import { newId } from "/ui/lib/ids.js";
import { t } from "/ui/lib/l10n.js";
import { often } from "/ui/lib/often.js";
import { specialityName } from "/ui/lib/speciality.js";
import { Choice, ColourBadge, Dialog, Icon, toast } from "/ui/lib/parts.js";
import { ownMedia, parts, sendSound } from "./call.js";
import { doctor, errorText, keepThird, keptThird } from "./store.js";

/** @typedef {{doctor_id: string, name: string, registration: string, qualification: string}} Person */
/** @typedef {{third_id: string, call_id: string, visit_id: string, phase: string, token: string, colour: import("/ui/api").Colour, site_name: string, doctor: Person, specialist: Person}} Third */
/** @typedef {Person & {specialities: string[], languages: string[], ready: boolean, here: boolean, busy: boolean}} Specialist */
/** @typedef {import("/ui/call/doctor.js").Signal} Signal */

const BUILD_AGAIN_MS = 2000;

const items = signal(/** @type {Third[]} */ ([]));
/** Whom this doctor asks, or has in her call. */
const mine = () => items.value.find((one) => one.doctor.doctor_id === doctor.value?.doctor_id) ?? null;
/** Into whose call this doctor is asked, or has come. */
export const invited = () => items.value.find((one) => one.specialist.doctor_id === doctor.value?.doctor_id) ?? null;
/** @type {(message: Signal) => void} */
let send = () => {};

/** @param {(message: Signal) => void} sender */
export function setThirdSender(sender) {
  send = sender;
}

/** Whom this page itself asks no longer. */
let withdrawn = "";

export const loadThirds = often(async () => {
  const before = mine();
  items.value = (await get("/api/thirds")).items;
  if (before?.phase === "asking" && !mine() && parts.value && before.third_id !== withdrawn) toast("warn", t("third-nobody-came"));
  else if (before?.phase === "joined" && !mine() && parts.value) toast("good", t("third-left", { name: before.specialist.name }));
});

export function forgetThirds() {
  items.value = [];
  leave();
}

/** @param {Signal} message of the live channel; whether it was of a three-way call */
export function thirdSignal(message) {
  if (message.call_id === mine()?.third_id) {
    if (message.type === "accept") comes.value = message.call_id;
    void bridge?.handle(message);
  } else if (message.call_id === seat.value?.third_id) void leg?.handle(message);
  else return false;
  return true;
}

// The doctor who holds the call: the bridge

/** The specialist whose page said that it is there. */
const comes = signal("");
const figures = signal(/** @type {import("/ui/call/patient.js").PatientFigures|null} */ (null));
const picture = { track: /** @type {MediaStreamTrack|null} */ (null), element: /** @type {HTMLVideoElement|null} */ (null) };
/** @type {Bridge|null} */
let bridge = null;
let building = "";

effect(() => {
  const now = mine(), media = parts.value, there = comes.value;
  if (now?.phase !== "joined" || media?.callId !== now.call_id) dropBridge();
  else if (bridge?.thirdId === now.third_id) bridge.patient(media.audio, media.video);
  else if (there === now.third_id || keptAttempt(now.third_id) >= 0) void build(now.third_id);
});

/** @param {string} thirdId of a leg that this tab had before it was loaded anew; -1 for none */
function keptAttempt(thirdId) {
  const [kept, attempt] = keptThird().split(":");
  return kept === thirdId && attempt ? Number(attempt) : -1;
}

/** @param {string} thirdId */
async function build(thirdId) {
  if (building === thirdId) return;
  building = thirdId;
  try {
    const [rules, { ice_servers }] = await Promise.all([loadRules(), get("/api/ice-servers")]);
    const now = mine(), media = parts.value;
    if (now?.third_id !== thirdId || media?.callId !== now.call_id) return;
    bridge = new Bridge({
      thirdId, attempt: keptAttempt(thirdId), iceServers: ice_servers, rules, voice: media.own?.getAudioTracks()[0] ?? null,
      sound: media.audio, picture: media.video, onSound: sendSound, onFigures: (seen) => (figures.value = seen),
      send: (message) => {
        if (message.type === "offer") keepThird(`${thirdId}:${message.attempt}`);
        send(message);
      },
      onPicture: (track) => {
        picture.track = track;
        show();
      },
      onEnd: dropBridge,
    });
  } catch {
    setTimeout(() => { // she waits in the call: what the bridge needs is fetched until it comes
      if (mine()?.third_id === thirdId && mine()?.phase === "joined" && !bridge) void build(thirdId);
    }, BUILD_AGAIN_MS);
  } finally {
    building = "";
  }
}

function show() {
  if (!picture.element || !picture.track) return;
  picture.element.srcObject = new MediaStream([picture.track]);
  picture.element.play().catch(() => {});
}

function dropBridge() {
  const gone = bridge;
  bridge = null;
  gone?.close();
  figures.value = null;
  picture.track = null;
}

/** @param {string} thirdId */
async function end(thirdId) {
  withdrawn = thirdId;
  try {
    await post(`/api/thirds/${thirdId}/end`);
  } catch (error) {
    toast("bad", errorText(error));
  }
  await loadThirds();
}

/** @param {Person} person */
const said = (person) => [person.name, person.qualification, t("third-registration", { number: person.registration })].filter(Boolean).join(" · ");

/** In the panel of a call that runs: ask somebody, or who is asked or in it. @param {{callId: string, visitId: string}} props */
export function ThirdPanel({ callId, visitId }) {
  const asking = useSignal(false);
  const now = mine();
  if (!now || now.call_id !== callId) {
    return html`<div class="third"><button type="button" data-test="third-ask" onClick=${() => (asking.value = true)}>${t("third-ask")}</button>
      ${asking.value ? html`<${Ask} callId=${callId} visitId=${visitId} onClose=${() => (asking.value = false)} />` : null}</div>`;
  }
  const joined = now.phase === "joined";
  return html`<div class="third" data-test="third" data-phase=${now.phase} data-state=${figures.value?.state ?? ""} data-audio=${String(Math.round(figures.value?.received.audio_s ?? 0))}>
    ${joined ? html`<${Picture} />` : null}
    <span class="grow" role="status">${t(joined ? "third-in" : "third-asked")} <strong>${said(now.specialist)}</strong></span>
    <button type="button" data-test="third-end" onClick=${() => void end(now.third_id)}>${t(joined ? "third-send-away" : "third-withdraw")}</button></div>`;
}

function Picture() {
  const element = useRef(/** @type {HTMLVideoElement|null} */ (null));
  useEffect(() => {
    picture.element = element.current;
    show();
    return () => (picture.element = null);
  }, []);
  const hidden = !figures.value || figures.value.fps < 0.5;
  return html`<video ref=${element} autoplay playsinline muted hidden=${hidden} data-test="third-picture" aria-label=${t("third-picture")}></video>`;
}

/** @param {{callId: string, visitId: string, onClose: () => void}} props */
function Ask({ callId, visitId, onClose }) {
  const people = useSignal(/** @type {Specialist[]|null} */ (null));
  const agreed = useSignal("");
  const chosen = useSignal("");
  const busy = useSignal(false);
  const wrong = useSignal("");
  useEffect(() => {
    get("/api/specialists").then((reply) => {
      people.value = reply.items;
      chosen.value = reply.items.find((/** @type {Specialist} */ one) => one.here && !one.busy)?.doctor_id ?? "";
    }).catch((error) => (wrong.value = errorText(error)));
  }, []);
  const go = async () => {
    busy.value = true;
    wrong.value = "";
    try {
      await post(`/api/visits/${visitId}/thirds`, { third_id: newId(), call_id: callId, agreed: agreed.value, specialist_id: chosen.value });
      await loadThirds();
      onClose();
    } catch (error) {
      wrong.value = errorText(error);
    } finally {
      busy.value = false;
    }
  };
  return html`<${Dialog} title=${t("third-ask")} test="third-dialog" onClose=${onClose}>
    ${people.value === null ? html`<p role="status">${t("loading")}</p>`
    : people.value.length === 0 ? html`<p class="soft" data-test="third-none">${t("third-none")}</p>`
    : html`<fieldset class="field"><legend class="label">${t("third-whom")}</legend><div class="stack tight" role="radiogroup" aria-label=${t("third-whom")}>
        ${people.value.map((one) => html`<button type="button" key=${one.doctor_id} role="radio" class="choice" data-test="third-person" data-person=${one.doctor_id}
          aria-checked=${String(chosen.value === one.doctor_id)} disabled=${!one.here || one.busy} onClick=${() => (chosen.value = one.doctor_id)}>
          <span><strong>${one.name}</strong> ${one.qualification}<br /><span class="small">${one.specialities.map(specialityName).join(", ")} · ${t(one.busy ? "third-busy" : one.here ? "third-here" : "third-away")}</span></span></button>`)}</div></fieldset>
      <${Choice} legend=${t("third-agreed")} name="third-agreed" value=${agreed.value} onValue=${(/** @type {string} */ value) => (agreed.value = value)}
        options=${[{ value: "spoken", label: t("third-agreed-spoken") }, { value: "emergency", label: t("third-agreed-emergency") }]} />
      <p class="small soft">${t("third-explain")}</p>`}
    ${wrong.value ? html`<p class="notice bad" role="alert" data-test="third-wrong">${wrong.value}</p>` : null}
    <div class="row tight"><button type="button" class="primary" data-test="third-go" disabled=${!agreed.value || !chosen.value || busy.value} onClick=${() => void go()}>${t("third-go")}</button>
      <button type="button" data-test="third-close" onClick=${onClose}>${t("cancel")}</button></div><//>`;
}

// The specialist who was asked

/** The call that this tab has come into. */
const seat = signal(/** @type {Third|null} */ (null));
const heard = signal(/** @type {import("/ui/call/doctor.js").CallStats|null} */ (null));
const patient = { element: /** @type {HTMLVideoElement|null} */ (null) };
/** @type {DoctorCall|null} */
let leg = null;
/** @type {MediaStream|null} */
let own = null;

effect(() => {
  const now = invited();
  if (seat.value && now?.third_id !== seat.value.third_id) leave();
  else if (!seat.value && now?.phase === "joined" && keptThird() === now.third_id) void come(now); // after a reload
});

/** @param {Third} third */
async function come(third) {
  if (seat.value) return;
  seat.value = third;
  keepThird(third.third_id);
  const [stream, servers] = await Promise.all([ownMedia(), get("/api/ice-servers").then((reply) => reply.ice_servers).catch(() => [])]);
  if (seat.value?.third_id !== third.third_id) { // gone while the browser asked for the camera
    for (const track of stream?.getTracks() ?? []) track.stop();
    return;
  }
  own = stream;
  leg = new DoctorCall({
    callId: third.third_id, iceServers: servers, send: (message) => send(message), localStream: own, remoteVideo: patient.element,
    onStats: (stats) => (heard.value = stats),
  });
  send({ type: "accept", call_id: third.third_id, by: "" });
}

function leave() {
  const gone = leg;
  leg = null;
  gone?.finish("over", false);
  for (const track of own?.getTracks() ?? []) track.stop();
  own = null;
  if (seat.value) keepThird("");
  seat.value = null;
  heard.value = null;
}

window.addEventListener("pagehide", () => leg?.report());

/** Somebody asks, or waits for this window. @param {{onCome: (visitId: string) => void}} props */
export function ThirdOffer({ onCome }) {
  const busy = useSignal(false);
  const now = invited();
  if (!now || seat.value?.third_id === now.third_id) return null;
  const joined = now.phase === "joined";
  const accept = async () => {
    busy.value = true;
    try {
      const third = await post(`/api/thirds/${now.third_id}/accept`);
      onCome(now.visit_id);
      void come(third);
    } catch (error) {
      toast(error instanceof ApiError && error.status === 409 ? "warn" : "bad", errorText(error));
    } finally {
      busy.value = false;
      void loadThirds();
    }
  };
  return html`<section class="offer" role="alert" aria-label=${t("third-offer")} data-test="third-offer" data-phase=${now.phase}>
    <div class="grow"><strong>${t(joined ? "third-elsewhere" : "third-offer")}</strong> ${said(now.doctor)} · <${ColourBadge} colour=${now.colour} /> <strong class="num">${now.token}</strong> · ${now.site_name}</div>
    <button type="button" class="primary" data-test="third-accept" disabled=${busy.value} onClick=${() => void accept()}><${Icon} name="phone" /> ${t(joined ? "third-come-here" : "third-come")}</button>
    <button type="button" class="quiet" data-test="third-decline" onClick=${() => void end(now.third_id)}>${t(joined ? "third-leave" : "third-decline")}</button>
  </section>`;
}

/** The call that the specialist has come into; null: none. */
export function Seat() {
  const element = useRef(/** @type {HTMLVideoElement|null} */ (null));
  useEffect(() => {
    patient.element = element.current;
    const track = leg?.pc?.getReceivers().find((one) => one.track.kind === "video")?.track;
    if (leg) leg.remoteVideo = element.current;
    if (element.current && track) element.current.srcObject = new MediaStream([track]);
    return () => (patient.element = null);
  }, []);
  const now = seat.value, seen = heard.value;
  if (!now) return null;
  const state = seen?.state ?? "waiting";
  return html`<section class="call-panel" aria-label=${t("call")} data-test="third-seat" data-state=${state} data-frames=${String(seen?.frames ?? 0)} data-audio=${String(Math.round(seen?.audioS ?? 0))}>
    <div class="call-view"><video ref=${element} autoplay playsinline data-test="third-video" aria-label=${t("video-of-patient")}></video></div>
    <div class="row tight"><div class="grow"><strong role="status">${t(state === "connected" ? "third-connected" : "third-connecting")}</strong>
        <div class="small">${t("third-with")} ${said(now.doctor)}</div><div class="small">${t("third-signs")}</div></div>
      <button type="button" class="danger" data-test="third-leave" onClick=${() => void end(now.third_id)}>${t("third-leave")}</button></div></section>`;
}

/** Whether this tab is in another doctor's call: then it offers no call of its own. */
export const seated = () => seat.value !== null;
