"""A command that comes again changes nothing, however late; old replies take no room and keep no patient."""

from pathlib import Path

import pytest

from edge.node import replies
from edge.node.journal import Journal
from tests.node.kit import NAME, Served, new_id, provisioned


def kept(journal: Journal) -> list[bytes]:
    return [bytes(row[0]) for row in journal._db.rows("SELECT reply FROM commands ORDER BY rowid")]


async def test_old_replies_are_short_and_their_commands_still_come_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replies, "WHOLE_MAX", 4)
    monkeypatch.setattr(replies, "BATCH", 2)
    setup = await provisioned(tmp_path / "data")
    async with Served(setup) as served:
        tablet = served.tablet
        await tablet.login(setup)
        patient, visit = new_id(), new_id()
        person = {"name": NAME, "gender": "female", "village": "Rampur", "age": {"value": 34}}
        first = {"type": "register_patient", "command_id": new_id(), "patient_id": patient, "person": person}
        second = {"type": "open_visit", "command_id": new_id(), "visit_id": visit, "patient_id": patient}
        for command in (first, second):
            assert (await tablet.call("POST", "/api/commands", command))[0] == 200
        await tablet.fill(visit)
        store = served.node.clinic.store
        rows = await store.write(kept)
        assert all(NAME.encode() not in row and len(row) < 100 for row in rows[:2])
        assert sum(len(row) > 300 for row in rows) <= 6
        status, again = await tablet.call("POST", "/api/commands", first)
        assert (status, again["patient"]["patient_id"]) == (200, patient)  # type: ignore[index]
        status, again = await tablet.call("POST", "/api/commands", second)
        assert (status, again["visit"]["visit_id"], bool(again["visit"]["token"])) == (200, visit, True)  # type: ignore[index]
        assert len(await store.write(kept)) == len(rows)
        status, refusal = await tablet.call("POST", "/api/commands", {**second, "visit_id": new_id()})
        assert (status, refusal.get("code")) == (409, "command_reused")
