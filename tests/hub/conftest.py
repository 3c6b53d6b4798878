"""A started hub for each test, once on each database."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from hub.store.engine import Store
from tests.kits.postgres import Postgres

from .kit import HubKit

ONCE = frozenset(
    (
        "test_amending",
        "test_fleet",
        "test_gate_between",
        "test_home_calls",
        "test_home_login",
        "test_home_push",
        "test_live",
        "test_login",
        "test_metrics",
        "test_office",
        "test_permits",
        "test_rota_desk",
        "test_rota_gone",
        "test_sms",
        "test_thirds",
    )
)
"""Modules about rules, people and calls, with many log-ins: on PostgreSQL they run under ``./run test --long``."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the short run short: what says little about the store takes the second database in the long one."""
    for item in items:
        if "[postgresql" in item.name and item.path.stem in ONCE:
            item.add_marker(pytest.mark.long)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """One server for all tests of this process; each takes a database of its own."""
    with Postgres() as server:
        yield server


@pytest.fixture(scope="session")
def migrated(postgres: Postgres) -> str:
    """A database with all tables and no rows, to be copied."""
    url = postgres.database()
    Store(url, create=True).close()
    return url


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> str:
    """What ``--database`` would say: nothing, or the URL of a PostgreSQL database without rows."""
    if request.param == "sqlite":
        return ""
    template: str = request.getfixturevalue("migrated")
    server: Postgres = request.getfixturevalue("postgres")
    return server.database(template)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_empty(request: pytest.FixtureRequest) -> str:
    """As ``database``, without tables."""
    if request.param == "sqlite":
        return ""
    server: Postgres = request.getfixturevalue("postgres")
    return server.database()


@pytest.fixture
async def kit(tmp_path: Path, database: str) -> AsyncIterator[HubKit]:
    started = await (await asyncio.to_thread(HubKit, tmp_path / "hub", database)).start()
    yield started
    await started.stop()
