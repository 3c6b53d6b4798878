"""The node's side of calls: rings, attempts, signals, and what a call carried in the end.

Drives the pure machine of :mod:`edge.media.call`; each attempt is a process of its own. Signals come
and go as opaque msgpack over the sync link; this module does not know which bearer carries them.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

import msgspec

from edge.media import call as machine
from edge.media.aside import Drew
from edge.media.ladder import BULK_FLOOR_BPS, bulk_bps
from edge.media.process import CallProcess
from edge.media.signals import (
    Accept,
    Answer,
    Bye,
    CallEnded,
    CallError,
    CallStats,
    Candidate,
    FromCall,
    GoOn,
    LanAnswer,
    LanOffer,
    Offer,
    RenewCall,
    Ring,
    SharpAsked,
    SharpTaken,
    Signal,
    StartCall,
    fingerprint_tbs,
)
from edge.model.errors import NotFound, Refused
from edge.model.records import VisitState
from edge.sync import seal
from edge.web.logs import say
from edge.web.refusals import Unavailable

from .call_ends import CallEnds
from .call_inbox import CallInbox
from .call_photos import CallPhotos
from .call_running import RunningCall
from .call_words import held_of, now_of, push_of
from .clinic import Clinic
from .live import ByePush, RingPush, SharpPush
from .media import MediaDesk
from .preflight import Preflight
from .web.schema import CallNow

logger = logging.getLogger("edge.node.calls")

LAN_TIMEOUT_S = 15.0
TICK_S = 0.5
CAUTION = 0.8
"""Share of what the link carried before an outage with which the next attempt begins."""
NO_LINK = "call-why-no-link"
"""The reason that a call process gives while it hears nothing of what it sends."""
NO_CAMERA = "no_camera"
"""Why an attempt ended that could not open its source; the next one could not either."""

_signals: msgspec.msgpack.Decoder[Signal] = msgspec.msgpack.Decoder(Signal)
_encode = msgspec.msgpack.Encoder().encode


async def _nothing_to_free() -> None:
    return None


class CallDesk:
    """All calls of this node; one at a time has a picture, others hear that it is busy."""

    def __init__(self, clinic: Clinic, media: MediaDesk, preflight: Preflight, camera: str) -> None:
        self._clinic = clinic
        self._preflight = preflight
        self._photos = CallPhotos(clinic, media)
        self._camera = camera
        self.encoder = "vp8"
        """What codes the picture of calls, where it can and the doctor's browser takes it."""
        self.own_camera = camera != "tablet"
        """Whether picture and sound come from the node's own camera."""
        self.camera_failures = 0
        """Attempts since the start that could not open their source."""
        self._camera_kind = "tablet" if camera == "tablet" else "node"
        self._calls: dict[str, RunningCall] = {}
        self._leaving: set[CallProcess] = set()
        """Killed before they carried a call, and perhaps not gone yet."""
        self.free_camera: Callable[[], Awaitable[None]] = _nothing_to_free
        """Called before a call takes the node's own camera; given by whoever may be recording with it."""
        self._send: Callable[[bytes], None] | None = None
        self._limit_bulk: Callable[[float | None], None] = lambda rate_bps: None
        self._ticker: asyncio.Task[None] | None = None
        self._inbox = CallInbox(self._take)
        self._link_up = False
        self.ends = CallEnds(clinic)

    def connect(
        self, send: Callable[[bytes], None], limit_bulk: Callable[[float | None], None] = lambda rate_bps: None
    ) -> None:
        """Signals to the doctor leave through ``send``; ``limit_bulk`` hears what a call leaves to photos."""
        self._send = send
        self._limit_bulk = limit_bulk

    def current(self) -> list[CallNow]:
        """Calls that ring or run."""
        return [now_of(running, self._camera_kind) for running in self._calls.values()]

    # -- from the doctor ------------------------------------------------------------------------------

    async def hear(self, blob: bytes) -> None:
        """A signal that the hub forwarded. Signals are taken in one after the other; the link does not wait."""
        self._inbox.put(blob)

    async def link_changed(self, online: bool) -> None:
        """The link to the hub came or went."""
        self._inbox.put(online)

    async def _take(self, news: bytes | bool) -> None:
        await (self._follow_link(news) if isinstance(news, bool) else self._signal(news))

    async def _signal(self, blob: bytes) -> None:
        try:
            signal = _signals.decode(blob)
        except (msgspec.DecodeError, UnicodeDecodeError):
            say(logger, "signal_unreadable", logging.WARNING, size_bytes=len(blob))
            return
        if isinstance(signal, Ring):
            await self._ring(signal)
            return
        running = self._calls.get(signal.call_id)
        if running is None:
            return
        say(logger, "call_heard", what=type(signal).__name__, size_bytes=len(blob))
        if isinstance(signal, Bye):
            await self._step(running, machine.Kind.BYE, reason=signal.reason)
        elif (
            isinstance(signal, Answer | Candidate)
            and running.process is not None
            and signal.attempt == running.state.attempt
        ):
            await running.process.send(signal)

    async def _ring(self, ring: Ring) -> None:
        known = self._calls.get(ring.call_id)
        if known is not None:
            known.ring, known.hub_asked_s = ring, time.monotonic()
            await self._step(known, machine.Kind.RANG)
            return
        if self._calls or self._clinic.locked:
            self._tell(Bye(ring.call_id, "busy"))
            return
        try:
            await self._clinic.visit(ring.visit_id)
        except Exception as error:  # the doctor hears at once, not after a minute, that nothing will come
            self._tell(Bye(ring.call_id, "failed"))
            if isinstance(error, NotFound):
                return
            raise
        now_s = time.monotonic()
        state, effects = machine.ring(ring.call_id, now_s)
        running = RunningCall(ring, state, self._clinic.clock.now().wall_ms, now_s)
        self._calls[ring.call_id] = running
        self._clinic.tablets.push(RingPush(ring.call_id, ring.visit_id, ring.doctor_name, self._camera_kind))
        self._preflight.begin()
        await self._carry_out(running, effects)
        if self._ticker is None or self._ticker.done():
            self._ticker = asyncio.create_task(self._tick())
        await self._make_ready(running)

    async def _make_ready(self, running: RunningCall, *, link_down: bool = False) -> None:
        """Load the next attempt while it rings or the link is away, so that nobody waits for it afterwards."""
        attempt = running.state.attempt + 1
        start = self._start_call(running, attempt, held=True, link_down=link_down)
        made: list[CallProcess] = []

        async def heard(message: FromCall) -> None:
            if made and made[0] in running.dropped:
                return
            if running.state.attempt >= attempt:
                await self._heard(running, attempt, message)
            elif isinstance(message, CallEnded):
                running.ready, running.waiting = None, []
            elif isinstance(message, Offer | Candidate):
                running.waiting.append(message)

        try:
            process = await CallProcess.start(start, heard)
        except OSError:
            logger.exception("call process could not be started")
            return
        made.append(process)
        ringing = running.state.phase is machine.Phase.RINGING
        waits = running.state.phase in (machine.Phase.CONNECTING, machine.Phase.INTERRUPTED)
        if running.ready is None and attempt == running.state.attempt + 1 and (waits if link_down else ringing):
            running.ready = process
        else:  # taken or over while it was being started: it never was the attempt
            self._drop(running, process)

    def _start_call(self, call: RunningCall, attempt: int, *, held: bool = False, link_down: bool = False) -> StartCall:
        start_bps = self._start_bps(call)
        ring = call.ring
        encoder = self.encoder if attempt == 0 else "vp8"  # which may be why the first one ended
        return StartCall(ring.call_id, self._camera, ring.ice_servers, attempt, start_bps, held, link_down, encoder)

    def _start_bps(self, call: RunningCall) -> int:
        """What this call carried so far, or what the link showed while it rang, with some caution; 0 when unknown."""
        return int((call.rate_bps or self._preflight.start_bps()) * CAUTION)

    def _drop_ready(self, running: RunningCall) -> None:
        if running.ready is not None:
            self._drop(running, running.ready)
            running.ready, running.waiting = None, []

    def _drop(self, running: RunningCall, process: CallProcess) -> None:
        running.dropped.add(process)
        process.kill()
        self._leaving = {one for one in self._leaving if not one.gone} | {process}

    async def _follow_link(self, online: bool) -> None:
        if online == self._link_up:
            return
        self._link_up = online
        for running in list(self._calls.values()):
            await self._step(running, machine.Kind.LINK_UP if online else machine.Kind.LINK_DOWN)

    # -- from the tablet ------------------------------------------------------------------------------

    async def accept(self, call_id: str, staff_id: str, tablet: str) -> None:
        """Somebody takes the call. Taking it again changes nothing. Raises NotFound."""
        running = self._find(call_id)
        self._preflight.hurry()
        await self.free_camera()
        staff = await self._clinic.staff_of(staff_id)
        if running.state.phase is machine.Phase.RINGING:
            running.accepted_by, running.accepted_id = staff.name, staff.staff_id
            await self.ends.move(running.ring.visit_id, VisitState.IN_CALL)
            if self._calls.get(call_id) is not running:  # it ended meanwhile, when there was nothing to move back
                await self.ends.move(running.ring.visit_id, VisitState.WAITING)
        await self._step(running, machine.Kind.ACCEPTED)

    async def lan(self, call_id: str, sdp: str, tablet: str) -> str:
        """The call process's answer to the tablet's offer. Raises NotFound, Refused, Unavailable."""
        running = self._find(call_id)
        if running.process is None:
            raise Refused("Take the call first.", code="call_not_taken")
        if running.lan is not None and not running.lan.done():
            running.lan.cancel()
        answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        running.lan, running.asked = answer, running.asked + 1
        await running.process.send(LanOffer(sdp, tablet, running.asked))
        try:
            return await asyncio.wait_for(asyncio.shield(answer), LAN_TIMEOUT_S)
        except TimeoutError:
            raise Unavailable("The call process did not answer. Try again.") from None
        except asyncio.CancelledError:
            if answer.cancelled():
                raise Unavailable("Another tablet took the picture, or the call is being restarted.") from None
            raise

    async def drew(self, call_id: str, drew: Drew) -> None:
        """Somebody at the node draws on a photo, or takes a mark back: the doctor sees it. Raises NotFound."""
        process = self._find(call_id).process
        if process is not None:
            await process.send(drew)

    async def end(self, call_id: str) -> None:
        """Hang up or decline. Raises NotFound."""
        running = self._find(call_id)
        reason = "declined" if running.state.phase is machine.Phase.RINGING else "hangup"
        await self._step(running, machine.Kind.HANG_UP, reason=reason)

    def _find(self, call_id: str) -> RunningCall:
        running = self._calls.get(call_id)
        if running is None:
            raise NotFound("This call is over.")
        return running

    # -- the machine ----------------------------------------------------------------------------------

    async def _step(self, running: RunningCall, kind: machine.Kind, *, reason: str = "hangup") -> None:
        running.state, effects = machine.step(running.state, kind, time.monotonic(), reason=reason)
        await self._carry_out(running, effects)

    async def _carry_out(self, running: RunningCall, effects: tuple[machine.Effect, ...]) -> None:
        call_id = running.ring.call_id
        for effect in effects:
            match effect:
                case machine.StartAttempt(attempt):
                    await self._start(running, attempt)
                case machine.RenewAttempt(attempt):
                    await self._renew(running, attempt)
                case machine.StopAttempt(reason):
                    await self._stop(running, reason)
                case machine.PrepareAttempt():
                    if running.ready is None:
                        await self._make_ready(running, link_down=True)
                case machine.TellAccept():
                    self._tell(Accept(call_id, running.accepted_by))
                case machine.TellBye(reason):
                    self._tell(Bye(call_id, reason))
                case machine.ShowCall(phase):
                    if phase is machine.Phase.ENDED:  # first, so that whoever shows the call can say why it is over
                        self._clinic.tablets.push(ByePush(call_id, running.state.reason))
                    self._show(running)
        if running.state.phase in (machine.Phase.CONNECTED, machine.Phase.ENDED):
            self._drop_ready(running)
        if running.state.phase is machine.Phase.ENDED and self._calls.pop(call_id, None) is not None:
            self._share_link()
            await self._over(running)

    async def _start(self, running: RunningCall, attempt: int) -> None:
        running.first = attempt
        await self._stop(running, "restart")
        if not running.wants(attempt):
            return
        fits = running.ready is not None and running.ready.start_call.attempt == attempt
        say(logger, "call_attempt", attempt=attempt, ready=fits)
        if fits:
            await self._take_ready(running, attempt)
            return
        self._drop_ready(running)
        start = self._start_call(running, attempt)

        async def heard(message: FromCall) -> None:
            await self._heard(running, attempt, message)

        try:
            process = await CallProcess.start(start, heard)
        except OSError:
            logger.exception("call process could not be started")
            await self._step(running, machine.Kind.PROCESS_DIED)
            return
        if not running.wants(attempt):
            # Ended, replaced or dead already, while it was being started.
            await process.stop("replaced")
            return
        self._runs(running, process)
        if running.state.attempt != attempt:  # renewed while it was being started
            await self._renew(running, running.state.attempt)

    def _runs(self, running: RunningCall, process: CallProcess) -> None:
        running.process, running.heard_s, running.processes = process, None, running.processes + 1
        self._share_link()

    async def _renew(self, running: RunningCall, attempt: int) -> None:
        if running.process is None:  # it has died meanwhile; its last word is on its way
            return
        say(logger, "call_renewed", attempt=attempt)
        self._drop_ready(running)
        await running.process.send(RenewCall(attempt, running.ring.ice_servers, self._start_bps(running)))

    async def _take_ready(self, running: RunningCall, attempt: int) -> None:
        process, running.ready = running.ready, None
        assert process is not None
        self._runs(running, process)
        waiting, running.waiting = running.waiting, []
        for message in waiting:  # before anything that it says from now on
            await self._heard(running, attempt, message)
        await process.send(GoOn(self._start_bps(running)))

    async def _stop(self, running: RunningCall, reason: str) -> None:
        process, running.process = running.process, None
        if process is None:
            return
        if running.lan is not None:
            running.lan.cancel()  # nobody will answer any more
        await process.stop(reason)
        if running.process is None:  # else the next one is there already, and these are its
            running.stats = None
        self._share_link()

    def _share_link(self) -> None:
        """Leave photos and the like what a call leaves; everything once no process of a call runs."""
        running = next((running for running in self._calls.values() if running.process is not None), None)
        if running is None:
            self._limit_bulk(None)
        else:
            stats = running.stats
            self._limit_bulk(bulk_bps(stats.estimate_bps, stats.send_bps) if stats is not None else BULK_FLOOR_BPS)

    async def _heard(self, running: RunningCall, first: int, message: FromCall) -> None:
        """A message of the process that began with attempt ``first``."""
        carried = message.stats if isinstance(message, CallEnded) else message
        if isinstance(carried, CallStats):
            running.note(first, carried)
        attempt = running.state.attempt
        if isinstance(message, CallEnded):
            say(logger, "call_process_ended", reason=message.reason, attempt=attempt)
        if first != running.first:
            return  # the last words of a process that was replaced; only what it carried counts
        running.heard_s = time.monotonic()
        match message:
            case Offer() | Candidate() if message.attempt != attempt:
                pass  # made before the renewal that was asked for meanwhile
            case Offer():
                signed = fingerprint_tbs(message.call_id, message.sdp)
                if signed is None:
                    say(logger, "offer_without_fingerprint", logging.ERROR, attempt=attempt)
                    return
                signature = seal.sign(self._clinic.config.device, signed)
                self._tell(msgspec.structs.replace(message, fingerprint_signature=signature))
            case Candidate():
                self._tell(message)
            case LanAnswer():
                if running.lan is not None and message.number == running.asked and not running.lan.done():
                    running.lan.set_result(message.sdp)
            case SharpAsked(still_id):
                ring = running.ring
                self._clinic.tablets.push(SharpPush(ring.call_id, ring.visit_id, still_id, ring.doctor_name))
            case SharpTaken():
                await self._photos.taken(running, message)
            case Drew():
                self._photos.drew(running, message)
            case CallError():
                say(logger, "call_part_failed", logging.WARNING, code=message.refusal.code, attempt=attempt)
            case CallStats():
                running.stats = message
                self._share_link()
                if message.state == "connected" and message.why != NO_LINK:
                    running.rate_bps = message.estimate_bps
                if message.attempt == attempt:
                    await self._follow(running, message)
            case CallEnded():
                if running.wants(first):
                    running.process = running.stats = None
                    self._share_link()
                    await self._died(running, message.reason)

    async def _died(self, running: RunningCall, reason: str) -> None:
        """An attempt ended by itself: the next one may mend it, unless there is no camera to open."""
        if reason == NO_CAMERA:
            self.camera_failures += 1
            await self._step(running, machine.Kind.HANG_UP, reason=NO_CAMERA)
        else:
            await self._step(running, machine.Kind.PROCESS_DIED)

    async def _follow(self, running: RunningCall, stats: CallStats) -> None:
        phase = running.state.phase
        if stats.state == "connected" and phase in (machine.Phase.CONNECTING, machine.Phase.INTERRUPTED):
            await self._step(running, machine.Kind.MEDIA_UP)
        elif stats.state == "disconnected" and phase is machine.Phase.CONNECTED:
            await self._step(running, machine.Kind.MEDIA_DOWN)
        elif stats.state == "failed":
            await self._step(running, machine.Kind.MEDIA_FAILED)
        self._show(running)

    def _show(self, running: RunningCall) -> None:
        self._clinic.tablets.push(push_of(running, self._camera_kind))

    async def _over(self, running: RunningCall) -> None:
        if running.state.attempt >= 0:
            held = held_of(running, self._clinic.clock.now().wall_ms)
            await self.ends.add(held, VisitState.RX_PENDING if running.totals()[1] > 0 else VisitState.WAITING)

    def _tell(self, signal: Signal) -> None:
        if self._send is not None:
            blob = _encode(signal)
            say(logger, "call_said", what=type(signal).__name__, size_bytes=len(blob))
            self._send(blob)

    async def _tick(self) -> None:
        while self._calls:
            await asyncio.sleep(TICK_S)
            for running in list(self._calls.values()):
                if running.process is not None and running.hangs(time.monotonic()):
                    say(logger, "call_process_hangs", logging.WARNING, attempt=running.state.attempt)
                    running.process.kill()
                if self._link_up and running.asks_hub(time.monotonic()):
                    self._tell(Ring(running.ring.call_id, running.ring.visit_id))
                due_s = machine.due_s(running.state)
                if due_s is not None and time.monotonic() >= due_s:
                    try:
                        await self._step(running, machine.Kind.TICK)
                    except Exception:
                        logger.exception("call step failed")

    async def close(self) -> None:
        """The node stops: running calls end."""
        for running in list(self._calls.values()):
            await self._step(running, machine.Kind.HANG_UP, reason="failed")
        await self._preflight.close()
        for process in self._leaving:
            await process.ended()
        await self.ends.close()
        self._inbox.close()
        if self._ticker is not None:
            self._ticker.cancel()
