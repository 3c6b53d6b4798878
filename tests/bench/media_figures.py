"""From what both ends of a call recorded to its figures: pure but for reading the source's planes.

The window is ``seconds`` from the start of ICE at the doctor's (its own answer is set). Definitions:

- sound concealed: ``concealedSamples`` less ``silentConcealedSamples``, of ``totalSamplesReceived`` (W3C webrtc-stats):
  what was made up while somebody spoke; made-up silence, which pauses of discontinuous transmission bring, is left out.
- frozen: ``totalFreezesDuration`` plus every gap of more than a second between two received pictures, from the first
  picture to the end of the window; a long freeze so counts twice. All of the window where no picture ever came.
- frames a second: ``framesDecoded`` in the window over all of its seconds, from the start of ICE.
- link used: RTP that the doctor's browser received (``bytesReceived``, without padding, and at most 20 bytes of header
  a packet) plus 38 bytes of IP, UDP and SRTP tag a packet, over what the line could carry in the window.
- glass to glass: from the moment a numbered picture is handed to the sender to the moment the receiving page has it.
- mouth to ear, STOI: each sentence is looked for in what the page played, in pieces of 0.2 s whose lags may change
  little from one to the next (a jitter buffer stretches and shortens speech); STOI is that of the pieces together. A
  sentence whose pieces correlate by less than 0.3 in the mean with anything of the next 8 s was not heard and counts as
  0 in the mean. Sentences of the first 5 s are left out.
"""

import base64
import bisect
import itertools
import math
import statistics
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray
from PIL import Image

from tests.bench import media_quality
from tests.bench.media_calls import PageRecord, PageStats, Picture, Raw, Sound
from tests.bench.media_rows import Peer
from tests.bench.media_source import COMPARED, COMPARED_FROM_ROW, LENGTH_SAMPLES, PICTURES, RATE_HZ, Source, Speech

GAP_S = 1.0
STILL_EVERY_S = 6.0
HEARD_FROM = 0.3
_PIECE_S = 0.2
_LATEST_S = 8.0
"""A sentence or a picture that comes later than this is taken for lost."""
_SEARCH_HZ = 16_000
_LAG_STEP, _LAG_SLACK = _SEARCH_HZ // 500, 20
"""Lags are looked at in steps of 2 ms, and change by up to 40 ms from one piece to the next."""
_LOOP_MS = LENGTH_SAMPLES * 1000 / RATE_HZ
_HEADER_BYTES = 20
_BELOW_RTP_BYTES = 38


class Figures(Struct, frozen=True, kw_only=True):
    """One call in numbers; NaN for what cannot be said. ``return_…`` is what the patient's side received."""

    row: str
    peer: Peer
    seed: int
    seconds: float
    load: float
    """Highest load average of the machine in the window."""
    disturbed: bool
    concealed_pct: float
    concealed_all_pct: float
    """Made-up silence included."""
    return_concealed_pct: float
    return_lost_s: float
    """Ours: sound of the doctor's that the call process missed, by RTP sequence numbers."""
    audio_s: float
    return_audio_s: float
    frames: float
    fps: float
    freeze_s: float
    gaps_s: float
    frozen_s: float
    first_frame_s: float
    """From the start of ICE to the first picture whose number can be read: a grey one before it is none."""
    from_click_s: float
    """From the doctor's click, the call being taken at once; NaN in a call without one."""
    first_sound_s: float
    """From the start of ICE to the first packet of sound, to half a second."""
    width: float
    """Of the picture, median of the received ones."""
    stills: float
    """Whole small stills that came over the data channel."""
    picture_gap_s: float
    """The longest time without a new frame or still, from the first of them to the end."""
    picture_ok: float
    """1 when there was one frame a second, or a frame or still at least every 6 s."""
    link_used_pct: float
    line_filled_pct: float
    """All IP bytes that the emulated line carried, over what it could."""
    glass_to_glass_ms: float
    glass_to_glass_p95_ms: float
    psnr_db: float
    ssim: float
    mouth_to_ear_ms: float
    stoi: float
    sentences: float
    sentences_heard: float
    return_mouth_to_ear_ms: float
    return_stoi: float
    jitter_buffer_ms: float
    cpu_pct: float
    """Call process, of one core."""
    pss_mb: float
    attempts: float
    ended: float
    """How many attempts of ours ended before the call did; in the others 1 when the connection failed."""
    back_s: float
    """From the end of the outage until the doctor's browser received 80 % of the rate again, see :func:`back_s`."""
    own_frames: float
    """Frames of the doctor's own picture that arrived at the patient's side."""


