"""Handlers for sending a patient on: the slip that the nurse makes, and the numbers to ring."""

import asyncio
from typing import Annotated

from msgspec import Meta, Struct

from edge.model.errors import Forbidden, NotFound
from edge.model.records import Role
from edge.node import on_call
from edge.node.clinic import Clinic
from edge.node.printing.desk import JobNow, Kind, PrinterDesk
from edge.slips.referral import ReferralPage, referral_page, render_referral, render_referral_roll
from edge.web.routes import AnyRoute, Auth, Call, Raw, Route


class ReferralQuery(Struct, frozen=True):
    at_ms: Annotated[int, Meta(ge=0, le=1 << 53)] = 0
    """Which referral of the visit, by when it was made; 0 is the latest."""


class ReferralApi:
    """Referral slips and the on-call list of one node."""

    def __init__(self, clinic: Clinic, printer: PrinterDesk) -> None:
        self._clinic = clinic
        self._printer = printer

    async def get_on_call(self, call: Call[None, None]) -> on_call.Numbers:
        """Whom to ring when no doctor answers. Also while the node is locked."""
        return await asyncio.to_thread(on_call.numbers, self._clinic.folder)

    async def put_on_call(self, call: Call[on_call.OnCallList, None]) -> on_call.Numbers:
        """Replace the centre's own list of whom to ring; the hub's stays."""
        if self._clinic.role_of(call.subject) is Role.PHARMACIST:
            raise Forbidden("An ANM, CHO or technician keeps the numbers.")
        await asyncio.to_thread(on_call.keep, self._clinic.folder, call.body)
        await self._clinic.accessed(call.subject, "on_call_changed", "")
        return await asyncio.to_thread(on_call.numbers, self._clinic.folder)

    async def get_referral_slip(self, call: Call[None, ReferralQuery]) -> Raw:
        """The referral slip as PDF, A5."""
        _, page = await self._page(call.path["visit_id"], call.query.at_ms)
        await self._clinic.accessed(call.subject, "referral_slip", call.path["visit_id"])
        named = (("Content-Disposition", f'inline; filename="referral-{page.token or "slip"}.pdf"'),)
        return Raw(await asyncio.to_thread(render_referral, page), "application/pdf", named)

    async def print_referral(self, call: Call[None, ReferralQuery]) -> JobNow:
        """Print the referral slip on the roll."""
        visit_id = call.path["visit_id"]
        at_ms, page = await self._page(visit_id, call.query.at_ms)
        roll_mm = self._printer.roll_mm
        await self._clinic.accessed(call.subject, "referral_slip", visit_id)
        return self._printer.add(
            Kind.REFERRAL, visit_id, str(at_ms), lambda: render_referral_roll(page, roll_mm=roll_mm), call.subject
        )

    async def _page(self, visit_id: str, at_ms: int) -> tuple[int, ReferralPage]:
        """When it was made, and the slip."""
        clinic = self._clinic
        visit = await clinic.visit(visit_id)
        made = next((one for one in reversed(visit.referrals) if at_ms in (0, one.at_ms)), None)
        patient = await clinic.store.read(lambda views: views.patient(visit.patient_id))
        if made is None or patient is None:
            raise NotFound("Nobody was sent on in this visit.")
        by = made.by
        worker = await clinic.store.read(lambda views: views.staff_member(by))
        site = clinic.config.site
        return made.at_ms, await asyncio.to_thread(
            referral_page,
            visit,
            patient,
            made,
            f"{site.name} ({site.code})",
            " · ".join(filter(None, (worker.name_hi, worker.name))) if worker else by,
            demo=clinic.config.demo,
            sure=clinic.clock.now().trusted,
        )

    def routes(self) -> list[AnyRoute]:
        """The table."""
        own, numbers = on_call.OnCallList, on_call.Numbers
        return [
            Route("GET", "/api/on-call", self.get_on_call, reply=numbers, auth=Auth.OPEN, while_locked=True),
            Route("PUT", "/api/on-call", self.put_on_call, own, numbers, errors=(423,)),
            Route(
                "GET",
                "/api/visits/{visit_id}/referral.pdf",
                self.get_referral_slip,
                reply=bytes,
                reply_media="application/pdf",
                query=ReferralQuery,
                errors=(423,),
            ),
            Route(
                "POST",
                "/api/visits/{visit_id}/referral/print",
                self.print_referral,
                reply=JobNow,
                query=ReferralQuery,
                errors=(409, 423),
            ),
        ]
