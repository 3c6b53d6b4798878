"""The composition root: a hub with its HTTP, its TLS port and its UDP socket. The only file that knows all."""

import asyncio
import ssl
import time
from pathlib import Path

from aiohttp import web

from edge.sync.bearers.runner import HubRunner, wss_handler
from edge.web.routes import mount
from edge.web.server import IDLE_S, new_app
from edge.web.static import StaticFile, add_static, load

from . import courier
from .config import Settings, parse_address
from .hub import Hub
from .metrics import METER, HttpMeter, meter_middleware, metrics_app
from .sms import SmsDesk, SmsOptions
from .web.api import Api
from .web.home_api import HomeApi
from .web.sms_api import SmsApi
from .web.sockets import SOCKETS, OpenSockets

CONSOLE_DIR = Path(__file__).parent / "static"
HOME_PERMISSIONS = "camera=(self), microphone=(self), geolocation=(self)"
"""The page at home may ask where it is, to say how far a centre is; that stays in the browser."""
HOME_DIR = Path(__file__).parent / "home_page"
UI_DIR = Path(__file__).parent.parent / "edge" / "ui"


def wall_ms() -> int:
    """Unix time in ms."""
    return time.time_ns() // 1_000_000


def build_app(
    hub: Hub,
    console: dict[str, StaticFile],
    ui: dict[str, StaticFile],
    sms: SmsDesk | None = None,
    home: dict[str, StaticFile] | None = None,
) -> web.Application:
    """What browsers of doctors and of patients at home, and enrolling nodes, talk to."""
    app = new_app()
    app[SOCKETS] = OpenSockets()
    app[METER] = HttpMeter()
    app.middlewares.insert(0, meter_middleware)
    api = Api(hub, SmsApi(hub, sms).routes() if sms is not None else ())
    mount(app, api.routes(), api.gate())
    if hub.home is not None:
        patients = HomeApi(hub, hub.home)
        mount(app, patients.routes(), patients.gate())
        app.router.add_get("/home", _to_home)
        add_static(app, "/home/", home or {}, HOME_PERMISSIONS)
    add_static(app, "/ui/", ui)
    add_static(app, "/", console)
    app.on_shutdown.append(_close_sockets)
    return app


async def _to_home(request: web.Request) -> web.StreamResponse:
    raise web.HTTPMovedPermanently("/home/")


async def _close_sockets(app: web.Application) -> None:
    await app[SOCKETS].close()


class Server:
    """A hub that listens."""

    def __init__(self, settings: Settings) -> None:
        """Blocking: opens the store, reads keys and pages."""
        self.settings = settings
        self.hub = Hub(settings, wall_ms, time.monotonic)
        self.sms = SmsDesk(self.hub, SmsOptions(settings.sms_modem)) if settings.sms_modem else None
        self._static = load(CONSOLE_DIR), load(UI_DIR)
        self._home_page = load(HOME_DIR) if settings.home else {}
        self._tls = self.hub.keys.tls_context()
        at, shared = (settings.link_host, settings.udp_port), bool(settings.nats)
        self._link = HubRunner(self.hub.link.endpoint, at, self.hub.link.take, shared=shared)
        self.hub.link.wake = self._link.wake
        self._courier = courier.control(self.hub)
        self.hub.together.on_lead.append(self._courier.start)
        self.hub.together.on_follow.append(self._courier.stop)
        self._runners: list[web.AppRunner] = []
        self.url = ""
        self.tls_port = settings.tls_port
        """The port that is listened on (useful when 0 was asked for)."""

    async def start(self) -> None:
        """Listen: UDP, HTTP, TLS. Raises OSError when a port is taken."""
        await self._link.start()
        await self.hub.start()
        if self.sms is not None:
            await self.sms.start()
        app = build_app(self.hub, *self._static, self.sms, self._home_page)
        plain = await self._listen(app, self.settings.http_host, self.settings.http_port, None)
        tls_app = new_app()
        tls_app.router.add_get("/sync", wss_handler(self._link))
        tls = await self._listen(
            tls_app, self.settings.link_host, self.settings.tls_port, self._tls, shared=bool(self.settings.nats)
        )
        if self.settings.metrics:
            host, port = parse_address(self.settings.metrics)
            await self._listen(metrics_app(self.hub, app[METER]), host, port, None)
        self.tls_port = int(tls.addresses[0][1])
        host, port = plain.addresses[0][:2]
        self.url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    async def _listen(
        self, app: web.Application, host: str, port: int, tls: ssl.SSLContext | None, *, shared: bool = False
    ) -> web.AppRunner:
        runner = web.AppRunner(
            app, access_log=None, shutdown_timeout=2.0, auto_decompress=False, keepalive_timeout=IDLE_S
        )
        self._runners.append(runner)
        await runner.setup()
        await web.TCPSite(runner, host, port, ssl_context=tls, reuse_port=shared or None).start()
        return runner

    async def stop(self) -> None:
        """Stop listening, finish what was begun."""
        for runner in self._runners:
            await runner.cleanup()
        await self._courier.stop()
        await self._link.stop()
        if self.sms is not None:
            await self.sms.stop()
        await self.hub.stop()


async def serve(server: Server, ready: asyncio.Event, stop: asyncio.Event) -> None:
    """Run a server from start to stop; ``ready`` is set when it listens."""
    await server.start()
    ready.set()
    try:
        await stop.wait()
    finally:
        await server.stop()
