"""The commands in the papers for people are commands of the programs, with options that exist."""

import argparse
import re

import pytest

from edge.node.__main__ import _parser as node_parser
from edge.node.courier_cli import Carried as AtNode
from hub.__main__ import _parser as hub_parser
from hub.courier_cli import Carried as AtHub
from tests.kits.clinic import ROOT

PAPERS = ["runbooks/courier.md", "runbooks/administrator.md", "runbooks/technician.md", "updates.md"]
COMMAND = re.compile(r"\./run (hub|node) ([a-z-]+)((?: [^`|\n]*)?)")


def options_of(parser: argparse.ArgumentParser) -> dict[str, set[str]]:
    """Each command of a program, with its options; for a command of several works those of all."""
    found: dict[str, set[str]] = {}
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, sub in action.choices.items():
                inner = options_of(sub)
                found[name] = {one for each in sub._actions for one in each.option_strings}.union(*inner.values())
    return found


PROGRAMS = {"hub": options_of(hub_parser()), "node": options_of(node_parser())}


@pytest.mark.parametrize("paper", PAPERS)
def test_every_command_of_a_paper_exists_with_its_options(paper: str) -> None:
    said = COMMAND.findall((ROOT / "docs" / paper).read_text("utf-8"))
    assert said
    wrong = [f"{program} {command}" for program, command, _ in said if command not in PROGRAMS[program]]
    for program, command, rest in said:
        known = PROGRAMS[program].get(command, set())
        wrong += [f"{program} {command} {one}" for one in re.findall(r"(?<= )--[a-z-]+", rest) if one not in known]
    assert wrong == []


def test_every_word_of_the_couriers_last_line_is_in_its_runbook() -> None:
    text = (ROOT / "docs" / "runbooks" / "courier.md").read_text("utf-8")
    words = {*AtNode.__struct_fields__, *AtHub.__struct_fields__}
    assert sorted(word for word in words if f"`{word}`" not in text) == []
