// @ts-check
// Which picture and which sound a rate carries, and how much a browser's way out carries: the twin of
// edge/media/ladder.py and edge/media/coarse.py, held to the same answers by tests/vectors/ladder.json.
// Pure: knows no page, no clock and no RTCPeerConnection. Names with underscores are those of the rules file.

/**
 * @typedef {object} Rung
 * @property {string} name
 * @property {number} at_bps
 * @property {number} width
 * @property {number} height
 * @property {number} fps_min
 * @property {number} fps_max
 * @property {number} audio_bps
 * @property {number} packet_ms
 * @property {number} red_packet_ms
 * @property {boolean} stills
 * @property {number} video_min_bps
 * @property {number} video_max_bps
 * @property {number} mtu_bytes
 * @property {number} feedback_bps
 * @property {number} feedback_ms
 *
 * @typedef {object} Rules ladder.json; meanings and units stand in edge/media/ladder.py
 * @property {number} version
 * @property {number} packet_overhead_bytes
 * @property {number} red_overhead_bytes
 * @property {number} up_hold_s
 * @property {number} up_hold_max_s
 * @property {number} up_margin
 * @property {number} red_on_loss
 * @property {number} red_off_loss
 * @property {number} sync_share
 * @property {number} sync_min_bps
 * @property {number} sync_max_bps
 * @property {number} still_min_bytes
 * @property {number} still_max_bytes
 * @property {number} still_every_s
 * @property {number} still_every_max_s
 * @property {number} notes_below_bps
 * @property {number} notes_after_s
 * @property {Rung[]} rungs
 *
 * @typedef {object} Allocation what the encoder is to do now
 * @property {string} rung
 * @property {number} width
 * @property {number} height
 * @property {number} fps
 * @property {number} video_bps payload; 0 for no picture
 * @property {number} audio_bps
 * @property {boolean} red
 * @property {number} mtu_bytes
 * @property {string} why Fluent message id
 * @property {number} audio_packet_ms
 * @property {number} still_every_s
 * @property {number} still_bytes
 * @property {number} pace_bps
 * @property {number} feedback_ms
 * @property {number} sync_bps
 * @property {boolean} notes
 */

const SLOWEST_PACE_BPS = 4_000;
const PACE_ROOM = 1.3;
const LEAST_VIDEO_BPS = 2_000;
const STEP = 1.1;
const BROWSER_FPS_MIN = 4;

/** @param {number} value @param {number} low @param {number} high */
const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

/** @param {number} bps */
const sane = (bps) => (Number.isFinite(bps) && bps > 0 ? bps : 0);

/**
 * IP bits per second of the sound of a rung, without a pause in it.
 * @param {Rules} rules
 * @param {Rung} rung
 * @param {boolean} red
 */
export function audioWireBps(rules, rung, red) {
  const packets = 1000 / (red ? rung.red_packet_ms : rung.packet_ms);
  const payloadBps = rung.audio_bps * (red ? 2 : 1);
  return Math.trunc(payloadBps + packets * 8 * (rules.packet_overhead_bytes + (red ? rules.red_overhead_bytes : 0)));
}

/** @param {Rules} rules @param {number} totalBps */
function syncBps(rules, totalBps) {
  return Math.trunc(clamp(totalBps * rules.sync_share, rules.sync_min_bps, rules.sync_max_bps));
}

/** @param {Rules} rules @param {Rung} rung @param {number} totalBps @param {boolean} red */
function leftBps(rules, rung, totalBps, red) {
  return totalBps - rung.feedback_bps - syncBps(rules, totalBps) - audioWireBps(rules, rung, red);
}

/** @param {Rung} rung @param {number} payloadBps */
function framesPerSecond(rung, payloadBps) {
  if (payloadBps < rung.video_min_bps) {
    return Math.max(Math.floor((rung.fps_min * payloadBps) / rung.video_min_bps), 1);
  }
  const spanBps = Math.max((rung.video_max_bps - rung.video_min_bps) / 2, 1);
  const share = clamp((payloadBps - rung.video_min_bps) / spanBps, 0, 1);
  return rung.fps_min + Math.floor((rung.fps_max - rung.fps_min) * share + 0.5);
}

