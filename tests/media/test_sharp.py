"""Sharp pictures of the node's own camera, and marks on their way beside a call."""

import asyncio
import time
from pathlib import Path

import av
import pytest

from edge.media.aside import AskStill, DrawnPacer, Drew, read, write
from edge.media.capture import FileSource, Source, open_source
from edge.media.leg import Outlet
from edge.media.pipeline import PipelineFailed, pull_one_picture
from edge.media.signals import CallError, SharpTaken
from edge.media.stills import PIECE_BYTES, SharpStills
from edge.model.errors import BadInput
from edge.model.marks import Mark, MarkKind
from edge.model.media import LIMITS, Facts, Purpose
from edge.model.media_probe import probe
from tests.kits import media as made

BLOB, ID = "0123456789abcdef", "zyxwvtsrqpnmkjhg"


async def taken(source: Source, *still_ids: str) -> list[SharpTaken | CallError]:
    said: list[SharpTaken | CallError] = []
    stills = SharpStills(asyncio.get_running_loop(), Outlet(), said.append)
    for still_id in still_ids:
        stills.ask(still_id, source)
    end_s = time.monotonic() + 30
    while not (said and isinstance(said[-1], CallError)) and sum(len(getattr(p, "data", b"")) for p in said) < sum(
        {p.purpose: p.size_bytes for p in said if isinstance(p, SharpTaken)}.values()
    ) + (Purpose.ORIGINAL not in {getattr(p, "purpose", None) for p in said}):
        assert time.monotonic() < end_s
        await asyncio.sleep(0.02)
    return said


async def test_the_test_camera_gives_a_sharp_picture_with_its_preview_first_once_for_each_name() -> None:
    said = await taken(open_source("test"), ID, ID, BLOB)
    pieces = [one for one in said if isinstance(one, SharpTaken)]
    assert {one.still_id for one in pieces} == {ID}, "asked twice it is taken once, and one at a time"
    assert pieces[0].purpose is Purpose.PREVIEW and pieces[-1].purpose is Purpose.ORIGINAL
    assert all(len(one.data) <= PIECE_BYTES for one in pieces)
    for purpose, side in ((Purpose.PREVIEW, 240), (Purpose.ORIGINAL, 1_600)):
        content = b"".join(one.data for one in pieces if one.purpose is purpose)
        assert len(content) <= LIMITS[purpose].size_bytes
        facts = probe(made.reader(content), len(content))
        assert isinstance(facts, Facts) and facts.width_px == side


async def test_a_film_gives_its_own_size_while_it_plays(tmp_path: Path) -> None:
    film = tmp_path / "film.mp4"
    with av.open(str(film), "w") as out:
        stream = out.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 1280, 960, "yuv420p"
        for number in range(20):
            frame = av.VideoFrame(1280, 960, "yuv420p")
            for plane in frame.planes:
                plane.update(bytes([100 + number]) * plane.buffer_size)
            frame.pts = number
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    source = open_source(f"file:{film}")
    assert isinstance(source, FileSource)
    outlet = Outlet()
    source.start(outlet)
    try:
        await asyncio.to_thread(source.sharp)  # by then the one before it has been handed out
        sharp = await asyncio.to_thread(source.sharp)
        assert sharp is not None and sharp[1:] == (1280, 960) and len(sharp[0]) == 1280 * 960 * 3 // 2
        assert outlet.last is not None and outlet.last[1:3] == (640, 480), "what moves stays small"
    finally:
        await asyncio.to_thread(source.stop)


async def test_without_any_picture_it_is_said_that_there_is_none() -> None:
    (said,) = await taken(Source(), ID)
    assert isinstance(said, CallError) and said.refusal.code == "camera_failed"


def test_a_camera_is_asked_for_one_picture_of_its_full_size_after_it_has_found_its_light() -> None:
    caps = "video/x-raw,format=I420,width=1286,height=966,framerate=10/1"
    picture = pull_one_picture(f"videotestsrc is-live=true ! {caps} ! appsink name=out sync=false", 3, 10.0)
    assert picture is not None and picture[1:] == (1286, 966)
    assert len(picture[0]) == 1286 * 966 + 2 * (643 * 483), "rows of such a width are padded inside GStreamer"
    with pytest.raises(PipelineFailed):
        pull_one_picture("filesrc location=/nowhere ! decodebin ! appsink name=out", 1, 5.0)


def test_marks_pass_beside_a_call_and_nothing_else_does() -> None:
    drew = Drew(BLOB, ID, Mark(ID, MarkKind.ARROW, (1, 2, 3, 4)))
    assert read(write(drew)) == drew and read(write(Drew(BLOB, ID))) == Drew(BLOB, ID)
    assert read(write(AskStill(ID))) == AskStill(ID)
    for bad in ('{"type":"drew","blob_id":"x","mark_id":"y"}', write(drew).replace("arrow", "photo"), "[]"):
        with pytest.raises(BadInput):
            read(bad)


def test_marks_leave_no_faster_than_their_share_and_the_newest_are_kept() -> None:
    pacer = DrawnPacer()
    texts = [f"{number:03d}" + "x" * 297 for number in range(60)]
    for text in texts:
        pacer.put(text)
    due = [pacer.due(tick / 10, 24_000) for tick in range(100)]
    left = [text for text in due if text is not None]
    assert left == texts[20 : 20 + len(left)], "in their order"
    assert len(left) * 300 * 8 <= 10 * 24_000 * 0.25 + 2 * 300 * 8, "a quarter of the link"
    assert len(left) >= 20
