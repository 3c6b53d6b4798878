"""A few tests that fail get one second try; what fails twice, and what fails in numbers, stays failed."""

import os
import subprocess
import sys
from itertools import combinations
from pathlib import Path

import pytest
from _pytest.mark.expression import Expression

from tests.kits.idle import descendants, give_way
from tests.kits.suite import MACHINES, MOST_AGAIN, Part, parts, run

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


def test_what_runs_beside_is_heard_where_it_is_told_to_speak(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    said = tmp_path / "said"
    with said.open("w") as output:
        assert run(_part(tmp_path, "def test_it():\n    pass\n"), long=False, again=False, output=output).passed
    assert "1 passed" in said.read_text()
    assert capfd.readouterr().out == ""


STARTER = """
import subprocess, sys, threading
own = subprocess.Popen(["sleep", "60"], start_new_session=True)
end = threading.Event()
threading.Thread(target=end.wait).start()
print(own.pid, flush=True)
sys.stdin.readline()
later = subprocess.Popen(["sleep", "60"])
print(later.pid, flush=True)
sys.stdin.readline()
own.kill()
later.kill()
end.set()
"""


def test_what_gives_way_is_idle_with_its_threads_and_all_that_it_starts_from_then_on(tmp_path: Path) -> None:
    starter = tmp_path / "starter.py"
    starter.write_text(STARTER)
    shell = ["sh", "-c", f"{sys.executable} {starter}; true"]
    with subprocess.Popen(shell, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as mine:
        said, told = mine.stdout, mine.stdin
        assert said is not None
        assert told is not None
        early = int(said.readline())
        give_way(mine.pid)
        assert os.sched_getscheduler(early) == os.SCHED_IDLE
        (program,) = (one for one in descendants(mine.pid) if one != early)
        threads = [int(path.name) for path in Path(f"/proc/{program}/task").iterdir()]
        assert [os.sched_getscheduler(one) for one in threads] == [os.SCHED_IDLE] * len(threads)
        assert len(threads) == 2
        told.write("go on\n")
        told.flush()
        assert os.sched_getscheduler(int(said.readline())) == os.SCHED_IDLE
        assert os.sched_getscheduler(mine.pid) == os.SCHED_OTHER, "whoever said so goes on as before"
        mine.communicate("end\n", timeout=30)
