"""What the node says without HTTPS: how a tablet learns to trust it, and that there is a network at all.

No record, no log-in and no cookie is served here. Answers the connectivity checks of Android, Apple and Windows, so
that a tablet stays in a Wi-Fi that has no Internet behind it.
"""

from pathlib import Path

import msgspec
from aiohttp import web

from edge.web import static
from edge.web.server import CSP, new_app

DOOR = Path(__file__).resolve().parents[1] / "door"
NO_CONTENT = ("/generate_204", "/gen_204")
"""Android and Chrome OS."""
TEXTS = {
    "/hotspot-detect.html": ("text/html", "<HTML><HEAD><TITLE>Success</TITLE></HEAD><BODY>Success</BODY></HTML>"),
    "/connecttest.txt": ("text/plain", "Microsoft Connect Test"),
}
CA_NAME = "upkendra-ca.crt"


def door_app(ca: bytes, https_url: str) -> web.Application:
    """The plain application. ``ca``: PEM. ``https_url``: where the pages are, ``https://NAME[:PORT]``. Blocking."""
    app = new_app()
    files = static.load(DOOR)
    where = msgspec.json.encode({"https": https_url})
    csp = f"{CSP}; connect-src 'self' {https_url}"

    async def page(_: web.Request) -> web.Response:
        body = files["index.html"].body
        return web.Response(
            body=body, content_type="text/html", charset="utf-8", headers={"Content-Security-Policy": csp}
        )

    async def certificate(_: web.Request) -> web.Response:
        named = {"Content-Disposition": f'attachment; filename="{CA_NAME}"'}
        return web.Response(body=ca, content_type="application/x-x509-ca-cert", headers=named)

    async def tell(_: web.Request) -> web.Response:
        return web.Response(body=where, content_type="application/json")

    async def nothing(_: web.Request) -> web.Response:
        return web.Response(status=204)

    async def text(request: web.Request) -> web.Response:
        content_type, body = TEXTS[request.path]
        return web.Response(text=body, content_type=content_type)

    async def elsewhere(_: web.Request) -> web.Response:
        raise web.HTTPFound("/")

    app.router.add_get("/", page)
    app.router.add_get(f"/{CA_NAME}", certificate)
    app.router.add_get("/where", tell)
    for path in NO_CONTENT:
        app.router.add_get(path, nothing)
    for path in TEXTS:
        app.router.add_get(path, text)
    static.add_static(app, "/door/", {name: file for name, file in files.items() if name != "index.html"})
    app.router.add_get("/{rest:.*}", elsewhere)
    return app


def add_trusted(app: web.Application) -> None:
    """The HTTPS side's part: an answer that the plain page may see, which says that the certificate is trusted."""

    async def trusted(_: web.Request) -> web.Response:
        return web.Response(status=204, headers={"Access-Control-Allow-Origin": "*"})

    app.router.add_get("/trusted", trusted)
