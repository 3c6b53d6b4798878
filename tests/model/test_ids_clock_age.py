"""Identifiers, stamps under any clock, and ages from what people know."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.model.age import age_days, age_text, birth_day, told_days
from edge.model.clock import day_of, next_stamp, stamp_ms
from edge.model.ids import id_bytes, make_id
from edge.model.records import Age, AgeUnit, Gender, Person
from edge.model.tokens import is_of_today, next_token

DAY_MS = 86_400_000


def at(text: str) -> int:
    """Noon of a day in India, Unix ms."""
    return (date.fromisoformat(text).toordinal() - date(1970, 1, 1).toordinal()) * DAY_MS + 6 * 3_600_000


def told(value: int, unit: AgeUnit = AgeUnit.YEARS) -> Person:
    return Person("A", Gender.FEMALE, "v", Age(value, unit))


def born(text: str, age: Age | None = None) -> Person:
    return Person("A", Gender.FEMALE, "v", age, text)


@given(st.binary(min_size=10, max_size=10))
def test_an_id_goes_there_and_back(raw: bytes) -> None:
    assert id_bytes(make_id(raw)) == raw


@given(st.binary(min_size=10, max_size=10), st.binary(min_size=10, max_size=10))
def test_ids_sort_like_their_bytes(one: bytes, two: bytes) -> None:
    assert (make_id(one) < make_id(two)) is (one < two)


@pytest.mark.parametrize("text", ["", "0" * 15, "0" * 17, "u" + "0" * 15, "A" + "0" * 15])
def test_what_is_no_id_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        id_bytes(text)


def test_an_id_is_made_of_ten_bytes_only() -> None:
    with pytest.raises(ValueError):
        make_id(bytes(9))


@given(st.lists(st.integers(-(10**14), 10**14), min_size=1, max_size=30))
def test_stamps_grow_whatever_the_wall_clock_does(clock: list[int]) -> None:
    stamp = 0
    for wall_ms in clock:
        following = next_stamp(stamp, wall_ms)
        assert following > stamp
        assert stamp_ms(following) >= min(max(wall_ms, 0), stamp_ms(following))
        stamp = following


@given(st.integers(0, 10**14), st.integers(1, 10**6))
def test_a_clock_that_moves_on_is_followed(wall_ms: int, step_ms: int) -> None:
    assert stamp_ms(next_stamp(next_stamp(0, wall_ms), wall_ms + step_ms)) == wall_ms + step_ms


def test_the_indian_day_begins_at_half_past_six_in_the_evening_utc() -> None:
    evening = at("2026-11-23") + 12 * 3_600_000 + 29 * 60_000
    assert day_of(evening) == day_of(at("2026-11-23"))
    assert day_of(evening + 60_000) == day_of(at("2026-11-24"))


def test_tokens_count_on_within_a_day() -> None:
    assert next_token("014B", 0) == ("014B-001", 1)
    assert next_token("014B", 6) == ("014B-007", 7)
    assert next_token("014B", 999) == ("014B-1000", 1000)
    assert is_of_today(day_of(at("2026-11-23")), at("2026-11-23"))
    assert not is_of_today(day_of(at("2026-11-23")), at("2026-11-24"))


@pytest.mark.parametrize(
    ("text", "day"),
    [("", None), ("1990", date(1990, 7, 1)), ("1990-03", date(1990, 3, 15)), ("1990-02-30", None), ("1990-13", None)],
)
def test_an_incomplete_date_of_birth_means_its_middle(text: str, day: date | None) -> None:
    assert birth_day(text) == day


@pytest.mark.parametrize(
    ("who", "registered", "now", "days"),
    [
        (told(30), "2026-01-01", "2026-01-01", 10958),
        (told(5, AgeUnit.DAYS), "2026-01-01", "2026-01-04", 8),
        (told(8, AgeUnit.WEEKS), "2026-01-01", "2026-01-01", 56),
        (told(5, AgeUnit.DAYS), "2026-01-05", "2026-01-01", 5),
        (born("2026-01-01"), "2026-01-09", "2026-01-09", 8),
        (born("2026-02-01"), "2026-01-09", "2026-01-09", None),
        (born("2026-02-01", Age(3, AgeUnit.DAYS)), "2026-01-09", "2026-01-09", 3),
        (born("2026"), "2026-03-01", "2026-03-01", 0),
        (Person("A", Gender.MALE, "v"), "2026-01-01", "2026-01-01", None),
    ],
)
def test_age_in_days(who: Person, registered: str, now: str, days: int | None) -> None:
    assert age_days(who, at(registered), at(now)) == days


@pytest.mark.parametrize(
    ("who", "now", "english", "hindi"),
    [
        (told(34), "2026-01-01", "34 years", "34 साल"),
        (told(34), "2027-01-02", "35 years", "35 साल"),
        (told(7, AgeUnit.MONTHS), "2026-01-01", "7 months", "7 महीने"),
        (told(1), "2026-01-01", "12 months", "12 महीने"),
        (told(2), "2026-01-01", "2 years", "2 साल"),
        (told(1, AgeUnit.DAYS), "2026-01-01", "1 day", "1 दिन"),
        (told(0, AgeUnit.DAYS), "2026-01-01", "0 days", "0 दिन"),
        (born("2000-02-29"), "2026-02-28", "25 years", "25 साल"),
        (born("2000-02-29"), "2026-03-01", "26 years", "26 साल"),
        (born("2025-10-31"), "2025-12-30", "60 days", "60 दिन"),
        (born("2025-10-31"), "2025-12-31", "2 months", "2 महीने"),
        (Person("A", Gender.MALE, "v"), "2026-01-01", "", ""),
    ],
)
def test_age_in_words(who: Person, now: str, english: str, hindi: str) -> None:
    assert age_text(who, at("2026-01-01"), at(now)) == english
    assert age_text(who, at("2026-01-01"), at(now), "hi") == hindi


@given(st.integers(0, 120))
def test_an_age_told_in_years_is_printed_as_told(years: int) -> None:
    if years >= 2:
        assert age_text(told(years), 0, 0) == f"{years} years"
    assert told_days(Age(years)) >= years * 365