def figures(raw: Raw, source: Source, settle_s: float = 5.0) -> Figures:
    """All of it. Sentences of the first ``settle_s`` are left out: connecting has figures of its own."""
    begin_ms, end_ms = raw.began_ms, raw.began_ms + raw.seconds * 1000
    there, here = Received(raw.doctor, begin_ms, end_ms), Received(raw.patient, begin_ms, end_ms)
    shown = [entry for entry in raw.doctor.received if begin_ms <= entry[0] <= end_ms]
    frames = there.gained("video", "framesDecoded")
    freeze_s, gaps_s = there.gained("video", "totalFreezesDuration"), gaps([at for at, *_ in shown], end_ms)
    first_ms = next((at for at, number, *_ in shown if number >= 0), math.nan)
    frozen_s = raw.seconds if not shown else freeze_s + gaps_s
    capacity_bits = sum(sample.rate_bps for sample in raw.samples) / max(len(raw.samples), 1) * raw.seconds
    carried = [sample.up_bytes for sample in raw.samples] or [0]
    glass = delays_ms(raw, shown)
    film = raw.camera == "file"
    said = said_by_film(raw, source.patient) if film else said_into(raw.patient, source.patient)
    settled_ms = begin_ms + settle_s * 1000
    hear = heard(raw.doctor.heard, said, settled_ms, end_ms)
    return_hear = heard(raw.patient.heard, said_into(raw.doctor, source.doctor), settled_ms, end_ms)
    seconds = [entry for entry in raw.trace if entry["kind"] == "second"]
    worst_load = max((sample.load for sample in raw.samples), default=0.0)
    stills = [at for at, *_ in raw.doctor.stills if begin_ms <= at <= end_ms]
    empty_s = longest_s(sorted([*stills, *(at for at, number, *_ in shown if number >= 0)]), end_ms)
    looks = quality(raw.doctor.pictures, source)
    return Figures(
        row=raw.row, peer=raw.peer, seed=raw.seed, seconds=raw.seconds, load=worst_load, disturbed=worst_load > 2.5,
        concealed_pct=there.concealed_pct(), concealed_all_pct=there.concealed_pct(silence=True),
        return_concealed_pct=here.concealed_pct(),
        return_lost_s=float(seconds[-1]["concealed_s"]) if seconds else math.nan,
        audio_s=there.gained("audio", "totalSamplesReceived") / RATE_HZ,
        return_audio_s=here.gained("audio", "totalSamplesReceived") / RATE_HZ,
        frames=frames, fps=frames / raw.seconds, freeze_s=freeze_s, gaps_s=gaps_s, frozen_s=frozen_s,
        first_frame_s=(first_ms - begin_ms) / 1000,
        from_click_s=(first_ms - raw.clicked_ms) / 1000 if raw.clicked_ms else math.nan,
        first_sound_s=there.first_sound_s(),
        width=_median([entry[2] for entry in shown]),
        stills=float(len(stills)), picture_gap_s=empty_s,
        picture_ok=float(frames >= raw.seconds or empty_s <= STILL_EVERY_S),
        link_used_pct=100 * there.useful_bytes() * 8 / capacity_bits if capacity_bits > 0 else math.nan,
        line_filled_pct=100 * (carried[-1] - carried[0]) * 8 / capacity_bits if capacity_bits > 0 else math.nan,
        glass_to_glass_ms=_median(glass), glass_to_glass_p95_ms=_share(glass, 0.95),
        psnr_db=_median([one[0] for one in looks]), ssim=_median([one[1] for one in looks]),
        mouth_to_ear_ms=hear.delay_ms, stoi=hear.stoi, sentences=hear.said, sentences_heard=hear.heard,
        return_mouth_to_ear_ms=return_hear.delay_ms, return_stoi=return_hear.stoi,
        jitter_buffer_ms=there.jitter_buffer_ms(),
        cpu_pct=cpu_pct(raw), pss_mb=max((sample.pss_mb for sample in raw.samples), default=math.nan),
        attempts=there.attempts(), ended=float(there.failed() if raw.peer != "ours" else there.attempts() - 1),
        back_s=back_s(raw), own_frames=here.gained("video", "framesDecoded"),
    )  # fmt: skip


