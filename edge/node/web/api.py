"""Handlers of the node's API: each takes a decoded call, asks the clinic, and returns a struct.

The route table at the end is the whole API; ``/openapi.json`` is made from it.
"""

import asyncio
import hashlib
from collections.abc import Callable, Sequence

import msgspec
from aiohttp import web

from edge.media.aside import Drew
from edge.model.commands import AttachMedia, Command, RemoveMedia
from edge.model.errors import Forbidden, NotFound, Refusal, Refused
from edge.model.fold import PrescriptionState, Visit
from edge.model.prescribing import SignedPrescription, standing
from edge.model.records import Role
from edge.model.reference import Reference, reference
from edge.node.calls import CallDesk
from edge.node.clinic import VERSION, Clinic
from edge.node.devices.panel_desk import PanelReport
from edge.node.live import DraftChanged
from edge.node.media import MediaDesk
from edge.node.views import Draft, Staff
from edge.slips.qr import parse_qr, record_hash
from edge.slips.render import render_slip
from edge.slips.verify import Verified, verify_qr, verify_signed, with_newer
from edge.web import openapi
from edge.web.refusals import Locked
from edge.web.routes import JSON, WEBSOCKET, AnyRoute, Auth, Call, FindSession, Gate, Raw, Route, WithSession, mount
from edge.web.sessions import Session

from . import schema as s
from .closing_api import ClosingApi
from .media_api import MediaApi
from .prompt_api import PromptApi
from .reception_api import ReceptionApi

STAFF_HEADER = "X-Staff"
COOKIE = "upk_session"
TRAINING_COOKIE = "upk_training"
"""A browser keeps one cookie of a name for all ports of a host: practice must not end a real session."""
TITLE = "Upkendra node"
OF_PATIENTS = (
    *("/api/patients", "/api/villages", "/api/visits", "/api/drafts", "/api/calls"),
    *("/api/queue", "/api/day", "/api/due", "/api/month"),
)
"""Routes that are not for technicians. Commands are refused by role where they are decided."""


