"""From the serial port to the form: a node, a simulated device on a pseudo-terminal, a tablet that listens."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from edge.model.clock import IST_OFFSET_S
from edge.model.errors import BadInput
from edge.node.devices import measure
from edge.node.devices.measure import TELL_S, WAVE_POINTS
from edge.node.devices.registry import Configured, Registry, UsbPort, name_of, parse_device, places_of
from tests.kits.devices import Contec4, Contec7, Kept, PtyDevice, Ultra
from tests.node.kit import Served, Tablet, provisioned

Heard = list[dict[str, object]]
T = 120


class Listener:
    """What the tablet hears over the live channel."""

    def __init__(self, tablet: Tablet) -> None:
        self._tablet = tablet
        self.heard: Heard = []
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "Listener":
        self._socket = await self._tablet.http.ws_connect("/api/live")
        self._task = asyncio.create_task(self._listen())
        return self

    async def _listen(self) -> None:
        async for message in self._socket:
            self.heard.append(msgspec.json.decode(message.data))

    async def __aexit__(self, *_: object) -> None:
        await self._socket.close()
        assert self._task is not None
        await self._task

    async def until(self, fits: Callable[[dict[str, object]], bool]) -> dict[str, object]:
        """The next measurement push that fits; those before it are forgotten."""
        async with asyncio.timeout(T):
            while True:
                for place, push in enumerate(self.heard):
                    if push["type"] == "measure" and fits(push):
                        del self.heard[:place]
                        return push
                await asyncio.sleep(0.05)


async def begin(tablet: Tablet, visit: str, device: Configured) -> str:
    body = {"device_id": name_of(device.model, device.port)}
    status, reply = await tablet.call("POST", f"/api/visits/{visit}/measurements", body)
    assert status == 200, reply
    return str(reply["measurement_id"])


async def test_an_oximeter_from_the_cable_to_the_record(tmp_path: Path) -> None:
    setup = await provisioned(tmp_path / "data")
    path = tmp_path / "oximeter"
    oximeter = PtyDevice(path, Contec7())
    device = Configured("contec-v7", str(path))
    async with Served(setup, devices=[device]) as served:
        tablet = served.tablet
        await tablet.login(setup)
        _, visit = await tablet.register()
        _, other = await tablet.register()
        async with Listener(tablet) as listener:
            measurement = await begin(tablet, visit, device)
            await listener.until(lambda push: push["state"] == "absent")
            await oximeter.plug()
            shown = await listener.until(lambda push: bool(push["values"]))
            assert shown["values"] == [{"vital": "spo2", "value": 97.0}, {"vital": "hr", "value": 65.0}]
            refused, reply = await tablet.call(
                "POST", f"/api/visits/{other}/measurements", {"device_id": name_of(device.model, device.port)}
            )
            assert (refused, reply["code"]) == (409, "device_busy")
            waved = await listener.until(lambda push: bool(push["wave"]))
            wave = waved["wave"]
            assert isinstance(wave, list)
            assert 0 < len(wave) <= WAVE_POINTS

            oximeter.device.finger = False
            blank = await listener.until(lambda push: push["state"] == "no_finger")
            assert (blank["values"], blank["result"]) == ([], None)
            status, reply = await tablet.call("POST", f"/api/measurements/{measurement}/take")
            assert (status, reply["code"]) == (409, "nothing_measured")

            oximeter.device.finger = True
            await listener.until(lambda push: bool(push["values"]))
            await oximeter.pull()
            gone = await listener.until(lambda push: push["state"] == "absent")
            assert (gone["values"], gone["result"]) == ([], None)
            await oximeter.plug()
            ready = await listener.until(lambda push: push["result"] is not None)
            assert ready["state"] == "ready"

            listener.heard.clear()
            began_s = asyncio.get_running_loop().time()
            await asyncio.sleep(2)
            took_s = asyncio.get_running_loop().time() - began_s
            assert len(listener.heard) <= took_s / TELL_S + 2

        clock = served.node.clinic.clock
        true_ms = clock.now().wall_ms
        with pytest.MonkeyPatch.context() as patch:  # the clock is set back: the value is no younger for it
            patch.setattr(measure, "TAKEN_AGE_S", 0.0)
            clock.correct(true_ms - 600_000)
            status, reply = await tablet.call("POST", f"/api/measurements/{measurement}/take")
            assert (status, reply["code"]) == (409, "nothing_measured")
            clock.correct(true_ms)
        reply = (await tablet.call("POST", f"/api/measurements/{measurement}/take"))[1]
        readings = msgspec.convert(reply["readings"], list[dict[str, object]])
        assert [(one["vital"], one["value"], one["method"]) for one in readings] == [
            ("spo2", 97.0, "device"),
            ("hr", 65.0, "device"),
        ]
        visit_before = (await tablet.get(f"/api/visits/{visit}"))["visit"]
        assert isinstance(visit_before, dict)
        assert visit_before["vitals"] == [], "a device records nothing by itself"
        await tablet.say("record_vitals", visit_id=visit, vitals={"readings": readings, "avpu": "A"})
        recorded = (await tablet.get(f"/api/visits/{visit}"))["visit"]
        assert isinstance(recorded, dict)
        kept = recorded["vitals"][0]["vitals"]["readings"][0]
        assert kept["source"]["driver"] == "contec-v7"
        assert kept["device"] == "Contec CMS50 V7"
        assert kept["quality"] == "good"
        status, _ = await tablet.call("GET", f"/api/measurements/{measurement}")
        assert status == 404
        await oximeter.pull()
        forged = [{**one, "source": None} for one in readings]
        refused, reply = await tablet.command("record_vitals", visit_id=visit, vitals={"readings": forged, "avpu": "A"})
        assert (refused, reply["code"]) == (400, "reading_source")


async def test_odd_parity_is_asked_of_real_ports_only_and_a_meter_gives_its_fresh_reading(tmp_path: Path) -> None:
    setup = await provisioned(tmp_path / "data")
    old, meter = Configured("contec-old", str(tmp_path / "old")), Configured("onetouch-ultra", str(tmp_path / "meter"))
    async with Served(setup, devices=[old, meter]) as served:
        tablet = served.tablet
        await tablet.login(setup)
        _, visit = await tablet.register()
        now_ms = served.node.clinic.clock.now().wall_ms + IST_OFFSET_S * 1000
        wrong_ms = now_ms - 4000 * 86_400_000
        loop_s = asyncio.get_running_loop().time()
        kept = [Kept(wrong_ms - 86_400_000, 301), Kept(wrong_ms - 60_000, 142)]
        oximeter = PtyDevice(Path(old.port), Contec4())
        glucometer = PtyDevice(Path(meter.port), Ultra(wrong_ms - int(loop_s * 1000), kept))
        await oximeter.plug()
        await glucometer.plug()
        async with Listener(tablet) as listener:
            await begin(tablet, visit, old)
            await listener.until(lambda push: push["state"] == "ready")
            measurement = await begin(tablet, visit, meter)
            await listener.until(lambda push: push["state"] == "ready" and "onetouch" in str(push["device_id"]))
            reply = (await tablet.call("POST", f"/api/measurements/{measurement}/take"))[1]
        readings = msgspec.convert(reply["readings"], list[dict[str, object]])
        assert [(one["vital"], one["value"], one["quality"]) for one in readings] == [("rbs_mgdl", 142.0, "good")]
        assert readings[0]["serial"] == "TKF8EA0RT"
        measured_ms = readings[0]["measured_ms"]
        assert isinstance(measured_ms, int)
        assert 50_000 <= now_ms - IST_OFFSET_S * 1000 - measured_ms + T * 1000 <= (T + 120) * 1000
        await oximeter.pull()
        await glucometer.pull()


def test_devices_are_found_by_path_by_usb_id_and_by_serial() -> None:
    usb = [UsbPort("/dev/ttyUSB0", "10c4:ea60", "A1"), UsbPort("/dev/ttyUSB1", "10c4:ea60", "B2")]
    named = [parse_device("contec-v7=usb:10c4:ea60:B2"), parse_device("sd-codefree=usb:10c4:ea60")]
    places = places_of(named, usb, lambda path: True)
    assert [(one.model, one.path, one.configured) for one in places] == [
        ("contec-v7", "/dev/ttyUSB1", True),
        ("sd-codefree", "/dev/ttyUSB0", True),
    ]
    offered = places_of([], usb[:1], lambda path: True)
    assert [one.model for one in offered] == ["contec-v7", "sd-codefree", "beurer-bm"]
    gone = places_of(named, [], lambda path: True)
    assert [(one.path, one.present) for one in gone] == [("", False), ("", False)]


@pytest.mark.parametrize("text", ["", "contec-v7", "toaster=/dev/ttyUSB0", "contec-v7=ttyUSB0", "contec-v7=usb:10c4"])
def test_a_device_that_makes_no_sense_is_refused(text: str) -> None:
    with pytest.raises(BadInput):
        parse_device(text)


async def test_hot_plug_is_heard_and_usb_is_asked_only_when_something_changed() -> None:
    names: tuple[str, ...] = ()
    asked: list[int] = []

    def look() -> list[UsbPort]:
        asked.append(1)
        return [UsbPort(f"/dev/{name}", "067b:2303") for name in names]

    registry = Registry((), look, lambda: names)
    heard: list[int] = []
    registry.on_change.append(lambda: heard.append(1))
    await registry.look()
    await registry.look()
    assert (registry.places, len(asked), heard) == ((), 1, [])
    names = ("ttyUSB7",)
    await registry.look()
    assert [one.model for one in registry.places] == ["onetouch-ultra", "beurer-bm"]
    names = ()
    await registry.look()
    assert (registry.places, len(heard)) == ((), 2)
