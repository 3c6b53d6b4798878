"""``courier``: carry bundles to a stick and the hub's answers from it. Tells a person what it does.

The stick is worked on here, in a process of its own; the node is asked through its desk. Order:
learn from receipts, store what came down, confirm it, delete what is done with, then write what is
still waiting. A kill between any two steps loses nothing and is repaired by doing it again.
"""

import argparse
import contextlib
import sys
import time
from pathlib import Path

import msgspec

from edge.model.errors import BadInput, Refused, UpkendraError
from edge.sync import courier
from edge.sync.bearers import usb_visit
from edge.sync.bearers.usb import DEFAULT_SECONDS, Limits, Stick
from edge.sync.bearers.usb_stick import Folder, ReceiptCopy, UpCopy, clean, to_write
from edge.sync.bearers.usb_visit import Tell
from edge.sync.seal import verifier_of

from .config import NodeConfig
from .courier import NodeDesk, desk_of
from .courier_updates import Updates
from .spool import Spool

TELL_EVERY = 100


class Carried(usb_visit.Carried):
    """What one visit of a stick did: the JSON line at its end."""

    node_running: bool = False
    receipts: int = 0
    acknowledged: int = 0
    """Bundles of which the hub says here for the first time that it has them."""
    quarantined: int = 0
    reseal: int = 0
    answers: int = 0
    """Pieces of downlink (prescriptions …) that were new."""
    written: int = 0
    already_there: int = 0
    revoked: int = 0
    """Lists of what is revoked that were new."""
    revoked_refused: str = ""
    """Why the last one that was refused was refused."""
    updates: list[str] = msgspec.field(default_factory=list)
    """``name version`` of each update that lies in ``updates/`` now."""
    updates_refused: dict[str, int] = msgspec.field(default_factory=dict)
    """Offers for this node that were not taken, by code."""
    second_copies: int = 0
    """With --hold: bundles that the hub has and whose copy stays on the stick in this node."""


class Visit:
    """One visit of a stick to this node."""

    def __init__(self, stick: Stick, desk: NodeDesk, config: NodeConfig, spool: Spool, hold: bool, tell: Tell) -> None:
        self._stick = stick
        self._desk = desk
        self._config = config
        self._hub = courier.hub_of(config.hub_sign)
        self._hold = hold
        self._updates = Updates(stick, desk, spool, tell)
        self._tell = tell
        self.done = Carried()
        self._files = usb_visit.Files(stick, self.done)

    async def run(self) -> None:
        """All of it. Raises StickRefused, CourierFailed, ControlRefused; ``done`` says how far it came."""
        await self._files.carry(self._work)

    async def _work(self) -> None:
        done = self.done
        await self._take_fleet()
        receipts = await self._learn()
        downs = await self._take_downs()
        waiting = await self._desk.waiting()
        ups, confirmations = self._look_up()
        self._clean(ups, receipts)
        await self._confirm(confirmations, downs)
        todo = to_write(waiting, ups)
        done.already_there = len(waiting) - len(todo)
        if todo:
            self._stick.explain()
            self._tell(f"Sealed bundles to write: {len(todo)}.")
        for number, bundle_id in enumerate(todo, 1):
            raw = await self._desk.file(bundle_id)
            if raw:
                self._stick.write(Folder.UP, raw)
                done.written += 1
            if number % TELL_EVERY == 0:
                self._tell(f"{number} of {len(todo)} written.")
                await self._desk.tell_stage("busy", number, len(todo))
        await self._updates.take(self.done.updates, self.done.updates_refused)

    async def _take_fleet(self) -> None:
        """Lists of what is revoked are taken in, offers of updates are noted: they come last, since they take long."""
        for name, raw in self._stick.scan(Folder.FLEET):
            file = self._files.parse(Folder.FLEET, name, raw)
            if isinstance(file, courier.RevokedFile) and file.hub == self._hub:
                for one in file.lists:
                    if one.startswith(self._config.node_id):
                        await self._take_revocations(one)
            elif isinstance(file, courier.UpdateFile) and file.hub == self._hub:
                self._updates.note(file)
            elif file is not None:
                self.done.others += 1

    async def _take_revocations(self, raw: bytes) -> None:
        try:
            fresh = await self._desk.take_revocations(raw)
        except courier.CourierRefused as error:
            self.done.revoked_refused = error.refusal.code
            return
        if fresh:
            self.done.revoked += 1
            self._tell("A new list of what is revoked was taken in; the technician's page shows it.")

    async def _learn(self) -> list[ReceiptCopy]:
        """Take in the receipts for this node. One that was copied many times is looked at once."""
        mine: dict[bytes, ReceiptCopy] = {}
        twins: list[str] = []
        for name, raw in self._stick.scan(Folder.RECEIPTS):
            file = self._files.parse(Folder.RECEIPTS, name, raw)
            if file is None:
                continue
            if not isinstance(file, courier.ReceiptFile) or not self._is_mine(file):
                self.done.others += 1
                continue
            if file.signature in mine:
                twins.append(name)
                continue
            try:
                learned = await self._desk.learn(raw)
            except courier.CourierRefused:
                self.done.damaged += 1
                continue
            mine[file.signature] = ReceiptCopy(name, file.node_id, file.rows)
            self.done.receipts += 1
            self.done.acknowledged += learned.acknowledged
            self.done.reseal += learned.reseal
            self.done.quarantined += learned.quarantined
        self._files.delete(Folder.RECEIPTS, twins)
        if self.done.acknowledged:
            self._tell(f"Bundles that the hub has, as it says here: {self.done.acknowledged}.")
        return list(mine.values())

    def _is_mine(self, file: courier.ReceiptFile | courier.DownFile | courier.StoredFile) -> bool:
        return (file.hub, file.node_id) == (self._hub, self._config.node_id)

    async def _take_downs(self) -> list[str]:
        mine: list[str] = []
        for name, raw in self._stick.scan(Folder.DOWN):
            file = self._files.parse(Folder.DOWN, name, raw)
            if file is None:
                continue
            if not isinstance(file, courier.DownFile) or not self._is_mine(file):
                self.done.others += 1
                continue
            try:
                self.done.answers += await self._desk.take_down(raw)
            except courier.CourierRefused:
                self.done.damaged += 1
                continue
            mine.append(name)
        if self.done.answers:
            self._tell(f"Pieces of news of the hub that were taken in: {self.done.answers}.")
        return mine

    def _look_up(self) -> tuple[list[UpCopy], dict[str, bytes]]:
        """Bundles on the stick, and our own confirmations: name → digest of the content."""
        ups: list[UpCopy] = []
        confirmations: dict[str, bytes] = {}
        device = verifier_of(self._config.device)
        for name, raw in self._stick.scan(Folder.UP):
            file = self._files.parse(Folder.UP, name, raw)
            if isinstance(file, courier.UpFile):
                mine = file.hub == self._hub and courier.is_of_node(file, self._config.node_id, self._config.psk)
                ups.append(UpCopy(name, file.bundle_id, file.digest, mine))
                self.done.others += not mine
            elif isinstance(file, courier.StoredFile) and self._is_mine(file):
                with contextlib.suppress(courier.CourierRefused):
                    courier.check_stored(file, device)
                    confirmations[name] = courier.digest_of(raw)
            elif file is not None:
                self.done.others += 1
        return ups, confirmations

    def _clean(self, ups: list[UpCopy], receipts: list[ReceiptCopy]) -> None:
        plan = clean(ups, receipts, hold=self._hold)
        self.done.second_copies = plan.second_copies
        self._files.delete(Folder.UP, plan.bundles)
        self._files.delete(Folder.RECEIPTS, plan.receipts)

    async def _confirm(self, confirmations: dict[str, bytes], downs: list[str]) -> None:
        raw = await self._desk.stored()
        digest = courier.digest_of(raw)
        if raw and digest not in confirmations.values():
            self._stick.write(Folder.UP, raw)
        self._files.delete(Folder.UP, [name for name, known in confirmations.items() if known != digest])
        self._files.delete(Folder.DOWN, downs)


