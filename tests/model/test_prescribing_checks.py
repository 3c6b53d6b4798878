"""Medicines that an earlier prescription still gives, and what a combination is made of."""

import pytest

from edge.model.prescribing import warnings
from edge.model.prescribing_check import ingredients
from edge.model.reference import DrugItem
from tests.model.kit import NOW_MS, patient
from tests.model.prescribing_kit import AMOXICILLIN, BY_ID, DRUGS, PARACETAMOL, draft, line, past, ready


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
