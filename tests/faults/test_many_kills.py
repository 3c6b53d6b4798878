"""Attack 1 of SEALING.md: seeded kills and torn writes at every durable step lose and double nothing."""

import contextlib
import random
import shutil
import sqlite3
from pathlib import Path

import pytest

from edge.node.config import OUTBOX_FILE
from edge.node.outbox import OutboxDb
from tests.faults.lives import Lives
from tests.faults.torn import tear

pytestmark = [pytest.mark.waits, pytest.mark.serial]


def check(lives: Lives, kills: int) -> None:
    assert lives.kills == kills
    assert lives.reused == 0
    assert len(lives._nonces) > 5 * kills
    assert len(lives.saved) > kills / 4
    assert len(lives.said) > kills / 4
    assert len(lives.points) >= 8


@pytest.mark.timeout(240)
def test_01_fifty_kills_lose_and_double_nothing_and_reuse_no_nonce(tmp_path: Path) -> None:
    lives = Lives(tmp_path / "home", 1)
    lives.go(50)
    check(lives, 50)


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", range(2, 12))
def test_01_a_thousand_kills_lose_and_double_nothing_and_reuse_no_nonce(tmp_path: Path, seed: int) -> None:
    lives = Lives(tmp_path / "home", seed)
    lives.go(100)
    check(lives, 100)


def test_a_log_without_a_commit_is_not_torn(tmp_path: Path) -> None:
    assert not tear(tmp_path / "none", random.Random(1))
    (tmp_path / "short").write_bytes(bytes(31))
    assert not tear(tmp_path / "short", random.Random(1))


def test_only_the_last_commit_is_torn_and_only_before_anything_rests_on_it(tmp_path: Path) -> None:
    """A transaction that changes nothing leaves no frames: the last ones in the log are an earlier step's."""
    wal = tmp_path / f"{OUTBOX_FILE}-wal"
    with contextlib.closing(OutboxDb(tmp_path)) as outbox:
        outbox.add_down(1, b"one")
        outbox.add_down(2, b"two")
        rested_on = wal.stat().st_size
        outbox.acknowledge(b"a bundle that was forgotten", 1)
        assert not tear(wal, random.Random(1), rested_on)
        outbox.add_down(3, b"three")
        assert tear(wal, random.Random(1), rested_on)
        shutil.copyfile(tmp_path / OUTBOX_FILE, tmp_path / "torn.db")
        shutil.copyfile(wal, tmp_path / "torn.db-wal")
    with sqlite3.connect(tmp_path / "torn.db") as reading:
        assert reading.execute("SELECT seq FROM downs ORDER BY seq").fetchall() == [(1,), (2,)]
    reading.close()
