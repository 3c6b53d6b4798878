"""Live: what consoles are told, and call signals between a doctor's page and a node.

Signals are checked, not interpreted: a signal passes only between the doctor and the node of its
call, an Offer only with the node's signature over its DTLS fingerprint. Knows no HTTP and no link,
only what sends to them. Calls stand in the database, so that a restart of the hub ends none.
"""

import asyncio
import logging

import msgspec
from sqlalchemy import Connection, select, true, update

from edge.media.call import Kind, Phase, advance
from edge.media.signals import Accept, Answer, Bye, Candidate, IceServer, Offer, Report, Ring, Signal, fingerprint_tbs
from edge.model.errors import UpkendraError
from edge.model.records import Mode
from edge.sync.seal import verify
from edge.web.logs import say

from . import audit
from . import fanout as fan
from .desk import Desk, need_open
from .doctors import Doctor
from .heard import Heard, heard
from .live_ends import reader_of_end, write_held
from .live_pages import Pages
from .live_sides import (
    CallOver,
    CallRefused,
    CallUnknown,
    Console,
    Homes,
    LiveCall,
    NodeLink,
    NodeOffline,
    Thirds,
    Told,
    call_of,
    to_text,
)
from .store.dialect import Row, insert_new
from .store.schema import calls
from .turn import Turn, ice_servers

logger = logging.getLogger("hub.live")
END_AGAIN_S = 5.0
"""Until the end of a call is written again that could not be."""
FINAL_REPORT_S = 3.0
"""How long the doctor's last report may come after the end."""
LEFT_MS = 30_000
"""A call that ended so long ago, and is not written into its visit, has no process that would do it."""
SIGNAL_MAX_BYTES = 64 * 1024
_signal_json = msgspec.json.Decoder(Signal)
_signal_msgpack = msgspec.msgpack.Decoder(Signal)
_to_msgpack = msgspec.msgpack.Encoder().encode


