"""Errors with a stable code, said in words that a person can act on.

Every error that crosses a border carries a code of ``docs/errors.md``. The docstring of a class is
what that page says about it.
"""

from enum import StrEnum

import msgspec


class Fault(StrEnum):
    """Whose turn it is to do something about an error."""

    CALLER = "caller"
    """The request is wrong; the same request will fail again."""
    STATE = "state"
    """The request is well formed, but does not fit what is recorded; look and decide anew."""
    US = "us"
    """We failed; try again later."""


class Refusal(msgspec.Struct, frozen=True):
    """A decision not to act. Nothing was recorded."""

    code: str
    """Stable, in lower snake case, explained in ``docs/errors.md``."""
    message: str
    """English sentence: what is wrong and what to do. Never holds a patient's data."""
    field: str = ""
    """Path of the offending field in the request, where there is one."""
    fault: Fault = Fault.STATE


class UpkendraError(Exception):
    """Root of our exceptions. Carries a :class:`Refusal` as its ``refusal``."""

    code = "internal"
    fault = Fault.US

    def __init__(self, message: str, *, field: str = "", code: str = "") -> None:
        super().__init__(message)
        self.refusal = Refusal(code or self.code, message, field, self.fault)


class BadInput(UpkendraError):
    """The request could not be understood. Correct the named field and send it again."""

    code = "bad_input"
    fault = Fault.CALLER


class NotFound(UpkendraError):
    """There is no such thing here. It may not have arrived yet."""

    code = "not_found"
    fault = Fault.CALLER


class Forbidden(UpkendraError):
    """You may not do this. Log in, or ask someone whose role allows it."""

    code = "forbidden"
    fault = Fault.CALLER


class Refused(UpkendraError):
    """The request is well formed but does not fit the record."""

    code = "refused"
    fault = Fault.STATE
