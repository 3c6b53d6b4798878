"""The hub's HTTP API: routes that decode, ask the desk, and reply. No rule lives here."""

import asyncio
from collections.abc import Sequence

import msgspec
from aiohttp import web

from edge.model import fold
from edge.model.clock import day_of
from edge.model.prescribing import runs_until, standing, standing_records
from edge.model.progress import prescription_line_at_hub
from edge.model.queue import line_of
from edge.model.reference import Reference
from edge.sync.enrol import REQUEST_MAX_BYTES, EnrolRefused
from edge.web.objects import to_objects
from edge.web.openapi import reply_of
from edge.web.refusals import Unavailable
from edge.web.routes import BINARY, WEBSOCKET, AnyRoute, Auth, Call, Gate, Raw, Route, WithCookie, WithSession
from edge.web.sessions import Session

from .. import __version__, formularies, login_device, nodes, own_login
from ..desk import Opened, Place, age_of
from ..doctors import Doctor
from ..drafts import Drafts, Sheet
from ..hub import Hub
from ..permits import need_permit, roles_of
from ..prescriptions import Denied, Replacing, calls_of, record_of
from ..shown import List
from . import bodies as b
from .address import address_of
from .breach_api import BreachApi
from .fleet_api import FleetApi
from .formulary_api import FormularyApi
from .glass_api import GlassApi
from .media_api import MediaApi
from .own_api import OwnApi
from .people_api import PeopleApi
from .plan_api import PlanApi
from .prescribing_api import PrescribingApi
from .report_api import ReportApi
from .rights_api import RightsApi
from .rota_api import RotaApi
from .sites_api import SitesApi
from .sockets import SOCKETS, serve_console
from .third_api import ThirdApi
from .unlock_api import UnlockApi

COOKIE = "upk_hub"
DEVICE_COOKIE = "upk_hub_device"
"""From which browser somebody logged in before: it opens nothing by itself."""
LOGIN = "/api/login"


