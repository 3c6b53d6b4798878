"""The hub's APIs, doctors' and patients', against their own descriptions: no generated request surprises them."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pytest

from tests.hub.home_kit import Telephone
from tests.hub.kit import HubKit, new_id, registered, visit_events


class Background:
    """A hub with a doctor and a patient logged in and a visit each, served from a thread for a client that blocks."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._over = asyncio.Event()
        self.url = self.cookie = self.csrf = self.home_cookie = self.home_csrf = ""
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),))

    async def _serve(self) -> None:
        kit = await (await asyncio.to_thread(HubKit, self._folder, messages=StringIO())).start()
        await kit.add_doctor()
        node = await kit.enrol()
        patient_id, visit_id = new_id(), new_id()
        await node.send([registered(patient_id), *visit_events(visit_id, patient_id)])
        page = await kit.login()
        assert kit.client is not None
        self.url = str(kit.client.make_url("")).rstrip("/")
        self.cookie, self.csrf = page.cookies["upk_hub"], page.csrf
        patient = await Telephone(kit).login()
        await patient.waiting()
        self.home_cookie, self.home_csrf = patient.cookies["upk_home"], patient.csrf
        self._ready.set()
        await self._over.wait()
        await kit.stop()

    def __enter__(self) -> "Background":
        self._thread.start()
        assert self._ready.wait(30)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(20)


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Background]:
    with Background(tmp_path_factory.mktemp("hub") / "data") as background:
        yield background


CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
)
LEFT_OUT = ("login", "logout", "live", "enrol")
"""Log-ins are slow and back off by design; the others have tests of their own."""
HOME_LEFT_OUT = ("login", "logout", "live", "ask_code", "check_slip")
"""As above; the last two say "too often" before long, by design."""
CONFIG = """
[auth.openapi.session]
api_key = "{cookie}"
[auth.openapi.csrf]
api_key = "{csrf}"
[checks.negative_data_rejection]
expected-statuses = [400, 401, 403, 404, 405, 413, 415]
"""


@pytest.mark.timeout(300)
def test_generated_requests_find_no_surprise(hub: Background, tmp_path: Path) -> None:
    generate(hub, "/openapi.json", (hub.cookie, hub.csrf), LEFT_OUT, tmp_path, examples=6)


@pytest.mark.long
@pytest.mark.timeout(300)
def test_generated_requests_of_patients_at_home_find_no_surprise(hub: Background, tmp_path: Path) -> None:
    generate(hub, "/home/openapi.json", (hub.home_cookie, hub.home_csrf), HOME_LEFT_OUT, tmp_path, examples=2)


def generate(
    hub: Background, path: str, session: tuple[str, str], left_out: tuple[str, ...], folder: Path, *, examples: int
) -> None:
    """Ask what the description at ``path`` offers, with and without sense."""
    config = folder / "schemathesis.toml"
    config.write_text(CONFIG.format(cookie=session[0], csrf=session[1]))
    command = [
        str(Path(sys.executable).with_name("schemathesis")), "--config-file", str(config),
        "run", f"{hub.url}{path}",
        "--url", hub.url,
        "--max-examples", str(examples),
        "--phases", "examples,coverage,fuzzing",
        "--checks", ",".join(CHECKS),
        "--seed", "1",
        "--no-color",
    ]  # fmt: skip
    for name in left_out:
        command += ["--exclude-operation-id", name]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert ran.returncode == 0, ran.stdout[-6000:] + ran.stderr[-1000:]
