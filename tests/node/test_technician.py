"""What the appliance notes of a technician's shell reaches the audit log once somebody has opened the records."""

from pathlib import Path

import pytest

from edge.model import events as ev
from edge.node import technician
from tests.node.hubside import HubSide
from tests.node.kit import Provisioned, Served, provisioned
from tests.node.test_link import at_hub


@pytest.fixture
async def setup(tmp_path: Path) -> Provisioned:
    return await provisioned(tmp_path / "data")


def leave(folder: Path, name: str, content: bytes) -> Path:
    path = folder / technician.NOTES / f"{name}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    return path


async def test_a_shell_stands_in_the_audit_log_when_the_records_are_opened(setup: Provisioned) -> None:
    opened = b'{"permit_id":"00112233aabbccdd","technician":"Ravi Kumar","what":"opened","why":"4 h"}'
    left = [leave(setup.folder, "00000001", opened), leave(setup.folder, "00000002", b"\xff torn")]
    left.append(leave(setup.folder, "00000003", opened.replace(b"Ravi", b"\xff")))
    async with HubSide(setup) as hub:
        async with Served(at_hub(setup, hub)) as served:
            watch = served.node.technician
            assert await watch.look() == 0, "a locked node writes nothing"
            assert all(path.exists() for path in left)
            await served.tablet.login(setup)
            assert await watch.look() == 3
            assert not any(path.exists() for path in left), "what was written down goes, and what says nothing too"
            assert await watch.look() == 0
        said = [event for event in hub.events() if isinstance(event, ev.Accessed)]
    shells = [event for event in said if event.action == technician.ACTION]
    assert shells == [ev.Accessed(technician.ACTION, "00112233aabbccdd", "opened 4 h: Ravi Kumar")]
