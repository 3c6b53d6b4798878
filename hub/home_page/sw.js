// @ts-check
// Keeps the page's own files in the telephone, so that it opens without a network and says whom to call. Never sees a
// record: the API passes through untouched.
{
  const worker = /** @type {any} */ (self);
  const SHELL = "upkendra-home-1";
  const FIRST = ["/home/", "/home/home.css", "/home/home.js", "/icon.svg"];

  worker.addEventListener("install", (/** @type {any} */ event) => {
    event.waitUntil(caches.open(SHELL).then((cache) => cache.addAll(FIRST)).then(() => worker.skipWaiting()));
  });

  worker.addEventListener("activate", (/** @type {any} */ event) => {
    const old = (/** @type {string} */ name) => name.startsWith("upkendra-home-") && name !== SHELL;
    event.waitUntil(
      caches.keys().then((names) => Promise.all(names.filter(old).map((name) => caches.delete(name)))).then(() => worker.clients.claim()),
    );
  });

  worker.addEventListener("push", (/** @type {any} */ event) => {
    const told = async () => {
      /** @type {{word: string, text: string, tag: string}} */
      const said = event.data.json();
      await worker.registration.showNotification("उपकेंद्र", { body: said.text, tag: said.tag, icon: "/icon.svg", requireInteraction: true });
      const body = JSON.stringify({ word: said.word });
      await fetch("/home/api/push/seen", { method: "POST", headers: { "Content-Type": "application/json" }, body });
    };
    event.waitUntil(told());
  });

  worker.addEventListener("notificationclick", (/** @type {any} */ event) => {
    event.notification.close();
    const show = async () => {
      const [open] = await worker.clients.matchAll({ type: "window" });
      await (open ? open.focus() : worker.clients.openWindow("/home/"));
    };
    event.waitUntil(show());
  });

  worker.addEventListener("fetch", (/** @type {any} */ event) => {
    const url = new URL(event.request.url);
    const page = url.pathname.startsWith("/home/") || url.pathname.startsWith("/ui/") || url.pathname === "/icon.svg";
    const ours = url.origin === worker.location.origin && event.request.method === "GET" && page;
    if (!ours || url.pathname.startsWith("/home/api/") || url.pathname === "/home/openapi.json") return;
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
}
