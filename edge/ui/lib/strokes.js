// @ts-check
// The geometry of marks on a photo, in thousandths of its sides: fewer points, and paths to draw. Pure.
// The browser twin of edge/model/marks.py knows the same three kinds.

/** @typedef {"line"|"ring"|"arrow"} Kind */
/** @typedef {{mark_id: string, kind: Kind, points: number[]}} Mark points: x, y, x, y … */

const SIDE = 1000;
/** Fewer than the model takes: a stroke travels beside a call on a thin link. */
const POINTS_MAX = 30;
const TOLERANCE = 4;
const RING_LEAST = 30;
const HEAD = 45;
/** What a mere touch draws. */
const DOT = 8;

/** @param {number} value */
export const inside = (value) => Math.round(Math.min(Math.max(value, 0), SIDE));

/**
 * The same line with fewer points (Ramer–Douglas–Peucker), coarser until it is short enough.
 * @param {number[]} points
 * @returns {number[]}
 */
export function simpler(points) {
  for (let tolerance = TOLERANCE; ; tolerance *= 1.5) {
    const kept = [0, ...between(points, 0, points.length / 2 - 1, tolerance), points.length / 2 - 1];
    if (kept.length <= POINTS_MAX) return kept.flatMap((at) => [points[2 * at], points[2 * at + 1]]);
  }
}

/** @param {number[]} points @param {number} from @param {number} to @param {number} tolerance @returns {number[]} places that stay */
function between(points, from, to, tolerance) {
  let far = 0, place = -1;
  for (let at = from + 1; at < to; at += 1) {
    const away = distance(points, at, from, to);
    if (away > far) [far, place] = [away, at];
  }
  if (far <= tolerance) return [];
  return [...between(points, from, place, tolerance), place, ...between(points, place, to, tolerance)];
}

/** How far a point lies from the line through two others. @param {number[]} points @param {number} at @param {number} from @param {number} to */
function distance(points, at, from, to) {
  const [x, y] = [points[2 * at] - points[2 * from], points[2 * at + 1] - points[2 * from + 1]];
  const [dx, dy] = [points[2 * to] - points[2 * from], points[2 * to + 1] - points[2 * from + 1]];
  const length = Math.hypot(dx, dy);
  return length ? Math.abs(x * dy - y * dx) / length : Math.hypot(x, y);
}

/** What a drag from one place to another means. @param {Kind} kind @param {number[]} trail @returns {number[]} points of the mark */
export function drawn(kind, trail) {
  if (kind === "line") return simpler(trail.length > 2 ? trail : [...trail, trail[0] + (trail[0] < SIDE / 2 ? DOT : -DOT), trail[1]]);
  const [x, y] = trail, [endX, endY] = trail.slice(-2);
  if (kind === "ring") return ring(x, y, endX, endY);
  return endX === x && endY === y ? [inside(x - 120), inside(y - 120), x, y] : [x, y, endX, endY];
}

/** A ring is never so small that nobody sees it. @param {number} x @param {number} y @param {number} endX @param {number} endY */
function ring(x, y, endX, endY) {
  const grow = (/** @type {number} */ a, /** @type {number} */ b) => (Math.abs(b - a) < RING_LEAST ? [inside((a + b) / 2 - 75), inside((a + b) / 2 + 75)] : [a, b]);
  const [left, right] = grow(x, endX), [top, bottom] = grow(y, endY);
  return [left, top, right, bottom];
}

/** The SVG path of a mark on a photo `aspect` times as wide as high. @param {Mark} mark @param {number} aspect @returns {string} */
export function path({ kind, points }, aspect) {
  if (kind === "ring") {
    const [x, y, right, bottom] = points;
    const [rx, ry] = [Math.abs(right - x) / 2, Math.abs(bottom - y) / 2];
    const [cx, cy] = [(x + right) / 2, (y + bottom) / 2];
    return `M${cx - rx} ${cy}A${rx} ${ry} 0 1 0 ${cx + rx} ${cy}A${rx} ${ry} 0 1 0 ${cx - rx} ${cy}`;
  }
  let line = `M${points[0]} ${points[1]}`;
  for (let at = 2; at < points.length; at += 2) line += `L${points[at]} ${points[at + 1]}`;
  return kind === "arrow" ? line + head(points, aspect) : line;
}

/** @param {number[]} points @param {number} aspect */
function head([x, y, endX, endY], aspect) {
  const back = Math.atan2(y - endY, (x - endX) * aspect);
  const side = (/** @type {number} */ turn) => `${endX + (HEAD * Math.cos(back + turn)) / aspect} ${endY + HEAD * Math.sin(back + turn)}`;
  return `M${side(0.5)}L${endX} ${endY}L${side(-0.5)}`;
}
