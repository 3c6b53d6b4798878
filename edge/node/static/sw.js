// @ts-check
// Keeps the pages' own files in the tablet, so that the app opens when the node is away for a
// moment. Never sees a record: requests below /api/ pass through untouched.
const worker = /** @type {any} */ (self);
const SHELL = "upkendra-shell-1";
const FIRST = ["/", "/app.css", "/app.js", "/icon.svg", "/manifest.webmanifest"];

worker.addEventListener("install", (/** @type {any} */ event) => {
  event.waitUntil(caches.open(SHELL).then((cache) => cache.addAll(FIRST)).then(() => worker.skipWaiting()));
});

worker.addEventListener("activate", (/** @type {any} */ event) => {
  event.waitUntil(
    caches.keys()
      .then((names) => Promise.all(names.filter((name) => name !== SHELL).map((name) => caches.delete(name))))
      .then(() => worker.clients.claim()),
  );
});

/** @param {string} address */
function isOurs(address) {
  const { origin, pathname } = new URL(address);
  return origin === worker.location.origin && !pathname.startsWith("/api/") && pathname !== "/openapi.json" && pathname !== "/healthz";
}

worker.addEventListener("message", (/** @type {any} */ event) => {
  event.waitUntil(caches.open(SHELL).then((cache) => Promise.all(event.data.filter(isOurs).map(async (/** @type {string} */ address) => {
    if (!(await cache.match(address))) await cache.add(address).catch(() => {}); // the node went away meanwhile
  }))));
});

worker.addEventListener("fetch", (/** @type {any} */ event) => {
  if (event.request.method !== "GET" || !isOurs(event.request.url)) return;
  // The node is near: ask it first, so that an update shows at once; the copy is for when it is away.
  event.respondWith(
    caches.open(SHELL).then(async (cache) => {
      try {
        const reply = await fetch(event.request);
        if (reply.ok && reply.type === "basic") await cache.put(event.request, reply.clone());
        return reply;
      } catch (error) {
        const kept = await cache.match(event.request, { ignoreSearch: true });
        if (kept) return kept;
        throw error;
      }
    }),
  );
});
