"""What runs as root on the appliance, as far as it needs no appliance: counters, settings, updates, the verdict."""

import os
from pathlib import Path

import msgspec
import pytest

from edge.model import provisioning
from edge.model.errors import BadInput
from images.appliance import grubenv, health, network, slots, updates

WIFI = provisioning.Wifi("नमूनापुर", "golghar-42")
SITE = provisioning.Provisioning(1, "https://hub.example", "UPK1-AAAAAAAA", "04711000", WIFI, ("internet",))


def test_the_counters_are_read_and_changed_as_rauc_asks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "grubenv"
    file.write_bytes(grubenv.encode({"ORDER": "A B", "A_OK": "1", "A_TRY": "0"}))
    assert grubenv.main([str(file), "set", "ORDER=B A", "B_OK=1", "B_TRY=0"]) == 0
    assert grubenv.main([str(file), "unset", "A_TRY"]) == 0
    assert grubenv.main([str(file), "list"]) == 0
    assert capsys.readouterr().out.splitlines() == ["ORDER=B A", "A_OK=1", "B_OK=1", "B_TRY=0"]
    assert grubenv.main([str(file), "set"]) == 1
    assert file.stat().st_size == grubenv.BLOCK_BYTES


def test_a_change_of_the_counters_leaves_the_file_where_it_is(tmp_path: Path) -> None:
    file = tmp_path / "grubenv"
    file.write_bytes(grubenv.encode({"ORDER": "A B"}))
    before = file.stat().st_ino
    second_sector = file.read_bytes()[grubenv.SECTOR_BYTES :]
    grubenv.write(file, {"ORDER": "B A", "A_OK": "0"})
    assert file.stat().st_ino == before
    assert file.read_bytes()[grubenv.SECTOR_BYTES :] == second_sector, "a torn write of two sectors changes nothing"
    with pytest.raises(ValueError, match="sector"):
        grubenv.encode({"X": "x" * grubenv.SECTOR_BYTES})


