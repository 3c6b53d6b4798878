"""Token numbers: ``<site code>-<3 digits>``, counted anew every Indian calendar day (forms.md §7).

Given by the node without any network. The node's site code carries a device letter where two
devices serve one place, so that their tokens never clash.
"""

from .clock import day_of


def next_token(site_code: str, day_serial: int) -> tuple[str, int]:
    """The token after ``day_serial`` (highest serial of today, 0 for none) and its serial.

    The thousandth patient of a day gets four digits rather than a refusal.
    """
    serial = day_serial + 1
    return f"{site_code}-{serial:03d}", serial


def is_of_today(token_day: int, at_ms: int) -> bool:
    """Whether a token's day is the Indian day of ``at_ms``; tokens expire with their day."""
    return token_day == day_of(at_ms)


def local_patient_id(site_code: str, local_serial: int) -> str:
    """``<site code>-<6 digits>`` for the patient after ``local_serial`` registered here (forms.md §1)."""
    return f"{site_code}-{local_serial + 1:06d}"
