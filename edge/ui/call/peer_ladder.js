// @ts-check
// The ladder of a browser's way out: looks at one RTCPeerConnection once a second, estimates what that way carries, and
// tells its senders. Knows WebRTC; knows no page, no signalling and no hub.
//
// Between two browsers the other side's description goes through steerRemote() before it is set; a node's description
// says the same by itself. Then new PeerLadder({pc, rules}).start().

import { browserRules, Coarse, Ladder, senderPlan } from "./ladder.js";

/**
 * @typedef {import("./ladder.js").Rules} Rules
 * @typedef {import("./ladder.js").Allocation} Allocation
 * @typedef {object} PeerState what the way out carries now, for the one honest line of the page
 * @property {string} rung
 * @property {string} why Fluent message id
 * @property {boolean} notes offer a voice note: sound has not been carried for a while
 * @property {boolean} ownVideo whether the own picture is sent
 * @property {number} estimateBps
 * @property {number} heardBps bits per second that came in, in the last second
 * @property {boolean} full the way out is full at the moment
 * @property {boolean} silent nothing comes from the other side
 * @property {number} rttMs
 */

export const TICK_MS = 1000;
/** One packet of sound: as the node's, for the same reason. A browser keeps it for the whole call. */
const PACKET_MS = 60;
/** IPv4 (20) and UDP (8) of each packet; the browser counts what is inside. */
const IP_BYTES = 28;
const LOWEST_JITTER_TARGET_MS = 150;
const HIGHEST_JITTER_TARGET_MS = 1500;
/** Room behind half a round trip: a repeated frame comes one packet later, and waits behind a picture. */
const JITTER_ROOM_MS = 160;
/** A round trip is told every five seconds: so long a fall of the browser's own estimate counts. */
const OWN_SECONDS = 6;
const OWN_FALL = 0.9;

/** @returns {Promise<Rules>} */
export async function loadRules() {
  const answer = await fetch(new URL("./ladder.json", import.meta.url));
  if (!answer.ok) throw new Error(`ladder.json: ${answer.status}`);
  return answer.json();
}

/**
 * The other side's description, changed so that this browser sends as a thin link needs it: sound of 60 ms a packet,
 * each repeating the one before (RFC 2198), nothing in pauses, wideband; a picture that may begin and stay small.
 * Nothing is asked of the other side: it does the same with ours.
 * @param {string} sdp
 * @returns {string}
 */
export function steerRemote(sdp) {
  return sdp.replace(/\r\n/g, "\n").split(/^(?=m=)/m).map((section) => {
    if (section.startsWith("m=audio")) return steerSound(section);
    return section.startsWith("m=video") ? steerPicture(section) : section;
  }).join("").replace(/\n/g, "\r\n");
}

/** @param {string} section */
function steerSound(section) {
  const opus = /^a=rtpmap:(\d+) opus\/48000/m.exec(section)?.[1];
  const red = /^a=rtpmap:(\d+) red\/48000/m.exec(section)?.[1];
  if (!opus) return section;
  const lines = section.split("\n").filter((line) => line && !/^a=(ptime|maxptime):/.test(line));
  const [kind, port, protocol, ...types] = lines[0].split(" ");
  const first = [red, opus].filter((type) => type !== undefined && types.includes(type));
  lines[0] = [kind, port, protocol, ...first, ...types.filter((type) => !first.includes(type))].join(" ");
  const settings = "usedtx=1;useinbandfec=0;maxplaybackrate=16000;sprop-maxcapturerate=16000;stereo=0";
  const place = lines.findIndex((line) => line.startsWith(`a=fmtp:${opus} `));
  if (place >= 0) {
    const kept = lines[place].slice(`a=fmtp:${opus} `.length).split(";").map((one) => one.trim())
      .filter((one) => one && !/^(usedtx|useinbandfec|maxplaybackrate|sprop-maxcapturerate|stereo|minptime)=/.test(one));
    lines[place] = `a=fmtp:${opus} ${[...kept, settings].join(";")}`;
  } else lines.push(`a=fmtp:${opus} ${settings}`);
  lines.push(`a=ptime:${PACKET_MS}`, `a=maxptime:${PACKET_MS}`);
  return `${lines.join("\n")}\n`;
}

/** Chromium sends no picture below 30 kbit/s and begins at 300 unless it is told. @param {string} section */
function steerPicture(section) {
  const settings = "x-google-min-bitrate=4;x-google-start-bitrate=20";
  const lines = section.split("\n").filter(Boolean);
  for (const type of [...section.matchAll(/^a=rtpmap:(\d+) (?:VP8|VP9|H264|AV1)\/90000/gm)].map((found) => found[1])) {
    const place = lines.findIndex((line) => line.startsWith(`a=fmtp:${type} `));
    if (place >= 0) lines[place] += `;${settings}`;
    else lines.push(`a=fmtp:${type} ${settings}`);
  }
  return `${lines.join("\n")}\n`;
}

