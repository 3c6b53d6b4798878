"""What the flash tool says when a file is missing or not allowed, and whose folder it uses under sudo."""

import pwd
from pathlib import Path

import msgspec
import pytest

from edge.model import provisioning
from edge.model.errors import BadInput
from images import __main__ as tool_main

from .kit import tool


def test_a_missing_update_key_is_told_with_where_it_comes_from(tmp_path: Path) -> None:
    ran = tool(tmp_path, "verify", tmp_path / "x.manifest.json")
    assert ran.refusal == "io"
    assert "Ask the administrator for the public update key" in ran.said


@pytest.mark.parametrize(
    ("error", "word"),
    [
        (PermissionError(13, "Permission denied", "/dev/sdb"), "with sudo"),
        (FileNotFoundError(2, "No such file or directory", "site.json"), "Look at the name"),
        (FileExistsError(17, "File exists", "out"), "name another one"),
    ],
)
def test_every_error_of_the_system_says_what_to_do(error: OSError, word: str) -> None:
    said = tool_main._what_to_do(error)
    assert str(error.filename) in said
    assert word in said


@pytest.mark.root
def test_under_sudo_keys_and_receipts_are_the_technicians(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setenv("SUDO_USER", "daemon")
    assert tool_main._keys_folder() == Path(pwd.getpwnam("daemon").pw_dir) / ".config/upkendra"
    monkeypatch.setenv("SUDO_USER", "nobody-of-this-name")
    assert tool_main._keys_folder() == Path.home() / ".config/upkendra"
    (tmp_path / "receipts").mkdir()
    (tmp_path / "receipts/1.json").touch()
    monkeypatch.setenv("SUDO_UID", "801")
    monkeypatch.setenv("SUDO_GID", "801")
    tool_main._give_back(tmp_path)
    assert (tmp_path / "receipts/1.json").stat().st_uid == 801


@pytest.mark.parametrize(
    ("old", "new", "word"),
    [
        ("https://hub.example.org", "https://hub.example.org/desk", "without anything behind it"),
        ("golghar-42", "गोलघर गोलघर", "English keyboard"),
        ("04711000", "4711", "eight digits"),
        ("airtelgprs.com", "airtel gprs", "letters, digits, dots and hyphens only"),
        ('"ssid"', '"sid"', "wifi"),
    ],
)
def test_a_wrong_provisioning_file_is_told_in_words_and_no_pattern(old: str, new: str, word: str) -> None:
    wifi = provisioning.Wifi("Namunapur", "golghar-42")
    site = provisioning.Provisioning(
        1, "https://hub.example.org", "UPK1-AAAAAAAA", "04711000", wifi, ("airtelgprs.com",)
    )
    with pytest.raises(BadInput) as caught:
        provisioning.parse(msgspec.json.encode(site).decode().replace(old, new, 1).encode())
    assert word in caught.value.refusal.message
    assert "regex" not in caught.value.refusal.message
