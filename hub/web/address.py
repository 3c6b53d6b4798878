"""Whose tries are counted together."""

from aiohttp import web

from ..config import Settings
from ..home.codes import network_of


def address_of(request: web.Request, settings: Settings) -> str:
    """Behind our proxy the address that the proxy itself saw, the last one it names; else the other side's."""
    forwarded = request.headers.get("X-Forwarded-For", "") if settings.secure_cookie else ""
    return network_of(forwarded.rpartition(",")[2].strip()[:60] or request.remote or "")
