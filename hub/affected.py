"""Who was affected: whose records were opened, by whom and when, from the audit logs alone: this hub's, and what the
nodes wrote of their own readers (security.md B4).

Names and clinical content stay out: a patient is an id, with the centre that can tell the person.
"""

import csv
from collections.abc import Collection, Iterable, Iterator
from typing import Final, TextIO

from msgspec import Struct
from sqlalchemy import Connection, and_, func, select, true

from edge.model.clock import IST_OFFSET_S, clock_text, day_of, day_text

from . import audit, node_reads
from .home.sites import CODE as HOME_CODE
from .store.schema import audit as lines
from .store.schema import nodes, patients, visits
from .store.schema_home import home_sites
from .store.schema_rights import audit_shown

DAY_MS: Final = 86_400_000
EARLY_LETTERS: Final = 8
IN_MAX: Final = 500
READS: Final = (
    *("record_opened", "media_opened", "preview_opened", "answer_opened"),
    *("note_opened", "draft_opened", "draft_checked"),
)
"""Audit actions that show content of a record; their subject is a visit."""
LISTS: Final = ("queue_shown", "early_shown")
"""Those that show a name, age and complaint of many; the visits stand beside the line."""


class Person(Struct, frozen=True):
    """One patient whose record was opened."""

    patient_id: str
    site_code: str
    district: str
    visit_ids: tuple[str, ...]
    actors: tuple[str, ...]
    first_ms: int
    last_ms: int
    opened: bool = True
    """False: only a list showed her."""


class Affected(Struct, frozen=True):
    people: tuple[Person, ...]
    reads: int
    audit_broken_at: int
    """0: the chain is whole, so that nothing was taken out of it."""
    unknown: int = 0
    """Visits that were read and are not here: erased by law, or of early copies whose entries never came."""
    at_nodes: int = 0
    """Of ``reads``, those at nodes, by what has arrived of their logs."""
    unsaid: int = 0
    """Lists at nodes that were opened without a word of whom they showed (people who are expected)."""


class Read(Struct, frozen=True):
    """One visit that somebody saw."""

    at_ms: int
    actor: str
    visit_id: str
    """Of an early copy its first letters."""
    listed: bool = False
    patient_id: str = ""
    """When the person was opened and not a visit."""


class Owner(Struct, frozen=True):
    """Whose visit it is."""

    visit_id: str
    patient_id: str
    site_code: str
    district: str


def span_of(first: int, last: int) -> tuple[int, int]:
    """Beginning and end of Indian days, both of them whole, in ms."""
    return first * DAY_MS - IST_OFFSET_S * 1000, (last + 1) * DAY_MS - IST_OFFSET_S * 1000


def asked(connection: Connection, actor: str, place: str, now_ms: int, asker: str) -> None:
    """Audit who asked, and about whom."""
    audit.record(connection, now_ms, asker, "affected_listed", f"{actor}@{place}" if place else actor)


def look(connection: Connection, actor: str, from_ms: int, to_ms: int, place: str = "") -> Affected:
    """Patients whose records were opened in a span, by one account here or at a node, or (``""``) by any.

    ``place``: a centre's code or a node's id: only what was opened there. Only reads.
    """
    seen = _Seen()
    if not place:
        seen.take(_here(connection, actor, from_ms, to_ms))
    said = node_reads.lines(connection, actor, place, from_ms, to_ms)
    here = seen.opened
    seen.take(
        Read(one.line.at_ms, one.line.actor, one.visit_id, one.listed, one.patient_id)
        for one in node_reads.whom(connection, said)
    )
    owners = _owners(connection, {visit_id for visit_id, _ in seen.looks if visit_id})
    owners |= _registered(connection, {patient_id for _, patient_id in seen.looks if patient_id})
    unknown = sum(bool(visit_id) and visit_id not in owners for visit_id, _ in seen.looks)
    unsaid = sum(one.action in node_reads.UNSAID for one in said)
    whole = audit.verify(connection)
    return Affected(seen.people(owners), seen.opened, whole, unknown, seen.opened - here, unsaid)


class _Look(Struct):
    """All looks at one visit."""

    first_ms: int
    last_ms: int
    actors: int
    """A bit for each: a list shows a visit to a hundred doctors, and there are hundreds of thousands of visits."""
    opened: bool