class Api:
    """The node's API over one clinic."""

    def __init__(
        self,
        clinic: Clinic,
        calls: CallDesk,
        media: MediaDesk,
        panel: Callable[[], PanelReport],
        more: Sequence[AnyRoute] = (),
    ) -> None:
        """``more``: routes of other parts of the node that are always there."""
        self._more = tuple(more)
        self._clinic = clinic
        self._calls = calls
        self._media = media
        self._panel = panel
        self._openapi: Raw | None = None
        body = msgspec.json.encode(reference())
        self._reference = body
        self._reference_etag = '"' + hashlib.sha256(body).hexdigest()[:20] + '"'

    def add(self, more: Sequence[AnyRoute]) -> None:
        """Routes of a part that the node was fitted with; before :meth:`mount`."""
        self._more += tuple(more)

    def mount(self, app: web.Application, find_session: FindSession, *, secure: bool = False) -> None:
        """Add all routes to an application. ``secure``: it speaks HTTPS, so its cookie never goes without."""
        cookie = TRAINING_COOKIE if self._clinic.config.training else COOKIE
        gate = Gate(cookie, find_session, guard=self._guard, allow=self._allow, secure=secure)
        mount(app, self.routes(), gate)

    def _guard(self, route: AnyRoute) -> Refusal | None:
        if (self._clinic.locked or self._clinic.day_closed) and not route.while_locked:
            return Locked("The node is locked. Unlock it with a staff badge and its PIN.").refusal
        return None

    def _allow(self, route: AnyRoute, session: Session) -> None:
        if route.path.startswith(OF_PATIENTS) and self._clinic.role_of(session.subject) is Role.TECHNICIAN:
            raise Forbidden("A technician looks after this computer and sees no patient.")

    # -- the node itself ------------------------------------------------------------------------------

    async def get_health(self, call: Call[None, None]) -> s.Health:
        """Is the process alive?"""
        return s.Health(True, self._clinic.locked)

    async def get_openapi(self, call: Call[None, None]) -> Raw:
        """This description."""
        if self._openapi is None:
            self._openapi = openapi.reply_of(TITLE, VERSION, COOKIE, self.routes())
        return self._openapi

    async def get_status(self, call: Call[None, None]) -> s.Status:
        """Who and where this node is, and how it stands with its link."""
        clinic, now = self._clinic, self._clinic.clock.now()
        config = clinic.config
        return s.Status(
            config.node_id.hex(),
            config.site.code,
            config.site.name,
            config.demo,
            clinic.locked or clinic.day_closed,
            config.language,
            now.wall_ms,
            now.trusted,
            await clinic.link_state(),
            len(clinic.tablets),
            VERSION,
            clinic.sms_fitted,
            clinic.revoked.why_out,
            clinic.days.ids,
            config.training,
            list(clinic.days.lost),
            self._calls.own_camera,
            clinic.store.unreadable,
            clinic.clock.doubted_ms,
        )

    async def get_panel(self, call: Call[None, None]) -> PanelReport:
        """The panel and power board: voltages, version, what is wrong with it."""
        return self._panel()

    async def post_unlock(self, call: Call[s.Unlock, None]) -> s.Unlocked:
        """Unlock the records with a staff badge and its PIN."""
        await self._clinic.unlock(call.body.badge, call.body.pin)
        return s.Unlocked(self._clinic.locked)

    async def get_staff(self, call: Call[None, None]) -> list[Staff]:
        """Who can log in here."""
        return await self._clinic.store.read(lambda views: views.staff())

    async def post_session(self, call: Call[s.Login, None]) -> WithSession:
        """Log in with a PIN."""
        body = call.body
        staff, session, day_slot = await self._clinic.login(body.staff_id, body.pin, bytes.fromhex(body.tablet))
        return WithSession(s.SessionReply(staff, session.csrf, day_slot), session)

    async def get_session(self, call: Call[None, None]) -> s.SessionReply:
        """Who is logged in through this cookie."""
        assert call.session is not None
        return s.SessionReply(await self._clinic.staff_of(call.subject), call.session.csrf)

    async def delete_session(self, call: Call[None, None]) -> WithSession:
        """Log out."""
        assert call.session is not None
        self._clinic.sessions.close(call.session.token)
        await self._clinic.tablets.end_session(call.session.token)
        return WithSession(None, None)

    async def get_reference(self, call: Call[None, None]) -> web.StreamResponse:
        """All lists behind the screens: complaints, signs, vitals, formulary, words."""
        headers = {"ETag": self._reference_etag, "Cache-Control": "no-cache"}
        if self._reference_etag in call.request.headers.get("If-None-Match", ""):
            return web.Response(status=304, headers=headers)
        response = web.Response(body=self._reference, content_type=JSON, headers=headers)
        response.enable_compression()
        return response

    # -- records --------------------------------------------------------------------------------------

    async def post_command(self, call: Call[Command, None]) -> s.CommandReply:
        """Say what happened. The same command sent again gives the same reply and is recorded once.

        The header ``X-Staff`` may name who said it: then it is recorded as that person's or not at all.
        """
        if call.request.headers.get(STAFF_HEADER, call.subject) != call.subject:
            raise Refused("Somebody else said this. It waits until that person logs in.", code="other_person")
        reply = await self._clinic.command(call.body, call.subject)
        if isinstance(call.body, AttachMedia | RemoveMedia):
            await self._media.attached(reply.visit)
        return s.CommandReply(reply.command_id, reply.events, reply.patient, reply.visit, reply.warnings)

    async def get_queue(self, call: Call[None, None]) -> s.Queue:
        """Everybody who is here today, in the order in which they will be seen."""
        return await self._clinic.queue()

    async def get_visit(self, call: Call[None, None]) -> s.VisitPage:
        """A visit, its patient, and how far each item has come."""
        page = await self._clinic.page(call.path["visit_id"])
        await self._clinic.accessed(call.subject, "read_visit", page.visit.visit_id)
        return page

    # -- drafts ---------------------------------------------------------------------------------------

    async def put_draft(self, call: Call[s.DraftBody, None]) -> s.DraftSaved:
        """Keep what was typed so far. A revision that is here already with other words is not kept."""
        now_ms = self._clinic.clock.now().wall_ms
        draft = Draft(call.path["key"], call.body.body, call.body.revision, call.subject, now_ms)
        kept = await self._clinic.store.write(lambda journal: journal.views.put_draft(draft))
        if kept:
            self._clinic.tablets.push(DraftChanged(draft.key, draft.revision))
        return s.DraftSaved(kept, draft.revision)

    async def get_drafts(self, call: Call[None, None]) -> s.DraftList:
        """All drafts, latest first."""
        return s.DraftList(await self._clinic.store.read(lambda views: views.drafts()))

    async def get_draft(self, call: Call[None, None]) -> Draft:
        """One draft."""
        draft = await self._clinic.store.read(lambda views: views.draft(call.path["key"]))
        if draft is None:
            raise NotFound("There is no such draft.")
        return draft

    async def delete_draft(self, call: Call[None, None]) -> None:
        """Forget a draft."""
        await self._clinic.store.write(lambda journal: journal.views.drop_draft(call.path["key"]))

    # -- prescriptions --------------------------------------------------------------------------------

    async def get_prescription(self, call: Call[None, None]) -> s.PrescriptionPage:
        """A prescription as the doctor signed it, checked again."""
        _, state = await self._prescription(call.path["visit_id"], call.path["prescription_id"])
        verified = await asyncio.to_thread(lambda: verify_signed(_signed(state), self._clinic.config.hub_sign))
        await self._clinic.accessed(call.subject, "read_prescription", state.prescription_id)
        visit = await self._clinic.visit(call.path["visit_id"])
        stands = standing(visit.prescriptions).get(state.prescription_id)
        return s.PrescriptionPage(verified.record, True, state.prescription_id, stands)

    async def check_slip(self, call: Call[s.CheckSlip, None]) -> s.CheckedSlip:
        """A scanned QR code against the records here: genuine, and not replaced or cancelled as far as is known."""
        scanned = parse_qr(call.body.qr)
        visit = await self._clinic.visit(scanned.visit_id)
        key = self._clinic.config.hub_sign

        def look() -> Verified:
            for state in visit.prescriptions:
                if record_hash(_signed(state).record) == scanned.record_hash:
                    verified = verify_qr(call.body.qr, _signed(state), key)
                    return with_newer(verified, [_signed(other) for other in visit.prescriptions], key)
            raise NotFound("This prescription has not arrived here.")

        verified = await asyncio.to_thread(look)
        await self._clinic.accessed(call.subject, "check_slip", verified.record.prescription_id)
        assert verified.stands is not None
        return s.CheckedSlip(verified.record.prescription_id, visit.visit_id, verified.stands)

    async def get_doctors(self, call: Call[None, None]) -> s.DoctorList:
        """Doctors of whom this node has heard: for recording that one of them saw the patient in person."""
        found = await self._clinic.store.read(lambda views: views.doctors())
        return s.DoctorList([s.Doctor(doctor_id, name) for doctor_id, name in found])

    async def get_stock(self, call: Call[None, None]) -> s.Stock:
        """What the book says of the shelf."""
        return s.Stock(await self._clinic.store.read(lambda views: views.stock_levels()))

    async def get_slip(self, call: Call[None, s.SlipQuery]) -> Raw:
        """The slip as a PDF that carries the signed record, checked again."""
        visit, state = await self._prescription(call.path["visit_id"], call.path["prescription_id"])

        def render() -> bytes:
            verify_signed(_signed(state), self._clinic.config.hub_sign)
            return render_slip(_signed(state), paper=call.query.paper)

        pdf = await asyncio.to_thread(render)
        await self._clinic.accessed(call.subject, "slip", state.prescription_id)
        name = f'inline; filename="{visit.token or "slip"}.pdf"'
        return Raw(pdf, "application/pdf", (("Content-Disposition", name),))

    async def _prescription(self, visit_id: str, prescription_id: str) -> tuple[Visit, PrescriptionState]:
        visit = await self._clinic.visit(visit_id)
        for state in visit.prescriptions:
            if state.prescription_id == prescription_id:
                return visit, state
        raise NotFound("This prescription has not arrived here.")

    # -- calls ----------------------------------------------------------------------------------------

    async def get_calls(self, call: Call[None, None]) -> s.CallList:
        """Calls that ring or run now."""
        return s.CallList(self._calls.current())

    async def accept_call(self, call: Call[s.AcceptCall, None]) -> s.CallList:
        """Take a call that rings."""
        await self._calls.accept(call.path["call_id"], call.subject, call.body.tablet)
        return s.CallList(self._calls.current())

    async def post_lan(self, call: Call[s.LanRequest, None]) -> s.LanReply:
        """The tablet's offer for its leg of the call; the answer of the call process."""
        return s.LanReply(await self._calls.lan(call.path["call_id"], call.body.sdp, call.body.tablet))

    async def post_drew(self, call: Call[s.DrewRequest, None]) -> None:
        """What is drawn on a photo now, or taken back: to the doctor in this call. Keep it with ``mark_photo``."""
        body = call.body
        await self._calls.drew(call.path["call_id"], Drew(body.blob_id, body.mark_id, body.mark))

    async def end_call(self, call: Call[None, None]) -> s.CallList:
        """Hang up, or decline a call that rings."""
        await self._calls.end(call.path["call_id"])
        return s.CallList(self._calls.current())

    async def get_live(self, call: Call[None, None]) -> web.StreamResponse:
        """WebSocket: what changes, as it changes."""
        assert call.session is not None
        return await self._clinic.tablets.serve(call.request, call.session.token)

    def routes(self) -> Sequence[AnyRoute]:
        """The whole API."""
        key = {"key": s.DraftKey}
        rx = "/api/visits/{visit_id}/prescriptions/{prescription_id}"
        return (
            Route("GET", "/healthz", self.get_health, reply=s.Health, auth=Auth.OPEN, while_locked=True),
            Route("GET", "/openapi.json", self.get_openapi, reply=dict, auth=Auth.OPEN, while_locked=True),
            Route("GET", "/api/status", self.get_status, reply=s.Status, auth=Auth.OPEN, while_locked=True),
            Route("GET", "/api/panel", self.get_panel, reply=PanelReport, auth=Auth.OPEN, while_locked=True),
            Route(
                "POST",
                "/api/unlock",
                self.post_unlock,
                body=s.Unlock,
                reply=s.Unlocked,
                auth=Auth.OPEN,
                while_locked=True,
                errors=(401, 429),
            ),
            Route("GET", "/api/staff", self.get_staff, reply=list[Staff], auth=Auth.OPEN, errors=(423,)),
            Route(
                "POST",
                "/api/session",
                self.post_session,
                body=s.Login,
                reply=s.SessionReply,
                auth=Auth.OPEN,
                errors=(401, 423, 429),
            ),
            Route("GET", "/api/session", self.get_session, reply=s.SessionReply, errors=(423,)),
            Route("DELETE", "/api/session", self.delete_session, errors=(423,)),
            Route("GET", "/api/reference", self.get_reference, reply=Reference, auth=Auth.OPEN, while_locked=True),
            Route(
                "POST", "/api/commands", self.post_command, body=Command, reply=s.CommandReply, errors=(404, 409, 423)
            ),
            Route("GET", "/api/queue", self.get_queue, reply=s.Queue, errors=(423,)),
            Route("GET", "/api/visits/{visit_id}", self.get_visit, reply=s.VisitPage, errors=(423,)),
            Route("GET", "/api/drafts", self.get_drafts, reply=s.DraftList, errors=(423,)),
            Route("GET", "/api/drafts/{key}", self.get_draft, reply=Draft, params=key, errors=(423,)),
            Route(
                "PUT",
                "/api/drafts/{key}",
                self.put_draft,
                body=s.DraftBody,
                reply=s.DraftSaved,
                params=key,
                errors=(423,),
            ),
            Route("DELETE", "/api/drafts/{key}", self.delete_draft, params=key, errors=(423,)),
            Route("GET", "/api/doctors", self.get_doctors, reply=s.DoctorList, errors=(423,)),
            Route("GET", "/api/stock", self.get_stock, reply=s.Stock, errors=(423,)),
            Route("POST", "/api/check-slip", self.check_slip, s.CheckSlip, s.CheckedSlip, errors=(404, 409, 423)),
            Route("GET", rx, self.get_prescription, reply=s.PrescriptionPage, errors=(423,)),
            Route(
                "GET",
                rx + "/slip.pdf",
                self.get_slip,
                reply=bytes,
                reply_media="application/pdf",
                query=s.SlipQuery,
                errors=(423,),
            ),
            Route("GET", "/api/calls", self.get_calls, reply=s.CallList, errors=(423,)),
            Route(
                "POST",
                "/api/calls/{call_id}/accept",
                self.accept_call,
                body=s.AcceptCall,
                reply=s.CallList,
                errors=(409, 423),
            ),
            Route(
                "POST",
                "/api/calls/{call_id}/lan",
                self.post_lan,
                body=s.LanRequest,
                reply=s.LanReply,
                errors=(409, 423, 503),
            ),
            Route("POST", "/api/calls/{call_id}/drew", self.post_drew, body=s.DrewRequest, errors=(423,)),
            Route("POST", "/api/calls/{call_id}/end", self.end_call, reply=s.CallList, errors=(423,)),
            Route("GET", "/api/live", self.get_live, reply_media=WEBSOCKET, errors=(423,)),
            *ReceptionApi(self._clinic).routes(),
            *ClosingApi(self._clinic).routes(),
            *PromptApi(self._clinic).routes(),
            *MediaApi(self._clinic, self._media).routes(),
            *self._more,
        )


def _signed(state: PrescriptionState) -> SignedPrescription:
    return msgspec.msgpack.decode(state.signed, type=SignedPrescription)
