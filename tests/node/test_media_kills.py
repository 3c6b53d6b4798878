"""A photo's upload while the node is killed between its steps: nothing is lost, doubled or half there."""

import asyncio
import contextlib
import signal
from pathlib import Path

import aiohttp
import msgspec
import pytest

from edge.model import events as ev
from edge.node.config import save_config
from tests.node.hubside import HubSide
from tests.node.kit import Provisioned, Tablet, new_id, provisioned
from tests.node.test_kill_points import Process, logged_in
from tests.node.test_link import until
from tests.node.test_media import PART, PHOTO, SMALL, all_are, arrived, begin, part


@pytest.fixture
async def setup(tmp_path: Path) -> Provisioned:
    return await provisioned(tmp_path / "data")


@pytest.mark.serial
async def test_kills_between_the_steps_of_an_upload_lose_and_double_nothing(setup: Provisioned) -> None:
    """SIGKILL after the file is filled, before its row, and after chunks lie in the outbox, one after the other."""
    preview, original = new_id(), new_id()
    visit = ""
    async with HubSide(setup) as hub:
        config = msgspec.structs.replace(setup.config, udp_port=hub.port, wss_port=0)
        await asyncio.to_thread(save_config, setup.folder, config)
        for kill_at in ("media.filled", "media.written:2", "media.covered:2", ""):
            process = await Process.start(setup.folder, kill_at)
            try:
                async with logged_in(process, setup) as tablet:
                    if not visit:
                        _, visit = await tablet.register()
                        await tablet.fill(visit)
                    with contextlib.suppress(aiohttp.ClientError):
                        await _take(tablet, visit, preview, original)
                        if kill_at:
                            await asyncio.wait_for(process.child.wait(), 20)
                        else:
                            await until(all_are(tablet, visit, "hub_has_it"), 60)
            finally:
                if not kill_at:
                    assert await process.stop() == 0
            if kill_at:
                assert await asyncio.wait_for(process.child.wait(), 20) == -signal.SIGKILL
    attached = {event.media.purpose: event.media for event in hub.events() if isinstance(event, ev.MediaAttached)}
    assert sum(isinstance(event, ev.MediaAttached) for event in hub.events()) == 2
    assert arrived(hub, attached["original"].blob_id) == PHOTO  # type: ignore[index]
    assert arrived(hub, attached["preview"].blob_id) == SMALL  # type: ignore[index]
    assert hub.conflicts == 0
    files = await asyncio.to_thread(lambda: list((setup.folder / "blobs").iterdir()))
    assert len(files) == 3, "a preview and two pieces of the photo, nothing half"


async def _take(tablet: Tablet, visit: str, preview: str, original: str) -> None:
    """Go on with a photo wherever it stands."""
    for upload, purpose, content in ((preview, "preview", SMALL), (original, "original", PHOTO)):
        status, state = await begin(tablet, visit, upload, purpose, len(content))
        assert status == 200, state
        at = int(str(state["held_bytes"]))
        while at < len(content):
            status, state = await part(tablet, visit, upload, at, content[at : at + PART])
            assert status == 200, state
            at = int(str(state["held_bytes"]))
    await tablet.say("attach_media", visit_id=visit, upload_id=original, preview_upload_id=preview)
