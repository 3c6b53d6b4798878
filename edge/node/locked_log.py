"""The log of a process whose records are locked: the same rules, state in memory only. Pure.

Knows what this process was told since its start and nothing of the records: tokens and local numbers are a series of
their own, so that none can be given twice.
"""

import msgspec
from msgspec import Struct

from edge.model import commands as cmd
from edge.model import events as ev
from edge.model.clock import Instant, day_of, next_stamp
from edge.model.decide import Actor, NodeState, decide, warnings
from edge.model.errors import Refusal
from edge.model.fold import Patient, Visit, fold_patient, fold_visit
from edge.model.records import Role
from edge.sync import seal
from edge.sync.bundle import BundlePayload
from edge.sync.log import NO_SALT, Position, Stream, Writer, own_salt

from .config import NodeConfig
from .replies import Reply, digest_of

NOBODY = Actor("", Role.ANM)
"""Nobody is logged in: the entries name no one."""
SERIES = "E"
EMERGENCY_CLASS = 0
ANY_DAY = -1
"""The day of counts that were lost: they are taken for today's."""


class Counts(Struct, frozen=True):
    """What must never be given twice, over all processes. Kept in a plain file; says how many, not who."""

    day: int = 0
    tokens: int = 0
    """Of that day."""
    patients: int = 0


class Step(Struct, frozen=True):
    """What commands lead to, before it is durable."""

    payload: BundlePayload | None
    """None: nothing is to be written."""
    replies: tuple[Reply, ...]
    counts: Counts
    patients: dict[str, Patient]
    visits: dict[str, Visit]
    salts: dict[str, bytes]
    stamp: int
    at: Position | None


class LockedLog:
    """Call :meth:`decide`, make the result durable, then :meth:`commit` it."""

    def __init__(self, config: NodeConfig, run: bytes, counts: Counts) -> None:
        self._config, self._run = config, run
        self.counts = counts
        self.patients: dict[str, Patient] = {}
        self.visits: dict[str, Visit] = {}
        self._salts: dict[str, bytes] = {}
        self._replies: dict[str, Reply] = {}
        self._stamp = 0
        self._at: Position | None = None

    def known(self, command: cmd.Command) -> Reply | None:
        """What a command was answered before."""
        reply = self._replies.get(command.command_id)
        return reply if reply is not None and reply.digest == digest_of(command) else None

    def decide(self, commands: tuple[cmd.Command, ...], now: Instant, random: bytes) -> Step | Refusal:
        """Decide commands that belong together: all of them or none. ``random``: 16 B for each."""
        step = Step(
            None, (), self.counts, dict(self.patients), dict(self.visits), dict(self._salts), self._stamp, self._at
        )
        raws: list[bytes] = []
        for number, command in enumerate(commands):
            known = self.known(command)
            if known is not None:
                step = msgspec.structs.replace(step, replies=(*step.replies, known))
                continue
            state = self._state(step, command, now)
            events = decide(state, command, now, NOBODY, random[16 * number : 16 * number + 16])
            if isinstance(events, Refusal):
                return events
            step = self._fold(step, command, events, raws, now, warnings(state, command, now))
        if not raws:
            return step
        writer = Writer(self._config.node_id, self._run, Stream.URGENT, step.at)
        assert step.at is not None
        head = writer.sign_head(self._config.device, seal.Grade.DEVICE)
        first_seq = step.at.seq - len(raws) + 1
        payload = BundlePayload(EMERGENCY_CLASS, self._run, int(Stream.URGENT), first_seq, tuple(raws), head)
        return msgspec.structs.replace(step, payload=payload)

    def _state(self, step: Step, command: cmd.Command, now: Instant) -> NodeState:
        visit = step.visits.get(getattr(command, "visit_id", ""))
        patient_id = getattr(command, "patient_id", "") or (visit.patient_id if visit else "")
        of_today = step.counts.day in (day_of(now.wall_ms), ANY_DAY)
        return NodeState(
            f"{self._config.site.code}-{SERIES}",
            self._config.site.name,
            self._config.demo,
            patient=step.patients.get(patient_id),
            visit=visit,
            local_serial=step.counts.patients,
            day_serial=step.counts.tokens if of_today else 0,
            patient_visits=tuple(one for one in step.visits.values() if one.patient_id == patient_id),
        )

    def _fold(
        self,
        step: Step,
        command: cmd.Command,
        events: list[ev.Event],
        raws: list[bytes],
        now: Instant,
        warned: tuple[Refusal, ...],
    ) -> Step:
        stamp, at, counts = step.stamp, step.at, step.counts
        patient: Patient | None = None
        visit: Visit | None = None
        for event in events:
            stamp = next_stamp(stamp, now.wall_ms)
            raw = msgspec.msgpack.encode(ev.entry_of(event, stamp, NOBODY.staff_id))
            salt = own_salt(event) or step.salts.get(ev.visit_of(event)) or NO_SALT
            writer = Writer(self._config.node_id, self._run, Stream.URGENT, at)
            at = writer.append(raw, salt)
            raws.append(raw)
            if isinstance(event, ev.PatientRegistered | ev.PatientAmended):
                patient = fold_patient(step.patients.get(event.patient_id), event, stamp >> 16)
                assert patient is not None
                step.patients[patient.patient_id] = patient
            else:
                visit = fold_visit(step.visits.get(ev.visit_of(event)), event, stamp, NOBODY.staff_id)
                assert visit is not None
                step.visits[visit.visit_id] = visit
            if isinstance(event, ev.VisitOpened):
                step.salts[event.visit_id] = event.salt
            if isinstance(event, ev.PatientRegistered):
                counts = msgspec.structs.replace(counts, patients=counts.patients + 1)
            if isinstance(event, ev.TokenIssued):
                counts = Counts(event.day, event.serial, counts.patients)
        reply = Reply(command.command_id, len(events), patient, visit, warned, digest_of(command))
        return msgspec.structs.replace(step, stamp=stamp, at=at, counts=counts, replies=(*step.replies, reply))

    def commit(self, step: Step) -> None:
        """It is durable now."""
        self.counts, self._stamp, self._at = step.counts, step.stamp, step.at
        self.patients, self.visits, self._salts = step.patients, step.visits, step.salts
        for reply in step.replies:
            self._replies[reply.command_id] = reply

    def hear(self, event: ev.Event, now: Instant, actor: str) -> None:
        """What the hub said of a visit; it stands in no log of ours."""
        visit_id = ev.visit_of(event)
        self._stamp = next_stamp(self._stamp, now.wall_ms)
        folded = fold_visit(self.visits.get(visit_id), event, self._stamp, actor)
        if folded is not None:
            self.visits[visit_id] = folded
