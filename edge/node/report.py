"""How a node stands, in figures, for its technician: page, command line and the entry for whoever looks after many.

Gathers what link, outbox, records, courier, modem and board say of themselves, measures the disk, and runs the health
checks. Holds nothing of a patient. Works while the node is locked, with less to say.
"""

import asyncio
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
from msgspec import Struct

from edge.model import events as ev
from edge.sync.bearers.base import BearerState
from edge.sync.bearers.sms import SmsHealth
from edge.sync.holdings import NODE_TWICE
from edge.sync.meter import Meter
from edge.web.logs import RECENT, LogLine

from . import questions
from .calls import CallDesk
from .checks.base import Facts, Finding
from .checks.run import look
from .clinic import VERSION, Clinic
from .clock import Clock
from .config import RECORDS_FILE, NodeConfig
from .courier import Desk, StickCounts, StickReceipt
from .devices.measure import DeviceNow
from .devices.panel_desk import PanelReport
from .devices.panel_port import PanelHealth, PanelState
from .link import HubLink
from .live import Link
from .media_rows import Unfinished
from .outbox import OutboxDb
from .preflight import camera_is_there
from .printing.desk import PrinterDesk
from .revoked import Revoked, Standing
from .spool import Spool, Waiting
from .update_link import UpdateFetcher, UpdateNow
from .usage import BEARERS, KeptMeter

UNKNOWN_CLASS = -1


class ClassLine(Struct, frozen=True):
    """What of one priority class the hub has not acknowledged."""

    cls: int
    """0 urgent, 1 clinical, 2 previews and voice notes, 3 originals, 4 clips, 5 audit and telemetry; -1 while the
    node is locked, when the classes cannot be told apart."""
    items: int
    size_bytes: int
    oldest_s: int | None
    """Age of the oldest entry in it; null while the node is locked, and where there is none (a head of the log)."""


class BearerUse(Struct, frozen=True):
    """What a bearer carried since midnight, IP headers included."""

    name: str
    up_bytes: int
    down_bytes: int
    cap_bytes: int | None
    """After so many, both ways together, photos and the like wait until midnight; null: no cap."""


class PhotoBacklog(Struct, frozen=True):
    """Photos, previews, notes and clips that the hub does not hold whole yet."""

    items: int = 0
    size_bytes: int = 0
    """Of the whole files."""
    left_bytes: int = 0
    """Of their chunks that the hub has not acknowledged."""
    oldest_s: int | None = None
    """Since the upload of the oldest began; null when there is none."""


class RefusedDown(Struct, frozen=True):
    """Something of the hub that was put aside here."""

    seq: int
    reason: str
    """A code of docs/errors.md."""


class LaterKind(Struct, frozen=True):
    """Entries of a later release: kept, not read."""

    kind: int
    version: int
    entries: int


class Notice(Struct, frozen=True):
    """Something that the hub wants a person to know."""

    code: str
    at_ms: int


class Report(Struct, frozen=True):
    """Everything. Counters without another word count since the start of the process."""

    node_id: str
    site_code: str
    site_name: str
    version: str
    running: bool
    locked: bool
    up_s: int
    time_ms: int
    time_trusted: bool
    findings: tuple[Finding, ...]
    link: Link
    bearers: tuple[BearerState, ...] = ()
    backlog: tuple[ClassLine, ...] = ()
    usage: tuple[BearerUse, ...] = ()
    bulk_hours: str = ""
    """When photos and the like may leave, HH:MM-HH:MM; empty: always."""
    photos: PhotoBacklog | None = None
    """Null while the node is locked."""
    unsealed: int | None = None
    """Entries that no bundle covers yet; null while the node is locked."""
    quarantined: int | None = None
    """Bundles that the hub could not read and keeps aside; null while the node is locked."""
    refused: tuple[RefusedDown, ...] = ()
    reseals: int = 0
    reseals_waiting: int = 0
    later: tuple[LaterKind, ...] = ()
    receipts: tuple[StickReceipt, ...] = ()
    sticks: StickCounts = StickCounts()
    updates: tuple[Waiting, ...] = ()
    """Updates that lie in ``updates/`` for the installer."""
    update: UpdateNow | None = None
    """The update that comes, waits, or was the last; null where nothing installs updates."""
    revoked: Standing | None = None
    """What the hub's newest list of revocations says; null when none came."""
    sms: SmsHealth | None = None
    panel: PanelReport = PanelReport(False)
    devices: tuple[DeviceNow, ...] = ()
    disk_free_mb: int = 0
    records_mb: int = 0
    notices: tuple[Notice, ...] = ()
    log: tuple[LogLine, ...] = ()


class Parts(Struct, frozen=True):
    """Whom a running node's report is gathered from."""

    clinic: Clinic
    link: HubLink
    calls: CallDesk
    sticks: Desk
    panel: Callable[[], PanelReport]
    sms: Callable[[], SmsHealth | None]
    camera: str
    devices: Callable[[], tuple[DeviceNow, ...]]
    printer: PrinterDesk
    fetcher: UpdateFetcher


