// @ts-check
// The doctor's end of a call: one RTCPeerConnection per attempt, answered to the node's offer.
// Knows WebRTC and the Signal JSON; knows no page, no socket and no hub.
import { Aside } from "./aside.js";
import { OwnPicture } from "./own_picture.js";
import { loadRules, PeerLadder } from "./peer_ladder.js";

/**
 * @typedef {{urls: string[], username?: string, credential?: string}} IceServer
 * @typedef {{type: string, call_id: string, [key: string]: unknown}} Signal
 * @typedef {"waiting"|"ringing"|"accepted"|"connecting"|"connected"|"interrupted"|"ended"} CallState
 * @typedef {object} CallStats
 * @property {CallState} state
 * @property {number} attempt how many times the media was set up, counted from 0
 * @property {number} frames decoded frames of the whole call
 * @property {number} fps frames decoded in the last second
 * @property {number} width
 * @property {number} height
 * @property {number} videoS seconds in which at least one new frame was shown
 * @property {number} audioS seconds of sound played
 * @property {number} concealedS seconds of sound that had to be made up
 * @property {number} concealedPct
 * @property {number} freezes
 * @property {number} freezeS
 * @property {number} audioLevel 0–1, of what is heard now
 * @property {number} recvBps bits per second received (RTP payload and headers)
 * @property {number} sendBps
 * @property {number} rttMs
 * @property {number} jitterBufferMs
 * @property {number} framesSent
 * @property {boolean} ownVideo whether the doctor's own picture is being sent
 * @property {number} returnBps what the way to the patient carries, an estimate
 * @property {number|null} firstFrameMs from the offer to the first decoded frame
 */

export const REPORT_INTERVAL_MS = 5000;
export const STATS_INTERVAL_MS = 1000;
/** An attempt that stays interrupted is replaced by the node, never by this side. */
const LOWEST_JITTER_TARGET_MS = 150;
const HIGHEST_JITTER_TARGET_MS = 1500;
/**
 * A lost packet of the picture is noticed by the next one, asked for and sent again: a round trip and about this long.
 * A picture that waits so long does not stop for it; the sound, which nobody sends again, is no sooner there.
 */
const REPAIR_MS = 150;
const HIGHEST_PICTURE_TARGET_MS = 900;

/** Mean square of a second of sound that somebody can hear: -60 dBFS. A dead microphone stays below. */
const AUDIBLE = 1e-6;

/** Totals that survive a change of the peer connection. */
const nothing = () => ({
  frames: 0, freezes: 0, freezeS: 0, samples: 0, concealed: 0, silentConcealed: 0, energy: 0, durationS: 0,
  framesSent: 0, bytesReceived: 0, bytesSent: 0,
});

/** Share of what an attempt's way out carried with which the next one begins; as the node's. */
const CAUTION = 0.8;
/** Where the first attempt begins: sound that passes on any way; repeated as soon as the way is seen to carry that. */
const FIRST_BPS = 19_000;

export class DoctorCall {
  /**
   * @param {object} options
   * @param {string} options.callId
   * @param {IceServer[]} [options.iceServers]
   * @param {(signal: Signal) => void} options.send
   * @param {MediaStream|null} [options.localStream] null: only receive
   * @param {(state: CallState, reason?: string) => void} [options.onState]
   * @param {(stats: CallStats) => void} [options.onStats] once a second
   * @param {(still: import("./aside.js").Still) => void} [options.onStill] a small picture, while no video comes
   * @param {(message: import("./aside.js").AsideMessage) => void} [options.onAside] what the node says beside the call
   * @param {(open: boolean) => void} [options.onAsideOpen]
   * @param {HTMLVideoElement|null} [options.remoteVideo]
   * @param {(track: MediaStreamTrack) => void} [options.onTrack] what comes in, of each attempt
   */
  constructor({
    callId, iceServers = [], send, localStream = null, onState, onStats, onStill, onAside, onAsideOpen, remoteVideo = null, onTrack,
  }) {
    this.callId = callId;
    this.iceServers = iceServers;
    this.send = send;
    this.localStream = localStream;
    this.onState = onState ?? (() => {});
    this.onStats = onStats ?? (() => {});
    this.remoteVideo = remoteVideo;
    this.onTrack = onTrack ?? (() => {});
    /** An element of its own: a video element keeps the sound back until its first picture has come. */
    this.sound = new Audio();
    this.aside = new Aside({
      onStill: onStill ?? (() => {}), onMessage: onAside ?? (() => {}), onOpen: onAsideOpen ?? (() => {}),
    });
    /** @type {CallState} */
    this.state = "waiting";
    this.attempt = -1;
    /** @type {RTCPeerConnection|null} */
    this.pc = null;
    /** @type {Map<number, RTCIceCandidateInit[]>} candidates that came before their offer */
    this.early = new Map();
    /** Totals of attempts that are over. */
    this.past = nothing();
    /** Totals of the attempt that is running. */
    this.now = nothing();
    this.videoS = 0;
    /** Whether anything was audible so far: silence is nobody's consultation. */
    this.audible = false;
    this.rttFloorMs = Infinity;
    /** Without them nothing is steered: sound as the node's description says, and no own picture. */
    this.rules = loadRules().catch((error) => console.warn("no rules of the ladder", error));
    this.ownPicture = new OwnPicture();
    /** @type {PeerLadder|null} */
    this.ladder = null;
    this.startBps = FIRST_BPS;
    this.offeredAt = 0;
    /** @type {number|null} */
    this.firstFrameMs = null;
    /** @type {CallStats} */
    this.latest = this.blank();
    this.lastTick = performance.now();
    this.statsTimer = setInterval(() => void this.tick(), STATS_INTERVAL_MS);
    this.reportTimer = setInterval(() => this.report(), REPORT_INTERVAL_MS);
    /** Signals are handled one after the other. @type {Promise<void>} */
    this.queue = Promise.resolve();
  }

