"""Versions of the formulary: drafted by one person, compared, approved by another, and which one counts now.

What is approved last counts, at once and in every process, since the gate reads it in the transaction that signs.
Which names are prohibited is the program's (:mod:`edge.model.substances`): no version opens those.
"""

import hashlib
import re
from enum import StrEnum
from functools import lru_cache
from typing import Final

import msgspec
from msgspec import Struct
from sqlalchemy import Connection, func, insert, select, update

from edge.model.errors import BadInput, NotFound, Refused
from edge.model.reference import DrugItem, Formulary, Reference, formulary, reference

from . import audit
from .store.dialect import lock
from .store.schema import doctors
from .store.schema_office import formulary_versions as versions

ITEMS_MAX: Final = 2000
KNOWN_MAX: Final = 50
OF_RELEASE: Final = 0
"""The number of the formulary that this release carries."""
_ID: Final = re.compile(r"[A-Z][0-9]{3,5}")
_FIELDS: Final = tuple(name for name in DrugItem.__struct_fields__ if name != "id")


class State(StrEnum):
    DRAFT = "draft"
    APPROVED = "approved"
    REJECTED = "rejected"


class Standing(Struct, frozen=True):
    """The formulary that counts."""

    number: int
    """0: of the release."""
    content: Formulary
    sha256: str


class Version(Struct, frozen=True):
    """A version that somebody wrote."""

    number: int
    version: str
    sha256: str
    note: str
    drafted_ms: int
    drafted_by: str
    """A name."""
    drafter_id: str
    state: State
    decided_ms: int
    decided_by: str
    decided_note: str


class Field(Struct, frozen=True):
    """One field of a medicine that is otherwise."""

    name: str
    before: str
    after: str


class Difference(Struct, frozen=True):
    """A medicine that is new, gone, or otherwise."""

    drug_id: str
    title: str
    kind: str
    """added, removed, changed."""
    fields: tuple[Field, ...]


_decode = msgspec.json.Decoder(Formulary).decode
_known: Final[dict[str, Formulary]] = {}
"""By their hash: versions that were read lately. A content is never changed."""


def encode(content: Formulary) -> bytes:
    """The bytes that are kept and hashed."""
    return msgspec.json.encode(content)


@lru_cache(maxsize=1)
def of_release() -> Standing:
    """What this release carries."""
    return Standing(OF_RELEASE, formulary(), hashlib.sha256(encode(formulary())).hexdigest())


def standing(connection: Connection) -> Standing:
    """The formulary that counts: what was approved last, or that of the release."""
    columns = (versions.c.number, versions.c.sha256)
    query = select(*columns).where(versions.c.state == State.APPROVED.value).order_by(versions.c.decided_ms.desc())
    row = connection.execute(query.limit(1)).first()
    return of_release() if row is None else Standing(row.number, _content(connection, row.sha256), row.sha256)


def reference_now(connection: Connection) -> Reference:
    """The reference with the formulary that counts."""
    return with_formulary(standing(connection))


def with_formulary(now: Standing) -> Reference:
    """The reference with this formulary."""
    if now.number == OF_RELEASE:
        return reference()
    return msgspec.structs.replace(reference(), formulary=now.content.items)


def listed(connection: Connection) -> list[Version]:
    """All versions that were written here, the last first."""
    names = {row.doctor_id: row.name for row in connection.execute(select(doctors.c.doctor_id, doctors.c.name))}
    columns = [one for one in versions.c if one.name != "content"]
    return [
        Version(
            row.number,
            row.version,
            row.sha256,
            row.note,
            row.drafted_ms,
            names.get(row.drafted_by, row.drafted_by),
            row.drafted_by,
            State(row.state),
            row.decided_ms,
            names.get(row.decided_by, row.decided_by),
            row.decided_note,
        )
        for row in connection.execute(select(*columns).order_by(versions.c.number.desc()))
    ]


def content_of(connection: Connection, number: int) -> Formulary:
    """What a version says. Raises NotFound."""
    if number == OF_RELEASE:
        return formulary()
    sha256 = connection.execute(select(versions.c.sha256).where(versions.c.number == number)).scalar()
    if sha256 is None:
        raise NotFound("There is no such version.")
    return _content(connection, sha256)


def _content(connection: Connection, sha256: str) -> Formulary:
    """A version by its hash, read and decoded once: each check of a draft asks for the one that counts."""
    found = _known.get(sha256)
    if found is None:
        found = _decode(connection.execute(select(versions.c.content).where(versions.c.sha256 == sha256)).scalar_one())
        if len(_known) >= KNOWN_MAX:
            _known.clear()
        _known[sha256] = found
    return found


