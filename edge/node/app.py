"""Composition root: the only file of the node that knows everyone."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path

import msgspec
from aiohttp import web

from edge.slips import render
from edge.sync import locked, seal
from edge.sync.bearers.sms import SmsHealth
from edge.web import static
from edge.web.server import new_app
from edge.web.sessions import Session

from . import courier
from .ballast import Ballast
from .calling import Calling
from .calls import CallDesk
from .clinic import Clinic
from .clips import ClipDesk
from .config import BALLAST_FILE, BALLAST_OF_COMMANDS_FILE, NodeConfig, load_config
from .devices.measure import Measurements
from .devices.panel_desk import PanelDesk, PanelReport
from .devices.registry import Configured, Registry
from .emergency import Emergency
from .hub_opening import HubOpening
from .link import HubLink, new_endpoint
from .media import MediaDesk
from .preflight import Preflight
from .printing.desk import PrinterDesk
from .printing.port import Printer
from .report import Parts, Reporter
from .sms_desk import SmsDesk, SmsOptions
from .technician import Technician
from .telling import Telling
from .update_link import UpdateFetcher
from .usage import KeptMeter, parse_caps
from .watching import LinkWatch
from .web.api import Api
from .web.board_api import BoardApi
from .web.clip_api import ClipApi
from .web.clock_api import ClockApi
from .web.device_api import DeviceApi
from .web.door import add_trusted
from .web.due_api import DueApi
from .web.emergency_api import EmergencyApi
from .web.fhir_api import FhirApi
from .web.full_disk import over_a_full_disk
from .web.month_api import MonthApi
from .web.opening_api import OpeningApi
from .web.preflight_api import PreflightApi
from .web.printer_api import PrinterApi
from .web.questions_api import QuestionsApi
from .web.referral_api import ReferralApi
from .web.report_api import ReportApi
from .web.sms_api import SmsApi
from .web.staff_api import StaffApi
from .web.voice_api import VoiceApi

logger = logging.getLogger("edge.node")

LINGER_S = 2.0
"""How long a stopping node waits for the hub to acknowledge what it has just sealed."""
STATIC = Path(__file__).resolve().parent / "static"
UI = Path(__file__).resolve().parents[1] / "ui"


class Node:
    """A node that serves: store, clinic, calls, link, web."""

    def __init__(
        self,
        folder: Path,
        config: NodeConfig,
        run: bytes,
        camera: str,
        devices: Sequence[Configured] = (),
        printer: Printer | None = None,
    ) -> None:
        """Make everything; opens no socket yet. Blocking."""
        if len(run) != seal.RUN_BYTES:
            raise ValueError("a run has 8 bytes")
        endpoint = new_endpoint(config, run)
        self.clinic = Clinic(folder, config, run, endpoint.pack, endpoint.seal_packed)
        self.link = HubLink(self.clinic, endpoint, KeptMeter(folder, config))
        self.media = MediaDesk(self.clinic, folder, endpoint.seal_chunk)
        self.media.on_withdrawn.append(self.link.withdraw)
        self.link.prune_media = self.media.prune
        self.preflight = Preflight(lambda: endpoint.link_state(time.monotonic()), self.link.train, camera)
        self.calls = CallDesk(self.clinic, self.media, self.preflight, camera)
        self.clips = ClipDesk(self.clinic, self.media, camera, lambda: bool(self.calls.current()))
        self.calls.free_camera = self.clips.release
        self.calls.connect(self.link.send_signal, self.link.limit_bulk)
        self.link.on_signal.append(self._hear_signal)
        self.link.on_link.append(self.calls.link_changed)
        self.calling = Calling(self.clinic, folder)
        self._ballasts = Ballast(folder / BALLAST_FILE), Ballast(folder / BALLAST_OF_COMMANDS_FILE)
        self.printer = PrinterDesk(self.clinic, printer)
        self.emergency = Emergency(folder, self.clinic, run, endpoint.pack, endpoint.seal_packed, self.printer)
        self.emergency.send_signal = self.link.send_signal
        self.hub_opening = HubOpening(self.clinic, self.link.ask_to_unlock, self.link.end_asking)
        self.link.on_unlock_told = self.hub_opening.heard
        self.panel: PanelDesk | None = None
        self.sms: SmsDesk | None = None
        sticks = courier.Desk(self.clinic, self.link)
        self.registry = Registry(devices)
        self.measurements = Measurements(self.clinic, self.registry)
        self.updates = UpdateFetcher(self.clinic, self.link)
        parts = Parts(
            self.clinic,
            self.link,
            self.calls,
            sticks,
            self._panel_report,
            self._sms_health,
            camera,
            self.measurements.devices,
            self.printer,
            self.updates,
        )
        self.reporter = Reporter(folder, parts)
        self.telling = Telling(self.clinic, self.reporter)
        self.technician = Technician(folder, self.clinic)
        self.watch = LinkWatch(self.clinic, lambda: endpoint.link_state(time.monotonic()).online, time.monotonic())
        self.courier = courier.control(folder, sticks, self.reporter.as_json)
        more = [
            *ReportApi(self.clinic, self.reporter, self.clips).routes(),
            *DeviceApi(self.measurements).routes(),
            *StaffApi(self.clinic).routes(),
            *OpeningApi(self.clinic, self.hub_opening).routes(),
            *EmergencyApi(self.emergency).routes(),
            *BoardApi(self.clinic, self.calling).routes(),
            *VoiceApi(self.clinic).routes(),
            *ClipApi(self.clips).routes(),
            *PreflightApi(self.preflight, self.calls).routes(),
            *PrinterApi(self.clinic, self.printer).routes(),
            *ReferralApi(self.clinic, self.printer).routes(),
            *FhirApi(self.clinic).routes(),
            *DueApi(self.clinic).routes(),
            *ClockApi(self.clinic).routes(),
            *MonthApi(self.clinic, self.watch.words).routes(),
            *QuestionsApi(self.clinic).routes(),
        ]
        self.api = Api(self.clinic, self.calls, self.media, self._panel_report, more)

    @classmethod
    def load(
        cls,
        folder: Path,
        run: bytes,
        camera: str = "test",
        hub_host: str = "",
        data_caps: Sequence[str] = (),
        bulk_hours: str | None = None,
        update_hours: str | None = None,
        devices: Sequence[Configured] = (),
        printer: Printer | None = None,
    ) -> "Node":
        """The node of a data folder; what is given overrides where the hub is, and what bulk may use and when.

        Raises NotEnrolled, BadInput. Blocking.
        """
        config = load_config(folder)
        config = msgspec.structs.replace(
            config,
            hub_host=hub_host or config.hub_host,
            data_caps_mb=parse_caps(config.data_caps_mb, data_caps),
            bulk_hours=config.bulk_hours if bulk_hours is None else bulk_hours,
            update_hours=config.update_hours if update_hours is None else update_hours,
        )
        return cls(folder, config, run, camera, devices, printer)

    async def start(self) -> None:
        """Open the outbox and begin to talk to the hub; the records stay locked."""
        for ballast in self._ballasts:
            await asyncio.to_thread(ballast.take_in)
        await self.clinic.store.open()
        await self.calling.start()
        await self.link.start()
        await self.updates.start()
        if not self.clinic.config.training:
            await self.courier.start()
            self.watch.start()
        await self.registry.start()
        self.printer.start()
        self.telling.often.start()
        self.technician.often.start()
        self.clinic.days.start()

    async def fit_panel(self, device: str, folder: Path, on_shutdown: Callable[[], None]) -> None:
        """Use the panel board on a serial port, present or not; ``on_shutdown`` ends the process in order."""
        self.panel = PanelDesk(self.clinic, self.calling, device, folder, on_shutdown)
        await self.panel.start()

    async def fit_sms(self, folder: Path, options: SmsOptions) -> None:
        """Use an SMS modem, present or not; before :meth:`web_app`."""
        self.sms = SmsDesk(self.clinic, folder, options)
        self.api.add(SmsApi(self.sms).routes())
        await self.sms.start()

    async def _hear_signal(self, signal: bytes) -> None:
        await (self.emergency.heard(signal) if locked.is_message(signal) else self.calls.hear(signal))

    def _sms_health(self) -> SmsHealth | None:
        return self.sms.health if self.sms is not None else None

    def _panel_report(self) -> PanelReport:
        return self.panel.report() if self.panel is not None else PanelReport(False)

    async def web_app(self, *, secure: bool = False) -> web.Application:
        """The node's pages and API; ``secure``: behind HTTPS of our own, see :mod:`.web.door`."""
        app = new_app()
        first, of_commands = self._ballasts
        app.middlewares.append(over_a_full_disk(first.throw, of_commands.throw))
        self.api.mount(app, self._find_session, secure=secure)
        if secure:
            add_trusted(app)
        files, ui = await asyncio.to_thread(lambda: (static.load(STATIC), static.load(UI)))
        static.add_static(app, "/ui/", ui)
        static.add_static(app, "/", files)
        app.on_shutdown.append(self._say_goodbye)
        return app

    async def answers(self) -> None:
        """Comes back when the records' writer does: what a watchdog asks."""
        await self.clinic.store.outbox(lambda _: None)

    async def _find_session(self, token: str, untouched_s: float) -> Session | None:
        return self.clinic.sessions.find(token, time.monotonic(), untouched_s)

    async def _say_goodbye(self, app: web.Application) -> None:
        await self.clinic.tablets.close()

    async def stop(self) -> None:
        """End calls, seal what is left, close the run and the files.

        A part that cannot (a full disk) keeps none behind it from being closed.
        """
        panel, serves = self.panel, not self.clinic.config.training
        parts: list[Callable[[], Awaitable[None]] | None] = [
            panel.rest if panel is not None else None,
            self.printer.stop,
            partial(asyncio.to_thread, render.rest),
            self.measurements.close,
            self.registry.stop,
            self.telling.often.stop,
            self.technician.often.stop,
            self.watch.stop,
            self.updates.stop,
            self.courier.stop if serves else None,
            self.calls.close,
            self.clips.close,
            self.sms.stop if self.sms is not None else None,
            self.clinic.finish,
            self.clinic.days.stop,
            partial(self.link.stop, LINGER_S),
            self.clinic.store.close,
            panel.stop if panel is not None else None,
        ]
        for part in parts:
            if part is None:
                continue
            try:
                await part()
            except Exception:
                logger.exception("a part of the node did not stop as it should")
