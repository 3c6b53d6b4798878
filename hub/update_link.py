"""Updates by link, at the hub: who asks is told what he may have, and gets it in pieces from the disk, in turn.

Nodes ask for everything (:mod:`edge.sync.updating`); what is remembered here can be lost. All nodes together get so
many bits a second and no more, however many ask, so that visits never wait for an update; nobody's copy lies in memory,
only pieces that have left for a node and not arrived.
"""

import asyncio
import contextlib
import logging
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Final

from msgspec import Struct
from sqlalchemy import Connection, func, select
from sqlalchemy.exc import DataError

from edge.sync import courier, seal, updating
from edge.web.logs import say

from . import update_stock, waves
from .config import Settings
from .directory import NodeDirectory
from .link import Link
from .store.dialect import Row, put_row
from .store.engine import Store
from .store.schema_office import update_told

logger = logging.getLogger("hub.updates")
PLANS_KEPT_S: Final = 3.0
"""So soon a pause or a new wave counts."""
IN_HAND_MAX_BYTES: Final = 16 << 20
"""Pieces on their way to nodes that are heard, all together."""
WAITING_MAX_BYTES: Final = 2 * updating.WINDOW * updating.PIECE_BYTES
"""Pieces on their way to one node, heard or not: those of the update before may wait still."""
ASKS_PER_NODE: Final = updating.WINDOW + 2
ASKING_MAX: Final = 20_000
"""Nodes whose questions wait; those that asked first are forgotten first, and ask again."""
TOLD_WAITING_MAX: Final = 20_000
AGAIN_S: Final = 0.5
IDLE_S: Final = 30.0
"""Who has asked for no piece for so long fetches none at present: a centre in a call takes nothing until it is over."""
TURNED_AWAY_MAX: Final = 20_000
_REST_S: Final = 0.001


class _Hand(Struct):
    """Pieces on their way to one node."""

    size_bytes: int
    wanted_s: float
    """When it asked for one last."""


