"""Emergency mode: a RED case at a node that nobody has opened, with no log-in. From who it is to the printed slip.

A case belongs to the tablet that opened it, by a key that only that tablet and this process know. What is recorded
lies sealed to R and, sealed for the hub, in the outbox before anybody is answered; when the records are open it goes
into them, and so does what comes later. Knows no HTTP.
"""

import asyncio
import hmac
import logging
import secrets
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import msgspec
from msgspec import Struct

from edge.model import commands as cmd
from edge.model import events as ev
from edge.model.clock import day_of, paper_day
from edge.model.errors import Forbidden, NotFound, Refusal, Refused, UpkendraError
from edge.model.fold import Patient, Visit
from edge.model.ids import ID_BYTES, make_id
from edge.model.prescribing import SignedPrescription
from edge.model.records import Age, Colour, Gender, Person
from edge.model.referral import MadeReferral
from edge.slips.referral import ReferralPage, referral_page, render_referral, render_referral_roll
from edge.slips.render import render_roll, render_slip, render_token_roll, token_words
from edge.slips.verify import verify_signed
from edge.sync import bundle, locked
from edge.sync.link import BundleRef
from edge.web.logs import say

from . import on_call
from .clinic import Clinic, CommandRefused
from .config import EMERGENCY_FILE, write_private
from .journal import Journal, Outgoing
from .live import VisitChanged
from .locked_log import ANY_DAY, EMERGENCY_CLASS, NOBODY, Counts, LockedLog, Step
from .outbox import OutboxDb
from .printing.desk import JobNow, Kind, PrinterDesk
from .replies import Reply

logger = logging.getLogger("edge.node")

CASES_MAX = 60
"""Of one process. More is no clinic's emergency but somebody in its Wi-Fi."""
CASE_EVERY_S = 2.0
ASK_EVERY_S = 5.0
"""An open case that a tablet looks at asks the hub this often for its answer."""
PRINTS_MAX, PRINTS_OF_ALL_MAX = 8, 60
"""Of one case, and of all of one process: nobody is logged in, and the roll is the clinic's."""
COMMANDS_MAX, REFERRALS_MAX = 80, 3
"""Of one case: each is an urgent bundle, and a referral is a page that has to be set."""
ALLOWED = (
    cmd.RecordVitals,
    cmd.RecordComplaints,
    cmd.RecordHistory,
    cmd.AnswerSigns,
    cmd.AmendPatient,
    cmd.RaiseTriage,
    cmd.ConfirmPrinted,
    cmd.Refer,
    cmd.TakeBackReferral,
)


class NewCase(Struct, frozen=True):
    """Who it is, as far as somebody can say in an emergency."""

    key: bytes
    """The tablet's, 16 B: what is sent again with it to the same process is no second case. After a power cut it is
    one: the first went the way of what was recorded, and nothing is opened twice under one id."""
    name: str
    gender: Gender
    age: Age


class CasePage(Struct, frozen=True):
    """A case as its tablet shows it."""

    visit: Visit
    patient: Patient
    at_hub: bool
    """Whether the hub has durably all that was said so far."""
    online: bool
    locked: bool
    warnings: tuple[Refusal, ...] = ()
    printer: bool = False
    """A thermal printer is fitted."""
    jobs: tuple[JobNow, ...] = ()
    """What it prints or has printed of this case, the latest last."""


class _Case(Struct):
    key: bytes
    patient_id: str
    refs: list[bytes] = []
    doctor_name: str = ""
    prints: int = 0
    commands: int = 0
    referral: tuple[int, bytes] = (0, b"")
    """The slip that was set last, by when its referral was made."""


