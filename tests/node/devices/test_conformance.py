"""What every driver must do with its device, whatever the line does."""

import random
from collections.abc import Callable

import pytest

from edge.node.devices.drivers.base import Condition, Live, Quality
from edge.node.devices.drivers.table import BY_USB, DRIVERS
from tests.kits.devices import DEVICES
from tests.node.devices.line import METERS, NODE_MS, STREAMS, Line, device_of, truth

every = pytest.mark.parametrize("model", sorted(DRIVERS))
streams = pytest.mark.parametrize("model", STREAMS)
meters = pytest.mark.parametrize("model", METERS)


def test_every_driver_has_a_simulated_device_and_every_adapter_names_drivers() -> None:
    assert set(DEVICES) == set(DRIVERS)
    assert {model for models in BY_USB.values() for model in models} <= set(DRIVERS)


@every
def test_the_true_value_comes_and_no_other(model: str) -> None:
    line = Line(model)
    line.run(20)
    assert line.results
    assert line.driver.condition is Condition.READY
    assert all(numbers == truth(model) for numbers in line.numbers)
    result = line.results[-1]
    assert result.quality is Quality.GOOD
    assert {value.vital for value in result.values} == set(DRIVERS[model].vitals)
    assert 0 < len(result.raw) <= 64


@every
def test_a_byte_at_a_time_gives_the_same(model: str) -> None:
    line = Line(model)
    line.pieces = lambda data: [data[at : at + 1] for at in range(len(data))]
    line.run(20)
    assert line.results
    assert all(numbers == truth(model) for numbers in line.numbers)


@every
def test_pieces_of_any_size_give_the_same(model: str) -> None:
    line, held = Line(model), bytearray()

    def pieces(data: bytes) -> list[bytes]:
        held.extend(data)
        size = line.draw.randrange(len(held) + 1) if line.draw.random() < 0.5 else len(held)
        piece = bytes(held[:size])
        del held[:size]
        return [piece]

    line.pieces = pieces
    line.run(20)
    assert line.results
    assert all(numbers == truth(model) for numbers in line.numbers)


@every
def test_a_silent_line_waits_and_says_no_number(model: str) -> None:
    line = Line(model)
    line.pieces = lambda data: []
    line.run(30)
    assert line.numbers == []
    assert line.driver.condition is Condition.WAITING


@every
def test_garbage_before_the_device_speaks_does_not_keep_the_value_away(model: str) -> None:
    line = Line(model)
    line.hear(bytes(random.Random(3).randrange(256) for _ in range(40)))
    line.run(40)
    assert line.results
    assert all(numbers == truth(model) for numbers in line.numbers)


@every
def test_a_line_of_noise_is_called_noisy_or_silent_and_says_no_number(model: str) -> None:
    line, draw = Line(model), random.Random(4)
    line.pieces = lambda data: [bytes(draw.randrange(256) for _ in range(draw.randrange(40)))]
    line.run(30)
    assert line.numbers == []
    assert line.driver.condition is Condition.NOISY


@every
def test_the_cable_pulled_in_the_middle_says_no_number_afterwards(model: str) -> None:
    line = Line(model)
    line.run(0.5)
    pulled = len(line.news)
    line.pieces = lambda data: [data[: len(data) // 2]] if len(line.news) == pulled and data else []
    line.run(0.1)
    line.pieces = lambda data: []
    line.clear()
    line.run(10)
    assert line.numbers == []


@streams
def test_a_finger_out_blanks_the_number_at_once_and_it_comes_back(model: str) -> None:
    line = Line(model)
    line.run(12)
    assert line.results
    line.clear()
    line.device.finger = False
    line.run(4)
    assert Live(()) in line.news or not line.numbers
    blank = max(place for place, news in enumerate(line.news) if news == Live(()))
    assert not any(isinstance(news, Live) and news.values for news in line.news[blank + 1 :])
    if model != "nonin-ascii":  # its lines do not say why there is no value
        assert line.driver.condition is Condition.NO_FINGER
    line.clear()
    line.device.finger = True
    line.run(12)
    assert line.numbers
    assert all(numbers == truth(model) for numbers in line.numbers)


@streams
def test_a_device_that_searches_gives_no_number(model: str) -> None:
    line = Line(model)
    line.device.searching = True
    line.run(10)
    assert line.numbers == []
    assert line.driver.condition is Condition.SEARCHING


@streams
def test_a_device_that_falls_silent_takes_its_number_with_it(model: str) -> None:
    line = Line(model)
    line.run(12)
    line.clear()
    line.pieces = lambda data: []
    line.run(8)
    assert Live(()) in line.news
    assert line.driver.condition is Condition.WAITING
    assert line.numbers == []


@streams
def test_a_value_is_followed_as_it_changes(model: str) -> None:
    line = Line(model)
    line.run(12)
    line.device.spo2, line.device.pulse = 84, 131
    line.clear()
    line.run(15)
    assert line.numbers[-1] == {"spo2": 84.0, "hr": 131.0}
    assert {tuple(numbers.values()) for numbers in line.numbers} <= {(97.0, 65.0), (84.0, 131.0)}


@meters
@pytest.mark.parametrize("wrong_days", [0, -4000, 900])
def test_a_meter_with_a_wrong_clock_gives_the_reading_of_now_or_says_that_it_cannot_tell(
    model: str, wrong_days: int
) -> None:
    line = Line(model, device_of(model, NODE_MS + wrong_days * 86_400_000))
    line.run(20)
    assert [{one.vital: one.value for one in result.values} for result in line.results] == [truth(model)]
    knows = model not in ("sd-codefree", "beurer-bm")
    result = line.results[0]
    assert result.quality is (Quality.GOOD if knows or wrong_days == 0 else Quality.DOUBTFUL)
    assert (result.age_s is None) == (not knows and wrong_days != 0)
    assert result.device_time


@meters
def test_readings_of_others_are_nobodys(model: str) -> None:
    device = device_of(model)
    del device.kept[2]
    line = Line(model, device)
    line.run(20)
    if model in ("sd-codefree", "beurer-bm"):  # their clock cannot be asked: the person compares
        assert {result.quality for result in line.results} == {Quality.DOUBTFUL}
    else:
        assert line.numbers == []
        assert line.driver.condition is Condition.NO_RECORD


@meters
def test_an_empty_memory_is_no_value(model: str) -> None:
    device = device_of(model)
    device.kept.clear()
    line = Line(model, device)
    line.run(12)
    assert line.numbers == []
    assert line.driver.condition is Condition.NO_RECORD


@pytest.mark.parametrize("model", ["onetouch-ultra", "contour-astm"])
def test_control_solution_is_no_patients(model: str) -> None:
    device = device_of(model)
    last = device.kept[2]
    device.kept[2] = type(last)(last.at_ms, last.mgdl, last.pressure, True)
    line = Line(model, device)
    line.run(12)
    assert line.numbers == []


@every
def test_one_damaged_byte_now_and_then_gives_the_true_value_or_none(model: str) -> None:
    line = Line(model)
    line.pieces = spoiler(random.Random(5), 1 / 600)
    line.run(120)
    assert all(numbers == truth(model) for numbers in line.numbers)


def spoiler(draw: random.Random, chance: float) -> Callable[[bytes], list[bytes]]:
    def spoil(data: bytes) -> list[bytes]:
        return [bytes(byte ^ (1 << draw.randrange(8)) if draw.random() < chance else byte for byte in data)]

    return spoil
