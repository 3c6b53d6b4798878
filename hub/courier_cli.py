"""``hub courier``: take bundles from a stick, leave receipts and what clinics are waiting for.

The stick is worked on here, in a process of its own; the hub is asked through its desk. A bundle is
deleted from the stick only when a signed receipt for its very bytes lies there, read back. A kill
between any two steps loses nothing and is repaired by doing it again.
"""

import argparse
import asyncio
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import msgspec

from edge.sync import courier
from edge.sync.bearers import usb_visit
from edge.sync.bearers.usb import DEFAULT_SECONDS, Limits, Stick
from edge.sync.bearers.usb_control import ControlClient
from edge.sync.bearers.usb_stick import Folder, ReceiptCopy, receipted, receipts_due
from edge.sync.bearers.usb_visit import Tell

from .config import Settings
from .courier import BATCH_BYTES, BATCH_FILES, Desk, DownName, HubDesk, RemoteDesk
from .courier_fleet import Fleet, Update, load_update
from .hub import Hub

DOWN_FILES_MAX = 10_000
"""Blobs that are put on one stick."""
TELL_EVERY = 200


class Carried(usb_visit.Carried):
    """What one visit of a stick did: the JSON line at its end."""

    hub_running: bool = False
    taken: int = 0
    """Bundles that are durable here (again)."""
    fresh: int = 0
    """Of these: with entries that were new."""
    quarantined: int = 0
    reseal: int = 0
    """Bundles whose hub key is gone: the node is asked to seal anew."""
    refused: dict[str, int] = msgspec.field(default_factory=dict)
    """Files without a receipt, by code."""
    confirmed: int = 0
    """Blobs of which a node says here for the first time that it holds them."""
    receipts: int = 0
    downs: int = 0
    revoked: int = 0
    """Lists of what is revoked that were written, one for each node of which there is something to say."""
    updates: int = 0
    """1: an update was written; 0: none was asked for, or it was there, whole."""


class Wanted(msgspec.Struct, frozen=True):
    """What the administrator asked for."""

    update: Update | None = None
    replaced: bool = False
    """Take what machines sealed that were replaced since."""


class Visit:
    """One visit of a stick to this hub."""

    def __init__(self, stick: Stick, desk: HubDesk, sign_public: bytes, tell: Tell, wanted: Wanted) -> None:
        self._stick = stick
        self._desk = desk
        self._public = sign_public
        self._mine = courier.hub_of(sign_public)
        self._tell = tell
        self._receipts: list[ReceiptCopy] = []
        self._taken: dict[str, tuple[bytes, courier.Row]] = {}
        self._confirmations: list[str] = []
        self._seen: set[bytes] = set()
        self._refused: Counter[str] = Counter()
        self.done = Carried()
        self._files = usb_visit.Files(stick, self.done)
        self._update = wanted.update
        self._replaced = wanted.replaced
        self._fleet = Fleet(self._files, desk, sign_public, tell)

    async def run(self) -> None:
        """All of it. Raises StickRefused, CourierFailed, ControlRefused; ``done`` says how far it came."""
        try:
            await self._files.carry(self._work)
        finally:
            self.done.refused = dict(self._refused)

    async def _work(self) -> None:
        done = self.done
        self._read_receipts()
        await self._take_ups()
        self._tell(f"Bundles that are safe in the hub now: {done.taken}, with something new: {done.fresh}.")
        self._stick.explain()
        await self._write_receipts()
        self._files.delete(Folder.UP, [*receipted(self._taken, self._receipts), *self._confirmations])
        self._fleet.look()
        done.revoked = await self._fleet.write_lists()
        await self._write_downs()
        if self._update is not None:
            done.updates = await self._fleet.write_update(self._update)

    def _parse(self, folder: Folder, name: str, raw: bytes) -> courier.CourierFile | None:
        """A whole file of this version that is meant for or from this hub, or None (counted)."""
        file = self._files.parse(folder, name, raw)
        if file is not None and not isinstance(file, courier.LaterFile) and file.hub != self._mine:
            self.done.others += 1
            return None
        return file

    def _read_receipts(self) -> None:
        known: set[bytes] = set()
        for name, raw in self._stick.scan(Folder.RECEIPTS):
            file = self._parse(Folder.RECEIPTS, name, raw)
            if file is None:
                continue
            try:
                if not isinstance(file, courier.ReceiptFile):
                    raise courier.CourierRefused("not a receipt", code="courier_not_ours")
                courier.check_receipt(file, self._public)
            except courier.CourierRefused:
                self.done.damaged += 1
                continue
            self._seen.add(file.node_id)
            if file.signature not in known:  # one receipt copied a thousand times is one receipt
                known.add(file.signature)
                self._receipts.append(ReceiptCopy(name, file.node_id, file.rows))

    async def _take_ups(self) -> None:
        batch: list[tuple[str, bytes]] = []
        size = 0
        for name, raw in self._stick.scan(Folder.UP):
            file = self._parse(Folder.UP, name, raw)
            if isinstance(file, courier.UpFile):
                batch.append((name, raw))
                size += len(raw)
                if len(batch) >= BATCH_FILES or size >= BATCH_BYTES:
                    await self._hand_over(batch)
                    batch, size = [], 0
            elif isinstance(file, courier.StoredFile):
                await self._take_stored(name, raw, file)
            elif file is not None:
                self.done.others += 1
        await self._hand_over(batch)

    async def _hand_over(self, batch: list[tuple[str, bytes]]) -> None:
        if not batch:
            return
        verdicts = await self._desk.take_ups([raw for _, raw in batch], replaced=self._replaced)
        for (name, _), verdict in zip(batch, verdicts, strict=True):
            if verdict.row is None:
                self._refused[verdict.code] += 1
                continue
            self._seen.add(verdict.node_id)
            self._taken[name] = (verdict.node_id, verdict.row)
            if verdict.row.durable == courier.RESEAL_LEVEL:
                self.done.reseal += 1
                continue
            self.done.taken += 1
            self.done.fresh += verdict.fresh
            self.done.quarantined += verdict.row.quarantined
            if self.done.taken % TELL_EVERY == 0:
                self._tell(f"Bundles taken so far: {self.done.taken}.")

    async def _take_stored(self, name: str, raw: bytes, file: courier.StoredFile) -> None:
        try:
            self.done.confirmed += await self._desk.take_stored(raw)
        except courier.CourierRefused as error:
            self._refused[error.refusal.code] += 1
            return
        self._seen.add(file.node_id)
        self._confirmations.append(name)

    async def _write_receipts(self) -> None:
        rows: dict[bytes, list[courier.Row]] = {}
        for node_id, row in self._taken.values():
            rows.setdefault(node_id, []).append(row)
        for node_id, due in receipts_due(rows, self._receipts):
            name = self._stick.write(Folder.RECEIPTS, await self._desk.receipt(node_id, due))
            self._receipts.append(ReceiptCopy(name, node_id, due))
            self.done.receipts += 1

    async def _write_downs(self) -> None:
        waiting = await self._desk.downs()
        there: dict[DownName, list[str]] = {}
        for name, raw in self._stick.scan(Folder.DOWN):
            file = self._parse(Folder.DOWN, name, raw)
            if not isinstance(file, courier.DownFile):
                continue
            try:
                courier.check_down(file, self._public)
            except courier.CourierRefused:
                self.done.damaged += 1
                continue
            there.setdefault(DownName(file.node_id, file.seq), []).append(name)
        wanted = set(waiting)
        settled = [name for key, names in there.items() for name in names[1 if key in wanted else 0 :]]
        self._files.delete(Folder.DOWN, settled)
        todo = sorted((key for key in waiting if key not in there), key=lambda key: key.node_id not in self._seen)
        for number, key in enumerate(todo[:DOWN_FILES_MAX], 1):
            raw = await self._desk.down(key)
            if raw:
                self._stick.write(Folder.DOWN, raw)
                self.done.downs += 1
            if number % TELL_EVERY == 0:
                self._tell(f"Pieces of news written so far: {number}.")
        if self.done.downs:
            self._tell(f"Pieces of news for clinics that are on the stick: {self.done.downs}.")


