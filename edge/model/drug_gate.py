"""Whether the guidelines allow a medicine by tele-consultation: list letter, mode, consultation.

Telemedicine Practice Guidelines 2020 as read in prescribing.md §4; the lists stand in
``data/drug_lists.json`` and ``data/formulary.json``. What is not classified is denied. There is no
argument that lets a prohibited medicine pass.
"""

from enum import StrEnum
from functools import cache

from msgspec import Struct

from .data import load
from .records import ConsultType, Mode
from .reference import DrugItem
from .substances import is_prohibited_name


class Letter(StrEnum):
    """List of the guideline. A trailing "?" in the formulary (a proposal) is told by :func:`approved`."""

    O = "O"  # noqa: E741 - the guideline's own name of the list
    A = "A"
    A_REFILL = "A_refill"
    B = "B"
    NO_TELE = "NO_TELE"
    PROHIBITED = "PROHIBITED"
    UNCLASSIFIED = "UNCLASSIFIED"


class Prior(Struct, frozen=True):
    """What is known of earlier consultations for the same condition (prescribing.md §4)."""

    same_drug: bool = False
    """This medicine was prescribed before for the same condition."""
    in_person: bool = False
    """This doctor saw the patient in person for the same condition within the window."""


class Gate(Struct, frozen=True):
    """Answer of the gate; ``reason`` is a stable code, "" when allowed."""

    allowed: bool
    reason: str = ""


class Approvals(Struct, frozen=True):
    """What medical officers have decided about formulary lines, as they stand now."""

    approved: frozenset[str] = frozenset()
    """Drug ids whose letter was approved."""
    rejected: frozenset[str] = frozenset()
    """Drug ids whose letter was rejected: nobody has classified them until somebody does."""


NO_APPROVALS = Approvals()

_LETTERS = {
    "O": Letter.O,
    "A": Letter.A,
    "A_refill": Letter.A_REFILL,
    "B": Letter.B,
    "NO_TELE": Letter.NO_TELE,
    "PROHIBITED": Letter.PROHIBITED,
}


def letter_of(drug: DrugItem, approvals: Approvals = NO_APPROVALS) -> Letter:
    """The list of a formulary line: prohibited by name first, then its letter, all else unclassified.

    A letter that a medical officer rejected is none; no approval opens more than the letter does.
    """
    if is_prohibited_name(drug.generic):
        return Letter.PROHIBITED
    if drug.id in approvals.rejected and drug.tpg_list.removesuffix("?") not in ("PROHIBITED", "NO_TELE"):
        return Letter.UNCLASSIFIED
    return _LETTERS.get(drug.tpg_list.removesuffix("?"), Letter.UNCLASSIFIED)


def approved(drug: DrugItem, approvals: Approvals = NO_APPROVALS) -> bool:
    """False while the letter is a proposal that no medical officer has approved, or one that was rejected."""
    if drug.id in approvals.rejected:
        return False
    sourced = not drug.tpg_list.endswith("?") and drug.tpg_status == "sourced"
    return sourced or drug.id in approvals.approved


def allowed(letter: Letter, mode: Mode, consult: ConsultType, prior: Prior) -> Gate:
    """The gate of prescribing.md §4 for one medicine.

    ``mode`` is what the consultation really reached (:func:`edge.model.prescribing.achieved_mode`).
    ``A_refill`` is list A whose members the annexure names for refill: it opens no first consultation.
    """
    first = consult is ConsultType.FIRST
    match letter:
        case Letter.O:
            return Gate(True)
        case Letter.A if first:
            return Gate(True) if mode is Mode.VIDEO else Gate(False, "list_a_needs_video")
        case Letter.A:
            return Gate(True) if prior.same_drug or mode is Mode.VIDEO else Gate(False, "list_a_needs_video_or_refill")
        case Letter.A_REFILL if first:
            return Gate(False, "refill_needs_follow_up")
        case Letter.A_REFILL:
            return Gate(True) if prior.same_drug else Gate(False, "refill_needs_same_drug")
        case Letter.B if first:
            return Gate(False, "list_b_needs_follow_up")
        case Letter.B:
            return Gate(True) if prior.in_person else Gate(False, "list_b_needs_in_person")
        case Letter.PROHIBITED:
            return Gate(False, "prohibited")
        case Letter.NO_TELE:
            return Gate(False, "not_by_tele")
        case _:
            return Gate(False, "unclassified")


class _Window(Struct, frozen=True):
    value: int
    source: str


class _DrugLists(Struct, frozen=True):
    followup_window_days: _Window


@cache
def _drug_lists() -> _DrugLists:
    return load("drug_lists", _DrugLists)


FOLLOW_UP_WINDOW_DAYS = _drug_lists().followup_window_days.value
"""How long an in-person consultation with the same doctor counts for a follow-up (unsourced - verify)."""
