"""What no medical officer has approved: every letter, rule, term and text that our sources left open. Pure.

Made from the data files themselves, so that nothing unverified can be forgotten. An approval is of
one content: when the data change, the fingerprint changes and the approval no longer counts.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from functools import lru_cache

import msgspec
from msgspec import Struct

from .drug_gate import FOLLOW_UP_WINDOW_DAYS, Approvals, approved
from .prescription import AUDIO_FROM_S, VIDEO_FROM_S
from .reference import DrugItem, Reference, reference, vitals_data


class ReviewKind(StrEnum):
    DRUG = "drug"
    RULE = "rule"
    TERM = "term"
    TEXT = "text"


class Decision(StrEnum):
    APPROVED = "approved"
    REJECTED = "rejected"


class ReviewItem(Struct, frozen=True):
    """One thing to be looked at by a medical officer."""

    item: str
    """``kind:id``, at most 60 characters."""
    kind: ReviewKind
    title: str
    says: str
    """What it says now."""
    status: str
    """Why it is open, in the words of the data file."""
    sources: tuple[str, ...]
    fingerprint: str
    """16 hexadecimal digits over all of the content."""


class Decided(Struct, frozen=True):
    """What somebody decided about one content of an item."""

    item: str
    fingerprint: str
    decision: Decision


_UNSOURCED = "unsourced - verify"


def _fingerprint(content: object) -> str:
    return hashlib.sha256(msgspec.json.encode(content, order="sorted")).hexdigest()[:16]


def _item(
    kind: ReviewKind, name: str, title: str, says: str, status: str, content: object, *sources: str
) -> ReviewItem:
    return ReviewItem(f"{kind}:{name}"[:60], kind, title, says, status, sources, _fingerprint(content))


def _drugs(formulary: Iterable[DrugItem]) -> Iterator[ReviewItem]:
    return filter(None, map(_drug, formulary))


@lru_cache(maxsize=4096)
def _drug(drug: DrugItem) -> ReviewItem | None:
    """Kept: each check of a draft asks it of the whole formulary."""
    open_parts = [f"list: {drug.tpg_status}"] if not approved(drug) else []
    if drug.strength_status != "sourced":
        open_parts.append(f"strength: {drug.strength_status}")
    if not open_parts:
        return None
    title = f"{drug.generic} {drug.form} {drug.strength}"
    says = f"list {drug.tpg_list or '-'}" + (f"; {drug.flags}" if drug.flags else "")
    return _item(ReviewKind.DRUG, drug.id, title, says, "; ".join(open_parts), drug, *drug.sources)


def _rules(known: Reference) -> Iterator[ReviewItem]:
    guideline = "Telemedicine Practice Guidelines 2020, known from secondary sources"
    numbers: tuple[tuple[str, str, float, str], ...] = (
        ("followup_window_days", "Days for which an in-person consultation counts", FOLLOW_UP_WINDOW_DAYS, guideline),
        ("video_from_s", "Seconds of video that make a video consultation", VIDEO_FROM_S, "ours"),
        ("audio_from_s", "Seconds of sound that make an audio consultation", AUDIO_FROM_S, "ours"),
    )
    for name, title, value, source in numbers:
        yield _item(ReviewKind.RULE, name, title, f"{value:g}", _UNSOURCED, value, source)
    title = "Follow-up: same doctor in person before, same condition, within the window"
    yield _item(ReviewKind.RULE, "follow_up", title, "else first consultation", _UNSOURCED, title, guideline)
    triage = (known.triage_mandatory, known.version, known.triage_status)
    title, source = "Triage scheme", known.triage_attribution
    yield _item(
        ReviewKind.RULE, "triage", title, ", ".join(known.triage_mandatory), known.triage_status, triage, source
    )
    for vital in vitals_data().items:
        if vital.status not in ("", "sourced"):
            says = f"refused outside {vital.hard_low:g}-{vital.hard_high:g} {vital.unit}"
            yield _item(ReviewKind.RULE, f"vital_{vital.id}", vital.en, says, vital.status, vital, vital.note)


def _terms(known: Reference) -> Iterator[ReviewItem]:
    status = "Hindi not confirmed by a clinician"
    named = [
        *((f"complaint_{one.id}", one.en, one.hi, one.sure) for one in known.complaints),
        *((f"sign_{one.id}", one.en, one.hi, one.sure) for one in known.signs),
        *((f"condition_{one.id}", one.en, one.hi, one.sure) for one in known.conditions),
        *((f"vital_{one.id}", one.en, one.hi, one.sure) for one in known.vitals),
        *((f"route_{one.code}", one.en, one.hi, one.sure) for one in known.routes),
        *((f"unit_{one.form}", one.en, one.hi, one.sure) for one in known.units),
        *((f"food_{one.code}", one.en, one.hi, one.sure) for one in known.food),
        *((f"{one.group}_{one.en}", one.en, one.hi, one.sure) for one in known.terms),
    ]
    for name, en, hi, sure in named:
        if not sure:
            yield _item(ReviewKind.TERM, name, en, hi, status, (en, hi), "hindi.json")


def _texts(known: Reference) -> Iterator[ReviewItem]:
    for one in known.consent_statements:
        if not one.reviewed:
            title = f"Consent: {one.purpose} ({one.version})"
            yield _item(ReviewKind.TEXT, f"consent_{one.purpose}", title, f"{one.hi} / {one.en}", one.status, one)


def review_items(known: Reference | None = None) -> tuple[ReviewItem, ...]:
    """Everything that is open in the data of this release, or in ``known``, each once, in a fixed order."""
    known = known or reference()
    found: dict[str, ReviewItem] = {}
    for one in (*_drugs(known.formulary), *_rules(known), *_terms(known), *_texts(known)):
        found.setdefault(one.item, one)
    return tuple(found.values())


def approvals_of(decided: Iterable[Decided], formulary: Iterable[DrugItem]) -> Approvals:
    """What the decisions mean for prescribing: only those about the content that this formulary has."""
    present: Mapping[str, ReviewItem] = {one.item: one for one in _drugs(formulary)}
    names: dict[Decision, set[str]] = {Decision.APPROVED: set(), Decision.REJECTED: set()}
    for one in decided:
        item = present.get(one.item)
        if item is not None and item.fingerprint == one.fingerprint:
            names[one.decision].add(item.item.removeprefix("drug:"))
    return Approvals(frozenset(names[Decision.APPROVED]), frozenset(names[Decision.REJECTED]))
