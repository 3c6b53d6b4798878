"""Medical review: what a medical officer has decided about the open items of this release, and who may decide.

The items are made from the data (:mod:`edge.model.review`); here are the decisions. Each one goes
into the hash-chained audit log; the table holds the last one of each item.
"""

from collections.abc import Iterable

from msgspec import Struct
from sqlalchemy import Connection, select

from edge.model.drug_gate import Approvals
from edge.model.errors import BadInput, Forbidden, NotFound, Refused
from edge.model.reference import DrugItem
from edge.model.review import Decided, Decision, ReviewItem, approvals_of, review_items

from . import audit
from .desk import Desk
from .doctors import Doctor, find_account
from .formularies import reference_now
from .permits import Role
from .store.dialect import insert_new, put_row
from .store.schema import reviews, roles

MEDICAL_OFFICER = Role.MEDICAL_OFFICER.value
"""May approve and reject."""


class Reviewed(Struct, frozen=True):
    """An item with what was decided about it last."""

    item: ReviewItem
    decision: Decision | None = None
    """null: nobody has decided, or what was decided was about another content."""
    by: str = ""
    note: str = ""
    at_ms: int = 0
    outdated: bool = False
    """There is a decision, but the content has changed since."""


def load_approvals(connection: Connection, formulary: Iterable[DrugItem]) -> Approvals:
    """What the decisions mean for prescribing from a formulary."""
    rows = connection.execute(select(reviews.c.item, reviews.c.fingerprint, reviews.c.decision))
    decided = (Decided(row.item, row.fingerprint, Decision(row.decision)) for row in rows)
    return approvals_of(decided, formulary)


def give_role(connection: Connection, person_id: str, role: str, now_ms: int, actor: str = "") -> None:
    """Let a person act in a role. Raises NotFound, BadInput."""
    if role not in {one.value for one in Role}:
        raise BadInput("There is no such role.", field="role")
    if find_account(connection, person_id) is None:
        raise NotFound("There is no such account.")
    if insert_new(connection, roles, {"person_id": person_id, "role": role, "given_ms": now_ms}):
        audit.record(connection, now_ms, actor, "role_given", person_id, role)


def take_role(connection: Connection, person_id: str, role: str, now_ms: int, actor: str = "") -> None:
    """Let a person act in a role no longer. Raises NotFound."""
    gone = connection.execute(roles.delete().where(roles.c.person_id == person_id, roles.c.role == role))
    if not gone.rowcount:
        raise NotFound("This person does not have that role.")
    audit.record(connection, now_ms, actor, "role_taken", person_id, role)


def has_role(connection: Connection, person_id: str, role: str) -> bool:
    found = select(roles.c.role).where(roles.c.person_id == person_id, roles.c.role == role)
    return connection.execute(found).first() is not None


class Reviews:
    """The list and the decisions, for the people of a desk."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def list(self, person_id: str) -> tuple[tuple[Reviewed, ...], bool]:
        """All open items with their decisions, and whether this person may decide."""

        def load(connection: Connection) -> tuple[tuple[Reviewed, ...], bool]:
            rows = {row.item: row for row in connection.execute(select(reviews))}
            found = []
            for item in review_items(reference_now(connection)):
                row = rows.get(item.item)
                if row is None:
                    found.append(Reviewed(item))
                    continue
                fits = row.fingerprint == item.fingerprint
                decision = Decision(row.decision) if fits else None
                found.append(Reviewed(item, decision, row.person_name, row.note, row.at_ms, not fits))
            return tuple(found), has_role(connection, person_id, MEDICAL_OFFICER)

        return await self._desk.store.read(load)

    async def decide(self, person: Doctor, item_id: str, fingerprint: str, decision: Decision, note: str) -> None:
        """Approve or reject one content of an item. Raises Forbidden, NotFound, Refused(review_outdated)."""

        def act(connection: Connection) -> None:
            if not has_role(connection, person.doctor_id, MEDICAL_OFFICER):
                raise Forbidden("Only a medical officer approves or rejects.")
            items = review_items(reference_now(connection))
            item = next((one for one in items if one.item == item_id), None)
            if item is None:
                raise NotFound("There is no such open item.")
            if item.fingerprint != fingerprint:
                raise Refused("The content has changed. Load the list again and look.", code="review_outdated")
            now_ms = self._desk.wall_ms()
            put_row(
                connection,
                reviews,
                {
                    "item": item.item,
                    "fingerprint": fingerprint,
                    "decision": decision.value,
                    "person_id": person.doctor_id,
                    "person_name": person.name,
                    "note": note,
                    "at_ms": now_ms,
                },
            )
            audit.record(connection, now_ms, person.doctor_id, f"review_{decision.value}", item.item, fingerprint)

        await self._desk.store.write(act)