/** What a connection's counters said last time. */
const nothing = () => ({
  atMs: 0, bytes: 0, packets: 0, received: 0, receivedBytes: 0, responses: 0, sent: new Map(), reports: new Map(),
});

export class PeerLadder {
  /**
   * @param {object} options
   * @param {RTCPeerConnection} options.pc
   * @param {Rules} options.rules of loadRules()
   * @param {number} [options.startBps] what a pre-flight or an earlier attempt found
   * @param {(state: PeerState) => void} [options.onState] once a second
   * @param {(state: PeerState, elapsedS: number) => boolean} [options.allowsPicture] once a second; false keeps the own picture off
   * @param {boolean} [options.aims] whether to set the jitter buffers of what comes in
   */
  constructor({ pc, rules, startBps = 0, onState = () => {}, allowsPicture, aims = true }) {
    this.pc = pc;
    this.onState = onState;
    this.allowsPicture = allowsPicture;
    this.aims = aims;
    this.picture = !allowsPicture;
    this.heardBps = 0;
    /** The browser's own estimates of the last seconds. @type {number[]} */
    this.own = [];
    /** Whether this browser lets the format of its sound change without a new description. */
    this.choosesCodec = true;
    this.coarse = new Coarse(startBps);
    this.ladder = new Ladder(browserRules(rules, PACKET_MS));
    this.before = nothing();
    this.told = "";
    this.rttMs = 0;
    this.rttFloorMs = Infinity;
    /** @type {ReturnType<typeof setInterval>|undefined} */
    this.timer = undefined;
    this.allocation = this.ladder.allocate(this.coarse.rateBps, performance.now() / 1000);
  }

  /** Begin; before the first picture leaves, the senders are told where to start. */
  start() {
    void this.steer();
    this.timer = setInterval(() => void this.tick(), TICK_MS);
  }

  stop() {
    clearInterval(this.timer);
  }

  /** A track was given or exchanged: its sender has heard nothing yet. */
  tellAgain() {
    this.told = "";
  }

  /** Look once. @returns {Promise<void>} */
  async tick() {
    if (this.pc.connectionState === "closed") return this.stop();
    if (this.pc.connectionState !== "connecting" && this.pc.connectionState !== "new") {
      const nowMs = performance.now();
      const seen = this.read(await this.pc.getStats(), nowMs);
      if (seen) this.coarse.take(seen.second, seen.elapsedS);
      this.allocation = this.ladder.allocate(this.coarse.rateBps, nowMs / 1000, this.coarse.lineLoss);
      if (seen && this.allowsPicture) this.switchPicture(this.allowsPicture(this.state(), seen.elapsedS));
      if (this.aims) this.aimJitterBuffer();
    }
    await this.steer();
    this.onState(this.state());
    return undefined;
  }

  /** @param {boolean} on */
  switchPicture(on) {
    if (on && !this.picture) this.coarse.knownBps = 0; // what sound alone once filled says little: look for it anew
    this.picture = on;
  }

  /** @returns {PeerState} */
  state() {
    return {
      rung: this.allocation.rung,
      why: this.coarse.rememberedBps ? "call-why-no-link" : this.allocation.why,
      notes: this.allocation.notes,
      ownVideo: this.picture && this.allocation.video_bps > 0,
      estimateBps: Math.round(this.coarse.rateBps),
      heardBps: Math.round(this.heardBps),
      full: this.coarse.draining,
      silent: this.coarse.rememberedBps > 0,
      rttMs: Math.round(this.rttMs),
    };
  }

