"""The arithmetic of the media bench: its figures must be right before anything that it says of calls can be."""

import asyncio
import base64
import math
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
from msgspec import structs

from edge.media.process import CallProcess
from edge.media.signals import CallStats, FromCall, StartCall
from edge.media.testcard import BLOCKS, read_clock
from tests.bench import media, media_calls, media_figures, media_load, media_quality, media_source
from tests.bench.media_calls import PageRecord, PageStats, Raw, Sound
from tests.bench.media_figures import Figures, Said
from tests.bench.media_plot import Line, Panel, render
from tests.bench.media_rows import ROWS, cellular
from tests.bench.media_source import FPS, HEIGHT, PICTURES, WIDTH, numbered
from tests.bench.media_weight import more, slope_mb_per_hour
from tests.kits.link import LinkSpec
from tests.kits.process import Handles


def _voice(noise: float) -> tuple[np.ndarray, np.ndarray]:
    """Three seconds at 10 kHz of something voiced with pauses, clean and with noise."""
    draw = np.random.default_rng(7)
    at = np.arange(30_000) / 10_000
    syllables = np.maximum(np.sin(2 * np.pi * 3.1 * at), 0) ** 0.5 * (at % 1.5 < 1.2)
    hum = sum(np.sin(2 * np.pi * 140 * k * at * (1 + 0.01 * np.sin(2 * np.pi * at))) / k for k in range(1, 25))
    clean = syllables * hum
    return clean, clean + noise * draw.standard_normal(len(at))


@pytest.mark.parametrize(("noise", "score"), [(0.0, 1.0), (0.1, 0.96810005), (0.5, 0.72392063), (2.0, 0.44533764)])
def test_intelligibility_is_what_the_reference_program_says(noise: float, score: float) -> None:
    """Scores of pystoi 0.4.1 for the same samples."""
    clean, noisy = _voice(noise)
    assert media_quality.stoi(clean, noisy, 10_000) == pytest.approx(score, abs=1e-6)
    clean, noisy = (media_quality.resample(sound, 10_000, 48_000) for sound in (clean, noisy))
    assert media_quality.stoi(clean, noisy, 48_000) == pytest.approx(score, abs=1e-3)


def test_too_little_speech_has_no_intelligibility() -> None:
    assert math.isnan(media_quality.stoi(np.zeros(200), np.zeros(200), 10_000))
    clean, noisy = _voice(0.1)
    assert math.isnan(media_quality.stoi(clean[:2_000], noisy[:2_000], 10_000))


def test_noise_of_a_known_size_has_its_psnr_and_equal_pictures_are_alike() -> None:
    plane = np.tile(np.arange(64.0), (48, 1)) * 3
    off_by_five = plane + np.where(np.indices(plane.shape).sum(0) % 2, 5.0, -5.0)
    assert media_quality.psnr_db(plane, plane) == 99
    assert media_quality.psnr_db(off_by_five, plane) == pytest.approx(20 * math.log10(255 / 5))
    assert media_quality.ssim(plane, plane) == pytest.approx(1)
    assert media_quality.ssim(off_by_five, plane) < 0.9
    assert media_quality.ssim(255 - plane, plane) < 0


