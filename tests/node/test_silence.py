"""How long the hub was not heard, over restarts."""

from pathlib import Path

from edge.node.config import SILENCE_FILE
from edge.node.silence import KEEP_EVERY_S, Silence


def days_without_a_hub(folder: Path, days: int) -> None:
    """Eight hours a day without a word of the hub; the power is cut each evening."""
    for _ in range(days):
        silence, now_s = Silence(folder, 100.0), 100.0
        while now_s < 100.0 + 8 * 3600:
            now_s += 5.0
            keep = silence.keeper(None, now_s)
            if keep is not None:
                keep()


def test_a_box_that_is_switched_off_each_evening_knows_for_how_long_nobody_answered(tmp_path: Path) -> None:
    days_without_a_hub(tmp_path, 3)
    assert 3 * (8 * 3600 - KEEP_EVERY_S) <= Silence(tmp_path, 0.0).before_s <= 3 * 8 * 3600


def test_an_answer_ends_the_silence_and_a_link_that_is_well_writes_nothing(tmp_path: Path) -> None:
    days_without_a_hub(tmp_path, 1)
    silence = Silence(tmp_path, 0.0)
    keep = silence.keeper(3.0, 60.0)
    assert keep is not None
    keep()
    assert Silence(tmp_path, 0.0).before_s == 0.0
    assert all(silence.keeper(second % 24, 60.0 + second) is None for second in range(10_000))


def test_a_file_that_is_torn_begins_the_count_anew(tmp_path: Path) -> None:
    (tmp_path / SILENCE_FILE).write_bytes(b"28")
    assert Silence(tmp_path, 0.0).before_s == 28.0
    (tmp_path / SILENCE_FILE).write_bytes(b"\x00\x00")
    assert Silence(tmp_path, 0.0).before_s == 0.0
