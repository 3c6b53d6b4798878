"""Updates by link, at the hub: who asks is told what he may have, and gets it in pieces from the disk, in turn.

Nodes ask for everything (:mod:`edge.sync.updating`); what is remembered here can be lost. All nodes together get so
many bits a second and no more, however many ask, so that visits never wait for an update; nobody's copy lies in memory,
only pieces that have left for a node and not arrived.
"""

import asyncio
import logging
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Final

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
_REST_S: Final = 0.001


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
        self._in_hand: dict[bytes, int] = {}
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
            await self._wake.wait()
            try:
                await self._write_told()
                await self._turn()
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
            mine = [one for one in due if one.target == message.target and await self._stock(one.sha256) is not None]
            heads = tuple(
                updating.Head(bytes.fromhex(one.sha256), one.name, one.version, one.size_bytes) for one in mine
            )[: updating.HEADS_MAX]
            self._say(node_id, updating.Offers(heads), b"offers", now_s)
            return
        assert isinstance(message, updating.WantOffer | updating.Want)
        sha256 = message.sha256.hex()
        stocked = await self._stock(sha256) if any(one.sha256 == sha256 for one in due) else None
        if stocked is None:
            self._say(node_id, updating.Gone(message.sha256), b"gone" + message.sha256, now_s)
        elif isinstance(message, updating.WantOffer):
            made_ms = self._wall_ms()
            signed = stocked.release, stocked.release_signature
            file = courier.update_file(self._keys.sign, node_id, made_ms, made_ms, *signed)
            self._say(node_id, updating.Offer(file), b"offer" + message.sha256, now_s)
        else:
            await self._send_piece(node_id, stocked, message)

    async def _due(self, node_id: bytes) -> list[waves.Due]:
        """Updates that a node may have now; none for a node that is revoked or not known."""
        now_s = self._monotonic_s()
        if now_s - self._plans[0] >= PLANS_KEPT_S:
            self._plans = now_s, await self._store.read(waves.due)
            self._stocked.clear()
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
        if self._say(node_id, updating.Piece(want.sha256[:8], want.offset, data), key, self._monotonic_s()):
            self._in_hand[node_id] = self._in_hand.get(node_id, 0) + len(data)

    async def _room(self) -> None:
        """Wait until the rate of all, and the memory for all, have room for a piece.

        What waits for a node that went dark counts no more: its session may stay for weeks.
        """
        while sum(self._in_hand.values()) >= IN_HAND_MAX_BYTES:
            endpoint, now_s = self._link.endpoint, self._monotonic_s()
            heard = [node_id for node_id in self._in_hand if endpoint.presence(node_id, now_s).online]
            pending = {node_id: endpoint.updates_pending(node_id) for node_id in heard}
            self._in_hand = {node_id: size for node_id, size in pending.items() if size}
            if sum(self._in_hand.values()) >= IN_HAND_MAX_BYTES:
                await asyncio.sleep(AGAIN_S)
        now_s = self._monotonic_s()
        self._free_s = max(self._free_s, now_s) + 8 * updating.PIECE_BYTES / self._rate_bps
        if self._free_s - now_s > _REST_S:
            await asyncio.sleep(self._free_s - now_s)

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
