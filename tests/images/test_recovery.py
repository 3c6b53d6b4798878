"""What the recovery does with a stick: its own shell functions, on real file systems. The whole runs in a machine."""

import hashlib
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.kits.clinic import ROOT

SCRIPT = ROOT / "images/initramfs/scripts/init-premount/upkendra-recovery"
RECORDS = os.urandom(3_000_000)
PAGE_BYTES = 4096


def recovery(words: str) -> subprocess.CompletedProcess[str]:
    """The script's functions, and then ``words``."""
    _, _, rest = SCRIPT.read_text().partition('unread=""\n')
    functions, _, _ = rest.partition("seconds=0\n")
    begin = 'say() { echo "$*"; }\nunread=""\n'
    return subprocess.run(
        ["sh", "-c", f"{begin}{functions}{words}"], capture_output=True, text=True, check=False, timeout=60
    )


@contextmanager
def mounted(folder: Path, *words: str | Path) -> Iterator[Path]:
    folder.mkdir()
    subprocess.run(["mount", *words, folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


@contextmanager
def stick(folder: Path, size: str) -> Iterator[Path]:
    with mounted(folder, "-t", "tmpfs", "-o", f"size={size}", "tmpfs") as place:
        yield place


@pytest.fixture
def node(tmp_path: Path) -> Path:
    folder = tmp_path / "node"
    (folder / "media").mkdir(parents=True)
    (folder / "records.db").write_bytes(RECORDS)
    (folder / "media/photo").write_bytes(RECORDS[:70_000])
    return folder


def unpacked(made: Path, name: str) -> bytes:
    pieces = b"".join(path.read_bytes() for path in sorted(made.glob("media.tar.*")))
    return subprocess.run(["tar", "-xOf", "-", name], input=pieces, capture_output=True, check=True).stdout


@pytest.mark.root
def test_all_is_on_the_stick_with_its_sums(node: Path, tmp_path: Path) -> None:
    with stick(tmp_path / "stick", "8m") as place:
        made = place / "upkendra-rescue"
        ran = recovery(f"copy {node} {made} && whole {made} && echo done")
        assert (ran.stdout, ran.stderr) == ("done\n", "")
        assert (made / "records.db").read_bytes() == RECORDS
        assert unpacked(made, "media/photo") == RECORDS[:70_000]
        assert hashlib.sha256(RECORDS).hexdigest() in (made / "sums.txt").read_text()
        with (made / "records.db").open("r+b") as file:
            file.write(b"a stick that lies")
        assert recovery(f"whole {made}").returncode == 1


@pytest.mark.root
@pytest.mark.parametrize("size", ["2m", "2960k"])
def test_a_stick_without_room_for_all_is_never_called_done(node: Path, tmp_path: Path, size: str) -> None:
    with stick(tmp_path / "stick", size) as place:
        ran = recovery(f"copy {node} {place / 'upkendra-rescue'} && echo done")
        assert ran.returncode == 1
        assert "done" not in ran.stdout
        assert "cannot read" not in ran.stdout, "it is the stick's fault"


@pytest.mark.root
def test_of_a_file_with_bad_pages_the_others_stay_where_they_belong(node: Path, tmp_path: Path) -> None:
    card = tmp_path / "card"
    with card.open("wb") as file:
        file.truncate(16 << 20)
    subprocess.run(["/sbin/mkfs.ext4", "-q", "-O", "^has_journal", "-d", node, card], check=True)
    with mounted(tmp_path / "data", "-o", "ro,loop", card) as data, stick(tmp_path / "stick", "8m") as place:
        block = subprocess.run(
            ["/sbin/debugfs", "-R", "bmap records.db 500", card], capture_output=True, text=True, check=True
        ).stdout.split()[-1]
        size = int(subprocess.run(["stat", "-fc", "%S", data], capture_output=True, text=True, check=True).stdout)
        os.truncate(card, int(block) * size)  # what lies behind cannot be read any more
        made = place / "upkendra-rescue"
        ran = recovery(f"copy {data} {made} && whole {made} && echo done")
        assert "cannot read all of records.db" in ran.stdout
        assert ran.stdout.endswith("done\n")
        assert "records.db" in (made / "unread.txt").read_text()
        copied = (made / "records.db").read_bytes()
        assert copied[: 400 * size] == RECORDS[: 400 * size]
        assert len(copied) == -(-len(RECORDS) // PAGE_BYTES) * PAGE_BYTES
