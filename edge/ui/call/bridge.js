// @ts-check
// The doctor's browser as the bridge of a three-way call: the patient's picture goes on to the specialist, and the
// sounds are mixed. The specialist hears patient and doctor; the patient hears doctor and specialist in the one sound
// that was sent before. Knows WebRTC and Web Audio; knows no page and no hub.
import { PatientCall } from "./patient.js";

/** @typedef {import("./patient.js").Signal} Signal */

export class Bridge {
  /**
   * @param {object} options
   * @param {string} options.thirdId
   * @param {number} options.attempt the last one of an earlier page, -1 for none
   * @param {import("./patient.js").IceServer[]} options.iceServers
   * @param {import("./ladder.js").Rules} options.rules
   * @param {(signal: Signal) => void} options.send
   * @param {MediaStreamTrack|null} options.voice the doctor's own
   * @param {MediaStreamTrack|null} options.sound the patient's
   * @param {MediaStreamTrack|null} options.picture the patient's
   * @param {(track: MediaStreamTrack|null) => void} options.onSound what the patient is sent from now on; null: the own voice
   * @param {(track: MediaStreamTrack) => void} options.onPicture the specialist's
   * @param {(figures: import("./patient.js").PatientFigures) => void} options.onFigures once a second
   * @param {(reason: string) => void} options.onEnd
   */
  constructor({ thirdId, attempt, iceServers, rules, send, voice, sound, picture, onSound, onPicture, onFigures, onEnd }) {
    this.thirdId = thirdId;
    this.onSound = onSound;
    this.mixing = false;
    this.context = new AudioContext();
    this.toThird = this.context.createMediaStreamDestination();
    this.toPatient = this.context.createMediaStreamDestination();
    /** @type {Map<string, {track: MediaStreamTrack, node: MediaStreamAudioSourceNode}>} */
    this.inputs = new Map();
    this.picture = picture;
    /** What is heard here; the browser hands sound on only while something plays it. */
    this.heard = new Audio();
    this.feed("voice", voice, [this.toThird, this.toPatient]);
    this.feed("patient", sound, [this.toThird]);
    this.call = new PatientCall({
      callId: thirdId, iceServers, rules, attempt, send, onFigures, onEnd,
      localStream: new MediaStream([this.toThird.stream.getAudioTracks()[0], ...(picture ? [picture] : [])]),
      onTrack: (track) => {
        if (track.kind === "video") return onPicture(track);
        this.heard.srcObject = new MediaStream([track]);
        this.heard.play().catch(() => {}); // the doctor touched the page to ask; after a reload the next touch does
        return this.feed("third", track, [this.toPatient]);
      },
    });
    this.context.addEventListener("statechange", () => this.mix());
    /** A page that was loaded anew may not make sound before it is touched. */
    this.wake = () => void this.context.resume().then(() => this.heard.play()).catch(() => {});
    for (const kind of ["pointerdown", "keydown"]) addEventListener(kind, this.wake);
    this.wake();
    this.mix();
  }

  /** The patient hears the mixture while there is one, and never silence. */
  mix() {
    const mixing = this.context.state === "running";
    if (mixing === this.mixing) return;
    this.mixing = mixing;
    this.onSound(mixing ? this.toPatient.stream.getAudioTracks()[0] : null);
  }

  /** @param {string} name @param {MediaStreamTrack|null} track @param {AudioNode[]} into */
  feed(name, track, into) {
    const before = this.inputs.get(name);
    if (before?.track === track) return;
    before?.node.disconnect();
    this.inputs.delete(name);
    if (!track) return;
    const node = this.context.createMediaStreamSource(new MediaStream([track]));
    for (const one of into) node.connect(one);
    this.inputs.set(name, { track, node });
  }

  /** The patient's media were set up anew. @param {MediaStreamTrack|null} sound @param {MediaStreamTrack|null} picture */
  patient(sound, picture) {
    this.feed("patient", sound, [this.toThird]);
    if (!picture || picture === this.picture) return;
    this.picture = picture;
    void this.call.setTrack(picture);
  }

  /** @param {Signal} signal of the specialist's page */
  handle(signal) {
    if (signal.type === "accept") void this.call.renew(); // her page is there, or was loaded anew
    else this.call.handle(signal);
  }

  /** The specialist is in the call no more. */
  close() {
    for (const kind of ["pointerdown", "keydown"]) removeEventListener(kind, this.wake);
    this.call.finish("over", false);
    this.heard.srcObject = null;
    if (this.mixing) this.onSound(null);
    this.mixing = false;
    void this.context.close();
  }
}
