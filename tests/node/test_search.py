"""The search at the node: what the tablet asks, what the store keeps, and stores of earlier releases."""

import asyncio
from pathlib import Path

import pytest

from edge.node import search
from edge.node.config import RECORDS_FILE
from edge.node.database import Database
from edge.node.journal import Journal
from edge.node.unlock import Attempts, Slots, open_with_badge
from tests.node.kit import MOBILE, PIN, Provisioned, Served, Tablet, contents, new_id, provisioned

PEOPLE = (
    ("रामाशीष महतो", "male", 61, "Kharauna", "5550111111"),
    ("Phulwa Devi", "female", 33, "Kharauna", "5550111111"),
    ("Shabnam Khatoon", "female", 27, "मानपुर", "5550222222"),
    ("शबनम परवीन", "female", 29, "Manpur", "5550333333"),
)


@pytest.fixture
async def setup(tmp_path: Path) -> Provisioned:
    return await provisioned(tmp_path / "data")


def person(name: str, gender: str, age: int, village: str, mobile: str) -> dict[str, object]:
    return {"name": name, "gender": gender, "village": village, "age": {"value": age}, "mobile": mobile}


async def registered(tablet: Tablet) -> list[str]:
    ids = [new_id() for _ in PEOPLE]
    for patient_id, one in zip(ids, PEOPLE, strict=True):
        await tablet.say("register_patient", patient_id=patient_id, person=person(*one))
    return ids


def as_before(folder: Path, dmk: bytes) -> None:
    """The records as the first release kept them."""
    db = Database(folder / RECORDS_FILE, dmk)
    db.run("DROP TABLE found_by")
    db.run("DELETE FROM meta WHERE name = 'search_keys'")
    db.run("ALTER TABLE patients ADD COLUMN search TEXT")
    db.run("ALTER TABLE patients ADD COLUMN same TEXT")
    db.run("CREATE INDEX idx_patients_same ON patients (same)")
    db.run("UPDATE patients SET search = 'सुनीता', same = 'सुनीता'")
    db.close()


def columns(folder: Path, dmk: bytes) -> list[str]:
    db = Database(folder / RECORDS_FILE, dmk)
    try:
        return [row[1] for row in db.rows("PRAGMA table_info(patients)")]
    finally:
        db.close()


async def names(tablet: Tablet, text: str) -> list[str]:
    found = await tablet.get(f"/api/patients?q={text}")
    return [row["person"]["name"] for row in found["items"]]  # type: ignore[attr-defined]


async def test_names_in_either_script_numbers_and_villages_find_patients(setup: Provisioned) -> None:
    async with Served(setup) as served:
        tablet = served.tablet
        await tablet.login(setup)
        await registered(tablet)
        assert await names(tablet, "ramashish") == ["रामाशीष महतो"]
        assert await names(tablet, "फूलवा") == ["Phulwa Devi"]
        assert set(await names(tablet, "sabnam")) == {"Shabnam Khatoon", "शबनम परवीन"}
        assert (await names(tablet, "shabnam"))[0] == "Shabnam Khatoon"
        assert set(await names(tablet, "1111")) == {"रामाशीष महतो", "Phulwa Devi"}
        assert set(await names(tablet, "मानपुर")) == {"Shabnam Khatoon", "शबनम परवीन"}
        assert await names(tablet, "khatun manp") == ["Shabnam Khatoon"]
        assert await names(tablet, "nobody") == []
        assert await names(tablet, "%28%29") == []


async def test_the_token_of_today_finds_its_patient_first_and_says_where_she_is(setup: Provisioned) -> None:
    async with Served(setup) as served:
        tablet = served.tablet
        await tablet.login(setup)
        await registered(tablet)
        patient, visit = await tablet.register()
        token = await tablet.fill(visit)
        row = (await tablet.get(f"/api/patients?q={token}"))["items"][0]  # type: ignore[index]
        assert (row["patient_id"], row["open_visit_id"], row["open_token"]) == (patient, visit, token)
        assert (await tablet.get("/api/patients?q=1"))["items"][0]["patient_id"] == patient  # type: ignore[index]
        await tablet.say("close_visit", visit_id=visit, outcome="completed")
        row = (await tablet.get(f"/api/patients?q={token}"))["items"][0]  # type: ignore[index]
        assert row["open_visit_id"] == "" and row["open_token"] == ""


