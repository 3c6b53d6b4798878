"""Sessions: a random token in a cookie, its state on the server, a CSRF value beside it.

Knows neither staff nor doctors: a session has a ``subject``. Time is an argument.
"""

import hmac
import secrets

from aiohttp import web
from msgspec import Struct

from edge.model.errors import BadInput

CSRF_HEADER = "X-CSRF"
UNTOUCHED_HEADER = "X-Untouched"
"""For how many seconds nobody has touched the page that asks."""
UNTOUCHED_DIGITS = 9


class Session(Struct, frozen=True):
    """Who is logged in through one cookie."""

    token: str
    csrf: str
    subject: str
    """Id of the staff member or doctor."""
    started_s: float
    """Monotonic seconds."""


def new_session(subject: str, now_s: float) -> Session:
    """A fresh session: 256 random bits in the cookie, 128 in the CSRF value."""
    return Session(secrets.token_urlsafe(32), secrets.token_urlsafe(16), subject, now_s)


def csrf_fits(session: Session, request: web.Request) -> bool:
    """Does the request echo the session's CSRF value in ``X-CSRF``? Compared in constant time."""
    return hmac.compare_digest(request.headers.get(CSRF_HEADER, "").encode(), session.csrf.encode())


def untouched_s(request: web.Request) -> float:
    """For how long nobody has touched the page that asks, seconds; 0 for who does not say.

    A page asks for the queue all night: that is no use of a session. Raises BadInput.
    """
    said = request.headers.get(UNTOUCHED_HEADER, "0")
    if not (said.isascii() and said.isdecimal() and len(said) <= UNTOUCHED_DIGITS):
        raise BadInput(f"{UNTOUCHED_HEADER} is a number of whole seconds.")
    return float(said)


def origin_fits(request: web.Request) -> bool:
    """Does a request with an Origin come from our own pages (WebSockets are not bound by CORS)?"""
    origin = request.headers.get("Origin")
    return origin is None or origin.partition("://")[2] == request.host


class SessionBook:
    """Sessions in memory, ended by idleness, age or by hand.

    ``idle_s`` seconds without a request or ``max_s`` seconds after the log-in end a session. At most
    ``limit`` are kept; the one idle for longest goes first.
    """

    def __init__(self, *, idle_s: float, max_s: float, limit: int = 200) -> None:
        self.idle_s = idle_s
        self._max_s = max_s
        self._limit = limit
        self._sessions: dict[str, tuple[Session, float]] = {}

    def open(self, subject: str, now_s: float) -> Session:
        session = new_session(subject, now_s)
        if len(self._sessions) >= self._limit:
            del self._sessions[min(self._sessions, key=lambda token: self._sessions[token][1])]
        self._sessions[session.token] = (session, now_s)
        return session

    def find(self, token: str, now_s: float, untouched_s: float = 0.0) -> Session | None:
        """The live session behind a token; it was used ``untouched_s`` seconds ago (:func:`untouched_s`)."""
        if not self.is_live(token, now_s):
            return None
        session, used_s = self._sessions[token]
        self._sessions[token] = (session, max(used_s, now_s - untouched_s))
        return session

    def is_live(self, token: str, now_s: float) -> bool:
        """Whether a session goes on; asking keeps none alive."""
        session, used_s = self._sessions.get(token, (None, 0.0))
        if session is None:
            return False
        if now_s - used_s > self.idle_s or now_s - session.started_s > self._max_s:
            del self._sessions[token]
            return False
        return True

    def close(self, token: str) -> None:
        self._sessions.pop(token, None)

    def close_everybody(self) -> list[str]:
        """End every session; their tokens."""
        tokens = list(self._sessions)
        self._sessions.clear()
        return tokens

    def close_others(self, token: str) -> list[str]:
        """End every session but this one; their tokens."""
        tokens = [one for one in self._sessions if one != token]
        for one in tokens:
            self.close(one)
        return tokens

    def close_all(self, subject: str) -> list[str]:
        """End every session of somebody; their tokens."""
        tokens = [token for token, (session, _) in self._sessions.items() if session.subject == subject]
        for token in tokens:
            self.close(token)
        return tokens
