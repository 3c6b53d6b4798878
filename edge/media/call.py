"""The states of a call: pure. Says what to do; does nothing and reads no clock.

The node drives :func:`step` with what happened and carries out the effects. A call outlives its
media: an attempt (one offer) may crash or lose its link; the call goes on with the next attempt, in
the same process where that lives, and ends only by a Bye, or after a long silence. :data:`TABLE` says which phase
may follow which; the hub follows a call it forwards with :func:`advance`.
"""

from enum import StrEnum
from typing import TypeAlias

from msgspec import Struct
from msgspec.structs import replace


class Phase(StrEnum):
    """Where a call stands."""

    RINGING = "ringing"
    """The doctor calls; nobody at the node has taken it."""
    CONNECTING = "connecting"
    """Somebody took it; an attempt is on its way."""
    CONNECTED = "connected"
    """Sound flows."""
    INTERRUPTED = "interrupted"
    """The media was lost; the same or the next attempt will bring it back."""
    ENDED = "ended"


class Kind(StrEnum):
    """What can happen to a call."""

    RANG = "rang"
    """The doctor's Ring came again (his page was reloaded): he needs a new offer."""
    ACCEPTED = "accepted"
    MEDIA_UP = "media_up"
    MEDIA_DOWN = "media_down"
    """The attempt says that its link is lost; it may come back by itself."""
    MEDIA_FAILED = "media_failed"
    """The attempt's way is gone for good: its connection gave up, or the node has another address now."""
    PROCESS_DIED = "process_died"
    LINK_UP = "link_up"
    """The sync link answers again."""
    LINK_DOWN = "link_down"
    TICK = "tick"
    """Time passed."""
    BYE = "bye"
    """The doctor hung up."""
    HANG_UP = "hang_up"
    """Somebody at the node hung up or declined."""


class Limits(Struct, frozen=True):
    """Times that a deployment may change, in seconds."""

    ring_s: float = 60.0
    """Nobody takes the call: it ends as no_answer."""
    connect_s: float = 20.0
    """An attempt that is not connected by then is replaced."""
    repair_s: float = 8.0
    """A lost attempt may repair itself for this long while the link is up."""
    return_s: float = 3.0
    """The same, counted from the moment when the link is back after an outage."""
    survive_s: float = 10.0
    """An attempt that is lost for so long is dead. It says that it is lost after 5 s of silence, and a browser gives
    up a path that has not answered for 15 s (libwebrtc's CONNECTION_WRITE_TIMEOUT)."""
    renew_s: float = 12.0
    """A renewed attempt that is not connected by then gets a new process."""
    restart_s: float = 1.0
    """Between the death of a process and the next attempt; doubled with every crash in a row. A process that has
    carried a call for a while is followed at once."""
    crash_s: float = 5.0
    """A process that died so soon after its start, before any media, has crashed and not lost its link."""
    crashes: int = 6
    """So many crashes in a row end the call: a next attempt will not mend it."""
    silence_s: float = 120.0
    """Without any media for this long, the call is over."""


class CallState(Struct, frozen=True):
    """One call at the node."""

    call_id: str
    phase: Phase = Phase.RINGING
    attempt: int = -1
    """Number of the running or last attempt; -1 before the first."""
    running: bool = False
    """Whether an attempt's process is running."""
    renewed: bool = False
    """The running attempt is not the first of its process."""
    failed: bool = False
    """While interrupted: the running attempt cannot come back by itself."""
    link_up: bool = True
    since_s: float = 0.0
    """When this phase began."""
    repair_by_s: float = 0.0
    """While interrupted: when the running attempt is given up, if the link is up."""
    attempt_s: float = 0.0
    """When the running attempt began, or the last one died."""
    media_s: float = 0.0
    """When sound last flowed, or the call was taken."""
    crashes: int = 0
    """Attempts in a row that died at once; 0 after sound has flowed."""
    reason: str = ""
    """Why it ended."""


class StartAttempt(Struct, frozen=True, tag="start_attempt"):
    """Effect: start a call process with this attempt number; one that still runs is stopped first."""

    attempt: int


class RenewAttempt(Struct, frozen=True, tag="renew_attempt"):
    """Effect: the running process makes a new offer with this attempt number; camera and tablets stay with it."""

    attempt: int


class PrepareAttempt(Struct, frozen=True, tag="prepare_attempt"):
    """Effect: load what the next attempt needs, so that its offer can leave as soon as the link is back."""


class StopAttempt(Struct, frozen=True, tag="stop_attempt"):
    """Effect: stop the call process."""

    reason: str


class TellAccept(Struct, frozen=True, tag="tell_accept"):
    """Effect: send Accept to the doctor."""


class TellBye(Struct, frozen=True, tag="tell_bye"):
    """Effect: send Bye to the doctor."""

    reason: str


