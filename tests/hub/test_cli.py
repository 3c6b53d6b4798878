"""The hub's commands, as an administrator types them wrongly."""

import argparse
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from sqlalchemy import Connection

from hub import audit, chains
from hub.__main__ import COMMANDS, _parser, gone_seconds
from hub.backup import init_hub
from hub.config import Settings

AS_ANYBODY = ("setpriv", "--bounding-set=-dac_override,-dac_read_search")
"""Root without its right to read the files of others: this checkout may lie where no other user gets to."""


def refused(*arguments: str, before: Sequence[str] = ()) -> dict[str, str]:
    """What a command that has to fail says."""
    command = [*before, sys.executable, "-m", "hub", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1, done.stdout
    said: dict[str, str] = json.loads(done.stderr.strip().splitlines()[-1])
    return said


def test_a_site_code_is_what_can_stand_on_a_token(tmp_path: Path) -> None:
    for code in ("bad code!", "-1", "../x", "A" * 41):
        arguments = ("--data", str(tmp_path), f"--code={code}", "--name", "Namunapur", "--district", "Demo")
        assert refused("site-token", *arguments)["code"] == "bad_input"


@pytest.mark.skipif(os.geteuid() != 0, reason="another owner takes root")
def test_a_hub_started_by_another_user_is_told_so_and_not_sent_to_its_backup(tmp_path: Path) -> None:
    folder = tmp_path / "hub"
    subprocess.run([sys.executable, "-m", "hub", "init", "--data", str(folder)], check=True, capture_output=True)
    for part in (folder, *folder.rglob("*")):
        os.chown(part, 65534, 65534)
    said = refused("site-token", "--data", str(folder), "--code=A", "--name=B", "--district=C", before=AS_ANYBODY)
    assert said["code"] == "hub_keys"
    assert "owner" in said["message"]


def test_a_doctor_is_disabled_and_enabled_by_hand(tmp_path: Path) -> None:
    folder = str(tmp_path / "hub")

    def done(*arguments: str) -> dict[str, object]:
        command = [sys.executable, "-m", "hub", *arguments, "--data", folder]
        ran = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
        said: dict[str, object] = json.loads(ran.stdout)
        return said

    done("init")
    done("add-doctor", "--id=anil", "--name=Dr Anil", "--registration=DEMO/1", "--qualification=MBBS")
    assert done("disable-doctor", "--id=anil") == {"disabled": "anil"}
    assert done("enable-doctor", "--id=anil") == {"enabled": "anil"}
    assert refused("disable-doctor", "--id=nobody", "--data", folder)["code"] == "not_found"
    again = done("reset-doctor", "--id=anil")
    assert again["doctor_id"] == "anil" and len(str(again["totp_secret"])) == 32 and again["password"]


def test_a_folder_that_a_hub_serves_is_served_by_no_second_one_and_put_back_by_nobody(tmp_path: Path) -> None:
    folder = tmp_path / "hub"
    subprocess.run([sys.executable, "-m", "hub", "init", "--data", str(folder)], check=True, capture_output=True)
    serve = ["serve", "--data", str(folder), "--http", "127.0.0.1:0", "--udp", "0", "--tls", "0"]
    first = subprocess.Popen(
        [sys.executable, "-m", "hub", *serve], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        assert first.stdout is not None
        assert json.loads(first.stdout.readline())["ready"] is True
        assert refused(*serve)["code"] == "hub_running"
        assert refused("restore", "--data", str(folder), "--copy", str(tmp_path), "--replace")["code"] == "hub_running"
        assert (folder / "courier.sock").exists(), "the second one took nothing away"
    finally:
        first.kill()
        first.communicate()
    assert refused("restore", "--data", str(folder), "--copy", str(tmp_path), "--replace")["code"] != "hub_running"


def test_the_report_of_a_hub_without_visits_is_a_header_and_wrong_days_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "hub"
    subprocess.run([sys.executable, "-m", "hub", "init", "--data", str(folder)], check=True, capture_output=True)
    command = [sys.executable, "-m", "hub", "report", "--data", str(folder), "--from=2026-11-01", "--to=2026-11-30"]
    paper = tmp_path / "sheet.pdf"
    done = subprocess.run(
        [*command, "--by=district", f"--pdf={paper}"], check=True, capture_output=True, text=True, timeout=60
    )
    assert done.stdout.startswith("day,of,visits,") and len(done.stdout.splitlines()) == 1
    assert paper.read_bytes().startswith(b"%PDF-")
    assert refused(*command[3:-1], "--to=2026-10-31")["code"] == "bad_input"


def test_documents_leave_for_https_only_and_with_a_named_consent(tmp_path: Path) -> None:
    folder = tmp_path / "hub"
    subprocess.run([sys.executable, "-m", "hub", "init", "--data", str(folder)], check=True, capture_output=True)
    serve = ("serve", "--data", str(folder), "--http=127.0.0.1:0", "--udp=0", "--tls=0")
    assert "https" in refused(*serve, "--fhir-endpoint=http://fhir.example.in", "--fhir-consent=data-2")["message"]
    assert "--fhir-consent" in refused(*serve, "--fhir-endpoint=https://fhir.example.in")["message"]


def test_a_page_may_be_gone_for_half_a_minute_to_an_hour() -> None:
    assert (gone_seconds("30"), gone_seconds("3600")) == (30, 3600)
    for wrong in ("29", "3601", "two", "-60", ""):
        with pytest.raises(argparse.ArgumentTypeError, match="between 30 and 3600"):
            gone_seconds(wrong)


def test_commands_that_look_for_minutes_leave_the_writer_to_the_hub_that_serves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A write that waits for longer than half a minute fails, and with it what nodes send."""
    init_hub(Settings(tmp_path))
    written: list[str] = []

    def beside(module: object, name: str) -> None:
        looks: Callable[[Connection], object] = getattr(module, name)

        def look(connection: Connection) -> object:
            found = looks(connection)
            serving = sqlite3.connect(tmp_path / "hub.db", timeout=0.2)
            serving.execute("BEGIN IMMEDIATE")
            serving.close()
            written.append(command[0])
            return found

        monkeypatch.setattr(module, name, look)

    beside(audit, "verify")
    beside(chains, "verify")
    span = ("--from", "2026-11-01", "--to", "2026-11-26")
    out = str(tmp_path / "out")
    report = ("breach-report", *span, "--noticed", "2026-11-26T14:30", "--out", out)
    for command in (("verify",), ("status",), ("affected", *span), report):
        arguments = _parser().parse_args([*command, "--data", str(tmp_path)])
        COMMANDS[command[0]](arguments)
    assert written == ["verify", "status", "affected", "breach-report"]
