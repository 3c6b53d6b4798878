"""Which medical devices are plugged in: those that were configured, and those that a USB adapter gives away.

Looks at ``/dev/serial/by-id`` and at the configured ports every :data:`LOOK_S`; asks for USB ids only when
something there has changed. An adapter that several devices use is offered once for each of them: the field that
the nurse fills says which it is, and a driver that meets another device's bytes says "noisy". Opens no port.
"""

import asyncio
import contextlib
import hashlib
import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from msgspec import Struct
from serial.tools import list_ports

from edge.model.errors import BadInput
from edge.web.logs import say
from edge.web.often import Often

from .drivers.table import BY_USB, DRIVERS

logger = logging.getLogger("edge.node.devices")

BY_ID = Path("/dev/serial/by-id")
LOOK_S = 1.5
USB = "usb:"


class Configured(Struct, frozen=True):
    """What ``--device`` said."""

    model: str
    port: str
    """A path, or ``usb:VID:PID`` with or without ``:SERIAL``."""


class UsbPort(Struct, frozen=True):
    """A serial port on USB."""

    path: str
    usb_id: str
    """``10c4:ea60``."""
    serial: str = ""


class Place(Struct, frozen=True):
    """A device at a port, there or not."""

    device_id: str
    model: str
    path: str
    """Where it is now; "" while a device that was named by its USB id is not there."""
    present: bool
    configured: bool


def parse_device(text: str) -> Configured:
    """``MODEL=PORT``. Raises BadInput."""
    model, _, port = text.partition("=")
    if model not in DRIVERS or not port:
        raise BadInput(f"A device is MODEL=PORT; MODEL is one of {', '.join(DRIVERS)}.", field="device")
    if not (port.startswith("/") or (port.startswith(USB) and len(port.split(":")) in (3, 4))):
        raise BadInput("A device's port is a path, usb:VID:PID or usb:VID:PID:SERIAL.", field="device")
    return Configured(model, port)


def usb_ports() -> list[UsbPort]:
    """Every serial port on USB, by its lasting name where it has one. Blocking."""
    names = {}
    with contextlib.suppress(OSError):
        names = {os.path.realpath(link): str(link) for link in BY_ID.iterdir()}
    return [
        UsbPort(names.get(port.device, port.device), f"{port.vid:04x}:{port.pid:04x}", port.serial_number or "")
        for port in list_ports.comports()
        if port.vid is not None and port.pid is not None
    ]


def usb_signature() -> tuple[str, ...]:
    """Changes when something is plugged in or pulled. Blocking, cheap."""
    try:
        return tuple(sorted(entry.name for entry in os.scandir(BY_ID)))
    except OSError:
        return ()


def name_of(model: str, port: str) -> str:
    """The id under which the API knows a device."""
    return f"{model}.{hashlib.sha256(port.encode()).hexdigest()[:8]}"


def places_of(configured: Sequence[Configured], usb: Sequence[UsbPort], exists: Callable[[str], bool]) -> list[Place]:
    """What is there, configured devices first. Blocking if ``exists`` is."""
    found, taken = [], set()
    for one in configured:
        path = one.port
        if path.startswith(USB):
            _, vid, pid, *serial = path.split(":")
            fits = (
                port.path for port in usb if port.usb_id == f"{vid}:{pid}" and port.serial in (serial or [port.serial])
            )
            path = next((path for path in fits if path not in taken), "")
        present = bool(path) and exists(path)
        if present:
            taken.add(os.path.realpath(path))
            taken.add(path)
        found.append(Place(name_of(one.model, one.port), one.model, path, present, True))
    for port in usb:
        if port.path in taken or os.path.realpath(port.path) in taken:
            continue
        found += [
            Place(name_of(model, port.path), model, port.path, True, False) for model in BY_USB.get(port.usb_id, ())
        ]
    return found


class Registry:
    """Watches. ``start`` and ``stop`` in the loop."""

    def __init__(
        self,
        configured: Sequence[Configured] = (),
        look: Callable[[], list[UsbPort]] = usb_ports,
        signature: Callable[[], tuple[str, ...]] = usb_signature,
    ) -> None:
        self.configured = tuple(configured)
        self._look, self._signature = look, signature
        self._signed: tuple[str, ...] | None = None
        self._usb: list[UsbPort] = []
        self._places: list[Place] = []
        self._often = Often(self.look, LOOK_S, logger, "the ports could not be looked at", first_s=LOOK_S)
        self.on_change: list[Callable[[], None]] = []

    @property
    def places(self) -> tuple[Place, ...]:
        return tuple(self._places)

    def find(self, device_id: str) -> Place | None:
        return next((place for place in self._places if place.device_id == device_id), None)

    async def start(self) -> None:
        """Look once, then go on looking."""
        await self.look()
        self._often.start()

    async def stop(self) -> None:
        await self._often.stop()

    async def look(self) -> None:
        """Look now."""
        places = await asyncio.to_thread(self._see)
        if places != self._places:
            before = {place.device_id for place in self._places if place.present}
            self._places = places
            now = {place.device_id for place in places if place.present}
            for device_id in sorted(now ^ before):
                say(logger, "device_plugged" if device_id in now else "device_pulled", device=device_id)
            for listener in self.on_change:
                listener()

    def _see(self) -> list[Place]:
        signed = self._signature()
        if signed != self._signed:
            self._usb = self._look()
            self._signed = signed
        return places_of(self.configured, self._usb, os.path.exists)
