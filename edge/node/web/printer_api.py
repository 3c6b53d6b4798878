"""Handlers of the thermal printer: what waits, and what is asked to be printed."""

import asyncio

import msgspec

from edge.model.clock import day_of, paper_day
from edge.model.errors import NotFound, Refused
from edge.model.fold import Visit
from edge.model.prescribing import SignedPrescription
from edge.node import on_call
from edge.node.clinic import Clinic
from edge.node.printing.desk import JobNow, Kind, PrinterDesk, PrinterNow
from edge.slips.render import render_roll, render_token_roll, token_words
from edge.slips.verify import verify_signed
from edge.web.routes import AnyRoute, Call, Route


class PrinterApi:
    """The printer of one node."""

    def __init__(self, clinic: Clinic, printer: PrinterDesk) -> None:
        self._clinic = clinic
        self._printer = printer

    async def get_printer(self, call: Call[None, None]) -> PrinterNow:
        """Whether a thermal printer is fitted, what waits for it, and what is wrong with it."""
        return self._printer.now()

    async def print_slip(self, call: Call[None, None]) -> JobNow:
        """Print a prescription on the roll, checked again. It is recorded as printed when the printer says so."""
        visit_id, prescription_id = call.path["visit_id"], call.path["prescription_id"]
        visit = await self._clinic.visit(visit_id)
        state = next((one for one in visit.prescriptions if one.prescription_id == prescription_id), None)
        if state is None:
            raise NotFound("This prescription has not arrived here.")
        signed = msgspec.msgpack.decode(state.signed, type=SignedPrescription)
        await asyncio.to_thread(verify_signed, signed, self._clinic.config.hub_sign)
        roll_mm = self._printer.roll_mm
        made = self._printer.add(
            Kind.SLIP, visit_id, prescription_id, lambda: render_roll(signed, roll_mm=roll_mm), call.subject
        )
        await self._clinic.accessed(call.subject, "slip", prescription_id)
        return made

    async def print_token(self, call: Call[None, None]) -> JobNow:
        """Print a visit's token on the roll."""
        visit = await self._clinic.visit(call.path["visit_id"])
        if not visit.token:
            raise Refused("Issue a token first.", code="token_needed")
        config, roll_mm = self._clinic.config, self._printer.roll_mm

        def draw() -> bytes:
            named = on_call.grievance(self._clinic.folder)
            words = token_words(visit.token, config.site.name, "", _day(visit), demo=config.demo, grievance=named)
            return render_token_roll(words, roll_mm=roll_mm)

        return self._printer.add(Kind.TOKEN, visit.visit_id, visit.token, draw, call.subject)

    async def drop_job(self, call: Call[None, None]) -> PrinterNow:
        """Forget a job that waits or has ended."""
        self._printer.drop(call.path["job_id"])
        return self._printer.now()

    def routes(self) -> list[AnyRoute]:
        """The table."""
        rx = "/api/visits/{visit_id}/prescriptions/{prescription_id}/print"
        return [
            Route("GET", "/api/printer", self.get_printer, reply=PrinterNow, errors=(423,)),
            Route("POST", rx, self.print_slip, reply=JobNow, errors=(409, 423)),
            Route("POST", "/api/visits/{visit_id}/token/print", self.print_token, reply=JobNow, errors=(409, 423)),
            Route("DELETE", "/api/printer/jobs/{job_id}", self.drop_job, reply=PrinterNow, errors=(423,)),
        ]


def _day(visit: Visit) -> str:
    return paper_day(visit.token_day or day_of(visit.opened_ms))
