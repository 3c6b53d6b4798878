"""Attack 1 of SEALING.md: seeded kills and torn writes at every durable step lose and double nothing."""

import random
from pathlib import Path

import pytest

from tests.faults.lives import Lives, tear

pytestmark = pytest.mark.serial


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
