"""A doctor's spoken answer: cut into entries, put together in whatever order they come, folded once."""

from hypothesis import given
from hypothesis import strategies as st

from edge.model import events as ev
from edge.model import spoken
from edge.model.errors import Refusal
from edge.model.media import ANSWER_PART_BYTES, Facts, MediaType
from edge.model.media_probe import probe
from tests.kits import media as made
from tests.model.kit import VISIT, an_id, visit_after

ANSWER, OTHER = an_id(80), an_id(81)


@given(st.integers(1, 3 * ANSWER_PART_BYTES), st.randoms(use_true_random=False))
def test_an_answer_is_whole_whatever_the_order_and_however_often_its_parts_come(size: int, random: object) -> None:
    content = bytes(at * 7 % 251 for at in range(size))
    parts = spoken.cut(VISIT, ANSWER, content)
    assert [part.number for part in parts] == list(range(-(-size // ANSWER_PART_BYTES)))
    strange = [ev.AnswerPart(VISIT, OTHER, 0, b"other"), ev.AnswerPart(VISIT, ANSWER, 999, b"far")]
    arrived: list[ev.Event] = [*parts, *parts, *strange]
    random.shuffle(arrived)  # type: ignore[attr-defined]
    found = spoken.put_together(ANSWER, size, len(parts), arrived)
    assert found == spoken.Answer(ANSWER, len(parts), len(parts), content)
    some = spoken.put_together(ANSWER, size, len(parts), parts[1:])
    assert some.content is None and some.parts_here == len(parts) - 1


def test_parts_that_do_not_make_what_was_said_are_no_answer() -> None:
    parts = spoken.cut(VISIT, ANSWER, bytes(20_000))
    assert spoken.put_together(ANSWER, 19_999, 2, parts).content is None
    assert spoken.put_together(ANSWER, 20_000, 1 << 30, parts).content is None


def test_an_answer_is_folded_once_and_its_parts_are_no_part_of_the_view() -> None:
    facts = Facts(MediaType.WEBM_AUDIO, 0, 0, 4_000)
    said = ev.AnswerSpoken(VISIT, ANSWER, "doc1", facts, 20_000, 2)
    visit = visit_after(ev.AnswerPart(VISIT, ANSWER, 1, b"late"), said, said)
    (one,) = visit.answers
    assert (one.answer_id, one.doctor_id, one.media_type, one.parts) == (ANSWER, "doc1", MediaType.WEBM_AUDIO, 2)


def test_only_a_short_sound_may_be_an_answer() -> None:
    for content, code in ((made.sound("webm"), ""), (made.clip(), "media_purpose"), (made.jpeg(), "media_purpose")):
        facts = probe(made.reader(content), len(content))
        assert not isinstance(facts, Refusal)
        refusal = spoken.check(facts, len(content))
        assert (refusal.code if refusal else "") == code
    long = spoken.check(Facts(MediaType.OGG_OPUS, 0, 0, 200_000), 1_000)
    assert long is not None and long.code == "media_too_long"
