"""From packages to a node in service, and through its updates, in a virtual machine that emulates its processor.

The steps of a node's life stand one after the other, each on what the one before left: an image takes a minute to
build and another to boot. Any of them also runs alone.
"""

import hashlib
import os
import re
import subprocess
from concurrent.futures import Future
from pathlib import Path
from random import Random

import pytest

from edge.node import machine_journal
from images.builder import bundle
from images.builder.recipe import Board
from tests.kits.client import ApiError

from . import journey
from .appliance_kit import ANSWER_S, BROKEN, UNPROVEN, UNREADABLE, Appliance, Workshop, sums
from .kit import tool

pytestmark = [pytest.mark.machine, pytest.mark.timeout(2 * 3600)]

BOARD: Board = "amd64"
EXPOSURE_MAX = 2.0
KILLS = int(os.environ.get("UPKENDRA_KILLS", "100"))
"""One in each share of an install. A hundred take some three hours of an emulated processor."""
COUNTERS = "/usr/lib/upkendra/bin/grub-editenv /boot/upkendra/EFI/upkendra/grubenv"
RESTARTS_S = 900.0
"""A service that dies is started again until it is clear that it does not come."""
LAST_CUT = 0.95
"""Share of an install: after it only RAUC's own notes are written."""
SEED = 20261126
SERVICES = ("upkendra-node.service",)
OPEN_PORTS = {
    ("tcp", "0.0.0.0:80"),
    ("tcp", "0.0.0.0:443"),
    ("tcp", "10.42.0.1:53"),
    ("udp", "10.42.0.1:53"),
    ("udp", "0.0.0.0:67"),
}
OWN_PORTS = {("udp", f"{at}:5353") for at in ("0.0.0.0", "10.42.0.1", "10.0.2.15")} | {("udp", "10.0.2.15:68")}
"""Of the node that announces itself in the clinic's network, and of the machine as somebody who asks for an address."""


def ports(said: str) -> set[tuple[str, str]]:
    """(protocol, address:port) of what ``ss -Hlntu`` lists, but for the machine's own loopback."""
    rows = [row.split() for row in said.splitlines() if row.strip()]
    found = {(row[0], re.sub(r"%[a-z0-9]+", "", row[4])) for row in rows}
    return {one for one in found if not one[1].startswith(("127.", "[::1]"))}


def exposure(said: str) -> float:
    level = re.search(r"exposure level for \S+: ([0-9.]+)", said)
    assert level is not None, said[-500:]
    return float(level.group(1))


def test_a_flashed_card_becomes_a_node_whose_visits_reach_the_hub(
    appliance: Appliance, record_property: journey.Record
) -> None:
    journey.becomes_a_node(appliance, record_property)


def test_the_running_image_is_locked_up(appliance: Appliance) -> None:
    sh = appliance.machine.sh
    for unit in SERVICES:
        assert exposure(sh(f"systemd-analyze security --no-pager {unit}", 300)) <= EXPOSURE_MAX
    assert ports(sh("ss -Hlntu")) - OWN_PORTS == OPEN_PORTS
    assert appliance.machine.run("touch /etc/x", 30)[0] != 0
    assert "policy drop" in sh("nft list chain inet upkendra input")
    assert sh("systemctl is-active chrony upkendra-dns systemd-networkd").split() == ["active"] * 3
    assert "10.42.0.1" in sh("busybox nslookup -type=a upkendra.lan 10.42.0.1")
    assert sh("swapon --show") == ""
    assert sh("cat /proc/sys/kernel/core_pattern").strip() == "|/bin/false"
    assert appliance.machine.run("ls -d /var/log/journal", 30)[0] != 0, "the journal is in memory only"
    assert appliance.machine.run("pidof sshd", 30)[0] != 0
    assert sh("systemctl is-enabled ssh.service ssh.socket sshd.service 2>&1 || true").split() == ["masked"] * 3
    assert sh("ls /etc/ssh/ssh_host_* 2>/dev/null || true") == "", "no key that every node would have"
    assert "dport 22" not in sh("nft list ruleset")


