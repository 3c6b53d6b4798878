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

worker.addEventListener("fetch", (/** @type {any} */ event) => {
  const url = new URL(event.request.url);
  const ours = url.origin === worker.location.origin && event.request.method === "GET";
  if (!ours || url.pathname.startsWith("/api/") || url.pathname === "/openapi.json" || url.pathname === "/healthz") return;
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
