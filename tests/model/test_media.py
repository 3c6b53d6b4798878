"""What may be attached: real files by real encoders, and everything else refused with a reason."""

import struct

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.model import commands as cmd
from edge.model import events as ev
from edge.model import media
from edge.model.decide import decide
from edge.model.errors import Refusal
from edge.model.fold import Visit
from edge.model.media import Facts, Manifest, MediaType, Purpose, Upload
from edge.model.media_probe import probe
from tests.kits import media as made
from tests.model.kit import ANM, COMMAND, NOW, RANDOM, VISIT, an_id, state, visit_after

PHOTO, SMALL = an_id(50), an_id(51)
GOOD = {
    MediaType.JPEG: made.jpeg(progressive=True),
    MediaType.PNG: made.png(),
    MediaType.WEBP: made.webp(),
    MediaType.OGG_OPUS: made.sound(),
    MediaType.WEBM_AUDIO: made.sound("webm"),
    MediaType.WEBM_VIDEO: made.clip(),
}


def look(data: bytes) -> Facts | Refusal:
    return probe(made.reader(data), len(data))


def code(found: object) -> str:
    return found.code if isinstance(found, Refusal) else ""


@pytest.mark.parametrize(("kind", "data"), GOOD.items())
def test_a_real_file_is_known_by_its_bytes(kind: MediaType, data: bytes) -> None:
    facts = look(data)
    assert isinstance(facts, Facts)
    assert facts.media_type is kind
    if kind in media.IMAGES or kind is MediaType.WEBM_VIDEO:
        assert (facts.width_px, facts.height_px) in ((160, 120), (40, 30))
    if kind not in media.IMAGES:
        assert 850 <= facts.duration_ms <= 1_050


@pytest.mark.parametrize(("kind", "data"), GOOD.items())
def test_half_a_file_is_damaged(kind: MediaType, data: bytes) -> None:
    assert code(look(data[: len(data) // 2])) == "media_damaged"


def test_a_lossless_webp_has_its_size() -> None:
    facts = look(made.webp(33, 21, lossless=True))
    assert isinstance(facts, Facts)
    assert (facts.width_px, facts.height_px) == (33, 21)


def test_only_a_progressive_picture_has_parts_and_each_is_a_prefix_that_can_be_shown() -> None:
    plain, finer = look(made.jpeg()), look(GOOD[MediaType.JPEG])
    assert isinstance(plain, Facts)
    assert isinstance(finer, Facts)
    assert plain.parts == ()
    assert 0 < finer.parts[0] < finer.parts[-1] < len(GOOD[MediaType.JPEG])
    for part in finer.parts:
        assert GOOD[MediaType.JPEG][part] == 0xFF


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "media_type_unknown"),
        (b"<html><script>alert(1)</script>", "media_type_unknown"),
        (b"GIF89a" + bytes(40), "media_type_unknown"),
        (b"%PDF-1.7", "media_type_unknown"),
        (b"PK\x03\x04" + bytes(60), "media_type_unknown"),
        (b"MZ" + bytes(200), "media_type_unknown"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "media_type_unknown"),
        (b"\xff\xd8\xff\xd9", "media_damaged"),
        (b"\xff\xd8\xff\xe0\x00\x04ab<script>", "media_damaged"),
        (b"\x89PNG\r\n\x1a\n" + bytes(40), "media_damaged"),
        (b"RIFF\xff\xff\xff\xffWEBPVP8 " + bytes(40), "media_damaged"),
        (b"OggS" + bytes(60), "media_damaged"),
        (b"\x1aE\xdf\xa3\xff" + bytes(60), "media_damaged"),
        (b"\x1aE\xdf\xa3\x01" + b"\xff" * 60, "media_damaged"),
    ],
)
def test_what_is_no_medium_is_refused_with_a_reason(data: bytes, reason: str) -> None:
    assert code(look(data)) == reason


