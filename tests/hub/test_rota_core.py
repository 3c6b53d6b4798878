"""Who gets the next patient, who gets her when nobody answers, and what is told of the wait: by properties."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.model.clock import day_of
from edge.model.queue import rank_after
from hub.rota.core import Action, Doctor, GotUp, Left, Ring, Rota, Settings, Stop, Wanting, Why, fits
from hub.rota.hours import Holiday, Hours, Shift
from hub.rota.waits import ENOUGH, Told, Waits

IST = timezone(timedelta(hours=5, minutes=30))
T0 = int(datetime(2026, 11, 26, 10, 0, tzinfo=IST).timestamp() * 1000)
SET = Settings()
RING_MS = SET.ring_s * 1000


def always(now_ms: int, district: str) -> bool:
    return True


def rota(*doctors: Doctor) -> Rota:
    made = Rota(SET, always)
    for number, doctor in enumerate(doctors):
        made.sit(doctor, T0 - 1000 + number)
    return made


def wants(name: str, rank: int = 3, minutes: float = 0, **more: str) -> Wanting:
    return Wanting(name, rank, T0 - int(minutes * 60_000), **more)  # type: ignore[arg-type]


def rings(actions: Sequence[Action]) -> list[tuple[str, str]]:
    return [(one.visit_id, one.doctor_id) for one in actions if isinstance(one, Ring)]


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=IST).timestamp() * 1000)


# Hours


@pytest.mark.parametrize(
    ("at", "is_open", "opens"),
    [
        ("2026-11-26T08:59:59", False, "2026-11-26T09:00:00"),
        ("2026-11-26T09:00:00", True, "2026-11-26T09:00:00"),
        ("2026-11-26T15:59:59", True, "2026-11-26T15:59:59"),
        ("2026-11-26T16:00:00", False, "2026-11-27T09:00:00"),
        ("2026-11-28T23:00:00", False, "2026-11-30T09:00:00"),  # Saturday night: Monday
        ("2026-11-29T12:00:00", False, "2026-11-30T09:00:00"),
    ],
)
def test_doctors_sit_from_monday_to_saturday_from_nine_to_four_in_india(at: str, is_open: bool, opens: str) -> None:
    assert Hours().is_open(ms(at)) is is_open
    assert Hours().opens_ms(ms(at)) == ms(opens)


def test_a_holiday_closes_its_own_district_only_and_a_district_may_have_its_own_hours() -> None:
    today = day_of(T0)
    hours = Hours(
        (*Hours().shifts, Shift(3, 600, 660, "Gaya")), (Holiday(today, "Chhath", "छठ", "Patna"), Holiday(today + 1))
    )
    assert not hours.is_open(T0, "Patna")
    assert hours.is_open(T0, "Saran")
    assert hours.opens_ms(T0, "Patna") == ms("2026-11-28T09:00:00")
    assert hours.is_open(ms("2026-11-26T10:59:00"), "Gaya")
    assert not hours.is_open(ms("2026-11-26T11:00:00"), "Gaya")
    assert hours.opens_ms(ms("2026-11-26T11:00:00"), "Gaya") == ms("2026-12-03T10:00:00")


@given(st.integers(0, 4_000_000_000_000))
def test_the_hours_agree_with_the_calendar(now_ms: int) -> None:
    here = datetime.fromtimestamp(now_ms / 1000, UTC).astimezone(IST)
    assert Hours().is_open(now_ms) is (here.weekday() < 6 and 9 <= here.hour < 16)
    opens_ms = Hours().opens_ms(now_ms)
    assert opens_ms >= now_ms
    assert Hours().is_open(opens_ms)
    assert opens_ms == now_ms or not Hours().is_open(opens_ms - 1)


def test_a_calendar_without_a_day_never_opens() -> None:
    assert Hours(()).opens_ms(T0) == 0


# Who gets whom


def test_red_is_asked_for_first_then_yellow_then_whoever_waited_longest_and_an_hour_raises_by_one() -> None:
    made = rota(Doctor("a"))
    waiting = [wants("old", 3, 61), wants("gentle", 2, 5), wants("green", 3, 59), wants("yellow", 1), wants("red", 0)]
    for one in waiting:
        made.want(one, T0)
    seen = []
    now_ms = T0
    for _ in waiting:
        ((visit_id, doctor_id),) = rings(made.tick(now_ms))
        made.take(visit_id, doctor_id, now_ms)
        made.tick(now_ms)
        made.done(visit_id, doctor_id, now_ms)
        seen.append(visit_id)
    assert seen == ["red", "yellow", "old", "gentle", "green"]


def test_the_rota_asks_in_the_order_of_the_queue_also_for_the_pregnant_who_have_waited_an_hour() -> None:
    """Who came as class 2 rises too: else each newer YELLOW came before her, for ever."""
    made = rota(Doctor("a"))
    made.want(wants("pregnant", 2, 61), T0)
    for number in range(5):
        made.want(wants(f"yellow{number}", 1, number), T0)
    assert rings(made.tick(T0)) == [("pregnant", "a")]


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(-10, 200)), max_size=12))
def test_rota_and_queue_have_one_order(people: list[tuple[int, int]]) -> None:
    made = rota()
    for number, (rank, minutes) in enumerate(people):
        made.want(wants(str(number), rank, minutes), T0 - 300 * 60_000)
    made.tick(T0)
    ranked = [(rank_after(rank, T0 - m * 60_000, T0), T0 - m * 60_000, str(n)) for n, (rank, m) in enumerate(people)]
    assert [one.visit_id for one in made.waiting()] == [name for _, _, name in sorted(ranked)]


def test_who_does_not_answer_loses_the_patient_to_the_next_one_and_she_keeps_her_place() -> None:
    made = rota(Doctor("a"), Doctor("b"))
    made.want(wants("first", minutes=9), T0)
    made.take("other", "b", T0)
    made.want(wants("second", minutes=3), T0)
    assert rings(made.tick(T0)) == [("first", "a")]
    assert made.tick(T0 + RING_MS - 1) == []
    made.done("other", "b", T0 + RING_MS)
    actions = made.tick(T0 + RING_MS)
    assert Stop("first", "a", Left.MISSED) in actions
    assert ("first", "b") in rings(actions), "the place is kept: she comes before who waited less"
    assert ("second", "a") in rings(actions)


def test_two_misses_in_a_row_make_a_doctor_away_until_she_says_that_she_is_ready() -> None:
    made = rota(Doctor("a"))
    made.want(wants("1", minutes=2), T0)
    made.want(wants("2", minutes=1), T0)
    made.tick(T0)
    made.tick(T0 + RING_MS)
    actions = made.tick(T0 + 2 * RING_MS)
    assert GotUp("a") in actions
    assert not made.is_ready("a")
    assert rings(made.tick(T0 + 3 * RING_MS)) == []
    made.sit(Doctor("a"), T0 + 3 * RING_MS)
    assert rings(made.tick(T0 + 3 * RING_MS)) == [("1", "a")]


def test_a_follow_up_waits_for_its_own_doctor_while_she_sits_but_not_for_ever() -> None:
    made = rota(Doctor("a"), Doctor("own"))
    made.take("busy", "own", T0)
    made.want(wants("back", same_doctor="own"), T0)
    made.want(wants("later", minutes=-1), T0)
    assert rings(made.tick(T0)) == [("later", "a")], "who comes behind is not held up"
    made.take("later", "a", T0)
    made.done("later", "a", T0)
    assert rings(made.tick(T0 + SET.same_doctor_s * 1000 - 1)) == []
    assert rings(made.tick(T0 + SET.same_doctor_s * 1000)) == [("back", "a")]
    made = rota(Doctor("a"), Doctor("own"))
    made.want(wants("back", same_doctor="own"), T0)
    assert rings(made.tick(T0)) == [("back", "own")]
    made.stand("own", T0)
    assert rings(made.tick(T0)) == [("back", "a")], "she is gone: nobody waits for her"


def test_a_doctor_who_speaks_the_language_comes_first_and_any_doctor_comes_after_ten_minutes() -> None:
    maithili = Doctor("m", languages=frozenset({"hi", "mai"}))
    made = rota(Doctor("a"), maithili)
    made.want(wants("x", language="mai"), T0)
    assert rings(made.tick(T0)) == [("x", "m")]
    made = rota(Doctor("a"), maithili)
    made.take("busy", "m", T0)
    made.want(wants("x", language="mai"), T0)
    assert rings(made.tick(T0)) == []
    assert rings(made.tick(T0 + SET.language_s * 1000)) == [("x", "a")]
    made = rota(Doctor("a"))
    made.want(wants("x", language="mai"), T0)
    assert rings(made.tick(T0)) == [("x", "a")], "nobody who speaks it sits: no use in waiting"


def test_district_and_speciality_are_kept_but_red_goes_to_anybody_rather_than_nobody() -> None:
    made = rota(Doctor("a", districts=frozenset({"Gaya"})))
    made.want(wants("child", district="Gaya", speciality="child"), T0)
    made.want(wants("patna", district="Patna"), T0)
    assert rings(made.tick(T0)) == []
    made.want(wants("red", 0, district="Patna"), T0)
    assert rings(made.tick(T0)) == [("red", "a")]


def test_who_needs_a_speciality_goes_to_a_doctor_of_it_and_to_any_doctor_when_none_sat_for_ten_minutes() -> None:
    child = Doctor("c", specialities=frozenset({"child"}))
    made = rota(Doctor("a"), child)
    made.want(wants("x", speciality="child"), T0)
    assert rings(made.tick(T0)) == [("x", "c")]
    made = rota(Doctor("a"), child)
    made.take("busy", "c", T0)
    made.want(wants("x", speciality="child"), T0)
    late_ms = T0 + SET.speciality_s * 1000
    assert rings(made.tick(late_ms)) == [], "she sits: the patient is hers"
    assert made.sitting(made.waiting()[0]) == (1, 0)
    made = rota(Doctor("a"))
    made.want(wants("x", speciality="child"), T0)
    assert rings(made.tick(late_ms - 1)) == []
    assert made.look(late_ms - 1) == {"x": Why.SPECIALITY}
    assert not made.is_open_to_all("x")
    assert rings(made.tick(late_ms)) == [("x", "a")]
    assert made.is_open_to_all("x")
    assert made.sitting(made.waiting()[0])[0] == 1
    made.sit(child, late_ms)
    assert rings(made.tick(late_ms + RING_MS)) == [("x", "c")], "who passed on her goes free"


def test_the_time_for_a_speciality_counts_from_when_it_was_asked_for_and_who_gave_the_patient_on_comes_last() -> None:
    made = rota(Doctor("a"), Doctor("b"))
    asked_ms = T0 + 3_600_000
    made.want(msgspec.structs.replace(wants("x", speciality="skin"), wanted_ms=asked_ms), asked_ms)
    made.pass_by("x", "a", asked_ms + SET.speciality_s * 1000)
    assert rings(made.tick(asked_ms + SET.speciality_s * 1000 - 1)) == []
    assert rings(made.tick(asked_ms + SET.speciality_s * 1000)) == [("x", "b")]


def test_what_nobody_takes_comes_to_the_coordinator_with_the_reason_and_leaves_the_list_when_it_is_taken() -> None:
    closed = Rota(SET, lambda now_ms, district: district != "Gaya")
    closed.want(wants("night", minutes=2, district="Gaya"), T0)
    closed.want(wants("alone", minutes=2), T0)
    closed.want(wants("new"), T0)
    closed.want(wants("red", 0, minutes=2), T0)
    assert closed.look(T0) == {"night": Why.CLOSED, "alone": Why.NOBODY, "red": Why.RED}
    closed.sit(Doctor("a"), T0)
    assert rings(closed.tick(T0)) == [("red", "a")], "outside the hours too"
    closed.take("red", "a", T0)
    closed.done("red", "a", T0)
    assert rings(closed.tick(T0)) == [("alone", "a")]
    assert closed.decline("alone", "a", T0)
    assert closed.look(T0)["alone"] is Why.ALL_PASSED
    closed.leave("new")
    again_ms = T0 + SET.again_s * 1000
    assert rings(closed.tick(again_ms - 1)) == []
    assert rings(closed.tick(again_ms)) == [("alone", "a")]
    closed.take("alone", "a", T0)
    assert set(closed.look(T0)) == {"night"}


def test_a_visit_that_another_doctor_took_by_hand_stops_ringing() -> None:
    made = rota(Doctor("a"), Doctor("b"))
    made.want(wants("x"), T0)
    assert rings(made.tick(T0)) == [("x", "a")]
    made.take("x", "b", T0)
    assert made.tick(T0) == [Stop("x", "a", Left.TAKEN)]
    assert not made.decline("x", "a", T0)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["sit", "stand", "want", "leave", "take", "decline", "done", "wait", "long"]),
        st.integers(0, 4),
        st.integers(0, 6),
        st.integers(0, 3),
    ),
    max_size=60,
)


@settings(max_examples=120, deadline=None)
@given(STEPS)
def test_whatever_happens_nobody_is_asked_twice_lost_or_left_while_a_doctor_who_may_take_her_is_free(
    steps: list[tuple[str, int, int, int]],
) -> None:
    made = Rota(SET, always)
    ringing: dict[str, str] = {}
    wanted: dict[str, Wanting] = {}
    sitting: dict[str, Doctor] = {}
    busy: dict[str, set[str]] = {}
    now_ms = T0
    for what, d, v, rank in steps:
        doctor, visit = f"d{d}", f"v{v}"
        if what == "sit":
            sitting[doctor] = Doctor(doctor, districts=frozenset({f"D{d % 2}"}) if d < 3 else frozenset())
            made.sit(sitting[doctor], now_ms)
        elif what == "stand":
            sitting.pop(doctor, None)
            made.stand(doctor, now_ms)
        elif what == "want" and not any(visit in held for held in busy.values()):
            wanted.setdefault(visit, Wanting(visit, rank, now_ms, v, f"D{v % 2}"))
            made.want(wanted[visit], now_ms)
        elif what == "leave":
            wanted.pop(visit, None)
            made.leave(visit)
        elif what == "take" and visit in wanted:
            del wanted[visit]
            busy.setdefault(doctor, set()).add(visit)
            made.take(visit, doctor, now_ms)
        elif what == "decline":
            assert made.decline(visit, doctor, now_ms) is (ringing.get(visit) == doctor and visit in wanted)
        elif what == "done":
            busy.get(doctor, set()).discard(visit)
            made.done(visit, doctor, now_ms)
        else:
            now_ms += RING_MS if what == "wait" else 11 * 60_000
        for action in made.tick(now_ms):
            match action:
                case Ring(visit_id, doctor_id):
                    assert visit_id in wanted, "asked for nobody who left"
                    assert visit_id not in ringing, "one doctor at a time"
                    assert doctor_id not in ringing.values(), "one patient at a time"
                    assert doctor_id in sitting, "nobody who is away is asked"
                    assert not busy.get(doctor_id), "nor one who has a patient"
                    assert fits(sitting[doctor_id], wanted[visit_id]) or wanted[visit_id].rank == 0
                    ringing[visit_id] = doctor_id
                case Stop(visit_id, doctor_id):
                    assert ringing.pop(visit_id) == doctor_id
                case GotUp(doctor_id):
                    sitting.pop(doctor_id, None)
        assert {one.visit_id for one in made.waiting()} == wanted.keys(), "nobody is lost"
        free = [one for one in sitting if one not in ringing.values() and not busy.get(one)]
        if free:
            assert all(one.visit_id in ringing for one in wanted.values() if one.rank == 0), "RED waits for nobody"
        for one in wanted.values():
            for name in free:
                open_to = fits(sitting[name], one) and name not in made.passed(one.visit_id, now_ms)
                assert not open_to or one.visit_id in ringing, "left while somebody was free"


# What is told


def test_the_wait_follows_what_doctors_really_take() -> None:
    waits = Waits()
    assert waits.expect(5, 0, 0) is None
    before = waits.expect(5, 2, 0)
    for _ in range(ENOUGH):
        waits.served(240)
    after = waits.expect(5, 2, 0)
    assert before is not None
    assert after is not None
    assert (before.middle_s, after.middle_s) == (1650, 660)
    free = waits.expect(0, 3, 1)
    assert free is not None
    assert (free.middle_s, free.range_min) == (0, (0, 5))


@given(st.lists(st.floats(1, 7200), max_size=60), st.integers(0, 200), st.integers(1, 50), st.integers(0, 50))
def test_a_range_is_in_order_and_more_doctors_never_make_it_longer(
    services: list[float], ahead: int, doctors: int, free: int
) -> None:
    waits = Waits(services)
    told, better = (
        waits.expect(ahead, doctors, min(free, doctors)),
        waits.expect(ahead, doctors + 1, min(free, doctors)),
    )
    assert told is not None
    assert better is not None
    assert 0 <= told.low_s <= told.middle_s <= told.high_s
    assert better.middle_s <= told.middle_s
    low, high = told.range_min
    assert (low % 5, high % 5) == (0, 0)
    assert low < high
    assert low * 60 <= told.low_s
    assert high * 60 >= told.high_s


def test_a_range_grows_with_what_went_wrong_and_holds_what_was_true_for_eight_of_ten() -> None:
    waits = Waits([600.0] * ENOUGH)
    narrow = waits.expect(10, 2, 0)
    assert narrow is not None
    for number in range(100):
        waits.learn(Told(narrow, narrow.raw_s * (1 + number % 5)))
    wide = waits.expect(10, 2, 0)
    assert wide is not None
    assert wide.high_s > narrow.high_s
    assert wide.middle_s > narrow.middle_s
    held = [Told(wide, narrow.raw_s * (1 + number % 5)).held for number in range(100)]
    assert sum(held) >= 80


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 200), st.sampled_from("NSE"), st.booleans()), max_size=14))
def test_who_stands_before_whom_is_counted_once_as_it_is_for_each_whoever_came_moved_or_left(
    people: list[tuple[int, int, str, bool]],
) -> None:
    made = rota()
    for number, (rank, minutes, district, _) in enumerate(people):
        made.want(wants(f"v{number}", rank, minutes, district=district), T0)
    for number, (rank, minutes, district, moves) in enumerate(people):
        if moves and number % 2:
            made.leave(f"v{number}")
        elif moves:
            made.want(wants(f"v{number}", max(rank - 1, 0), minutes + 61, district=district), T0 + 60_000)
    made.tick(T0 + 60_000)
    waiting = made.waiting()
    assert [one for one, _ in made.with_ahead()] == waiting
    assert {one.visit_id for one in waiting} == {
        f"v{number}" for number, (*_, moves) in enumerate(people) if not (moves and number % 2)
    }
    for place, (one, ahead) in enumerate(made.with_ahead()):
        before = sum(other.district == one.district or other.rank == 0 for other in waiting[:place])
        assert ahead == before == made.ahead(one)
        assert made.wanting(one.visit_id) is one
