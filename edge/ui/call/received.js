// @ts-check
// What one side of a call received, second by second, over changes of the connection. Knows getStats(); knows no page.

/** Mean square of a second of sound that somebody can hear: -60 dBFS. */
const AUDIBLE = 1e-6;
const SAMPLES_A_SECOND = 48_000;

const nothing = () => ({ frames: 0, freezes: 0, freezeS: 0, samples: 0, concealed: 0, silent: 0, energy: 0, durationS: 0 });

export class Received {
  constructor() {
    /** Of connections that are closed. */
    this.past = nothing();
    this.now = nothing();
    this.videoS = 0;
    this.audible = false;
    /** Frames shown in the last second. */
    this.fps = 0;
    /** Whether any sound came in the last second. */
    this.sound = false;
  }

  /** @param {RTCStatsReport} report @param {number} elapsedS since the last look */
  take(report, elapsedS) {
    const before = this.now;
    const seen = nothing();
    report.forEach((entry) => {
      if (entry.type !== "inbound-rtp") return;
      if (entry.kind === "video") {
        seen.frames += entry.framesDecoded ?? 0;
        seen.freezes += entry.freezeCount ?? 0;
        seen.freezeS += entry.totalFreezesDuration ?? 0;
      } else {
        seen.samples += entry.totalSamplesReceived ?? 0;
        seen.concealed += entry.concealedSamples ?? 0;
        seen.silent += entry.silentConcealedSamples ?? 0;
        seen.energy += entry.totalAudioEnergy ?? 0;
        seen.durationS += entry.totalSamplesDuration ?? 0;
      }
    });
    this.now = seen;
    const frames = Math.max(seen.frames - before.frames, 0);
    this.fps = frames / Math.max(elapsedS, 0.1);
    if (frames > 0) this.videoS += Math.min(elapsedS, 2);
    // What the browser counts as received includes what it made up (W3C webrtc-stats, concealedSamples).
    this.sound = seen.samples - seen.concealed > before.samples - before.concealed;
    const soundS = seen.durationS - before.durationS;
    if (this.sound && soundS > 0 && (seen.energy - before.energy) / soundS > AUDIBLE) this.audible = true;
  }

  /** The connection is over; the next one counts from zero. */
  restart() {
    for (const key of /** @type {(keyof ReturnType<typeof nothing>)[]} */ (Object.keys(this.past))) this.past[key] += this.now[key];
    this.now = nothing();
  }

  /** As the signal `report` has it. */
  figures() {
    const total = (/** @type {keyof ReturnType<typeof nothing>} */ key) => this.past[key] + this.now[key];
    const audio_s = this.audible ? Math.max(total("samples") - total("concealed"), 0) / SAMPLES_A_SECOND : 0;
    const frames = total("frames");
    return {
      video_s: round(this.videoS), audio_s: round(audio_s), frames, freezes: total("freezes"), freeze_s: round(total("freezeS")),
      concealed_s: round(Math.max(total("concealed") - total("silent"), 0) / SAMPLES_A_SECOND),
      mode: this.videoS > audio_s / 2 && frames > 0 ? "video" : audio_s > 0 ? "audio" : "text",
    };
  }
}

/** @param {number} value */
const round = (value) => Math.round(value * 100) / 100;
