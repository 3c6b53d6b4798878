// @ts-check
// The server's push channel: one WebSocket, opened again whenever it falls, with what it says
// handed to listeners. What was missed meanwhile is fetched anew by those who are told "open". A
// channel that the server closed because the session is over is not opened again. One that has said
// nothing for long, not even that it beats, is dead though no side closed it: it is given up.
import { signedOut } from "./http.js";

const SESSION_OVER = 1008;
/** The server says something every 15 s at least. */
const SILENT_MS = 40_000;
const LOOK_MS = 5_000;

/** @typedef {{type: string, [key: string]: any}} LiveMessage */

export class Live {
  /**
   * @param {string} path
   * @param {(message: LiveMessage) => void} onMessage receives `{type: "open"}` after every (re)connect
   */
  constructor(path, onMessage) {
    this.path = path;
    this.onMessage = onMessage;
    this.closed = false;
    this.wait_ms = 500;
    /** @type {WebSocket|null} */
    this.socket = null;
    /** @type {LiveMessage[]} */
    this.unsent = [];
    this.timer = 0;
    this.heard_ms = 0;
    this.beats = false;
    this.watch = window.setInterval(() => this.look(), LOOK_MS);
    this.open();
  }

  open() {
    const scheme = location.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(`${scheme}//${location.host}${this.path}`);
    this.socket = socket;
    this.beats = false;
    socket.onopen = () => {
      this.wait_ms = 500;
      for (const message of this.unsent.splice(0)) socket.send(JSON.stringify(message));
      this.onMessage({ type: "open" });
    };
    socket.onmessage = (event) => {
      this.heard_ms = performance.now();
      let message;
      try {
        message = JSON.parse(event.data);
      } catch {
        return;
      }
      if (message?.type === "beat") this.beats = true;
      else if (message && typeof message.type === "string") this.onMessage(message);
    };
    socket.onclose = ({ code }) => this.fell(code);
  }

  /** @param {number} code */
  fell(code) {
    if (this.closed) return;
    this.onMessage({ type: "closed" });
    if (code === SESSION_OVER) {
      signedOut.value += 1;
      return;
    }
    this.timer = window.setTimeout(() => this.open(), this.wait_ms);
    this.wait_ms = Math.min(this.wait_ms * 2, 8000);
  }

  /** Give up a channel that beat and fell silent; its own end would come minutes later or never. */
  look() {
    const { socket } = this;
    if (!this.beats || socket?.readyState !== WebSocket.OPEN || performance.now() - this.heard_ms < SILENT_MS) return;
    this.beats = false;
    socket.onclose = socket.onmessage = null;
    socket.close();
    this.fell(0);
  }

  /** Send, or keep until the channel is open again. @param {LiveMessage} message */
  send(message) {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
    else if (this.unsent.length < 200) this.unsent.push(message);
  }

  close() {
    this.closed = true;
    clearInterval(this.watch);
    clearTimeout(this.timer);
    this.socket?.close();
  }
}