  /**
   * Take in a signal from the node. Signals of other calls and of older attempts are ignored.
   * @param {Signal} signal
   * @returns {Promise<void>} settled when it was handled
   */
  handle(signal) {
    if (signal.call_id !== this.callId || this.state === "ended") return Promise.resolve();
    this.queue = this.queue.then(() => this.take(signal)).catch((error) => {
      console.warn("signal not taken", signal.type, error);
    });
    return this.queue;
  }

  /** @param {Signal} signal */
  async take(signal) {
    switch (signal.type) {
      case "accept":
        if (this.state === "waiting" || this.state === "ringing") this.become("accepted");
        break;
      case "offer":
        await this.answer(String(signal.sdp), Number(signal.attempt ?? 0));
        break;
      case "candidate":
        await this.addCandidate(signal);
        break;
      case "bye":
        this.finish(String(signal.reason ?? "hangup"), false);
        break;
      default:
        break;
    }
  }

  /** Hang up: tells the other side, sends the last report. */
  close() {
    this.finish("hangup", true);
  }

  /** @returns {CallStats} the figures of the last second */
  stats() {
    return this.latest;
  }

  /**
   * Give or replace the own microphone and camera in a running call.
   * @param {MediaStream|null} stream
   */
  async setLocalStream(stream) {
    this.localStream = stream;
    if (!this.pc) return;
    await this.attachLocal(this.pc);
    this.ladder?.tellAgain();
  }

  /**
   * @param {string} sdp
   * @param {number} attempt
   */
  async answer(sdp, attempt) {
    if (attempt <= this.attempt) return;
    this.dropConnection();
    this.attempt = attempt;
    this.offeredAt = performance.now();
    const pc = new RTCPeerConnection({
      iceServers: this.iceServers.map((server) => ({ ...server, urls: [...server.urls] })),
      bundlePolicy: "max-bundle",
    });
    this.pc = pc;
    pc.addEventListener("track", (event) => {
      // The first picture is shown as it comes; once the round trip is known, pictures wait for what is sent again.
      this.aimJitterBuffer(LOWEST_JITTER_TARGET_MS, 0);
      this.onTrack(event.track);
      const element = event.track.kind === "audio" ? this.sound : this.remoteVideo;
      if (!element) return;
      element.srcObject = new MediaStream([event.track]);
      element.play().catch(() => {
        // The page has not been touched yet: the browser plays as soon as it was.
      });
    });
    pc.addEventListener("datachannel", ({ channel }) => pc === this.pc && this.aside.attach(channel));
    pc.addEventListener("icecandidate", ({ candidate }) => {
      if (pc !== this.pc || this.state === "ended") return;
      const line = candidate?.candidate ?? "";
      if (candidate && (line === "" || / tcp /i.test(line))) return;
      this.send({
        type: "candidate", call_id: this.callId, candidate: line,
        mline: candidate?.sdpMLineIndex ?? 0, attempt,
      });
    });
    pc.addEventListener("connectionstatechange", () => {
      if (pc !== this.pc) return;
      if (pc.connectionState === "connected") this.become("connected");
      else if (pc.connectionState === "disconnected" || pc.connectionState === "failed") this.become("interrupted");
    });
    this.become(this.state === "interrupted" || this.state === "connected" ? "interrupted" : "connecting");
    await pc.setRemoteDescription({ type: "offer", sdp });
    await this.attachLocal(pc);
    const answer = await pc.createAnswer(); // sent without candidates: they trickle
    await pc.setLocalDescription(answer);
    if (pc !== this.pc) return;
    this.send({ type: "answer", call_id: this.callId, sdp: answer.sdp ?? "", attempt });
    void this.steer(pc);
    for (const candidate of this.early.get(attempt) ?? []) await pc.addIceCandidate(candidate).catch(() => {});
    this.early.clear();
  }

