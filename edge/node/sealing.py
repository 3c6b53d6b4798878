"""When what was recorded is sealed into bundles: what somebody waits for at once, a draft as one piece. Pure.

A visit that is still being written down waits for its token, so that it travels as one bundle instead of ten. Whatever
is urgent, and whatever happens after the token, does not wait. Nothing is lost by waiting: entries are durable
before, and what no bundle covers is sealed at the next unlock.
"""

from edge.model import commands as cmd
from edge.model.fold import Visit
from edge.model.records import Colour, VisitState

SOON_S = 0.15
"""Commands that follow each other this closely share a bundle."""
PRINTED_S = 5.0
"""A printed slip waits this long for the visit's close."""
DRAFT_S = 300.0
"""A draft waits at most this long, counted from its first entry."""
AUDIT_S = 900.0
"""Who looked at what waits this long; it goes by itself, as telemetry."""


def delay_s(command: cmd.Command, visit: Visit | None) -> float:
    """How long the entries of a command may wait; ``visit`` as the command left it."""
    if isinstance(command, cmd.RegisterPatient):
        return DRAFT_S
    if visit is None:
        return SOON_S
    if visit.colour is Colour.RED or isinstance(command, cmd.IssueToken):
        return 0.0
    if not visit.token and visit.state in (VisitState.DRAFT, VisitState.TRIAGED):
        return DRAFT_S
    return PRINTED_S if isinstance(command, cmd.ConfirmPrinted) else SOON_S


class SealPlan:
    """What is due when; the earliest wish counts."""

    def __init__(self) -> None:
        self._due_s: dict[bool, float] = {}

    def want(self, now_s: float, wait_s: float, *, audit: bool = False) -> None:
        """Something was recorded that may wait so long; ``audit``: in the audit stream only."""
        self._due_s[audit] = min(self._due_s.get(audit, now_s + wait_s), now_s + wait_s)

    @property
    def next_s(self) -> float | None:
        """When something is due; None: nothing waits."""
        return min(self._due_s.values(), default=None)

    def take(self, now_s: float, *, everything: bool = False) -> bool:
        """Something is sealed now: whether the audit stream is too. Call it before the entries are read."""
        whole = everything or self._due_s.get(True, float("inf")) <= now_s
        self._due_s.pop(False, None)
        if whole:
            self._due_s.pop(True, None)
        return whole
