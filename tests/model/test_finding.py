"""What a patient is found by, and who may be registered already."""

import pytest

from edge.model.finding import closeness, keys_of, may_be_same, token_serial, wanted
from edge.model.fold import Patient
from edge.model.records import Age, Gender, Person

NOW_MS = 1_790_000_000_000
ABHA = "22722548295255"


def patient(name: str = "सावित्री देवी", **more: object) -> Patient:
    fields: dict[str, object] = {
        "relative_name": "रामविलास",
        "mobile": "9123456780",
        "age": Age(41),
        "village": "बेलागंज",
        "gender": Gender.FEMALE,
        "abha_number": ABHA,
        "abha_address": "savitri.devi@abdm",
        **more,
    }
    return Patient("p", "BR-RMP-000123", Person(name=name, **fields), NOW_MS)  # type: ignore[arg-type]


def finds(text: str, whom: Patient) -> bool:
    words, keys = wanted(text), keys_of(whom)
    return bool(words) and all(any(key.startswith(tuple(word)) for key in keys) for word in words)


@pytest.mark.parametrize(
    "text",
    [
        *("सावित्री", "savitri", "Sabitri dev", "devi savi", "सा", "ramvilas", "Belaganj savitri", "बेलागंज"),
        *("91234", "+91 91234 56780", "09123456780", "6780", "56780", "919123456780", "९१२३४", "६७८०"),
        *("22-7225-4829-5255", "2272", "5255", "savitri.devi@abdm", "BR-RMP-000123", "br-rmp-0001", "123", "000123"),
    ],
)
def test_any_word_number_or_last_digits_find_her(text: str) -> None:
    assert finds(text, patient())


@pytest.mark.parametrize("text", ["sushila", "सावित्री शर्मा", "6781", "1235", "xyz@abdm", "()", "BR-RMP-000124"])
def test_what_is_not_hers_does_not_find_her(text: str) -> None:
    assert not finds(text, patient())


@pytest.mark.parametrize(("text", "serial"), [("7", 7), ("007", 7), ("014B-007", 7), ("BR-RMP-012", 12)])
def test_a_token_is_known_by_its_number(text: str, serial: int) -> None:
    assert token_serial(text) == serial


@pytest.mark.parametrize("text", ["", "0", "00", "12345", "सात", "7a"])
def test_what_is_no_token_is_none(text: str) -> None:
    assert token_serial(text) is None


def test_the_name_as_it_is_written_stands_before_the_name_as_it_sounds_and_both_before_the_village() -> None:
    people = (patient("Sabitri Devi"), patient("Savitri Devi"), patient("Mina", village="Savitripur"))
    assert [closeness("savit", one) for one in people] == [1, 0, 2]


def test_the_same_name_sex_village_and_about_the_same_age_may_be_one_person() -> None:
    known = patient()
    same = Person("Sabitri Kumari", Gender.FEMALE, "Belaganj", Age(43))
    assert may_be_same(same, known, NOW_MS)
    for other in (
        Person("Sabitri", Gender.MALE, "Belaganj", Age(41)),
        Person("Sabitri", Gender.FEMALE, "Manpur", Age(41)),
        Person("Sabitri", Gender.FEMALE, "Belaganj", Age(45)),
        Person("Sunita", Gender.FEMALE, "Belaganj", Age(41), mobile="9123456780"),
    ):
        assert not may_be_same(other, known, NOW_MS)


def test_one_abha_number_or_one_name_on_one_phone_may_be_one_person_wherever_she_lives() -> None:
    assert may_be_same(Person("Rina", Gender.OTHER, "Gaya", Age(9), abha_number=ABHA), patient(), NOW_MS)
    assert may_be_same(Person("Savitri", Gender.FEMALE, "Gaya", Age(70), mobile="9123456780"), patient(), NOW_MS)