/** @param {Rules} rules @param {Rung} rung @param {number} totalBps @param {boolean} red */
function videoPayloadBps(rules, rung, totalBps, red) {
  if (rung.video_max_bps === 0) return 0;
  const wireBps = leftBps(rules, rung, totalBps, red);
  const fullPackets = wireBps * (1 - rules.packet_overhead_bytes / (rung.mtu_bytes + rules.packet_overhead_bytes));
  const smallPackets = wireBps - rung.fps_min * rules.packet_overhead_bytes * 8;
  const fps = framesPerSecond(rung, Math.min(fullPackets, smallPackets));
  const payload = Math.min(fullPackets, wireBps - fps * rules.packet_overhead_bytes * 8, rung.video_max_bps);
  return payload >= LEAST_VIDEO_BPS ? Math.trunc(payload) : 0;
}

/** Remembers the rung and decides when to leave it. One per direction of a call. */
export class Ladder {
  /** @param {Rules} rules */
  constructor(rules) {
    this.rules = rules;
    this.place = 0;
    this.begun = false;
    this.red = true;
    /** @type {number|null} */
    this.goodSinceS = null;
    /** @type {number|null} */
    this.thinSinceS = null;
    this.climbedS = -Infinity;
    this.holdS = rules.up_hold_s;
  }

  /**
   * @param {number} rateBps estimated total rate
   * @param {number} nowS
   * @param {number|null} [loss] share of packets that the line itself loses; null: not known
   * @param {number} [sustained] what the link carries apart from a queue that is being drained
   * @returns {Allocation}
   */
  allocate(rateBps, nowS, loss = null, sustained = 0) {
    const { rules } = this;
    const totalBps = sane(rateBps);
    const sustainedBps = Math.max(sane(sustained), totalBps);
    let fitting = 0;
    rules.rungs.forEach((rung, place) => {
      if (rung.at_bps <= sustainedBps) fitting = place;
    });
    if (!this.begun) {
      this.begun = true;
      this.place = fitting;
    } else if (fitting < this.place) {
      if (nowS - this.climbedS < 2 * this.holdS) {
        this.holdS = Math.min(this.holdS * 2, rules.up_hold_max_s);
        this.climbedS = -Infinity; // one fall is blamed on it, not each step of the fall
      }
      this.place = fitting;
      this.goodSinceS = null;
    } else {
      this.climb(totalBps, nowS);
    }
    if (loss !== null && Number.isFinite(loss)) this.red = loss >= (this.red ? rules.red_off_loss : rules.red_on_loss);
    if (totalBps >= rules.notes_below_bps) this.thinSinceS = null;
    else this.thinSinceS ??= nowS;
    return this.allocation(rules.rungs[this.place], totalBps, nowS);
  }

  /** @param {Rung} rung @param {number} totalBps @param {number} nowS @returns {Allocation} */
  allocation(rung, totalBps, nowS) {
    const { rules } = this;
    const red = this.red && rung.red_packet_ms > 0;
    const left = leftBps(rules, rung, totalBps, red);
    const videoBps = videoPayloadBps(rules, rung, totalBps, red);
    const [everyS, stillBytes] = this.still(rung, totalBps, red);
    return {
      rung: rung.name,
      width: rung.width,
      height: rung.height,
      fps: videoBps ? framesPerSecond(rung, videoBps) : 0,
      video_bps: videoBps,
      audio_bps: rung.audio_bps,
      red,
      mtu_bytes: rung.mtu_bytes,
      why: this.why(rung),
      audio_packet_ms: red ? rung.red_packet_ms : rung.packet_ms,
      still_every_s: everyS,
      still_bytes: stillBytes,
      pace_bps: Math.trunc(Math.max(left * (rung.stills ? 1 : PACE_ROOM), SLOWEST_PACE_BPS)),
      feedback_ms: rung.feedback_ms,
      sync_bps: syncBps(rules, totalBps),
      notes: this.thinSinceS !== null && nowS - this.thinSinceS >= rules.notes_after_s,
    };
  }

