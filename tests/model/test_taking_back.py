"""Slips of the finger are taken back on their own day, whichever entry comes first; the shelf's book after them."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.model import commands as cmd
from edge.model import events as ev
from edge.model import stock
from edge.model.clock import Instant
from edge.model.decide import Actor, decide
from edge.model.errors import Refusal
from edge.model.fold import Visit, fold_all
from edge.model.records import Mode, Referral, Role, VisitState
from tests.model.kit import ANM, COMMAND, NOW_MS, PATIENT, RANDOM, VISIT, an_id, patient, state, visit_after

RX = an_id(20)
DAY_MS = 24 * 3600 * 1000
SOON = Instant(NOW_MS + 60_000)
TOKEN = ev.TokenIssued(VISIT, "BR01-001", 20_000, 1)
SIGNED = ev.PrescriptionSigned(VISIT, RX, b"rx")
CALL = ev.CallHeld(VISIT, an_id(30), "doc1", 1, 61_000, 0.0, 41.0, 0.0, Mode.AUDIO, "node")
GIVEN = ev.Dispensed(VISIT, RX, "F001", 9)
SENT = ev.Referred(VISIT, Referral("phc", "now", "stiff neck"), "108")


def asked(visit: Visit, command: cmd.Command, at: Instant = SOON, by: Actor = ANM) -> list[ev.Event] | str:
    said = decide(state(visit, patient()), command, at, by, RANDOM)
    return said.code if isinstance(said, Refusal) else said


@pytest.mark.parametrize(
    ("before", "outcome", "stands"),
    [
        ((), VisitState.CANCELLED, VisitState.DRAFT),
        ((TOKEN,), VisitState.COMPLETED, VisitState.WAITING),
        ((TOKEN,), VisitState.NO_SHOW, VisitState.WAITING),
        ((TOKEN, ev.VisitMoved(VISIT, VisitState.NO_SHOW)), VisitState.NO_SHOW, VisitState.NO_SHOW),
        ((TOKEN, CALL), VisitState.REFERRED, VisitState.RX_PENDING),
        ((TOKEN, CALL, SIGNED), VisitState.COMPLETED, VisitState.RX_READY),
    ],
)
def test_a_visit_that_was_closed_by_a_slip_stands_where_it_stood(
    before: tuple[ev.Event, ...], outcome: VisitState, stands: VisitState
) -> None:
    closed = visit_after(*before, ev.VisitClosed(VISIT, outcome, True))
    back = asked(closed, cmd.TakeBackClosing(COMMAND, VISIT))
    assert back == [ev.ClosingTakenBack(VISIT, stands)] and isinstance(back, list)
    again = visit_after(*back, start=closed)
    assert (again.state, again.closed_ms, again.explained) == (stands, 0, False)
    assert asked(again, cmd.TakeBackClosing(COMMAND, VISIT)) == "nothing_to_undo"
    shut = visit_after(ev.VisitClosed(VISIT, outcome), start=again)
    assert shut.state is outcome and shut.closed_ms, "and can be closed anew"


def test_a_visit_that_was_cancelled_by_a_move_comes_back_too() -> None:
    moved = visit_after(TOKEN, ev.VisitMoved(VISIT, VisitState.CANCELLED, "opened by mistake"))
    assert asked(moved, cmd.TakeBackClosing(COMMAND, VISIT)) == [ev.ClosingTakenBack(VISIT, VisitState.WAITING)]


def test_of_two_in_one_millisecond_the_one_that_is_named_is_taken_back() -> None:
    stamp = NOW_MS << 16  # where a clock ran back, each entry's stamp is the last one plus 1
    said: tuple[ev.Event, ...] = (ev.VisitOpened(VISIT, PATIENT, bytes(16)), GIVEN, GIVEN, SENT, SENT)
    visit = fold_all(ev.entry_of(one, stamp + number, "anm1") for number, one in enumerate(said))[1][VISIT]
    for handed in visit.handed_out:
        command = cmd.TakeBackHandOut(COMMAND, VISIT, RX, "F001", handed.at_ms, handed.at_count)
        assert asked(visit, command) == [ev.HandOutTakenBack(VISIT, "F001", handed.stamp)]
    for sent in visit.referrals:
        asks = cmd.TakeBackReferral(COMMAND, VISIT, sent.at_ms, sent.at_count)
        assert asked(visit, asks) == [ev.ReferralTakenBack(VISIT, sent.stamp)]
    stamps = {handed.stamp for handed in visit.handed_out} | {sent.stamp for sent in visit.referrals}
    assert len(stamps) == 4 and {stamp >> 16 for stamp in stamps} == {NOW_MS}
    yesterday = Instant(NOW_MS - DAY_MS)  # the clock was ahead, and the hub has told the time
    assert isinstance(asked(visit, asks, yesterday), list)


def test_slips_are_taken_back_on_their_own_day_only_and_by_whom_they_were_allowed() -> None:
    late, closed = Instant(NOW_MS + DAY_MS), visit_after(TOKEN, ev.VisitClosed(VISIT, VisitState.COMPLETED))
    given = visit_after(SIGNED, GIVEN, SENT)
    one, sent = given.handed_out[0], given.referrals[0]
    of_hand = cmd.TakeBackHandOut(COMMAND, VISIT, RX, "F001", one.at_ms)
    of_sending = cmd.TakeBackReferral(COMMAND, VISIT, sent.at_ms)
    for visit, command in ((closed, cmd.TakeBackClosing(COMMAND, VISIT)), (given, of_hand), (given, of_sending)):
        assert asked(visit, command, late) == "too_late_to_undo"
    assert asked(given, of_hand) == [ev.HandOutTakenBack(VISIT, "F001", one.stamp)]
    assert asked(given, of_sending) == [ev.ReferralTakenBack(VISIT, sent.stamp)]
    assert asked(given, msgspec.structs.replace(of_hand, given_ms=1)) == "nothing_to_undo"
    assert asked(given, msgspec.structs.replace(of_sending, made_ms=1)) == "nothing_to_undo"
    pharmacist = Actor("ph1", Role.PHARMACIST)
    assert isinstance(asked(given, of_hand, by=pharmacist), list)
    assert asked(given, of_sending, by=pharmacist) == "role_not_allowed"
    assert asked(given, cmd.TakeBackClosing(COMMAND, VISIT), by=Actor("p1", None)) == "role_not_allowed"
    shut = visit_after(ev.VisitClosed(VISIT, VisitState.COMPLETED), start=given)
    assert isinstance(asked(shut, of_hand), list), "what was handed out comes back after the closing too"
    assert asked(shut, of_sending) == "visit_closed"
    legacy = msgspec.structs.replace(one, stamp=0)
    unknown = msgspec.structs.replace(given, handed_out=(legacy,))
    assert asked(unknown, of_hand) == "too_late_to_undo", "folded by a release that kept no stamps"


@given(st.permutations(range(8)), st.lists(st.integers(0, 7), max_size=6))
def test_whatever_comes_first_and_twice_a_slip_that_was_taken_back_counts_no_more(
    order: list[int], again: list[int]
) -> None:
    stamps = [(NOW_MS + number) << 16 for number in range(8)]
    opened = ev.entry_of(ev.VisitOpened(VISIT, PATIENT, RANDOM), stamps[0] - 1, "anm1")
    log: list[ev.Event] = [
        *(SIGNED, GIVEN, GIVEN, SENT),
        ev.HandOutTakenBack(VISIT, "F001", stamps[1]),
        ev.ReferralTakenBack(VISIT, stamps[3]),
        *(ev.VisitClosed(VISIT, VisitState.COMPLETED, True), ev.ClosingTakenBack(VISIT, VisitState.RX_READY)),
    ]
    entries = [ev.entry_of(event, stamp, "anm1") for event, stamp in zip(log, stamps, strict=True)]
    visit = fold_all([opened, *(entries[number] for number in (*order, *again))])[1][VISIT]
    assert [one.stamp for one in visit.handed_out] == [stamps[2]]
    assert (visit.referrals, visit.state, visit.closed_ms) == ((), VisitState.RX_READY, 0)
    assert visit.taken_back == (stamps[1], stamps[3])


@given(st.permutations(range(3)), st.booleans())
def test_what_is_taken_back_lies_on_the_shelf_again_unless_it_was_counted_since(
    order: list[int], counted_since: bool
) -> None:
    count = ev.StockCounted("F001", 90)
    log: list[tuple[ev.Event, int]] = [
        (count, 3 if counted_since else 1),
        (GIVEN, 2),
        (ev.HandOutTakenBack(VISIT, "F001", 2), 4),
    ]
    moves = [stock.move_of(*log[number]) for number in order]
    levels = stock.levels(one for one in moves if one is not None)
    assert [(one.drug_id, one.units) for one in levels] == [("F001", 90)]
