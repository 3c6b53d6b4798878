"""Measurements with the medical devices: begun for a visit, watched live, taken by the nurse or not at all.

A measurement opens the port, runs the driver on it, opens it again after the cable was out, and tells the tablet
that began it how it stands, four times a second at most. It writes nothing into a record: :meth:`Measurements.take`
hands out readings for the form, and the form's command records them.
"""

import asyncio
import contextlib
import secrets

from msgspec import Struct

from edge.model.clock import IST_OFFSET_S
from edge.model.errors import Fault, NotFound, UpkendraError
from edge.model.ids import ID_BYTES, make_id
from edge.model.records import Reading, Source
from edge.web.sessions import Session

from ..clinic import Clinic
from ..live import DevicesChanged, DeviceValue, MeasuredResult, MeasurePush
from .drivers.base import Changed, Driver, Live, Result, Wave
from .drivers.table import DRIVERS
from .port import PORT_ERRORS, SerialLine
from .registry import Place, Registry

TELL_S = 0.25
"""How often a tablet is told at most."""
WAVE_POINTS = 8
"""Points of the wave in one telling, at most: 32 a second."""
REOPEN_S = 1.0
LONGEST_S = 600.0
"""A measurement that nobody ends: some meters are switched on only minutes later."""
TAKEN_AGE_S = 120.0
"""An oximeter's value is of now; a result that is older than this is not handed out."""
ABSENT = "absent"


class DeviceBusy(UpkendraError):
    """Another visit is measured with this device. Wait, or end that measurement."""

    code = "device_busy"
    fault = Fault.STATE


class NothingMeasured(UpkendraError):
    """There is no value to take yet, or there is none any more. Measure again."""

    code = "nothing_measured"
    fault = Fault.STATE


class DeviceNow(Struct, frozen=True):
    """A device, for tablets and the technician."""

    device_id: str
    model: str
    title: str
    vitals: tuple[str, ...]
    path: str
    present: bool
    configured: bool
    """False: offered because its USB adapter fits."""
    state: str
    """absent, idle, or how its measurement stands (:class:`MeasurePush`)."""


class MeasurementNow(Struct, frozen=True):
    measurement_id: str
    device_id: str
    visit_id: str
    title: str
    vitals: tuple[str, ...]
    state: str
    values: tuple[DeviceValue, ...]
    result: MeasuredResult | None


class Taken(Struct, frozen=True):
    """Readings for the form; nothing was recorded."""

    readings: tuple[Reading, ...]


