// @ts-check
// Loads anew what changes often: at once, then once a pause at most, however many changes are heard.
// Never two loads at a time, and never none after the last change.

/**
 * @param {() => Promise<unknown>} load a load that fails is not repeated: the next change or opening brings another
 * @param {{pause_ms?: number, wanted?: () => boolean}} [options] `wanted`: whether anything on the screen shows it;
 *   while not, changes are remembered and loaded when the function is called again
 * @returns {(changed?: boolean) => Promise<void>} to be called at every change, and with `false` when `wanted` may be true again
 */
export function often(load, { pause_ms = 300, wanted = () => true } = {}) {
  let stale = false;
  let running = false;
  return async (changed = true) => {
    stale ||= changed;
    if (running) return;
    running = true;
    while (stale && wanted()) {
      stale = false;
      await load().catch(() => {});
      await new Promise((resolve) => setTimeout(resolve, pause_ms));
    }
    running = false;
  };
}
