"""How a call is put into words: for lists and tablets while it is not over, and for the record afterwards. Pure."""

from edge.model import events as ev
from edge.model.records import Mode

from .call_running import RunningCall
from .live import CallPush
from .web.schema import CallNow

VIDEO_FROM_S = 5.0
"""Less picture than this makes no video consultation."""


def now_of(running: RunningCall, camera_kind: str) -> CallNow:
    """A line of the list of calls that ring or run."""
    ring, stats = running.ring, running.stats
    return CallNow(
        *(ring.call_id, ring.visit_id, ring.doctor_name, running.state.phase.value),
        stats.rung if stats else "",
        stats.why if stats else "",
        camera_kind,
    )


def push_of(running: RunningCall, camera_kind: str) -> CallPush:
    """What tablets show of a call."""
    stats, state = running.stats, running.state
    return CallPush(
        running.ring.call_id,
        running.ring.visit_id,
        state.phase.value,
        stats.rung if stats else "",
        stats.why if stats else "",
        state.attempt,
        camera_kind,
        stats.send_bps if stats else 0,
        stats.recv_bps if stats else 0,
        stats.lan_state if stats else "",
        running.processes,
        stats.notes if stats else False,
        stats.relayed if stats else False,
    )


def held_of(running: RunningCall, ended_ms: int) -> ev.CallHeld:
    """What the record keeps of a call that is over: the node's side."""
    ring = running.ring
    video_s, audio_s, concealed_s = running.totals()
    return ev.CallHeld(
        ring.visit_id,
        ring.call_id,
        ring.doctor_id,
        running.started_ms,
        ended_ms,
        round(video_s, 1),
        round(audio_s, 1),
        round(concealed_s, 2),
        Mode.VIDEO if video_s >= VIDEO_FROM_S else Mode.AUDIO if audio_s > 0 else Mode.TEXT,
        "node",
        running.state.reason,
    )