  /**
   * What happened since the last look; null at the first.
   * @param {RTCStatsReport} report
   * @param {number} nowMs
   * @returns {{second: import("./ladder.js").Second, elapsedS: number}|null}
   */
  read(report, nowMs) {
    const last = this.before;
    const now = { ...nothing(), atMs: nowMs };
    /** @type {number[]} */
    const rtts = [];
    /** @type {number|null} */
    let ownBps = null;
    let lost = 0, counted = 0;
    report.forEach((entry) => {
      if (entry.type === "outbound-rtp") now.sent.set(entry.id, entry.packetsSent ?? 0);
    });
    report.forEach((entry) => {
      if (entry.type === "candidate-pair" && entry.nominated && entry.state === "succeeded") {
        now.bytes += entry.bytesSent ?? 0;
        now.packets += entry.packetsSent ?? 0;
        now.received += entry.packetsReceived ?? entry.bytesReceived ?? 0;
        now.receivedBytes += entry.bytesReceived ?? 0;
        now.responses += entry.responsesReceived ?? 0;
        ownBps = entry.availableOutgoingBitrate ?? ownBps;
        if (now.responses > last.responses && entry.currentRoundTripTime > 0) rtts.push(entry.currentRoundTripTime);
      } else if (entry.type === "remote-inbound-rtp") {
        const before = last.reports.get(entry.id) ?? { told: 0, lost: 0, sent: 0 };
        const told = entry.roundTripTimeMeasurements ?? 0;
        if (told === before.told) {
          now.reports.set(entry.id, before);
          return;
        }
        if (entry.roundTripTime > 0) rtts.push(entry.roundTripTime);
        // Not fractionLost: of the few packets since a node's last report it is nearly always none.
        const seen = { told, lost: entry.packetsLost ?? 0, sent: now.sent.get(entry.localId) ?? 0 };
        now.reports.set(entry.id, seen);
        const packets = Math.max(seen.sent - before.sent, 1);
        lost += Math.min(Math.max(seen.lost - before.lost, 0), packets);
        counted += packets;
      }
    });
    this.before = now;
    const elapsedS = (nowMs - last.atMs) / 1000;
    if (!last.atMs || elapsedS <= 0 || now.bytes < last.bytes) return null;
    const rttS = rtts.length ? Math.min(...rtts) : null;
    if (rttS !== null) {
      this.rttMs = rttS * 1000;
      this.rttFloorMs = Math.min(this.rttFloorMs, this.rttMs);
    }
    const ours = this.isOurQueue(ownBps);
    this.heardBps = (Math.max(now.receivedBytes - last.receivedBytes, 0) * 8) / elapsedS;
    const bytes = now.bytes - last.bytes + (now.packets - last.packets) * IP_BYTES;
    return {
      second: {
        sent_bps: (bytes * 8) / elapsedS, rtt_s: rttS === null || ours ? rttS : Math.min(rttS, this.rttFloorMs / 1000), lost: counted ? lost / counted : null, own_bps: ownBps,
        heard: now.received > last.received,
      },
      elapsedS,
    };
  }

  /**
   * A round trip holds the other side's queue, too. The browser's own estimate knows one way only: while that does not
   * fall, what waits does not wait on our way.
   * @param {number|null} ownBps
   */
  isOurQueue(ownBps) {
    if (ownBps === null) return true;
    const most = Math.max(...this.own, 0);
    this.own = [...this.own, ownBps].slice(-OWN_SECONDS);
    return ownBps < most * OWN_FALL;
  }

  /** Tell the senders what changed. A sender that refuses, before negotiation is done, is told again next time. */
  async steer() {
    const video = this.pc.getSenders().find((sender) => sender.track?.kind === "video");
    const height = video?.track?.getSettings().height ?? 480;
    const { video_bps } = this.allocation;
    const plan = senderPlan({ ...this.allocation, video_bps: this.picture ? video_bps : 0 }, height);
    const wanted = JSON.stringify(plan);
    if (wanted === this.told) return;
    this.told = wanted;
    for (const sender of this.pc.getSenders()) {
      const parameters = sender.getParameters();
      /** @type {(RTCRtpEncodingParameters & {codec?: RTCRtpCodec})|undefined} */
      const encoding = parameters.encodings?.[0];
      if (!encoding || !sender.track) continue;
      Object.assign(encoding, sender.track.kind === "video" ? plan.video : plan.audio);
      if (sender.track.kind === "audio" && this.choosesCodec) Object.assign(encoding, chosenSound(parameters.codecs, plan.red));
      await sender.setParameters(parameters).catch(() => {
        this.told = "";
        if (encoding.codec) this.choosesCodec = false;
      });
    }
  }

  aimJitterBuffer() {
    if (!Number.isFinite(this.rttFloorMs)) return;
    const roomMs = this.rttFloorMs / 2 + JITTER_ROOM_MS;
    const targetMs = Math.min(Math.max(roomMs, LOWEST_JITTER_TARGET_MS), HIGHEST_JITTER_TARGET_MS);
    for (const receiver of this.pc.getReceivers()) {
      if ("jitterBufferTarget" in receiver) receiver.jitterBufferTarget = targetMs;
    }
  }
}

/**
 * Whether each packet of sound repeats the one before (W3C webrtc-extensions, `codec` of an encoding), where both were agreed on.
 * @param {RTCRtpCodec[]|undefined} agreed
 * @param {boolean} red
 * @returns {{codec?: RTCRtpCodec}}
 */
function chosenSound(agreed, red) {
  const of = (/** @type {string} */ name) => agreed?.find((codec) => codec.mimeType.toLowerCase() === `audio/${name}`);
  const plain = of("opus"), repeated = of("red");
  return plain && repeated ? { codec: red ? repeated : plain } : {};
}
