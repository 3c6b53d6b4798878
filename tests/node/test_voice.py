"""Spoken prompts: placeholders are said to be such, and a person's recording takes their place."""

import asyncio
import hashlib
import io
import logging
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


async def test_a_line_for_one_patient_is_spoken_and_kept_nowhere(
    setup: Provisioned, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    words = "पैरासिटामोल: एक गोली, दिन में तीन बार, खाने के बाद। [[h@loU]] Zebrafish-7741"
    async with Served(setup) as served:
        tablet = served.tablet
        assert (await tablet.call("POST", "/api/voice", {"text": words}))[0] in (401, 423)
        await tablet.login(setup)
        assert await tablet.get("/api/voice") == {"speaks": True}
        headers = {"X-CSRF": tablet.csrf}

        async def spoken(language: str) -> bytes:
            body = {"text": words, "language": language}
            async with tablet.http.post("/api/voice", json=body, headers=headers) as reply:
                assert (reply.status, reply.content_type) == (200, "audio/wav")
                assert reply.headers["Cache-Control"] == "no-store"
                return await reply.read()

        made = await asyncio.gather(spoken("hi"), spoken("en"), spoken("hi"))
        assert made[0] == made[2] != made[1]
        for body in made:
            with wave.open(io.BytesIO(body)) as sound:
                assert 2 < sound.getnframes() / sound.getframerate() < 60
                assert sound.getnframes() * sound.getsampwidth() == len(body) - 44
        crowd = await asyncio.gather(*(tablet.call("POST", "/api/voice", {"text": words}) for _ in range(9)))
        busy = [body["code"] for status, body in crowd if status == 409]
        assert busy and set(busy) == {"voice_busy"} and len(busy) <= 9 - voice.WAITING_MAX
        assert (await tablet.call("POST", "/api/voice", {"text": "x" * (voice.WORDS_MAX + 1)}))[0] == 400
    marks = (b"Zebrafish-7741", "पैरासिटामोल: एक".encode())

    def kept() -> list[Path]:
        files = (path for path in setup.folder.rglob("*") if path.is_file())
        return [path for path in files if any(mark in path.read_bytes() for mark in marks)]

    assert await asyncio.to_thread(kept) == []
    assert "Zebrafish" not in caplog.text


async def test_first_aid_is_read_out_by_a_locked_node_to_whoever_stands_there(setup: Provisioned) -> None:
    async with Served(setup) as served:
        tablet = served.tablet
        found = (await tablet.get("/api/first-aid/prompts"))["items"]
        assert {(one["prompt_id"], one["language"]) for one in found} == {  # type: ignore[attr-defined]
            (f"aid-1-{number}", language) for number in range(1, 5) for language in ("hi", "en")
        }
        async with tablet.http.get(found[0]["path"]) as reply:  # type: ignore[index]
            assert reply.status == 200 and (await reply.read())[:4] == b"RIFF"
        for name in ("tele-1.hi.synthetic.wav", "board-token.hi.synthetic.wav"):
            assert (await tablet.call("GET", f"/api/first-aid/prompts/{name}"))[0] == 404, "first aid and nothing else"
        assert served.node.clinic.locked
        await tablet.login(setup)
        consent = (await tablet.get("/api/prompts"))["items"]
        assert not [one for one in consent if one["prompt_id"].startswith(voice.AID)]  # type: ignore[attr-defined]


def test_the_recordings_of_first_aid_belong_to_their_words() -> None:
    words = "\n".join(f"{one.prompt_id} {one.hi} {one.en}" for one in voice.aid_phrases())
    said = "new words of first aid need a new AID_VERSION, or an old recording says something else"
    assert hashlib.sha256(words.encode()).hexdigest()[:16] == "58e57c72f7628749", said
