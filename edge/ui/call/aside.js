// @ts-check
// What passes beside sound and picture on the doctor's page: the browser twin of edge/media/aside.py.
// Knows one data channel at a time; gives stills as Blobs and messages as objects; knows no page.

export const TEXT_MAX_CHARS = 2048;
const HEADER_BYTES = 8;
const PIECES_MAX = 67;
const STILL_MAX_BYTES = 60_000;

/**
 * @typedef {object} Still
 * @property {Blob} picture
 * @property {number} takenAt `performance.now()` of the moment when the node took it, without the way it travelled
 * @typedef {{type: string, [key: string]: unknown}} AsideMessage
 */

export class Aside {
  /**
   * @param {object} options
   * @param {(still: Still) => void} options.onStill
   * @param {(message: AsideMessage) => void} options.onMessage
   * @param {(open: boolean) => void} options.onOpen
   */
  constructor({ onStill, onMessage, onOpen }) {
    this.onStill = onStill;
    this.onMessage = onMessage;
    this.onOpen = onOpen;
    /** @type {RTCDataChannel|null} */
    this.channel = null;
    this.number = -1;
    this.takenAt = 0;
    /** @type {(Uint8Array<ArrayBuffer>|undefined)[]} */
    this.parts = [];
  }

  /** @param {RTCDataChannel} channel the node's; it takes the place of the one before */
  attach(channel) {
    this.channel = channel;
    channel.binaryType = "arraybuffer";
    channel.addEventListener("message", ({ data }) => {
      if (channel !== this.channel) return;
      if (typeof data === "string") this.take(data);
      else if (data instanceof ArrayBuffer) this.piece(data);
    });
    const changed = () => channel === this.channel && this.onOpen(channel.readyState === "open");
    for (const name of ["open", "close"]) channel.addEventListener(name, changed);
    changed();
  }

  /** @returns {boolean} */
  get isOpen() {
    return this.channel?.readyState === "open";
  }

  /** @param {AsideMessage} message @returns {boolean} whether it could be sent */
  send(message) {
    if (!this.channel || !this.isOpen) return false;
    this.channel.send(JSON.stringify(message));
    return true;
  }

  /** @param {string} text */
  take(text) {
    if (text.length > TEXT_MAX_CHARS) return;
    try {
      const message = JSON.parse(text);
      if (message && typeof message.type === "string") this.onMessage(message);
    } catch {
      // no message of ours: a later node may say what this page does not know
    }
  }

  /** @param {ArrayBuffer} data a piece of a small still: "S", version, number, place, count, age in 10 ms, content */
  piece(data) {
    const view = new DataView(data);
    if (data.byteLength <= HEADER_BYTES || view.getUint8(0) !== 0x53 || view.getUint8(1) !== 1) return;
    const number = view.getUint16(2), place = view.getUint8(4), count = view.getUint8(5);
    if (count < 1 || count > PIECES_MAX || place >= count || data.byteLength * count > STILL_MAX_BYTES * 2) return;
    if (number !== this.number || this.parts.length !== count) {
      this.number = number;
      this.parts = Array.from({ length: count });
      this.takenAt = performance.now() - view.getUint16(6) * 10;
    }
    this.parts[place] = new Uint8Array(data, HEADER_BYTES);
    const whole = this.parts.filter((part) => part !== undefined);
    if (whole.length !== count) return;
    this.onStill({ picture: new Blob(whole, { type: "image/webp" }), takenAt: this.takenAt });
    this.number = -1;
  }

  close() {
    this.channel = null;
    this.onOpen(false);
  }
}
