// @ts-check
// The tablet's end of the LAN leg: the doctor's picture and sound come in, camera and microphone
// go out when the node has no camera of its own. Knows one function that posts an offer.

/** @typedef {"connecting"|"connected"|"interrupted"|"ended"} LegState */

const RETRY_MS = 1500;
const GATHER_MS = 1000;
const PHOTO_MS = 5000;

export class TabletCall {
  /**
   * @param {object} options
   * @param {(offerSdp: string) => Promise<string>} options.post gives the answer's SDP; a rejection is tried again
   * @param {HTMLVideoElement|null} options.remoteVideo
   * @param {boolean} [options.useCamera] send this tablet's camera and microphone (the node's camera is "tablet")
   * @param {(state: LegState, reason?: string) => void} [options.onState]
   */
  constructor({ post, remoteVideo, useCamera = false, onState }) {
    this.post = post;
    this.remoteVideo = remoteVideo;
    /** An element of its own: a video element keeps the sound back until its first picture has come. */
    this.sound = new Audio();
    this.useCamera = useCamera;
    this.onState = onState ?? (() => {});
    /** @type {RTCPeerConnection|null} */
    this.pc = null;
    /** @type {MediaStream|null} */
    this.localStream = null;
    /** @type {LegState|""} */
    this.state = "";
    this.generation = 0;
    /** @type {ReturnType<typeof setTimeout>|undefined} */
    this.retryTimer = undefined;
  }

  /** Open the leg; keeps trying until {@link close}. Rejects only when the camera is refused. */
  async start() {
    if (this.useCamera && !this.localStream) {
      this.localStream = await navigator.mediaDevices.getUserMedia({
        video: { width: { ideal: 640 }, height: { ideal: 480 }, frameRate: { max: 24 } },
        audio: { echoCancellation: true, noiseSuppression: true, autoGainControl: true },
      });
    }
    await this.restart();
  }

  /** Open the leg anew: after a new attempt of the call, or when it was lost. */
  async restart() {
    if (this.state === "ended") return;
    clearTimeout(this.retryTimer);
    const generation = ++this.generation;
    this.pc?.close();
    this.become("connecting");
    const pc = new RTCPeerConnection({ bundlePolicy: "max-bundle" });
    this.pc = pc;
    pc.addEventListener("track", (event) => {
      const element = event.track.kind === "audio" ? this.sound : this.remoteVideo;
      if (!element) return;
      element.srcObject = new MediaStream([event.track]);
      element.play().catch(() => {
        // Plays as soon as the page was touched.
      });
    });
    pc.addEventListener("connectionstatechange", () => {
      if (generation !== this.generation) return;
      if (pc.connectionState === "connected") this.become("connected");
      else if (pc.connectionState === "disconnected" || pc.connectionState === "failed") this.retry();
    });
    for (const kind of ["audio", "video"]) {
      const track = this.localStream?.getTracks().find((one) => one.kind === kind);
      if (track && this.localStream) {
        pc.addTransceiver(track, { direction: "sendrecv", streams: [this.localStream] });
      } else {
        pc.addTransceiver(kind, { direction: "recvonly" });
      }
    }
    try {
      await pc.setLocalDescription();
      await gathered(pc);
      const sdp = await this.post(pc.localDescription?.sdp ?? "");
      if (generation !== this.generation) return;
      await pc.setRemoteDescription({ type: "answer", sdp });
    } catch (error) {
      if (generation === this.generation) this.retry(String(error));
    }
  }

  /** @returns {Promise<{frames: number, audioS: number, audioLevel: number, width: number, height: number}>} */
  async stats() {
    const figures = { frames: 0, audioS: 0, audioLevel: 0, width: 0, height: 0 };
    (await this.pc?.getStats())?.forEach((entry) => {
      if (entry.type !== "inbound-rtp") return;
      if (entry.kind === "video") {
        figures.frames = entry.framesDecoded ?? 0;
        figures.width = entry.frameWidth ?? 0;
        figures.height = entry.frameHeight ?? 0;
      } else {
        figures.audioS = (entry.totalSamplesReceived ?? 0) / 48_000;
        figures.audioLevel = entry.audioLevel ?? 0;
      }
    });
    return figures;
  }

  /** A picture of this tablet's camera, as sharp as it gives one. Rejects when the camera is not open. @returns {Promise<Blob>} */
  async photo() {
    const track = this.localStream?.getVideoTracks()[0];
    if (!track) throw new Error("no camera");
    const capture = new /** @type {any} */ (window).ImageCapture(track);
    /** @type {Promise<never>} */
    const late = new Promise((_, reject) => setTimeout(() => reject(new Error("late")), PHOTO_MS));
    try {
      return await Promise.race([capture.takePhoto(), late]);
    } catch { // some cameras take none while they film: then the picture of the film
      const frame = await capture.grabFrame();
      const canvas = document.createElement("canvas");
      canvas.width = frame.width;
      canvas.height = frame.height;
      canvas.getContext("2d")?.drawImage(frame, 0, 0);
      return new Promise((resolve, reject) => canvas.toBlob((made) => (made ? resolve(made) : reject(new Error("empty"))), "image/png"));
    }
  }

  close() {
    clearTimeout(this.retryTimer);
    this.generation += 1;
    this.pc?.close();
    this.pc = null;
    for (const track of this.localStream?.getTracks() ?? []) track.stop();
    this.localStream = null;
    if (this.remoteVideo) this.remoteVideo.srcObject = null;
    this.sound.srcObject = null;
    this.become("ended");
  }

  /** @param {string} [reason] */
  retry(reason) {
    this.become("interrupted", reason);
    clearTimeout(this.retryTimer);
    this.retryTimer = setTimeout(() => void this.restart(), RETRY_MS);
  }

  /**
   * @param {LegState} state
   * @param {string} [reason]
   */
  become(state, reason) {
    if (this.state === state || this.state === "ended") return;
    this.state = state;
    this.onState(state, reason);
  }
}

/**
 * Waits until the candidates are in the local description; a LAN has them at once.
 * @param {RTCPeerConnection} pc
 * @returns {Promise<void>}
 */
function gathered(pc) {
  return new Promise((resolve) => {
    if (pc.iceGatheringState === "complete") return resolve();
    const timer = setTimeout(resolve, GATHER_MS);
    pc.addEventListener("icegatheringstatechange", () => {
      if (pc.iceGatheringState !== "complete") return;
      clearTimeout(timer);
      resolve();
    });
  });
}
