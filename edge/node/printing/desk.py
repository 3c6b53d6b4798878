"""What waits for the thermal printer: a spool in memory only, one job after the other, and how each ended, as codes.

Knows the clinic and the line. A slip that the printer says is printed is recorded as such, in the name of who asked.
"""

import asyncio
import contextlib
import logging
import secrets
from collections.abc import Awaitable, Callable
from enum import StrEnum

import msgspec
from msgspec import Struct

from edge.model import commands as cmd
from edge.model.errors import NotFound, Refused, UpkendraError
from edge.model.ids import ID_BYTES, make_id
from edge.web.logs import say
from edge.web.refusals import failure_of

from ..clinic import Clinic
from ..live import PrinterChanged
from .escpos import Outcome, job_of
from .port import Printer
from .raster import raster_of
from .run import run_job

logger = logging.getLogger("edge.node.printing")

JOBS_MAX = 20
"""More wait for nobody: the printer is broken, and each job is a whole picture."""
SHOWN_ENDED = 10


Tell = Callable[[cmd.Command], Awaitable[object]]
"""Records that a slip was printed, in the name of whoever asked for it."""


class Kind(StrEnum):
    """What is printed."""

    SLIP = "slip"
    TOKEN = "token"  # noqa: S105  (a queue's token)
    REFERRAL = "referral"


class JobNow(Struct, frozen=True):
    """A job as the tablet shows it."""

    job_id: str
    kind: Kind
    visit_id: str
    subject: str
    """Prescription id of a slip, token of a token."""
    state: str
    """waiting, printing, or how it ended (:class:`edge.node.printing.escpos.Outcome`)."""


class PrinterNow(Struct, frozen=True):
    """The printer and its jobs, the latest last."""

    fitted: bool
    roll_mm: int = 0
    trouble: str = ""
    """How the last job ended, when it was not printed; empty when all is well as far as is known."""
    jobs: tuple[JobNow, ...] = ()


class _Waiting:
    """A job with what it takes to print it."""

    def __init__(self, now: JobNow, make: Callable[[], bytes], tell: Tell, copies: int) -> None:
        self.now = now
        self.make = make
        self.tell = tell
        self.copies = copies


ENDED = frozenset(Outcome)


class PrinterDesk:
    """The spool of one node; ``printer`` None: no printer is fitted and every job is refused."""

    def __init__(self, clinic: Clinic, printer: Printer | None) -> None:
        self._clinic = clinic
        self._printer = printer
        self._jobs: list[_Waiting] = []
        self._more = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._trouble = ""

    @property
    def fitted(self) -> bool:
        return self._printer is not None

    @property
    def roll_mm(self) -> int:
        """Width of the roll; raises Refused when no printer is fitted."""
        if self._printer is None:
            raise Refused("No thermal printer is fitted here. Print the PDF.", code="no_printer")
        return self._printer.roll_mm

    @property
    def trouble(self) -> str:
        return self._trouble

    def now(self) -> PrinterNow:
        """How it stands."""
        if self._printer is None:
            return PrinterNow(False)
        return PrinterNow(True, self._printer.roll_mm, self._trouble, tuple(one.now for one in self._jobs))

    def start(self) -> None:
        """Begin to print."""
        if self._printer is not None:
            self._task = asyncio.create_task(self._work(self._printer))

    async def stop(self) -> None:
        """End; what still waits is forgotten, it was in memory only."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        self._jobs.clear()

    def add(
        self, kind: Kind, visit_id: str, subject: str, make: Callable[[], bytes], by: str | Tell, copies: int = 1
    ) -> JobNow:
        """Print something; ``make`` gives its PNG and may block. A job of the same that waits already is that job.

        ``by``: a staff id, or what records a printed slip where nobody is logged in.
        """
        _ = self.roll_mm
        same = next((one for one in self._jobs if _is_same(one.now, kind, visit_id, subject)), None)
        if same is not None:
            return same.now
        if sum(one.now.state not in ENDED for one in self._jobs) >= JOBS_MAX:
            raise Refused("Too many jobs wait for the printer. Look after it first.", code="printer_full")
        job_id = make_id(secrets.token_bytes(ID_BYTES))
        tell = self._tell_as(by) if isinstance(by, str) else by
        made = _Waiting(JobNow(job_id, kind, visit_id, subject, "waiting"), make, tell, copies)
        self._jobs = [one for one in self._jobs if not _is_ended_same(one.now, kind, visit_id, subject)]
        self._jobs.append(made)
        self._changed()
        return made.now

    def drop(self, job_id: str) -> None:
        """Forget a job that waits or has ended. Raises NotFound."""
        found = next((one for one in self._jobs if one.now.job_id == job_id and one.now.state != "printing"), None)
        if found is None:
            raise NotFound("There is no such job, or it is being printed.")
        self._jobs.remove(found)
        self._changed()

    def _changed(self) -> None:
        ended = [one for one in self._jobs if one.now.state in ENDED]
        for one in ended[:-SHOWN_ENDED]:
            self._jobs.remove(one)
        self._more.set()
        self._clinic.tablets.push(PrinterChanged())

    async def _work(self, printer: Printer) -> None:
        while True:
            self._more.clear()
            job = next((one for one in self._jobs if one.now.state == "waiting"), None)
            if job is None:
                await self._more.wait()
                continue
            self._set(job, "printing")
            outcome = await self._print(printer, job)
            self._trouble = "" if outcome in (Outcome.PRINTED, Outcome.SENT) else outcome.value
            if outcome is not Outcome.PRINTED:
                say(logger, "print_ended", outcome=outcome.value)
            elif job.now.kind is Kind.SLIP:
                await self._quietly(self._confirm(job))
            self._set(job, outcome.value)

    async def _print(self, printer: Printer, job: _Waiting) -> Outcome:
        try:
            raster = await raster_of(await asyncio.to_thread(job.make))
            return await run_job(printer.port, job_of(raster, job.copies))
        except UpkendraError as error:
            say(logger, "print_failed", logging.WARNING, code=error.refusal.code)
        except Exception:  # one page that cannot be drawn: those behind it are printed all the same
            logger.exception("a job could not be printed")
        return Outcome.PRINTER_ERROR

    async def _confirm(self, job: _Waiting) -> None:
        command_id = make_id(secrets.token_bytes(ID_BYTES))
        visit_id, prescription_id = job.now.visit_id, job.now.subject
        command = cmd.ConfirmPrinted(command_id, visit_id, prescription_id, "thermal", job.copies)
        await job.tell(command)

    def _tell_as(self, staff_id: str) -> Tell:
        return lambda command: self._clinic.command(command, staff_id)

    async def _quietly(self, work: Awaitable[None]) -> None:
        """The paper is out of the printer: that a locked node refuses the record changes nothing of that."""
        try:
            await work
        except UpkendraError as error:
            say(logger, "print_not_recorded", logging.WARNING, code=error.refusal.code)
        except Exception as error:  # a full disk
            say(logger, "print_not_recorded", logging.ERROR, code=failure_of(error).code)

    def _set(self, job: _Waiting, state: str) -> None:
        job.now = msgspec.structs.replace(job.now, state=state)
        self._changed()


def _is_same(now: JobNow, kind: Kind, visit_id: str, subject: str) -> bool:
    return (now.kind, now.visit_id, now.subject) == (kind, visit_id, subject) and now.state not in ENDED


def _is_ended_same(now: JobNow, kind: Kind, visit_id: str, subject: str) -> bool:
    return (now.kind, now.visit_id, now.subject) == (kind, visit_id, subject) and now.state in ENDED
