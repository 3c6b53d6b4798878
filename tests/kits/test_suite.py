"""A few tests that fail get one second try; what fails twice, and what fails in numbers, stays failed."""

from pathlib import Path

import pytest

from tests.kits.suite import MOST_AGAIN, Part, run

FIRST_TIME_ONLY = """
from pathlib import Path

def test_steady():
    pass

def test_unsteady():
    seen = Path(__file__).with_suffix(".seen")
    known = seen.exists()
    seen.touch()
    assert known
"""


def _part(folder: Path, text: str) -> Part:
    file = folder / "test_these.py"
    file.write_text(text)
    return Part(folder.name, ("--rootdir", str(folder), "-c", "/dev/null", str(file)))


def test_what_passes_alone_is_named_and_does_not_fail_the_run(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    result = run(_part(tmp_path, FIRST_TIME_ONLY), long=False, again=True)
    assert result.passed
    assert [one.rpartition("::")[2] for one in result.unsteady] == ["test_unsteady"]
    assert "1 failed, 1 passed" in capfd.readouterr().out


def test_without_a_second_try_it_fails(tmp_path: Path) -> None:
    result = run(_part(tmp_path, FIRST_TIME_ONLY), long=False, again=False)
    assert not result.passed
    assert result.unsteady == ()


def test_what_fails_twice_fails_the_run(tmp_path: Path) -> None:
    result = run(_part(tmp_path, "def test_it():\n    assert False\n"), long=False, again=True)
    assert not result.passed
    assert result.unsteady == ()


def test_many_failures_get_no_second_try(tmp_path: Path) -> None:
    many = f"""
import pytest
from pathlib import Path

@pytest.mark.parametrize("number", range({MOST_AGAIN + 1}))
def test_these(number):
    seen = Path(__file__).with_suffix(f".seen{{number}}")
    known = seen.exists()
    seen.touch()
    assert known
"""
    assert not run(_part(tmp_path, many), long=False, again=True).passed


def test_a_file_that_cannot_be_read_is_a_failure_at_once(tmp_path: Path) -> None:
    assert not run(_part(tmp_path, "import nothing_of_that_name\n"), long=False, again=True).passed
