"""Medical devices over HTTP: what is there, and a measurement from its beginning to the form."""

from typing import Annotated

from msgspec import Meta, Struct

from edge.node.devices.measure import DeviceNow, MeasurementNow, Measurements, Taken
from edge.web.routes import AnyRoute, Call, Route

DeviceId = Annotated[str, Meta(min_length=1, max_length=60, pattern=r"^[a-z0-9-]+\.[0-9a-f]{8}$(?!\n)")]


class DeviceList(Struct, frozen=True):
    items: tuple[DeviceNow, ...]


class BeginMeasurement(Struct, frozen=True, forbid_unknown_fields=True):
    device_id: DeviceId


class DeviceApi:
    """Handlers over the measurements of one node."""

    def __init__(self, measurements: Measurements) -> None:
        self._measurements = measurements

    def routes(self) -> list[AnyRoute]:
        """The table."""
        one = "/api/measurements/{measurement_id}"
        return [
            Route("GET", "/api/devices", self.get_devices, None, DeviceList, errors=(423,)),
            Route(
                "POST",
                "/api/visits/{visit_id}/measurements",
                self.begin_measurement,
                BeginMeasurement,
                MeasurementNow,
                errors=(409, 423),
            ),
            Route("GET", one, self.get_measurement, None, MeasurementNow, errors=(423,)),
            Route("POST", one + "/again", self.measure_again, None, MeasurementNow, errors=(423,)),
            Route("POST", one + "/take", self.take_measurement, None, Taken, errors=(409, 423)),
            Route("DELETE", one, self.end_measurement, errors=(423,)),
        ]

    async def get_devices(self, call: Call[None, None]) -> DeviceList:
        """Every medical device that is configured or plugged in."""
        return DeviceList(self._measurements.devices())

    async def begin_measurement(self, call: Call[BeginMeasurement, None]) -> MeasurementNow:
        """Begin to measure a visit with a device. How it goes is told over /api/live."""
        assert call.session is not None
        return await self._measurements.start(call.path["visit_id"], call.body.device_id, call.session)

    async def get_measurement(self, call: Call[None, None]) -> MeasurementNow:
        """How a measurement stands."""
        return self._measurements.now(call.path["measurement_id"])

    async def measure_again(self, call: Call[None, None]) -> MeasurementNow:
        """Forget what was measured, and measure again."""
        return self._measurements.again(call.path["measurement_id"])

    async def take_measurement(self, call: Call[None, None]) -> Taken:
        """Take the value into the form. Nothing is recorded by this; the measurement ends."""
        return await self._measurements.take(call.path["measurement_id"], call.subject)

    async def end_measurement(self, call: Call[None, None]) -> None:
        """End a measurement without taking anything."""
        await self._measurements.stop(call.path["measurement_id"])