def records_bytes(folder: Path) -> int:
    """Size of the records with their journal. Blocking."""
    return sum(path.stat().st_size for path in folder.glob(RECORDS_FILE + "*"))


def backlog_lines(
    waiting: list[tuple[int, bytes, int | None]], sizes: dict[bytes, int], now_ms: int
) -> tuple[ClassLine, ...]:
    """Bundles (class, id, time of the first entry) with their sizes, summed up by class."""
    by_class: dict[int, list[tuple[int, int | None]]] = {}
    for cls, ref, at_ms in waiting:
        by_class.setdefault(cls, []).append((sizes.get(ref, 0), at_ms))
    lines = []
    for cls, rows in sorted(by_class.items()):
        known_ms = [at_ms for _, at_ms in rows if at_ms is not None]
        oldest_s = max(0, now_ms - min(known_ms)) // 1000 if known_ms else None
        lines.append(ClassLine(cls, len(rows), sum(size for size, _ in rows), oldest_s))
    return tuple(lines)


def bearer_use(meter: Meter) -> tuple[BearerUse, ...]:
    """Every bearer that carried something today or has a cap."""
    used = meter.used()
    rows = (
        BearerUse(name, used.up_bytes.get(name, 0), used.down_bytes.get(name, 0), meter.cap_bytes(name))
        for name in BEARERS
    )
    return tuple(row for row in rows if row.up_bytes or row.down_bytes or row.cap_bytes is not None)


def photo_backlog(unfinished: list[Unfinished], now_ms: int) -> PhotoBacklog:
    """The sum of what has not come over whole."""
    if not unfinished:
        return PhotoBacklog()
    return PhotoBacklog(
        len(unfinished),
        sum(one.size_bytes for one in unfinished),
        sum(one.left_bytes for one in unfinished),
        max(0, now_ms - min(one.begun_ms for one in unfinished)) // 1000,
    )


class Reporter:
    """Reports of one running node."""

    def __init__(self, folder: Path, parts: Parts) -> None:
        self._folder = folder
        self._parts = parts
        self._started_s = time.monotonic()

    async def report(self) -> Report:
        """The present state."""
        parts, clinic = self._parts, self._parts.clinic
        now, link = clinic.clock.now(), await clinic.link_state()
        refused, reseals, sizes = await clinic.store.outbox(_of_outbox)
        backlog: tuple[ClassLine, ...] = ()
        unsealed: int | None = None
        quarantined: int | None = None
        later: tuple[LaterKind, ...] = ()
        photos: PhotoBacklog | None = None
        if clinic.locked:
            if sizes:
                backlog = (ClassLine(UNKNOWN_CLASS, len(sizes), sum(sizes.values()), None),)
        else:
            waiting, unsealed, kinds, quarantined = await clinic.store.read(
                lambda views: (views.unacknowledged(), views.unsealed(), views.later_kinds(), views.quarantined())
            )
            photos = photo_backlog(await clinic.store.read(lambda views: views.media.unfinished()), now.wall_ms)
            backlog = backlog_lines(waiting, sizes, now.wall_ms)
            later = tuple(LaterKind(kind, version, n) for (kind, version), n in sorted(kinds.items()))
        panel, sms, devices = parts.panel(), parts.sms(), parts.devices()
        up_s = time.monotonic() - self._started_s
        ages_s = [line.oldest_s for line in backlog if line.oldest_s is not None]
        facts = msgspec.structs.replace(
            await asyncio.to_thread(measured, self._folder, clinic.clock, parts.camera),
            running=True,
            last_ack_age_s=link.last_ack_age_s,
            up_s=up_s,
            silent_before_s=parts.link.silent_before_s,
            outbox_items=link.backlog_items,
            outbox_oldest_s=max(ages_s, default=None),
            camera_failures=parts.calls.camera_failures,
            devices=tuple(one.model for one in devices if one.configured),
            devices_absent=tuple(one.model for one in devices if one.configured and not one.present),
            printer_fitted=parts.printer.fitted,
            printer_trouble=parts.printer.trouble,
            panel_fitted=panel.fitted,
            panel_faults=panel.faults,
            modem_fitted=sms is not None,
            modem_up=sms is not None and sms.up,
            modem_trouble=sms.trouble if sms is not None else "",
            sms_used=sms.last_day if sms is not None else 0,
            sms_cap=sms.per_day if sms is not None else 0,
            twice_ms=clinic.notices.get(NODE_TWICE),
            revoked=clinic.revoked.why_out,
        )
        return msgspec.structs.replace(
            _outline(clinic.config, facts, link),
            locked=clinic.locked,
            bearers=parts.link.bearers(),
            backlog=backlog,
            usage=bearer_use(parts.link.meter),
            bulk_hours=clinic.config.bulk_hours,
            photos=photos,
            unsealed=unsealed,
            quarantined=quarantined,
            refused=tuple(RefusedDown(seq, reason) for seq, reason in refused),
            reseals=parts.link.resealed,
            reseals_waiting=reseals,
            later=later,
            receipts=tuple(reversed(parts.sticks.receipts)),
            sticks=parts.sticks.counts,
            updates=await asyncio.to_thread(Spool(self._folder, clinic.config).waiting),
            update=await parts.fetcher.now(),
            revoked=clinic.revoked.standing,
            sms=sms,
            panel=panel,
            devices=devices,
            notices=tuple(Notice(code, at_ms) for code, at_ms in sorted(clinic.notices.items())),
            log=RECENT.lines(),
        )

    async def as_json(self) -> bytes:
        """The same as JSON, for the command line."""
        return msgspec.json.encode(await self.report())


