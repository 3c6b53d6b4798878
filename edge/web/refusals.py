"""Refusals as HTTP replies. One table says which code becomes which status.

Knows nothing of routes. The body of every 4xx and 5xx reply is a :class:`edge.model.errors.Refusal`
as JSON.
"""

import errno
import re
from collections.abc import Mapping

import msgspec
from aiohttp import web

from edge.model.errors import BadInput, Fault, Refusal, UpkendraError

STATUS_OF: dict[str, int] = {
    "bad_input": 400,
    "unauthorised": 401,
    "wrong_pin": 401,
    "forbidden": 403,
    "staff_removed": 403,
    "role_not_allowed": 403,
    "csrf": 403,
    "too_slow": 408,
    "not_found": 404,
    "no_such_patient": 404,
    "no_such_visit": 404,
    "method_not_allowed": 405,
    "too_large": 413,
    "unsupported_media_type": 415,
    "denied": 422,
    "locked": 423,
    "too_many_attempts": 429,
    "unavailable": 503,
    "internal": 500,
}
"""Status of a code. A code that is not here goes by its fault."""

_FAULT_STATUS = {Fault.CALLER: 400, Fault.STATE: 409, Fault.US: 500}
_QUOTED_VALUE = re.compile(r"\s?'[^']*'")
_PLACE = re.compile(r"`\$\.?(?P<path>[^`]*)`$")
_UNKNOWN = re.compile(r"unknown field `(?P<name>[^`]{1,60})`")


def status_of(refusal: Refusal) -> int:
    """The HTTP status with which a refusal is answered."""
    return STATUS_OF.get(refusal.code, _FAULT_STATUS[refusal.fault])


def refusal_reply(
    refusal: Refusal, status: int | None = None, headers: Mapping[str, str] | None = None
) -> web.Response:
    """A refusal as a JSON reply; ``status`` overrides the table."""
    return web.Response(
        status=status or status_of(refusal),
        body=msgspec.json.encode(refusal),
        content_type="application/json",
        headers=headers,
    )


def bad_input(error: msgspec.DecodeError) -> BadInput:
    """What msgspec found wrong, as a refusal that names the field and repeats no value."""
    text = str(error)
    field = ""
    place = _PLACE.search(text)
    if place:
        field = place["path"]
        text = text[: place.start()].removesuffix(" - at ")
    unknown = _UNKNOWN.search(text)
    if unknown:
        field = f"{field}.{unknown['name']}".lstrip(".")
    message = _QUOTED_VALUE.sub("", text)
    if not isinstance(error, msgspec.ValidationError):
        message = f"The body is not valid JSON: {message}"
    return BadInput(message, field=field)


def failure_of(error: Exception) -> Refusal:
    """What to say of a failure of ours: a full or read-only disk by its name, all else without details."""
    numbers = {errno.ENOSPC: "full", errno.EDQUOT: "full", errno.EROFS: "read-only"}
    state = numbers.get(error.errno or 0, "") if isinstance(error, OSError) else _disk_state(str(error))
    if state:
        return Refusal("storage_full", f"The disk is {state}. Nothing was saved; call a technician.", fault=Fault.US)
    return Refusal("internal", "Something went wrong here. Try again.", fault=Fault.US)


def _disk_state(text: str) -> str:
    """SQLite and PostgreSQL say it in words, whichever library stands between."""
    if "database or disk is full" in text or "No space left on device" in text:
        return "full"
    return "read-only" if "attempt to write a readonly database" in text else ""


class Unauthorised(UpkendraError):
    """Nobody is logged in here, or the session has ended. Log in and repeat the request."""

    code = "unauthorised"
    fault = Fault.CALLER


class WrongPin(UpkendraError):
    """Name, badge, PIN, password or code is wrong. Which one is not said."""

    code = "wrong_pin"
    fault = Fault.CALLER


class WrongCsrf(UpkendraError):
    """The header ``X-CSRF`` does not echo the value that the log-in gave."""

    code = "csrf"
    fault = Fault.CALLER


class TooManyAttempts(UpkendraError):
    """Too many wrong attempts. Wait for the time that the message names."""

    code = "too_many_attempts"
    fault = Fault.CALLER


class Locked(UpkendraError):
    """The node is locked since it was started. Unlock it with a staff badge and its PIN."""

    code = "locked"
    fault = Fault.STATE


class TooLarge(UpkendraError):
    """The request body is larger than allowed here."""

    code = "too_large"
    fault = Fault.CALLER


class TooSlow(UpkendraError):
    """The request's body took too long to arrive. Send it again."""

    code = "too_slow"
    fault = Fault.CALLER


class UnsupportedMediaType(UpkendraError):
    """The body must be sent as ``Content-Type: application/json`` (or what the operation names)."""

    code = "unsupported_media_type"
    fault = Fault.CALLER


class Unavailable(UpkendraError):
    """Something that this needs is not there at the moment. Try again later."""

    code = "unavailable"
    fault = Fault.US
