"""A call process: composition root of the media of one call.

Reads :data:`ToCall` messages as JSON lines, writes :data:`FromCall` lines; runs source, WAN leg,
LAN legs, estimator and ladder. asyncio owns all state; GStreamer's and the source's threads reach
it through ``call_soon_threadsafe`` only. Knows no node, no store and no patient.
"""

import asyncio
import logging
import sys
import time

import msgspec

from edge.media import aside
from edge.media.capture import Source, TabletSource, open_source
from edge.media.encoder import chosen
from edge.media.estimate import DEFAULT_START_BPS, Estimator, PacketFeedback
from edge.media.ladder import Allocation, Ladder, load_rules
from edge.media.lan import LanLegs, preload
from edge.media.leg import Carried, LegEvents, Outlet, own_address
from edge.media.process import LINE_LIMIT_BYTES
from edge.media.signals import (
    Answer,
    CallEnded,
    CallError,
    CallStats,
    Candidate,
    EndCall,
    FromCall,
    GoOn,
    LanAnswer,
    LanOffer,
    Offer,
    RenewCall,
    SharpAsked,
    StartCall,
    ToCall,
)
from edge.media.stills import SharpStills, StillSender
from edge.media.turns import TlsForwarders
from edge.media.wan import WanLeg
from edge.model.errors import BadInput, Fault, Refusal, UpkendraError

CONTROL_INTERVAL_S = 0.1
STATS_EVERY = 10
HEARD_SHARE = 0.85
"""Of what the way in was seen to carry, for the way out."""
STILL_SOURCE_FPS = 1.0
"""Pictures of the source a second while only stills are sent."""
MOVED_AFTER_S = 1.5
"""Silence after which another address of this machine means that the old way is gone."""
LOST_AFTER_S = 5.0
"""Nothing heard of the doctor's browser for this long: the attempt calls itself disconnected."""

_LOG = logging.getLogger(__name__)
_DECODER: msgspec.json.Decoder[ToCall] = msgspec.json.Decoder(ToCall)
_ENCODER = msgspec.json.Encoder()