class Received:
    """The statistics of one page's connections within a window; a connection that is gone counts as last seen."""

    def __init__(self, record: PageRecord, begin_ms: float, end_ms: float) -> None:
        self.begin_ms = begin_ms
        self.looks = [look for look in record.stats if look.at <= end_ms]
        self._before = [look for look in self.looks if look.at < begin_ms]

    def gained(self, kind: str, name: str) -> float:
        """What a counter of the received ``kind`` gained."""
        return self._total(self.looks, "inbound-rtp", kind, name) - self._total(self._before, "inbound-rtp", kind, name)

    @staticmethod
    def _total(looks: Sequence[PageStats], type_: str, kind: str, name: str) -> float:
        last: dict[int, float] = {}
        for look in looks:
            values = [_number(entry, name) for entry in entries(look, type_, kind)]
            if values:
                last[look.peer] = max(last.get(look.peer, 0.0), sum(values))
        return sum(last.values())

    def concealed_pct(self, *, silence: bool = False) -> float:
        """Share of the sound that was made up."""
        samples = self.gained("audio", "totalSamplesReceived")
        made_up = self.gained("audio", "concealedSamples")
        if not silence:
            made_up -= self.gained("audio", "silentConcealedSamples")
        return 100 * made_up / samples if samples else math.nan

    def useful_bytes(self) -> float:
        """IP bytes of RTP, without padding."""
        packets = self.gained("audio", "packetsReceived") + self.gained("video", "packetsReceived")
        payload = self.gained("audio", "bytesReceived") + self.gained("video", "bytesReceived")
        headers = self.gained("audio", "headerBytesReceived") + self.gained("video", "headerBytesReceived")
        return payload + min(headers, packets * _HEADER_BYTES) + packets * _BELOW_RTP_BYTES

    def first_sound_s(self) -> float:
        """When the first packet of sound was there."""
        for look in self.looks:
            if any(_number(entry, "packetsReceived") > 0 for entry in entries(look, "inbound-rtp", "audio")):
                return max(look.at - self.begin_ms, 0.0) / 1000
        return math.nan

    def jitter_buffer_ms(self) -> float:
        """Mean time that sound waited in the buffer."""
        count = self.gained("audio", "jitterBufferEmittedCount")
        return 1000 * self.gained("audio", "jitterBufferDelay") / count if count else math.nan

    def attempts(self) -> int:
        """Connections that the call needed."""
        return len({look.peer for look in self.looks})

    def failed(self) -> bool:
        """Whether the connection was given up by the end."""
        return bool(self.looks) and self.looks[-1].state == "failed"


def entries(look: PageStats, type_: str, kind: str = "") -> Iterator[dict[str, Any]]:
    """The entries of a type, and of a kind where one is given."""
    return (e for e in look.entries if e["type"] == type_ and (not kind or e.get("kind") == kind))


def _number(entry: dict[str, Any], name: str) -> float:
    return float(entry.get(name) or 0.0)


def gaps(times_ms: Sequence[float], end_ms: float) -> float:
    """Seconds in gaps of more than a second between pictures, the end of the window being one."""
    spaces = [(b - a) / 1000 for a, b in zip(times_ms, [*times_ms[1:], end_ms], strict=True)] if times_ms else []
    return sum(space for space in spaces if space > GAP_S)


def longest_s(times_ms: Sequence[float], end_ms: float) -> float:
    """The longest of the spaces between moments, the end being one; infinite without any."""
    spaces = [b - a for a, b in itertools.pairwise([*times_ms, end_ms])]
    return max(spaces) / 1000 if spaces else math.inf


def cpu_pct(raw: Raw) -> float:
    """CPU of the call process over the window, of one core."""
    used = [sample for sample in raw.samples if sample.call_cpu_s > 0]
    if len(used) < 2:
        return math.nan
    return 100 * (used[-1].call_cpu_s - used[0].call_cpu_s) / (used[-1].unix_s - used[0].unix_s)


