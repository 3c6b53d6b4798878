"""The node's command line as a technician uses it, each command a process of its own."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edge.node.__main__ import main
from edge.slips.render import render_slip
from tests.node.kit import Provisioned, new_id, provisioned
from tests.node.test_link import prescription


@pytest.fixture
async def setup(tmp_path: Path) -> Provisioned:
    return await provisioned(tmp_path / "data")


def run(*arguments: str, stdin: str = "") -> tuple[int, dict[str, object], str]:
    """Exit code, the JSON line on stdout, and stderr."""
    ran = subprocess.run(
        [sys.executable, "-m", "edge.node", *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "UPKENDRA_RECOVERY_CODE": ""},
    )
    return ran.returncode, json.loads(ran.stdout) if ran.stdout else {}, ran.stderr


def test_add_staff_prints_the_badge_once_and_takes_the_pin_from_stdin(setup: Provisioned, tmp_path: Path) -> None:
    data = ["--data", str(setup.folder), "--name", "Ram Lal", "--role", "cho"]
    picture = tmp_path / "badge.svg"
    opener = ["--recovery-code", setup.recovery]
    code, shown, _ = run("add-staff", *data, *opener, "--pin-stdin", "--qr", str(picture), stdin="123456\n")
    assert code == 0
    assert str(shown["badge"]).startswith("UPB1-")
    assert "pin" not in shown
    assert picture.read_text().startswith("<?xml")
    code, shown, _ = run("add-staff", *data, *opener)
    assert code == 0
    assert len(str(shown["pin"])) == 6
    for arguments, stdin, wanted in (
        (["--pin-stdin", *opener], "12a4", "bad_input"),
        (["--pin-stdin"], "1234", "bad_input"),
        (["--pin-stdin", "--recovery-code", "UPR1-" + "A" * 32], "1234", "wrong_pin"),
    ):
        code, _, said = run("add-staff", *data, *arguments, stdin=stdin)
        assert code == 1
        assert json.loads(said)["error"]["code"] == wanted


def test_verify_slip_accepts_the_slip_and_refuses_a_changed_one(
    setup: Provisioned, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    slip = tmp_path / "slip.pdf"
    slip.write_bytes(render_slip(prescription(setup, new_id(), new_id())))
    for key in (["--data", str(setup.folder)], ["--hub-key", setup.config.hub_sign.hex()]):
        assert main(["verify-slip", str(slip), *key]) == 0
        assert json.loads(capsys.readouterr().out)["doctor"] == "Dr Meera Iyer"
    changed = bytearray(slip.read_bytes())
    changed[len(changed) // 2] ^= 1
    slip.write_bytes(bytes(changed))
    assert main(["verify-slip", str(slip), "--data", str(setup.folder)]) == 1
    assert json.loads(capsys.readouterr().err)["error"]["code"].startswith("slip_")
    assert main(["verify-slip", str(slip), "--hub-key", "zz"]) == 1


def test_commands_on_a_folder_or_hub_that_is_not_there_say_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    token = "UPK1-" + "A" * 52
    for arguments, code in (
        (["serve", "--data", str(tmp_path), "--http", "127.0.0.1:0"], "not_enrolled"),
        (["serve", "--data", str(tmp_path), "--http", "nonsense"], "bad_input"),
        (["enrol", "--data", str(tmp_path / "a"), "--hub", "http://127.0.0.1:9", "--token", token], "hub_unreachable"),
        (["enrol", "--data", str(tmp_path / "a"), "--hub", "http://127.0.0.1:9", "--token", "x"], "token_malformed"),
        (["status", "--http", "127.0.0.1:9"], "node_unreachable"),
        (["serve", "--data", str(tmp_path), "--http", "127.0.0.1:0", "--camera", "webcam"], "bad_input"),
    ):
        ran = subprocess.run(
            [sys.executable, "-m", "edge.node", *arguments], capture_output=True, text=True, timeout=60, check=False
        )
        assert ran.returncode == 1, arguments
        assert json.loads(ran.stderr.strip().splitlines()[-1])["error"]["code"] == code
    capsys.readouterr()


def test_a_serving_node_is_found_on_the_lan_and_leaves_in_order(setup: Provisioned) -> None:
    command = [sys.executable, "-m", "edge.node", "serve", "--data", str(setup.folder), "--http", "127.0.0.1:0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as node:
        try:
            assert node.stdout is not None
            url = json.loads(node.stdout.readline())["http"]
            code, status, _ = run("status", "--http", url.removeprefix("http://"))
            assert (code, status["site_name"]) == (0, "Rampur")
            deadline_s = time.monotonic() + 20
            found: dict[str, object] = {}
            while not found and time.monotonic() < deadline_s:
                _, found, _ = run("find", "--seconds", "1.5")
            assert found["node_id"] == setup.config.node_id.hex()
            assert found["http"] == url
        finally:
            node.terminate()
        assert node.wait(15) == 0