def run(options: argparse.Namespace, wall_ms: Callable[[], int]) -> None:
    """The command. Prints progress to stderr and the summary to stdout. Raises what stopped it."""
    settings = Settings(options.data, database=options.database)
    update = load_update(options.update, options.update_for) if options.update else None
    wanted = Wanted(update, options.take_replaced)
    usb_visit.tell_place(options.stick, _tell)
    stick = Stick(options.stick, time.monotonic, Limits(seconds=options.seconds))
    asyncio.run(_run(settings, stick, wanted, wall_ms))


async def _run(settings: Settings, stick: Stick, wanted: Wanted, wall_ms: Callable[[], int]) -> None:
    client = await ControlClient.open(settings.data) if settings.data.is_dir() else None
    if client is not None:
        _tell("The hub is running.")
        try:
            await _visit(stick, RemoteDesk(client), wanted, running=True)
        finally:
            await client.close()
        return
    hub = await asyncio.to_thread(Hub, settings, wall_ms, time.monotonic)
    _tell("The hub is not running; its store is opened.")
    try:
        await _visit(stick, Desk(hub), wanted, running=False)
    finally:
        await hub.stop()


async def _visit(stick: Stick, desk: HubDesk, wanted: Wanted, *, running: bool) -> None:
    public = await desk.who()
    with stick:
        visit = Visit(stick, desk, public, _tell, wanted)
        visit.done.hub_running = running
        try:
            await visit.run()
        finally:
            print(msgspec.json.encode(visit.done).decode(), flush=True)
    usb_visit.tell_end(visit.done, _tell)


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def add_parser(command: argparse.ArgumentParser) -> None:
    """The options of ``courier`` besides --data and --database."""
    command.add_argument("--stick", type=Path, required=True, metavar="PATH", help="where the stick is mounted")
    command.add_argument("--seconds", type=float, default=DEFAULT_SECONDS, help="give a slow stick up after this time")
    command.add_argument(
        "--take-replaced",
        action="store_true",
        help="also take what a machine sealed before another one replaced it: only from a stick that you trust",
    )
    command.add_argument(
        "--update", type=Path, metavar="FILE", help="put this update on the stick too; its release lies beside it"
    )
    command.add_argument(
        "--update-for", default="", metavar="ID", help="for this node only; for every node of this hub by default"
    )
