"""Why a slip, a QR code or a signed prescription is refused; each reason has a stable code.

This module knows no cryptography and no PDF. Codes are explained in ``docs/errors.md``.
"""

from enum import StrEnum

from edge.model.errors import Fault, UpkendraError


class SlipCode(StrEnum):
    """Stable reasons. They go to people and to other programs; a code is never given a new meaning."""

    RECORD_BAD = "slip_record_bad"
    """The record is no prescription record, or is too large."""
    TEMPLATE_UNKNOWN = "slip_template_unknown"
    """This release does not have the template the record was signed with."""
    KEY_BAD = "slip_key_bad"
    """A key or a signature has the wrong length."""
    CERTIFICATE_BAD = "slip_certificate_bad"
    """The hub did not certify this doctor's key for this name and registration number."""
    SIGNATURE_BAD = "slip_signature_bad"
    """The doctor's key did not sign this record with this template."""
    TIME_BAD = "slip_time_bad"
    """The hub did not countersign this signature at this time."""
    NOT_A_SLIP = "slip_not_a_slip"
    """The file is no PDF that we made: unreadable, too large, or without an embedded record."""
    CONTENT_CHANGED = "slip_content_changed"
    """The record is genuine; the file is not the rendering of it."""
    RENDERER_DIFFERS = "slip_renderer_differs"
    """The record is genuine; the file says that another release of the renderer made it, so it cannot be compared."""
    QR_BAD = "slip_qr_bad"
    """The text is not the QR code of a slip."""
    QR_OTHER_RECORD = "slip_qr_other_record"
    """The QR code belongs to another record or another version of it."""
    PAPER_UNKNOWN = "slip_paper_unknown"
    """No such paper: a4 or a5."""


class SlipRefused(UpkendraError):
    """The slip must not be relied upon. The code says why; nothing of the patient is in the message."""

    code = "slip_refused"
    fault = Fault.CALLER

    def __init__(self, code: SlipCode, message: str) -> None:
        super().__init__(message, code=code.value)
        self.slip_code = code
