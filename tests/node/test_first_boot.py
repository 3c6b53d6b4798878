"""The provisioning file moves from the card into the data folder, through power cuts, and leaves nothing behind."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from edge.model import provisioning
from edge.model.errors import BadInput
from edge.node import first_boot
from edge.node.config import NODE_FILE
from tests.kits.clinic import ROOT

SITE = {
    "format": 1,
    "hub": "https://hub.example.org",
    "token": "UPK1-ABCDEFGHIJKL",
    "setup_code": "04711000",
    "wifi": {"ssid": "Namunapur", "passphrase": "golghar-42"},
}


@pytest.fixture
def boot(tmp_path: Path) -> Path:
    folder = tmp_path / "boot"
    folder.mkdir()
    (folder / provisioning.FILE_NAME).write_text(json.dumps(SITE))
    return folder


def test_the_file_moves_once_and_its_bytes_are_gone_from_the_card(boot: Path, tmp_path: Path) -> None:
    path, data = boot / provisioning.FILE_NAME, tmp_path / "data"
    with path.open("rb") as held:
        found = first_boot.take(boot, data)
        assert found is not None
        held.seek(0)
        assert not held.read().strip(b"\0"), "overwritten before it was deleted"
    assert not path.exists()
    assert first_boot.load_site(data) == found
    assert (data / first_boot.SITE_FILE).stat().st_mode & 0o077 == 0
    assert first_boot.take(boot, data) is None


@pytest.mark.parametrize("point", ["first-boot-kept", "first-boot-zeroed"])
def test_a_power_cut_at_any_step_is_answered_by_running_it_again(boot: Path, tmp_path: Path, point: str) -> None:
    data = tmp_path / "data"
    argv = [sys.executable, "-m", "edge.node", "first-boot", "--boot", str(boot), "--data", str(data)]
    cut = subprocess.run(argv, cwd=ROOT, env={**os.environ, "UPKENDRA_KILL_AT": point}, check=False, timeout=60)
    assert cut.returncode == -signal.SIGKILL
    again = subprocess.run(argv, cwd=ROOT, capture_output=True, check=True, timeout=60)
    assert json.loads(again.stdout) == {"taken": True}
    found = first_boot.load_site(data)
    assert found is not None
    assert found.token == SITE["token"]
    assert list(boot.iterdir()) == []


def test_a_wiping_that_was_cut_in_its_middle_is_ended(boot: Path, tmp_path: Path) -> None:
    path, data = boot / provisioning.FILE_NAME, tmp_path / "data"
    content = json.dumps(SITE, indent=40).encode()
    path.write_bytes(content)
    found = first_boot.take(boot, data)
    path.write_bytes(bytes(512) + content[512:])
    assert first_boot.take(boot, data) == found
    assert list(boot.iterdir()) == [], "the rest held the token or the key"


def test_a_wrong_file_stays_and_the_reason_lies_beside_it(boot: Path, tmp_path: Path) -> None:
    path = boot / provisioning.FILE_NAME
    path.write_text(json.dumps({**SITE, "wifi": {"ssid": "x", "passphrase": "short"}}))
    with pytest.raises(BadInput):
        first_boot.take(boot, tmp_path / "data")
    said = (boot / first_boot.ERROR_FILE).read_text()
    assert "passphrase" in said
    assert "short" not in said
    path.write_text(json.dumps(SITE))
    assert first_boot.take(boot, tmp_path / "data") is not None
    assert list(boot.iterdir()) == []


def test_an_enrolled_node_is_not_set_up_anew_by_a_card(boot: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / NODE_FILE).write_text("{}")
    assert first_boot.take(boot, data) is None
    assert (boot / provisioning.FILE_NAME).exists()
