"""The node's API against its own description: generated requests, good and bad, never surprise it."""

import asyncio
import json
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.node.kit import Provisioned, Served, provisioned


class Background:
    """A node that serves from a thread of its own, for a client that blocks."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._over = asyncio.Event()
        self.url = self.cookie = self.csrf = ""
        self.setup: Provisioned
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),))

    async def _serve(self) -> None:
        self.setup = await provisioned(self._folder)
        async with Served(self.setup) as served:
            await served.tablet.login(self.setup)
            self.url = str(served.tablet.http.make_url("")).rstrip("/")
            self.cookie = next(iter(served.tablet.http.session.cookie_jar)).value
            self.csrf = served.tablet.csrf
            self._ready.set()
            await self._over.wait()

    def __enter__(self) -> "Background":
        self._thread.start()
        assert self._ready.wait(30)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(20)


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Background]:
    with Background(tmp_path_factory.mktemp("node") / "data") as background:
        yield background


CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
)
LEFT_OUT = ("post_unlock", "post_session", "delete_session", "get_live", "post_close")
"""PIN checks take a third of a second each and lock out by design; the others end what is tried."""


CONFIG = """
[auth.openapi.session]
api_key = "{cookie}"
[auth.openapi.csrf]
api_key = "{csrf}"
[checks.negative_data_rejection]
expected-statuses = [400, 401, 403, 404, 405, 413, 415]
"""


@pytest.mark.timeout(300)
def test_generated_requests_find_no_surprise(node: Background, tmp_path: Path) -> None:
    config = tmp_path / "schemathesis.toml"
    config.write_text(CONFIG.format(cookie=node.cookie, csrf=node.csrf))
    command = [
        str(Path(sys.executable).with_name("schemathesis")), "--config-file", str(config),
        "run", f"{node.url}/openapi.json",
        "--url", node.url,
        "--max-examples", "6",
        "--phases", "examples,coverage,fuzzing",
        "--checks", ",".join(CHECKS),
        "--seed", "1",
        "--no-color",
    ]  # fmt: skip
    for name in LEFT_OUT:
        command += ["--exclude-operation-id", name]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=240, check=False)
    assert ran.returncode == 0, ran.stdout[-6000:] + ran.stderr[-1000:]


def test_the_description_names_every_operation_once_and_its_session(node: Background) -> None:
    with urllib.request.urlopen(f"{node.url}/openapi.json", timeout=10) as reply:  # noqa: S310 - our own node
        document = json.load(reply)
    assert document["openapi"].startswith("3.1")
    names = [operation["operationId"] for path in document["paths"].values() for operation in path.values()]
    assert len(names) == len(set(names)) >= 24
    assert document["paths"]["/api/commands"]["post"]["security"] == [{"session": [], "csrf": []}]
    assert "security" not in document["paths"]["/api/status"]["get"]
