"""After a breach: who was affected, what has to be written by when, and whom patients can complain to."""

import asyncio
from collections.abc import AsyncIterator
from io import StringIO
from pathlib import Path

import pytest

from edge.model.errors import BadInput
from hub import affected, breach, breach_cli

from .home_kit import Telephone, always_open
from .kit import HubKit

NOTICED_MS = 1_795_683_600_000
"""26 November 2026, 14:30 in India."""


@pytest.fixture
async def home(tmp_path: Path, database: str) -> AsyncIterator[HubKit]:
    kit = await (await asyncio.to_thread(HubKit, tmp_path / "hub", database, messages=StringIO())).start()
    await always_open(kit)
    yield kit
    await kit.stop()


async def test_a_patient_at_home_whose_record_was_opened_is_among_the_affected_and_named_in_no_report(
    home: HubKit,
) -> None:
    await home.add_doctor()
    patient, page = await Telephone(home).login(), await home.login()
    visit_id = await patient.waiting()
    await page.get(f"/api/visits/{visit_id}")
    now_ms = home.clock.ms + 1
    found = await home.hub.store.write(lambda connection: affected.people(connection, "asha", 0, now_ms, now_ms))
    (person,) = found.people
    assert (person.visit_ids, person.site_code, person.district) == ((visit_id,), "H", "")
    texts = breach.reports(found, "2026-11-01 to 2026-11-26", NOTICED_MS, None, breach.Officer("K. Rao", "011-555"))
    assert "2026-11-26 20:30 IST (6 hours" in texts["1-cert-in-6h.txt"]
    assert "2026-11-29 14:30 IST (72 hours" in texts["3-board-72h.txt"]
    assert all("1 patients, 1 readings" in texts[name] for name in texts if name[0] in "123")
    assert all("K. Rao, 011-555" in texts[name] for name in texts if name[0] in "123")
    assert all("K. Rao" not in texts[name] for name in texts if name[0] == "4"), "persons ask the grievance officer"
    for text in texts.values():
        assert not any(word in text for word in (person.patient_id, visit_id, "सीता", "asha"))
        assert "None" not in text


async def test_patients_see_whom_to_complain_to_and_the_naming_is_audited(home: HubKit) -> None:
    page = Telephone(home)
    assert (await page.get("/home/api/opening"))["grievance"] is None
    officer = breach.Officer("श्रीमती क. राव", "+91 522 555 0000", "grievance@example.org")
    await home.hub.store.write(
        lambda connection: breach.put_officer(connection, breach.Role.GRIEVANCE, officer, home.clock.ms)
    )
    shown = (await page.get("/home/api/opening"))["grievance"]
    assert shown == {"name": officer.name, "phone": officer.phone, "email": officer.email}
    found = await home.hub.store.read(
        lambda connection: breach.reports(
            affected.Affected((), 0, 7), "-", NOTICED_MS, breach.load_officer(connection, breach.Role.GRIEVANCE), None
        )
    )
    assert all(officer.name in found[name] for name in ("4-persons-hi.txt", "4-persons-en.txt"))
    assert "BROKEN at line 7" in found["1-cert-in-6h.txt"]


def test_reports_are_written_once_where_nobody_else_reads(tmp_path: Path) -> None:
    texts = breach.reports(affected.Affected((), 0, 0), "-", NOTICED_MS, None, None)
    breach_cli.write(tmp_path / "out", texts)
    assert {one.name for one in (tmp_path / "out").iterdir()} == set(texts)
    assert all(one.stat().st_mode & 0o077 == 0 for one in (tmp_path / "out").iterdir())
    with pytest.raises(BadInput):
        breach_cli.write(tmp_path / "out", texts)
