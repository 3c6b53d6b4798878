"""Fixtures and habits that all tests share."""

from collections.abc import Iterator

import pytest
from blockbuster import BlockBuster
from hypothesis import settings

from tests.kits import link

settings.register_profile("any machine", settings(), deadline=None)
settings.load_profile("any machine")  # one example's wall clock says what else the machine does


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="also run what takes minutes")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out, by name in the header, what was not asked for or cannot be done here."""
    left_out: list[pytest.Item] = []
    kept: list[pytest.Item] = []
    for item in items:
        too_long = item.get_closest_marker("long") and not config.getoption("--long")
        no_root = item.get_closest_marker("root") and not link.is_available()
        (left_out if too_long or no_root else kept).append(item)
    if left_out:
        items[:] = kept
        config.hook.pytest_deselected(items=left_out)


def pytest_report_header() -> str:
    if link.is_available():
        return "links: emulated between network namespaces"
    return "links: left out, because network namespaces need root and /dev/net/tun"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Figures that tests want to be read also when they pass (``record_property("figure", …)``)."""
    figures = [
        value
        for report in terminalreporter.getreports("passed")
        for name, value in report.user_properties
        if name == "figure"
    ]
    for value in dict.fromkeys(figures):
        terminalreporter.write_line(f"measured: {value}")


@pytest.fixture(autouse=True)
def _no_blocking_call_in_the_event_loop() -> Iterator[None]:
    """A blocking call of our own code in an event loop fails the test that met it."""
    guard = BlockBuster(["edge", "hub"])
    guard.activate()
    yield
    guard.deactivate()