class ShowCall(Struct, frozen=True, tag="show_call"):
    """Effect: the tablets show this phase."""

    phase: Phase


Effect: TypeAlias = StartAttempt | RenewAttempt | PrepareAttempt | StopAttempt | TellAccept | TellBye | ShowCall

TABLE: dict[Phase, dict[Kind, Phase]] = {
    Phase.RINGING: {
        Kind.RANG: Phase.RINGING,
        Kind.ACCEPTED: Phase.CONNECTING,
        Kind.BYE: Phase.ENDED,
        Kind.HANG_UP: Phase.ENDED,
    },
    Phase.CONNECTING: {
        Kind.RANG: Phase.CONNECTING,
        Kind.MEDIA_UP: Phase.CONNECTED,
        Kind.MEDIA_DOWN: Phase.INTERRUPTED,
        Kind.MEDIA_FAILED: Phase.INTERRUPTED,
        Kind.PROCESS_DIED: Phase.INTERRUPTED,
        Kind.BYE: Phase.ENDED,
        Kind.HANG_UP: Phase.ENDED,
    },
    Phase.CONNECTED: {
        Kind.RANG: Phase.CONNECTING,
        Kind.MEDIA_UP: Phase.CONNECTED,
        Kind.MEDIA_DOWN: Phase.INTERRUPTED,
        Kind.MEDIA_FAILED: Phase.INTERRUPTED,
        Kind.PROCESS_DIED: Phase.INTERRUPTED,
        Kind.BYE: Phase.ENDED,
        Kind.HANG_UP: Phase.ENDED,
    },
    Phase.INTERRUPTED: {
        Kind.RANG: Phase.CONNECTING,
        Kind.MEDIA_UP: Phase.CONNECTED,
        Kind.MEDIA_DOWN: Phase.INTERRUPTED,
        Kind.MEDIA_FAILED: Phase.INTERRUPTED,
        Kind.PROCESS_DIED: Phase.INTERRUPTED,
        Kind.BYE: Phase.ENDED,
        Kind.HANG_UP: Phase.ENDED,
    },
    Phase.ENDED: {},
}
"""Phase × what happened → next phase. What is not listed changes nothing: signals may come late or twice."""


def advance(phase: Phase, kind: Kind) -> Phase:
    """The phase after ``kind``; the same phase when the table says nothing."""
    return TABLE[phase].get(kind, phase)


def ring(call_id: str, now_s: float) -> tuple[CallState, tuple[Effect, ...]]:
    """A doctor calls. ``now_s`` is any monotonic clock, the same for all calls of :func:`step`."""
    return CallState(call_id, since_s=now_s, media_s=now_s), (ShowCall(Phase.RINGING),)


def step(
    state: CallState, kind: Kind, now_s: float, *, reason: str = "hangup", limits: Limits | None = None
) -> tuple[CallState, tuple[Effect, ...]]:
    """Take in what happened; returns the new state and what is to be done, in order.

    ``reason`` is used by BYE and HANG_UP. An ended call stays ended and asks for nothing.
    """
    limits = limits or Limits()
    if state.phase is Phase.ENDED:
        return state, ()
    following = advance(state.phase, kind)
    before = state
    if state.phase is Phase.CONNECTED:
        state = replace(state, media_s=now_s)
    if following is not state.phase:
        state = replace(state, phase=following, since_s=now_s, repair_by_s=now_s + limits.repair_s)
    effects: tuple[Effect, ...] = ()
    match kind:
        case Kind.BYE | Kind.HANG_UP:
            return _end(state, reason, tell=kind is Kind.HANG_UP)
        case Kind.ACCEPTED if before.phase is Phase.RINGING:
            state, effects = _start(replace(state, media_s=now_s), now_s)
            effects = (TellAccept(), *effects)
        case Kind.RANG if before.phase is not Phase.RINGING:
            state, effects = _renew(state, now_s) if state.running else _start(state, now_s)
            effects = (TellAccept(), *effects)
        case Kind.MEDIA_UP:
            state = replace(state, crashes=0, failed=False)
        case Kind.MEDIA_FAILED if state.running and not state.failed:
            connected = before.phase is not Phase.CONNECTING
            state = replace(state, failed=True, repair_by_s=now_s + (0.0 if connected else limits.restart_s))
            if state.link_up and connected:
                state, effects = _start_again(state, now_s)
        case Kind.PROCESS_DIED:
            crashed = before.phase is Phase.CONNECTING and now_s - before.attempt_s < limits.crash_s
            crashes = before.crashes + 1 if crashed else 0
            state = replace(state, running=False, failed=False, attempt_s=now_s, crashes=crashes)
            if state.crashes >= limits.crashes:
                return _end(state, "failed", tell=True)
            ran = before.phase is Phase.CONNECTED and now_s - before.attempt_s >= limits.crash_s
            if ran and state.link_up:  # nobody waits for what is no row of crashes
                state, effects = _start_again(state, now_s)
        case Kind.LINK_UP | Kind.LINK_DOWN:
            state = replace(state, link_up=kind is Kind.LINK_UP)
            if kind is Kind.LINK_UP and not before.link_up:
                state, effects = _link_returned(state, now_s, limits)
        case Kind.TICK:
            return _pass_time(state, now_s, limits)
        case _:
            pass
    if state.phase is not before.phase:
        effects = (*effects, ShowCall(state.phase))
    if _waits_for_link(state) and not _waits_for_link(before):
        effects = (*effects, PrepareAttempt())
    return state, effects