async def test_an_amended_name_is_found_and_the_old_one_is_not(setup: Provisioned) -> None:
    async with Served(setup) as served:
        tablet = served.tablet
        await tablet.login(setup)
        first, *_ = await registered(tablet)
        await tablet.say("amend_patient", patient_id=first, person=person("Girija", "male", 61, "Kharauna", ""))
        assert await names(tablet, "ramashis") == []
        assert await names(tablet, "गिरिजा") == ["Girija"]
        assert await names(tablet, "1111") == ["Phulwa Devi"]


async def test_villages_are_offered_with_the_most_named_first(setup: Provisioned) -> None:
    async with Served(setup) as served:
        await served.tablet.login(setup)
        await registered(served.tablet)
        found = (await served.tablet.get("/api/villages"))["items"]
        assert found[0] == {"name": "Kharauna", "patients": 2}  # type: ignore[index]
        assert {one["name"] for one in found} == {"Kharauna", "Manpur", "मानपुर"}  # type: ignore[attr-defined]


async def test_somebody_who_may_be_registered_already_is_shown_and_warned_of(setup: Provisioned) -> None:
    async with Served(setup) as served:
        tablet = served.tablet
        await tablet.login(setup)
        first, *_ = await registered(tablet)
        again = person("Ramasis Mahto", "male", 60, "खरौना", "")
        status, reply = await tablet.call("POST", "/api/patients/alike", again)
        assert status == 200
        assert [row["patient_id"] for row in reply["items"]] == [first]  # type: ignore[attr-defined]
        said = await tablet.say("register_patient", patient_id=new_id(), person=again)
        assert [one["code"] for one in said["warnings"]] == ["possible_duplicate"]  # type: ignore[attr-defined]
        assert (await tablet.call("POST", "/api/patients/alike", {"name": ""}))[0] == 400


async def test_a_store_of_an_earlier_release_is_searched_after_its_first_opening(setup: Provisioned) -> None:
    async with Served(setup) as served:
        await served.tablet.login(setup)
        await served.tablet.register()
        await registered(served.tablet)
    slots, attempts = await asyncio.to_thread(lambda: (Slots(setup.folder).load(), Attempts(setup.folder, lambda: 0.0)))
    dmk = await open_with_badge(slots, attempts, setup.badge, PIN)
    await asyncio.to_thread(as_before, setup.folder, dmk)
    async with Served(setup) as served:
        await served.tablet.login(setup)
        assert await names(served.tablet, "sunita") == ["सुनीता Markerbai"]
        assert await names(served.tablet, "shabnam kh") == ["Shabnam Khatoon"]
        assert await names(served.tablet, MOBILE[-4:]) == ["सुनीता Markerbai"]
    assert {"search", "same"}.isdisjoint(await asyncio.to_thread(columns, setup.folder, dmk))


async def test_the_keys_are_the_same_after_a_rebuild_and_nothing_of_them_lies_in_plain(setup: Provisioned) -> None:
    async with Served(setup) as served:
        await served.tablet.login(setup)
        await registered(served.tablet)
        store = served.node.clinic.store

        def keys(journal: Journal) -> list[tuple[object, ...]]:
            return journal._db.rows("SELECT key, patient FROM found_by ORDER BY 1, 2")

        before = await store.write(keys)
        await store.write(Journal.rebuild)
        assert await store.write(keys) == before
        assert any(key == "wsbnm" for key, _ in before)
    raw = await asyncio.to_thread(contents, setup.folder)
    for _, _, _, village, mobile in PEOPLE:
        assert village.encode() not in raw and mobile.encode() not in raw


async def test_two_common_words_find_also_who_was_here_long_ago(
    setup: Provisioned, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "COMMON_KEYS", 3)
    monkeypatch.setattr(search, "WALK_MAX", 4)
    others = ("Lalita Devi", "Sarita Devi", "Gita Devi", "Rita Kumari", "Mina Kumari", "Puja Kumari")
    async with Served(setup) as served:
        tablet = served.tablet
        await tablet.login(setup)
        for name in ("Devi Kumari", *others):
            said = person(name, "female", 30, "Rampur", "")
            await tablet.say("register_patient", patient_id=new_id(), person=said)
        assert await names(tablet, "devi kumari") == ["Devi Kumari"]
        assert await names(tablet, "कुमारी देवी") == ["Devi Kumari"]
        assert len(await names(tablet, "devi")) == 4
