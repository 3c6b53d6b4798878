"""A few tests that fail get one second try; what fails twice, and what fails in numbers, stays failed."""

import os
from itertools import combinations
from pathlib import Path

import pytest
from _pytest.mark.expression import Expression

from tests.kits.suite import IDLE_CLASS, MACHINES, MOST_AGAIN, Part, parts, run

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


MARKS = ("browser", "root", "serial", "long", "waits", "machine")


def _chosen(choice: Expression, marks: set[str]) -> bool:
    def has(name: str, /, **_: str | int | bool | None) -> bool:
        return name in marks

    return choice.evaluate(has)


def test_each_test_is_in_one_part_whatever_its_marks() -> None:
    choices = [Expression.compile(part.choice[1]) for part in (*parts([]), MACHINES)]
    for marks in (set(chosen) for most in range(len(MARKS) + 1) for chosen in combinations(MARKS, most)):
        assert sum(_chosen(one, marks) for one in choices) == 1, marks


def test_what_runs_beside_has_the_idle_class_and_is_heard_where_it_is_told_to_speak(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    classes = f"import os\ndef test_it():\n    assert os.sched_getscheduler(0) == {os.SCHED_IDLE}\n"
    beside = Part("beside", _part(tmp_path, classes).choice, under=IDLE_CLASS)
    said = tmp_path / "said"
    with said.open("w") as output:
        assert run(beside, long=False, again=False, output=output).passed
    assert "1 passed" in said.read_text()
    assert capfd.readouterr().out == ""
