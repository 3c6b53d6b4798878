"""The node's link to its hub: the sans-I/O endpoint with the clinic on one side, bearers on the other.

Carries out what the endpoint says, durably first: an acknowledgement is stored before it shows, a
downlink blob is stored before it is confirmed. Works while the node is locked.
"""

import asyncio
import contextlib
import logging
import math
import secrets
import time
from collections.abc import Awaitable, Callable, Sequence

import msgspec

from edge.sync import holdings, hubkey, seal
from edge.sync.bearers.base import BearerState
from edge.sync.bearers.runner import NodeRunner
from edge.sync.endpoint import NodeEndpoint
from edge.sync.link import (
    BundleAcked,
    Cls,
    DownArrived,
    HubKeyTold,
    HubMet,
    LinkChanged,
    NodeEvent,
    Reseal,
    SignalArrived,
    StateArrived,
    TimeOffset,
    UnlockTold,
    UpdateHeard,
)
from edge.sync.meter import Meter, Wait
from edge.sync.trains import Plan, TrainTold
from edge.web.logs import say
from edge.web.often import Often

from .clinic import Clinic
from .config import NodeConfig, save_config
from .down_import import DownImport
from .held import RETENTION_DAYS, RETENTION_VISITS
from .hub_words import HubWords, Word
from .journal import Outgoing
from .live import LinkPush, QueueChanged, VisitChanged
from .silence import KEEP_EVERY_S, Silence
from .usage import KeptMeter

logger = logging.getLogger("edge.node.link")

STATE_EVERY_S = 5.0
STOP_KEEP_S = 60.0
STATE_CLASS, LONG_STATE_CLASS = 1, 3
LONG_STATE_BYTES = 2048
LOCKED_CLASS = 1
"""Class of bundles whose own class only the locked records know."""
BULK_FIRST, BULK_LAST = Cls.ORIGINAL, Cls.CLIP
BULK_BYTES = 7 * 1024
"""While locked: a bundle of this size is taken for a photo's chunk and waits behind the small ones."""
WINDOW_BYTES = 1 << 20
"""Photos' chunks in memory at the same time; a month of photos waits in the outbox."""
OF_A_LATER_RELEASE = frozenset({"format_unknown", "dictionary_unknown", "down_unfoldable"})
"""Reasons for which downlink is put aside only until an update can read it."""


def new_endpoint(config: NodeConfig, run: bytes) -> NodeEndpoint:
    """The endpoint of a node that is still locked: device grade."""
    return NodeEndpoint(
        config.keys(),
        run,
        secrets.token_bytes(seal.EPSILON_BYTES),
        seal.Grade.DEVICE,
        config.device,
        time.monotonic(),
        random=secrets.token_bytes,
    )


async def _nothing_to_prune(before_ms: int, keep_visits: int) -> int:
    return 0


async def _nobody_fetches(body: bytes) -> None:
    return None


async def _nobody_asks(told: UnlockTold) -> None:
    return None


