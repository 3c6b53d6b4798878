"""Versions of the formulary: nobody approves what she wrote, what is approved counts at once, what was signed stays."""

from collections.abc import Mapping
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.model.drug_gate import Letter, letter_of
from edge.model.errors import BadInput
from edge.model.reference import DrugItem, Formulary, formulary
from hub import formularies
from hub.permits import Role

from .kit import DRAFT, PASSWORD, HubKit, Page, draft_with
from .test_office import post, said
from .test_permits import person
from .test_signing import LIST_A, PROHIBITED, codes, sign, waiting_visit

ROOT = "/api/lists/formulary"


def changed(version: str, **by_id: Mapping[str, object] | None) -> str:
    """The release's own with other fields of some medicines; None leaves one out."""
    items = [
        msgspec.structs.replace(one, **(by_id.get(one.id) or {}))
        for one in formulary().items
        if by_id.get(one.id, {}) is not None
    ]
    return msgspec.json.encode(Formulary(version, tuple(items))).decode()


async def draft(page: Page, content: str) -> tuple[int, Any]:
    return await post(page, ROOT, {"password": PASSWORD, "content": content, "note": "asked for by the district"})


async def decide(page: Page, number: int, standing: int, *, approve: bool = True) -> tuple[int, Any]:
    body = {"password": PASSWORD, "standing": standing, "approve": approve, "note": ""}
    return await post(page, f"{ROOT}/{number}", body)


async def approved(kit: HubKit, content: str) -> int:
    """Somebody writes it and somebody else approves it."""
    writer, officer = await person(kit, Role.PHARMACIST), await person(kit, Role.MEDICAL_OFFICER)
    assert (await draft(writer, content))[0] == 200
    status, reply = await decide(officer, 1, 0)
    assert status == 200
    return int(reply["number"])


async def test_a_version_counts_only_when_somebody_else_approves_what_was_compared(kit: HubKit) -> None:
    officer = await person(kit, Role.MEDICAL_OFFICER)
    assert (await draft(officer, changed("2027-01", F001={"tpg_list": "A"})))[0] == 200
    status, own = await decide(officer, 1, 0)
    assert (status, own["code"]) == (409, "own_draft")
    status, reply = await draft(
        await person(kit, Role.PHARMACIST), changed("2027-02", F002={"tpg_list": "B"}, F003=None)
    )
    assert (status, reply["number"], reply["version"]) == (200, 0, formulary().version), "a draft changes nothing"
    difference: Any = await officer.get(f"{ROOT}/2")
    assert [(one["drug_id"], one["kind"]) for one in difference["lines"]] == [("F002", "changed"), ("F003", "removed")]
    assert difference["lines"][0]["fields"] == [{"name": "tpg_list", "before": "O", "after": "B"}]
    assert (await decide(officer, 2, 1))[1]["code"] == "formulary_outdated"
    status, reply = await decide(officer, 2, difference["standing"])
    assert (status, reply["number"], reply["version"]) == (200, 2, "2027-02")
    assert (await decide(officer, 2, 2))[1]["code"] == "formulary_decided"
    versions: Any = (await officer.get("/api/lists"))["versions"]
    assert next(one["version"] for one in versions if one["name"] == "formulary") == "2027-02"
    assert [(who, what) for who, what, _ in await said(kit, "formulary_drafted", "formulary_approved")] == [
        ("medical_officer", "formulary_drafted"),
        ("pharmacist", "formulary_drafted"),
        ("medical_officer", "formulary_approved"),
    ]


