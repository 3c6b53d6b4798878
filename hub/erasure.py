"""Erasing what is kept of a person, where no time of keeping stands against it. Plans, and carries out; asks nobody.

An entry becomes the hash that the chain needs (:mod:`edge.sync.log`): the log verifies as before and says nothing. All
that was derived from it goes in the same transaction; files on shelves, whose keys go here, follow
(:mod:`hub.erasure_desk`). Knows no socket and no HTTP.
"""

from collections.abc import Container, Iterable, Sequence
from typing import Final

from msgspec import Struct
from sqlalchemy import Connection, delete, func, select, update

from edge.model import events as ev
from edge.sync.erased import NAMES_MAX, name_of
from edge.sync.log import Stream, commitment, own_salt

from . import erased, nominees, quarantine, stock, views
from .down import DownBlob, Speaker, speak, visit_salt
from .home.sites import is_home
from .keys import Keyring, KeysRefused
from .retention import Class, settings
from .store.dialect import insert_new, lock
from .store.schema import (
    blob_chunks,
    blobs,
    entries,
    exchange_documents,
    node_stock,
    notes,
    patients,
    rota_waits,
    rx_drafts,
    visits,
)
from .store.schema import down as downs
from .store.schema import quarantine as aside_rows
from .store.schema_home import (
    home_accounts,
    home_codes,
    home_devices,
    home_messages,
    home_passes,
    home_people,
    home_pushed,
    home_pushes,
    home_sessions,
)
from .store.schema_office import glass, rota_left
from .store.schema_rights import erased_files

DAY_MS: Final = 86_400_000
MEDIA_ATTACHED: Final = ev.KIND_OF[ev.MediaAttached]


class Item(Struct, frozen=True):
    """One thing that is kept of a person, and what an erasure would do to it."""

    name: Class
    visit_id: str
    """Empty for what belongs to no visit."""
    last_ms: int
    """When the hub heard of it last."""
    goes: bool
    why: str = ""
    """Why it stays: ``kept`` (no time is fixed), ``time``, ``open`` (the visit is), ``visits`` (some of them stay)."""
    until_ms: int = 0
    """For ``time``: until when."""
    entries: int = 0
    blobs: int = 0
    documents: int = 0
    """Sent to another system, which has to be asked by itself."""


class Plan(Struct, frozen=True):
    """What would go and what stays."""

    patient_id: str
    node_id: str
    items: tuple[Item, ...]

    @property
    def goes(self) -> tuple[Item, ...]:
        return tuple(item for item in self.items if item.goes)


class Done(Struct, frozen=True):
    """What was erased."""

    visits: int
    entries: int
    blobs: int
    names: tuple[bytes, ...]
    """Of all of it, for the node."""


def plan(connection: Connection, patient_id: str, now_ms: int) -> Plan | None:
    """What would go if it were erased now; None for nobody who is known here. Writes nothing."""
    node_id = views.node_of_patient(connection, patient_id)
    if not node_id:
        return None
    kept = settings(connection)
    items: list[Item] = []
    rows = connection.execute(select(visits.c.visit_id, visits.c.open).where(visits.c.patient_id == patient_id)).all()
    for row in sorted(rows, key=lambda row: str(row.visit_id)):
        mine = entries.c.visit_id == row.visit_id
        last_ms, count = connection.execute(select(func.max(entries.c.received_ms), func.count()).where(mine)).one()
        item = _judge(Class.CLINICAL, row.visit_id, int(last_ms or 0), kept[Class.CLINICAL].keep_days, now_ms)
        if row.open:
            item = _stays(item, "open")
        items.append(_counted(connection, item, count))
        broken = select(func.max(glass.c.at_ms)).where(glass.c.visit_id == row.visit_id)
        if at_ms := connection.execute(broken).scalar():
            reasons = _judge(Class.REASONS, row.visit_id, int(at_ms), kept[Class.REASONS].keep_days, now_ms)
            items.append(reasons if item.goes or not reasons.goes else _stays(reasons, "visits"))
    all_go = all(item.goes for item in items if item.name is Class.CLINICAL)
    mine = entries.c.patient_id == patient_id
    last_ms, count = connection.execute(select(func.max(entries.c.received_ms), func.count()).where(mine)).one()
    item = _judge(Class.REGISTRATION, "", int(last_ms or 0), kept[Class.REGISTRATION].keep_days, now_ms)
    item = item if all_go else _stays(item, "visits")
    items.append(_counted(connection, item, count))
    if account := _only_account(connection, patient_id):
        used = select(func.max(home_sessions.c.used_ms)).where(home_sessions.c.account_id == account[0])
        last_ms = max(account[1], int(connection.execute(used).scalar() or 0))
        number = _judge(Class.ACCOUNT, "", last_ms, kept[Class.ACCOUNT].keep_days, now_ms)
        items.append(number if item.goes else _stays(number, "visits"))
    return Plan(patient_id, node_id, tuple(items))