class Api:
    """Handlers over one hub."""

    def __init__(self, hub: Hub, more: Sequence[AnyRoute] = ()) -> None:
        """``more``: routes of parts that this hub was fitted with."""
        self._hub = hub
        self._more = tuple(more)
        self._drafts = Drafts(hub.desk)
        self._reference = (-1, Raw(b"", "application/json"))
        """By the number of the formulary that it holds."""
        self._openapi = Raw(b"", "application/json")

    def gate(self) -> Gate:
        return Gate(COOKIE, self._hub.desk.find_session, secure=self._hub.settings.secure_cookie, allow=self._allow)

    def _allow(self, route: AnyRoute, session: Session) -> None:
        desk = self._hub.desk
        need_permit(route, desk.roles(session.subject), given=desk.must_renew(session.subject))

    def routes(self) -> list[AnyRoute]:
        """The table from which dispatch and ``/openapi.json`` are made."""
        table: list[AnyRoute] = [
            Route("POST", LOGIN, self.login, b.Login, b.LoggedIn, Auth.OPEN, errors=(401, 429)),
            Route("GET", "/api/session", self.get_session, None, b.LoggedIn),
            Route("DELETE", "/api/session", self.logout),
            Route("GET", "/api/queue", self.get_queue, None, b.Queue),
            Route("GET", "/api/visits/{visit_id}", self.get_visit, None, b.Record),
            Route("POST", "/api/visits/{visit_id}/take", self.take, None, b.VisitReply, errors=(409,)),
            Route("POST", "/api/visits/{visit_id}/put-back", self.put_back, None, b.VisitReply, errors=(409,)),
            Route("GET", "/api/visits/{visit_id}/notes", self.get_note, None, b.SavedNote),
            Route("PUT", "/api/visits/{visit_id}/notes", self.put_note, b.Note, b.SavedNote),
            Route("GET", "/api/visits/{visit_id}/draft", self.get_sheet, None, Sheet),
            Route("PUT", "/api/visits/{visit_id}/draft", self.put_sheet, b.PutSheet, Sheet, errors=(409,)),
            Route("POST", "/api/visits/{visit_id}/check", self.check, b.CheckDraft, b.Checks),
            Route(
                "POST",
                "/api/visits/{visit_id}/sign",
                self.sign,
                b.SignDraft,
                b.Signed,
                errors=(409, 422, 429),
            ),
            Route("GET", "/api/nodes", self.get_nodes, None, b.NodeList),
            Route("GET", "/api/reference", self.get_reference, None, Reference),
            Route("GET", "/api/ice-servers", self.get_ice, None, b.IceReply),
            Route("GET", "/api/live", self.live, None, None, reply_media=WEBSOCKET),
            Route("GET", "/enrol/keys", self.enrol_keys, None, Raw, Auth.OPEN, reply_media=BINARY),
            Route("POST", "/enrol", self.enrol, bytes, Raw, Auth.OPEN, body_media=BINARY, reply_media=BINARY),
            Route("GET", "/healthz", self.healthz, None, b.Health, Auth.OPEN),
            Route("GET", "/readyz", self.readyz, None, b.Health, Auth.OPEN, errors=(503,)),
            Route("GET", "/openapi.json", self.openapi, None, Raw, Auth.OPEN, reply_media="application/json"),
        ]
        table += [
            *PrescribingApi(self._hub).routes(),
            *RotaApi(self._hub).routes(),
            *PlanApi(self._hub).routes(),
            *FormularyApi(self._hub).routes(),
            *ThirdApi(self._hub).routes(),
            *MediaApi(self._hub).routes(),
            *UnlockApi(self._hub).routes(),
            *PeopleApi(self._hub).routes(),
            *OwnApi(self._hub).routes(),
            *SitesApi(self._hub).routes(),
            *FleetApi(self._hub).routes(),
            *GlassApi(self._hub).routes(),
            *RightsApi(self._hub).routes(),
            *BreachApi(self._hub).routes(),
            *ReportApi(self._hub).routes(),
            *self._more,
        ]
        documented = [route for route in table if route.path != "/openapi.json"]
        self._openapi = reply_of("Upkendra hub", __version__, COOKIE, documented)
        return table

    # Sessions

    async def login(self, call: Call[b.Login, None]) -> WithCookie:
        """Log in with name, password and the present code."""
        body, address = call.body, address_of(call.request, self._hub.settings)
        kept = call.request.cookies.get(DEVICE_COOKIE, "")
        doctor, session, keep = await self._hub.desk.login(body.user, body.password, body.totp, address, kept)
        view = await self._logged_in(doctor, session)
        return WithCookie(WithSession(view, session), DEVICE_COOKIE, keep, LOGIN, login_device.MAX_AGE_S)

    async def get_session(self, call: Call[None, None]) -> b.LoggedIn:
        """Who is logged in."""
        doctor = await self._hub.desk.doctor(call.subject)
        session = call.session
        assert session is not None
        return await self._logged_in(doctor, session)

    async def _logged_in(self, doctor: Doctor, session: Session) -> b.LoggedIn:
        who = doctor.doctor_id
        held, given, left = await self._hub.store.read(
            lambda c: (roles_of(c, who), own_login.is_given(c, who), own_login.codes_left(c, who))
        )
        return b.LoggedIn(
            _doctor_view(doctor),
            session.csrf,
            self._hub.desk.can_sign(session),
            self._hub.sms_fitted,
            tuple(sorted(held)),
            given,
            left,
        )

    async def logout(self, call: Call[None, None]) -> WithSession:
        """End the session."""
        if call.session is not None:
            await self._hub.desk.logout(call.session.token)
            await call.request.app[SOCKETS].end_session(call.session.token)
            if not await self._hub.desk.is_logged_in(call.subject):
                await self._hub.front.logged_out(call.subject)
        return WithSession(None, None)

    # Queue and record

    async def get_queue(self, call: Call[None, None]) -> b.Queue:
        """All open visits of all nodes, those who wait in their order."""
        now_ms, places = self._hub.wall_ms(), await self._hub.desk.queue()
        await self._hub.shown.note(call.subject, List.QUEUE, (place.owned.visit.visit_id for place in places))
        return b.Queue(tuple(self._queue_item(place, now_ms) for place in places))

    def _queue_item(self, place: Place, now_ms: int) -> b.QueueItem:
        node_id = place.owned.node_id
        site = self._hub.directory.site(node_id)
        person = place.patient.person if place.patient else None
        return b.QueueItem(
            visit=line_of(place.owned.visit),
            patient_name=person.name if person else "",
            patient_age=age_of(place.patient, now_ms),
            patient_sex=person.gender.value if person else "",
            site_code=site.site_code,
            site_name=site.site_name,
            node_id=node_id,
            node_online=self._hub.reaches(node_id, place.owned.visit.visit_id),
            last_ack_age_s=None if site.home else self._hub.link.last_ack_age_s(node_id),
            waited_s=place.waited_s,
            place=place.place,
            home=site.home,
        )

    async def get_visit(self, call: Call[None, None]) -> b.Record:
        """The record. Written into the audit log; the node hears that a doctor opened it."""
        visit_id = call.path["visit_id"]
        opened = await self._hub.desk.open_record(visit_id, call.subject)
        now_ms = self._hub.wall_ms()
        calls = await self._hub.store.read(lambda connection: calls_of(connection, visit_id, now_ms))
        return self._record(opened, tuple(calls), now_ms)

    def _record(self, opened: Opened, calls: tuple[fold.Call, ...], now_ms: int) -> b.Record:
        visit, today = opened.owned.visit, day_of(now_ms)
        node_id = opened.owned.node_id
        return b.Record(
            visit=visit,
            patient=opened.patient,
            patient_age=age_of(opened.patient, now_ms),
            site=b.SiteView(
                node_id,
                opened.site.site_code,
                opened.site.site_name,
                opened.site.district,
                self._hub.reaches(node_id, visit.visit_id),
                None if opened.site.home else self._hub.link.last_ack_age_s(node_id),
                opened.site.home,
            ),
            prescriptions=tuple(record_of(one.signed) for one in visit.prescriptions),
            standing=tuple(standing(visit.prescriptions).values()),
            calls=calls,
            sync=tuple(
                b.SyncLine(one.prescription_id, line.state, line.at_ms)
                for one in visit.prescriptions
                for line in (prescription_line_at_hub(one),)
            ),
            earlier=opened.earlier,
            earlier_papers=tuple(
                b.EarlierPaper(
                    one.visit_id,
                    record.signed_ms,
                    record.doctor_name,
                    record.diagnosis,
                    record.diagnosis_code,
                    record.provisional,
                    tuple(
                        b.EarlierLine(line.generic, line.strength, runs_until(record, line.duration_days) > today)
                        for line in record.medicines
                    ),
                )
                for one in opened.earlier
                for record in standing_records(one)
            ),
            workers=opened.workers,
            now_ms=now_ms,
        )

    async def get_nodes(self, call: Call[None, None]) -> b.NodeList:
        """All nodes: when each was last heard, and what it said of itself."""
        told = await self._hub.store.read(nodes.all_told)
        directory = self._hub.directory
        rows: list[b.NodeView] = []
        for node_id in directory.node_ids():
            name, record = node_id.hex(), directory.by_id(node_id)
            site, word = directory.site(name), told.get(name)
            rows.append(
                b.NodeView(
                    name,
                    site.site_code,
                    site.site_name,
                    site.district,
                    record is not None and record.revoked,
                    self._hub.link.online(name),
                    self._hub.link.last_ack_age_s(name),
                    word.told if word else None,
                    word.at_ms if word else 0,
                )
            )
        return b.NodeList(tuple(sorted(rows, key=lambda row: row.site_code)), self._hub.wall_ms())

    async def take(self, call: Call[None, None]) -> b.VisitReply:
        """Take a visit, so that no other doctor does."""
        doctor = await self._hub.desk.doctor(call.subject)
        return b.VisitReply(await self._hub.desk.take(call.path["visit_id"], doctor))

    async def put_back(self, call: Call[None, None]) -> b.VisitReply:
        """Give a visit back to the queue; the patient keeps the place."""
        doctor = await self._hub.desk.doctor(call.subject)
        return b.VisitReply(await self._hub.desk.put_back(call.path["visit_id"], doctor))

    async def get_note(self, call: Call[None, None]) -> b.SavedNote:
        """The doctor's own working note on a visit."""
        text, saved_ms = await self._hub.desk.load_note(call.path["visit_id"], call.subject)
        await self._hub.shown.opened(call.subject, "note_opened", call.path["visit_id"])
        return b.SavedNote(text, saved_ms)

    async def put_note(self, call: Call[b.Note, None]) -> b.SavedNote:
        """Save the working note."""
        saved_ms = await self._hub.desk.save_note(call.path["visit_id"], call.subject, call.body.text)
        return b.SavedNote(call.body.text, saved_ms)

    # Prescribing

    async def get_sheet(self, call: Call[None, None]) -> Sheet:
        """The doctor's own prescription of a visit as far as it is written; ``draft`` is null for none."""
        sheet = await self._drafts.load(call.path["visit_id"], call.subject)
        await self._hub.shown.opened(call.subject, "draft_opened", call.path["visit_id"])
        return sheet

    async def put_sheet(self, call: Call[b.PutSheet, None]) -> Sheet:
        """Keep the prescription that is being written. One that was signed meanwhile comes back empty."""
        return await self._drafts.save(call.path["visit_id"], call.subject, call.body.draft, call.body.command_id)

    async def check(self, call: Call[b.CheckDraft, None]) -> b.Checks:
        """What the rules say about a draft at this moment."""
        doctor = await self._hub.desk.doctor(call.subject)
        body = call.body
        found = await self._hub.prescriptions.check(call.path["visit_id"], doctor, body.draft, body.replaces)
        await self._hub.shown.opened(call.subject, "draft_checked", call.path["visit_id"])
        return b.Checks(
            found.denials, found.warnings, found.mode, found.consult_type, found.dose_lines, found.child_doses
        )

    async def sign(self, call: Call[b.SignDraft, None]) -> b.Signed | web.Response:
        """Sign a prescription with the doctor's own key and send it to the node."""
        doctor = await self._hub.desk.doctor(call.subject)
        session = call.session
        assert session is not None
        body = call.body
        replacing = Replacing(body.replaces, body.reason) if body.replaces else None
        try:
            prescription_id = await self._hub.prescriptions.sign(
                call.path["visit_id"], doctor, session, body.command_id, body.draft, body.password, replacing
            )
        except Denied as denied:
            reply = b.DeniedReply(denied.refusal.code, denied.refusal.message, tuple(denied.denials))
            denied_body = msgspec.json.encode(to_objects(reply))
            return web.Response(status=422, body=denied_body, content_type="application/json")
        return b.Signed(prescription_id)

    async def get_reference(self, call: Call[None, None]) -> Raw:
        """Everything that the screens need to know."""
        now = await self._hub.store.read(formularies.standing)
        if self._reference[0] != now.number:
            encoded = await asyncio.to_thread(lambda: msgspec.json.encode(formularies.with_formulary(now)))
            self._reference = now.number, Raw(encoded, "application/json")
        return self._reference[1]

    async def get_ice(self, call: Call[None, None]) -> b.IceReply:
        """STUN and TURN servers for the doctor's browser, with short-lived credentials."""
        return b.IceReply(self._hub.live.ice_servers(call.subject))

    async def live(self, call: Call[None, None]) -> web.StreamResponse:
        """What changes, and call signals both ways."""
        doctor = await self._hub.desk.doctor(call.subject)
        assert call.session is not None
        return await serve_console(call.request, self._hub.live, doctor, call.session.token, self._hub.desk)

    # Enrolment and health

    async def enrol_keys(self, call: Call[None, None]) -> Raw:
        """The hub's public keys, signed by its root."""
        return Raw(self._hub.keys.announcement, BINARY)

    async def enrol(self, call: Call[bytes, None]) -> Raw:
        """Enrol a node: a sealed request with a one-time token."""
        if len(call.body) > REQUEST_MAX_BYTES:
            raise EnrolRefused("This is not an enrolment request.", code="enrol_malformed")
        return Raw(await self._hub.enrol(call.body), BINARY)

    async def healthz(self, call: Call[None, None]) -> b.Health:
        """The process runs."""
        return b.Health("ok", __version__)

    async def readyz(self, call: Call[None, None]) -> b.Health:
        """The database answers."""
        if not await self._hub.is_ready():
            raise Unavailable("The database does not answer.")
        return b.Health("ready", __version__)

    async def openapi(self, call: Call[None, None]) -> Raw:
        """This document."""
        return self._openapi


def _doctor_view(doctor: Doctor) -> b.DoctorView:
    return b.DoctorView(doctor.doctor_id, doctor.name, doctor.registration, doctor.qualification)
