// @ts-check
// Being told before the turn while the page is closed: the browser's push service, if the person allowed notifications.
// Whatever fails here, an SMS goes out.
import { get, put } from "/ui/lib/http.js";
import { API } from "./store.js";

const mine = async () => (await navigator.serviceWorker?.getRegistration("/home/"))?.pushManager;

/** @param {PushSubscription} to @param {boolean} on */
async function say(to, on) {
  const { p256dh, auth } = to.toJSON().keys ?? {};
  await put(`${API}/push`, { endpoint: to.endpoint, p256dh, auth, on });
}

/** Tell this browser; asks nobody for leave. */
export async function wantPush() {
  if (!("Notification" in window) || Notification.permission !== "granted") return;
  try {
    const manager = await mine();
    if (!manager) return;
    const { key } = await get(`${API}/push`);
    const ask = () => manager.subscribe({ userVisibleOnly: true, applicationServerKey: key });
    const to = await ask().catch(async () => {
      await (await manager.getSubscription())?.unsubscribe(); // it was for another key
      return ask();
    });
    await say(to, true);
  } catch {
    // no push service here
  }
}

/** Tell this browser no more. */
export async function stopPush() {
  try {
    const to = await (await mine())?.getSubscription();
    if (to) await Promise.all([say(to, false), to.unsubscribe()]);
  } catch {
    // there was none
  }
}
