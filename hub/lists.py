"""The lists that prescribing and triage stand on: which version runs, how much of it is open, and who decided what.

Only reads. The decisions' history is the audit log's own: the table of reviews holds the last one of each item.
"""

from collections import Counter
from typing import Final

from msgspec import Struct
from sqlalchemy import Connection, select

from edge.model.reference import list_versions
from edge.model.review import ReviewItem, review_items

from . import formularies
from .store.schema import audit, doctors, reviews

HISTORY_MAX: Final = 200


class ListVersion(Struct, frozen=True):
    """One list as it runs here."""

    name: str
    version: str
    status: str
    """Its own words about how far it may be believed; empty: none."""


class Kind(Struct, frozen=True):
    """Items of one kind that our sources left open."""

    kind: str
    open: int
    approved: int
    rejected: int


class Decided(Struct, frozen=True):
    """One decision of a medical officer."""

    at_ms: int
    person_id: str
    person_name: str
    item: str
    title: str
    decision: str
    present: bool
    """It is of the content that runs now."""


class Lists(Struct, frozen=True):
    versions: tuple[ListVersion, ...]
    kinds: tuple[Kind, ...]
    history: tuple[Decided, ...]
    """The latest first."""


def lists(connection: Connection) -> Lists:
    """All of it."""
    now = formularies.standing(connection)
    items = {one.item: one for one in review_items(formularies.with_formulary(now))}
    standing = {
        row.item: row.decision
        for row in connection.execute(select(reviews))
        if row.item in items and row.fingerprint == items[row.item].fingerprint
    }
    counts: dict[str, Counter[str]] = {}
    for one in items.values():
        counts.setdefault(one.kind.value, Counter())[standing.get(one.item, "open")] += 1
    kinds = tuple(Kind(kind, n["open"], n["approved"], n["rejected"]) for kind, n in counts.items())
    counting = {"formulary": now.content.version}
    versions = tuple(
        ListVersion(name, counting.get(name, about.version), about.status) for name, about in list_versions().items()
    )
    return Lists(versions, kinds, _history(connection, items))


def _history(connection: Connection, items: dict[str, ReviewItem]) -> tuple[Decided, ...]:
    query = (
        select(audit, doctors.c.name)
        .join(doctors, doctors.c.doctor_id == audit.c.actor, isouter=True)
        .where(audit.c.action.in_(("review_approved", "review_rejected")))
        .order_by(audit.c.seq.desc())
        .limit(HISTORY_MAX)
    )
    return tuple(
        Decided(
            row.at_ms,
            row.actor,
            row.name or row.actor,
            row.subject,
            items[row.subject].title if row.subject in items else row.subject,
            row.action.removeprefix("review_"),
            row.subject in items and items[row.subject].fingerprint == row.result,
        )
        for row in connection.execute(query)
    )
