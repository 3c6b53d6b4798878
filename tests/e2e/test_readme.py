"""The commands in the README are the commands of the programs."""

import functools
import re
import subprocess
import sys

import pytest

from tests.e2e.demo import parser
from tests.kits.clinic import ROOT

README = (ROOT / "README.md").read_text()
CONTRACT = README.split("## Commands")[1].split("```")[1]


@functools.cache
def help_of(*command: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", *command, "--help"], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout


def contract_of(name: str) -> str:
    return next(line for line in CONTRACT.splitlines() if line.startswith(f"./run {name} "))


@pytest.mark.parametrize(("name", "module"), [("hub", "hub"), ("node", "edge.node")])
def test_every_command_and_option_of_the_contract_exists(name: str, module: str) -> None:
    line = contract_of(name)
    shown = help_of(module)
    commands = re.findall(r"[a-z]+(?:-[a-z]+)*", line.split()[2])
    assert commands
    assert [command for command in commands if command not in shown] == []
    serve = help_of(module, "serve")
    assert [option for option in re.findall(r"--[a-z]+", line) if option not in serve] == []


def test_the_demo_takes_the_options_of_the_contract() -> None:
    known = {option for action in parser()._actions for option in action.option_strings}
    named = set(re.findall(r"--[a-z-]+", contract_of("demo")))
    also = set(re.findall(r"`(--[a-z-]+)", README.split("The demo\nalso takes")[1].split("; the shape")[0]))
    assert named | also <= known
    assert len(named) == 5
    assert len(also) == 6


def test_run_prints_the_contract_when_asked_for_nothing() -> None:
    shown = subprocess.run([str(ROOT / "run")], capture_output=True, text=True, check=True, timeout=30).stdout
    usage = [re.sub(r"\s*#.*", "", line) for line in shown.splitlines()]
    assert usage == CONTRACT.strip().splitlines()


def test_every_file_that_the_readme_points_to_exists() -> None:
    targets = re.findall(r"\]\(([^)#]+)\)", README)
    assert targets
    assert [target for target in targets if not (ROOT / target).exists()] == []


def test_the_hand_written_commands_parse() -> None:
    for module, command, options in re.findall(r"^\./run (hub|node) ([a-z-]+)((?:[^\n]|\\\n)*)", README, re.M):
        if command == "init|serve":
            continue
        shown = help_of("hub" if module == "hub" else "edge.node", command)
        assert [option for option in re.findall(r" (--[a-z-]+)", options) if option not in shown] == []


def test_each_decision_has_a_number_of_its_own() -> None:
    names = sorted(path.name for path in (ROOT / "docs" / "decisions").glob("*.md"))
    numbers = [name.split("-")[0] for name in names]
    assert all(re.fullmatch(r"\d{4}", number) for number in numbers)
    assert len(numbers) == len(set(numbers)), [name for name in names if numbers.count(name.split("-")[0]) > 1]