class UpdateLink:
    """What one hub process does about updates on the link."""

    def __init__(
        self,
        link: Link,
        store: Store,
        directory: NodeDirectory,
        keys: seal.HubKeys,
        settings: Settings,
        wall_ms: Callable[[], int],
        monotonic_s: Callable[[], float],
    ) -> None:
        self._link, self._store, self._directory, self._keys = link, store, directory, keys
        self._folder, self._rate_bps = settings.updates_folder, settings.update_bps
        self._wall_ms, self._monotonic_s = wall_ms, monotonic_s
        self._asks: OrderedDict[bytes, deque[updating.Message]] = OrderedDict()
        """Questions that wait for their turn, by node; the node at the front is next."""
        self._told: OrderedDict[bytes, updating.Told] = OrderedDict()
        self._in_hand: dict[bytes, _Hand] = {}
        self._turned_away: OrderedDict[bytes, str] = OrderedDict()
        """Nodes that may not have what they asked for, and its SHA-256: they hear when they may again."""
        self._looked: list[waves.Due] = []
        """What was offered when they were last looked at."""
        self._plans: tuple[float, list[waves.Due]] = (float("-inf"), [])
        self._stocked: dict[str, update_stock.Stocked | None] = {}
        self._free_s = 0.0
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to answer; without a rate nobody is answered."""
        if self._rate_bps > 0:
            self._link.on_update = self.hear
            self._task = asyncio.create_task(self._work(), name="hub-updates")

    async def stop(self) -> None:
        """Answer nobody any more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def hear(self, node_id: bytes, body: bytes) -> None:
        """A node says something about updates; what it asks waits for its turn."""
        try:
            message = updating.decode(body)
        except updating.UpdatingRefused as error:
            say(logger, error.refusal.code, logging.WARNING, node_id=node_id.hex())
            return
        if isinstance(message, updating.Told):
            self._told[node_id] = message
            while len(self._told) > TOLD_WAITING_MAX:
                self._told.popitem(last=False)
        elif isinstance(message, updating.Ask | updating.WantOffer | updating.Want):
            waiting = self._asks.setdefault(node_id, deque(maxlen=ASKS_PER_NODE))
            if message not in waiting:
                waiting.append(message)
            while len(self._asks) > ASKING_MAX:
                self._asks.popitem(last=False)
        else:
            return  # of a later release, or what only a hub says
        self._wake.set()

    async def _work(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), PLANS_KEPT_S if self._turned_away else None)
            try:
                await self._write_told()
                await self._turn()
                await self._tell_turned_away()
            except Exception:
                logger.exception("answering about updates failed")
                await asyncio.sleep(AGAIN_S)

    async def _turn(self) -> None:
        """One question of the node whose turn it is; its next one waits until all others had theirs."""
        if not self._asks:
            if not self._told:
                self._wake.clear()
            return
        node_id, waiting = next(iter(self._asks.items()))
        message = waiting.popleft()
        self._asks.move_to_end(node_id)
        if not waiting:
            del self._asks[node_id]
        due = await self._due(node_id)
        now_s = self._monotonic_s()
        if isinstance(message, updating.Ask):
            await self._offer(node_id, message.target, due)
            return
        assert isinstance(message, updating.WantOffer | updating.Want)
        sha256 = message.sha256.hex()
        stocked = await self._stock(sha256) if any(one.sha256 == sha256 for one in due) else None
        if stocked is None:
            self._say(node_id, updating.Gone(message.sha256), b"gone" + message.sha256, now_s)
            self._turned_away[node_id] = sha256
            while len(self._turned_away) > TURNED_AWAY_MAX:
                self._turned_away.popitem(last=False)
        elif isinstance(message, updating.WantOffer):
            made_ms = self._wall_ms()
            signed = stocked.release, stocked.release_signature
            file = courier.update_file(self._keys.sign, node_id, made_ms, made_ms, *signed)
            self._say(node_id, updating.Offer(file), b"offer" + message.sha256, now_s)
        else:
            await self._send_piece(node_id, stocked, message)

    async def _offer(self, node_id: bytes, target: str, due: list[waves.Due]) -> None:
        mine = [one for one in due if one.target == target and await self._stock(one.sha256) is not None]
        heads = tuple(updating.Head(bytes.fromhex(one.sha256), one.name, one.version, one.size_bytes) for one in mine)
        self._say(node_id, updating.Offers(heads[: updating.HEADS_MAX]), b"offers", self._monotonic_s())

    async def _tell_turned_away(self) -> None:
        """Whoever may have again what a pause or another plan took hears it: by itself a node asks once an hour."""
        if not self._turned_away:
            return
        await self._read_plans()
        if self._plans[1] is self._looked:
            return
        self._looked = self._plans[1]
        for node_id, sha256 in list(self._turned_away.items()):
            due = await self._due(node_id)
            again = next((one for one in due if one.sha256 == sha256), None)
            if again is not None and await self._stock(sha256) is not None:
                del self._turned_away[node_id]
                await self._offer(node_id, again.target, due)

    async def _read_plans(self) -> None:
        now_s = self._monotonic_s()
        if now_s - self._plans[0] >= PLANS_KEPT_S:
            plans = await self._store.read(waves.due)
            self._plans = now_s, self._plans[1] if plans == self._plans[1] else plans
            self._stocked.clear()

    async def _due(self, node_id: bytes) -> list[waves.Due]:
        """Updates that a node may have now; none for a node that is revoked or not known."""
        await self._read_plans()
        record = self._directory.by_id(node_id)
        if record is None or record.revoked:
            return []
        district, now_ms = self._directory.site(node_id.hex()).district, self._wall_ms()
        return [one for one in self._plans[1] if one.may_have(node_id.hex(), district, now_ms)]

    async def _stock(self, sha256: str) -> update_stock.Stocked | None:
        if sha256 not in self._stocked:
            self._stocked[sha256] = await asyncio.to_thread(update_stock.find, self._folder, sha256)
        return self._stocked[sha256]

    async def _send_piece(self, node_id: bytes, stocked: update_stock.Stocked, want: updating.Want) -> None:
        if self._link.endpoint.updates_pending(node_id) >= WAITING_MAX_BYTES:
            return  # it asks again
        await self._room()
        try:
            data = await asyncio.to_thread(stocked.read, want.offset, want.length)
        except OSError:
            say(logger, "update_unreadable", logging.ERROR, update=want.sha256.hex()[:16])
            return
        if not data:
            return
        key = want.sha256[:8] + want.offset.to_bytes(8, "big")
        now_s = self._monotonic_s()
        if self._say(node_id, updating.Piece(want.sha256[:8], want.offset, data), key, now_s):
            before = self._in_hand[node_id].size_bytes if node_id in self._in_hand else 0
            self._in_hand[node_id] = _Hand(before + len(data), now_s)

    async def _room(self) -> None:
        """Wait until the rate of all, and the memory for all, have room for a piece.

        What waits for a node that went dark counts no more: its session may stay for weeks. Who is there and fetches
        nothing, for a call, gives way: its pieces are withdrawn, and it asks for them again.
        """
        while self._held_bytes() >= IN_HAND_MAX_BYTES:
            endpoint, now_s = self._link.endpoint, self._monotonic_s()
            for node_id, hand in list(self._in_hand.items()):
                heard = endpoint.presence(node_id, now_s).online
                if heard and now_s - hand.wanted_s >= IDLE_S:
                    endpoint.withdraw_updates(node_id)
                hand.size_bytes = endpoint.updates_pending(node_id) if heard else 0
                if not hand.size_bytes:
                    del self._in_hand[node_id]
            if self._held_bytes() >= IN_HAND_MAX_BYTES:
                await asyncio.sleep(AGAIN_S)
        now_s = self._monotonic_s()
        self._free_s = max(self._free_s, now_s) + 8 * updating.PIECE_BYTES / self._rate_bps
        if self._free_s - now_s > _REST_S:
            await asyncio.sleep(self._free_s - now_s)

    def _held_bytes(self) -> int:
        return sum(hand.size_bytes for hand in self._in_hand.values())

    def _say(self, node_id: bytes, message: updating.Message, key: bytes, now_s: float) -> bool:
        sent = self._link.endpoint.send_update(node_id, updating.encode(message), key, now_s)
        self._link.wake()
        return sent

    async def _write_told(self) -> None:
        """What nodes said of themselves, many in one transaction; what could not be written is tried again."""
        if not self._told:
            return
        told, self._told = self._told, OrderedDict()
        now_ms = self._wall_ms()
        try:
            await self._store.write(lambda connection: note(connection, told, now_ms))
        except DataError:
            raise  # no database will take it another time
        except Exception:
            self._told = OrderedDict({**told, **self._told})
            raise


def note(connection: Connection, told: dict[bytes, updating.Told], now_ms: int) -> None:
    """Keep the last word of each node."""
    for node_id, one in sorted(told.items()):  # in one order, whichever process of the hub writes
        row: Row = {
            "node_id": node_id.hex(),
            "name": one.name,
            "version": one.version,
            "state": one.state,
            "done_bytes": one.done_bytes,
            "size_bytes": one.size_bytes,
            "code": one.code,
            "why": one.why,
            "told_ms": now_ms,
        }
        put_row(connection, update_told, row)


def progress(connection: Connection) -> dict[tuple[str, str], dict[str, int]]:
    """For each (name, version) how many nodes are in which state, by their own word."""
    columns = update_told.c.name, update_told.c.version, update_told.c.state
    found: dict[tuple[str, str], dict[str, int]] = {}
    for name, version, state, count in connection.execute(select(*columns, func.count()).group_by(*columns)):
        found.setdefault((name, version), {})[state] = count
    return found