class Emergency:
    """The emergencies of one process."""

    def __init__(
        self,
        folder: Path,
        clinic: Clinic,
        run: bytes,
        pack: Callable[[bundle.BundlePayload], bytes],
        seal: Callable[[bytes], BundleRef],
        printer: PrinterDesk,
    ) -> None:
        """``pack`` runs in a thread, ``seal`` seals under the present epoch. Reads a small file."""
        self._path = folder / EMERGENCY_FILE
        self._clinic, self._run, self._pack, self._seal = clinic, run, pack, seal
        self._printer = printer
        self.send_signal: Callable[[bytes], None] = lambda blob: None
        self._log = LockedLog(clinic.config, run, self._counts())
        self._cases: dict[str, _Case] = {}
        self._one = asyncio.Lock()
        self._setting = asyncio.Lock()
        """One page is set at a time: the typesetter's threads are the clinic's."""
        self._asked_s = self._opened_s = float("-inf")

    def _counts(self) -> Counts:
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=Counts)
        except FileNotFoundError:
            return Counts()
        except msgspec.DecodeError:
            # Whatever may have been given is passed over.
            return Counts(ANY_DAY, 100 + secrets.randbelow(800), 1000 + secrets.randbelow(9000))

    async def open(self, case: NewCase) -> CasePage:
        """A RED case with its token, at once on its way to the hub. Raises Refused, CommandRefused."""
        visit_id, patient_id = self._id_of(case, 0), self._id_of(case, 1)
        if visit_id in self._cases:
            async with self._one:  # the first may still be on its way to the disk
                pass
        if visit_id in self._cases:
            return await self.page(visit_id, case.key)
        now_s = time.monotonic()
        if len(self._cases) >= CASES_MAX or now_s - self._opened_s < CASE_EVERY_S:
            raise Refused("Too many emergencies at once. Wait a moment, or unlock the box.", code="too_many_cases")
        before_s, self._opened_s = self._opened_s, now_s
        person = Person(case.name, case.gender, "", case.age)
        commands = (
            cmd.RegisterPatient(self._id_of(case, 2), patient_id, person),
            cmd.OpenVisit(self._id_of(case, 3), visit_id, patient_id, "emergency"),
            cmd.RaiseTriage(self._id_of(case, 4), visit_id, Colour.RED, "emergency button"),
            cmd.IssueToken(self._id_of(case, 5), visit_id),
        )
        self._cases[visit_id] = _Case(case.key, patient_id)
        try:
            await self._carry_out(visit_id, commands)
        except BaseException:  # a full disk or a wrong age: what is sent again with its key is to be opened at once
            del self._cases[visit_id]
            self._opened_s = before_s
            raise
        say(logger, "emergency_opened", locked=self._clinic.locked)
        return await self.page(visit_id, case.key)

    def _id_of(self, case: NewCase, number: int) -> str:
        """Ids of a case and its first commands: of this process and this tablet's key."""
        return make_id(hmac.digest(self._run, b"emergency" + case.key + bytes((number,)), "sha256")[:ID_BYTES])

    async def command(self, visit_id: str, key: bytes, command: cmd.Command) -> CasePage:
        """Say more about a case. Raises Forbidden, NotFound, CommandRefused."""
        case = self._case(visit_id, key)
        about = getattr(command, "visit_id", visit_id), getattr(command, "patient_id", case.patient_id)
        if not isinstance(command, ALLOWED) or about != (visit_id, case.patient_id):
            raise Forbidden("Without a log-in only this case can be gone on with.")
        if self._log.known(command) is None:
            await self._count_command(visit_id, case, command)
        replies = await self._carry_out(visit_id, (command,))
        page = await self.page(visit_id, key)
        return msgspec.structs.replace(page, warnings=replies[0].warnings)

    def _case(self, visit_id: str, key: bytes) -> _Case:
        """Raises NotFound; the same for a case that is not this tablet's."""
        case = self._cases.get(visit_id)
        if case is None or not hmac.compare_digest(case.key, key):
            raise NotFound("This case is not open here. It may be in the records: unlock the box.")
        return case

    async def _carry_out(self, visit_id: str, commands: tuple[cmd.Command, ...]) -> tuple[Reply, ...]:
        """Where the records are closed, into our own log; into theirs as soon as they are open."""
        async with self._one:
            known = tuple(filter(None, map(self._log.known, commands)))
            if len(known) == len(commands):
                return known
            now = self._clinic.clock.now()
            step = self._log.decide(commands, now, secrets.token_bytes(16 * len(commands)))
            ref = None
            if isinstance(step, Step) and step.payload is not None and self._clinic.locked:
                await asyncio.to_thread(write_private, self._path, msgspec.json.encode(step.counts))
                ref = self._seal(await asyncio.to_thread(self._pack, step.payload))
            outcome = await self._clinic.store.either(_keeper(self._clinic, step, ref), self._teller(commands))
        if isinstance(outcome, Refusal):
            raise CommandRefused(outcome)
        if isinstance(outcome, Step):
            self._log.commit(outcome)
            if ref is not None:
                self._cases[visit_id].refs.append(ref.bundle_id)
                for listener in self._clinic.on_sealed:
                    listener(Outgoing(ref, EMERGENCY_CLASS))
            return outcome.replies
        self._clinic.seal_soon(0.0)
        self._clinic.tablets.push(VisitChanged(visit_id))
        return outcome

    def _teller(self, commands: tuple[cmd.Command, ...]) -> Callable[[Journal], tuple[Reply, ...] | Refusal]:
        """The same commands to records that are open by now."""

        def tell(journal: Journal) -> tuple[Reply, ...] | Refusal:
            replies = []
            for command in commands:
                reply = self._log.known(command) or journal.apply(command, NOBODY, self._clinic.clock.now())
                if isinstance(reply, Refusal):
                    return reply
                replies.append(reply)
            return tuple(replies)

        return tell

    async def page(self, visit_id: str, key: bytes) -> CasePage:
        """How a case stands; looking at it asks the hub for an answer. Raises NotFound."""
        case = self._case(visit_id, key)
        visit, patient = await self._look(visit_id, case.patient_id)
        left = await self._clinic.store.outbox(lambda outbox: outbox.unacknowledged(case.refs))
        if self._clinic.locked:
            self._ask()
        elif left == 0:
            left = 0 if (await self._clinic.lines(visit))[1].state not in ("waiting", "sent") else 1
        link = self._clinic.link_now
        online = link is not None and link().online
        printing = self._printer.now()
        jobs = tuple(job for job in printing.jobs if job.visit_id == visit_id)
        return CasePage(visit, patient, left == 0, online, self._clinic.locked, (), printing.fitted, jobs)

    async def _look(self, visit_id: str, patient_id: str) -> tuple[Visit, Patient]:
        if self._clinic.locked:
            return self._log.visits[visit_id], self._log.patients[patient_id]
        visit = await self._clinic.visit(visit_id)
        patient = await self._clinic.store.read(lambda views: views.patient(patient_id))
        if patient is None:
            raise NotFound("The patient of this case is not known here.")
        return visit, patient

    # -- the hub's answers ----------------------------------------------------------------------------

    def _ask(self) -> None:
        now_s = time.monotonic()
        if now_s - self._asked_s < ASK_EVERY_S or not self._log.visits:
            return
        self._asked_s = now_s
        latest = tuple(self._log.visits)[-locked.VISITS_MAX :]
        have = tuple(one.prescription_id for name in latest for one in self._log.visits[name].prescriptions)
        self.send_signal(locked.encode(locked.AskAnswers(latest, have)))

    async def heard(self, signal: bytes) -> None:
        """A message of the hub about our visits. One that does not hold is dropped and logged."""
        try:
            answer = locked.decode(signal)
            if isinstance(answer, locked.Answer) and answer.visit_id in self._log.visits:
                await self._take(answer)
        except (UpkendraError, msgspec.MsgspecError) as error:
            code = error.refusal.code if isinstance(error, UpkendraError) else "payload_malformed"
            say(logger, "answer_refused", logging.WARNING, code=code)

    async def _take(self, answer: locked.Answer) -> None:
        now, visit = self._clinic.clock.now(), self._log.visits[answer.visit_id]
        if answer.doctor_name and answer.doctor_name != visit.doctor_name:
            taken = ev.VisitAssigned(answer.visit_id, answer.doctor_id, answer.doctor_name)
            self._log.hear(taken, now, answer.doctor_id)
        if answer.signed and all(one.prescription_id != answer.prescription_id for one in visit.prescriptions):
            signed = msgspec.msgpack.decode(answer.signed, type=SignedPrescription)
            verified = await asyncio.to_thread(verify_signed, signed, self._clinic.config.hub_sign)
            if verified.record.visit_id != answer.visit_id:
                raise Refused("The prescription is for another visit.", code="prescription_other_visit")
            event = ev.PrescriptionSigned(answer.visit_id, verified.record.prescription_id, answer.signed)
            self._log.hear(event, now, answer.doctor_id)
            say(logger, "emergency_answered")

    # -- paper ----------------------------------------------------------------------------------------

    async def slip(self, visit_id: str, key: bytes, prescription_id: str, paper: str) -> bytes:
        """The slip of a case as PDF, checked again. Raises NotFound."""
        signed = await self._signed(visit_id, key, prescription_id)
        return await asyncio.to_thread(lambda: render_slip(signed, paper=paper))

    async def print_slip(self, visit_id: str, key: bytes, prescription_id: str) -> CasePage:
        """The same on the roll; recorded as printed when the printer says so. Raises NotFound, Refused."""
        signed, roll_mm = await self._signed(visit_id, key, prescription_id), self._printer.roll_mm
        self._count_print(visit_id)
        self._printer.add(
            Kind.SLIP,
            visit_id,
            prescription_id,
            lambda: render_roll(signed, roll_mm=roll_mm),
            lambda command: self.command(visit_id, key, command),
        )
        return await self.page(visit_id, key)

    async def print_token(self, visit_id: str, key: bytes) -> CasePage:
        """The token of a case on the roll. Raises NotFound, Refused."""
        visit, _ = await self._look(visit_id, self._case(visit_id, key).patient_id)
        config, roll_mm = self._clinic.config, self._printer.roll_mm
        day = paper_day(day_of(visit.opened_ms))

        def draw() -> bytes:
            named = on_call.grievance(self._clinic.folder)
            words = token_words(visit.token, config.site.name, "", day, demo=config.demo, grievance=named)
            return render_token_roll(words, roll_mm=roll_mm)

        self._count_print(visit_id)
        self._printer.add(Kind.TOKEN, visit_id, visit.token, draw, "")
        return await self.page(visit_id, key)

    async def referral(self, visit_id: str, key: bytes) -> bytes:
        """The latest referral slip of a case as PDF, set once however often it is asked for. Raises NotFound."""
        case = self._case(visit_id, key)
        async with self._setting:
            made, page = await self._referral(visit_id, key)
            if case.referral[0] != made.at_ms:
                case.referral = made.at_ms, await asyncio.to_thread(render_referral, page)
        return case.referral[1]

    async def print_referral(self, visit_id: str, key: bytes) -> CasePage:
        """The same on the roll. Raises NotFound, Refused."""
        (made, slip), roll_mm = await self._referral(visit_id, key), self._printer.roll_mm
        self._count_print(visit_id)
        draw = partial(render_referral_roll, slip, roll_mm=roll_mm)
        self._printer.add(Kind.REFERRAL, visit_id, str(made.at_ms), draw, "")
        return await self.page(visit_id, key)

    async def _referral(self, visit_id: str, key: bytes) -> tuple[MadeReferral, ReferralPage]:
        """Nobody is logged in: who made it writes her name by hand."""
        visit, patient = await self._look(visit_id, self._case(visit_id, key).patient_id)
        if not visit.referrals:
            raise NotFound("Nobody was sent on in this visit.")
        config, sure = self._clinic.config, self._clinic.clock.now().trusted
        site = f"{config.site.name} ({config.site.code})"
        made = visit.referrals[-1]
        return made, await asyncio.to_thread(referral_page, visit, patient, made, site, "", demo=config.demo, sure=sure)

    async def _count_command(self, visit_id: str, case: _Case, command: cmd.Command) -> None:
        visit, _ = await self._look(visit_id, case.patient_id)
        many = isinstance(command, cmd.Refer) and len(visit.referrals) >= REFERRALS_MAX
        if many or case.commands >= COMMANDS_MAX:
            raise Refused("Enough was said about this case without a log-in. Unlock the box.", code="case_full")
        case.commands += 1

    def _count_print(self, visit_id: str) -> None:
        case = self._cases[visit_id]
        if case.prints >= PRINTS_MAX or sum(one.prints for one in self._cases.values()) >= PRINTS_OF_ALL_MAX:
            raise Refused("This case was printed often enough. Unlock the box.", code="printed_often")
        case.prints += 1

    async def _signed(self, visit_id: str, key: bytes, prescription_id: str) -> SignedPrescription:
        """A prescription of a case, checked again. Raises NotFound."""
        case = self._case(visit_id, key)
        visit, _ = await self._look(visit_id, case.patient_id)
        state = next((one for one in visit.prescriptions if one.prescription_id == prescription_id), None)
        if state is None:
            raise NotFound("This prescription has not arrived here.")
        signed = msgspec.msgpack.decode(state.signed, type=SignedPrescription)
        await asyncio.to_thread(verify_signed, signed, self._clinic.config.hub_sign)
        return signed


def _keeper(clinic: Clinic, step: Step | Refusal, ref: BundleRef | None) -> Callable[[OutboxDb], Step | Refusal]:
    """Both sealings of a step in one transaction: none is there without the other."""

    def keep(outbox: OutboxDb) -> Step | Refusal:
        if isinstance(step, Step) and step.payload is not None and ref is not None:
            told = step.payload
            piece = locked.Piece(told.run, told.stream, told.first_seq, told.entries)
            config = clinic.config
            outbox.add_locked(locked.seal_piece(config.records_public, config.node_id, piece), ref)
        return step

    return keep