def due_s(state: CallState, limits: Limits | None = None) -> float | None:
    """When :func:`step` wants its next TICK at the latest; None when time changes nothing."""
    limits = limits or Limits()
    match state.phase:
        case Phase.RINGING:
            return state.since_s + limits.ring_s
        case Phase.CONNECTING | Phase.INTERRUPTED:
            return min(state.media_s + limits.silence_s, _restart_due_s(state, limits))
        case _:
            return None


def _waits_for_link(state: CallState) -> bool:
    """Whether a process should be made ready for the link's return; one that lost its media is ready itself."""
    if state.link_up or (state.running and state.renewed):
        return False
    return state.phase is Phase.CONNECTING or (state.phase is Phase.INTERRUPTED and not state.running)


def _restart_due_s(state: CallState, limits: Limits) -> float:
    """When the next attempt has to begin."""
    if not state.link_up:
        return float("inf")  # an offer would not get through
    if not state.running:
        return state.attempt_s + limits.restart_s * (1 << max(state.crashes - 1, 0))
    if state.phase is Phase.CONNECTING:
        return max(state.attempt_s, state.since_s) + (limits.renew_s if state.renewed else limits.connect_s)
    return state.repair_by_s


def _pass_time(state: CallState, now_s: float, limits: Limits) -> tuple[CallState, tuple[Effect, ...]]:
    if state.phase is Phase.RINGING:
        return _end(state, "no_answer", tell=True) if now_s >= state.since_s + limits.ring_s else (state, ())
    if state.phase is Phase.CONNECTED:
        return state, ()
    if now_s >= state.media_s + limits.silence_s:
        return _end(state, "failed", tell=True)
    if now_s < _restart_due_s(state, limits):
        return state, ()
    following, effects = _start_again(state, now_s)
    if following.phase is not state.phase:
        effects = (*effects, ShowCall(following.phase))
    return following, effects


def _start_again(state: CallState, now_s: float) -> tuple[CallState, tuple[Effect, ...]]:
    """The next attempt: in the same process, unless that did not come to connect this one."""
    if state.phase is Phase.CONNECTING:
        return _start(state, now_s)
    state = replace(state, phase=Phase.CONNECTING, since_s=now_s)
    return _renew(state, now_s) if state.running else _start(state, now_s)


def _link_returned(state: CallState, now_s: float, limits: Limits) -> tuple[CallState, tuple[Effect, ...]]:
    if state.phase is Phase.CONNECTING and state.running:
        # The offer was made for a dead link and is stale.
        return _renew(state, now_s) if state.renewed else _start(state, now_s)
    if state.phase is not Phase.INTERRUPTED:
        return state, ()
    # What may still live gets time to repair itself from now on, not from the loss.
    dead = state.failed or now_s >= state.media_s + limits.survive_s
    state = replace(state, repair_by_s=now_s if dead else now_s + limits.return_s)
    return (state, ()) if now_s < _restart_due_s(state, limits) else _start_again(state, now_s)


def _start(state: CallState, now_s: float) -> tuple[CallState, tuple[Effect, ...]]:
    attempt = state.attempt + 1
    state = replace(state, attempt=attempt, running=True, renewed=False, failed=False, attempt_s=now_s)
    return state, (StartAttempt(attempt),)


def _renew(state: CallState, now_s: float) -> tuple[CallState, tuple[Effect, ...]]:
    attempt = state.attempt + 1
    state = replace(state, attempt=attempt, renewed=True, failed=False, attempt_s=now_s)
    return state, (RenewAttempt(attempt),)


def _end(state: CallState, reason: str, *, tell: bool) -> tuple[CallState, tuple[Effect, ...]]:
    effects: list[Effect] = []
    if tell:
        effects.append(TellBye(reason))
    if state.running:
        effects.append(StopAttempt(reason))
    effects.append(ShowCall(Phase.ENDED))
    return replace(state, phase=Phase.ENDED, running=False, reason=reason), tuple(effects)
