"""Builds the firmware and the simulator once for all tests of the board."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.kits import panel_board


@pytest.fixture(scope="session")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The simulator program."""
    return panel_board.build_simulator(tmp_path_factory.mktemp("sim"))


@pytest.fixture(scope="session")
def firmware(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Version 1 of the application, and the loader."""
    return panel_board.build(tmp_path_factory.mktemp("v1"), 1)


@pytest.fixture(scope="session")
def newer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Version 2."""
    return panel_board.build(tmp_path_factory.mktemp("v2"), 2)


@pytest.fixture(scope="session")
def host(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The firmware's pure files as programs of this machine, with ASan and UBSan."""
    return panel_board.build_host(tmp_path_factory.mktemp("host"))


@pytest.fixture
def figure(record_property: Callable[[str, object], None]) -> panel_board.Figure:
    """Says what was measured, in the summary of the run."""
    return lambda text: record_property("figure", text)
