// @ts-check
// Whether the doctor's own picture goes out. The patient has to hear her; a picture on a thin return path takes that
// from both: from the sound, and from the feedback that steers the patient's picture. Pure: no page, no clock.

/** At or below this the picture is off, bits per second of the way out (facts/media-baseline.md). */
export const PICTURE_ABOVE_BPS = 64_000;
/** What has to be seen before it is switched on. */
const SWITCH_ON_BPS = 85_000;
const FIRST_WAIT_S = 5;
const LONGEST_WAIT_S = 60;
/** A picture that was just switched on has this long to show what the way carries. */
const TRIAL_S = 15;

/**
 * @typedef {object} Ways
 * @property {number} estimateBps of the way out
 * @property {number} heardBps bits per second that came in
 * @property {boolean} full the way out is full at the moment
 * @property {boolean} silent nothing comes from the other side
 */

export class OwnPicture {
  constructor() {
    this.sending = false;
    this.goodS = 0;
    this.sentS = 0;
    this.waitS = FIRST_WAIT_S;
  }

  /**
   * Called about once a second. Sound alone never shows how much more the way out would carry, so what comes in is
   * taken for a sign: a link that brings a picture can carry one, and when it cannot, the estimate tells.
   * @param {Ways} ways
   * @param {number} elapsedS
   * @returns {boolean}
   */
  allows({ estimateBps, heardBps, full, silent }, elapsedS) {
    if (this.sending) {
      this.sentS += elapsedS;
      const thin = estimateBps <= PICTURE_ABOVE_BPS && (full || this.sentS > TRIAL_S);
      if (thin || silent) this.off(thin && this.sentS < LONGEST_WAIT_S);
      return this.sending;
    }
    if (silent || heardBps <= SWITCH_ON_BPS) this.goodS = 0;
    else this.goodS += elapsedS;
    if (this.goodS >= this.waitS) {
      this.sending = true;
      this.sentS = 0;
    }
    return this.sending;
  }

  /** @param {boolean} failed it should not have been tried so soon */
  off(failed) {
    this.sending = false;
    this.goodS = 0;
    this.waitS = failed ? Math.min(this.waitS * 2, LONGEST_WAIT_S) : FIRST_WAIT_S;
  }
}