def _judge(name: Class, visit_id: str, last_ms: int, keep_days: int, now_ms: int) -> Item:
    until_ms = last_ms + keep_days * DAY_MS
    if not keep_days:
        return Item(name, visit_id, last_ms, False, "kept")
    if until_ms > now_ms:
        return Item(name, visit_id, last_ms, False, "time", until_ms)
    return Item(name, visit_id, last_ms, True)


def _stays(item: Item, why: str) -> Item:
    return Item(item.name, item.visit_id, item.last_ms, False, item.why or why, item.until_ms)


def _counted(connection: Connection, item: Item, count: int) -> Item:
    files = sent = 0
    if item.visit_id:
        mine = select(func.count()).where(blobs.c.visit_id == item.visit_id, blobs.c.state != "removed")
        files = connection.execute(mine).scalar() or 0
        gone = (exchange_documents.c.visit_id == item.visit_id, exchange_documents.c.done_ms > 0)
        sent = connection.execute(select(func.count()).where(*gone)).scalar() or 0
    return Item(item.name, item.visit_id, item.last_ms, item.goes, item.why, item.until_ms, count, files, sent)


def _only_account(connection: Connection, patient_id: str) -> tuple[str, int] | None:
    """The account at home whose only person this is, and when it was made."""
    owner = select(home_people.c.account_id).where(home_people.c.patient_id == patient_id)
    for account_id in connection.execute(owner).scalars().all():
        people = select(func.count()).where(home_people.c.account_id == account_id)
        if connection.execute(people).scalar() == 1:
            made = select(home_accounts.c.made_ms).where(home_accounts.c.account_id == account_id)
            return str(account_id), int(connection.execute(made).scalar() or 0)
    return None


def carry_out(connection: Connection, keys: Keyring, found: Plan, erasure_id: str, now_ms: int) -> Done:
    """Erase what goes by a plan that was made in this transaction."""
    visit_ids = [item.visit_id for item in found.goes if item.name is Class.CLINICAL]
    person = [found.patient_id] if any(item.name is Class.REGISTRATION for item in found.goes) else []
    done = erase(connection, keys, found.node_id, visit_ids, person, erasure_id, now_ms)
    others: list[bytes] = []
    for item in found.goes:
        if item.name is Class.REASONS:
            others.append(_reasons_of(item.visit_id))
            connection.execute(delete(glass).where(glass.c.visit_id == item.visit_id))
        elif item.name is Class.ACCOUNT and (account := _only_account(connection, found.patient_id)):
            others.append(name_of(account[0]))
            _erase_account(connection, account[0])
    for name in others:
        erased.put(connection, keys, name, b"", found.node_id, erasure_id, now_ms)
    if person:
        connection.execute(delete(home_people).where(home_people.c.patient_id == found.patient_id))
    return Done(done.visits, done.entries, done.blobs, (*done.names, *others))


