"""What noise can do to a driver: measured, against the bound that its protocol allows (docs/devices.md)."""

import random
import sys
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.node.devices.drivers.base import Live, Result
from edge.node.devices.drivers.table import DRIVERS
from tests.node.devices.line import METERS, NODE_MS, STEP_S, STREAMS, Line, device_of, truth

MEGABYTE = 1_000_000
BOUND = {"sd-codefree": 2_000.0, "nonin-13": 400.0}
"""Wrong readings of all, at most, as a multiple of the square of the rate of flipped bits: pairs of flips that an
XOR or a one-byte sum cannot see, one of them in a value, where nothing can be read twice. Others: none."""
every = pytest.mark.parametrize("model", sorted(DRIVERS))


def numbers_after(model: str, pieces: Iterator[bytes]) -> int:
    """Numbers that a driver says when only noise comes."""
    driver, now, said = DRIVERS[model](0.0, NODE_MS), 0.0, 0
    for piece in pieces:
        now += len(piece) * 10 / driver.settings.baud
        driver.receive(piece, now)
        driver.bytes_to_send()
        timer = driver.get_timer()
        if timer is not None and timer <= now:
            driver.due(now)
        while (news := driver.next_news()) is not None:
            said += isinstance(news, Live | Result) and bool(news.values)
    return said


@every
def test_a_megabyte_of_random_bytes_is_no_number(model: str) -> None:
    draw = random.Random(11)
    assert numbers_after(model, (draw.randbytes(100) for _ in range(MEGABYTE // 100))) == 0


@pytest.mark.parametrize("model", STREAMS)
@pytest.mark.parametrize("rate", [1e-4, 1e-3])
def test_a_megabyte_of_bit_flipped_stream_never_says_a_wrong_number(model: str, rate: float) -> None:
    """Each bit is flipped by itself. Without a checksum the bound of :mod:`steady` has to hold: the true value."""
    line, draw = Line(model), random.Random(12)
    driver, device, now, passed = line.driver, line.device, 0.0, 0
    device.feed(driver.bytes_to_send(), 0.0)
    step_s = 1.0
    while passed < MEGABYTE:
        now += step_s
        device.step(now)
        clean = device.take()
        passed += len(clean)
        spoilt = flipped(clean, rate, draw)
        size = max(1, len(clean) // 50)
        for at in range(0, len(spoilt), size):
            driver.receive(spoilt[at : at + size], now + at / len(spoilt) * step_s)
        timer = driver.get_timer()
        if timer is not None and timer <= now:
            driver.due(now)
        device.feed(said, now) if (said := driver.bytes_to_send()) else None
    while (news := driver.next_news()) is not None:
        if isinstance(news, Live | Result) and news.values:
            line.news.append(news)
    assert all(numbers == truth(model) for numbers in line.numbers)
    if rate < 1e-3:
        assert line.results, "the bound must not be kept by saying nothing"


def flipped(data: bytes, rate: float, draw: random.Random) -> bytes:
    out, at = bytearray(data), 0.0
    while True:
        at += draw.expovariate(rate)
        if at >= len(out) * 8:
            return bytes(out)
        out[int(at) // 8] ^= 1 << int(at) % 8


@pytest.mark.parametrize("model", [*METERS, "nonin-13"])
@pytest.mark.parametrize("rate", [1e-4, 1e-3])
@pytest.mark.parametrize("size_bytes", [MEGABYTE // 20, pytest.param(MEGABYTE, marks=pytest.mark.long)])
def test_bit_flipped_sessions_of_a_meter_give_the_true_reading_or_none(
    model: str, rate: float, size_bytes: int
) -> None:
    draw, results, wrong, passed = random.Random(13), 0, 0, 0
    while passed < size_bytes:
        line = Line(model, device_of(model))

        def spoil(data: bytes) -> list[bytes]:
            nonlocal passed
            passed += len(data)
            return [flipped(data, rate, draw)]

        line.pieces = spoil
        before = passed
        while not line.results and line.now < 12:
            line.run(STEP_S)
        passed += passed == before
        wrong += any(numbers != truth(model) for numbers in line.numbers)
        results += len(line.results)
    assert results > 0
    assert wrong <= BOUND.get(model, 0.0) * rate**2 * results
    sys.stdout.write(f"{model} at {rate}: {wrong} wrong of {results} readings in {passed} bytes\n")


@every
@settings(max_examples=40, deadline=None)
@given(pieces=st.lists(st.tuples(st.binary(max_size=60), st.floats(0, 3)), max_size=30))
def test_whatever_comes_a_driver_neither_fails_nor_says_a_number(model: str, pieces: list[tuple[bytes, float]]) -> None:
    driver, now = DRIVERS[model](0.0, NODE_MS), 0.0
    for piece, pause_s in pieces:
        now += pause_s
        driver.receive(piece, now)
        timer = driver.get_timer()
        if timer is not None and timer <= now:
            driver.due(now)
        assert len(driver.bytes_to_send()) <= 600
        while (news := driver.next_news()) is not None:
            assert not (isinstance(news, Live | Result) and news.values)
    driver.stop()