def parse(raw: bytes) -> Formulary:
    """A formulary in the form of ``edge/model/data/formulary.json``. Raises BadInput, naming the medicine."""
    try:
        found = _decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise BadInput(f"This is no formulary: {error}.", field="content") from None
    if not re.fullmatch(r"[0-9A-Za-z][0-9A-Za-z ._-]{0,59}", found.version):
        raise BadInput("The version has 1 to 60 letters, digits, dots and dashes.", field="version")
    if not 1 <= len(found.items) <= ITEMS_MAX:
        raise BadInput(f"A formulary has between 1 and {ITEMS_MAX} medicines.", field="items")
    seen: set[str] = set()
    for one in found.items:
        if not _ID.fullmatch(one.id) or one.id in seen:
            raise BadInput(f"{one.id[:20]}: an id is a letter and digits, and stands once.", field="id")
        seen.add(one.id)
        texts = (one.generic, one.form, one.strength, one.status, one.tpg_list, one.tpg_status)
        if any(not text.strip() or len(text) > 200 or not text.isprintable() for text in texts):
            raise BadInput(f"{one.id}: name, form, strength, list letter and both states are needed.", field=one.id)
    return found


def draft(connection: Connection, raw: bytes, note: str, now_ms: int, actor: str) -> int:
    """Keep a new version for somebody else to approve; its number. It changes nothing yet.

    Raises BadInput, Refused(formulary_known, drug_id_reused).
    """
    fresh = parse(raw)
    content = encode(fresh)
    digest = hashlib.sha256(content).hexdigest()
    lock(connection, "formulary")
    rows = connection.execute(select(versions.c.version, versions.c.sha256)).all()
    taken = {row.version for row in rows} | {formulary().version}
    if fresh.version in taken or digest in {row.sha256 for row in rows}:
        raise Refused("A version of this name or content is here already. Give it a new one.", code="formulary_known")
    for other in (formulary(), *(_content(connection, row.sha256) for row in rows)):
        _need_same_medicines(other, fresh)
    number = int(connection.execute(select(func.max(versions.c.number))).scalar() or OF_RELEASE) + 1
    connection.execute(
        insert(versions).values(
            number=number,
            version=fresh.version,
            sha256=digest,
            content=content,
            note=note,
            drafted_ms=now_ms,
            drafted_by=actor,
            state=State.DRAFT.value,
            decided_ms=0,
            decided_by="",
            decided_note="",
        )
    )
    audit.record(connection, now_ms, actor, "formulary_drafted", fresh.version, digest[:60])
    return number


def decide(
    connection: Connection, number: int, seen: int, now_ms: int, actor: str, *, approve: bool, note: str = ""
) -> None:
    """Approve a draft, which counts from then on, or reject it. Never by who wrote it.

    ``seen``: number of the version that it was compared with. Raises NotFound, Refused(own_draft, formulary_decided,
    formulary_outdated).
    """
    lock(connection, "formulary")
    row = connection.execute(select(versions).where(versions.c.number == number)).first()
    if row is None:
        raise NotFound("There is no such version.")
    if row.drafted_by == actor:
        raise Refused("You wrote this version. Somebody else approves or rejects it.", code="own_draft")
    if row.state != State.DRAFT.value:
        raise Refused("This version was approved or rejected already.", code="formulary_decided")
    if approve and standing(connection).number != seen:
        raise Refused("Another version counts since. Compare it anew.", code="formulary_outdated")
    state = State.APPROVED if approve else State.REJECTED
    latest = int(connection.execute(select(func.max(versions.c.decided_ms))).scalar() or 0)
    values = {
        "state": state.value,
        "decided_ms": max(now_ms, latest + 1),
        "decided_by": actor,
        "decided_note": note,
    }
    connection.execute(update(versions).where(versions.c.number == number).values(values))
    audit.record(connection, now_ms, actor, f"formulary_{state.value}", row.version, row.sha256[:60])


def compare(before: Formulary, after: Formulary) -> tuple[Difference, ...]:
    """What is otherwise, by the id of the medicine."""
    old = {one.id: one for one in before.items}
    new = {one.id: one for one in after.items}
    found = []
    for drug_id in sorted(old.keys() | new.keys()):
        was, now = old.get(drug_id), new.get(drug_id)
        if was == now:
            continue
        some = now or was
        assert some is not None
        kind = "added" if was is None else "removed" if now is None else "changed"
        fields = tuple(
            Field(name, _text(was, name), _text(now, name)) for name in _FIELDS if _text(was, name) != _text(now, name)
        )
        found.append(Difference(drug_id, f"{some.generic} {some.form} {some.strength}", kind, fields))
    return tuple(found)


def _text(drug: DrugItem | None, name: str) -> str:
    value = "" if drug is None else getattr(drug, name)
    return "; ".join(value) if isinstance(value, tuple) else str(value)


def _need_same_medicines(other: Formulary, fresh: Formulary) -> None:
    """An id that stood for one medicine never stands for another: signed prescriptions and shelves go by it."""
    known = {one.id: one for one in other.items}
    for one in fresh.items:
        was = known.get(one.id)
        if was is not None and (was.generic, was.form, was.strength) != (one.generic, one.form, one.strength):
            text = f"{one.id} is {was.generic} {was.form} {was.strength}. Give another medicine a new id."
            raise Refused(text, code="drug_id_reused", field=one.id)
