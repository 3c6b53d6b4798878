// @ts-check
// Since when nobody has touched this page. What a page asks by itself keeps no session alive: each request says
// how long ago a hand was there (http.js), and the server counts from that.

let touched = Date.now();

/** Somebody is here: a hand, or a call that is spoken without one. */
export function attend() {
  touched = Date.now();
}

/** Whole seconds since the last touch, key or turn of a wheel. */
export const untouchedS = () => Math.max(0, Math.floor((Date.now() - touched) / 1000));

for (const kind of ["pointerdown", "keydown", "input", "wheel"]) addEventListener(kind, attend, { capture: true, passive: true });
