"""Words around calls: what pages are told, who the sides are, and why a call is refused. Data and interfaces only."""

from typing import Any, Protocol, TypeAlias

import msgspec
from msgspec import Struct
from sqlalchemy import Row

from edge.media.call import Phase
from edge.media.signals import Signal
from edge.model.errors import Fault, UpkendraError
from edge.model.records import Mode

from .doctors import Doctor


class QueueChanged(Struct, frozen=True, tag="queue"):
    """Load the queue again."""


class VisitChanged(Struct, frozen=True, tag="visit"):
    """Load this visit again, if it is on the screen."""

    visit_id: str


class RotaChanged(Struct, frozen=True, tag="rota"):
    """Load the rota again: who is asked, who sits, what nobody takes."""


class ThirdChanged(Struct, frozen=True, tag="third"):
    """Load again who is asked into a call, or is in it."""


class CallRefused(Struct, frozen=True, tag="refused"):
    """A signal was not passed on, and why."""

    call_id: str
    code: str
    message: str


Told: TypeAlias = QueueChanged | VisitChanged | RotaChanged | ThirdChanged | CallRefused | Signal


_to_json = msgspec.json.Encoder().encode


def to_text(message: Told) -> str:
    """As a page reads it."""
    return _to_json(message).decode()


class Console(Protocol):
    """One open page of a doctor."""

    @property
    def doctor(self) -> Doctor: ...

    def tell(self, text: str) -> None:
        """Queue a message for the page; never blocks."""
        ...


class NodeLink(Protocol):
    """What this needs of the link to the nodes."""

    def online(self, node_id: str) -> bool: ...

    def send_signal(self, node_id: bytes, blob: bytes) -> None: ...


class Homes(Protocol):
    """What this needs of the patients at home."""

    def is_home(self, node_id: str) -> bool: ...

    def say(self, call_id: str, visit_id: str, signal: Signal) -> None:
        """Something for the patient's page; a Ring waits for one that is not open yet."""
        ...

    def running(self) -> frozenset[str]:
        """Calls that are not over, as far as this process knows."""
        ...

    def over(self, call_id: str, reason: str) -> None:
        """A call has ended."""
        ...

    def over_elsewhere(self, call_id: str, reason: str) -> None:
        """Another process of the hub has ended a call."""
        ...


class Thirds(Protocol):
    """What this needs of the specialists in calls."""

    async def passed_on(self, person_id: str, signal: Signal) -> bool:
        """Whether the signal was of such a leg, and was dealt with. Raises CallUnknown for what a side may not say."""
        ...


class LiveCall(Struct, frozen=True):
    """A call that passes through here. ``started_ms``: when it was taken; while it rings, when it was rung."""

    call_id: str
    visit_id: str
    node_id: str
    doctor_id: str
    phase: Phase
    started_ms: int
    ended_because: str = ""
    video_s: float = 0.0
    audio_s: float = 0.0
    concealed_s: float = 0.0
    frames: int = 0
    mode: Mode = Mode.TEXT
    taken: bool = False


def call_of(row: Row[Any]) -> LiveCall:
    """A call as it stands in the database."""
    return LiveCall(
        row.call_id,
        row.visit_id,
        row.node_id,
        row.doctor_id,
        Phase(row.phase),
        row.started_ms,
        row.ended_because,
        row.video_s,
        row.audio_s,
        row.concealed_s,
        row.frames,
        Mode(row.mode),
        row.phase not in (Phase.RINGING.value, Phase.ENDED.value),
    )


class NodeOffline(UpkendraError):
    """The node does not answer. Its patient keeps the place; call again when the link is back."""

    code = "node_offline"
    fault = Fault.STATE


class CallUnknown(UpkendraError):
    """The call is not known here, or belongs to somebody else."""

    code = "call_unknown"
    fault = Fault.CALLER


class CallOver(UpkendraError):
    """The call has ended. A new one takes a new id."""

    code = "call_over"
    fault = Fault.STATE