async def test_what_is_approved_counts_at_the_gate_the_search_and_the_console_and_what_was_signed_stays(
    kit: HubKit,
) -> None:
    _, page, visit_id = await waiting_visit(kit)
    status, first = await sign(page, visit_id, DRAFT)
    assert status == 200
    await approved(kit, changed("2027-01", F001={"tpg_list": "A"}, F002=None))
    reference: Any = await page.get("/api/reference")
    assert {one["id"]: one["tpg_list"] for one in reference["formulary"]}["F001"] == "A"
    found: Any = await page.get("/api/formulary?q=paracetamol")
    assert (found["version"], "F002" in {one["id"] for one in found["items"]}) == ("2027-01", False)
    checked: Any = (await post(page, f"/api/visits/{visit_id}/check", {"draft": DRAFT}))[1]
    assert "list_a_needs_video" in {one["code"] for one in checked["denials"]}
    gone: Any = (await post(page, f"/api/visits/{visit_id}/check", {"draft": draft_with("F002")}))[1]
    assert "unknown_drug" in {one["code"] for one in gone["denials"]}
    record: Any = await page.get(f"/api/visits/{visit_id}")
    assert [one["medicines"][0]["list_letter"] for one in record["prescriptions"]] == ["O"]
    assert await said(kit, "prescribed_from") == [("asha", "prescribed_from", str(first["prescription_id"]))]


async def test_no_version_opens_a_prohibited_name_and_a_rejected_one_changes_nothing(kit: HubKit) -> None:
    _, page, visit_id = await waiting_visit(kit)
    officer = await person(kit, Role.MEDICAL_OFFICER)
    writer = await person(kit, Role.PHARMACIST)
    opened = changed("2027-01", **{PROHIBITED: {"tpg_list": "O", "tpg_status": "sourced"}})
    assert (await draft(writer, opened))[0] == 200
    assert (await decide(officer, 1, 0))[0] == 200
    status, denied = await sign(page, visit_id, draft_with(PROHIBITED))
    assert (status, "prohibited" in codes(denied)) == (422, True)
    assert (await draft(writer, changed("2027-02", **{LIST_A: {"tpg_list": "O"}})))[0] == 200
    assert (await decide(officer, 2, 0, approve=False))[1]["number"] == 1
    status, denied = await sign(page, visit_id, draft_with(LIST_A))
    assert (status, "list_a_needs_video" in codes(denied)) == (422, True)


async def test_an_id_never_means_another_medicine_and_no_version_comes_twice(kit: HubKit) -> None:
    writer = await person(kit, Role.PHARMACIST)
    status, reply = await draft(writer, changed("2027-01", F001={"generic": "IBUPROFEN"}))
    assert (status, reply["code"]) == (409, "drug_id_reused")
    assert (await draft(writer, changed(formulary().version, F001={"flags": "x"})))[1]["code"] == "formulary_known"
    assert (await draft(writer, changed("2027-01", F001={"flags": "x"})))[0] == 200
    assert (await draft(writer, changed("2027-01", F001={"flags": "y"})))[1]["code"] == "formulary_known"
    assert (await post(writer, ROOT, {"password": "wrong", "content": changed("2027-03")}))[0] == 401
    for wrong in ("", "{}", '{"version": "1", "items": []}', changed("1", F001={"id": "F002"})):
        assert (await draft(writer, wrong))[0] == 400
    assert (await writer.call("GET", f"{ROOT}/9")).status == 404
    file = await writer.call("GET", f"{ROOT}/0/file")
    assert formularies.parse(await file.read()) == formulary()


@given(st.sampled_from(["ALPRAZOLAM", "Diazepam 5 mg", "PHENOBARBITONE"]), st.text(max_size=12))
def test_whatever_letter_a_version_gives_a_prohibited_name_stays_prohibited(name: str, letter: str) -> None:
    drug = DrugItem("X001", name, "tablet", "1 mg", "", "sourced", "sourced", (), letter, "sourced", "")
    assert letter_of(drug) is Letter.PROHIBITED


@given(st.binary(max_size=200))
def test_whatever_is_uploaded_is_a_formulary_or_refused(raw: bytes) -> None:
    try:
        found = formularies.parse(raw)
    except BadInput:
        return
    assert found.items


@pytest.mark.parametrize("field", ["generic", "form", "strength", "status", "tpg_list", "tpg_status"])
def test_a_medicine_without_a_field_that_matters_is_refused(field: str) -> None:
    with pytest.raises(BadInput, match="F001"):
        formularies.parse(changed("1", F001={field: " "}).encode())