  /** @param {Signal} signal */
  async addCandidate(signal) {
    const attempt = Number(signal.attempt ?? 0);
    /** @type {RTCIceCandidateInit} */
    const candidate = { candidate: String(signal.candidate ?? ""), sdpMLineIndex: Number(signal.mline ?? 0) };
    if (candidate.candidate === "" || attempt < this.attempt) return;
    if (attempt === this.attempt && this.pc?.remoteDescription) {
      await this.pc.addIceCandidate(candidate);
    } else {
      this.early.set(attempt, [...(this.early.get(attempt) ?? []), candidate]);
    }
  }

  /** @param {RTCPeerConnection} pc */
  async attachLocal(pc) {
    for (const transceiver of pc.getTransceivers()) {
      const kind = transceiver.receiver.track.kind;
      const track = this.localStream?.getTracks().find((one) => one.kind === kind) ?? null;
      if (track && kind === "video") track.contentHint = "motion";
      await transceiver.sender.replaceTrack(track);
      if (pc.signalingState === "have-remote-offer") transceiver.direction = "sendrecv";
    }
  }

  /** The way to the patient is steered by the ladder of two browsers. @param {RTCPeerConnection} pc */
  async steer(pc) {
    const rules = await this.rules;
    if (pc !== this.pc) return;
    if (!rules) {
      for (const sender of pc.getSenders()) if (sender.track?.kind === "video") await sender.replaceTrack(null);
      return;
    }
    this.ladder = new PeerLadder({
      pc, rules, startBps: this.startBps, aims: false,
      allowsPicture: (state, elapsedS) => this.ownPicture.allows(state, elapsedS),
    });
    this.ladder.start();
  }

  /**
   * @param {number} soundMs
   * @param {number} pictureMs
   */
  aimJitterBuffer(soundMs, pictureMs) {
    for (const receiver of this.pc?.getReceivers() ?? []) {
      if ("jitterBufferTarget" in receiver) {
        receiver.jitterBufferTarget = receiver.track.kind === "audio" ? soundMs : pictureMs;
      }
    }
  }

