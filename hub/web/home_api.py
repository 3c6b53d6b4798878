"""The patients' HTTP API below ``/home/api``: routes that decode, ask the home desk, and reply. No rule lives here."""

import msgspec
from aiohttp import web

from edge.model.fold import Visit
from edge.model.prescribing import PrescriptionRecord, Stands
from edge.model.reference import Reference, reference
from edge.model.tokens import is_of_today
from edge.slips.words import dose_lines
from edge.web.openapi import reply_of
from edge.web.ranges import send_bytes, send_content
from edge.web.routes import BINARY, WEBSOCKET, AnyRoute, Auth, Call, Gate, Raw, Route, WithCookie, WithSession

from .. import __version__
from ..breach import Role, load_officer
from ..home.centres import Centres
from ..home.codes import DEVICE_MS
from ..home.desk import Seen
from ..home.home import Home
from ..home.proofs import device_of
from ..home.push import subscription_of, to_text
from ..home.rows import Account
from ..hub import Hub
from . import home_bodies as b
from .address import address_of
from .sockets import SOCKETS, serve_patient

COOKIE = "upk_home"
DEVICE_COOKIE = "upk_home_device"
"""Which device asked for a code: it opens nothing by itself."""
ROOT = "/home/api"


class HomeApi:
    """Handlers over one hub that serves patients at home."""

    def __init__(self, hub: Hub, home: Home) -> None:
        self._hub = hub
        self._home = home
        self._desk = home.desk
        self._reference = Raw(msgspec.json.encode(reference()), "application/json")
        self._openapi = Raw(b"", "application/json")

    def gate(self) -> Gate:
        return Gate(COOKIE, self._desk.find_session, secure=self._hub.settings.secure_cookie)

    def routes(self) -> list[AnyRoute]:
        """The table from which dispatch and ``/home/openapi.json`` are made."""
        visit = ROOT + "/visits/{visit_id}"
        table: list[AnyRoute] = [
            Route("GET", ROOT + "/opening", self.get_opening, None, b.Opening, Auth.OPEN),
            Route("GET", ROOT + "/centres", self.find_centres, None, Centres, Auth.OPEN, query=b.CentreQuery),
            Route("POST", ROOT + "/code", self.ask_code, b.AskCode, b.CodeAsked, Auth.OPEN, errors=(429,)),
            Route("POST", ROOT + "/login", self.login, b.HomeLogin, b.Family, Auth.OPEN, errors=(401, 429)),
            Route("GET", ROOT + "/session", self.get_family, None, b.Family),
            Route("DELETE", ROOT + "/session", self.logout),
            Route("PUT", ROOT + "/choice", self.choose, b.Choose, b.Family, errors=(409,)),
            Route("GET", ROOT + "/push", self.get_push_key, None, b.PushKey),
            Route("PUT", ROOT + "/push", self.put_push, b.PushTo, None),
            Route("POST", ROOT + "/push/seen", self.push_seen, b.PushSeen, None, Auth.OPEN),
            Route("GET", ROOT + "/reference", self.get_reference, None, Reference),
            Route("GET", ROOT + "/ice-servers", self.get_ice, None, b.HomeIce),
            Route("POST", ROOT + "/commands", self.command, b.HomeCommand, None, errors=(404, 409, 429)),
            Route("GET", visit, self.get_visit, None, b.HomeVisit),
            Route(
                "PUT",
                visit + "/photos/{command_id}",
                self.put_photo,
                body=bytes,
                body_media=BINARY,
                query=b.PhotoQuery,
                errors=(409, 429),
            ),
            Route(
                "GET", visit + "/photos/{blob_id}", self.get_photo, None, bytes, reply_media=BINARY, errors=(409, 416)
            ),
            Route(
                "GET", visit + "/answers/{answer_id}", self.get_answer, None, bytes, reply_media=BINARY, errors=(416,)
            ),
            Route(
                "GET",
                visit + "/prescriptions/{prescription_id}/slip.pdf",
                self.get_slip,
                reply=Raw,
                reply_media="application/pdf",
                query=b.HomeSlipQuery,
                errors=(409, 429),
            ),
            Route(
                "POST",
                ROOT + "/check-slip",
                self.check_slip,
                body=bytes,
                reply=b.CheckedSlip,
                auth=Auth.OPEN,
                body_media=BINARY,
                errors=(409, 429),
            ),
            Route("GET", ROOT + "/live", self.live, None, None, errors=(429,), reply_media=WEBSOCKET),
            Route("GET", "/home/openapi.json", self.openapi, None, Raw, Auth.OPEN, reply_media="application/json"),
        ]
        documented = [route for route in table if route.path != "/home/openapi.json"]
        self._openapi = reply_of("Upkendra for patients at home", __version__, COOKIE, documented)
        return table

    # Log-in

    async def get_opening(self, call: Call[None, None]) -> b.Opening:
        """When doctors sit, and whom to complain to. Nothing about anybody."""
        hours = await self._hub.front.hours()
        return b.Opening(
            hours.open,
            hours.opens_ms,
            await self._hub.store.read(lambda connection: load_officer(connection, Role.GRIEVANCE)),
            self._desk.gateway.demo,
            self._hub.wall_ms(),
        )

    async def find_centres(self, call: Call[None, b.CentreQuery]) -> Centres:
        """Sub-centres by district, block, and what their names and villages sound like. Nothing about anybody."""
        query = call.query
        return await self._home.centres.find(query.q, query.district, query.block, placed=query.placed)

    async def ask_code(self, call: Call[b.AskCode, None]) -> WithCookie:
        """Send a code to a number, good at this device. The answer is the same for every number."""
        body, device = call.body, device_of(call.request.cookies.get(DEVICE_COOKIE, ""))
        asked = await self._desk.ask_code(body.mobile, device, self._address(call.request), body.language)
        reply = b.CodeAsked(asked.good_s, asked.digits, bool(asked.code))
        return WithCookie(reply, DEVICE_COOKIE, device, ROOT + "/", DEVICE_MS // 1000)

    async def login(self, call: Call[b.HomeLogin, None]) -> WithSession:
        """Log in with the code of the message, or with today's token and its letters."""
        body, address = call.body, self._address(call.request)
        device = call.request.cookies.get(DEVICE_COOKIE, "")
        account, session = await self._desk.login(body.mobile, body.proof, device, address, body.language)
        return WithSession(await self._family(account, session.csrf), session)

    def _address(self, request: web.Request) -> str:
        return address_of(request, self._hub.settings)

    async def get_family(self, call: Call[None, None]) -> b.Family:
        """Who is logged in: the family, and its visits from home."""
        assert call.session is not None
        return await self._family(await self._desk.account(call.subject), call.session.csrf)

    async def _family(self, account: Account, csrf: str) -> b.Family:
        people, visits = await self._desk.family(account.account_id)
        site = self._hub.directory.site(account.centre)
        return b.Family(
            "•••••••" + account.number[-3:],
            csrf,
            account.language,
            account.centre,
            ", ".join(part for part in (site.site_name, site.district) if part) if account.centre else "",
            tuple(people),
            tuple(_line(visit) for visit in visits),
            self._hub.wall_ms(),
        )

    async def logout(self, call: Call[None, None]) -> WithSession:
        """End the session."""
        if call.session is not None:
            await self._desk.logout(call.session.token)
            await call.request.app[SOCKETS].end_session(call.session.token)
        return WithSession(None, None)

    async def choose(self, call: Call[b.Choose, None]) -> b.Family:
        """Choose the nearest sub-centre and the language of messages."""
        account = await self._desk.choose(call.subject, call.body.centre, call.body.language)
        assert call.session is not None
        return await self._family(account, call.session.csrf)

    async def get_push_key(self, call: Call[None, None]) -> b.PushKey:
        """The key for which a browser subscribes to be told before the turn."""
        return b.PushKey(to_text(await self._desk.push_key()))

    async def put_push(self, call: Call[b.PushTo, None]) -> None:
        """Tell this browser before an SMS goes out, or no more."""
        body = call.body
        to = subscription_of(body.endpoint, body.p256dh, body.auth, self._desk.pusher.services)
        await self._desk.take_push(call.subject, to, on=body.on)

    async def push_seen(self, call: Call[b.PushSeen, None]) -> None:
        """The browser has shown what was pushed: no SMS is needed. The word is known to it alone."""
        await self._desk.push_seen(call.body.word)

    # Visits

    async def command(self, call: Call[b.HomeCommand, None]) -> None:
        """Say something about oneself or one's family; sent twice it is recorded once."""
        await self._desk.command(call.subject, call.body)

    async def get_visit(self, call: Call[None, None]) -> b.HomeVisit:
        """A visit: what was said, the place in the queue, the answer."""
        seen = await self._desk.seen(call.subject, call.path["visit_id"])
        return self._visit(seen)

    def _visit(self, seen: Seen) -> b.HomeVisit:
        visit, now_ms = seen.visit, self._hub.wall_ms()
        kept = {one.prescription_id for one in visit.prescriptions if one.printed_ms}
        papers = [_paper(record, stands, kept) for record, stands in self._home.papers.papers_of(visit.prescriptions)]
        return b.HomeVisit(
            visit.visit_id,
            seen.patient,
            visit.state,
            visit.colour,
            visit.token,
            seen.day_pass,
            bool(visit.token) and is_of_today(visit.token_day, now_ms),
            len(visit.no_shows_ms),
            seen.place,
            None if visit.doctor_name else visit.expected,
            visit.doctor_name,
            seen.doctor.qualification if seen.doctor else "",
            seen.doctor.registration if seen.doctor else "",
            visit.consents,
            visit.complaints,
            visit.complaint_notes,
            visit.history,
            visit.allergies,
            visit.signs_present,
            visit.signs_absent,
            visit.vitals,
            tuple(one for one in visit.media if not one.removed_ms),
            tuple(papers),
            visit.answers,
            visit.opened_ms,
            visit.closed_ms,
            now_ms,
            tuple(
                b.InCall(
                    one.third_id,
                    one.call_id,
                    one.name,
                    one.registration,
                    one.qualification,
                    one.joined_ms,
                    one.left_ms,
                )
                for one in visit.thirds
            ),
            visit.speciality,
        )

    async def put_photo(self, call: Call[bytes, b.PhotoQuery]) -> None:
        """A photo with its small preview before it, at most 256 KiB together. Sent twice it is kept once."""
        split, body = call.query.preview_bytes, call.body
        await self._home.papers.attach(
            call.subject, call.path["visit_id"], call.path["command_id"], body[:split], body[split:]
        )

    async def get_photo(self, call: Call[None, None]) -> web.StreamResponse:
        """A photo of one's own visit."""
        content = await self._home.papers.open(call.subject, call.path["visit_id"], call.path["blob_id"])
        return await send_content(call.request, content.size_bytes, content.media_type, content.name, content.read)

    async def get_answer(self, call: Call[None, None]) -> web.StreamResponse:
        """What the doctor said into her microphone for one's own visit. Takes one Range."""
        path = call.path
        one, content = await self._home.papers.listen(call.subject, path["visit_id"], path["answer_id"])
        return await send_bytes(call.request, content, one.media_type.value, one.answer_id)

    async def get_slip(self, call: Call[None, b.HomeSlipQuery]) -> Raw:
        """The prescription as a PDF that carries the signed record."""
        path = call.path
        pdf = await self._home.papers.slip(call.subject, path["visit_id"], path["prescription_id"], call.query.paper)
        name = f'inline; filename="{path["prescription_id"]}.pdf"'
        return Raw(pdf, "application/pdf", (("Content-Disposition", name),))

    async def check_slip(self, call: Call[bytes, None]) -> b.CheckedSlip:
        """Whether a PDF is a slip of this hub to the last byte, and whether it still stands. Anybody may ask."""
        found = await self._home.papers.check(self._address(call.request), call.body)
        record = found.record
        return b.CheckedSlip(
            record.prescription_id, record.doctor_name, record.registration, record.signed_ms, found.stands
        )

    async def get_reference(self, call: Call[None, None]) -> Raw:
        """Everything that the screens need to know."""
        return self._reference

    async def get_ice(self, call: Call[None, None]) -> b.HomeIce:
        """STUN and TURN servers, with short-lived credentials."""
        return b.HomeIce(self._hub.live.ice_servers(call.subject))

    async def live(self, call: Call[None, None]) -> web.StreamResponse:
        """What changes, and call signals both ways."""
        assert call.session is not None
        self._home.calls.need_room(call.subject)
        return await serve_patient(call.request, self._home.calls, call.subject, call.session.token, self._desk)

    async def openapi(self, call: Call[None, None]) -> Raw:
        """This document."""
        return self._openapi


def _line(visit: Visit) -> b.HomeVisitLine:
    return b.HomeVisitLine(
        visit.visit_id,
        visit.patient_id,
        visit.state,
        visit.colour,
        visit.token,
        visit.opened_ms,
        visit.closed_ms,
        bool(visit.prescriptions),
    )


def _paper(record: PrescriptionRecord, stands: Stands, kept: set[str]) -> b.Paper:
    lines = [b.Medicine(f"{one.generic} {one.strength}".strip(), *dose_lines(one)) for one in record.medicines]
    return b.Paper(
        record.prescription_id,
        record.signed_ms,
        record.doctor_name,
        record.registration,
        record.diagnosis,
        tuple(lines),
        record.advice,
        record.follow_up_date,
        record.cancels,
        stands,
        record.prescription_id in kept,
    )
