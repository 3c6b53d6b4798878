"""Before a call, over HTTP: the tablet says how its devices stand, the node answers what will work."""

from msgspec import Struct

from edge.media.preflight import Devices, DeviceState, Expect
from edge.node.calls import CallDesk
from edge.node.preflight import Preflight
from edge.web.routes import AnyRoute, Call, Route


class PreflightRequest(Struct, frozen=True, forbid_unknown_fields=True):
    camera: DeviceState
    microphone: DeviceState
    sound: DeviceState
    """Of the tablet that shows the doctor."""


class PreflightReply(Struct, frozen=True):
    expect: Expect
    rung: str
    line: str
    """Message id of the one line."""
    devices: tuple[str, ...]
    """Message ids of what is wrong with camera, microphone or sound."""
    up_bps: int
    """IP bits per second that the way to the hub showed, and back; 0: not measured."""
    down_bps: int
    sent_bytes: int
    """What that took, each way."""
    took_ms: int


class PreflightApi:
    """Handlers over the measurements of one node."""

    def __init__(self, preflight: Preflight, calls: CallDesk) -> None:
        self._preflight, self._calls = preflight, calls

    def routes(self) -> list[AnyRoute]:
        """The table."""
        return [Route("POST", "/api/preflight", self.post, PreflightRequest, PreflightReply, errors=(423,))]

    async def post(self, call: Call[PreflightRequest, None]) -> PreflightReply:
        """What a call would carry now, within three seconds; sends some kilobytes to measure the link."""
        given = call.body
        tablet = Devices(given.camera, given.microphone, given.sound)
        verdict, found = await self._preflight.verdict(tablet, self._calls.camera_failures)
        return PreflightReply(
            verdict.expect,
            verdict.rung,
            verdict.line,
            verdict.devices,
            int(found.up.rate_bps) if found.up else 0,
            int(found.down.rate_bps) if found.down else 0,
            found.sent_bytes,
            int(found.took_s * 1000),
        )