def test_updates_that_are_not_ours_not_whole_or_not_for_this_node_are_refused_in_words(
    appliance: Appliance, workshop: Workshop, first: Path, second: Future[Path], update: Future[Path]
) -> None:
    strangers = workshop.folder / "strangers"
    assert workshop.make_keys(strangers)
    whole = update.result().read_bytes()
    cut = workshop.folder / "cut.raucb"
    cut.write_bytes(whole[: len(whole) // 2])
    other_base = workshop.delta(workshop.stranger_to(first), second.result())
    for version, sent, code, word in (
        ("2026.11.4", workshop.delta(first, second.result(), strangers), "update_signature", "not signed"),
        ("2026.11.5", cut, "update_damaged", "not whole"),
        ("2026.11.6", other_base, "update_base", "as it was released"),
    ):
        appliance.place(sent, version)
        outcome = appliance.wait_outcome(version, "refused")
        assert outcome["code"] == code
        assert word in outcome["message"]
    assert (appliance.version(), appliance.slot()) == ("2026.11.1", "A")


@pytest.mark.long
def test_a_technicians_key_file_opens_a_shell_as_long_as_its_stick_is_in_and_the_journal_goes_onto_it(
    appliance: Appliance, workshop: Workshop, tmp_path: Path
) -> None:
    machine = appliance.machine
    pair, stick = tmp_path / "id", tmp_path / "stick"
    stick.mkdir()
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", pair], check=True)
    signed: list[str | Path] = [
        "--technician",
        "Ravi Kumar",
        "--site",
        "NMP01",
        "--signing-key",
        workshop.keys / "update.key",
    ]
    assert tool(tmp_path, "ssh-key", "--key", f"{pair}.pub", *signed, "--out", stick).code == 0
    machine.sh(f"umask 077; cat >/tmp/id <<'END'\n{pair.read_text()}END")
    (stick / machine_journal.WISH_FILE).touch()
    appliance.plug(stick)
    listens = "ss -Hltn 'sport = :22' | grep -q 10.42.0.1"
    machine.wait(lambda: machine.run(listens, 30)[0] == 0, "sshd", ANSWER_S)
    assert "dport 22" in machine.sh("nft list chain inet upkendra technician")
    ssh = "ssh -i /tmp/id -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null"
    look = "id -un; journalctl -q -n 1 -o json | wc -l; ls /data /var/lib/upkendra || echo closed"
    said = machine.sh(f"{ssh} technician@10.42.0.1 '{look}'")
    assert {"technician", "1", "closed"} <= set(said.split()), said
    assert "Permission denied" in machine.run(f"{ssh} root@10.42.0.1 id", 120)[1]
    machine.sh(f"{ssh} technician@10.42.0.1 'sleep 3600' >/dev/null 2>&1 &")
    asked = "journalctl -q -o cat -u 'upkendra-journal@*'"
    machine.wait(lambda: '"saved": "upkendra-' in machine.sh(asked), "the journal on the stick", ANSWER_S)
    (sealed,) = re.findall(r'"saved": "(\S+\.sealed)"', machine.sh(asked))
    machine.unplug()
    machine.wait(lambda: machine.run("pidof sshd sshd-session", 30)[0] != 0, "the end of the shell", ANSWER_S)
    machine.wait(lambda: "dport 22" not in machine.sh("nft list ruleset"), "a shut port", ANSWER_S)
    appliance.read_stick("upkendra-ssh-answer.txt", tmp_path)
    assert "open for 4 h" in (tmp_path / "upkendra-ssh-answer.txt").read_text()
    appliance.read_stick(sealed, tmp_path)
    out = tmp_path / "journal.txt"
    opens = ["open-journal", *appliance.clinic.hub_store, "--file", str(tmp_path / sealed), "--out", str(out)]
    appliance.clinic.command("hub", opens)
    assert "upkendra-node" in out.read_text("utf-8", "replace")
    assert not any(visit.case.name in out.read_text("utf-8", "replace") for visit in appliance.visits)


@pytest.mark.long
@pytest.mark.timeout(12 * 3600)
def test_an_install_from_a_stick_is_cut_at_any_moment_and_begins_anew(
    appliance: Appliance,
    update: Future[Path],
    record_property: journey.Record,
) -> None:
    draw = Random(SEED)
    appliance.bring(update.result(), "2026.11.2")
    for number in range(KILLS):
        at = appliance.cut_install(LAST_CUT * (number + draw.random()) / KILLS)
        record_property("figure", f"image: install cut at {at}, {len(appliance.visits)} visits answered")
        appliance.boot()
        if appliance.slot() == "B":  # it was over before its share of the most that it moves; later shares are, too
            assert number >= KILLS * 2 // 3, "a slot that is not whole never starts"
            assert appliance.version() == "2026.11.2"
            return  # the next step opens the records, which keeps it
        assert appliance.version() == "2026.11.1"
    appliance.wait_pages()
    assert appliance.all_there(appliance.nurse())


def test_a_delta_of_one_changed_line_comes_by_stick_and_is_kept_when_the_records_open(
    appliance: Appliance, update: Future[Path], record_property: journey.Record
) -> None:
    sh = appliance.machine.sh
    journey.is_updated(appliance, update.result(), appliance.bring, record_property)
    appliance.machine.wait(
        lambda: '"kept":true' in sh("cat /data/system/update.json"), "a system that serves", ANSWER_S
    )
    boot = appliance.boot_id()
    sh("systemctl start upkendra-unproven.service; systemctl kill -s KILL upkendra-health.service")
    journey.is_kept(appliance)
    assert appliance.boot_id() == boot, "a system that serves is not started again for a check that died"


@pytest.mark.long
def test_when_no_slot_starts_the_recovery_copies_all_that_is_sealed(appliance: Appliance, tmp_path: Path) -> None:
    machine = appliance.machine
    machine.sh(f"{COUNTERS} set A_TRY=3 B_TRY=3; sync")
    held = machine.sh("cd /var/lib/upkendra && systemctl stop upkendra-node && sha256sum node.json *.db")
    machine.kill()
    machine.start()
    machine.wait_said("Upkendra recovery: put in a stick")
    wish = tmp_path / "wish"
    wish.mkdir()
    (wish / "upkendra-rescue.txt").touch()
    appliance.plug(wish)
    machine.wait_said("Upkendra recovery: done: the stick may be pulled")
    machine.unplug()
    appliance.read_stick("upkendra-rescue", tmp_path)
    for line in held.splitlines():
        wanted, name = line.split()
        assert hashlib.sha256((tmp_path / "upkendra-rescue" / name).read_bytes()).hexdigest() == wanted
    machine.kill()
    appliance.boot()
    appliance.wait_pages()
    assert appliance.all_there(appliance.nurse())


@pytest.mark.long
def test_a_version_that_does_not_serve_is_left_for_the_old_one(
    appliance: Appliance, workshop: Workshop, second: Future[Path]
) -> None:
    broken = workshop.delta(second.result(), workshop.build("2026.11.3", BROKEN))
    journey.is_tried(appliance, broken, "2026.11.3")
    journey.is_left(appliance, "2026.11.3", "died", appliance.boot_id(), RESTARTS_S)


@pytest.mark.long
def test_a_version_that_cannot_read_the_records_is_left_when_somebody_opens_them(
    appliance: Appliance, workshop: Workshop, second: Future[Path]
) -> None:
    unreadable = workshop.delta(second.result(), workshop.build("2026.11.7", UNREADABLE))
    journey.is_tried(appliance, unreadable, "2026.11.7")
    appliance.wait_pages()
    boot = appliance.boot_id()
    with pytest.raises(ApiError):
        appliance.nurse()
    journey.is_left(appliance, "2026.11.7", "did not open", boot)


@pytest.mark.long
def test_a_version_that_nobody_can_find_good_is_left_after_three_starts(
    appliance: Appliance, workshop: Workshop, second: Future[Path]
) -> None:
    unproven = workshop.delta(second.result(), workshop.build("2026.11.8", UNPROVEN))
    journey.is_tried(appliance, unproven, "2026.11.8")
    for _ in range(2):
        boot = appliance.boot_id()
        appliance.machine.sh("systemctl start --no-block upkendra-unproven.service")
        appliance.wait_restart(boot)
        assert appliance.version() == "2026.11.8"
    boot = appliance.boot_id()
    appliance.machine.sh("systemctl start --no-block upkendra-unproven.service")
    journey.is_left(appliance, "2026.11.8", "did not start, or", boot)
    assert "A_OK=0" in appliance.machine.sh(f"{COUNTERS} list"), "after the recovery it comes last"


def test_nothing_of_a_patient_lies_on_the_card_in_clear(appliance: Appliance) -> None:
    appliance.machine.kill()
    names = {visit.case.name.encode() for visit in appliance.visits}
    tail = b""
    with appliance.machine.disk.open("rb") as card:
        while piece := card.read(16 << 20):
            assert not any(name in tail + piece for name in names)
            tail = piece[-200:]


@pytest.mark.long
def test_the_same_packages_give_the_same_bytes(workshop: Workshop, first: Path) -> None:
    assert sums(workshop.build("2026.11.1", out="again")) == sums(first)
    assert bundle.load(workshop.folder / "again") == bundle.load(first)
