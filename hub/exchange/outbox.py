"""Which documents wait for the endpoint, in the store. Runs inside transactions; knows no HTTP and no clock.

A row names a document and holds nothing of it: it is made from the visit again when it is sent. So no second copy of a
record lies here, what was taken back meanwhile does not leave, and a visit that says something else now sends that.
"""

import logging
from collections.abc import Callable
from enum import StrEnum

from msgspec import Struct
from sqlalchemy import ColumnElement, Connection, and_, func, or_, select, update
from sqlalchemy import Row as Found
from sqlalchemy.exc import DBAPIError

from edge.model import consent
from edge.model.fhir import Document, Origin, documents
from edge.model.prescription import Site as Place
from edge.web.logs import say

from .. import audit, nodes, views
from ..directory import Site
from ..store.dialect import Row, insert_new, put_row
from ..store.schema import entries, exchange_documents, exchange_seen, visits
from .endpoint import Endpoint

logger = logging.getLogger("hub.exchange")
PAGE = 500
"""Entries that are looked through in one transaction."""
SETTLED_MS = 60_000
"""PostgreSQL gives numbers before it commits: entries are looked at when none below can still come."""
FIRST_MS, LONGEST_MS = 30_000, 6 * 3600_000
"""Pause before the second try of a document; it doubles up to the longest."""
Table = exchange_documents.c


class State(StrEnum):
    WAITING = "waiting"
    SENT = "sent"
    REFUSED = "refused"
    """The endpoint will not have it; a person has to look why."""
    WITHHELD = "withheld"
    """The consent is missing or was taken back; it waits for another word."""
    OUTDATED = "outdated"
    """The visit said something else before this was taken."""


class Due(Struct, frozen=True):
    """A document to be sent now."""

    document_id: str
    visit_id: str
    content: bytes


def backoff_ms(tries: int) -> int:
    """Pause after the ``tries``-th try."""
    return min(FIRST_MS << min(max(tries - 1, 0), 20), LONGEST_MS)


class Seen(Struct, frozen=True):
    """What a look through the entries found."""

    entry_id: int
    """The last entry that was looked at."""
    documents: dict[str, tuple[Document, ...] | None]
    """Of each visit that changed; None: without consent."""
    more: bool
    """Others may follow at once."""


def look(connection: Connection, endpoint: Endpoint, site_of: Callable[[str], Site], now_ms: int) -> Seen | None:
    """Go on through the entries, for the documents of visits that changed; None: nothing new. Only reads."""
    seen = connection.execute(
        select(exchange_seen.c.entry_id).where(exchange_seen.c.endpoint == endpoint.name)
    ).scalar()
    after = int(seen or 0)
    rows = connection.execute(
        select(entries.c.id, entries.c.visit_id, entries.c.patient_id, entries.c.received_ms)
        .where(entries.c.id > after)
        .order_by(entries.c.id)
        .limit(PAGE)
    ).all()
    settled = 0 if connection.dialect.name == "sqlite" else SETTLED_MS
    visit_ids: set[str] = set()
    patient_ids: set[str] = set()
    for row in rows:
        if now_ms - settled < row.received_ms <= now_ms + settled:
            break
        after = row.id
        visit_ids.add(row.visit_id)
        patient_ids.add(row.patient_id)
    if after == int(seen or 0):
        return None
    theirs = select(visits.c.visit_id).where(visits.c.patient_id.in_(patient_ids - {""}))
    visit_ids |= {row.visit_id for row in connection.execute(theirs)}
    found: dict[str, tuple[Document, ...] | None] = {}
    for visit_id in sorted(visit_ids - {""}):
        try:
            found[visit_id] = made(connection, endpoint, site_of, visit_id)
        except DBAPIError:
            raise
        except Exception as error:  # one visit that cannot be told keeps no other back
            say(logger, "fhir_not_made", logging.ERROR, error=type(error).__name__)
    return Seen(after, found, len(rows) == PAGE and after == rows[-1].id)


def keep(connection: Connection, endpoint: Endpoint, seen: Seen, now_ms: int) -> None:
    """Write down what a look found, and how far it came."""
    for visit_id, found in seen.documents.items():
        note(connection, endpoint, visit_id, found, now_ms)
    put_row(connection, exchange_seen, {"endpoint": endpoint.name, "entry_id": seen.entry_id})


def made(
    connection: Connection, endpoint: Endpoint, site_of: Callable[[str], Site], visit_id: str
) -> tuple[Document, ...] | None:
    """The documents of a visit as it stands, perhaps none; None without consent."""
    owned = views.load_visit(connection, visit_id)
    if owned is None:
        return ()
    patient = views.load_patient(connection, owned.visit.patient_id)
    known = views.visits_of_patient(connection, owned.visit.patient_id)
    if not consent.may_leave(owned.visit, known, endpoint.statements):
        return None
    if patient is None:
        return ()
    site = site_of(owned.node_id)
    worker = "" if site.home else nodes.worker_name(connection, owned.node_id, owned.visit.opened_by)
    origin = Origin(Place(site.site_name, site.site_code), worker, site.demo)
    return documents(owned.visit, patient, origin)


