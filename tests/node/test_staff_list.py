"""Who works here stands in the log, so that papers carry names: said once, and never with a PIN."""

from pathlib import Path

import msgspec
import pytest

from edge.model import events as ev
from edge.model.errors import BadInput
from edge.model.records import Role
from edge.node import provision
from edge.node.journal import Journal
from edge.node.unlock import Slots
from edge.node.views import OF_STAFF
from edge.sync.log import Stream
from tests.node.kit import PIN, Served, provisioned


def said(journal: Journal) -> list[tuple[int, ev.StaffListed]]:
    found: list[tuple[int, ev.StaffListed]] = []
    for pending in journal.pending():
        for raw in pending.payload.entries:
            event = ev.event_of(msgspec.msgpack.decode(raw, type=ev.Entry))
            if isinstance(event, ev.StaffListed):
                found.append((pending.payload.stream, event))
    return found


async def test_a_new_member_is_said_once_in_the_clinical_stream_without_a_pin(tmp_path: Path) -> None:
    setup = await provisioned(tmp_path / "data")
    opener = (setup.recovery, "")
    await provision.add_staff(setup.folder, setup.config, opener, "Rekha Kumari", "रेखा कुमारी", Role.CHO, "739164")
    dmk = await provision._open(setup.folder, Slots(setup.folder), opener)
    found = provision._with_records(setup.folder, setup.config, dmk, said)
    assert {(stream, one.name, one.name_hi, one.role) for stream, one in found} == {
        (Stream.CLINICAL, "Asha Devi", "आशा देवी", Role.ANM),
        (Stream.CLINICAL, "Rekha Kumari", "रेखा कुमारी", Role.CHO),
    }
    assert len({one.salt for _, one in found}) == 2
    assert all(PIN.encode() not in msgspec.msgpack.encode(one) for _, one in found)
    async with Served(setup) as served:
        await served.tablet.login(setup)
        clinic = served.node.clinic
        assert await clinic.store.write(lambda journal: journal.list_staff(clinic.clock.now())) == 0
        sql = f"EXPLAIN QUERY PLAN SELECT raw FROM entries WHERE {OF_STAFF} ORDER BY stamp"  # noqa: S608
        plan = await clinic.store.write(lambda journal: journal._db.rows(sql))
        assert [str(row[-1]) for row in plan] == ["SCAN entries USING INDEX some_entries_stamp"], "not the whole log"


@pytest.mark.parametrize("name", ["", "x" * 81, "a<b>", "two\nlines"])
async def test_a_name_that_the_hub_could_not_read_is_refused(tmp_path: Path, name: str) -> None:
    setup = await provisioned(tmp_path / "data")
    with pytest.raises(BadInput):
        await provision.add_staff(setup.folder, setup.config, (setup.recovery, ""), name, "", Role.ANM, "739164")
