"""Static files from memory: read, compressed and hashed once at start, never while serving.

ETag with revalidation, gzip when the client takes it. The only inline thing that a page may have
is its import map; its SHA-256 goes into that page's Content-Security-Policy (CSP 3 §2.3.1).
"""

import base64
import gzip
import hashlib
import re
from collections.abc import Awaitable, Callable
from pathlib import Path

from aiohttp import web
from msgspec import Struct

from .server import CSP

TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
    ".webmanifest": "application/manifest+json",
    ".ftl": "text/plain; charset=utf-8",
    ".txt": "text/plain; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".woff2": "font/woff2",
    ".mp3": "audio/mpeg",
    ".ogg": "audio/ogg",
    ".wasm": "application/wasm",
}
"""Suffixes that are served, and as what. Anything else in the folder is not."""

_COMPRESSIBLE = frozenset({".html", ".js", ".mjs", ".css", ".json", ".webmanifest", ".ftl", ".txt", ".svg", ".wasm"})
_IMPORT_MAP = re.compile(rb'<script type="importmap">(.*?)</script>', re.DOTALL)


class StaticFile(Struct, frozen=True):
    """One file as it will be sent."""

    body: bytes
    gzipped: bytes | None
    content_type: str
    etag: str
    csp: str = ""


def load(folder: Path) -> dict[str, StaticFile]:
    """All servable files below a folder by their relative path. Blocking; empty when there is no folder."""
    files: dict[str, StaticFile] = {}
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder)
        if path.suffix in TYPES and path.is_file() and not any(part.startswith(".") for part in relative.parts):
            files[relative.as_posix()] = _load_file(path)
    return files


def _load_file(path: Path) -> StaticFile:
    body = path.read_bytes()
    gzipped = gzip.compress(body, 9, mtime=0) if path.suffix in _COMPRESSIBLE else None
    if gzipped is not None and len(gzipped) >= len(body):
        gzipped = None
    csp = ""
    if path.suffix == ".html":
        hashes = [base64.b64encode(hashlib.sha256(text).digest()).decode("ascii") for text in _IMPORT_MAP.findall(body)]
        if hashes:
            csp = CSP + "; script-src 'self' " + " ".join(f"'sha256-{one}'" for one in hashes)
    etag = '"' + hashlib.sha256(body).hexdigest()[:20] + '"'
    return StaticFile(body, gzipped, TYPES[path.suffix], etag, csp)


def add_static(app: web.Application, prefix: str, files: dict[str, StaticFile], permissions: str = "") -> None:
    """Serve files below ``prefix`` ("/" or "/ui/"); a folder's address gives its ``index.html``.

    ``permissions``: what these pages may ask of the browser, where it is more than other pages may.
    Add the prefix "/" last: it answers everything that nobody else took.
    """
    app.router.add_get(prefix + "{file:.*}", _server_of(files, permissions))


def _server_of(
    files: dict[str, StaticFile], permissions: str
) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def serve(request: web.Request) -> web.StreamResponse:
        name = request.match_info["file"]
        found = files.get(name) or files.get(f"{name.rstrip('/')}/index.html".lstrip("/"))
        if found is None:
            raise web.HTTPNotFound
        headers = {"ETag": found.etag, "Cache-Control": "no-cache", "Vary": "Accept-Encoding"}
        if permissions:
            headers["Permissions-Policy"] = permissions
        if found.csp:
            headers["Content-Security-Policy"] = found.csp
        if found.etag in request.headers.get("If-None-Match", ""):
            return web.Response(status=304, headers=headers)
        headers["Content-Type"] = found.content_type
        if found.gzipped is not None and "gzip" in request.headers.get("Accept-Encoding", ""):
            headers["Content-Encoding"] = "gzip"
            return web.Response(body=found.gzipped, headers=headers)
        return web.Response(body=found.body, headers=headers)

    return serve
