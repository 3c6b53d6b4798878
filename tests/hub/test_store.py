"""The schema on both databases: up from every released state, and the same as what the code believes."""

import os
import signal
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, insert, inspect, select, text
from sqlalchemy.exc import DatabaseError

from edge.sync import faults
from hub.store import migrate
from hub.store.dialect import Row, make_engine, put_row
from hub.store.engine import Store
from hub.store.schema import commands, nodes
from hub.store.schema_office import metadata

from .kit import HubKit, Page, new_id, registered, visit_events

SCRIPTS = Path(migrate.__file__).parent / "migrations"
REVISIONS = tuple(revision.revision for revision in reversed(list(ScriptDirectory(str(SCRIPTS)).walk_revisions())))
"""Every state that was released, the first one first."""


def to_revision(url: str, revision: str) -> None:
    """Make the database as the release of ``revision`` left it, with a node in it."""
    config = Config()
    config.set_main_option("script_location", str(SCRIPTS))
    engine = make_engine(url)
    with engine.connect().execution_options(writing=True) as connection, connection.begin():
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
        row = {column.name: _any(str(column.type)) for column in nodes.columns if column.server_default is None}
        connection.execute(insert(nodes).values(row))
    engine.dispose()


def _any(kind: str) -> object:
    if kind.startswith("VARCHAR"):
        return "00ff"
    return {"BOOLEAN": True, "BIGINT": 7}.get(kind, b"\x00\xff")


@pytest.fixture
def url(database_empty: str, tmp_path: Path) -> str:
    return database_empty or f"sqlite:///{tmp_path / 'hub.db'}"


@pytest.mark.parametrize("revision", REVISIONS)
def test_every_released_state_opens_and_keeps_what_it_held(url: str, revision: str) -> None:
    to_revision(url, revision)
    store = Store(url)
    try:
        assert store.read_now(_differences) == []
        row = store.read_now(lambda connection: connection.execute(select(nodes)).one())
        assert (row.node_id, row.demo, row.enrolled_ms, bytes(row.hint)) == ("00ff", True, 7, b"\x00\xff")
        assert row.told_key_ms == 0
    finally:
        store.close()


@pytest.mark.parametrize("point", ["hub-migrating:1", "hub-migrating:60", f"hub-migrated:{len(REVISIONS) - 1}"])
def test_a_kill_in_a_migration_leaves_what_was_there_and_the_next_start_ends_it(url: str, point: str) -> None:
    to_revision(url, REVISIONS[0])
    pid = os.fork()
    if not pid:
        os.environ[faults.VARIABLE] = point
        Store(url)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
    engine = make_engine(url)
    with engine.connect() as connection:
        assert MigrationContext.configure(connection).get_current_revision() == REVISIONS[0]
        assert connection.execute(text("SELECT node_id FROM nodes")).scalar() == "00ff"
    engine.dispose()
    store = Store(url)
    assert store.read_now(_differences) == []
    assert store.read_now(lambda connection: connection.execute(select(nodes.c.node_id)).scalar()) == "00ff"
    store.close()


def _differences(connection: Connection) -> list[object]:
    found: list[object] = compare_metadata(MigrationContext.configure(connection), metadata)
    return found


def test_a_second_opening_changes_nothing(url: str) -> None:
    Store(url, create=True).close()
    store = Store(url)
    assert store.read_now(lambda connection: set(inspect(connection).get_table_names())) == {
        *metadata.tables,
        "alembic_version",
    }
    store.close()


def test_every_number_is_as_long_as_its_column_promises(url: str) -> None:
    """Milliseconds and stamps need 64 bits: a database that cuts them off would lose the order of entries."""
    store = Store(url, create=True)
    most = (1 << 63) - 1
    row: Row = {
        "command_id": "c" * 16,
        "doctor_id": "d" * 60,
        "body_hash": bytes(32),
        "prescription_id": "p",
        "at_ms": most,
    }
    store.write_now(lambda connection: put_row(connection, commands, row))
    assert store.read_now(lambda connection: connection.execute(select(commands.c.at_ms)).scalar()) == most
    store.close()


async def test_a_commit_waits_for_the_disk_whatever_the_server_was_set_to(kit: HubKit) -> None:
    def level(connection: Connection) -> str:
        postgres = connection.dialect.name == "postgresql"
        return str(connection.execute(text("SHOW synchronous_commit" if postgres else "PRAGMA synchronous")).scalar())

    assert await kit.hub.store.read(level) in ("on", "2")


async def test_what_was_received_is_there_after_a_restart_on_either_database(kit: HubKit) -> None:
    node = await kit.enrol()
    patient_id, visit_id = new_id(), new_id()
    await node.send([registered(patient_id), *visit_events(visit_id, patient_id)])
    await kit.add_doctor()
    again = await kit.restart()
    try:
        page = await again.login()
        assert (await page.get(f"/api/visits/{visit_id}"))["patient_age"]
    finally:
        await again.stop()


async def test_a_nul_in_a_name_or_a_note_is_refused_by_both_databases_alike(kit: HubKit) -> None:
    await kit.add_doctor()
    node = await kit.enrol()
    patient_id, visit_id = new_id(), new_id()
    await node.send([registered(patient_id), *visit_events(visit_id, patient_id)])
    page = await kit.login()
    refused = await page.call("PUT", f"/api/visits/{visit_id}/notes", {"text": "a\x00b"})
    assert (refused.status, (await refused.json())["field"]) == (400, "text")
    wrong = await Page(kit).call("POST", "/api/login", {"user": "a\x00b", "password": "x", "totp": "123456"})
    assert (wrong.status, (await wrong.json())["field"]) == (400, "user")


def test_an_error_of_the_database_quotes_nobodys_record(url: str) -> None:
    store = Store(url, create=True)

    def twice(connection: Connection) -> None:
        for _ in range(2):
            connection.execute(
                text("INSERT INTO removed_staff VALUES (:name, :other, 1)"), {"name": "Sita Devi", "other": "x"}
            )

    try:
        with pytest.raises(DatabaseError) as failed:
            store.write_now(twice)
        assert "removed_staff" in str(failed.value)
        assert "Sita" not in str(failed.value.statement) + str(failed.value).split("[SQL", 1)[1]
    finally:
        store.close()