async def run(options: argparse.Namespace) -> None:
    """The command. Prints progress to stderr and the summary to stdout. Raises what stopped it."""
    if options.pulled:
        await tell_pulled(options.data, options.result, options.stick)
        return
    if options.stick is None:
        raise BadInput("Say where the stick is mounted: --stick PATH.", field="stick")
    stick = Stick(options.stick, time.monotonic, Limits(seconds=options.seconds))

    def tell(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    async with desk_of(options.data, str(options.stick)) as (desk, config, running):
        if config.training:
            raise Refused("A node for practice carries nothing to a stick.", code="training")
        tell("The node is running." if running else "The node is not running; what is new here shows after its start.")
        usb_visit.tell_place(options.stick, tell)
        await desk.tell_stage("busy")
        try:
            with stick:
                visit = Visit(stick, desk, config, Spool(options.data, config), options.hold, tell)
                visit.done.node_running = running
                try:
                    await visit.run()
                finally:
                    print(msgspec.json.encode(visit.done).decode(), flush=True)
        except UpkendraError as error:
            with contextlib.suppress(UpkendraError):  # it may be the node that is gone
                await desk.tell_stage("failed", code=error.refusal.code)
            raise
        await desk.tell_stage("done" if visit.done.complete else "failed", code=visit.done.code)
    usb_visit.tell_end(visit.done, tell, hold=options.hold)


async def tell_pulled(folder: Path, result: str, stick: Path | None) -> None:
    """The stick was unmounted: tell whoever is in the room that it may be pulled out. Nothing, where no node runs."""
    async with desk_of(folder, "" if stick is None else str(stick)) as (desk, _, running):
        if running:
            failed = result not in ("", "success")
            await desk.tell_stage("failed" if failed else "out", code="stick_refused" if failed else "")


def add_parser(command: argparse.ArgumentParser) -> None:
    """The options of ``courier`` besides --data."""
    command.add_argument("--stick", type=Path, metavar="PATH", help="where the stick is mounted")
    command.add_argument("--pulled", action="store_true", help="instead: tell the room that the stick is unmounted")
    command.add_argument("--result", default="", metavar="WORD", help="with --pulled: how systemd says that it ended")
    command.add_argument("--hold", action="store_true", help="the stick stays here as a second copy")
    command.add_argument("--seconds", type=float, default=DEFAULT_SECONDS, help="give a slow stick up after this time")
