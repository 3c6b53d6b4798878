"""HTTP around prescribing: cancelling, in-person consultations, saved lines, the shelf, the medical review."""

from typing import Annotated

from msgspec import Meta, Struct
from sqlalchemy import Connection

from edge.model.drug_gate import Approvals
from edge.model.ids import Id
from edge.model.records import IsoDay, ShortText
from edge.model.reference import DrugItem, Formulary
from edge.model.review import Decision
from edge.model.stock import Level
from edge.web.routes import AnyRoute, Call, Route

from .. import formularies, lists, review, stock
from ..desk import need_visit
from ..hub import Hub
from ..prescriptions import Replacing
from ..saved import Saved
from .bodies import Password, Signed


class CancelPrescription(Struct, frozen=True, forbid_unknown_fields=True):
    command_id: Id
    prescription_id: Id
    reason: ShortText
    password: Password = ""


class InPersonDay(Struct, frozen=True, forbid_unknown_fields=True):
    held_on: IsoDay
    """Indian calendar day, today or earlier."""


class SavedList(Struct, frozen=True):
    items: tuple[Saved, ...]


class FormularyQuery(Struct, frozen=True, kw_only=True):
    q: Annotated[str, Meta(max_length=60)] = ""
    visit_id: Annotated[str, Meta(max_length=16)] = ""
    """Say what lies on the shelf of this visit's node, and put that first."""


class FormularyReply(Struct, frozen=True):
    version: str
    items: tuple[DrugItem, ...]
    shelf: tuple[Level, ...] = ()
    """What the node's book says of these medicines; one that is missing was never counted nor received there."""
    approved: tuple[str, ...] = ()
    """Ids whose list letter a medical officer has approved."""
    rejected: tuple[str, ...] = ()


class ReviewList(Struct, frozen=True):
    items: tuple[review.Reviewed, ...]
    may_decide: bool


class Decide(Struct, frozen=True, forbid_unknown_fields=True):
    item: Annotated[str, Meta(max_length=60)]
    fingerprint: Annotated[str, Meta(pattern="^[0-9a-f]{16}$(?!\\n)")]
    """Of the content that was looked at."""
    decision: Decision
    note: ShortText = ""


class PrescribingApi:
    """Handlers over one hub."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    def routes(self) -> list[AnyRoute]:
        visit = "/api/visits/{visit_id}"
        return [
            Route(
                "POST",
                f"{visit}/cancel-prescription",
                self.cancel,
                CancelPrescription,
                Signed,
                errors=(409, 429),
            ),
            Route("POST", f"{visit}/in-person", self.in_person, InPersonDay, errors=(409,)),
            Route(
                "GET", "/api/formulary", self.get_formulary, None, FormularyReply, query=FormularyQuery, errors=(404,)
            ),
            Route("GET", "/api/saved-lines", self.get_saved, None, SavedList),
            Route("PUT", "/api/saved-lines", self.put_saved, Saved, SavedList, errors=(409,)),
            Route("DELETE", "/api/saved-lines/{saved_id}", self.delete_saved),
            Route("GET", "/api/lists", self.get_lists, None, lists.Lists),
            Route("GET", "/api/review", self.get_review, None, ReviewList),
            Route("POST", "/api/review", self.decide, Decide, ReviewList, errors=(403, 404, 409)),
        ]

    async def cancel(self, call: Call[CancelPrescription, None]) -> Signed:
        """Take a signed prescription back: a new signed record says so and goes to the node."""
        doctor = await self._hub.desk.doctor(call.subject)
        assert call.session is not None
        body = call.body
        return Signed(
            await self._hub.prescriptions.cancel(
                call.path["visit_id"],
                doctor,
                call.session,
                body.command_id,
                Replacing(body.prescription_id, body.reason),
                body.password,
            )
        )

    async def in_person(self, call: Call[InPersonDay, None]) -> None:
        """The doctor's own word that she examined the patient in person for this condition on that day."""
        doctor = await self._hub.desk.doctor(call.subject)
        await self._hub.prescriptions.confirm_in_person(call.path["visit_id"], doctor, call.body.held_on)

    async def get_formulary(self, call: Call[None, FormularyQuery]) -> FormularyReply:
        """Medicines whose name, strength or group holds all words of ``q``; those on the node's shelf first."""
        words = call.query.q.lower().split()
        visit_id = call.query.visit_id

        def load(connection: Connection) -> tuple[Formulary, Approvals, list[Level]]:
            now = formularies.standing(connection).content
            shelf = stock.levels(connection, need_visit(connection, visit_id).node_id) if visit_id else []
            return now, review.load_approvals(connection, now.items), shelf

        standing, approvals, shelf = await self._hub.store.read(load)
        items = [
            item
            for item in standing.items
            if all(word in f"{item.generic} {item.form} {item.strength} {item.group}".lower() for word in words)
        ]
        there = {level.drug_id for level in shelf if level.units > 0}
        items.sort(key=lambda item: item.id not in there)
        shown = {item.id for item in items}
        return FormularyReply(
            standing.version,
            tuple(items),
            tuple(level for level in shelf if level.drug_id in shown),
            tuple(sorted(approvals.approved & shown)),
            tuple(sorted(approvals.rejected & shown)),
        )

    async def get_saved(self, call: Call[None, None]) -> SavedList:
        """The doctor's own favourites and templates."""
        return SavedList(await self._hub.saved.list(call.subject))

    async def put_saved(self, call: Call[Saved, None]) -> SavedList:
        """Keep lines that the doctor wrote, under a name."""
        await self._hub.saved.put(call.subject, call.body)
        return SavedList(await self._hub.saved.list(call.subject))

    async def delete_saved(self, call: Call[None, None]) -> None:
        """Forget saved lines."""
        await self._hub.saved.remove(call.subject, call.path["saved_id"])

    async def get_lists(self, call: Call[None, None]) -> lists.Lists:
        """Which lists run here, how much of them is open, and who decided what."""
        return await self._hub.store.read(lists.lists)

    async def get_review(self, call: Call[None, None]) -> ReviewList:
        """Everything that no medical officer has approved, with its source and what was decided."""
        return ReviewList(*await self._hub.reviews.list(call.subject))

    async def decide(self, call: Call[Decide, None]) -> ReviewList:
        """Approve or reject an item. Only a medical officer may."""
        doctor, body = await self._hub.desk.doctor(call.subject), call.body
        await self._hub.reviews.decide(doctor, body.item, body.fingerprint, body.decision, body.note)
        return ReviewList(*await self._hub.reviews.list(call.subject))
