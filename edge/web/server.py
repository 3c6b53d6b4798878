"""An aiohttp application with everything that all our pages and APIs need around the handlers.

Body limit, refusals as JSON, security headers. Which routes and files are served, others say.
"""

from aiohttp import web

from .routes import BODY_LIMIT_BYTES, refusals_middleware

CSP = (
    "default-src 'self'; img-src 'self' data: blob:; media-src 'self' blob: mediastream:; "
    "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'self'"
)
"""No inline script or style. A page's import map is allowed by its hash, see ``static.py``."""

IDLE_S = 75.0
"""A connection without a whole request for so long is closed; longer than a proxy in front waits (60 s is usual)."""

SECURITY_HEADERS = {
    "Content-Security-Policy": CSP,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "SAMEORIGIN",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(self), geolocation=()",
}


async def _add_headers(request: web.Request, response: web.StreamResponse) -> None:
    for name, value in SECURITY_HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers.setdefault("Cache-Control", "no-store")
    response.headers["Server"] = "upkendra"


def new_app() -> web.Application:
    """An empty application: at most 256 kB of body, refusals as JSON, security headers, no caching."""
    app = web.Application(client_max_size=BODY_LIMIT_BYTES, middlewares=[refusals_middleware])
    app.on_response_prepare.append(_add_headers)
    return app
