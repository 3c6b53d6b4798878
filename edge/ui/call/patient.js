// @ts-check
// The end of a call at a patient's own telephone: it offers, as a node does, and renews the media when they were lost.
// The way out is steered by the ladder of two browsers. Knows WebRTC and the Signal JSON; knows no page and no hub.
import { PeerLadder, steerRemote } from "./peer_ladder.js";
import { Received } from "./received.js";

/**
 * @typedef {import("./doctor.js").Signal} Signal
 * @typedef {import("./doctor.js").IceServer} IceServer
 * @typedef {"connecting"|"connected"|"interrupted"|"ended"} PatientCallState
 * @typedef {object} PatientFigures
 * @property {PatientCallState} state
 * @property {string} rung what the own way out carries
 * @property {boolean} notes
 * @property {boolean} silent nothing comes from the doctor
 * @property {boolean} ownVideo
 * @property {number} attempt
 * @property {number} fps of the doctor's picture
 * @property {ReturnType<Received["figures"]>} received
 */

const LOOK_MS = 1000;
const REPORT_MS = 5000;
/** As the node's own limits (edge/media/call.py). */
const CONNECT_MS = 20_000;
const REPAIR_MS = 8_000;
const SILENCE_MS = 120_000;
/** Media that came so lately still flow. */
const FLOWS_MS = 1500;
const LABEL = "aside";

export class PatientCall {
  /**
   * @param {object} options
   * @param {string} options.callId
   * @param {IceServer[]} options.iceServers
   * @param {import("./ladder.js").Rules} options.rules
   * @param {(signal: Signal) => void} options.send
   * @param {MediaStream|null} options.localStream
   * @param {number} [options.attempt] the last attempt of an earlier page of this call; -1 for none
   * @param {(figures: PatientFigures) => void} options.onFigures once a second
   * @param {(reason: string) => void} options.onEnd
   * @param {(track: MediaStreamTrack) => void} options.onTrack the doctor's sound or picture
   */
  constructor({ callId, iceServers, rules, send, localStream, attempt = -1, onFigures, onEnd, onTrack }) {
    this.callId = callId;
    this.iceServers = iceServers;
    this.rules = rules;
    this.send = send;
    this.localStream = localStream;
    this.attempt = attempt;
    this.onFigures = onFigures;
    this.onEnd = onEnd;
    this.onTrack = onTrack;
    this.received = new Received();
    /** @type {PatientCallState} */
    this.state = "connecting";
    /** @type {RTCPeerConnection|null} */
    this.pc = null;
    /** @type {RTCDataChannel|null} */
    this.aside = null;
    /** @type {PeerLadder|null} */
    this.ladder = null;
    /** @type {import("./peer_ladder.js").PeerState|null} */
    this.way = null;
    this.told = "";
    /** @type {RTCIceCandidateInit[]} */
    this.early = [];
    const now = performance.now();
    this.sinceMs = now;
    this.mediaMs = now;
    this.lookedMs = now;
    /** Signals and renewals one after the other. @type {Promise<void>} */
    this.queue = Promise.resolve();
    this.lookTimer = setInterval(() => void this.look(), LOOK_MS);
    this.reportTimer = setInterval(() => this.report(), REPORT_MS);
    this.renew();
  }

  /** @param {() => Promise<void>} work */
  next(work) {
    this.queue = this.queue.then(() => (this.state === "ended" ? undefined : work())).catch((error) => console.warn("call", error));
    return this.queue;
  }

  /** A new offer: at the beginning, after the media were lost, and when the doctor's page was loaded anew. */
  renew() {
    return this.next(() => this.offer());
  }

  async offer() {
    this.drop();
    this.attempt += 1;
    const attempt = this.attempt;
    const pc = new RTCPeerConnection({
      iceServers: this.iceServers.map((server) => ({ ...server, urls: [...server.urls] })), bundlePolicy: "max-bundle",
    });
    this.pc = pc;
    this.early = [];
    this.become("connecting");
    this.sinceMs = performance.now();
    this.aside = pc.createDataChannel(LABEL);
    this.aside.onopen = () => { this.told = ""; };
    for (const kind of ["audio", "video"]) {
      const track = this.localStream?.getTracks().find((one) => one.kind === kind);
      if (track && this.localStream) {
        if (kind === "video") track.contentHint = "motion";
        pc.addTransceiver(track, { direction: "sendrecv", streams: [this.localStream] });
      } else pc.addTransceiver(kind, { direction: "recvonly" });
    }
    pc.addEventListener("track", ({ track }) => this.onTrack(track));
    pc.addEventListener("icecandidate", ({ candidate }) => {
      const line = candidate?.candidate ?? "";
      if (pc !== this.pc || this.state === "ended" || (candidate && (line === "" || / tcp /i.test(line)))) return;
      this.send({ type: "candidate", call_id: this.callId, candidate: line, mline: candidate?.sdpMLineIndex ?? 0, attempt });
    });
    pc.addEventListener("connectionstatechange", () => {
      if (pc !== this.pc) return;
      if (pc.connectionState === "connected") this.become("connected");
      else if (pc.connectionState === "failed") void this.renew();
      else if (pc.connectionState === "disconnected") this.become("interrupted");
    });
    const description = await pc.createOffer();
    await pc.setLocalDescription(description);
    if (pc !== this.pc) return;
    this.send({ type: "offer", call_id: this.callId, sdp: steerRemote(description.sdp ?? ""), attempt });
    this.ladder = new PeerLadder({ pc, rules: this.rules, onState: (way) => { this.way = way; } });
    this.ladder.start();
  }

