"""Content of a known length, whole or one range of it (RFC 9110 §14), written piece by piece.

Knows no store: whoever calls gives a reader. What is sent can do nothing in a browser but be looked
at or listened to: no sniffing, an empty sandbox, no cache.
"""

import re
from collections.abc import Awaitable, Callable

from aiohttp import web

PIECE_BYTES = 64 * 1024
INLINE = frozenset({"image/jpeg", "image/png", "image/webp", "audio/ogg", "audio/webm", "video/webm"})
"""Types that a page may show; anything else is a download."""
_RANGE = re.compile(r"bytes=(\d{0,12})-(\d{0,12})$")

Read = Callable[[int, int], Awaitable[bytes]]


def range_of(header: str, size_bytes: int) -> tuple[int, int] | None:
    """(first, last) of a single satisfiable range; None: send everything. Raises HTTPRequestRangeNotSatisfiable."""
    found = _RANGE.match(header.strip())
    if found is None or found.groups() == ("", ""):
        return None
    first, last = found.groups()
    begin = size_bytes - min(int(last), size_bytes) if not first else int(first)
    end = size_bytes - 1 if not first or not last else min(int(last), size_bytes - 1)
    if begin >= size_bytes:
        raise web.HTTPRequestRangeNotSatisfiable(headers={"Content-Range": f"bytes */{size_bytes}"})
    return (begin, end) if begin <= end else None


def begins(request: web.Request) -> bool:
    """Whether this request reads from the beginning: once for each time somebody looks."""
    found = _RANGE.match(request.headers.get("Range", "").strip())
    return found is None or found[1] in ("", "0")


async def send_bytes(request: web.Request, content: bytes, media_type: str, name: str) -> web.StreamResponse:
    """As :func:`send_content`, of what is in memory."""

    async def read(start: int, length: int) -> bytes:
        return content[start : start + length]

    return await send_content(request, len(content), media_type, name, read)


async def send_content(
    request: web.Request, size_bytes: int, media_type: str, name: str, read: Read
) -> web.StreamResponse:
    """Answer with the content, or the range that was asked for. The first piece is read before anything is said."""
    span = range_of(request.headers.get("Range", ""), size_bytes)
    at, last = span or (0, size_bytes - 1)
    inline = media_type in INLINE
    response = web.StreamResponse(
        status=200 if span is None else 206,
        headers={
            "Content-Type": media_type if inline else "application/octet-stream",
            "Content-Length": str(last + 1 - at),
            "Accept-Ranges": "bytes",
            "Content-Disposition": f'{"inline" if inline else "attachment"}; filename="{name}"',
            "Content-Security-Policy": "default-src 'none'; media-src 'self'; img-src 'self'; sandbox",
            "X-Content-Type-Options": "nosniff",
            "Cache-Control": "private, no-store",
        },
    )
    if span is not None:
        response.headers["Content-Range"] = f"bytes {at}-{last}/{size_bytes}"
    piece = await read(at, min(PIECE_BYTES, last + 1 - at))
    await response.prepare(request)
    while piece:
        await response.write(piece)
        at += len(piece)
        piece = await read(at, min(PIECE_BYTES, last + 1 - at)) if at <= last else b""
    await response.write_eof()
    return response