class HubLink:
    """Carries bundles, downlink and signals between the clinic and the hub."""

    def __init__(self, clinic: Clinic, endpoint: NodeEndpoint, usage: KeptMeter) -> None:
        config = clinic.config
        self._usage = usage
        self._silence = Silence(clinic.folder, time.monotonic())
        endpoint.meter = usage.meter
        self._clinic = clinic
        self._endpoint = endpoint
        self._runner = NodeRunner(
            endpoint, config.hub_host, config.udp_port, config.wss_port, config.tls_fingerprint, self._heard
        )
        self._submitted: set[bytes] = set()
        self._bulk: tuple[dict[bytes, int], ...] = tuple({} for _ in range(BULK_LAST + 1))
        """Names and sizes of photos' chunks that wait for room, by class."""
        self._in_window: dict[bytes, int] = {}
        self._feeding = asyncio.Lock()
        self._drained = asyncio.Event()
        self._showing = Often(
            self._show_and_keep, STATE_EVERY_S, logger, "the state of the link was not kept", first_s=STATE_EVERY_S
        )
        self.words = HubWords(self._write_word)
        self._trains: dict[int, asyncio.Future[TrainTold]] = {}
        self.downs = DownImport(clinic, self._take_hub_key, self.hear_revocations)
        self._ready = False
        """The records are open, and what came while they were locked is in them."""
        self.resealed = 0
        """Bundles that the hub wanted sealed anew, since the start."""
        self.on_signal: list[Callable[[bytes], Awaitable[None]]] = []
        self.on_link: list[Callable[[bool], Awaitable[None]]] = []
        self.on_unlock_told: Callable[[UnlockTold], Awaitable[None]] = _nobody_asks
        """Given by whoever asks the hub to open this node."""
        self.on_update: Callable[[bytes], Awaitable[None]] = _nobody_fetches
        """Given by whoever fetches updates by link; so is what is called at each meeting with the hub."""
        self.on_met: Callable[[], None] = lambda: None
        self.prune_media: Callable[[int, int], Awaitable[int]] = _nothing_to_prune
        """(before in ms, visits kept) → files removed; given by whoever keeps photos."""
        clinic.link_now = lambda: endpoint.link_state(time.monotonic())
        self._silent = config.training
        if not self._silent:
            clinic.on_sealed.append(self._submit)
        clinic.on_unlocked.append(self._unlocked)

    async def start(self) -> None:
        """Send what lies in the outbox from earlier, and whatever comes. A node for practice opens nothing."""
        if self._silent:
            return
        await self._note_usage()
        await self._take_told_key()
        await self._runner.start()
        for seq in await self._clinic.store.outbox(lambda outbox: outbox.down_seqs()):
            self._endpoint.down_stored(seq)
        for name, size_bytes in await self._clinic.store.outbox(lambda outbox: outbox.waiting()):
            if size_bytes >= BULK_BYTES:
                self._bulk[Cls.ORIGINAL][name] = size_bytes
            else:
                await self._load(name, LOCKED_CLASS)
        await self._feed()
        self._showing.start()

    async def stop(self, linger_s: float = 0.0) -> None:
        """Give what was just sealed up to ``linger_s`` to be acknowledged, then fall silent."""
        if self._submitted and self._online():
            self._drained.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._drained.wait(), linger_s)
        await self._showing.stop()
        await self._runner.stop()
        await self.words.stop()
        await asyncio.to_thread(self._usage.exact())
        await self._keep_silence(STOP_KEEP_S)

    def send_signal(self, blob: bytes) -> None:
        """A call signal to the doctor's page."""
        self._endpoint.send_signal(blob, time.monotonic())
        self._runner.wake()

    def ask_to_unlock(self, request: bytes) -> None:
        """Ask the hub to open this node, until :meth:`end_asking`; its word comes to ``on_unlock_told``."""
        self._endpoint.unlock.begin(request)
        self._runner.wake()

    def end_asking(self) -> None:
        """Ask no more."""
        self._endpoint.unlock.end()

    async def train(self, plan: Plan, most_s: float) -> TrainTold:
        """Send a train of packets to the hub; what became of it, within ``most_s``. One at a time."""
        told: asyncio.Future[TrainTold] = asyncio.get_running_loop().create_future()
        self._trains = {self._endpoint.train.begin(plan, time.monotonic(), most_s): told}
        self._runner.wake()
        return await told

    def limit_bulk(self, rate_bps: float | None) -> None:
        """A call is up and leaves so much to photos and the like; None: it is over."""
        self._endpoint.limit_bulk(rate_bps)
        self._runner.wake()

    def send_update(self, body: bytes, key: bytes) -> None:
        """A message about updates to the hub; lost with the session."""
        self._endpoint.send_update(body, key, time.monotonic())
        self._runner.wake()

    def update_waits(self) -> str:
        """Why an update may not come now, as far as the link knows: ``hub``, ``cap``, ``hours``, ``call``, ``busy``."""
        link = self._endpoint.link_state(time.monotonic())
        if not link.online:
            return "hub"
        if link.waits is not Wait.NO:
            return link.waits.value
        return "busy" if self._endpoint.others_wait else ""

    @property
    def meter(self) -> Meter:
        """What the bearers carried today."""
        return self._usage.meter

    def bearers(self) -> tuple[BearerState, ...]:
        """How each bearer stands, the one in use first."""
        return self._runner.bearers()

    def _online(self) -> bool:
        return self._endpoint.link_state(time.monotonic()).online

    async def _load(self, name: bytes, cls: int) -> bool:
        """Submit a bundle that lies in the outbox; False when it was acknowledged meanwhile."""
        found = await self._clinic.store.outbox(lambda outbox: outbox.find(name))
        if found is None or found[1] or not found[0].sealed:
            return False
        self._send(Outgoing(found[0], cls))
        return True

    async def _feed(self) -> None:
        """Let as many photos' chunks into memory as there is room for; the others wait on the disk."""
        async with self._feeding:
            while sum(self._in_window.values()) < WINDOW_BYTES:
                queue = next(((cls, names) for cls, names in enumerate(self._bulk) if names), None)
                if queue is None:
                    return
                cls, names = queue
                name, size_bytes = next(iter(names.items()))
                self._in_window[name] = size_bytes
                if not await self._load(name, cls):
                    self._in_window.pop(name, None)
                names.pop(name, None)

    def withdraw(self, name: bytes) -> None:
        """A bundle that is not to be sent any more."""
        self._endpoint.withdraw_bundle(name)
        self._settled(name)

    def _settled(self, name: bytes) -> None:
        """A bundle is done with: its place is free."""
        self._submitted.discard(name)
        self._clinic.sent.discard(name)
        for names in self._bulk:
            names.pop(name, None)
        if self._in_window.pop(name, None) is not None:
            self._clinic.later(self._feed())
        if not self._submitted:
            self._drained.set()

    def _submit(self, outgoing: Outgoing) -> None:
        size_bytes = len(outgoing.ref.sealed)
        if not BULK_FIRST <= outgoing.cls <= BULK_LAST:
            self._send(outgoing)
        elif sum(self._in_window.values()) < WINDOW_BYTES and not any(self._bulk):
            self._in_window[outgoing.ref.bundle_id] = size_bytes
            self._send(outgoing)
        else:
            self._bulk[outgoing.cls][outgoing.ref.bundle_id] = size_bytes

    def _send(self, outgoing: Outgoing) -> None:
        self._submitted.add(outgoing.ref.bundle_id)
        self._endpoint.submit_bundle(outgoing.ref, outgoing.cls, time.monotonic())
        self._runner.wake()

    async def _unlocked(self) -> None:
        """Log grade from now on; what came while locked is taken in."""
        assert self._clinic.secrets is not None
        self._endpoint.set_grade(seal.Grade.LOG, self._clinic.secrets.log, time.monotonic())
        self._runner.wake()
        if lost := await self._clinic.store.outbox(lambda outbox: outbox.reseals()):
            await self._clinic.store.write(lambda journal: journal.reseal(lost))
        await self._clinic.store.outbox(lambda outbox: outbox.reconsider_downs(OF_A_LATER_RELEASE))
        await self.downs.import_all()
        self._ready = True
        await self._tell_holdings(whole=False)

    async def hear_rows(self, acked: Sequence[BundleAcked], reseal: Sequence[bytes]) -> None:
        """The hub's verified words about many bundles, from a stick: each kind in one transaction."""
        for bundle_id in (*(word.bundle_id for word in acked), *reseal):
            self._endpoint.withdraw_bundle(bundle_id)  # the link does not carry the same again
        if acked:
            await self._acked(*acked)
        if reseal:
            await self._reseal(*reseal)

    async def hear_down(self, seq: int, blob: bytes) -> None:
        """A blob of the hub, verified, that came by courier."""
        await self._heard(DownArrived(seq, blob))

    async def hear_revocations(self, raw: bytes) -> bool:
        """Take in a list of what is revoked, whatever brought it; whether it was new. Raises RevocationRefused."""
        fresh = await self._clinic.take_revocations(raw)
        await self._take_told_key()
        return fresh

    async def _take_told_key(self) -> None:
        """The hub's key in the list that is kept here, if it is newer: also when a kill came between the two."""
        told = self._clinic.revoked.told
        key = told.content.hub_key if told is not None else None
        if key is not None:
            await self._take_hub_key(key)

    # -- what the endpoint says ---------------------------------------------------------------------

    async def _heard(self, event: NodeEvent) -> None:
        match event:
            case BundleAcked() | Reseal():
                await self.words.take(event)
            case DownArrived(seq, blob):
                await self._clinic.store.outbox(lambda outbox: outbox.add_down(seq, blob))
                self._endpoint.down_stored(seq)
                self._runner.wake()
                if not self._clinic.locked:
                    await self.downs.import_all()
            case SignalArrived(_, blob):
                for listener in self.on_signal:
                    await listener(blob)
            case LinkChanged(state):
                if not state.online:
                    self._clinic.sent.clear()
                    self._clinic.tablets.push(QueueChanged())
                say(logger, "link", online=state.online, bearer=state.bearer)
                await self._show()
                for told in self.on_link:
                    await told(state.online)
            case TimeOffset(hub_ms, _):
                if self._clinic.clock.correct(hub_ms):
                    await asyncio.to_thread(self._clinic.clock.keep)
            case HubKeyTold(key):
                await self._keep_hub_key(key)
            case UpdateHeard(_, body):
                await self.on_update(body)
            case HubMet():
                self.on_met()
                if self._ready:
                    await self._tell_holdings(whole=False)
            case StateArrived(_, body):
                await self._hear_state(body)
            case UnlockTold():
                await self.on_unlock_told(event)
            case TrainTold(number) if number in self._trains:
                asked = self._trains.pop(number)
                if not asked.done():  # whoever asked may have given up
                    asked.set_result(event)

    async def _write_word(self, word: Word) -> None:
        await (self._reseal(word.bundle_id) if isinstance(word, Reseal) else self._acked(word))

    async def _acked(self, *words: BundleAcked) -> None:
        for word in words:
            if word.quarantined:
                say(logger, "bundle_quarantined", logging.WARNING, bundle=word.bundle_id.hex())
        at_ms = self._clinic.clock.now().wall_ms
        visits = await self._clinic.store.acknowledged(words, at_ms)
        for word in words:
            self._settled(word.bundle_id)
        for visit_id in visits:
            self._clinic.tablets.push(VisitChanged(visit_id))
        self.downs.erase_soon()

    async def _reseal(self, *bundle_ids: bytes) -> None:
        """Durably noted first: a locked node seals the entries anew when it is unlocked."""
        for bundle_id in bundle_ids:
            self._settled(bundle_id)
        self.resealed += len(bundle_ids)
        await self._clinic.store.outbox(lambda outbox: outbox.want_reseal(bundle_ids))
        if self._clinic.locked:
            say(logger, "reseal_waits_for_unlock", bundles=len(bundle_ids))
            return
        await self._clinic.store.write(lambda journal: journal.reseal(bundle_ids))
        await self._clinic.seal_now()

    async def _keep_hub_key(self, key: hubkey.HubKey) -> None:
        """Durably, before anything else is done with it; also while locked."""
        config = self._clinic.config
        known = tuple(public for public in config.hub_kem if public != key.public)
        fresh = msgspec.structs.replace(config, hub_kem=(key.public, *known), hub_kem_made_ms=key.made_ms)
        await asyncio.to_thread(save_config, self._clinic.folder, fresh)
        self._clinic.config = fresh
        say(logger, "hub_key_kept", made_ms=key.made_ms)

    async def _take_hub_key(self, key: hubkey.HubKey) -> None:
        """A key that the hub's log or list tells, if it is newer."""
        if hubkey.holds(key, self._clinic.config.hub_sign, self._clinic.config.hub_kem_made_ms):
            await self._keep_hub_key(key)
            self._endpoint.adopt_hub_key(key, time.monotonic())
            self._runner.wake()

    # -- who holds what -------------------------------------------------------------------------------

    async def _tell_holdings(self, *, whole: bool) -> None:
        """Tell the hub what the records hold; it answers with what it lacks and sends what is lacking here."""
        refused = await self._clinic.store.outbox(lambda outbox: outbox.refused_downs())
        seqs = tuple(seq for seq, _ in refused)
        told = await self._clinic.store.write(lambda journal: journal.held.describe(seqs, whole=whole))
        self._send_state(told)

    def _send_state(self, message: holdings.Message) -> None:
        body = holdings.encode(message)
        cls = STATE_CLASS if len(body) <= LONG_STATE_BYTES else LONG_STATE_CLASS
        self._endpoint.send_state(body, cls, time.monotonic())
        self._runner.wake()

    async def _hear_state(self, body: bytes) -> None:
        try:
            message = holdings.decode(body)
        except holdings.HoldingsRefused:
            say(logger, "state_refused", logging.WARNING)
            return
        match message:
            case holdings.Notice(code):
                say(logger, "hub_notice", logging.WARNING, code=code)
                self._clinic.notices[code] = self._clinic.clock.now().wall_ms
            case holdings.AskAll() if self._ready:
                await self._tell_holdings(whole=True)
            case holdings.Wanted() if self._ready:
                await self._give_again(message)
            case _:
                pass

    async def _prune(self, *, media: bool) -> None:
        """Old content that is in a second copy may go, when it is certain how old it is; photos if all are there."""
        now = self._clinic.clock.now()
        if now.trusted:
            before_ms = now.wall_ms - RETENTION_DAYS * 86_400_000
            pruned = await self._clinic.store.write(lambda journal: journal.held.prune(before_ms, RETENTION_VISITS))
            files = await self.prune_media(before_ms, RETENTION_VISITS) if media else 0
            if pruned or files:
                say(logger, "pruned", visits=pruned, files=files)

    async def _give_again(self, wanted: holdings.Wanted) -> None:
        spans = wanted.spans
        gone = await self._clinic.store.write(lambda journal: journal.held.want(spans)) if spans else 0
        if wanted.copied:
            await self._clinic.store.write(lambda journal: journal.held.copied(wanted.question, media=wanted.media))
            await self._prune(media=wanted.media)
        if gone:
            say(logger, "entries_gone", logging.ERROR, entries=gone)
            self._send_state(holdings.Notice(holdings.GONE, gone))
        if spans:
            say(logger, "sealing_again", ranges=len(spans))
            await self._clinic.seal_now()

    # -- showing --------------------------------------------------------------------------------------

    async def _show(self) -> None:
        link = await self._clinic.link_state()
        self._clinic.tablets.push(LinkPush(**msgspec.structs.asdict(link)))

    async def _show_and_keep(self) -> None:
        if self._note_left():
            self._clinic.tablets.push(QueueChanged())
        await self._show()
        await self._note_usage()  # last: a disk that is full hides nothing from the tablets

    async def _note_usage(self) -> None:
        """Tell the meter the time, and keep it where it has moved on."""
        self._usage.meter.set_time(self._clinic.clock.now())
        if self._clinic.clock.is_due():
            await asyncio.to_thread(self._clinic.clock.keep)
        keep = self._usage.keeper()
        if keep is not None:
            await asyncio.to_thread(keep)
        await self._keep_silence(KEEP_EVERY_S)

    async def _keep_silence(self, every_s: float) -> None:
        now_s = time.monotonic()
        age_s = self._endpoint.link_state(now_s).last_ack_age_s
        keep = self._silence.keeper(None if math.isinf(age_s) else age_s, now_s, every_s)
        if keep is not None:
            await asyncio.to_thread(keep)

    @property
    def silent_before_s(self) -> float:
        """How long the hub had not been heard when this process began; counted while the node ran."""
        return self._silence.before_s

    def _note_left(self) -> bool:
        """Note which bundles have left to a hub that is there; whether there are more than before."""
        if not self._online():
            return False
        left = {ref for ref in self._submitted - self._clinic.sent if self._endpoint.has_left(ref)}
        self._clinic.sent |= left
        return bool(left)