def _of_outbox(outbox: OutboxDb) -> tuple[list[tuple[int, str]], int, dict[bytes, int]]:
    return outbox.refused_downs(), len(outbox.reseals()), outbox.sizes()


def measured(folder: Path, clock: Clock, camera: str) -> Facts:
    """What can be measured on the disk, whether the node runs or not. Blocking."""
    disk, now = shutil.disk_usage(folder), clock.now()
    return Facts(
        running=False,
        disk_free_bytes=disk.free,
        disk_bytes=disk.total,
        clock_ms=now.wall_ms,
        clock_trusted=now.trusted,
        records_bytes=records_bytes(folder),
        camera=camera,
        camera_there=camera_is_there(camera),
        questions_refused=questions.read(folder)[1],
        swap=swap_places(Path("/proc/swaps")),
    )


def swap_places(file: Path) -> tuple[str, ...]:
    """Swap that outlives a power cut, as proc(5) lists it; compressed memory (zram) does not. Blocking."""
    try:
        rows = file.read_text().splitlines()[1:]
    except OSError:
        return ()
    return tuple(name for row in rows if (name := row.split()[0]) and not name.startswith("/dev/zram"))


def at_rest(folder: Path, config: NodeConfig) -> Report:
    """The report of a node that does not run. Blocking."""
    outbox = OutboxDb(folder)
    try:
        refused, reseals, sizes = _of_outbox(outbox)
    finally:
        outbox.close()
    facts = measured(folder, Clock(folder, lambda: time.time_ns() // 1_000_000), "test")
    revoked = Revoked(folder, config)
    facts = msgspec.structs.replace(facts, outbox_items=len(sizes), revoked=revoked.why_out)
    link = Link(False, None, "", 0, 0, len(sizes), sum(sizes.values()))
    return msgspec.structs.replace(
        _outline(config, facts, link),
        backlog=(ClassLine(UNKNOWN_CLASS, len(sizes), sum(sizes.values()), None),) if sizes else (),
        usage=bearer_use(KeptMeter(folder, config).meter),
        bulk_hours=config.bulk_hours,
        refused=tuple(RefusedDown(seq, reason) for seq, reason in refused),
        reseals_waiting=reseals,
        updates=Spool(folder, config).waiting(),
        revoked=revoked.standing,
    )


def _outline(config: NodeConfig, facts: Facts, link: Link) -> Report:
    return Report(
        node_id=config.node_id.hex(),
        site_code=config.site.code,
        site_name=config.site.name,
        version=VERSION,
        running=facts.running,
        locked=True,
        up_s=int(facts.up_s),
        time_ms=facts.clock_ms,
        time_trusted=facts.clock_trusted,
        findings=look(facts),
        link=link,
        disk_free_mb=facts.disk_free_bytes // 1_000_000,
        records_mb=facts.records_bytes // 1_000_000,
    )


def told_of(report: Report) -> ev.NodeTold:
    """What of a report goes to the hub."""
    return ev.NodeTold(
        f"upkendra-node {report.version}",
        report.link.bearer,
        report.link.rtt_ms,
        report.link.rate_bps,
        tuple(ev.ClassBacklog(one.cls, one.items, one.size_bytes, one.oldest_s or 0) for one in report.backlog),
        tuple(f"{one.check}:{one.grade.value}" for one in report.findings if one.do_en),
        report.disk_free_mb,
        report.records_mb,
        report.time_trusted,
        _power_of(report.panel.health),
        report.panel.health.battery_mv if report.panel.health is not None else 0,
        "" if report.sms is None else "up" if report.sms.up else report.sms.trouble or "down",
        ", ".join(f"{one.name} {one.version}" for one in report.updates)[:200],
    )


def _power_of(health: PanelHealth | None) -> str:
    if health is None or health.state is not PanelState.RUNNING or not health.uptime_s:
        return ""
    return "mains" if health.mains else "low" if health.battery_low else "battery"