class Live(Pages):
    """All consoles and calls of this process."""

    def __init__(self, desk: Desk, link: NodeLink, turn: Turn) -> None:
        super().__init__()
        self._desk = desk
        self._link = link
        self._turn = turn
        self._attached: dict[str, Console] = {}
        self._calls: dict[str, LiveCall] = {}
        self._heard: dict[str, Heard] = {}
        self._ending: set[asyncio.Task[None]] = set()
        self.homes: Homes | None = None
        """Set by a hub that serves patients at home."""
        self.thirds: Thirds | None = None
        """Specialists in calls, set by whoever looks after them."""

    def remove(self, console: Console) -> None:
        super().remove(console)
        for call_id, attached in list(self._attached.items()):
            if attached is console:
                del self._attached[call_id]

    def ice_servers(self, name: str) -> tuple[IceServer, ...]:
        """ICE servers for a browser."""
        return ice_servers(self._turn, name, self._desk.wall_ms() // 1000)

    async def close(self) -> None:
        """Stop waiting for last reports; what is not written yet is written at the next start."""
        for task in list(self._ending):
            task.cancel()
        await asyncio.gather(*self._ending, return_exceptions=True)

    # From a doctor's page

    async def from_console(self, console: Console, text: str) -> None:
        """A message from a doctor's page. A bad one is answered with ``refused``, never raised."""
        call_id = ""
        try:
            signal = _signal_json.decode(text.encode())
            call_id = signal.call_id
            await self._from_doctor(console, signal)
        except UpkendraError as error:
            console.tell(to_text(CallRefused(call_id, error.refusal.code, error.refusal.message)))
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            console.tell(to_text(CallRefused("", "bad_input", "This is not a call signal.")))

    async def _from_doctor(self, console: Console, signal: Signal) -> None:
        if isinstance(signal, Ring):
            await self._ring(console, signal)
            return
        call = await self._find(signal.call_id)
        if call is None and self.thirds is not None and await self.thirds.passed_on(console.doctor.doctor_id, signal):
            return
        if call is None or call.doctor_id != console.doctor.doctor_id:
            raise CallUnknown("There is no such call of yours.")
        if self._is_settled(call):
            return
        self._attached[call.call_id] = console
        match signal:
            case Report():
                await self._report(call, signal)
            case Answer() | Candidate():
                self._send(call, signal)
            case Bye():
                self._send(call, signal)
                await self._end(call, signal.reason)
            case _:
                raise CallUnknown("Only the patient's side says this.")

    async def _ring(self, console: Console, ring: Ring) -> None:
        doctor = console.doctor
        known = await self._find(ring.call_id)
        if known is not None and (known.doctor_id, known.visit_id) != (doctor.doctor_id, ring.visit_id):
            raise CallUnknown("There is no such call of yours.")
        if known is not None and known.phase is Phase.ENDED:
            raise CallOver("This call is over. Start a new one.")
        owned = await self._desk.store.read(lambda connection: need_open(connection, ring.visit_id))
        if not self._is_home(owned.node_id) and not self._link.online(owned.node_id):
            raise NodeOffline("The node cannot be reached at the moment. The visit keeps its place.")
        await self._desk.take(ring.visit_id, doctor)
        if known is None:
            known = await self._start(ring, owned.node_id, doctor)
        else:  # the node may have taken or ended it meanwhile
            known = await self._find(ring.call_id)
            if known is not None and known.phase is Phase.RINGING:
                now_ms = self._desk.wall_ms()
                further = msgspec.structs.replace(known, started_ms=now_ms)
                known = await self._step(known, further, only=Phase.RINGING, started_ms=now_ms)
            if known is None or known.phase is Phase.ENDED:
                raise CallOver("This call is over. Start a new one.")
        self._attached[ring.call_id] = console
        servers = ice_servers(self._turn, owned.node_id, self._desk.wall_ms() // 1000)
        full = msgspec.structs.replace(ring, doctor_id=doctor.doctor_id, doctor_name=doctor.name, ice_servers=servers)
        self._calls[ring.call_id] = msgspec.structs.replace(known, phase=advance(known.phase, Kind.RANG))
        self._send(known, full)

    async def _start(self, ring: Ring, node_id: str, doctor: Doctor) -> LiveCall:
        now_ms = self._desk.wall_ms()
        call = LiveCall(ring.call_id, ring.visit_id, node_id, doctor.doctor_id, Phase.RINGING, now_ms)

        def act(connection: Connection) -> None:
            row: Row = {
                "call_id": call.call_id,
                "visit_id": call.visit_id,
                "node_id": node_id,
                "doctor_id": call.doctor_id,
                "phase": call.phase.value,
                "started_ms": now_ms,
                "ended_ms": 0,
                "ended_because": "",
                "held_ms": 0,
                "video_s": 0.0,
                "audio_s": 0.0,
                "concealed_s": 0.0,
                "frames": 0,
                "mode": Mode.TEXT.value,
            }
            insert_new(connection, calls, row)
            audit.record(connection, now_ms, doctor.doctor_id, "call_started", call.visit_id)

        await self._desk.store.write(act)
        return call

    async def _report(self, call: LiveCall, report: Report) -> None:
        """Keep what the doctor's browser received; a reload begins at zero again and is added.

        A call that nobody at the node has taken carries nothing, whatever the page says.
        """
        if not call.taken:
            say(logger, "report_before_accept", logging.WARNING, call_id=call.call_id)
            return
        before = Report(call.call_id, call.video_s, call.audio_s, call.concealed_s, call.frames)
        figures = self._heard.get(call.call_id, heard(before)).after(report)
        self._heard[call.call_id], all_of = figures, figures.total
        kept = msgspec.structs.replace(
            call,
            video_s=all_of.video_s,
            audio_s=all_of.audio_s,
            concealed_s=all_of.concealed_s,
            frames=all_of.frames,
            mode=report.mode,
        )
        self._calls[call.call_id] = kept
        change = (
            update(calls)
            .where(calls.c.call_id == call.call_id)
            .values(
                video_s=kept.video_s,
                audio_s=kept.audio_s,
                concealed_s=kept.concealed_s,
                frames=kept.frames,
                mode=kept.mode.value,
            )
        )
        await self._desk.store.write(lambda connection: connection.execute(change) and None)

    # From a node

    async def _still_rings(self, node_id: bytes, ring: Ring) -> None:
        """A node asks whether its call goes on: the word that it is over may have been lost on the way."""
        call = await self._read(ring.call_id)
        mine = call if call is not None and call.node_id == node_id.hex() else None
        if mine is None or mine.phase is Phase.ENDED:
            over = Bye(ring.call_id, mine.ended_because if mine is not None else "failed")
            self._link.send_signal(node_id, _to_msgpack(over))

    async def from_node(self, node_id: bytes, blob: bytes) -> None:
        """A signal from a node. One that does not belong there is logged and dropped."""
        name = node_id.hex()
        try:
            signal = _signal_msgpack.decode(blob[:SIGNAL_MAX_BYTES])
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            say(logger, "signal_malformed", logging.WARNING, node_id=name)
            return
        if isinstance(signal, Ring):
            await self._still_rings(node_id, signal)
            return
        call = await self._find(signal.call_id)
        if call is None or call.node_id != name:
            say(logger, "signal_unknown_call", logging.WARNING, node_id=name)
            return
        if self._is_settled(call):
            return
        if isinstance(signal, Offer):
            record = self._desk.directory.by_id(node_id)
            if record is None or not offer_is_from(signal, record.device_public):
                say(logger, "offer_refused", logging.WARNING, node_id=name, call_id=call.call_id)
                refused = CallRefused(call.call_id, "offer_unsigned", "The node's offer was not signed by it.")
                self._tell_doctor(call, refused)
                return
        await self._from_patient(call, signal)

    async def from_home(self, visit_id: str, signal: Signal) -> None:
        """A signal from the page of a patient at home, whose session was looked at. What does not belong is dropped."""
        call = await self._find(signal.call_id)
        known = call is not None and call.visit_id == visit_id and self._is_home(call.node_id)
        if call is not None and known and not self._is_settled(call):
            await self._from_patient(call, signal)

    async def _from_patient(self, call: LiveCall, signal: Signal) -> None:
        match signal:
            case Offer() | Accept():
                taken = await self._taken(call)
                if taken.phase is not Phase.ENDED:
                    self._tell_doctor(taken, signal)
            case Candidate():
                self._tell_doctor(call, signal)
            case Bye():
                self._tell_doctor(call, signal)
                await self._end(call, signal.reason)
            case _:
                say(logger, "signal_unexpected", logging.WARNING, node_id=call.node_id)

    async def _taken(self, call: LiveCall) -> LiveCall:
        """Somebody at the node took the call: from now on, also over a restart, the doctor's reports count."""
        if call.phase is not Phase.RINGING:
            return call
        now_ms = self._desk.wall_ms()
        taken = msgspec.structs.replace(call, phase=advance(call.phase, Kind.ACCEPTED), taken=True, started_ms=now_ms)
        return await self._step(call, taken, started_ms=now_ms)

    async def _step(
        self, call: LiveCall, further: LiveCall, *, only: Phase | None = None, **written: object
    ) -> LiveCall:
        """Take a call further, here and in the store; how it stands then.

        What another process has ended stays ended, and what is not in the phase ``only`` any more stays as it is. A
        write that fails takes back what stood here, so that the next word of it tries again.
        """
        self._calls[call.call_id] = further
        change = (
            update(calls)
            .where(calls.c.call_id == call.call_id, calls.c.phase != Phase.ENDED.value)
            .where(calls.c.phase == only.value if only is not None else true())
            .values(phase=further.phase.value, **written)
        )
        try:
            changed = await self._desk.store.write(lambda connection: connection.execute(change).rowcount)
        except Exception:
            present = self._calls.get(call.call_id)
            if present is not None and present.phase is further.phase:  # with what a page reported meanwhile
                self._calls[call.call_id] = msgspec.structs.replace(
                    present,
                    phase=call.phase,
                    ended_because=call.ended_because,
                    taken=call.taken,
                    started_ms=call.started_ms,
                )
            raise
        if changed:
            self.fanout.say(fan.CallChanged(call.call_id))
        else:
            await self.call_changed(call.call_id)
        return self._calls.get(call.call_id, further)

    # Both

    async def _find(self, call_id: str) -> LiveCall | None:
        known = self._calls.get(call_id)
        if known is not None:
            return known
        call = await self._read(call_id)
        if call is None or call.phase is Phase.ENDED:
            return call
        return self._calls.setdefault(call_id, call)

    async def call_changed(self, call_id: str) -> None:
        """Another process took this call further: what stands in the store counts, with the last report still to come.

        What the doctor's page has said here is newer here.
        """
        known, now = self._calls.get(call_id), await self._read(call_id)
        if now is not None and now.phase is Phase.ENDED and self.homes is not None and self._is_home(now.node_id):
            self.homes.over_elsewhere(call_id, now.ended_because)
        if known is None or now is None or known.phase is Phase.ENDED:
            return
        mine = known if call_id in self._attached else now
        self._calls[call_id] = msgspec.structs.replace(
            now,
            video_s=mine.video_s,
            audio_s=mine.audio_s,
            concealed_s=mine.concealed_s,
            frames=mine.frames,
            mode=mine.mode,
            taken=known.taken or now.taken,
        )
        if now.phase is Phase.ENDED:
            self.tell_here(call_id, to_text(Bye(call_id, now.ended_because)))
            self._keep(asyncio.get_running_loop().create_task(self._settle(call_id)))

    def running(self) -> list[LiveCall]:
        """Calls that are not over, as far as this process knows."""
        return [call for call in self._calls.values() if call.phase is not Phase.ENDED]

    def at_home(self) -> frozenset[str]:
        """The same of calls at patients' pages."""
        return self.homes.running() if self.homes is not None else frozenset()

    async def give_up(self, call: LiveCall) -> None:
        """It rings for nobody: end it at both sides."""
        over = Bye(call.call_id, "no_answer")
        self._tell_doctor(call, over)
        self._send(call, over)
        await self._end(call, over.reason)

    async def _read(self, call_id: str) -> LiveCall | None:
        row = await self._desk.store.read(
            lambda connection: connection.execute(select(calls).where(calls.c.call_id == call_id)).first()
        )
        return None if row is None else call_of(row)

    def _is_settled(self, call: LiveCall) -> bool:
        """Whether the call is over and its proof is written: late words change nothing any more."""
        return call.phase is Phase.ENDED and call.call_id not in self._calls

    def records_arrived(self, visit_ids: frozenset[str]) -> None:
        """Entries of these visits came: a node may say that a call is over whose Bye was lost with the link."""
        running = [call for call in self._calls.values() if call.visit_id in visit_ids and call.phase != Phase.ENDED]
        if running:
            self._keep(asyncio.get_running_loop().create_task(self._end_held(running)))

    async def _end_held(self, running: list[LiveCall]) -> None:
        for call in running:
            reason = await self._desk.store.read(reader_of_end(call))
            present = self._calls.get(call.call_id)
            if reason is not None and present is not None and present.phase is not Phase.ENDED:
                self._tell_doctor(present, Bye(call.call_id, reason))
                await self._end(present, reason)

    async def end_left(self, visit_id: str, doctor_id: str, reason: str = "failed") -> None:
        """End the calls of a visit whose doctor is not there any more, or has handed it on."""
        hers = (calls.c.visit_id == visit_id, calls.c.doctor_id == doctor_id, calls.c.phase != Phase.ENDED.value)
        query = select(calls.c.call_id).where(*hers)
        rows = await self._desk.store.read(lambda connection: connection.execute(query).all())
        for row in rows:
            call = await self._find(row.call_id)
            if call is not None and call.phase is not Phase.ENDED:
                self._send(call, Bye(call.call_id, reason))
                self._tell_doctor(call, Bye(call.call_id, reason))
                await self._end(call, reason)

    async def _end(self, call: LiveCall, reason: str) -> None:
        if call.phase is Phase.ENDED:
            return
        now_ms = self._desk.wall_ms()
        ended = msgspec.structs.replace(call, phase=Phase.ENDED, ended_because=reason)
        try:
            await self._step(call, ended, ended_ms=now_ms, ended_because=reason)
        except Exception:  # a full disk: who ended it says so once only
            logger.exception("the end of a call was not written yet")
            self._keep(asyncio.get_running_loop().create_task(self._end_later(call.call_id, reason)))
            return
        if self.homes is not None and self.homes.is_home(call.node_id):
            self.homes.over(call.call_id, reason)
        self._keep(asyncio.get_running_loop().create_task(self._settle(call.call_id)))

    async def _end_later(self, call_id: str, reason: str) -> None:
        await asyncio.sleep(END_AGAIN_S)
        call = self._calls.get(call_id)
        if call is not None:
            await self._end(call, reason)

    def _keep(self, task: "asyncio.Task[None]") -> None:
        self._ending.add(task)
        task.add_done_callback(self._forget)

    def _forget(self, task: "asyncio.Task[None]") -> None:
        self._ending.discard(task)
        if not task.cancelled() and task.exception() is not None:  # what is not written is written at the next start
            logger.error("the end of a call was not written", exc_info=task.exception())

    async def _settle(self, call_id: str) -> None:
        """Write the doctor's side of the proof of consultation, after the last report had its time."""
        try:
            await asyncio.sleep(FINAL_REPORT_S)
        finally:
            self._calls.pop(call_id, None)
            self._heard.pop(call_id, None)
            self._attached.pop(call_id, None)
        await self._hold(call_id)

    async def settle_all(self, ended_before_ms: int | None = None) -> None:
        """Write what a process that died did not come to write; know the calls that it left running.

        ``ended_before_ms``: while others live, only what ended so long ago that its own process would have written it.
        """
        query = select(calls.c.call_id).where(calls.c.phase == Phase.ENDED.value, calls.c.held_ms == 0)
        if ended_before_ms is not None:
            query = query.where(calls.c.ended_ms < ended_before_ms)
        rows = await self._desk.store.read(lambda connection: connection.execute(query).all())
        for row in rows:
            await self._hold(row.call_id)
        left = select(calls.c.call_id, calls.c.visit_id).where(calls.c.held_ms == 0, calls.c.phase != Phase.ENDED.value)
        running = await self._desk.store.read(lambda connection: connection.execute(left).all())
        for row in running:
            await self._find(row.call_id)
        self.records_arrived(frozenset(row.visit_id for row in running))

    async def settle_left(self) -> None:
        """What a process that was killed meanwhile has left: the one that leads looks now and then."""
        await self.settle_all(self._desk.wall_ms() - LEFT_MS)

    async def _hold(self, call_id: str) -> None:
        speaker, now_ms = self._desk.speaker, self._desk.wall_ms()
        visit_id, blob = await self._desk.store.write(lambda c: write_held(c, speaker, call_id, now_ms))
        self._desk.tell(visit_id, blob)

    def _tell_doctor(self, call: LiveCall, message: Told) -> None:
        text = to_text(message)
        if not self.tell_here(call.call_id, text):
            self.fanout.say(fan.ToDoctor(call.call_id, text))

    def tell_here(self, call_id: str, text: str) -> bool:
        """Tell the page that holds a call; False when it is not open at this process."""
        console = self._attached.get(call_id)
        if console is not None:
            console.tell(text)
        return console is not None

    def _is_home(self, node_id: str) -> bool:
        return self.homes is not None and self.homes.is_home(node_id)

    def _send(self, call: LiveCall, signal: Signal) -> None:
        if self.homes is not None and self.homes.is_home(call.node_id):
            self.homes.say(call.call_id, call.visit_id, signal)
        else:
            self._link.send_signal(bytes.fromhex(call.node_id), _to_msgpack(signal))


def offer_is_from(offer: Offer, device_public: bytes) -> bool:
    """Whether the node's device key signed the DTLS fingerprint of this offer for this call."""
    signed = fingerprint_tbs(offer.call_id, offer.sdp)
    return signed is not None and verify(device_public, signed, offer.fingerprint_signature)
