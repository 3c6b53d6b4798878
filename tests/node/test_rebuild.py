"""Views are derived: what is folded from the entries can be computed anew at any time."""

from pathlib import Path

import msgspec
import pytest

from edge.model import events as ev
from edge.model.errors import BadInput
from edge.node import provision
from edge.node.__main__ import main
from edge.node.journal import Journal
from edge.node.views import Views
from edge.sync import bundle
from edge.sync.log import Stream
from tests.node.kit import PIN, Provisioned, Served, new_id, provisioned
from tests.node.test_link import prescription


@pytest.fixture
async def setup(tmp_path: Path) -> Provisioned:
    return await provisioned(tmp_path / "data")


def everything(views: Views) -> list[object]:
    return [(one, views.visits_of(one.patient.patient_id)) for one in views.finder.find("", 100, 0)]


async def test_views_that_were_lost_are_the_same_after_they_are_computed_anew(setup: Provisioned) -> None:
    async with Served(setup) as served:
        await served.tablet.login(setup)
        _, visit = await served.tablet.register()
        await served.tablet.fill(visit)
        rx = new_id()
        signed = ev.PrescriptionSigned(visit, rx, msgspec.msgpack.encode(prescription(setup, visit, rx)))
        clinic = served.node.clinic
        now = clinic.clock.now()
        entry = ev.entry_of(signed, (now.wall_ms + 1_000) << 16, "dr-1")
        payload = bundle.BundlePayload(1, bytes(8), int(Stream.HUB), 1, (msgspec.msgpack.encode(entry),))
        answers = {1: ev.PrescriptionStored(visit, rx)}
        await clinic.store.write(lambda journal: journal.import_down(payload, answers, now))
        before = await clinic.store.read(everything)
        assert before
        await clinic.store.write(lambda journal: journal.views.clear())
        assert await clinic.store.read(everything) == []
        assert await clinic.store.write(Journal.rebuild) == 1
        assert await clinic.store.read(everything) == before


async def test_the_command_needs_somebody_who_can_unlock_the_node(setup: Provisioned) -> None:
    async with Served(setup) as served:
        await served.tablet.login(setup)
        await served.tablet.register()
    assert await provision.rebuild_views(setup.folder, setup.config, (setup.badge, PIN)) == 1
    with pytest.raises(BadInput):
        await provision.rebuild_views(setup.folder, setup.config, ("UPB1-nonsense", PIN))


def test_the_command_asks_for_a_code_or_a_badge(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rebuild", "--data", str(tmp_path), "--recovery-code", ""]) == 1
    assert "--badge-pin" in capsys.readouterr().err
