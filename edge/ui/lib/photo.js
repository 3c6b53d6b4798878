// @ts-check
// A photo on its own, with what was drawn on it and the tools to draw more: finger, mouse, or keyboard.
import { html, useEffect, useRef, useSignal } from "./dom.js";
import { calledTo, draw, liveOn, openPhoto, undo } from "./drawing.js";
import { t } from "./l10n.js";
import { Dialog } from "./parts.js";
import { drawn as meant, inside, path } from "./strokes.js";

/** @typedef {import("./strokes.js").Mark} Mark */
/** @typedef {import("./strokes.js").Kind} Kind */
/** @typedef {{at_ms: number, by: string, doctor: boolean, marks: Mark[]}} Drawn */

/** @type {Kind[]} */
const TOOLS = ["line", "ring", "arrow"];
/** Waits before a picture that did not come is asked for again; then the person is asked. */
const AGAIN_MS = [500, 2000, 5000];
const STEP = 20;
const LONG_STEP = 100;
/** @type {Record<string, [number, number]>} */
const MOVES = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/**
 * @param {{title: string, src: string, blobId: string, whole: boolean, drawn: Drawn[], asDoctor: boolean, canDraw: boolean, note: string,
 *   onKeep: (marks: Mark[]) => Promise<void>, onClose: () => void}} props `whole`: nothing more of the picture will come;
 *   `onKeep` rejects when they could not be kept
 */
export function PhotoDialog({ title, src, blobId, whole, drawn, asDoctor, canDraw, note, onKeep, onClose }) {
  const tool = useSignal(/** @type {Kind} */ ("line"));
  const aspect = useSignal(4 / 3);
  const busy = useSignal(false);
  const picture = useFetched(src, whole);
  const drawing = canDraw && !picture.gaveUp;
  useEffect(() => {
    openPhoto.value = blobId;
    if (calledTo.value === blobId) calledTo.value = "";
    return () => {
      openPhoto.value = "";
    };
  }, [blobId]);
  const { mine, theirs } = liveOn(blobId);
  const known = new Set(drawn.flatMap((one) => one.marks.map((mark) => mark.mark_id)));
  const layers = [
    ...drawn.map((one) => ({ marks: one.marks, doctor: one.doctor, live: false })),
    { marks: theirs.filter((one) => !known.has(one.mark_id)), doctor: !asDoctor, live: true },
    { marks: mine.filter((one) => !known.has(one.mark_id)), doctor: asDoctor, live: true },
  ];
  const seen = (/** @type {any} */ event) => {
    picture.came();
    aspect.value = event.currentTarget.naturalWidth / Math.max(event.currentTarget.naturalHeight, 1);
  };
  const keep = async () => {
    busy.value = true;
    try {
      await onKeep(mine);
    } catch {
      // said by who asked; the marks stay to be kept again
    } finally {
      busy.value = false;
    }
  };
  return html`<${Dialog} title=${title} test="media-dialog" onClose=${onClose}>
    <div class="photo-frame" hidden=${picture.gaveUp}><div class="photo">
      <img key=${picture.key} class="media-big" data-test="media-big" src=${picture.src} alt=${title} onLoad=${seen} onError=${picture.missed} />
      <svg viewBox="0 0 1000 1000" preserveAspectRatio="none" aria-hidden="true">${layers.map((layer, at) => layer.marks.map((mark) => html`<g key=${`${at}-${mark.mark_id}`}
        class=${layer.doctor ? "by-doctor" : "by-nurse"} data-test=${layer.live ? "mark-live" : "mark-kept"} data-doctor=${String(layer.doctor)} data-kind=${mark.kind}>
        <path class="under" d=${path(mark, aspect.value)} /><path d=${path(mark, aspect.value)} /></g>`))}</svg>
      ${drawing ? html`<${Surface} tool=${tool.value} aspect=${aspect.value} asDoctor=${asDoctor} onMark=${(/** @type {number[]} */ points) => draw(blobId, tool.value, points)} />` : null}
    </div></div>
    ${picture.gaveUp ? html`<div class="notice warn row tight" role="alert" data-test="media-missed"><span class="grow">${t("photo-missed")}</span>
      <button type="button" data-test="media-again" onClick=${picture.again}>${t("photo-again")}</button></div>` : null}
    ${note ? html`<p class="notice warn slim">${note}</p>` : null}
    <p class="small" data-test="mark-legend"><span class="mark-swatch by-nurse" aria-hidden="true"></span> ${t("marks-of-nurse")} <span class="mark-swatch by-doctor" aria-hidden="true"></span> ${t("marks-of-doctor")}</p>
    ${drawing ? html`<div class="row tight" role="group" aria-label=${t("marks-tools")}>${TOOLS.map((one) => html`<button type="button" key=${one} data-test=${`mark-${one}`}
        aria-pressed=${one === tool.value ? "true" : "false"} onClick=${() => (tool.value = one)}>${t(`mark-${one}`)}</button>`)}
      <button type="button" data-test="mark-undo" disabled=${mine.length === 0} onClick=${() => undo(blobId)}>${t("mark-undo")}</button></div>` : null}
    <div class="row"><button type="button" data-test="media-close" onClick=${onClose}>${t("close")}</button>
      ${drawing ? html`<button type="button" class="primary grow" data-test="mark-keep" disabled=${mine.length === 0 || busy.value} onClick=${() => void keep()}>${t("mark-keep", { n: mine.length })}</button>` : null}</div>
  <//>`;
}

