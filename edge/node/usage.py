"""The link's meter, kept over restarts in ``meter.json``: what a bearer carried today counts after a power cut too.

The file is ahead of the truth by up to ``AHEAD_BYTES``, so that it is seldom written and a process that dies has
counted too much rather than too little. Says nothing of anybody.
"""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from msgspec import DecodeError, ValidationError, json

from edge.model.errors import BadInput
from edge.sync.meter import Meter, Used, parse_hours

from .config import METER_FILE, NodeConfig, write_private

AHEAD_BYTES = 256 * 1024
BEARERS = ("udp", "wss")


class KeptMeter:
    """A meter and its file."""

    def __init__(self, folder: Path, config: NodeConfig) -> None:
        """Blocking: reads a small file. Raises BadInput for hours that are none."""
        self._path = folder / METER_FILE
        used = None
        with contextlib.suppress(FileNotFoundError, DecodeError, ValidationError):  # torn: the day begins anew
            used = json.decode(self._path.read_bytes(), type=Used)
        caps = {bearer: mb * 1_000_000 for bearer, mb in config.data_caps_mb.items()}
        self.meter = Meter(caps, parse_hours(config.bulk_hours), used)
        self._kept = _copy(self.meter.used())  # the meter goes on counting in its own

    def keeper(self) -> Callable[[], None] | None:
        """What has to be written now, as a blocking call; None for nothing."""
        used = self.meter.used()
        if used.day == self._kept.day and all(
            self.meter.today_bytes(bearer) <= _total(self._kept, bearer) for bearer in BEARERS
        ):
            return None
        ahead = {bearer: used.up_bytes[bearer] + AHEAD_BYTES for bearer in BEARERS if bearer in used.up_bytes}
        self._kept = Used(used.day, ahead, dict(used.down_bytes))
        return self._writer(self._kept)

    def exact(self) -> Callable[[], None]:
        """The same when the process ends in order: no more than was carried."""
        return self._writer(_copy(self.meter.used()))

    def _writer(self, used: Used) -> Callable[[], None]:
        return lambda: write_private(self._path, json.encode(used))


def _copy(used: Used) -> Used:
    return Used(used.day, dict(used.up_bytes), dict(used.down_bytes))


def _total(used: Used, bearer: str) -> int:
    return used.up_bytes.get(bearer, 0) + used.down_bytes.get(bearer, 0)


def parse_caps(configured: Mapping[str, int], texts: Sequence[str]) -> dict[str, int]:
    """``udp=50`` and the like, over what the configuration says. Raises BadInput."""
    caps = dict(configured)
    for text in texts:
        bearer, _, number = text.partition("=")
        if bearer not in BEARERS or not (number.isascii() and number.isdecimal()):
            raise BadInput("A cap is written BEARER=MB; bearers are udp and wss.", field="data_cap")
        caps[bearer] = int(number)
    return caps