def test_a_picture_keeps_its_number_in_its_top_row() -> None:
    picture = np.full((HEIGHT * 3 // 2, WIDTH), 90, np.uint8)
    for number in (0, 1, 777, PICTURES - 1):
        row = numbered(picture, number)[WIDTH // BLOCKS // 2]
        blocks = [int(row[(2 * block + 1) * WIDTH // (2 * BLOCKS)] > 127) for block in range(BLOCKS)]
        assert read_clock(blocks) == number


def _record(looks: list[PageStats] | None = None) -> PageRecord:
    return PageRecord([], looks or [], [], [], [], [], [])


def _look(at_ms: float, peer: int, samples: int, made_up: int, silent: int, packets: int) -> PageStats:
    sound = {
        "type": "inbound-rtp", "kind": "audio", "totalSamplesReceived": samples, "concealedSamples": made_up,
        "silentConcealedSamples": silent, "packetsReceived": packets, "bytesReceived": packets * 50,
        "headerBytesReceived": packets * 400,
    }  # fmt: skip
    return PageStats(at_ms, peer, "connected", [sound])


def test_counters_of_a_connection_that_was_replaced_are_kept_and_padding_is_no_use() -> None:
    looks = [
        _look(500, 0, 1_000, 100, 0, 10),
        _look(1_500, 0, 41_000, 500, 200, 20),
        _look(2_500, 1, 10_000, 800, 0, 5),
    ]
    received = media_figures.Received(_record(looks), 1_000, 9_000)
    assert received.attempts() == 2
    assert received.gained("audio", "totalSamplesReceived") == 40_000 + 10_000
    assert received.concealed_pct() == pytest.approx(100 * (400 - 200 + 800) / 50_000)
    assert received.concealed_pct(silence=True) == pytest.approx(100 * (400 + 800) / 50_000)
    assert received.useful_bytes() == 15 * (50 + 20 + 38)


def test_gaps_over_a_second_count_to_the_end_of_the_window() -> None:
    assert media_figures.gaps([0, 900, 2_400, 2_500], 6_000) == pytest.approx(1.5 + 3.5)
    assert media_figures.gaps([], 6_000) == 0


def test_the_longest_time_without_a_picture_reaches_to_the_end() -> None:
    assert media_figures.longest_s([1_000, 4_000, 9_000], 12_000) == 5
    assert media_figures.longest_s([1_000], 12_000) == 11
    assert media_figures.longest_s([], 12_000) == math.inf


def _raw(doctor: PageRecord, samples: list[media_load.Sample], cut_s: tuple[float, float] | None = None) -> Raw:
    return Raw("cellular", "ours", 1, 60, 0, 0, doctor, _record(), "file", [], samples, cut_s)


def test_a_call_is_back_when_a_seconds_bytes_reach_four_fifths_of_what_the_line_gives() -> None:
    # 100 packets of 108 B a second until 20 s, nothing until 35 s, 30 a second until 38 s, then 90.
    packets, looks = 0, []
    for second in range(60):
        packets += 100 if second < 20 else 0 if second < 35 else 30 if second < 38 else 90
        looks.append(_look(second * 1000.0, 0, 0, 0, 0, packets))
    samples = [media_load.Sample(float(s), 0, 0, 0, 0, 0, 200_000) for s in range(60)]
    assert media_figures.back_s(_raw(_record(looks), samples, (20, 32))) == pytest.approx(6)
    slow = [structs.replace(sample, rate_bps=30_000) for sample in samples]
    assert media_figures.back_s(_raw(_record(looks), slow, (20, 32))) == pytest.approx(3)
    assert media_figures.back_s(_raw(_record(looks[:37]), samples, (20, 32))) == math.inf
    assert math.isnan(media_figures.back_s(_raw(_record(looks), samples)))


def test_a_sentence_is_found_late_and_stretched_and_a_lost_one_counts_as_nothing() -> None:
    draw = np.random.default_rng(3)
    rate = 16_000
    words = np.convolve(draw.standard_normal(3 * rate), np.ones(6) / 6, "same") * 0.2
    played = np.zeros(20 * rate)
    place = 7 * rate
    played[place : place + rate] = words[:rate]
    played[place + rate + 800 : place + 2 * rate + 800] = words[rate : 2 * rate]  # 50 ms put in by a jitter buffer
    played[place + 2 * rate + 800 : place + 3 * rate + 800] = words[2 * rate :]
    pcm = base64.b64encode((played * 32767).astype("<i2").tobytes()).decode()
    track = Sound(rate, [(20_000.0, 20 * rate)], pcm)
    found = media_figures.heard([track], [Said(6_400, words)], 0, 20_000)
    assert (found.said, found.heard) == (1, 1)
    assert found.delay_ms == pytest.approx(600, abs=55)
    assert found.stoi > 0.8
    lost = media_figures.heard([track], [Said(6_400, words), Said(6_400, words[::-1])], 0, 20_000)
    assert (lost.said, lost.heard) == (2, 1)
    assert lost.stoi == pytest.approx(found.stoi / 2)


def _figures(**known: float) -> Figures:
    fields: dict[str, object] = dict.fromkeys(Figures.__struct_fields__, 0.0)
    return Figures(**(fields | {"row": "128", "peer": "ours", "seed": 1, "disturbed": False} | known))  # type: ignore[arg-type]


def test_medians_of_seeds_leave_out_what_most_calls_cannot_say() -> None:
    calls = [
        _figures(fps=3, first_frame_s=math.nan),
        _figures(fps=9, first_frame_s=math.nan),
        _figures(fps=4, first_frame_s=1),
    ]
    assert media.median(calls).fps == 4
    assert math.isnan(media.median(calls).first_frame_s)
    assert media.median([structs.replace(calls[0], disturbed=True), calls[1]]).disturbed


def test_goals_are_judged_against_the_capped_call_where_they_say_so() -> None:
    row = next(row for row in ROWS if row.name == "128")
    ours = _figures(concealed_pct=0.9, frames=800, frozen_s=1.5, first_frame_s=math.nan, link_used_pct=80)
    judged = {
        one.name.rpartition(" ")[2]: one for one in media.judge(row, {"ours": ours, "capped": _figures(frames=801)})
    }
    assert {name: one.ok for name, one in judged.items()} == {
        "concealed_pct": True, "frames": False, "frozen_s": False, "first_frame_s": False, "link_used_pct": True,
    }  # fmt: skip
    assert judged["frames"].reach == 801
    alone = {one.name.rpartition(" ")[2]: one for one in media.judge(row, {"ours": ours})}
    assert alone["frames"].ok is None and alone["concealed_pct"].ok
    assert media.judge(row, {"stock": ours}) == []


def test_the_cellular_trace_is_drawn_from_its_seed() -> None:
    first, same, other = cellular(4), cellular(4), cellular(5)
    assert first == same and first.uplink.trace != other.uplink.trace
    rates = [kbps for _, kbps in first.uplink.trace]
    assert min(rates) >= 48 and max(rates) <= 600 and len(set(rates)) > 50


def test_growth_of_memory_is_the_slope_after_the_warm_up() -> None:
    flat = [media_load.Sample(s * 10.0, 0, 0, 100 + min(s, 100) * 0.5, 0, 0, 0) for s in range(360)]
    assert slope_mb_per_hour(flat) == pytest.approx(0, abs=1e-6)
    leaking = [structs.replace(one, pss_mb=100 + one.unix_s / 3600 * 30) for one in flat]
    assert slope_mb_per_hour(leaking) == pytest.approx(30)


def test_handles_that_only_grow_are_told_and_those_of_the_warm_up_are_not() -> None:
    steady = [media_load.Sample(s, 0, 0, 0, 0, 0, 0, Handles(min(s, 40), 30 + s % 2)) for s in range(360)]
    assert more(steady, "descriptors") == 0 and more(steady, "threads") <= 1
    leaking = [structs.replace(one, handles=Handles(40 + int(one.unix_s) // 60, 30)) for one in steady]
    assert more(leaking, "descriptors") == 2 and more(leaking, "threads") == 0


def test_a_plot_is_well_formed_and_keeps_what_it_is_told() -> None:
    panel = Panel("kbit/s", (Line("sent <a>", "#123456", [(0, 0), (10, 64)]),))
    text = render("64 & more", 60, [panel], [(5, "video-180p")])
    drawing = ET.fromstring(text)  # noqa: S314 - our own text
    texts = [element.text for element in drawing.iter("{http://www.w3.org/2000/svg}text")]
    assert "sent <a>" in texts and "video-180p" in texts and "64 & more" in texts
    (curve,) = drawing.iter("{http://www.w3.org/2000/svg}polyline")
    (first, second) = [tuple(map(float, point.split(","))) for point in curve.attrib["points"].split()]
    assert first[0] < second[0] and first[1] > second[1]


def _head(count: int) -> list[np.ndarray]:
    """Pictures of something round that moves, as I420 planes of 720 rows."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    pictures = []
    for number in range(count):
        luma = 60 + 120 * np.exp(-((x - 250 - 8 * number) ** 2 + (y - 260) ** 2) / 20_000)
        pictures.append(np.vstack([luma, np.full((HEIGHT // 2, WIDTH), 128)]).astype(np.uint8))
    return pictures


@pytest.mark.browser
@pytest.mark.serial
@pytest.mark.root
def test_a_short_plain_call_gives_every_figure(tmp_path: Path) -> None:
    """On a link that takes nothing away, all that can be measured of it has to come out well."""
    source = media_source.make(tmp_path / "source", _head(12), FPS * 10)
    row = structs.replace(ROWS[-2], spec=lambda seed: LinkSpec.both(rate_kbps=4_000, rtt_ms=60, seed=seed))
    found = media_figures.figures(media_calls.run(row, "stock", 1, 12, source), source, settle_s=1)
    assert found.frames > 40 and found.width >= 320
    assert found.own_frames > 40
    assert found.psnr_db > 28 and found.ssim > 0.8
    assert 20 < found.glass_to_glass_ms < 1_500
    assert found.concealed_pct < 10 and found.audio_s > 5
    assert found.sentences >= 1 and found.sentences_heard >= 1 and found.stoi > 0.5
    assert 30 < found.mouth_to_ear_ms < 1_500
    assert 0 < found.link_used_pct < 100
    assert found.first_frame_s < 8 and found.attempts == 1


async def test_a_call_process_of_the_bench_writes_down_what_it_saw(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UPKENDRA_BENCH_TRACE", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(Path(media_calls.__file__).parent / "media_trace"))
    said: list[FromCall] = []
    second = asyncio.Event()

    async def on_message(message: FromCall) -> None:
        said.append(message)
        if isinstance(message, CallStats):
            second.set()

    process = await CallProcess.start(StartCall("0123456789abcdef", "test"), on_message)
    async with asyncio.timeout(60):
        await second.wait()
    await process.stop()
    entries = media_calls.trace(tmp_path)
    assert {"allocation", "second", "sound"} <= {entry["kind"] for entry in entries}
    assert next(entry for entry in entries if entry["kind"] == "second")["state"] == "connecting"