@given(st.sampled_from(sorted(GOOD)), st.binary(max_size=60), st.floats(0, 1), st.integers(0, 200))
@settings(max_examples=300, deadline=None)
def test_no_bytes_make_it_fail_otherwise(kind: MediaType, noise: bytes, where: float, cut: int) -> None:
    good = GOOD[kind]
    at = int(where * len(good))
    changed = good[:at] + noise + good[at + cut :]
    assert isinstance(look(changed), Facts | Refusal)


def test_a_picture_that_would_not_fit_into_memory_is_refused() -> None:
    bomb = bytearray(made.jpeg())
    at = bomb.index(b"\xff\xc0")
    bomb[at + 5 : at + 9] = struct.pack(">HH", 65_000, 65_000)
    facts = look(bytes(bomb))
    assert isinstance(facts, Facts)
    assert code(media.check(Purpose.ORIGINAL, facts, len(bomb))) == "media_dimensions"


@given(st.integers(1, 8 << 20))
def test_chunks_cover_a_blob_exactly_once(size: int) -> None:
    spans = [media.chunk_span(size, number) for number in range(media.chunk_count(size))]
    assert spans[0][0] == 0
    assert all(length > 0 for _, length in spans)
    assert [start + length for start, length in spans] == [start for start, _ in spans[1:]] + [size]
    assert len(spans) <= media.CHUNKS_AIM


def test_two_chunks_of_a_photo_are_at_most_a_tenth_of_it() -> None:
    for size in range(170_000, 2 << 20, 4_096):
        assert 2 * media.chunk_bytes(size) <= size / 10


def manifest(purpose: Purpose, blob_id: str, size: int = 5_000) -> Manifest:
    checks = bytes(8 * media.chunk_count(size))
    return Manifest(blob_id, purpose, Facts(MediaType.JPEG, 320, 240), size, bytes(32), checks)


def upload(purpose: Purpose, upload_id: str, blob_id: str, size: int = 5_000) -> Upload:
    return Upload(upload_id, VISIT, purpose, size, size, manifest(purpose, blob_id, size))


ORIGINAL = upload(Purpose.ORIGINAL, PHOTO, an_id(60), 90_000)
PREVIEW = upload(Purpose.PREVIEW, SMALL, an_id(61))
NOTE = upload(Purpose.VOICE_NOTE, an_id(52), an_id(62))


def attach(visit: Visit, command: cmd.AttachMedia, *uploads: Upload) -> list[ev.Event] | Refusal:
    return decide(state(visit, uploads=uploads), command, NOW, ANM, RANDOM)


def test_a_photo_is_attached_with_its_preview_first() -> None:
    command = cmd.AttachMedia(COMMAND, VISIT, PHOTO, SMALL, "left hand")
    events = attach(visit_after(), command, ORIGINAL, PREVIEW)
    assert isinstance(events, list)
    small, photo = events
    assert isinstance(small, ev.MediaAttached)
    assert isinstance(photo, ev.MediaAttached)
    assert (small.media.purpose, photo.media.purpose) == (Purpose.PREVIEW, Purpose.ORIGINAL)
    assert (photo.media.preview_id, photo.media.caption) == (small.media.blob_id, "left hand")
    visit = visit_after(*events)
    assert [item.blob_id for item in visit.media] == [an_id(61), an_id(60)]
    assert attach(visit, command, ORIGINAL, PREVIEW) == []


@pytest.mark.parametrize(
    ("command", "uploads", "reason"),
    [
        (cmd.AttachMedia(COMMAND, VISIT, PHOTO), (ORIGINAL,), "preview_missing"),
        (cmd.AttachMedia(COMMAND, VISIT, PHOTO, SMALL), (ORIGINAL,), "upload_unknown"),
        (cmd.AttachMedia(COMMAND, VISIT, PHOTO, SMALL), (PREVIEW,), "upload_unknown"),
        (cmd.AttachMedia(COMMAND, VISIT, SMALL), (PREVIEW,), "media_purpose"),
        (cmd.AttachMedia(COMMAND, VISIT, PHOTO, NOTE.upload_id), (ORIGINAL, NOTE), "media_purpose"),
        (
            cmd.AttachMedia(COMMAND, VISIT, PHOTO, SMALL),
            (msgspec.structs.replace(ORIGINAL, visit_id=an_id(9)), PREVIEW),
            "upload_unknown",
        ),
        (
            cmd.AttachMedia(COMMAND, VISIT, PHOTO, SMALL),
            (msgspec.structs.replace(ORIGINAL, manifest=None), PREVIEW),
            "upload_incomplete",
        ),
        (
            cmd.AttachMedia(COMMAND, VISIT, PHOTO, SMALL),
            (msgspec.structs.replace(ORIGINAL, refusal=Refusal("media_damaged", "x")), PREVIEW),
            "media_damaged",
        ),
    ],
)
def test_what_cannot_be_attached_is_refused_with_a_reason(
    command: cmd.AttachMedia, uploads: tuple[Upload, ...], reason: str
) -> None:
    assert code(attach(visit_after(), command, *uploads)) == reason