def note(
    connection: Connection, endpoint: Endpoint, visit_id: str, found: tuple[Document, ...] | None, now_ms: int
) -> None:
    """Let the visit's documents wait, unless they were sent or refused; what it says no more waits no longer."""
    for one in found or ():
        fresh: Row = {
            "endpoint": endpoint.name,
            "document_id": one.document_id,
            "visit_id": visit_id,
            "kind": one.kind.value,
            "state": State.WAITING.value,
            "tries": 0,
            "next_ms": now_ms,
            "code": "",
            "made_ms": now_ms,
            "done_ms": 0,
        }
        if not insert_new(connection, exchange_documents, fresh):
            back = and_(_is(endpoint, one.document_id), Table.state.in_((State.WITHHELD, State.OUTDATED)))
            values = {"state": State.WAITING.value, "next_ms": now_ms, "code": ""}
            connection.execute(update(exchange_documents).where(back).values(**values))
    current = {one.document_id for one in found or ()}
    waiting = select(Table.document_id).where(
        Table.endpoint == endpoint.name, Table.visit_id == visit_id, Table.state == State.WAITING
    )
    for row in connection.execute(waiting).all():
        if row.document_id not in current:
            state, code = (State.WITHHELD, "consent_missing") if found is None else (State.OUTDATED, "")
            settle(connection, endpoint, row.document_id, state, code, now_ms)


def due(connection: Connection, endpoint: Endpoint, now_ms: int, limit: int) -> list[tuple[str, str]]:
    """Ids of documents and visits that are to be tried now, whoever waits longest first."""
    # A row that lies further ahead than any pause comes from a clock that was wrong.
    now = or_(Table.next_ms <= now_ms, Table.next_ms > now_ms + LONGEST_MS)
    rows = connection.execute(
        select(Table.document_id, Table.visit_id)
        .where(Table.endpoint == endpoint.name, Table.state == State.WAITING, now)
        .order_by(Table.next_ms)
        .limit(limit)
    )
    return [(row.document_id, row.visit_id) for row in rows]


def begin(
    connection: Connection,
    endpoint: Endpoint,
    site_of: Callable[[str], Site],
    document_id: str,
    visit_id: str,
    now_ms: int,
) -> Due | None:
    """Write down that a document is about to leave, and give it; None when it may not leave (any more)."""
    try:
        found = made(connection, endpoint, site_of, visit_id)
    except DBAPIError:
        raise
    except Exception:  # as above: a person looks, the others go on
        settle(connection, endpoint, document_id, State.REFUSED, "fhir_not_made", now_ms)
        return None
    note(connection, endpoint, visit_id, found, now_ms)
    one = next((each for each in found or () if each.document_id == document_id), None)
    row = _row(connection, endpoint, document_id)
    if one is None or row is None or row.state != State.WAITING:
        return None
    if not row.tries:
        audit.record(connection, now_ms, "", "fhir_sending", visit_id, document_id)
    tries = row.tries + 1
    later = {"tries": min(tries, 1 << 20), "next_ms": now_ms + backoff_ms(tries)}
    connection.execute(update(exchange_documents).where(_is(endpoint, document_id)).values(**later))
    return Due(document_id, visit_id, one.content)


def finish(connection: Connection, endpoint: Endpoint, sent: Due, code: str, final: bool, now_ms: int) -> None:
    """Write down what became of it. ``code`` empty: the endpoint has it."""
    if not code:
        settle(connection, endpoint, sent.document_id, State.SENT, "", now_ms)
        audit.record(connection, now_ms, "", "fhir_exported", sent.visit_id, sent.document_id)
    elif final:
        settle(connection, endpoint, sent.document_id, State.REFUSED, code, now_ms)
        audit.record(connection, now_ms, "", code, sent.visit_id, sent.document_id)
    else:
        connection.execute(update(exchange_documents).where(_is(endpoint, sent.document_id)).values(code=code))


def settle(connection: Connection, endpoint: Endpoint, document_id: str, state: State, code: str, now_ms: int) -> None:
    """A document waits no longer."""
    values = {"state": state.value, "code": code, "done_ms": now_ms}
    connection.execute(update(exchange_documents).where(_is(endpoint, document_id)).values(**values))


def again(connection: Connection) -> int:
    """Let what was refused wait anew, after a person saw to it; how many that were."""
    refused = Table.state == State.REFUSED
    number = connection.execute(select(func.count()).select_from(exchange_documents).where(refused)).scalar() or 0
    fresh = {"state": State.WAITING.value, "tries": 0, "next_ms": 0, "code": ""}
    connection.execute(update(exchange_documents).where(refused).values(**fresh))
    return number


def counts(connection: Connection) -> dict[str, int]:
    """How many documents are in which state; of those that wait or were refused, by their last code too."""
    query = select(Table.state, Table.code, func.count()).group_by(Table.state, Table.code)
    return {f"{state}:{code}" if code else state: number for state, code, number in connection.execute(query)}


def _is(endpoint: Endpoint, document_id: str) -> ColumnElement[bool]:
    return and_(Table.endpoint == endpoint.name, Table.document_id == document_id)


def _row(connection: Connection, endpoint: Endpoint, document_id: str) -> "Found[tuple[object, ...]] | None":
    return connection.execute(select(exchange_documents).where(_is(endpoint, document_id))).first()