  /** @param {Rung} rung @param {number} totalBps @param {boolean} red @returns {[number, number]} seconds, bytes */
  still(rung, totalBps, red) {
    const { rules } = this;
    if (!rung.stills) return [0, 0];
    const left = Math.max(leftBps(rules, rung, totalBps, red), 1) * 0.8;
    const everyS = clamp((rules.still_min_bytes * 8) / left, rules.still_every_s, rules.still_every_max_s);
    const bytes = clamp((left * everyS) / 8, rules.still_min_bytes, rules.still_max_bytes);
    return [Math.floor(everyS * 10 + 0.5) / 10, Math.trunc(bytes)];
  }

  /** @param {number} totalBps @param {number} nowS */
  climb(totalBps, nowS) {
    const { rules } = this;
    const next = rules.rungs[this.place + 1];
    if (!next || totalBps < next.at_bps * rules.up_margin) {
      this.goodSinceS = null;
      if (nowS - this.climbedS > 60) this.holdS = rules.up_hold_s;
      return;
    }
    this.goodSinceS ??= nowS;
    const ample = totalBps > next.at_bps * 1.6 || next.video_max_bps === 0;
    if (nowS - this.goodSinceS >= (ample ? this.holdS / 4 : this.holdS)) {
      this.place += 1;
      this.climbedS = nowS;
      this.goodSinceS = null;
    }
  }

  /** @param {Rung} rung */
  why(rung) {
    if (rung === this.rules.rungs[this.rules.rungs.length - 1]) return "call-why-full";
    if (rung.video_max_bps) return "call-why-link-rate";
    return rung.stills ? "call-why-stills" : "call-why-audio-only";
  }
}

/**
 * A browser's sound stays at one packet length for a call, and its encoder makes no picture of a few hundred bytes: the
 * rules with that length for every rung, and without moving pictures below four a second.
 * @param {Rules} rules
 * @param {number} [packetMs]
 * @returns {Rules}
 */
export function browserRules(rules, packetMs = 60) {
  const rungs = rules.rungs.map((rung) => ({
    ...rung, packet_ms: packetMs, red_packet_ms: rung.red_packet_ms ? packetMs : 0, stills: false,
    video_max_bps: rung.fps_min < BROWSER_FPS_MIN ? 0 : rung.video_max_bps,
  }));
  return { ...rules, rungs };
}

/**
 * What the senders of an RTCPeerConnection are told for an allocation.
 * @param {Allocation} allocation
 * @param {number} sourceHeight of the camera's picture
 * @returns {{video: {active: boolean, maxBitrate?: number, maxFramerate?: number, scaleResolutionDownBy?: number},
 *   audio: {maxBitrate: number}, red: boolean}}
 */
export function senderPlan(allocation, sourceHeight) {
  const audio = { maxBitrate: allocation.audio_bps };
  if (allocation.video_bps === 0) return { video: { active: false }, audio, red: allocation.red };
  // Steps of a tenth: an encoder that is told another rate every second never settles.
  const steps = Math.floor(Math.log(allocation.video_bps) / Math.log(STEP));
  return {
    video: {
      active: true,
      maxBitrate: Math.max(Math.round(STEP ** steps), LEAST_VIDEO_BPS),
      maxFramerate: allocation.fps,
      scaleResolutionDownBy: Math.max(sourceHeight / allocation.height, 1),
    },
    audio,
    red: allocation.red,
  };
}

const FLOOR_BPS = 12_000;
const CEILING_BPS = 2_500_000;
const START_BPS = 38_000;
const QUEUE_S = 0.14;
const PATIENCE_S = 3;
const HEAVY_LOSS = 0.06;
const LONGEST_STEP_S = 2;

/**
 * @typedef {object} Second what was seen in about a second; null: the browser does not tell
 * @property {number} sent_bps IP bits per second that left
 * @property {number|null} [rtt_s]
 * @property {number|null} [lost] share of our packets that the other side missed, from its newest report
 * @property {number|null} [own_bps] the browser's own estimate
 * @property {boolean} [heard] whether anything came from the other side
 */

/** Estimates the total rate in IP bits per second from what a page can see. */
export class Coarse {
  /** @param {number} [startBps] */
  constructor(startBps = 0) {
    this.rateBps = clamp(sane(startBps) || START_BPS, FLOOR_BPS, CEILING_BPS);
    this.lineLoss = 0.02;
    this.queueS = 0;
    this.lost = this.lineLoss;
    this.knownBps = 0;
    this.leastRttS = 0;
    this.draining = false;
    this.waitS = 0;
    this.unseenS = 0;
    this.silentS = 0;
    this.rememberedBps = 0;
  }

