"""One FHIR endpoint: a PUT of a document under its own id, and what the answer means. Keeps nothing, retries nothing.

The token is read anew for each request, so that it can be changed while the hub runs. Logs neither address nor content.
"""

import asyncio
import hashlib
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from aiohttp import ClientError, ClientSession, ClientTimeout, TCPConnector
from msgspec import Struct

from edge.model.errors import BadInput

TIMEOUT_S = 30.0
ANSWER_BYTES = 64 * 1024
"""So much of an answer is read, and thrown away."""
TOKEN_BYTES = 16 * 1024
RETRY_MAX_S = 3600.0
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_NOT_OURS: Final = frozenset({401, 403})
_NOT_THERE: Final = frozenset({404, 405})
_PASSING: Final = frozenset({408, 425, 429})


class Answer(Struct, frozen=True):
    """What became of one PUT."""

    code: str = ""
    """Empty: taken. Else a stable code of docs/errors.md."""
    final: bool = False
    """The same document would be refused again."""
    wait_s: float = 0.0
    """What the endpoint asked us to wait."""


TAKEN = Answer()


class Endpoint:
    """Where documents go, and with which consent."""

    def __init__(
        self, url: str, token_file: Path | None, statements: frozenset[str], timeout_s: float = TIMEOUT_S
    ) -> None:
        """``statements``: versions of the data statement whose words speak of this. Raises BadInput. Blocking."""
        self.url = _checked(url)
        self.name = hashlib.sha256(self.url.encode()).hexdigest()[:16]
        """By which the store knows it: another endpoint has taken nothing yet."""
        if not statements:
            text = "Say which wordings of the data statement speak of this endpoint: --fhir-consent VERSION."
            raise BadInput(text, field="fhir_consent")
        self.statements = statements
        self._token_file = token_file
        self._timeout = ClientTimeout(total=timeout_s)
        self._session: ClientSession | None = None
        try:
            _token(token_file)
        except (OSError, ValueError):
            raise BadInput(
                "The file of --fhir-token-file holds one line, the token.", field="fhir_token_file"
            ) from None

    async def put(self, document_id: str, content: bytes) -> Answer:
        """Hand a document over. The same again changes nothing there. Never raises but when cancelled."""
        try:
            token = await asyncio.to_thread(_token, self._token_file)
        except (OSError, ValueError):
            return Answer("fhir_unauthorised")
        headers = {"Content-Type": "application/fhir+json", "Accept": "application/fhir+json"}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        if self._session is None:
            self._session = ClientSession(timeout=self._timeout, connector=TCPConnector(limit=1))
        try:
            async with self._session.put(
                f"{self.url}/Bundle/{document_id}",
                data=content,
                headers=headers,
                allow_redirects=False,  # the token is for this address and no other
            ) as reply:
                await reply.content.read(ANSWER_BYTES)
                if reply.status < 300 and reply.content_type == "text/html":
                    return Answer("fhir_wrong_address")  # a page for people, from something in front of the endpoint
                return meaning(reply.status, reply.headers.get("Retry-After", ""))
        except TimeoutError:
            return Answer("fhir_timeout")
        except (ClientError, OSError, ValueError):
            return Answer("fhir_unreachable")

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None


def meaning(status: int, retry_after: str = "") -> Answer:
    """What an HTTP status says about a document."""
    if status in (200, 201, 204):
        return TAKEN
    if status in _PASSING or status >= 500:
        return Answer("fhir_busy", wait_s=_seconds(retry_after))
    if status in _NOT_OURS:
        return Answer("fhir_unauthorised")
    if status in _NOT_THERE or status < 400:
        return Answer("fhir_wrong_address")
    return Answer("fhir_refused", final=True)


def _seconds(retry_after: str) -> float:
    """RFC 9110, 10.2.3; a date counts as a minute: our clock and theirs may differ."""
    text = retry_after.strip()
    if text.isdecimal() and text.isascii():
        return min(float(text), RETRY_MAX_S) if len(text) < 10 else RETRY_MAX_S
    try:
        return 60.0 if text and parsedate_to_datetime(text) else 0.0
    except (ValueError, TypeError):
        return 0.0


def _token(file: Path | None) -> str:
    if file is None:
        return ""
    with file.open("rb") as source:
        token = source.read(TOKEN_BYTES + 1).decode("ascii").strip()
    if not token or len(token) > TOKEN_BYTES or not token.isprintable() or " " in token:
        raise ValueError("not one token")
    return token


def _checked(url: str) -> str:
    try:
        parts = urlsplit(url)
        known = parts.port is None or parts.port > 0
    except ValueError:
        known = False
    safe = known and (parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK))
    if not (safe and parts.hostname) or parts.query or parts.fragment or parts.username is not None:
        text = "A FHIR endpoint looks like https://HOST/fhir: https only, no name or password in it."
        raise BadInput(text, field="fhir_endpoint")
    return url.rstrip("/")
