"""Spoken prompts: placeholders are said to be such, and a person's recording takes their place."""

import asyncio
import io
import shutil
import wave
from pathlib import Path

import pytest

from edge.model.reference import reference
from edge.node import voice
from tests.node.kit import Provisioned, Served, provisioned

pytestmark = pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng makes the placeholders")


@pytest.fixture
async def setup(tmp_path: Path) -> Provisioned:
    return await provisioned(tmp_path / "data")


async def test_every_statement_is_spoken_in_both_languages_and_marked_as_a_machines_voice(setup: Provisioned) -> None:
    async with Served(setup) as served:
        tablet = served.tablet
        assert (await tablet.call("GET", "/api/prompts"))[0] in (401, 423)
        await tablet.login(setup)
        found = (await tablet.get("/api/prompts"))["items"]
        wanted = {(one.version, language) for one in reference().consent_statements for language in ("hi", "en")}
        assert {(one["prompt_id"], one["language"]) for one in found} == wanted  # type: ignore[attr-defined]
        assert all(one["synthetic"] for one in found)  # type: ignore[attr-defined]
        async with tablet.http.get(found[0]["path"]) as reply:  # type: ignore[index]
            assert reply.status == 200 and reply.content_type == "audio/wav"
            body = await reply.read()
        with wave.open(io.BytesIO(body)) as sound:
            assert sound.getnframes() / sound.getframerate() > 3
        for path in ("/api/prompts/nothing.hi.wav", "/api/prompts/..%2fnode.hi.wav", "/api/prompts/node.json"):
            async with tablet.http.get(path) as reply:
                assert reply.status in (400, 404), path


async def test_a_recording_by_a_person_is_played_instead_and_is_never_written_over(setup: Provisioned) -> None:
    folder = setup.folder / voice.FOLDER
    recorded = folder / "tele-1.hi.wav"

    def record() -> None:
        folder.mkdir()
        recorded.write_bytes(b"RIFF a person's voice")

    await asyncio.to_thread(record)
    async with Served(setup) as served:
        await served.tablet.login(setup)
        for _ in range(2):
            found = (await served.tablet.get("/api/prompts"))["items"]
            mine = [one for one in found if (one["prompt_id"], one["language"]) == ("tele-1", "hi")]  # type: ignore[attr-defined]
            assert mine == [
                {"prompt_id": "tele-1", "language": "hi", "path": "/api/prompts/tele-1.hi.wav", "synthetic": False}
            ]
    assert await asyncio.to_thread(recorded.read_bytes) == b"RIFF a person's voice"
    assert not (folder / "tele-1.hi.synthetic.wav").exists()
