"""A shelf in any S3-compatible store: four requests, signed here (AWS Signature Version 4), path-style addresses.

Small on purpose: aiohttp is there already, boto3 would add 15 MB and a thread pool. A PUT that was
answered with 200 is durable and seen by everybody at once; nobody ever reads half of one.
"""

import asyncio
import hashlib
import hmac
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
from msgspec import Struct

from edge.model.errors import BadInput

from .shelf import ShelfFailed, check_name

TIMEOUT_S = 60.0
TRIES = 3
_EMPTY = hashlib.sha256(b"").hexdigest()
_PASSING = frozenset({429, 500, 502, 503, 504})


class S3Keys(Struct, frozen=True):
    """Who we are at the store."""

    access_key: str
    secret_key: str
    region: str = "us-east-1"

    def __repr__(self) -> str:
        return f"S3Keys({self.access_key})"


def load_keys(path: Path) -> S3Keys:
    """Keys from a JSON file with access_key, secret_key and region. Raises BadInput. Blocking."""
    try:
        told = json.loads(path.read_text())
        return S3Keys(str(told["access_key"]), str(told["secret_key"]), str(told.get("region", "us-east-1")))
    except (OSError, ValueError, KeyError, TypeError):
        raise BadInput("The file of S3 keys cannot be read; it holds access_key, secret_key and region.") from None


def signed_headers(
    keys: S3Keys, method: str, host: str, path: str, body_sha256: str, at: datetime, more: dict[str, str]
) -> dict[str, str]:
    """The headers of a signed request without a query (AWS General Reference, "Signature Version 4")."""
    stamp, day = at.strftime("%Y%m%dT%H%M%SZ"), at.strftime("%Y%m%d")
    headers = {"host": host, "x-amz-content-sha256": body_sha256, "x-amz-date": stamp, **more}
    names = ";".join(sorted(headers))
    lines = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
    request = f"{method}\n{path}\n\n{lines}\n{names}\n{body_sha256}"
    scope = f"{day}/{keys.region}/s3/aws4_request"
    to_sign = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
    key = f"AWS4{keys.secret_key}".encode()
    for part in (day, keys.region, "s3", "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.new(key, to_sign.encode(), "sha256").hexdigest()
    headers["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={keys.access_key}/{scope},SignedHeaders={names},Signature={signature}"
    )
    return headers


class S3Shelf:
    """One bucket."""

    def __init__(self, url: str, keys: S3Keys, now: Callable[[], datetime] | None = None) -> None:
        """``url``: ``https://HOST[:PORT]/BUCKET``. Raises BadInput."""
        parts = urlsplit(url)
        bucket = parts.path.strip("/")
        if parts.scheme not in ("https", "http") or not parts.hostname or not bucket or "/" in bucket or parts.query:
            raise BadInput("An S3 store looks like https://HOST/BUCKET.", field="blobs")
        self._base = f"{parts.scheme}://{parts.netloc}"
        self._host = parts.netloc
        self._bucket = bucket
        self._keys = keys
        self._now = now or (lambda: datetime.now(UTC))
        self._session: aiohttp.ClientSession | None = None

    async def put(self, name: str, content: bytes) -> None:
        status, _, _ = await self._ask("PUT", name, content)
        if status != 200:
            raise ShelfFailed(f"The S3 store answered {status}.")

    async def read(self, name: str, start: int, length: int) -> bytes:
        if length < 1:
            check_name(name)
            return b""
        status, body, _ = await self._ask("GET", name, more={"range": f"bytes={start}-{start + length - 1}"})
        if status in (404, 416):
            return b""
        if status not in (200, 206):
            raise ShelfFailed(f"The S3 store answered {status}.")
        return body if status == 206 else body[start : start + length]

    async def size(self, name: str) -> int | None:
        status, _, length = await self._ask("HEAD", name)
        if status == 404:
            return None
        if status != 200:
            raise ShelfFailed(f"The S3 store answered {status}.")
        return length

    async def delete(self, name: str) -> None:
        status, _, _ = await self._ask("DELETE", name)
        if status not in (200, 204, 404):
            raise ShelfFailed(f"The S3 store answered {status}.")

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def _ask(
        self, method: str, name: str, body: bytes = b"", more: dict[str, str] | None = None
    ) -> tuple[int, bytes, int]:
        """Status, body and length; a store that is busy is asked again. Raises ShelfFailed."""
        path = f"/{self._bucket}/{check_name(name)}"
        digest = hashlib.sha256(body).hexdigest() if body else _EMPTY
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT_S))
        for left in reversed(range(TRIES)):
            headers = signed_headers(self._keys, method, self._host, path, digest, self._now(), more or {})
            try:
                async with self._session.request(
                    method,
                    self._base + path,
                    data=body if method == "PUT" else None,
                    headers=headers,
                    allow_redirects=False,  # a PUT may come back as a GET of some page, with 200
                ) as reply:
                    if reply.status not in _PASSING or not left:
                        return reply.status, await reply.read(), int(reply.headers.get("Content-Length", "0"))
            except (aiohttp.ClientError, TimeoutError) as error:
                if not left:
                    raise ShelfFailed(f"The S3 store does not answer: {type(error).__name__}.") from error
            await asyncio.sleep(0.2)
        raise ShelfFailed("The S3 store does not answer.")
