"""HTTP around what the law gives to patients: how long things are kept, and erasing with two people.

Nothing here shows what a record says but the copy for the patient: ids, times and counts.
"""

import asyncio
import base64
from typing import Annotated, Final

from msgspec import Meta, Struct
from sqlalchemy import Connection

from edge.web.routes import AnyRoute, Call, Route

from .. import audit, copies, erasure, erasures, nominees, retention
from ..hub import Hub
from .bodies import Password
from .glass_api import Reason

Reference = Annotated[str, Meta(min_length=1, max_length=60, pattern=r"^[^\x00-\x1f\x7f]*\S[^\x00-\x1f\x7f]*$(?!\n)")]


CLASS: Final[dict[str, object]] = {"class": retention.Class}


class Rights(Struct, frozen=True):
    """Settings, and the latest requests."""

    settings: tuple[retention.Setting, ...]
    items: tuple[erasures.Asking, ...]
    me: str
    now_ms: int


class Keep(Struct, frozen=True, forbid_unknown_fields=True):
    """How long a class is kept; 0: until further notice."""

    password: Password
    keep_days: Annotated[int, Meta(ge=0, le=retention.MOST_DAYS)]


class AskPlan(Struct, frozen=True, forbid_unknown_fields=True):
    reference: Reference
    """The number on the slip, or the id of the person or of one of her visits."""


class AskErasure(Struct, frozen=True, forbid_unknown_fields=True):
    password: Password
    reference: Reference
    reason: Reason
    """Stands in the audit log, whole. No name of a patient."""


class AskCopy(Struct, frozen=True, forbid_unknown_fields=True):
    password: Password
    reference: Reference


class CopyFile(Struct, frozen=True):
    """What is kept of a person, for herself."""

    visits: int
    file_name: str
    zip: str
    """Base64."""


class PutNominee(Struct, frozen=True, forbid_unknown_fields=True):
    """Whom a person has named to speak in her place; without a name nobody."""

    password: Password
    reference: Reference
    nominee: nominees.Nominee


class DecideErasure(Struct, frozen=True, forbid_unknown_fields=True):
    password: Password
    agree: bool


class RightsApi:
    """Handlers over one hub."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._one = asyncio.Lock()

    def routes(self) -> list[AnyRoute]:
        return [
            Route("POST", "/api/copies", self.copy, AskCopy, CopyFile, errors=(404, 409, 429)),
            Route("POST", "/api/nominees/look", self.nominee, AskPlan, nominees.Nominee, errors=(404, 409)),
            Route("PUT", "/api/nominees", self.name, PutNominee, nominees.Nominee, errors=(404, 409, 429)),
            Route("GET", "/api/rights", self.get_rights, None, Rights),
            Route("PUT", "/api/retention/{class}", self.keep, Keep, Rights, errors=(429,), params=CLASS),
            Route("POST", "/api/erasures/plan", self.plan, AskPlan, erasure.Plan, errors=(404, 409)),
            Route("POST", "/api/erasures", self.ask, AskErasure, Rights, errors=(404, 409, 429)),
            Route("POST", "/api/erasures/{erasure_id}", self.decide, DecideErasure, Rights, errors=(409, 429)),
        ]

    def _rights(self, connection: Connection, me: str) -> Rights:
        settings = tuple(retention.settings(connection).values())
        return Rights(settings, tuple(erasures.listed(connection)), me, self._hub.wall_ms())

    async def get_rights(self, call: Call[None, None]) -> Rights:
        """How long things are kept, and what was asked to be erased."""

        def load(connection: Connection) -> Rights:
            audit.record(connection, self._hub.wall_ms(), call.subject, "rights_read")
            return self._rights(connection, call.subject)

        return await self._hub.store.write(load)

    async def keep(self, call: Call[Keep, None]) -> Rights:
        """Fix how long a class is kept. Nothing is erased by this."""
        await self._hub.desk.need_password(call.subject, call.body.password)

        def act(connection: Connection) -> Rights:
            name = retention.Class(call.path["class"])
            retention.put(connection, name, call.body.keep_days, call.subject, self._hub.wall_ms())
            return self._rights(connection, call.subject)

        return await self._hub.store.write(act)

    async def plan(self, call: Call[AskPlan, None]) -> erasure.Plan:
        """What of a person would go now, and what stays and why. Changes nothing."""
        patient_id, now_ms = await self._find(call.body.reference), self._hub.wall_ms()
        return await self._hub.store.write(
            lambda connection: erasures.plan(connection, patient_id, call.subject, now_ms)
        )

    async def _find(self, reference: str) -> str:
        return await self._hub.store.read(lambda connection: erasures.find(connection, reference))

    async def copy(self, call: Call[AskCopy, None]) -> CopyFile:
        """A copy of what is kept of a person, to be given to her: a page, slips, FHIR documents. No photos."""
        hub, body = self._hub, call.body
        await hub.desk.need_password(call.subject, body.password)
        patient_id = await self._find(body.reference)
        async with self._one:
            found = await hub.store.read(lambda connection: copies.gather(connection, hub.desk.directory, patient_id))
            await hub.store.write(lambda connection: copies.note(connection, found, call.subject, hub.wall_ms()))
            made = await asyncio.to_thread(copies.zipped, found, hub.wall_ms())
        kept = found.kept
        return CopyFile(len(kept.visits), copies.file_name(kept.patient), base64.b64encode(made).decode())

    async def nominee(self, call: Call[AskPlan, None]) -> nominees.Nominee:
        """Whom a person has named to speak in her place. Audited."""
        patient_id, now_ms = await self._find(call.body.reference), self._hub.wall_ms()

        def load(connection: Connection) -> nominees.Nominee:
            audit.record(connection, now_ms, call.subject, "nominee_read", patient_id)
            return nominees.load(connection, patient_id)

        return await self._hub.store.write(load)

    async def name(self, call: Call[PutNominee, None]) -> nominees.Nominee:
        """Note whom a person has named, in the place of who was named before."""
        body = call.body
        await self._hub.desk.need_password(call.subject, body.password)
        patient_id, now_ms = await self._find(body.reference), self._hub.wall_ms()

        def act(connection: Connection) -> nominees.Nominee:
            nominees.put(connection, patient_id, body.nominee, call.subject, now_ms)
            return nominees.load(connection, patient_id)

        return await self._hub.store.write(act)

    async def ask(self, call: Call[AskErasure, None]) -> Rights:
        """Ask for what may go to be erased. Somebody else has to agree."""
        body = call.body
        await self._hub.desk.need_password(call.subject, body.password)
        patient_id = await self._find(body.reference)

        def act(connection: Connection) -> Rights:
            reason, now_ms = body.reason.strip(), self._hub.wall_ms()
            erasures.ask(connection, patient_id, reason, call.subject, now_ms)
            return self._rights(connection, call.subject)

        return await self._hub.store.write(act)

    async def decide(self, call: Call[DecideErasure, None]) -> Rights:
        """Agree to a request of somebody else, or refuse one. What was agreed to is erased within moments, for good."""
        body = call.body
        await self._hub.desk.need_password(call.subject, body.password)

        def act(connection: Connection) -> Rights:
            erasure_id, now_ms = call.path["erasure_id"], self._hub.wall_ms()
            erasures.decide(connection, erasure_id, call.subject, now_ms, agree=body.agree)
            return self._rights(connection, call.subject)

        return await self._hub.store.write(act)