  /** Send this track from now on, in the place of the one of its kind. @param {MediaStreamTrack} track */
  setTrack(track) {
    const others = this.localStream?.getTracks().filter((one) => one.kind !== track.kind) ?? [];
    this.localStream = new MediaStream([...others, track]);
    return this.next(async () => {
      const sender = this.pc?.getSenders().find((one) => one.track?.kind === track.kind);
      if (!sender) return this.offer(); // nothing of its kind was sent: that takes a new description
      if (track.kind === "video") track.contentHint = "motion";
      await sender.replaceTrack(track);
      this.ladder?.tellAgain();
      return undefined;
    });
  }

  /** @param {Signal} signal of the doctor's page */
  handle(signal) {
    if (signal.call_id !== this.callId) return;
    if (signal.type === "ring") this.rungAgain();
    else if (signal.type === "bye") this.finish(String(signal.reason ?? "hangup"), false);
    else void this.next(() => this.take(signal));
  }

  /** The doctor's page was loaded anew and needs an offer; or only this page's channel was, and the media still flow. */
  rungAgain() {
    this.send({ type: "accept", call_id: this.callId, by: "" });
    const flows = () => this.state === "connected" && performance.now() - this.mediaMs < FLOWS_MS;
    const look = () => (flows() || this.state === "ended" ? undefined : this.renew());
    setTimeout(() => void look(), flows() ? FLOWS_MS + LOOK_MS : 0);
  }

  /** @param {Signal} signal */
  async take(signal) {
    const pc = this.pc;
    if (!pc || Number(signal.attempt ?? 0) !== this.attempt) return;
    if (signal.type === "answer" && pc.signalingState === "have-local-offer") {
      await pc.setRemoteDescription({ type: "answer", sdp: steerRemote(String(signal.sdp)) });
      for (const candidate of this.early.splice(0)) await pc.addIceCandidate(candidate).catch(() => {});
    } else if (signal.type === "candidate" && signal.candidate) {
      const candidate = { candidate: String(signal.candidate), sdpMLineIndex: Number(signal.mline ?? 0) };
      if (pc.remoteDescription) await pc.addIceCandidate(candidate);
      else this.early.push(candidate);
    }
  }

  /** Once a second: what came, whether the media have to be renewed, and what the doctor is told of the way out. */
  async look() {
    const pc = this.pc;
    const now = performance.now();
    if (!pc || this.state === "ended") return;
    const report = await pc.getStats();
    if (pc !== this.pc || this.ended()) return;
    this.received.take(report, (now - this.lookedMs) / 1000);
    this.lookedMs = now;
    if (this.received.sound || this.received.fps > 0) this.mediaMs = now;
    const lostMs = now - this.sinceMs;
    if (now - this.mediaMs > SILENCE_MS) this.finish("failed", true);
    else if (this.state === "interrupted" && lostMs > REPAIR_MS) void this.renew();
    else if (this.state === "connecting" && lostMs > CONNECT_MS) void this.renew();
    const rung = this.way?.rung ?? "";
    const notes = this.way?.notes ?? false;
    const words = JSON.stringify({ type: "link_state", rung, notes, relayed: false, sharp: false });
    if (rung && words !== this.told && this.aside?.readyState === "open") {
      this.told = words;
      this.aside.send(words);
    }
    this.onFigures({
      state: this.state, rung, notes, silent: this.state === "connected" && now - this.mediaMs > 3 * LOOK_MS, ownVideo: this.way?.ownVideo ?? false,
      attempt: this.attempt, fps: this.received.fps, received: this.received.figures(),
    });
  }

  ended() {
    return this.state === "ended";
  }

  report() {
    this.send({ type: "report", call_id: this.callId, ...this.received.figures() });
  }

  /** Hang up. */
  close() {
    this.finish("hangup", true);
  }

  drop() {
    this.ladder?.stop();
    this.ladder = null;
    this.aside = null;
    this.pc?.close();
    this.pc = null;
    this.received.restart();
  }

  /** @param {string} reason @param {boolean} tell */
  finish(reason, tell) {
    if (this.state === "ended") return;
    clearInterval(this.lookTimer);
    clearInterval(this.reportTimer);
    if (tell) {
      this.report();
      this.send({ type: "bye", call_id: this.callId, reason });
    }
    this.become("ended");
    this.drop();
    this.onEnd(reason);
  }

  /** @param {PatientCallState} state */
  become(state) {
    if (this.state === state || this.state === "ended") return;
    this.state = state;
    this.sinceMs = performance.now();
  }
}
