// @ts-check
// One honest line about a call for both sides, from one table. Pure: what is known of the call in, a message id out.

/**
 * @typedef {object} Seen
 * @property {string} state connecting, connected, interrupted; anything else has words of its own
 * @property {string} rung what the node's uplink carries; empty while not known
 * @property {boolean} notes the link carries no sound worth the name
 * @property {boolean} relayed through the hub's relay
 * @property {boolean} silent nothing comes through at the moment
 * @property {number} attempt counts from 0 how often the media was set up
 * @property {boolean} restarted whether the media program at the centre is a new one
 */

/** @typedef {{line: string, how: string}} Line ids of messages; `how` is empty where there is nothing to add */

/** What the link carries, rung by rung, as in ladder.json. */
export const RUNGS = {
  "video-480p": "call-line-video-480p",
  "video-240p": "call-line-video-240p",
  "video-180p": "call-line-video-180p",
  "video-120p": "call-line-video-120p",
  "video-tiny": "call-line-video-tiny",
  "video-slow": "call-line-video-slow",
  stills: "call-line-stills",
  audio: "call-line-audio", // of nodes before the rules' version 3
  "audio-low": "call-line-audio-low",
};

/** @type {{when: (seen: Seen) => boolean, line: string}[]} the first that fits */
const TABLE = [
  { when: (seen) => seen.state === "connected" && seen.silent, line: "call-line-no-link" },
  { when: (seen) => seen.state === "interrupted", line: "call-line-no-link" },
  { when: (seen) => seen.state === "connecting" && seen.restarted, line: "call-line-restart" },
  { when: (seen) => seen.state === "connecting" && seen.attempt > 0, line: "call-line-renew" },
  { when: (seen) => seen.state === "connected" && seen.notes, line: "call-line-notes" },
];

/** @param {Seen} seen @returns {Line} empty ids where nothing can be said yet */
export function bannerLine(seen) {
  const row = TABLE.find(({ when }) => when(seen));
  const rung = RUNGS[/** @type {keyof typeof RUNGS} */ (seen.rung)] ?? "";
  const line = row?.line ?? (seen.state === "connected" ? rung : "");
  return { line, how: line && seen.state === "connected" && seen.relayed && !seen.silent ? "call-line-relayed" : "" };
}
