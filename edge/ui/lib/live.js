// @ts-check
// The server's push channel: one WebSocket, opened again whenever it falls, with what it says
// handed to listeners. What was missed meanwhile is fetched anew by those who are told "open". A
// channel that the server closed because the session is over is not opened again.
import { signedOut } from "./http.js";

const SESSION_OVER = 1008;

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
    this.open();
  }

  open() {
    const scheme = location.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(`${scheme}//${location.host}${this.path}`);
    this.socket = socket;
    socket.onopen = () => {
      this.wait_ms = 500;
      for (const message of this.unsent.splice(0)) socket.send(JSON.stringify(message));
      this.onMessage({ type: "open" });
    };
    socket.onmessage = (event) => {
      let message;
      try {
        message = JSON.parse(event.data);
      } catch {
        return;
      }
      if (message && typeof message.type === "string") this.onMessage(message);
    };
    socket.onclose = ({ code }) => {
      if (this.closed) return;
      this.onMessage({ type: "closed" });
      if (code === SESSION_OVER) {
        signedOut.value += 1;
        return;
      }
      this.timer = window.setTimeout(() => this.open(), this.wait_ms);
      this.wait_ms = Math.min(this.wait_ms * 2, 8000);
    };
  }

  /** Send, or keep until the channel is open again. @param {LiveMessage} message */
  send(message) {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
    else if (this.unsent.length < 200) this.unsent.push(message);
  }

  close() {
    this.closed = true;
    clearTimeout(this.timer);
    this.socket?.close();
  }
}
