"""``hub open-journal``: what a stick brought becomes a text."""

import json
from pathlib import Path

import pytest

from edge.sync import journals, seal
from hub.__main__ import main
from hub.keys import load_keys


def test_a_journal_from_a_stick_is_opened_into_a_new_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "hub"
    assert main(["init", "--data", str(data)]) == 0
    sealed = tmp_path / "upkendra-journal-x.sealed"
    public = seal.public_of(load_keys(data).hub.kem[0])
    sealed.write_bytes(journals.pack(b"ready\n", bytes(range(8)), public))
    argv = ["open-journal", "--data", str(data), "--file", str(sealed), "--out", str(tmp_path / "journal.txt")]
    capsys.readouterr()
    assert main(argv) == 0
    assert json.loads(capsys.readouterr().out)["node"] == bytes(range(8)).hex()
    assert (tmp_path / "journal.txt").read_bytes() == b"ready\n"
    assert main(argv) == 1, "no file is written over"
    sealed.write_bytes(b"something else")
    assert main([*argv[:-1], str(tmp_path / "other.txt")]) == 1
    assert "journal_malformed" in capsys.readouterr().err
