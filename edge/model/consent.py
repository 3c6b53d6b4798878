"""Consent to teleconsultation and to the use of data: two records, always explicit here.

In a sub-centre a health worker starts the consultation, so consent is never implied (prescribing.md
§3). An emergency is never held up by it (security.md C4). The words that are read out stand in
``data/consent.json``.
"""

from collections.abc import Container, Iterable

from . import commands as cmd
from .age import MINOR_BELOW_DAYS
from .errors import Fault, Refusal
from .fold import Consent, Visit
from .records import Colour

TELECONSULTATION = "teleconsultation"
DATA = "data"


def latest(visit: Visit, purpose: str) -> Consent | None:
    """The last word on a purpose; giving and withdrawing are both records."""
    return next((consent for consent in reversed(visit.consents) if consent.purpose == purpose), None)


def is_given(visit: Visit, purpose: str = TELECONSULTATION) -> bool:
    """Whether consent stands: given, and not withdrawn since."""
    consent = latest(visit, purpose)
    return consent is not None and consent.given


def may_leave(visit: Visit, all_visits: Iterable[Visit], statements: Container[str]) -> bool:
    """Whether documents of a visit may go to another system (security.md C1, C3).

    The consent to the use of data stands for this visit, in a wording that speaks of it (``statements``: its versions),
    and the person's last word at any visit took nothing back. An emergency is treated without it, and not told on.
    """
    mine = latest(visit, DATA)
    if mine is None or not mine.given or mine.statement_version not in statements:
        return False
    words = [one for other in (visit, *all_visits) for one in other.consents if one.purpose == DATA]
    return max(words, key=lambda one: (one.at_ms, not one.given)).given


def check(command: cmd.RecordConsent, visit: Visit, age_days: int | None) -> Refusal | None:
    """Why this consent cannot be recorded, or None. ``age_days`` None (unknown) counts as a minor.

    A minor needs an adult whose name and relation are recorded, except in an emergency. Refusing and
    withdrawing need nobody.
    """
    if not command.statement_version:
        return Refusal(
            "statement_missing", "Say which wording was read out to the patient.", "statement_version", Fault.CALLER
        )
    minor = age_days is None or age_days < MINOR_BELOW_DAYS
    if command.given and minor and command.guardian is None and visit.colour is not Colour.RED:
        return Refusal(
            "guardian_needed", "A minor needs an adult: record the adult's name and relation.", "guardian", Fault.CALLER
        )
    return None
