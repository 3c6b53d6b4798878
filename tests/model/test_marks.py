"""Marks on photos: what may be kept, and how they are folded."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.model import commands as cmd
from edge.model import events as ev
from edge.model import marks
from edge.model.decide import decide
from edge.model.errors import Refusal
from edge.model.marks import Mark, MarkKind
from edge.model.media import Purpose
from tests.model.kit import ANM, COMMAND, NOW, RANDOM, VISIT, an_id, state, visit_after
from tests.model.test_media import manifest

PHOTO, OTHER = an_id(60), an_id(61)
LINE = Mark(an_id(70), MarkKind.LINE, (0, 0, 10, 20, 1_000, 1_000))
RING = Mark(an_id(71), MarkKind.RING, (100, 100, 300, 200))
ATTACHED = ev.MediaAttached(VISIT, manifest(Purpose.ORIGINAL, PHOTO))


def marked(*found: Mark, blob_id: str = PHOTO, on: tuple[ev.Event, ...] = (ATTACHED,)) -> list[ev.Event] | Refusal:
    return decide(state(visit_after(*on)), cmd.MarkPhoto(COMMAND, VISIT, blob_id, found), NOW, ANM, RANDOM)


def test_marks_are_an_entry_of_their_own_and_the_photo_stays_as_it_is() -> None:
    events = marked(LINE, RING)
    assert events == [ev.PhotoMarked(VISIT, PHOTO, (LINE, RING))]
    before, after = visit_after(ATTACHED), visit_after(ATTACHED, *events)
    assert msgspec.structs.replace(after.media[0], drawn=()) == before.media[0]
    assert [one.marks for one in after.media[0].drawn] == [(LINE, RING)]
    assert not after.media[0].drawn[0].doctor


def test_a_mark_that_is_kept_already_is_not_said_again() -> None:
    kept = ev.PhotoMarked(VISIT, PHOTO, (LINE,))
    assert marked(LINE, on=(ATTACHED, kept)) == []
    assert marked(LINE, RING, on=(ATTACHED, kept)) == [ev.PhotoMarked(VISIT, PHOTO, (RING,))]


@pytest.mark.parametrize(
    ("found", "blob_id", "code"),
    [
        (LINE, OTHER, "no_such_media"),
        (Mark(an_id(72), MarkKind.RING, (1, 2, 3, 4, 5, 6)), PHOTO, "mark_malformed"),
        (Mark(an_id(72), MarkKind.LINE, (1, 2, 3, 4, 5)), PHOTO, "mark_malformed"),
    ],
)
def test_what_cannot_be_kept_is_refused(found: Mark, blob_id: str, code: str) -> None:
    refused = marked(found, blob_id=blob_id)
    assert isinstance(refused, Refusal) and refused.code == code


def test_a_photo_that_was_taken_back_or_a_voice_note_cannot_be_drawn_on() -> None:
    gone = marked(LINE, on=(ATTACHED, ev.MediaRemoved(VISIT, PHOTO)))
    note = marked(LINE, on=(ev.MediaAttached(VISIT, manifest(Purpose.VOICE_NOTE, PHOTO)),))
    assert isinstance(gone, Refusal) and isinstance(note, Refusal)


def test_a_photo_holds_only_so_many() -> None:
    many = tuple(Mark(an_id(100 + n), MarkKind.RING, (0, 0, 9, 9)) for n in range(marks.PER_PHOTO_MAX))
    assert marks.check(many[:5], marks.PER_PHOTO_MAX - 5) is None
    refused = marks.check(many[:6], marks.PER_PHOTO_MAX - 5)
    assert refused is not None and refused.code == "marks_too_many"


@given(st.permutations([0, 1, 2]))
def test_marks_of_both_sides_come_out_the_same_in_whatever_order_they_are_folded(order: list[int]) -> None:
    said: list[ev.Event] = [
        ATTACHED,
        ev.PhotoMarked(VISIT, PHOTO, (LINE,)),
        ev.DoctorMarked(VISIT, PHOTO, "doc1", (RING,)),
    ]
    drawn = visit_after(*(said[n] for n in order)).media[0].drawn
    assert {(one.doctor, one.marks) for one in drawn} == {(False, (LINE,)), (True, (RING,))} and len(drawn) == 2


def test_a_mark_outside_the_photo_is_no_mark() -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(b'["0123456789abcdef", "line", [0, 0, 1001, 5]]', type=Mark)