  async tick() {
    const pc = this.pc;
    const at = performance.now();
    const elapsedS = Math.max((at - this.lastTick) / 1000, 0.001);
    this.lastTick = at;
    if (!pc || pc.connectionState === "closed") {
      this.onStats(this.latest);
      return;
    }
    const all = await pc.getStats();
    if (pc !== this.pc) return;
    const before = this.now;
    const seen = nothing();
    let width = 0, height = 0, audioLevel = 0, rttMs = 0, bufferMs = 0;
    all.forEach((entry) => {
      if (entry.type === "inbound-rtp") {
        seen.bytesReceived += (entry.bytesReceived ?? 0) + (entry.headerBytesReceived ?? 0);
        if (entry.kind === "video") {
          seen.frames = entry.framesDecoded ?? 0;
          seen.freezes = entry.freezeCount ?? 0;
          seen.freezeS = entry.totalFreezesDuration ?? 0;
          width = entry.frameWidth ?? 0;
          height = entry.frameHeight ?? 0;
        } else {
          seen.samples = entry.totalSamplesReceived ?? 0;
          seen.concealed = entry.concealedSamples ?? 0;
          seen.energy = entry.totalAudioEnergy ?? 0;
          seen.durationS = entry.totalSamplesDuration ?? 0;
          seen.silentConcealed = entry.silentConcealedSamples ?? 0;
          audioLevel = entry.audioLevel ?? 0;
          const emitted = entry.jitterBufferEmittedCount ?? 0;
          bufferMs = emitted ? ((entry.jitterBufferDelay ?? 0) / emitted) * 1000 : 0;
        }
      } else if (entry.type === "outbound-rtp") {
        seen.bytesSent += (entry.bytesSent ?? 0) + (entry.headerBytesSent ?? 0);
        if (entry.kind === "video") seen.framesSent = entry.framesSent ?? 0;
      } else if (entry.type === "candidate-pair" && entry.nominated && entry.currentRoundTripTime !== undefined) {
        rttMs = entry.currentRoundTripTime * 1000;
      }
    });
    this.now = seen;
    if (seen.frames > before.frames) {
      this.videoS += Math.min(elapsedS, 2);
      if (this.firstFrameMs === null) this.firstFrameMs = at - this.offeredAt;
    }
    if (rttMs > 0) this.rttFloorMs = Math.min(this.rttFloorMs, rttMs);
    const recvBps = ((seen.bytesReceived - before.bytesReceived) * 8) / elapsedS;
    const total = (/** @type {keyof ReturnType<typeof nothing>} */ key) => this.past[key] + seen[key];
    // What the browser counts as received includes what it made up (W3C webrtc-stats, concealedSamples).
    const real = seen.samples - seen.concealed > before.samples - before.concealed;
    const soundS = seen.durationS - before.durationS;
    if (real && soundS > 0 && (seen.energy - before.energy) / soundS > AUDIBLE) this.audible = true;
    const heard = this.audible ? Math.max(total("samples") - total("concealed"), 0) : 0;
    const concealed = Math.max(total("concealed") - total("silentConcealed"), 0);
    this.latest = {
      state: this.state,
      attempt: this.attempt,
      frames: total("frames"),
      fps: (seen.frames - before.frames) / elapsedS,
      width,
      height,
      videoS: this.videoS,
      audioS: heard / 48_000,
      concealedS: concealed / 48_000,
      concealedPct: concealed ? (100 * concealed) / (heard + concealed) : 0,
      freezes: total("freezes"),
      freezeS: total("freezeS"),
      audioLevel,
      recvBps,
      sendBps: ((seen.bytesSent - before.bytesSent) * 8) / elapsedS,
      rttMs,
      jitterBufferMs: bufferMs,
      framesSent: total("framesSent"),
      ownVideo: this.ladder?.state().ownVideo ?? false,
      returnBps: this.ladder?.state().estimateBps ?? 0,
      firstFrameMs: this.firstFrameMs,
    };
    if (pc.connectionState === "connected") {
      if (rttMs > 0) {
        const target = Math.min(Math.max(this.rttFloorMs / 2 + 120, LOWEST_JITTER_TARGET_MS), HIGHEST_JITTER_TARGET_MS);
        const picture = Math.min(this.rttFloorMs + REPAIR_MS, HIGHEST_PICTURE_TARGET_MS);
        this.aimJitterBuffer(recvBps > 300_000 ? LOWEST_JITTER_TARGET_MS : target, picture);
      }
    }
    this.onStats(this.latest);
  }

  report() {
    if (this.attempt < 0) return;
    const { videoS, audioS, concealedS, frames, freezes, freezeS } = this.latest;
    this.send({
      type: "report",
      call_id: this.callId,
      video_s: round(videoS),
      audio_s: round(audioS),
      concealed_s: round(concealedS),
      frames,
      freezes,
      freeze_s: round(freezeS),
      mode: videoS > audioS / 2 && frames > 0 ? "video" : audioS > 0 ? "audio" : "text",
    });
  }

  dropConnection() {
    if (!this.pc) return;
    this.aside.close();
    if (this.ladder) {
      this.ladder.stop();
      this.startBps = this.ladder.coarse.rateBps * CAUTION;
      this.ladder = null;
    }
    this.pc.close();
    this.pc = null;
    for (const key of /** @type {(keyof ReturnType<typeof nothing>)[]} */ (Object.keys(this.past))) {
      this.past[key] += this.now[key];
    }
    this.now = nothing();
  }

  /**
   * @param {string} reason
   * @param {boolean} tell
   */
  finish(reason, tell) {
    if (this.state === "ended") return;
    clearInterval(this.statsTimer);
    clearInterval(this.reportTimer);
    this.report();
    if (tell) this.send({ type: "bye", call_id: this.callId, reason });
    this.dropConnection();
    if (this.remoteVideo) this.remoteVideo.srcObject = null;
    this.sound.srcObject = null;
    this.become("ended", reason);
  }

  /**
   * @param {CallState} state
   * @param {string} [reason]
   */
  become(state, reason) {
    if (this.state === state) return;
    this.state = state;
    this.latest = { ...this.latest, state };
    this.onState(state, reason);
  }

  /** @returns {CallStats} */
  blank() {
    return {
      state: this.state, attempt: -1, frames: 0, fps: 0, width: 0, height: 0, videoS: 0, audioS: 0, concealedS: 0,
      concealedPct: 0, freezes: 0, freezeS: 0, audioLevel: 0, recvBps: 0, sendBps: 0, rttMs: 0, jitterBufferMs: 0,
      framesSent: 0, ownVideo: false, returnBps: 0, firstFrameMs: null,
    };
  }
}

/** @param {number} value */
function round(value) {
  return Math.round(value * 100) / 100;
}