def delays_ms(raw: Raw, shown: Sequence[tuple[float, int, int, int]]) -> list[float]:
    """Age of each received picture: since its number was last handed to the sender."""
    if raw.camera == "file":
        handed = [(float(entry["t"]) * 1000, int(entry["number"])) for entry in raw.trace if entry["kind"] == "picture"]
    else:
        handed = [(at, number) for at, number, *_ in raw.patient.sent]
    when: dict[int, list[float]] = {}
    for at, number in handed:
        when.setdefault(number, []).append(at)
    ages = []
    for at, number, *_ in shown:
        times = when.get(number, []) if number >= 0 else []
        place = bisect.bisect_right(times, at) - 1
        if place >= 0 and at - times[place] < _LATEST_S * 1000:
            ages.append(at - times[place])
    return ages


def quality(pictures: Sequence[Picture], source: Source) -> list[tuple[float, float]]:
    """PSNR and SSIM of each kept picture against the film, both at the compared size, without the row of blocks."""
    results = []
    for one in pictures:
        if one.number >= PICTURES:
            continue
        luma = np.frombuffer(base64.b64decode(one.luma), dtype=np.uint8).reshape(one.height, one.width)
        fitted = Image.fromarray(luma).resize(COMPARED, Image.Resampling.BICUBIC)
        shown = np.asarray(fitted, dtype=np.float64)[COMPARED_FROM_ROW:]
        meant = source.luma(one.number)[COMPARED_FROM_ROW:]
        results.append((media_quality.psnr_db(shown, meant), media_quality.ssim(shown, meant)))
    return results


class Heard(Struct, frozen=True):
    """What became of the sentences; NaN when none could be judged."""

    delay_ms: float
    stoi: float
    said: int
    heard: int


class Said(Struct, frozen=True):
    """A sentence as it was handed to the sender; samples at the search rate."""

    at_ms: float
    samples: NDArray[np.float64]


