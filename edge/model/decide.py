"""Command in, events or a refusal out. The only place that says what may be recorded.

Knows the state it is given and nothing else: the node loads :class:`NodeState` for the command,
the time and the random bytes are arguments, and the same arguments always give the same answer.
"""

from msgspec import Struct

from . import commands as cmd
from . import events as ev
from .clock import Instant
from .errors import Fault, Refusal
from .fold import Patient, Visit
from .records import Role
from .tokens import local_patient_id

SALT_BYTES = 16


class Actor(Struct, frozen=True):
    """Who gives the command."""

    staff_id: str
    role: Role


class NodeState(Struct, frozen=True):
    """Exactly what decide may look at, loaded by the node for this command."""

    site_code: str
    site_name: str
    demo: bool
    locked: bool = False
    patient: Patient | None = None
    """The patient whom the command, or its visit, names; None when unknown here."""
    visit: Visit | None = None
    """The visit that the command names; None when unknown here."""
    local_serial: int = 0
    """Patients registered here so far."""
    day_serial: int = 0
    """Highest token serial of today."""
    queue_length: int = 0
    duplicate_ids: tuple[str, ...] = ()
    """Patients who may be the same person as the one being registered."""


def decide(state: NodeState, command: cmd.Command, at: Instant, by: Actor, random: bytes) -> list[ev.Event] | Refusal:
    """The events that ``command`` leads to, or why it leads to none.

    ``random``: at least 16 fresh bytes, used as the salt of a new visit.
    """
    match command:
        case cmd.RegisterPatient():
            if state.patient is not None:
                return Refusal("already_registered", "This patient is registered already.", "patient_id")
            local_id = local_patient_id(state.site_code, state.local_serial)
            return [ev.PatientRegistered(command.patient_id, local_id, command.person)]
        case cmd.OpenVisit():
            if state.patient is None:
                return Refusal("no_such_patient", "No such patient is known here.", "patient_id", Fault.CALLER)
            if state.visit is not None:
                return Refusal("visit_exists", "This visit is open already.", "visit_id")
            salt = random[:SALT_BYTES]
            return [
                ev.VisitOpened(command.visit_id, command.patient_id, salt, command.category, command.follow_up_of)
            ]
        case _:
            return Refusal("not_decided", "This command is not understood by this release.", "type", Fault.CALLER)
