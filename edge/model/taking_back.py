"""Which slips of the finger can still be taken back, and what the log says then. A part of :mod:`edge.model.decide`.

Nothing is deleted: the slip stays, and an entry after it says that it was one. Only on the day of the slip, because
that evening's register, count of the shelf and paper speak of it (decision 0053).
"""

from . import commands as cmd
from . import events as ev
from .clock import Instant, day_of
from .errors import Fault, Refusal
from .fold import FINAL_STATES, Visit
from .records import VisitState

ASKS = cmd.TakeBackClosing | cmd.TakeBackHandOut | cmd.TakeBackReferral
Decision = list[ev.Event] | Refusal


def take_back(visit: Visit, command: ASKS, at: Instant) -> Decision:
    """The entry that takes a slip back, or why it can no longer be taken back."""
    match command:
        case cmd.TakeBackClosing():
            return _closing(visit, at)
        case cmd.TakeBackHandOut():
            line = (command.given_ms, command.given_count, command.prescription_id, command.drug_id)
            lines = (((one.at_ms, one.at_count, one.prescription_id, one.drug_id), one) for one in visit.handed_out)
            found = next((one for of_it, one in lines if of_it == line), None)
            if found is None:
                return _nothing()
            wrong = _too_late(found.stamp, at)
            return wrong or [ev.HandOutTakenBack(visit.visit_id, found.drug_id, found.stamp)]
        case cmd.TakeBackReferral():
            sent = (command.made_ms, command.made_count)
            made = next((one for one in visit.referrals if (one.at_ms, one.at_count) == sent), None)
            if made is None:
                return _nothing()
            return _too_late(made.stamp, at) or [ev.ReferralTakenBack(visit.visit_id, made.stamp)]


def _closing(visit: Visit, at: Instant) -> Decision:
    if visit.state not in FINAL_STATES and not visit.closed_ms:
        return _nothing()
    return _too_late(visit.stamps.get("state", 0), at) or [ev.ClosingTakenBack(visit.visit_id, stood(visit))]


def stood(visit: Visit) -> VisitState:
    """Where a closed visit stands when its closing was a slip: as far as it had come by everything else."""
    if visit.prescriptions:
        return VisitState.RX_READY
    if visit.closed_ms and visit.state is VisitState.NO_SHOW and visit.token:
        return VisitState.NO_SHOW if visit.no_shows_ms else VisitState.WAITING
    if any(one.audio_s > 0 for one in visit.calls):
        return VisitState.RX_PENDING
    if visit.token:
        return VisitState.WAITING
    return VisitState.TRIAGED if "triage" in visit.stamps else VisitState.DRAFT


def _too_late(stamp: int, at: Instant) -> Refusal | None:
    if day_of(stamp >> 16) >= day_of(at.wall_ms):  # later: the clock was ahead (decision 0066)
        return None
    text = "This can be taken back on its own day only. Write down beside it what is right."
    return Refusal("too_late_to_undo", text)


def _nothing() -> Refusal:
    text = "There is nothing to take back: it was taken back already, or is not known here. Load the visit again."
    return Refusal("nothing_to_undo", text, fault=Fault.CALLER)
