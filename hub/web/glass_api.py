"""HTTP around break-glass: opening one record with a reason, reading it while it is open, and who reviews that."""

from typing import Annotated

from aiohttp import web
from msgspec import Meta, Struct
from sqlalchemy import Connection

from edge.model.fold import Patient, Visit
from edge.web.ranges import send_content
from edge.web.routes import BINARY, AnyRoute, Call, Route

from .. import audit, glass, nodes, views
from ..blobs import Look
from ..desk import age_of, need_visit
from ..hub import Hub
from .bodies import Password
from .media_api import MediaList

Reason = Annotated[str, Meta(min_length=10, max_length=60, pattern=r"^[^\x00-\x1f\x7f]*\S[^\x00-\x1f\x7f]*$(?!\n)")]
Verdict = Annotated[str, Meta(min_length=3, max_length=60, pattern=r"^[^\x00-\x1f\x7f]*\S[^\x00-\x1f\x7f]*$(?!\n)")]


class BreakGlass(Struct, frozen=True, forbid_unknown_fields=True):
    reason: Reason
    """Stands in the audit log, whole. No name of a patient."""
    password: Password


class Broken(Struct, frozen=True):
    until_ms: int
    now_ms: int


class OpenRecord(Struct, frozen=True):
    """A record to read: no prescribing, no call."""

    visit: Visit
    patient: Patient | None
    patient_age: str
    site_name: str
    district: str
    workers: tuple[nodes.Worker, ...]
    until_ms: int
    now_ms: int


class Openings(Struct, frozen=True):
    items: tuple[glass.Opening, ...]


class Reviewed(Struct, frozen=True, forbid_unknown_fields=True):
    verdict: Verdict
    """What one found."""


class GlassApi:
    """Handlers over one hub."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    def routes(self) -> list[AnyRoute]:
        visit = "/api/visits/{visit_id}"
        return [
            Route("POST", f"{visit}/break-glass", self.break_glass, BreakGlass, Broken, errors=(409, 429)),
            Route("GET", f"{visit}/broken-glass", self.get_broken, None, OpenRecord, errors=(409,)),
            Route("GET", f"{visit}/broken-glass/media", self.get_broken_media, None, MediaList, errors=(409,)),
            Route(
                "GET",
                f"{visit}/broken-glass/media/{{blob_id}}",
                self.get_broken_blob,
                None,
                bytes,
                reply_media=BINARY,
                errors=(409, 416),
            ),
            Route("GET", "/api/glass", self.get_openings, None, Openings),
            Route("POST", "/api/glass/{glass_id}", self.review, Reviewed, Openings, errors=(409,)),
        ]

    async def break_glass(self, call: Call[BreakGlass, None]) -> Broken:
        """Open one record for a quarter of an hour, because no doctor can be had."""
        await self._hub.desk.need_password(call.subject, call.body.password)
        visit_id, now_ms = call.path["visit_id"], self._hub.wall_ms()
        reason = call.body.reason.strip()
        until_ms = await self._hub.store.write(
            lambda connection: glass.break_glass(connection, call.subject, visit_id, reason, now_ms)
        )
        return Broken(until_ms, now_ms)

    async def get_broken(self, call: Call[None, None]) -> OpenRecord:
        """A record that one has opened so. Each reading is marked in the audit log."""
        visit_id, now_ms = call.path["visit_id"], self._hub.wall_ms()

        def load(connection: Connection) -> OpenRecord:
            until_ms = glass.read(connection, call.subject, visit_id, now_ms)
            owned = need_visit(connection, visit_id)
            patient = views.load_patient(connection, owned.visit.patient_id)
            site = self._hub.directory.site(owned.node_id)
            return OpenRecord(
                owned.visit,
                patient,
                age_of(patient, now_ms),
                site.site_name,
                site.district,
                nodes.workers(connection, owned.node_id),
                until_ms,
                now_ms,
            )

        return await self._hub.store.write(load)

    async def get_broken_media(self, call: Call[None, None]) -> MediaList:
        """How far the photos and notes of a record have come that one has opened so."""
        visit_id, now_ms = call.path["visit_id"], self._hub.wall_ms()
        await self._hub.store.read(lambda connection: glass.need_open(connection, call.subject, visit_id, now_ms))
        return MediaList(await self._hub.blobs.states(visit_id))

    async def get_broken_blob(self, call: Call[None, None]) -> web.StreamResponse:
        """A photo or a note of a record that one has opened so.

        Takes one Range. Each request is marked in the audit log; the centre is not told that a doctor looked.
        """
        visit_id, blob_id, now_ms = call.path["visit_id"], call.path["blob_id"], self._hub.wall_ms()
        await self._hub.store.read(lambda connection: glass.need_open(connection, call.subject, visit_id, now_ms))
        content = await self._hub.blobs.open(visit_id, blob_id, call.subject, Look.NOTED)
        await self._hub.store.write(lambda connection: glass.read(connection, call.subject, visit_id, now_ms, blob_id))
        return await send_content(call.request, content.size_bytes, content.media_type, content.name, content.read)

    async def get_openings(self, call: Call[None, None]) -> Openings:
        """What was opened so, by whom and why: nothing of the records themselves."""

        def load(connection: Connection) -> Openings:
            audit.record(connection, self._hub.wall_ms(), call.subject, "glass_read")
            return Openings(tuple(glass.listed(connection)))

        return await self._hub.store.write(load)

    async def review(self, call: Call[Reviewed, None]) -> Openings:
        """Say what one found about an opening. Nobody reviews her own."""

        def act(connection: Connection) -> Openings:
            now_ms, verdict = self._hub.wall_ms(), call.body.verdict.strip()
            glass.review(connection, call.path["glass_id"], call.subject, verdict, now_ms)
            return Openings(tuple(glass.listed(connection)))

        return await self._hub.store.write(act)