@pytest.mark.parametrize("content", [b"", b"#" * 1024, b"# GRUB Environment Block\nORDER=B\n"])
def test_damaged_counters_count_as_none_and_are_made_whole(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "grubenv"
    file.write_bytes(content)
    assert grubenv.read(file) == {}
    grubenv.main([str(file), "set", "A_OK=1"])
    assert grubenv.read(file) == {"A_OK": "1"}


def folders(tmp_path: Path) -> tuple[Path, Path, Path]:
    made = tmp_path / "data", tmp_path / "system", tmp_path / "run"
    for folder in made:
        folder.mkdir()
    return made


def test_the_networks_settings_outlive_the_provisioning_file(tmp_path: Path) -> None:
    data, system, run = folders(tmp_path)
    assert network.apply(data, system, run) is None
    assert not (run / "hostapd.conf").exists()
    (data / network.SITE_FILE).write_bytes(provisioning.encode(SITE))
    assert network.apply(data, system, run) == network.Network("नमूनापुर", "golghar-42", ("internet",))
    (data / network.SITE_FILE).unlink()
    (run / "hostapd.conf").unlink()
    assert network.apply(data, system, run) is not None
    written = (run / "hostapd.conf").read_text()
    assert f"ssid2={'नमूनापुर'.encode().hex()}\n" in written
    assert (run / "hostapd.conf").stat().st_mode & 0o777 == 0o600
    assert (system / network.KEPT_FILE).stat().st_mode & 0o777 == 0o600


def test_no_wifi_name_or_key_brings_a_line_of_its_own_into_hostapds_file() -> None:
    for ssid, passphrase in (("a\nwpa=0", "golghar-42"), ("a", "golghar\n42x")):
        with pytest.raises(BadInput):
            provisioning.parse(
                msgspec.json.encode(
                    msgspec.structs.replace(SITE, wifi=provisioning.Wifi(ssid, passphrase)),
                )
            )
    assert len(network.hostapd(network.of_site(SITE)).splitlines()) == 18


def test_damaged_settings_are_told_and_not_guessed(tmp_path: Path) -> None:
    data, system, run = folders(tmp_path)
    (system / network.KEPT_FILE).write_bytes(b"{")
    with pytest.raises(BadInput) as caught:
        network.apply(data, system, run)
    assert caught.value.refusal.code == "network_damaged"


def test_the_slot_is_what_grub_said() -> None:
    assert slots.booted("root=PARTUUID=x rauc.slot=B quiet") == "B"
    assert slots.booted("upkendra.recovery") == ""
    assert slots.booted("rauc.slot=C") == ""


def note(folder: Path, digit: str, number: int, version: str, name: str = "system") -> str:
    stem = digit * 24
    content = {"name": name, "version": version, "target": "amd64", "number": number, "sha256": "0" * 64, "later": 1}
    (folder / f"{stem}.json").write_bytes(msgspec.json.encode(content))
    (folder / f"{stem}.bundle").write_bytes(b"bundle")
    return stem


def test_the_newest_system_is_claimed_given_back_and_dropped(tmp_path: Path) -> None:
    note(tmp_path, "1", 7, "1.2.0")
    wanted = note(tmp_path, "2", 9, "1.3.0")
    note(tmp_path, "3", 11, "4", name="panel")
    (tmp_path / ("4" * 24 + ".json")).symlink_to(tmp_path / f"{wanted}.json")
    (tmp_path / "known.json").write_text("{}")
    found = updates.newest(updates.waiting(tmp_path))
    assert found is not None
    assert found[0] == wanted
    assert updates.claim(tmp_path, wanted)
    assert not updates.claim(tmp_path, wanted)
    assert [stem for stem, _ in updates.waiting(tmp_path, updates.CLAIMED)] == [wanted]
    updates.give_back(tmp_path, wanted)
    assert updates.claim(tmp_path, wanted)
    updates.drop(tmp_path, wanted)
    assert not list(tmp_path.glob(f"{wanted}*"))
    assert updates.waiting(tmp_path / "no such folder") == []


def test_what_waits_for_its_first_boot_is_kept(tmp_path: Path) -> None:
    assert updates.load(tmp_path) is None
    pending = updates.Pending("2", "1", "B", "0" * 24, hub_answered=True)
    updates.save(tmp_path, pending)
    assert updates.load(tmp_path) == pending
    updates.save(tmp_path, None)
    assert updates.load(tmp_path) is None


def test_an_outcome_is_never_written_through_a_link(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("whole")
    folder = tmp_path / "updates"
    folder.mkdir()
    for name in (updates.OUTCOME_FILE, f".{updates.OUTCOME_FILE}.new"):
        (folder / name).symlink_to(victim)
    updates.tell(folder, updates.Outcome("2", "committed"), os.getuid())
    assert victim.read_text() == "whole"
    assert not (folder / updates.OUTCOME_FILE).is_symlink()


@pytest.mark.parametrize(
    ("version", "than", "newer"),
    [
        ("2026.11.2", "2026.11.1", True),
        ("2026.11.10", "2026.11.9", True),
        ("2026.11.1", "2026.11.1", False),
        ("2026.9.9", "2026.11.1", False),
        ("2026.11.1", "2026.11.1rc1", True),
        ("2026.11.1.1", "2026.11.1", True),
    ],
)
def test_a_version_is_later_than_another(version: str, than: str, newer: bool) -> None:
    assert updates.is_newer(version, than) is newer


WELL = health.Seen(answers=True, hub_heard=True, restarts=0, calls_start=True)
SILENT = health.Seen(answers=False, hub_heard=False, restarts=0, calls_start=True)
NEW = health.Wanted(is_new=True, hub=True)
OLD = health.Wanted(is_new=False, hub=False)


@pytest.mark.parametrize(
    ("seen", "wanted", "since_s", "verdict"),
    [
        (WELL, NEW, 1.0, health.Verdict.GOOD),
        (SILENT, NEW, 1.0, health.Verdict.WAIT),
        (SILENT, NEW, health.ANSWER_S, health.Verdict.BROKEN),
        (msgspec.structs.replace(SILENT, restarts=health.RESTARTS_MAX), NEW, 1.0, health.Verdict.BROKEN),
        (msgspec.structs.replace(WELL, hub_heard=False), NEW, 1.0, health.Verdict.WAIT),
        (msgspec.structs.replace(WELL, hub_heard=False), NEW, health.HUB_S, health.Verdict.BROKEN),
        (msgspec.structs.replace(WELL, hub_heard=False), health.Wanted(True, False), 1.0, health.Verdict.GOOD),
        (msgspec.structs.replace(WELL, calls_start=False), NEW, 1.0, health.Verdict.BROKEN),
        (msgspec.structs.replace(SILENT, restarts=99), OLD, health.PAGES_S - 1, health.Verdict.WAIT),
        (SILENT, OLD, health.PAGES_S, health.Verdict.AGAIN),
        (msgspec.structs.replace(WELL, hub_heard=False), OLD, 1.0, health.Verdict.GOOD),
    ],
)
def test_the_verdict(seen: health.Seen, wanted: health.Wanted, since_s: float, verdict: health.Verdict) -> None:
    found, why = health.judge(seen, wanted, since_s)
    assert found is verdict
    assert bool(why) is (verdict in (health.Verdict.BROKEN, health.Verdict.AGAIN))


def test_the_hub_counts_as_heard_only_when_it_acknowledged() -> None:
    assert health.hub_is_heard({"link": {"last_ack_age_s": 3.5}})
    assert not health.hub_is_heard({"link": {"last_ack_age_s": None}})
    assert not health.hub_is_heard({})
    assert not health.hub_is_heard(None)


@pytest.mark.parametrize(
    ("status", "setup", "verdict"),
    [
        ({"locked": True, "unreadable": False}, None, health.Verdict.WAIT),
        ({"locked": True}, None, health.Verdict.WAIT),
        (None, None, health.Verdict.WAIT),
        ({"locked": False, "unreadable": False}, None, health.Verdict.GOOD),
        ({"locked": True, "unreadable": True}, None, health.Verdict.BROKEN),
        ({"locked": False, "unreadable": True}, None, health.Verdict.BROKEN),
        (None, {"step": "code"}, health.Verdict.GOOD),
    ],
)
def test_a_new_system_is_kept_for_good_when_the_records_opened_in_it(
    status: object, setup: object, verdict: health.Verdict
) -> None:
    found, why = health.opening(status, setup)
    assert found is verdict
    assert bool(why) is (verdict is health.Verdict.BROKEN)


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("signature verification failed: self-signed certificate", "update_signature"),
        ("failed to run slot hook: Child process exited with code 1", "update_damaged"),
        ("Compatible mismatch: Expected 'upkendra-amd64' but bundle manifest has 'upkendra-rpi'", "update_target"),
        ("Failed to run install-check hook: upkendra-base: This delta is for 1.2.0", "update_base"),
    ],
)
def test_what_rauc_says_while_it_works_is_no_refusal(said: str, code: str) -> None:
    progress = "installing\n 10% Verifying signature\n 20% Verifying signature done.\n100% Installing failed.\n"
    assert updates.refusal(f"{progress}LastError: Installation error: {said}\n")[0] == code
