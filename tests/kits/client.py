"""A small HTTP client as an outsider would write it: standard library, cookie, CSRF header, JSON.

Knows nothing of our code: what it sends and gets is JSON as ``/openapi.json`` describes it. Blocking.
"""

import http.client
import json
import socket
from collections.abc import Callable
from typing import Final, TypeAlias, cast

Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | float | bool | None"
Connect: TypeAlias = Callable[[str, int, float], socket.socket]

_SAFE: Final = frozenset({"GET", "HEAD"})


class ApiError(Exception):
    """The server refused. ``status`` is HTTP's, ``code`` the stable one of ``docs/errors.md``."""

    def __init__(self, status: int, body: bytes) -> None:
        self.status = status
        self.code = ""
        try:
            refusal = json.loads(body)
            self.code = refusal.get("code", "") if isinstance(refusal, dict) else ""
        except ValueError:
            pass
        super().__init__(f"{status} {self.code} {body[:300].decode(errors='replace')}")


class _Connection(http.client.HTTPConnection):
    def __init__(self, host: str, port: int, timeout_s: float, connect: Connect) -> None:
        super().__init__(host, port, timeout=timeout_s)
        self._connect_here = connect
        self._timeout_s = timeout_s

    def connect(self) -> None:
        self.sock = self._connect_here(self.host, self.port, self._timeout_s)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _connect(host: str, port: int, timeout_s: float) -> socket.socket:
    return socket.create_connection((host, port), timeout_s)


class Client:
    """One person's session with one server. A lost connection raises OSError; nothing is retried."""

    def __init__(self, base_url: str, *, timeout_s: float = 30, connect: Connect = _connect) -> None:
        self.base_url = base_url
        host, _, port = base_url.removeprefix("http://").partition(":")
        self._address = (host, int(port))
        self._timeout_s = timeout_s
        self._connect = connect
        self._kept: http.client.HTTPConnection | None = None
        self._cookies: dict[str, str] = {}
        self.csrf = ""

    def close(self) -> None:
        """Close the connection; cookie and CSRF token stay."""
        if self._kept is not None:
            self._kept.close()
            self._kept = None

    def raw(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, bytes]:
        """One request; status and body of whatever comes back. Raises OSError, HTTPException."""
        sent = {"X-CSRF": self.csrf} if self.csrf and method not in _SAFE else {}
        if self._cookies:
            sent["Cookie"] = "; ".join(f"{name}={value}" for name, value in self._cookies.items())
        if body is not None:
            sent["Content-Type"] = "application/json"
        sent.update(headers or {})
        if self._kept is None:
            self._kept = _Connection(*self._address, self._timeout_s, self._connect)
        try:
            self._kept.request(method, path, body, sent)
            reply = self._kept.getresponse()
            content = reply.read()
        except BaseException:
            self.close()
            raise
        for name, value in reply.getheaders():
            if name.lower() == "set-cookie":
                key, _, rest = value.partition("=")
                self._cookies[key] = rest.partition(";")[0]
        return reply.status, content

    def ask(self, method: str, path: str, body: object = None) -> Json:
        """One JSON request; the decoded answer. Raises ApiError, OSError, HTTPException."""
        encoded = None if body is None else json.dumps(body).encode()
        status, content = self.raw(method, path, encoded)
        if status >= 400:
            raise ApiError(status, content)
        return cast(Json, json.loads(content)) if content else None

    def get(self, path: str) -> Json:
        """GET, as :meth:`ask`."""
        return self.ask("GET", path)

    def post(self, path: str, body: object = None) -> Json:
        """POST, as :meth:`ask`."""
        return self.ask("POST", path, body)

    def put(self, path: str, body: object) -> Json:
        """PUT, as :meth:`ask`."""
        return self.ask("PUT", path, body)


def dig(value: Json, *path: str | int) -> Json:
    """Walk into decoded JSON. Raises KeyError or IndexError where the way ends, TypeError on a wrong kind."""
    for step in path:
        match value, step:
            case dict(), str():
                value = value[step]
            case list(), int():
                value = value[step]
            case _:
                raise TypeError(f"{step!r} does not lead into {type(value).__name__}")
    return value


def text(value: Json, *path: str | int) -> str:
    """The string at a path. Raises as :func:`dig`."""
    found = dig(value, *path)
    if not isinstance(found, str):
        raise TypeError(f"{path} is not a string")
    return found


def items(value: Json, *path: str | int) -> list[Json]:
    """The list at a path. Raises as :func:`dig`."""
    found = dig(value, *path)
    if not isinstance(found, list):
        raise TypeError(f"{path} is not a list")
    return found