def said_by_film(raw: Raw, speech: Speech) -> Iterator[Said]:
    """The sentences of the film that the call process itself plays; its count of sound frames tells when."""
    marks = [entry for entry in raw.trace if entry["kind"] == "sound"]
    if not marks:
        return
    began_ms = min(float(entry["t"]) * 1000 - int(entry["frames"]) * 20 for entry in marks)
    whole = media_quality.resample(speech.samples(), RATE_HZ, _SEARCH_HZ)
    last_ms = raw.began_ms + raw.seconds * 1000
    for turn in range(math.ceil((last_ms - began_ms) / _LOOP_MS)):
        for one in speech.utterances:
            start, end = (sample * _SEARCH_HZ // RATE_HZ for sample in (one.start, one.end))
            yield Said(began_ms + turn * _LOOP_MS + start * 1000 / _SEARCH_HZ, whole[start:end])


def said_into(record: PageRecord, speech: Speech) -> Iterator[Said]:
    """The sentences that a page's fake microphone took, found in the page's own record: after the browser's echo
    canceller and its gain, so that only the way is judged.
    """
    whole = media_quality.resample(speech.samples(), RATE_HZ, _SEARCH_HZ)
    for track in record.spoken:
        taken = media_quality.resample(_samples(track), track.rate, _SEARCH_HZ)
        if len(taken) < 4 * _SEARCH_HZ:
            continue
        first_ms = _time_of(track, 0)
        middle = min(len(taken) // 2, 10 * _SEARCH_HZ)
        part = taken[middle : middle + 2 * _SEARCH_HZ]
        place, _ = media_quality.place_of(part, np.concatenate([whole, whole]))
        for turn in range(-2, 2 + len(taken) // len(whole)):
            for one in speech.utterances:
                length = (one.end - one.start) * _SEARCH_HZ // RATE_HZ
                start = middle - place + turn * len(whole) + one.start * _SEARCH_HZ // RATE_HZ
                if start >= 0 and start + length <= len(taken):
                    yield Said(first_ms + start * 1000 / _SEARCH_HZ, taken[start : start + length])


def heard(tracks: Sequence[Sound], sentences: Iterable[Said], begin_ms: float, end_ms: float) -> Heard:
    """Look for each sentence of the window in what was played."""
    delays: list[float] = []
    clear: list[float] = []
    played = [
        (_time_of(track, 0), media_quality.resample(_samples(track), track.rate, _SEARCH_HZ))
        for track in tracks
        if track.marks
    ]
    for said in sentences:
        length_ms = len(said.samples) * 1000 / _SEARCH_HZ
        if said.at_ms < begin_ms or said.at_ms + length_ms + 2000 > end_ms:
            continue
        found = [_find(said, first_ms, sound) for first_ms, sound in played]
        delay_ms, score = max(found, key=lambda one: one[1], default=(math.nan, 0.0))
        clear.append(score)
        if not math.isnan(delay_ms):
            delays.append(delay_ms)
    return Heard(_median(delays), statistics.fmean(clear) if clear else math.nan, len(clear), len(delays))


def _find(said: Said, first_ms: float, sound: NDArray[np.float64]) -> tuple[float, float]:
    """Delay in ms (NaN: not found) and STOI of a sentence."""
    start = int((said.at_ms - first_ms) * _SEARCH_HZ / 1000)
    window = _cut(sound, start, len(said.samples) + int(_LATEST_S * _SEARCH_HZ))
    size = int(_PIECE_S * _SEARCH_HZ)
    pieces = [said.samples[at : at + size] for at in range(0, len(said.samples) - size + 1, size)]
    places, sure = media_quality.follow(pieces, window, _LAG_STEP, _LAG_SLACK)
    if sure < HEARD_FROM:
        return math.nan, 0.0
    aligned = [window[place : place + size] for place in places]
    score = media_quality.stoi(np.concatenate(pieces), np.concatenate(aligned), _SEARCH_HZ)
    lag = statistics.median(place - number * size for number, place in enumerate(places))
    return lag * 1000 / _SEARCH_HZ, max(score, 0.0)


def _cut(sound: NDArray[np.float64], start: int, length: int) -> NDArray[np.float64]:
    """That stretch, silence where there is none."""
    whole = np.zeros(length)
    begin, end = min(max(start, 0), len(sound)), min(max(start + length, 0), len(sound))
    whole[begin - start : begin - start + end - begin] = sound[begin:end]
    return whole


def _samples(track: Sound) -> NDArray[np.float64]:
    return np.frombuffer(base64.b64decode(track.pcm), dtype="<i2").astype(np.float64) / 32768


def _time_of(track: Sound, sample: int) -> float:
    """Unix milliseconds at which that sample was played: marks are late by a callback at most, so the earliest."""
    return min(at - (count - sample) * 1000 / track.rate for at, count in track.marks)


def back_s(raw: Raw) -> float:
    """Seconds from the end of the outage until a second's useful bytes are back at 80 %.

    Of the lower of two rates: what was received in the 10 s before the cut, and what the line can carry then. A
    second ends at each look at the statistics. NaN without an outage, infinite when it never came back.
    """
    if raw.cut_s is None:
        return math.nan
    down_ms, up_ms = raw.cut_s[0] * 1000, raw.cut_s[1] * 1000
    rates = received_bps(raw.doctor)
    before = [bps for at, bps in rates if down_ms - 10_000 <= at <= down_ms]
    if not before:
        return math.nan
    usual = statistics.fmean(before)
    for at, bps in rates:
        line = min((abs(s.unix_s * 1000 - at), s.rate_bps) for s in raw.samples)[1]
        if at > up_ms and bps >= 0.8 * min(usual, line):
            return (at - up_ms) / 1000
    return math.inf


def received_bps(record: PageRecord, span_ms: float = 1000) -> list[tuple[float, float]]:
    """IP bits a second of RTP received, at each look, over the ``span_ms`` before it."""
    points: list[tuple[float, float]] = []
    looks = [(look.at, Received(record, 0, look.at).useful_bytes()) for look in record.stats]
    for at, total in looks:
        earlier = [one for one in looks if one[0] <= at - span_ms * 0.9]
        if earlier:
            points.append((at, max(total - earlier[-1][1], 0) * 8000 / (at - earlier[-1][0])))
    return points


def _median(values: Sequence[float]) -> float:
    return float(statistics.median(values)) if values else math.nan


def _share(values: Sequence[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))] if values else math.nan