def test_a_visit_holds_only_so_many() -> None:
    notes = [upload(Purpose.VOICE_NOTE, an_id(100 + n), an_id(200 + n)) for n in range(media.PER_VISIT_MAX + 1)]
    visit = visit_after()
    for number, note in enumerate(notes):
        events = attach(visit, cmd.AttachMedia(an_id(300 + number), VISIT, note.upload_id), note)
        if number == media.PER_VISIT_MAX:
            assert code(events) == "media_too_many"
            return
        assert isinstance(events, list)
        visit = visit_after(*events, start=visit)


def test_removing_takes_the_preview_along_and_only_before_it_was_sent_or_seen() -> None:
    events = attach(visit_after(), cmd.AttachMedia(COMMAND, VISIT, PHOTO, SMALL), ORIGINAL, PREVIEW)
    assert isinstance(events, list)
    visit = visit_after(*events)
    remove = cmd.RemoveMedia(COMMAND, VISIT, an_id(60))
    gone = decide(state(visit), remove, NOW, ANM, RANDOM)
    assert gone == [ev.MediaRemoved(VISIT, an_id(60)), ev.MediaRemoved(VISIT, an_id(61))]
    assert code(decide(state(visit, media_left=True), remove, NOW, ANM, RANDOM)) == "media_sent"
    seen = visit_after(ev.MediaSeen(VISIT, an_id(60), "doc1"), start=visit)
    assert code(decide(state(seen), remove, NOW, ANM, RANDOM)) == "media_sent"
    assert code(decide(state(visit), cmd.RemoveMedia(COMMAND, VISIT, an_id(7)), NOW, ANM, RANDOM)) == "no_such_media"
    after = visit_after(*gone, start=visit)
    assert all(item.removed_ms for item in after.media)
    assert decide(state(after), remove, NOW, ANM, RANDOM) == []
    again = attach(after, cmd.AttachMedia(an_id(4), VISIT, PHOTO, SMALL), ORIGINAL, PREVIEW)
    assert code(again) == "media_removed"


def test_marks_that_overtake_their_blob_are_kept_for_it() -> None:
    attached = ev.MediaAttached(VISIT, manifest(Purpose.ORIGINAL, an_id(60)))
    marks: list[ev.Event] = [ev.MediaSeen(VISIT, an_id(60), "doc1"), ev.MediaRemoved(VISIT, an_id(60))]
    late = visit_after(*marks, attached)
    assert late.early_media == ()
    (item,) = late.media
    assert item.seen_ms
    assert item.removed_ms


@pytest.mark.parametrize(
    "change",
    [
        {"digest": b"short"},
        {"checks": bytes(8)},
        {"size_bytes": 9 << 20},
        {"purpose": Purpose.VOICE_NOTE},
        {"facts": Facts(MediaType.JPEG, 0, 240)},
        {"facts": Facts(MediaType.JPEG, 320, 240, parts=(5, 4))},
        {"facts": Facts(MediaType.JPEG, 320, 240, parts=tuple(range(1, 30)))},
    ],
)
def test_a_manifest_that_cannot_be_true_is_not_believed(change: dict[str, object]) -> None:
    good = manifest(Purpose.ORIGINAL, an_id(60), 90_000)
    assert media.is_sound(good)
    assert not media.is_sound(msgspec.structs.replace(good, **change))
