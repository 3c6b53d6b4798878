"""The simulated panel board beside the demo, and the page on which one sees it.

Plays what the board stands between: the button, the mains, the battery, and the Pi's supply. When the board cuts the
power the node process is killed, as a Pi would be; when it comes back the node is started again. The page is the
demo's own: nothing of it is in the product.
"""

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from msgspec import Struct
from msgspec import json as msgjson

from tests.kits import panel_board
from tests.kits.clinic import ClinicError, Server
from tests.kits.panel_board import ROOT, Simulator

PAGE = Path(__file__).parent / "panel_page"
FILES = {
    "/": (PAGE / "index.html", "text/html; charset=utf-8"),
    "/page.js": (PAGE / "page.js", "text/javascript; charset=utf-8"),
    "/page.css": (PAGE / "page.css", "text/css; charset=utf-8"),
    "/tokens.css": (ROOT / "edge/ui/tokens.css", "text/css; charset=utf-8"),
}
BATTERY_MV = 12_700
DIVIDER = 22 / 122
"""100 kΩ over 22 kΩ (HARDWARE.md)."""
PRESS_MS, LONG_PRESS_MS = 150, 1000
LOOK_S = 0.03
MAX_BODY_BYTES = 1000


class Around(Struct):
    """What the page shows: the board's outputs, and the inputs as they were set last."""

    display: str = " " * 8
    buzz: bool = False
    pi: bool = True
    node: bool = False
    mains: bool = True
    battery_mv: int = BATTERY_MV


class Wish(Struct, frozen=True):
    """What somebody did on the page."""

    what: str
    on: bool = False
    mv: int = BATTERY_MV


class PanelStage:
    """A simulated board, the world around it, and its page."""

    def __init__(self, board: Simulator, http_port: int = 0) -> None:
        """Serves at once on loopback; 0 takes a free port."""
        self.board = board
        self.around = Around()
        self._lines_seen = 0
        self._was_cut = False
        self._lock = threading.Lock()
        self._node: Server | None = None
        stage = self

        class Handler(_Handler):
            pass

        Handler.stage = stage
        self._http = ThreadingHTTPServer(("127.0.0.1", http_port), Handler)
        self._http.daemon_threads = True
        self.is_closed = False
        threading.Thread(target=self._http.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    def close(self) -> None:
        self.is_closed = True
        self._http.shutdown()
        self._http.server_close()

    def look(self) -> Around:
        """The state now."""
        with self._lock:
            lines = self.board.lines[self._lines_seen :]
            self._lines_seen += len(lines)
            for _, line in lines:
                self._take(line)
            self.around.node = self._node is not None and self._node.is_running()
            return msgjson.decode(msgjson.encode(self.around), type=Around)

    def _take(self, line: str) -> None:
        match line.partition(" "):
            case ("display", _, shown):
                self.around.display = shown
            case ("buzz", _, state):
                self.around.buzz = state == "on"
            case ("pi", _, state):
                self.around.pi = state == "on"
                self._was_cut = self._was_cut or state == "off"
            case _:
                return

    def carry_out(self, wish: Wish) -> bool:
        """Do to the board what was asked for on the page; False when that is nothing."""
        match wish.what:
            case "press" | "long":
                self.board.tell(f"press {PRESS_MS if wish.what == 'press' else LONG_PRESS_MS}")
            case "mains":
                self.around.mains = wish.on
                self.board.tell(f"mains {int(wish.on)}")
                self.board.tell(f"adc 1 {round(BATTERY_MV * DIVIDER) if wish.on else 0}")
            case "battery" if 0 <= wish.mv <= 20_000:
                self.around.battery_mv = wish.mv
                self.board.tell(f"adc 0 {round(wish.mv * DIVIDER)}")
            case "hang" if self._node is not None and self._node.is_running():
                with contextlib.suppress(ClinicError, ProcessLookupError):
                    os.kill(self._node.pid, signal.SIGSTOP)
            case _:
                return False
        return True

    def supply(self, node: Server) -> None:
        """What the board's switch does to the Pi: call it again and again. Starting takes some seconds."""
        self._node = node
        around = self.look()
        if self._was_cut and node.is_running():
            node.kill()
        if self._was_cut and around.pi:
            self._was_cut = False
            node.start()


class _Handler(BaseHTTPRequestHandler):
    stage: PanelStage

    def do_GET(self) -> None:
        if self.path == "/events":
            self._events()
            return
        found = FILES.get(self.path.partition("?")[0])
        if found is None:
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        path, kind = found
        self._reply(path.read_bytes(), kind)

    def do_POST(self) -> None:
        size = int(self.headers.get("Content-Length", "0"))
        if self.path != "/do" or not 0 < size <= MAX_BODY_BYTES:
            self.send_error(HTTPStatus.BAD_REQUEST)
            return
        try:
            wish = msgjson.decode(self.rfile.read(size), type=Wish)
        except ValueError:
            self.send_error(HTTPStatus.BAD_REQUEST)
            return
        if not self.stage.carry_out(wish):
            self.send_error(HTTPStatus.BAD_REQUEST)
            return
        self._reply(b"{}", "application/json")

    def _reply(self, body: bytes, kind: str) -> None:
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _events(self) -> None:
        """The state each time it changes, as server-sent events."""
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        said = b""
        with contextlib.suppress(OSError):
            while not self.stage.is_closed:
                now = msgjson.encode(self.stage.look())
                if now != said:
                    self.wfile.write(b"data: " + now + b"\n\n")
                    said = now
                time.sleep(LOOK_S)

    def log_message(self, format: str, *arguments: object) -> None:
        """Says nothing: the terminal is the demo's."""


@contextlib.contextmanager
def panel_stage(folder: Path, http_port: int = 0) -> Iterator[PanelStage]:
    """Builds firmware and simulator, and runs the board with its state in ``folder``; its port is ``folder/port``."""
    out = ROOT / "build/panel"
    panel_board.build(out)
    simulator = panel_board.build_simulator(out)
    folder.mkdir(parents=True, exist_ok=True)
    board = Simulator(simulator, out, folder, link=folder / "port")
    try:
        stage = PanelStage(board, http_port)
        try:
            yield stage
        finally:
            stage.close()
    finally:
        board.close()