  /**
   * @param {Second} seen
   * @param {number} elapsed seconds since the last call
   * @returns {number} the estimate
   */
  take(seen, elapsed) {
    if (!Number.isFinite(elapsed) || elapsed <= 0 || !(Number.isFinite(seen.sent_bps) && seen.sent_bps >= 0)) {
      return this.rateBps;
    }
    const elapsedS = Math.min(elapsed, 5);
    if (this.isSilent(seen, elapsedS)) return this.rateBps;
    this.noteRtt(seen, elapsedS);
    const known = (seen.rtt_s ?? null) !== null;
    const told = seen.lost ?? -1;
    const lost = told >= 0 && told <= 1 ? told : null;
    if (lost !== null) this.lost += (lost - this.lost) * 0.3; // a second has few packets
    this.waitS -= elapsedS;
    if (this.waitS <= 0) {
      if (this.queueS > QUEUE_S) this.cut(seen, clamp(1 - 1.5 * this.queueS, 0.4, 0.8));
      else if (this.lost > 3 * this.lineLoss + HEAVY_LOSS) {
        this.cut(seen, 0.85);
        this.lost = this.lineLoss;
      } else if (this.draining && this.queueS <= QUEUE_S / 2) {
        this.draining = false;
        this.rateBps = Math.max(this.rateBps, 0.9 * this.knownBps);
      } else if (known) this.grow(seen, Math.min(this.unseenS + elapsedS, LONGEST_STEP_S));
    }
    this.unseenS = known ? 0 : this.unseenS + elapsedS;
    if (lost !== null && this.queueS <= QUEUE_S / 2) {
      this.lineLoss += (Math.min(lost, 0.15) - this.lineLoss) * Math.min(elapsedS / 10, 1);
    }
    return this.rateBps;
  }

  /** @param {Second} seen @param {number} elapsedS */
  isSilent(seen, elapsedS) {
    if (seen.heard ?? true) {
      if (this.rememberedBps) {
        this.rateBps = Math.max(this.rateBps, 0.9 * this.rememberedBps);
        this.rememberedBps = 0;
        this.waitS = 2;
        this.queueS = 0;
      }
      this.silentS = 0;
      return false;
    }
    this.silentS += elapsedS;
    if (this.silentS >= PATIENCE_S) {
      this.rememberedBps ||= this.rateBps;
      this.rateBps = Math.max(this.rateBps / 2, FLOOR_BPS);
    }
    return true;
  }

  /** @param {Second} seen @param {number} elapsedS */
  noteRtt(seen, elapsedS) {
    const rttS = seen.rtt_s ?? 0;
    if (!(rttS > 0 && rttS < 30)) return;
    this.leastRttS = this.leastRttS ? Math.min(rttS, this.leastRttS + 0.002 * elapsedS) : rttS;
    this.queueS = Math.max(rttS - this.leastRttS, 0);
  }

  /** @param {Second} seen @param {number} share */
  cut(seen, share) {
    const reachedBps = Math.min(Math.max(seen.sent_bps, 0.6 * this.rateBps), this.rateBps);
    this.knownBps = Math.max(reachedBps, FLOOR_BPS);
    this.rateBps = Math.max(this.knownBps * share, FLOOR_BPS);
    this.draining = true;
    this.waitS = 1 + this.leastRttS;
  }

  /** @param {Second} seen @param {number} elapsedS */
  grow(seen, elapsedS) {
    let perSecond = 0.025;
    if (!this.knownBps) perSecond = 0.2;
    else if (this.rateBps < 0.85 * this.knownBps) perSecond = 0.15;
    const grownBps = this.rateBps * (1 + perSecond * elapsedS);
    // What was never sent says nothing: do not run ahead of it.
    if (grownBps <= seen.sent_bps * 1.4 + 10_000) this.rateBps = Math.min(grownBps, CEILING_BPS);
    const ownBps = sane(seen.own_bps ?? 0);
    if (ownBps) this.rateBps = Math.max(Math.min(this.rateBps, 1.25 * ownBps + 20_000), FLOOR_BPS);
  }
}