class _Measurement:
    """One run of one device for one visit."""

    def __init__(self, place: Place, visit_id: str, session: str, clinic: Clinic) -> None:
        self.measurement_id = make_id(secrets.token_bytes(ID_BYTES))
        self.place, self.visit_id, self.session = place, visit_id, session
        self.driver_type = DRIVERS[place.model]
        self._clinic = clinic
        self._driver: Driver | None = None
        self._line = SerialLine(self._heard, self._fell)
        self._lost = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._teller: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self.values: tuple[DeviceValue, ...] = ()
        self.result: Result | None = None
        self._result_ms = 0
        self._result_at_s = 0.0
        self._points = bytearray()
        self._told: object = None

    @property
    def state(self) -> str:
        return self._driver.condition.value if self._driver is not None else ABSENT

    def now(self) -> MeasurementNow:
        kind = self.driver_type
        return MeasurementNow(
            self.measurement_id,
            self.place.device_id,
            self.visit_id,
            kind.title,
            kind.vitals,
            self.state,
            self.values,
            self.shown_result(),
        )

    def shown_result(self) -> MeasuredResult | None:
        result = self.result
        if result is None:
            return None
        values = tuple(DeviceValue(one.vital, one.value) for one in result.values)
        return MeasuredResult(values, result.quality.value, result.device_time, result.age_s)

    def start(self) -> None:
        self._task = asyncio.create_task(self._run())
        self._tell()

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None
        await self._close(goodbye=True)
        for handle in (self._teller, self._timer):
            if handle is not None:
                handle.cancel()

    def again(self) -> None:
        """Forget what was measured and begin anew, on the open line."""
        self._forget()
        if self._line.is_open:
            self._begin()
        self._tell_soon()

    def take(self) -> tuple[Reading, ...]:
        """Raises NothingMeasured."""
        result, age_s = self.result, asyncio.get_running_loop().time() - self._result_at_s
        if result is None or age_s > TAKEN_AGE_S:
            raise NothingMeasured("There is no value of this device to take. Measure again.")
        source = Source(self.place.model, result.raw, result.device_time)
        measured_ms = self._result_ms - int((result.age_s or 0.0) * 1000)
        return tuple(
            Reading(
                one.vital,
                one.value,
                "device",
                self.driver_type.title,
                result.serial,
                result.quality.value,
                measured_ms,
                source=source,
            )
            for one in result.values
        )

    # The line.

    async def _run(self) -> None:
        settings = self.driver_type.settings
        while True:
            try:
                await self._line.open(self.place.path, settings.baud, settings.parity)
            except PORT_ERRORS:
                await asyncio.sleep(REOPEN_S)
                continue
            self._lost.clear()
            self._begin()
            await self._lost.wait()
            await self._close(goodbye=False)
            self._forget()
            self._tell_soon()
            await asyncio.sleep(REOPEN_S)

    def _begin(self) -> None:
        loop = asyncio.get_running_loop()
        local_ms = self._clinic.clock.now().wall_ms + IST_OFFSET_S * 1000
        self._driver = self.driver_type(loop.time(), local_ms)
        self._work()
        self._tell_soon()

    def _forget(self) -> None:
        self.values, self.result = (), None
        self._points.clear()

    async def _close(self, *, goodbye: bool) -> None:
        driver, self._driver = self._driver, None
        if goodbye and driver is not None:
            self._line.write(driver.stop())
        await self._line.close()

    def _fell(self) -> None:
        self._lost.set()

    def _heard(self, data: bytes) -> None:
        if self._driver is not None:
            self._driver.receive(data, asyncio.get_running_loop().time())
            self._work()

    def _due(self) -> None:
        self._timer = None
        if self._driver is not None:
            self._driver.due(asyncio.get_running_loop().time())
            self._work()

    def _work(self) -> None:
        driver = self._driver
        if driver is None:
            return
        self._line.write(driver.bytes_to_send())
        while (news := driver.next_news()) is not None:
            match news:
                case Live(values):
                    self.values = tuple(DeviceValue(one.vital, one.value) for one in values)
                    if not values:
                        self.result = None
                case Wave(points):
                    self._points += points
                case Result():
                    self.result, self._result_ms = news, self._clinic.clock.now().wall_ms
                    self._result_at_s = asyncio.get_running_loop().time()
                case Changed():
                    pass
            self._tell_soon()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if (at := driver.get_timer()) is not None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_at(max(at, loop.time() + 0.01), self._due)

    # The tablet.

    def _tell_soon(self) -> None:
        if self._teller is None:
            self._teller = asyncio.get_running_loop().call_later(TELL_S, self._tell)

    def _tell(self) -> None:
        self._teller = None
        points = bytes(self._points)
        self._points.clear()
        if len(points) > WAVE_POINTS:
            points = bytes(points[place * len(points) // WAVE_POINTS] for place in range(WAVE_POINTS))
        push = MeasurePush(
            self.measurement_id,
            self.place.device_id,
            self.visit_id,
            self.state,
            self.values,
            self.shown_result(),
            tuple(points),
        )
        if push != self._told or points:
            self._told = push
            self._clinic.tablets.push(push, session=self.session)


class Measurements:
    """All devices of one node."""

    def __init__(self, clinic: Clinic, registry: Registry) -> None:
        self._clinic, self._registry = clinic, registry
        self._running: dict[str, _Measurement] = {}
        self._ends: dict[str, asyncio.TimerHandle] = {}
        self._starting = asyncio.Lock()
        registry.on_change.append(lambda: clinic.tablets.push(DevicesChanged()))

    def devices(self) -> tuple[DeviceNow, ...]:
        """Every device that is configured or plugged in."""
        running = {one.place.device_id: one for one in self._running.values()}
        found = []
        for place in self._registry.places:
            kind, now = DRIVERS[place.model], running.get(place.device_id)
            state = now.state if now is not None else "idle" if place.present else ABSENT
            found.append(
                DeviceNow(
                    place.device_id,
                    place.model,
                    kind.title,
                    kind.vitals,
                    place.path,
                    place.present,
                    place.configured,
                    state,
                )
            )
        return tuple(found)

    async def start(self, visit_id: str, device_id: str, session: Session) -> MeasurementNow:
        """Begin to measure a visit; the same visit again begins anew. Raises NotFound, DeviceBusy."""
        await self._clinic.visit(visit_id)
        async with self._starting:
            place = self._registry.find(device_id)
            if place is None:
                raise NotFound("This device is not known here. Plug it in, or name it with --device.")
            for other in list(self._running.values()):
                if other.place.path == place.path:
                    if other.visit_id != visit_id:
                        raise DeviceBusy("Another visit is measured with this device. End that measurement first.")
                    await self.stop(other.measurement_id)
            measurement = _Measurement(place, visit_id, session.token, self._clinic)
            self._running[measurement.measurement_id] = measurement
            measurement.start()
            ends = asyncio.get_running_loop().call_later(LONGEST_S, self._too_long, measurement.measurement_id)
            self._ends[measurement.measurement_id] = ends
            return measurement.now()

    def _too_long(self, measurement_id: str) -> None:
        self._clinic.later(self.stop(measurement_id))

    def _find(self, measurement_id: str) -> _Measurement:
        found = self._running.get(measurement_id)
        if found is None:
            raise NotFound("This measurement has ended. Begin another one.")
        return found

    def now(self, measurement_id: str) -> MeasurementNow:
        """Raises NotFound."""
        return self._find(measurement_id).now()

    def again(self, measurement_id: str) -> MeasurementNow:
        """Measure again. Raises NotFound."""
        found = self._find(measurement_id)
        found.again()
        return found.now()

    async def take(self, measurement_id: str, staff_id: str) -> Taken:
        """What the nurse takes into the form; the measurement ends. Raises NotFound, NothingMeasured."""
        found = self._find(measurement_id)
        taken = Taken(found.take())
        await self._clinic.accessed(staff_id, "take_reading", found.visit_id)
        await self.stop(measurement_id)
        return taken

    async def stop(self, measurement_id: str) -> None:
        """End it, if it runs."""
        ends = self._ends.pop(measurement_id, None)
        if ends is not None:
            ends.cancel()
        found = self._running.pop(measurement_id, None)
        if found is not None:
            await found.stop()

    async def close(self) -> None:
        """End all."""
        for measurement_id in list(self._running):
            await self.stop(measurement_id)
