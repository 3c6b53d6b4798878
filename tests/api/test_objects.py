"""What is an array on the wire is an object over HTTP, and nothing is lost on the way."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.model.commands import Command, RecordVitals, RegisterPatient
from edge.model.fold import Visit
from edge.model.records import Age, AgeUnit, Gender, Person, Reading, Vitals
from edge.web.objects import from_objects, object_form, to_objects

ID = "0123456789abcdef"
PEOPLE = st.builds(
    Person,
    name=st.text("अआकखabcdef ", min_size=1, max_size=20),
    gender=st.sampled_from(Gender),
    village=st.text("कखगabc ", max_size=20),
    age=st.none() | st.builds(Age, value=st.integers(0, 1500), unit=st.sampled_from(AgeUnit)),
)
READINGS = st.builds(Reading, vital=st.sampled_from(["hr", "spo2"]), value=st.floats(0, 300), confirmed=st.booleans())
COMMANDS = st.builds(RegisterPatient, command_id=st.just(ID), patient_id=st.just(ID), person=PEOPLE) | st.builds(
    RecordVitals,
    command_id=st.just(ID),
    visit_id=st.just(ID),
    vitals=st.builds(Vitals, readings=st.lists(READINGS, max_size=4).map(tuple), avpu=st.sampled_from(["", "A", "V"])),
)


@given(COMMANDS)
def test_a_command_survives_the_way_through_objects(command: Command) -> None:
    sent = msgspec.json.encode(to_objects(command))
    assert from_objects(msgspec.json.decode(sent, type=object_form(Command))) == command


def test_the_person_in_a_request_has_named_fields() -> None:
    made = to_objects(Person("A", Gender.FEMALE, "B", Age(3)))
    assert made["age"] == {"value": 3, "unit": "years"}


def test_limits_and_unknown_fields_are_checked_in_the_object_form_too() -> None:
    form = object_form(Person)
    good = {"name": "A", "gender": "female", "village": "B"}
    assert from_objects(msgspec.convert(good, form)) == Person("A", Gender.FEMALE, "B")
    for bad in ({"name": ""}, {"mobile": "12"}, {"age": {"value": -1}}, {"surname": "X"}):
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert(good | bad, form)


def test_a_visit_keeps_its_limits_and_defaults_in_the_object_form() -> None:
    visit = Visit(ID, ID, 1, "anm1")
    sent = msgspec.json.encode(to_objects(visit))
    assert from_objects(msgspec.json.decode(sent, type=object_form(Visit))) == visit


def test_a_type_without_arrays_is_its_own_object_form() -> None:
    class Plain(msgspec.Struct):
        value: int

    assert object_form(Plain) is Plain
    assert object_form(list[int]) == list[int]