def _reasons_of(visit_id: str) -> bytes:
    """The name of what was written when the glass was broken for a visit."""
    return name_of(f"reasons {visit_id}")


def erase(
    connection: Connection,
    keys: Keyring,
    node_id: str,
    visit_ids: Sequence[str],
    patient_ids: Sequence[str],
    erasure_id: str,
    now_ms: int,
) -> Done:
    """Erase these visits and people, whatever stands against it; a list that says so was kept. Idempotent."""
    erased.going(connection)
    for visit_id in sorted(visit_ids):
        lock(connection, visit_id)  # whoever writes a note or a draft of it at this moment
    named = select(blobs.c.node_id, blobs.c.blob_id).where(blobs.c.visit_id.in_(visit_ids))
    files = connection.execute(named).all()
    ids = [*visit_ids, *patient_ids, *(row.blob_id for row in files)]
    salts = {visit_id: visit_salt(connection, node_id, visit_id) for visit_id in visit_ids}
    at_home = is_home(connection, node_id)
    for one in ids:
        salt = b"" if at_home else salts.get(one, b"")
        erased.put(connection, keys, name_of(one), salt if any(salt) else b"", node_id, erasure_id, now_ms)
    count = 0
    for visit_id in visit_ids:
        count += _erase_entries(connection, entries.c.visit_id == visit_id, visit_id)
        _erase_views(connection, visit_id)
    for patient_id in patient_ids:
        count += _erase_entries(connection, entries.c.patient_id == patient_id, "")
        connection.execute(delete(patients).where(patients.c.patient_id == patient_id))
        nominees.erase(connection, patient_id)
    for row in files:
        insert_new(connection, erased_files, {"name": f"{row.node_id}/{row.blob_id}"})
        for table in (blobs, blob_chunks):
            connection.execute(delete(table).where(table.c.node_id == row.node_id, table.c.blob_id == row.blob_id))
    _erase_aside(connection, keys, node_id, [one.encode() for one in ids])
    return Done(len(visit_ids), count, len(files), tuple(name_of(one) for one in ids))


def _erase_entries(connection: Connection, which: "object", visit_id: str) -> int:
    """Leave of these entries what their chains need, and of what carried them to nodes nothing."""
    columns = (entries.c.id, entries.c.node_id, entries.c.run, entries.c.stream, entries.c.seq)
    query = select(*columns, entries.c.c, entries.c.raw, entries.c.kind, entries.c.stamp)
    rows = connection.execute(query.where(which)).all()  # type: ignore[arg-type]
    # before the visit's first entry goes, which holds the salt
    salts = {name: visit_salt(connection, name, visit_id) for name in {row.node_id for row in rows if row.c is None}}
    for row in rows:
        c = row.c
        if c is None:  # its chain has not come so far, or it was given back by its node
            event = found[1] if (found := views.readable(bytes(row.raw))) is not None else None
            salt = (own_salt(event) if event is not None else None) or salts[row.node_id]
            c = commitment(bytes(row.raw), salt, Stream(row.stream), row.seq) if any(salt) or not visit_id else None
        blank: dict[str, object] = {"raw": b"", "c": c, "kind": 0, "visit_id": "", "patient_id": ""}
        if not visit_id:
            blank["stamp"] = 0  # without a salt nothing that helps a guess may stay
        connection.execute(update(entries).where(entries.c.id == row.id).values(blank))
        place = (downs.c.node_id == row.node_id, downs.c.run == row.run, downs.c.stream == row.stream)
        over = (*place, downs.c.first_seq <= row.seq, downs.c.last_seq >= row.seq)
        connection.execute(delete(downs).where(*over, downs.c.stored_ms == 0))
        connection.execute(update(downs).where(*over).values(blob=b""))
        if row.kind in stock.KINDS:
            move = (node_stock.c.node_id == row.node_id, node_stock.c.stamp == row.stamp)
            connection.execute(delete(node_stock).where(*move))
    return len(rows)


