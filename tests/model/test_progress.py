"""The one honest line: it never says more than the facts, and more facts never make it say less."""

from collections.abc import Sequence

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from edge.model.fold import PrescriptionState
from edge.model.progress import (
    RANK,
    Carried,
    Line,
    SyncState,
    carried_line,
    item_lines,
    prescription_line_at_hub,
    sms_line,
    visit_line,
)

T = 1_795_500_000_000


@st.composite
def carried(draw: st.DrawFn) -> Carried:
    sealed = draw(st.booleans())
    left = sealed and draw(st.booleans())
    level = draw(st.integers(0, 2)) if sealed else 0
    level_ms = T + draw(st.integers(1, 10**9)) if level and draw(st.booleans()) else 0
    return Carried(draw(st.integers(1, 40)), T + draw(st.integers(0, 10**9)), sealed, left, level, level_ms)


@st.composite
def prescription(draw: st.DrawFn) -> PrescriptionState:
    stored = draw(st.booleans())
    printed = draw(st.booleans())
    return PrescriptionState("rx", b"signed", T, T + 1 if stored else 0, T + 2 if printed else 0, int(printed))


entries = st.lists(carried(), max_size=8)
prescriptions = st.lists(prescription(), max_size=3)


def further(entry: Carried) -> list[Carried]:
    """What may happen next to an entry."""
    steps = [msgspec.structs.replace(entry, sealed=True)]
    if entry.sealed:
        steps.append(msgspec.structs.replace(entry, left=True))
        steps += [msgspec.structs.replace(entry, level=level) for level in (1, 2) if level > entry.level]
    return steps


@given(entries, st.sampled_from((0, T + 5)), prescriptions)
def test_a_visit_is_never_shown_ahead_of_its_facts(
    found: list[Carried], seen_ms: int, given_out: list[PrescriptionState]
) -> None:
    line = visit_line(found, seen_ms, given_out)
    reached = RANK[line.state]
    if reached >= RANK[SyncState.SENT]:
        assert found
        assert all(entry.sealed and (entry.left or entry.level) for entry in found)
    if reached >= RANK[SyncState.HUB_HAS_IT]:
        assert all(entry.level >= 1 for entry in found)
    if line.state is SyncState.SECOND_COPY:
        assert all(entry.level == 2 for entry in found)
    if line.state is SyncState.DOCTOR_OPENED:
        assert seen_ms
    if reached >= RANK[SyncState.ANSWERED]:
        assert given_out
    if line.state is SyncState.PRINTED:
        assert all(one.printed_ms for one in given_out)


@given(entries, st.sampled_from((0, T + 5)), prescriptions, st.data())
def test_more_facts_never_take_a_line_back(
    found: list[Carried], seen_ms: int, given_out: list[PrescriptionState], data: st.DataObject
) -> None:
    before = visit_line(found, seen_ms, given_out)
    if found:
        place = data.draw(st.integers(0, len(found) - 1))
        more: Sequence[Carried] = [
            *found[:place],
            data.draw(st.sampled_from(further(found[place]))),
            *found[place + 1 :],
        ]
        assert RANK[visit_line(more, seen_ms, given_out).state] >= RANK[before.state]
    assert RANK[visit_line(found, seen_ms or T, given_out).state] >= RANK[before.state]
    printed = [msgspec.structs.replace(one, printed_ms=one.printed_ms or T) for one in given_out]
    assert RANK[visit_line(found, seen_ms, printed).state] >= RANK[before.state]


@given(entries, prescriptions)
def test_every_entry_counts_once_and_no_item_is_ahead_of_the_visit(
    found: list[Carried], given_out: list[PrescriptionState]
) -> None:
    lines = item_lines(found, given_out)
    parts = [line.parts for line in lines]
    assert sum(one.unsealed + one.sealed + one.level_1 + one.level_2 for one in parts) == len(found)
    carried_items = [line for line in lines if not line.subject]
    if carried_items:
        behind = min(RANK[line.state] for line in carried_items)
        assert behind == RANK[carried_line(found).state]
    assert len([line for line in lines if line.subject]) == len(given_out)


@given(st.lists(carried(), min_size=1, max_size=8))
def test_a_time_is_told_only_when_it_is_known_for_all_that_the_line_speaks_of(found: list[Carried]) -> None:
    line = carried_line(found)
    if RANK[line.state] >= RANK[SyncState.HUB_HAS_IT] and line.at_ms:
        level = 2 if line.state is SyncState.SECOND_COPY else 1
        assert all(entry.level_ms for entry in found if entry.level == level)
        assert line.at_ms == max(entry.level_ms for entry in found if entry.level == level)


def test_what_waits_is_shown_with_the_time_of_the_oldest() -> None:
    found = [Carried(8, T + 9, True, False, 1, T + 20), Carried(9, T + 5), Carried(10, T + 7)]
    assert carried_line(found) == Line(SyncState.WAITING, T + 5)


def test_a_list_of_attachments_is_no_attachment() -> None:
    lines = item_lines([Carried(19, T, True, True, 2, T)], ())
    assert [line.item for line in lines] == ["attachment_list"]


def test_the_hub_says_of_a_prescription_that_it_waits_until_the_node_has_it() -> None:
    fresh = PrescriptionState("rx", b"", T)
    assert prescription_line_at_hub(fresh).state is SyncState.WAITING
    assert prescription_line_at_hub(msgspec.structs.replace(fresh, stored_ms=T + 1)).state is SyncState.ANSWERED
    assert prescription_line_at_hub(msgspec.structs.replace(fresh, printed_ms=T + 2)).state is SyncState.PRINTED


def test_an_sms_that_failed_is_still_waiting_and_only_the_hubs_receipt_says_that_it_came() -> None:
    assert sms_line(()) is None
    failed = sms_line([("sms_budget", T)])
    assert failed is not None
    assert failed.state is SyncState.WAITING
    told = [sms_line([("sms_timeout", T), (state, T + 1)]) for state in ("left", "delivered", "kept")]
    assert [line.state for line in told if line] == [SyncState.SENT, SyncState.SENT, SyncState.HUB_HAS_IT]
