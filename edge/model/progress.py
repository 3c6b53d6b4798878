"""How far an item has come: one honest line, derived from facts and never ahead of them.

The facts of an entry are: a bundle covers it, the bundle has left, the hub has acknowledged it at a level. A line says
what the entry that is furthest behind allows, then what doctor and paper have done. Pure: knows no log and no store.
"""

from collections.abc import Iterable, Sequence
from enum import StrEnum

from msgspec import Struct

from .fold import PrescriptionState


class SyncState(StrEnum):
    """How far an item has come, in the order of the members."""

    WAITING = "waiting"
    """Only here."""
    SENT = "sent"
    """It has left; the hub has not answered yet."""
    HUB_HAS_IT = "hub_has_it"
    """The hub has it on its disk (level 1)."""
    SECOND_COPY = "second_copy"
    """It lies in a second place (level 2)."""
    DOCTOR_OPENED = "doctor_opened"
    ANSWERED = "answered"
    """A signed prescription is at the node."""
    PRINTED = "printed"


RANK = {state: number for number, state in enumerate(SyncState)}


class Carried(Struct, frozen=True):
    """One entry of the node's log, and how it was carried."""

    kind: int
    """Event kind on the wire."""
    at_ms: int
    """When it was recorded."""
    sealed: bool = False
    """A bundle covers it."""
    left: bool = False
    """Every byte of that bundle has left since the link was last found open."""
    level: int = 0
    """What the hub has acknowledged: 0, 1 or 2."""
    level_ms: int = 0
    """When it acknowledged that; 0 when that is not known (the node was locked)."""


class Parts(Struct, frozen=True):
    """Entries of an item by what has become of them; each is counted once."""

    unsealed: int = 0
    sealed: int = 0
    level_1: int = 0
    level_2: int = 0


class Line(Struct, frozen=True):
    """The one line of something."""

    state: SyncState
    at_ms: int = 0
    """Since when it stands so; 0 when that is not known."""


class ItemLine(Struct, frozen=True):
    """The line of one item of a visit."""

    item: str
    """vitals, prescription, sms …: a word of ``item-*`` in the language files."""
    state: SyncState
    at_ms: int = 0
    subject: str = ""
    """Id of the prescription or attachment, where an item stands more than once."""
    parts: Parts = Parts()


_ITEM_OF = {
    3: "visit",
    4: "consent",
    5: "complaints",
    6: "history",
    7: "history",
    8: "vitals",
    9: "signs",
    10: "triage",
    11: "token",
    12: "visit",
    13: "call",
    14: "receipt",
    15: "receipt",
    16: "closing",
    19: "attachment_list",
    20: "attachment_list",
    30: "referral",
    31: "referral",
    33: "closing",
    35: "referral",
}
"""Event kind → item. The list of attachments is no attachment: each of those has a line that its keeper adds."""


def carried_state(entry: Carried) -> SyncState:
    """How far one entry has come."""
    if not entry.sealed:
        return SyncState.WAITING
    if entry.level >= 2:
        return SyncState.SECOND_COPY
    if entry.level == 1:
        return SyncState.HUB_HAS_IT
    return SyncState.SENT if entry.left else SyncState.WAITING


def carried_line(entries: Sequence[Carried]) -> Line:
    """The line of several entries: what is furthest behind, and since when all of them are at least there."""
    if not entries:
        return Line(SyncState.WAITING)
    behind = min((carried_state(entry) for entry in entries), key=RANK.__getitem__)
    if RANK[behind] < RANK[SyncState.HUB_HAS_IT]:
        return Line(behind, min(entry.at_ms for entry in entries if carried_state(entry) is behind))
    times_ms = [entry.level_ms for entry in entries if carried_state(entry) is behind]
    return Line(behind, max(times_ms) if all(times_ms) else 0)


def visit_line(entries: Sequence[Carried], seen_ms: int, prescriptions: Sequence[PrescriptionState]) -> Line:
    """The line of a whole visit at its node. What the hub has not acknowledged outweighs what the doctor did."""
    line = carried_line(entries)
    if RANK[line.state] < RANK[SyncState.HUB_HAS_IT]:
        return line
    if prescriptions:
        return max(
            (prescription_line(one) for one in prescriptions), key=lambda found: (-RANK[found.state], found.at_ms)
        )
    return Line(SyncState.DOCTOR_OPENED, seen_ms) if seen_ms else line


def prescription_line(prescription: PrescriptionState) -> Line:
    """The line of a prescription that is at the node."""
    if prescription.printed_ms:
        return Line(SyncState.PRINTED, prescription.printed_ms)
    return Line(SyncState.ANSWERED, prescription.stored_ms or prescription.signed_ms)


def prescription_line_at_hub(prescription: PrescriptionState) -> Line:
    """The same, as the hub may say it: waiting until the node says that it holds the prescription."""
    if not (prescription.stored_ms or prescription.printed_ms):
        return Line(SyncState.WAITING, prescription.signed_ms)
    return prescription_line(prescription)


def item_lines(entries: Sequence[Carried], prescriptions: Iterable[PrescriptionState]) -> list[ItemLine]:
    """A line for each kind of content of a visit, in the order in which they came, then for each prescription."""
    found: dict[str, list[Carried]] = {}
    for entry in entries:
        found.setdefault(_ITEM_OF.get(entry.kind, "other"), []).append(entry)
    lines: list[ItemLine] = []
    for item, its in found.items():
        line = carried_line(its)
        lines.append(ItemLine(item, line.state, line.at_ms, parts=_parts(its)))
    for one in prescriptions:
        line = prescription_line(one)
        lines.append(ItemLine("prescription", line.state, line.at_ms, one.prescription_id))
    return lines


def _parts(entries: Iterable[Carried]) -> Parts:
    counts = [0, 0, 0, 0]
    for entry in entries:
        counts[0 if not entry.sealed else 1 + min(entry.level, 2)] += 1
    return Parts(*counts)


_SMS_STATES = {"left": SyncState.SENT, "delivered": SyncState.SENT, "kept": SyncState.HUB_HAS_IT}


def sms_line(copies: Iterable[tuple[str, int]]) -> ItemLine | None:
    """The line of the early copies of a visit that went by SMS: (state, when it was made, Unix ms) of each.

    ``kept`` is the hub's own receipt for that copy; it says nothing of the record itself. None for no copy.
    """
    lines = [Line(_SMS_STATES.get(state, SyncState.WAITING), at_ms) for state, at_ms in copies]
    if not lines:
        return None
    best = max(lines, key=lambda line: (RANK[line.state], line.at_ms))
    return ItemLine("sms", best.state, best.at_ms)