def _erase_views(connection: Connection, visit_id: str) -> None:
    for table in (visits, notes, rx_drafts, rota_waits, rota_left, exchange_documents):
        connection.execute(delete(table).where(table.c.visit_id == visit_id))
    for table in (home_passes, home_messages, home_pushed):
        connection.execute(delete(table).where(table.c.visit_id == visit_id))


def _erase_account(connection: Connection, account_id: str) -> None:
    mac = connection.execute(
        select(home_accounts.c.number_mac).where(home_accounts.c.account_id == account_id)
    ).scalar_one()
    for table in (home_sessions, home_people, home_pushes, home_pushed, home_accounts):
        connection.execute(delete(table).where(table.c.account_id == account_id))
    for table in (home_codes, home_devices, home_passes):
        connection.execute(delete(table).where(table.c.number_mac == mac))


def _erase_aside(connection: Connection, keys: Keyring, node_id: str, ids: Iterable[bytes]) -> None:
    """What lies in quarantine and speaks of them. A bundle that nobody here can read tells nothing, and stays."""
    wanted = tuple(ids)
    mine = aside_rows.c.node_id == node_id
    for number in connection.execute(select(aside_rows.c.id).where(mine)).scalars().all():
        try:
            found = quarantine.content_of(connection, keys, number)
        except KeysRefused:
            continue
        if found is not None and any(one in found[2] for one in wanted):
            connection.execute(delete(aside_rows).where(aside_rows.c.id == number))


def tell(connection: Connection, speaker: Speaker, node_id: str, names: Sequence[bytes], now_ms: int) -> list[DownBlob]:
    """Say it to the node, which keeps it and gives it back to a hub that has lost it. Send after the commit."""
    parts = [tuple(names[at : at + NAMES_MAX]) for at in range(0, len(names), NAMES_MAX)]
    return [speak(connection, speaker, node_id, (ev.RecordsErased(part),), "", now_ms) for part in parts]


def again(connection: Connection, keys: Keyring, names: dict[bytes, str], now_ms: int) -> int:
    """Erase what an older copy brought back of what these names say; how many things and people. Idempotent."""
    known = erased.listed(connection)
    fresh = {name: node_id for name, node_id in names.items() if name not in known}
    if not fresh:
        return 0
    nodes = set(fresh.values())
    found = _others_again(connection, fresh)
    for node_id in sorted(nodes):
        mine = select(visits.c.visit_id).where(visits.c.node_id == node_id)
        gone = [one for one in connection.execute(mine).scalars().all() if name_of(one) in fresh]
        people = select(patients.c.patient_id).where(patients.c.node_id == node_id)
        persons = [one for one in connection.execute(people).scalars().all() if name_of(one) in fresh]
        if gone:
            erase(connection, keys, node_id, gone, (), "", now_ms)
        persons = [one for one in persons if not views.has_visit(connection, one)]  # else she came again since
        if persons:
            erase(connection, keys, node_id, (), persons, "", now_ms)
            for patient_id in persons:
                connection.execute(delete(home_people).where(home_people.c.patient_id == patient_id))
        found += len(gone) + len(persons)
    for name, node_id in fresh.items():
        erased.put(connection, keys, name, b"", node_id, "", now_ms)
    return found


def _others_again(connection: Connection, names: Container[bytes]) -> int:
    """Reasons and numbers of accounts that these names say."""
    broken = connection.execute(select(glass.c.visit_id).distinct()).scalars().all()
    reasons = [one for one in broken if _reasons_of(one) in names]
    connection.execute(delete(glass).where(glass.c.visit_id.in_(reasons)))
    held = connection.execute(select(home_accounts.c.account_id)).scalars().all()
    accounts = [one for one in held if name_of(one) in names]
    for account_id in accounts:
        _erase_account(connection, account_id)
    return len(reasons) + len(accounts)