class Worker:
    """The media of one call, from attempt to attempt. :meth:`run` returns when it is over."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._start: StartCall | None = None
        self._over: asyncio.Future[str] = loop.create_future()
        self._wan: WanLeg | None = None
        self._outlet = Outlet()
        self._carried = Carried()
        """Of legs to the doctor that were replaced."""
        self._address = ""
        """From where this machine reached the world when the leg began."""
        self._source: Source | None = None
        self._lan: LanLegs | None = None
        self._turns = TlsForwarders()
        self._rules = load_rules()
        self._ladder = Ladder(self._rules)
        self._estimator = Estimator(time.monotonic())
        self._connected = False
        self._failed = False
        self._going = False
        """The leg to the doctor was started."""
        self._stills = StillSender(loop, self._outlet)
        self._drawn = aside.DrawnPacer()
        self._sharp = SharpStills(loop, self._outlet, self.say)
        self._told = aside.LinkState("none")
        """What the doctor's page was last told of this side's link."""
        self._closing: set[asyncio.Future[None]] = set()
        self._heard_s = 0.0
        self._sent_before = self._received_before = 0
        self._source_failure = ""
        self._offered = asyncio.Event()
        self._answering: set[asyncio.Task[None]] = set()
        self._allocation = self._ladder.allocate(self._estimator.rate_bps, time.monotonic())

    async def run(self) -> None:
        """Serve stdin until EndCall, its end, or a failure that only a new attempt can mend."""
        reader = asyncio.create_task(self._read_lines())
        ticker = asyncio.create_task(self._tick_forever())
        loader = asyncio.create_task(self._load_lan())
        for task in (reader, ticker, loader):
            task.add_done_callback(self._note_crash)
        reason = await self._over
        for task in (reader, ticker, loader, *self._answering):
            task.cancel()
        stats = self._stats() if self._wan is not None else None
        if self._lan is not None:
            await self._lan.close()
        if self._source is not None:
            await self._loop.run_in_executor(None, self._source.stop)
        if self._wan is not None:
            await self._loop.run_in_executor(None, self._wan.close)
        await asyncio.gather(*self._closing)
        await self._turns.close()
        self.say(CallEnded(reason, stats))

    def say(self, message: FromCall) -> None:
        """Write one line to the node."""
        sys.stdout.buffer.write(_ENCODER.encode(message) + b"\n")
        sys.stdout.buffer.flush()

    # what the node says

    async def _read_lines(self) -> None:
        reader = asyncio.StreamReader(limit=LINE_LIMIT_BYTES)
        await self._loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        while True:
            try:
                line = await reader.readline()
            except ValueError:
                self._refuse(BadInput("a line is longer than 256 kB"))
                continue
            if not line:
                self._finish("orphaned")
                return
            try:
                await self._take(_DECODER.decode(line))
            except msgspec.DecodeError as error:
                self._refuse(BadInput(f"a line is no message for a call process: {error}"))
            except UpkendraError as error:
                self._refuse(error)
            except ValueError as error:
                self._refuse(BadInput(str(error)))

    async def _take(self, message: ToCall) -> None:
        match message:
            case StartCall():
                await self._begin(message)
            case EndCall():
                self._finish(message.reason)
            case _ if self._wan is None or self._start is None or self._lan is None:
                raise BadInput("the first message has to be start_call")
            case GoOn():
                if message.start_bps:
                    self._start = msgspec.structs.replace(self._start, start_bps=message.start_bps)
                self._go(self._wan)
                await self._open_source(self._start.camera, self._wan)
            case RenewCall():
                await self._renew(message)
            case LanOffer():
                # Not awaited: the doctor's answer stands in the same queue.
                task = asyncio.create_task(self._answer_tablet(self._lan, message))
                self._answering.add(task)
                task.add_done_callback(self._answering.discard)
            case Answer():
                if message.attempt == self._start.attempt:
                    self._wan.set_answer(message.sdp)
            case aside.Drew():
                self._drawn.put(aside.write(message))
            case Candidate():
                if message.attempt == self._start.attempt and message.candidate:
                    self._wan.add_candidate(message.mline, message.candidate)

    async def _begin(self, start: StartCall) -> None:
        if self._start is not None:
            raise BadInput("this process already serves a call")
        self._start = start
        now_s = time.monotonic()
        self._estimator = Estimator(now_s, start.start_bps)
        self._allocation = self._ladder.allocate(self._estimator.rate_bps, now_s)
        self._wan = wan = await self._make_leg(start)
        self._lan = LanLegs(self._ask_doctor_for_key_frame)
        if start.held and start.link_down:
            self._offered.set()  # all the time to load the rest
            return
        self._go(wan)
        if not start.held:
            await self._open_source(start.camera, wan)

    async def _make_leg(self, start: StartCall) -> WanLeg:
        servers = await self._turns.through(start.ice_servers)
        events = LegEvents(self, self._loop, lambda: self._wan)
        kind = await self._loop.run_in_executor(None, chosen, start.encoder)
        events.leg = WanLeg(events, servers, self._allocation, kind)
        return events.leg

    async def _renew(self, renew: RenewCall) -> None:
        """A new leg to the doctor in the place of the old one, which may still hold an address that is gone."""
        assert self._start is not None
        if renew.attempt <= self._start.attempt:
            raise BadInput("an attempt's number only rises", field="attempt")
        self._start = msgspec.structs.replace(
            self._start, attempt=renew.attempt, ice_servers=renew.ice_servers, start_bps=renew.start_bps
        )
        old, self._wan = self._wan, await self._make_leg(self._start)
        if old is not None:
            self._carried = self._carried.plus(old)
            self._closing.add(self._loop.run_in_executor(None, old.close))
        self._connected = self._failed = self._going = False
        self._sent_before = self._received_before = 0
        self._go(self._wan)
        await self._open_source(self._start.camera, self._wan)

    def _ask_doctor_for_key_frame(self) -> None:
        if self._wan is not None:
            self._wan.ask_doctor_for_key_frame()

    def _go(self, wan: WanLeg) -> None:
        self._outlet.leg = wan
        if not self._going:
            self._going = True
            self._address = own_address()
            wan.start()

    async def _open_source(self, camera: str, wan: WanLeg) -> None:
        """Open camera and microphone; before that nothing of the room is taken in."""
        if self._source is not None:
            return
        try:
            source = await self._loop.run_in_executor(None, open_source, camera)
        except BadInput as error:
            self._refuse(error)
            self._finish("no_camera")
            return
        self._source = source
        if isinstance(source, TabletSource) and self._lan is not None:
            self._lan.camera = source
        source.fps = self._allocation.fps
        source.start(self._outlet)

    async def _answer_tablet(self, lan: LanLegs, offer: LanOffer) -> None:
        try:
            sdp = await lan.answer(offer.tablet, offer.sdp)
        except ValueError as error:
            self._refuse(BadInput(str(error)))
        else:
            self.say(LanAnswer(sdp, offer.tablet, offer.number))

    async def _load_lan(self) -> None:
        """Import what the tablets' legs need, when the offer is on its way and nobody waits for this process."""
        await self._offered.wait()
        await self._loop.run_in_executor(None, preload)

    # what the media says

    def say_offer(self, sdp: str) -> None:
        assert self._start is not None
        self.say(Offer(self._start.call_id, sdp, self._start.attempt))
        self._offered.set()

    def say_candidate(self, mline: int, candidate: str) -> None:
        assert self._start is not None
        self.say(Candidate(self._start.call_id, candidate, mline, self._start.attempt))

    def note_connection(self, state: str) -> None:
        _LOG.info("media %s", state)
        if state == "connected":
            now_s = time.monotonic()
            if not self._connected and self._start is not None:
                # The time that ringing and connecting took is no silence of the link.
                self._estimator = Estimator(now_s, self._start.start_bps or self._first_bps())
                self._ladder = Ladder(self._rules)  # a renewed leg does not climb from where the outage ended
            self._connected, self._heard_s = True, now_s
        elif state == "failed":
            self._give_up("connection_failed")

    def _first_bps(self) -> float:
        """Where the estimate begins when nothing was ever sent: ways out are seldom wider than ways in."""
        heard_bps = self._wan.heard_bps if self._wan is not None else 0.0
        _LOG.info("the handshake came in at %d bit/s", heard_bps)
        return min(heard_bps * HEARD_SHARE, DEFAULT_START_BPS)

    def _give_up(self, why: str) -> None:
        """This leg does not come back by itself: the node asks for a new one, or ends the call."""
        if not self._failed:
            _LOG.info("media failed: %s", why)
            self._failed = True
            self.say(self._stats())

    def note_feedback(self, packets: list[PacketFeedback]) -> None:
        assert self._wan is not None
        self._heard_s = time.monotonic()
        self._estimator.feed(packets, self._heard_s, self._wan.rtt_s)

    def pass_audio(self, frame: bytes, position: int) -> None:
        self._heard_s = time.monotonic()
        if self._lan is not None:
            self._lan.doctor_audio(frame, position)

    def pass_video(self, frame: bytes, pts_ns: int, key: bool) -> None:
        self._heard_s = time.monotonic()
        if self._lan is not None:
            self._lan.doctor_video(frame, pts_ns, key)

    def note_failure(self, what: str) -> None:
        self.say(CallError(Refusal("media_failed", what, fault=Fault.US)))
        self._finish("media_failed")

    # time

    async def _tick_forever(self) -> None:
        count = 0
        while True:
            await asyncio.sleep(CONTROL_INTERVAL_S)
            if self._wan is None or not self._going:
                continue
            self._control(self._wan)
            count += 1
            if count % STATS_EVERY == 0:
                if self._moved():
                    self._give_up("another address")
                self._wan.ask_stats()
                self.say(self._stats())

    def _control(self, wan: WanLeg) -> None:
        wan.poll()
        wan.try_offer()
        now_s = time.monotonic()
        if self._connected:
            self._estimator.tick(now_s, wan.rtt_s, idle=wan.idle)
        seen = self._estimator
        rate_bps = seen.rate_bps - wan.repairs_bps(now_s)
        allocation = self._ladder.allocate(rate_bps, now_s, seen.line_loss, seen.sustained_bps)
        if allocation != self._allocation:
            self._allocation = allocation
            wan.apply(allocation)
        self._pass_aside(wan, allocation, now_s)
        if self._source is None:
            return
        self._source.fps = allocation.fps or (STILL_SOURCE_FPS if allocation.still_every_s else 0.0)
        if self._source.failure and self._source.failure != self._source_failure:
            self._source_failure = self._source.failure
            self.say(
                CallError(Refusal("camera_failed", f"The source stopped: {self._source_failure}.", fault=Fault.US))
            )

    def _pass_aside(self, wan: WanLeg, allocation: Allocation, now_s: float) -> None:
        """Stills instead of a moving picture, and what this side's link carries, over the data channel."""
        if not wan.aside_is_open:
            self._told = aside.LinkState("none")
            return
        sharp = self._source is not None
        state = aside.LinkState(allocation.rung, allocation.notes, wan.relayed, sharp)
        if state != self._told:
            self._told = state
            wan.send_aside(aside.write(state))
        drawn = self._drawn.due(now_s, self._estimator.rate_bps)
        if drawn is not None:
            wan.send_aside(drawn)
        self._stills.tick(wan, allocation, now_s)

    def hear_aside(self, text: str) -> None:
        """The doctor's page says something beside the call."""
        try:
            message = aside.read(text)
        except UpkendraError as error:
            self._refuse(error)
            return
        match message:
            case aside.AskStill(still_id) if isinstance(self._source, TabletSource):
                self.say(SharpAsked(still_id))
            case aside.AskStill(still_id) if self._source is not None:
                self._sharp.ask(still_id, self._source)
            case aside.Drew():
                self.say(message)
            case _:
                self._refuse(BadInput("this is not for the node, or cannot be done without a camera"))

    def _moved(self) -> bool:
        """Whether this machine has another address now and the old one carries nothing: a new modem, a new lease."""
        now = own_address()
        return bool(now) and now != self._address and time.monotonic() - self._heard_s > MOVED_AFTER_S

    def _state(self) -> str:
        if self._failed:
            return "failed"
        if not self._connected:
            return "connecting"
        return "connected" if time.monotonic() - self._heard_s < LOST_AFTER_S else "disconnected"

    def _stats(self) -> CallStats:
        wan, lan = self._wan, self._lan
        assert wan is not None and lan is not None and self._start is not None
        received = wan.audio.bytes_received + wan.video.bytes_received
        whole = self._carried.plus(wan)
        sent, self._sent_before = wan.bytes_sent - self._sent_before, wan.bytes_sent
        came, self._received_before = received - self._received_before, received
        period_s = STATS_EVERY * CONTROL_INTERVAL_S
        state = self._state()
        return CallStats(
            state=state,
            rung=self._allocation.rung if state == "connected" else "none",
            why="call-why-no-link" if state != "connected" or self._estimator.silent else self._allocation.why,
            send_bps=int(sent * 8 / period_s),
            recv_bps=int(came * 8 / period_s),
            estimate_bps=int(self._estimator.rate_bps),
            rtt_ms=round(wan.rtt_s * 1000),
            loss_pct=round(self._estimator.loss * 100, 1),
            video_frames_sent=whole.frames_sent,
            video_frames_received=whole.frames,
            audio_s=round(whole.audio_s, 2),
            video_s=round(whole.video_s, 2),
            concealed_s=round(whole.concealed_s, 2),
            lan_state=lan.state(),
            audio_level_db=round(wan.audio.level_db, 1),
            attempt=self._start.attempt,
            notes=self._allocation.notes,
            relayed=wan.relayed,
        )

    def _refuse(self, error: UpkendraError) -> None:
        self.say(CallError(error.refusal))

    def _finish(self, reason: str) -> None:
        if not self._over.done():
            self._over.set_result(reason)

    def _note_crash(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is not None:
            _LOG.error("a part of the call process failed", exc_info=task.exception())
            self._finish("media_failed")