class _Seen:
    """Who saw what, as far as it was gone through: no look is kept by itself."""

    def __init__(self) -> None:
        self.looks: dict[tuple[str, str], _Look] = {}
        """By visit and (when that is empty) patient."""
        self.opened = 0
        """Looks at more than a list."""
        self._actors: dict[str, int] = {}

    def take(self, reads: Iterable[Read]) -> None:
        for read in reads:
            actor = 1 << self._actors.setdefault(read.actor, len(self._actors))
            self.opened += not read.listed
            known = self.looks.get((read.visit_id, read.patient_id))
            if known is None:
                look = _Look(read.at_ms, read.at_ms, actor, not read.listed)
                self.looks[read.visit_id, read.patient_id] = look
            else:
                known.first_ms, known.last_ms = min(known.first_ms, read.at_ms), max(known.last_ms, read.at_ms)
                known.actors |= actor
                known.opened |= not read.listed

    def people(self, owners: dict[str, Owner]) -> tuple[Person, ...]:
        """Whose visits these are, whoever was seen first before the others."""
        looks: dict[str, _Look] = {}
        theirs: dict[str, tuple[Owner, set[str]]] = {}
        for (visit_id, patient_id), one in self.looks.items():
            owner = owners.get(visit_id or patient_id)
            if owner is None:
                continue
            theirs.setdefault(owner.patient_id, (owner, set()))[1].add(owner.visit_id)
            known = looks.get(owner.patient_id, one)
            looks[owner.patient_id] = _Look(
                min(known.first_ms, one.first_ms),
                max(known.last_ms, one.last_ms),
                known.actors | one.actors,
                known.opened or one.opened,
            )
        names: dict[int, tuple[str, ...]] = {}
        found = []
        for patient_id, (owner, visit_ids) in theirs.items():
            one = looks[patient_id]
            if one.actors not in names:
                names[one.actors] = tuple(sorted(name for name, at in self._actors.items() if one.actors >> at & 1))
            times = (one.first_ms, one.last_ms, one.opened)
            visits_seen = tuple(sorted(visit_ids - {""}))
            found.append(Person(patient_id, owner.site_code, owner.district, visits_seen, names[one.actors], *times))
        return tuple(sorted(found, key=lambda person: person.first_ms))


def _here(connection: Connection, actor: str, from_ms: int, to_ms: int) -> Iterator[Read]:
    """What this hub's own audit says."""
    within = and_(lines.c.at_ms >= from_ms, lines.c.at_ms < to_ms)
    mine = lines.c.actor == actor if actor else true()
    opened = select(lines.c.at_ms, lines.c.actor, lines.c.subject).where(within, mine, lines.c.action.in_(READS))
    for row in connection.execute(opened.execution_options(yield_per=audit.AT_ONCE)):
        yield Read(row.at_ms, row.actor, row.subject)
    listed = select(lines.c.at_ms, lines.c.actor, audit_shown.c.ids).join(audit_shown, audit_shown.c.seq == lines.c.seq)
    listed = listed.where(within, mine, lines.c.action.in_(LISTS))
    for row in connection.execute(listed.execution_options(yield_per=audit.AT_ONCE)):
        for one in audit.shown(bytes(row.ids)):
            yield Read(row.at_ms, row.actor, one, listed=True)


def _registered(connection: Connection, wanted: Collection[str]) -> dict[str, Owner]:
    """People by their own ids."""
    query = select(patients.c.patient_id, nodes.c.site_code, nodes.c.district)
    query = query.join(nodes, nodes.c.node_id == patients.c.node_id)
    found: dict[str, Owner] = {}
    whole = sorted(wanted)
    for at in range(0, len(whole), IN_MAX):
        for row in connection.execute(query.where(patients.c.patient_id.in_(whole[at : at + IN_MAX]))):
            found[row.patient_id] = Owner("", row.patient_id, row.site_code, row.district)
    return found


def _no_formula(cell: str) -> str:
    """A spreadsheet runs what begins like a formula."""
    return "'" + cell if cell[:1] in tuple("=+-@\t\r") else cell


COLUMNS: Final = ("patient_id", "centre", "district", "visits", "seen_by", "first", "last", "opened")


def write_csv(found: Affected, out: TextIO) -> None:
    """One line a patient, without a name: whose centre can tell her. Times are Indian."""
    rows = csv.writer(out)
    rows.writerow(COLUMNS)
    for one in found.people:
        seen = _no_formula(" ".join(one.actors))
        times = (f"{day_text(day_of(ms))} {clock_text(ms)}" for ms in (one.first_ms, one.last_ms))
        opened = "yes" if one.opened else "list only"
        place = (_no_formula(one.site_code), _no_formula(one.district))
        rows.writerow((one.patient_id, *place, " ".join(one.visit_ids), seen, *times, opened))


def _owners(connection: Connection, wanted: Collection[str]) -> dict[str, Owner]:
    """Whose visits these are, by what was asked for: a visit's id, or the beginning that an early copy has."""
    short = {one for one in wanted if len(one) == EARLY_LETTERS}
    columns = (
        visits.c.visit_id,
        visits.c.patient_id,
        func.coalesce(nodes.c.site_code, HOME_CODE).label("site_code"),
        func.coalesce(nodes.c.district, home_sites.c.district, "").label("district"),
    )
    query = select(*columns).outerjoin(nodes, nodes.c.node_id == visits.c.node_id)
    query = query.outerjoin(home_sites, home_sites.c.node_id == visits.c.node_id)
    found: dict[str, Owner] = {}
    whole = sorted(set(wanted) - short)
    for at in range(0, len(whole), IN_MAX):
        for row in connection.execute(query.where(visits.c.visit_id.in_(whole[at : at + IN_MAX]))):
            found[row.visit_id] = Owner(*row)
    for one in sorted(short):
        for row in connection.execute(query.where(visits.c.visit_id.startswith(one)).limit(1)):
            found[one] = Owner(*row)
    return found
