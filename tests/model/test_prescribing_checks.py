"""Doses for children, and medicines that an earlier prescription still gives."""

import msgspec
import pytest

from edge.model import events as ev
from edge.model.fold import Visit
from edge.model.prescribing import child_dose, warnings
from edge.model.prescribing_check import ingredients
from edge.model.records import Vitals
from edge.model.reference import DrugItem
from tests.model.kit import NOW_MS, VISIT, patient, readings, visit_after
from tests.model.prescribing_kit import AMOXICILLIN, BY_ID, DRUGS, PARACETAMOL, codes, draft, line, past, ready


def of_weight(kg: float) -> Visit:
    weighed = visit_after(ev.VitalsRecorded(VISIT, Vitals(readings(weight_kg=kg), "A")))
    return ready(vitals=weighed.vitals)


def test_a_dose_for_a_child_is_confirmed_for_her_weight_and_anew_for_another_dose_or_weight() -> None:
    tablet = line(PARACETAMOL)
    seen = draft(tablet, child_doses_seen=(child_dose(tablet, 18.0),))
    visit = of_weight(18.0)
    assert codes(draft(tablet), visit, years=5) == {"child_dose"}
    assert codes(seen, visit, years=5) == set()
    more = msgspec.structs.replace(seen, medicines=(line(PARACETAMOL, dose="2"),))
    assert codes(more, visit, years=5) == {"child_dose"}
    assert codes(seen, of_weight(12.5), years=5) == {"child_dose"}
    assert codes(draft(tablet), visit, years=12) == set()
    assert codes(seen, ready(vitals=()), years=5) == {"weight_missing"}


@pytest.mark.parametrize(("days_ago", "runs"), [(0, True), (29, True), (30, False), (90, False)])
def test_a_medicine_that_an_earlier_prescription_still_gives_is_shown(days_ago: int, runs: bool) -> None:
    before = past(BY_ID[PARACETAMOL], days_ago=days_ago)
    found = warnings(draft(line(PARACETAMOL)), patient(), ready(), DRUGS, NOW_MS, earlier=(before,))
    assert ("drug_runs" in {one.code for one in found}) is runs
    other = warnings(draft(line(AMOXICILLIN)), patient(), ready(), DRUGS, NOW_MS, earlier=(before,))
    assert "drug_runs" not in {one.code for one in other}


def test_a_combination_is_all_that_it_is_made_of() -> None:
    assert ingredients("Ibuprofen + Paracetamol (tablet)") == {"IBUPROFEN", "PARACETAMOL"}
    assert ingredients("IRON AND FOLIC ACID") == {"IRON", "FOLIC ACID"}
    both = DrugItem("X1", "IBUPROFEN + PARACETAMOL", "tablet", "1", "", "", "", (), "O", "sourced", "")
    written = draft(line(PARACETAMOL), line("X1"))
    found = warnings(written, patient(), ready(), (*DRUGS, both), NOW_MS)
    assert [one.field for one in found if one.code == "drug_twice"] == ["medicines[1]"]