/**
 * A picture's fetching: again when the rest of it has come, and when it did not come at all. A part has an address of
 * its own, because a browser does not ask twice for a picture that it shows.
 * @param {string} src
 * @param {boolean} whole nothing more of it will come
 */
function useFetched(src, whole) {
  const failed = useSignal(0);
  const tries = useSignal(0);
  useEffect(() => {
    const pause = AGAIN_MS[failed.value - 1];
    if (!pause) return undefined;
    const timer = setTimeout(() => (tries.value += 1), pause);
    return () => clearTimeout(timer);
  }, [failed.value]);
  return {
    key: `${src} ${whole} ${tries.value}`,
    src: whole ? src : `${src}?part`,
    gaveUp: failed.value > AGAIN_MS.length,
    came: () => (failed.value = 0),
    missed: () => (failed.value += 1),
    again: () => {
      failed.value = 0;
      tries.value += 1;
    },
  };
}

/**
 * Takes the finger, or a cross that the arrow keys move.
 * @param {{tool: Kind, aspect: number, asDoctor: boolean, onMark: (points: number[]) => void}} props
 */
function Surface({ tool, aspect, asDoctor, onMark }) {
  const trail = useSignal(/** @type {number[]} */ ([]));
  const cross = useSignal({ x: 500, y: 500, shown: false });
  const begun = useSignal(/** @type {{tool: Kind, at: number[]}|null} */ (null));
  // Of another tool it counts no more. No effect clears it: that comes after the next key of a fast hand.
  const from = begun.value?.tool === tool ? begun.value.at : null;
  const area = useRef(/** @type {HTMLElement|null} */ (null));
  const place = (/** @type {PointerEvent} */ event) => {
    const box = area.current?.getBoundingClientRect();
    if (!box) return [0, 0];
    return [inside(((event.clientX - box.left) / box.width) * 1000), inside(((event.clientY - box.top) / box.height) * 1000)];
  };
  const begin = (/** @type {PointerEvent} */ event) => {
    if (!event.isPrimary || event.button !== 0) return;
    area.current?.setPointerCapture(event.pointerId);
    cross.value = { ...cross.value, shown: false };
    trail.value = place(event);
  };
  const go = (/** @type {PointerEvent} */ event) => {
    if (trail.value.length) trail.value = [...trail.value, ...place(event)];
  };
  const end = () => {
    if (trail.value.length) onMark(meant(tool, trail.value));
    trail.value = [];
  };
  const press = (/** @type {KeyboardEvent} */ event) => {
    const move = MOVES[event.key];
    const { x, y } = cross.value;
    if (move) {
      const step = event.shiftKey ? LONG_STEP : STEP;
      cross.value = { x: inside(x + move[0] * step), y: inside(y + move[1] * step), shown: true };
    } else if (event.key === "Enter" || event.key === " ") {
      cross.value = { x, y, shown: true };
      if (tool === "ring") onMark(meant("ring", [x, y, x, y]));
      else if (begun.value?.tool === tool) {
        onMark(meant(tool, [...begun.value.at, x, y]));
        begun.value = null;
      } else begun.value = { tool, at: [x, y] };
    } else if (event.key === "Escape" && begun.value?.tool === tool) {
      begun.value = null;
    } else return;
    event.preventDefault();
    event.stopPropagation();
  };
  const { x, y, shown } = cross.value;
  const going = trail.value.length ? meant(tool, trail.value) : from && (from[0] !== x || from[1] !== y) ? meant(tool, [...from, x, y]) : null;
  return html`<div ref=${area} class="photo-surface" tabindex="0" role="application" aria-label=${t("marks-surface")} aria-describedby="mark-keys" data-test="mark-surface"
      onPointerDown=${begin} onPointerMove=${go} onPointerUp=${end} onPointerCancel=${() => (trail.value = [])} onKeyDown=${press}>
    <svg viewBox="0 0 1000 1000" preserveAspectRatio="none" aria-hidden="true">
      ${going ? html`<g class=${asDoctor ? "by-doctor" : "by-nurse"}><path class="under" d=${path({ mark_id: "", kind: tool, points: going }, aspect)} /><path d=${path({ mark_id: "", kind: tool, points: going }, aspect)} /></g>` : null}
      ${shown ? html`<g class="cross"><path class="under" d=${`M${x - 30} ${y}h60M${x} ${y - 30}v60`} /><path d=${`M${x - 30} ${y}h60M${x} ${y - 30}v60`} /></g>` : null}</svg>
    <span id="mark-keys" class="visually-hidden">${t("marks-keys")}</span>
    <span class="visually-hidden" role="status" data-test="mark-place">${shown ? t("marks-place", { x: Math.round(x / 10), y: Math.round(y / 10) }) : ""}</span></div>`;
}
