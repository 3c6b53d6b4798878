"""The meter's file: nothing that was carried is forgotten by a power cut, and the card is seldom written."""

from pathlib import Path

import msgspec
import pytest

from edge.model.clock import Instant
from edge.model.errors import BadInput
from edge.node.config import METER_FILE, NodeConfig, Site
from edge.node.usage import AHEAD_BYTES, KeptMeter, parse_caps
from edge.sync.meter import Wait

NOW = Instant(1_790_000_000_000, True)


def config(cap_mb: int | None = None) -> NodeConfig:
    plain = NodeConfig(bytes(8), b"", b"", b"", b"", b"", b"", (), b"", "hub", 1, 2, Site("MP-01", "Site"))
    return plain if cap_mb is None else msgspec.structs.replace(plain, data_caps_mb={"udp": cap_mb})


def test_a_process_that_dies_has_counted_too_much_rather_than_too_little(tmp_path: Path) -> None:
    usage = KeptMeter(tmp_path, config(1))
    usage.meter.set_time(NOW)
    writes = 0
    for _ in range(800):
        usage.meter.count("udp", 1_000, up=True)
        keep = usage.keeper()
        if keep is not None:
            keep()
            writes += 1
    carried = usage.meter.today_bytes("udp")
    assert writes <= 5
    again = KeptMeter(tmp_path, config(1))
    again.meter.set_time(NOW)
    assert carried <= again.meter.today_bytes("udp") <= carried + AHEAD_BYTES
    assert again.meter.waits("udp") is (Wait.CAP if again.meter.today_bytes("udp") >= 1_000_000 else Wait.NO)
    usage.exact()()
    exact = KeptMeter(tmp_path, config())
    exact.meter.set_time(NOW)
    assert exact.meter.today_bytes("udp") == carried


def test_after_a_restart_in_the_same_day_the_file_stays_ahead_of_what_is_carried(tmp_path: Path) -> None:
    KeptMeter(tmp_path, config()).exact()()
    for _ in range(2):
        usage = KeptMeter(tmp_path, config())
        usage.meter.set_time(NOW)
        for _ in range(100):
            usage.meter.count("udp", 100_000, up=True)
            keep = usage.keeper()
            if keep is not None:
                keep()
    after = KeptMeter(tmp_path, config())
    after.meter.set_time(NOW)
    assert after.meter.today_bytes("udp") >= 20_000_000


def test_a_torn_file_begins_the_day_anew_and_a_new_day_is_written(tmp_path: Path) -> None:
    (tmp_path / METER_FILE).write_bytes(b'{"day": 20')
    usage = KeptMeter(tmp_path, config())
    usage.meter.set_time(NOW)
    usage.meter.count("wss", 10, up=False)
    keep = usage.keeper()
    assert keep is not None
    keep()
    assert usage.keeper() is None
    usage.meter.set_time(Instant(NOW.wall_ms + 86_400_000, True))
    assert usage.keeper() is not None


def test_caps_are_written_bearer_and_mb() -> None:
    assert parse_caps({"udp": 9, "wss": 1}, ["udp=50"]) == {"udp": 50, "wss": 1}
    for text in ("udp", "tin=5", "udp=-1", "udp=x"):
        with pytest.raises(BadInput):
            parse_caps({}, [text])
