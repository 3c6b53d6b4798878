"""A call at a patient's own telephone, and what is written of it: the patient's side of the proof, and her visit.

Knows no page but by what it can be told, and no other process (:mod:`hub.home.calls`).
"""

from typing import Protocol

from msgspec import Struct
from sqlalchemy import Connection

from edge.media.signals import Ring
from edge.model import events as ev
from edge.model.prescribing import VIDEO_FROM_S
from edge.model.records import Mode, VisitState

from .. import down, views
from ..heard import Heard, nothing
from . import log


class Page(Protocol):
    """One open page of a patient."""

    @property
    def account_id(self) -> str: ...

    def tell(self, text: str) -> None: ...


class HomeCall(Struct):
    """One that rings, or that a page is in."""

    ring: Ring
    rung_s: float
    page: Page | None = None
    """Who is in it, at this process; None while it rings."""
    taken_ms: int = 0
    """By the wall clock, for the record; 0 while it rings."""
    taken_s: float = 0.0
    heard_s: float = 0.0
    figures: Heard | None = None
    holder: bytes = b""
    """The other process whose page is in it; empty for none."""


def held_of(call: HomeCall, reason: str, now_ms: int, longest_s: float) -> ev.CallHeld:
    """The patient's side of the proof; nobody hears more seconds than have passed."""
    seen = call.figures.total if call.figures is not None else nothing(call.ring.call_id)
    video_s, audio_s = min(seen.video_s, longest_s), min(seen.audio_s, longest_s)
    mode = Mode.VIDEO if video_s >= VIDEO_FROM_S else Mode.AUDIO if audio_s > 0 else Mode.TEXT
    return ev.CallHeld(
        call.ring.visit_id,
        call.ring.call_id,
        call.ring.doctor_id,
        call.taken_ms,
        now_ms,
        round(video_s, 1),
        round(audio_s, 1),
        round(min(seen.concealed_s, longest_s), 2),
        mode,
        "node",
        reason,
    )


def write_begin(connection: Connection, speaker: down.Speaker, visit_id: str, now_ms: int) -> None:
    """Somebody took the call: her visit is in it."""
    owned = views.load_visit(connection, visit_id)
    into = (VisitState.WAITING, VisitState.RX_PENDING, VisitState.TRIAGED, VisitState.DRAFT)
    if owned is not None and owned.visit.state in into:
        moved = ev.VisitMoved(visit_id, VisitState.IN_CALL, "call")
        log.append(connection, speaker, owned.node_id, (moved,), log.HOME, now_ms)


def write_end(
    connection: Connection,
    speaker: down.Speaker,
    call: HomeCall,
    held: ev.CallHeld | None,
    missed: bool,
    now_ms: int,
) -> down.DownBlob | None:
    """A call is over: its proof, and where its visit is now; what the log says of whom it was taken back from."""
    owned = views.load_visit(connection, call.ring.visit_id)
    if owned is None:
        return None
    visit_id, visit, blob = owned.visit.visit_id, owned.visit, None
    events: list[ev.Event] = []
    if any(one.call_id == call.ring.call_id and one.side == "node" for one in visit.calls):
        return None  # another process wrote it
    if held is not None:
        events.append(held)
        if visit.state is VisitState.IN_CALL:
            then = VisitState.RX_PENDING if held.audio_s > 0 else VisitState.WAITING
            events.append(ev.VisitMoved(visit_id, then, "call"))
    elif missed and visit.state in (VisitState.WAITING, VisitState.RX_PENDING):
        if visit.doctor_name:
            free = ev.VisitAssigned(visit_id, "", "")
            blob = down.speak(connection, speaker, owned.node_id, (free,), visit.doctor_id, now_ms)
        events.append(ev.VisitMoved(visit_id, VisitState.NO_SHOW, "call"))
    if events:
        log.append(connection, speaker, owned.node_id, events, log.HOME, now_ms)
    return blob
