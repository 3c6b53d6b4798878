"""A backup on PostgreSQL: one moment, while nodes send; put back into an empty database, whole or not at all."""

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from sqlalchemy import Connection, func, select

from hub import audit, backup, backup_postgres, chains, views
from hub.config import Settings
from hub.store.engine import Store
from hub.store.schema import entries, visits
from tests.kits.clinic import ROOT
from tests.kits.postgres import Postgres

from .kit import HubKit, new_id, registered, visit_events


def command(data: Path, database: str, name: str, *more: str, kill_at: str = "") -> int:
    argv = [sys.executable, "-m", "hub", name, "--data", str(data), "--database", database, *more]
    environment = {**os.environ, "UPKENDRA_KILL_AT": kill_at}
    return subprocess.run(argv, cwd=ROOT, env=environment, check=False, timeout=120).returncode


def held(url: str) -> tuple[int, int, tuple[str, ...], int]:
    """Entries, visits, what does not verify in the logs, and where the audit log is broken."""

    def look(connection: Connection) -> tuple[int, int, tuple[str, ...], int]:
        counts = [connection.execute(select(func.count()).select_from(table)).scalar() for table in (entries, visits)]
        return int(counts[0] or 0), int(counts[1] or 0), chains.verify(connection).broken, audit.verify(connection)

    store = Store(url)
    try:
        return store.read_now(look)
    finally:
        store.close()


async def test_a_moment_is_saved_while_a_node_sends_and_put_back_into_an_empty_database(
    tmp_path: Path, postgres: Postgres, migrated: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kit = await (await asyncio.to_thread(HubKit, tmp_path / "hub", postgres.database(migrated))).start()
    node = await kit.enrol()
    begun, go_on = threading.Event(), threading.Event()
    copied: list[str] = []
    copy = backup_postgres._copy

    def slowly(source: Connection, sink: Connection, table: object) -> int:
        if not copied:
            select_one = source.execute(select(func.count()).select_from(entries)).scalar()
            assert select_one
            begun.set()
            assert go_on.wait(60.0)
        copied.append(str(table))
        return copy(source, sink, table)  # type: ignore[arg-type]

    async def visit() -> str:
        visit_id, patient_id = new_id(), new_id()
        await node.send([registered(patient_id), *visit_events(visit_id, patient_id)])
        return visit_id

    before = [await visit() for _ in range(3)]
    monkeypatch.setattr(backup_postgres, "_copy", slowly)
    saved = tmp_path / "saved"
    running = asyncio.create_task(
        asyncio.to_thread(backup.make_backup, kit.settings, saved, kit.clock.ms, with_keys=True)
    )
    assert await asyncio.to_thread(begun.wait, 60.0)
    after = await visit()
    go_on.set()
    await running
    monkeypatch.undo()
    later = await visit()
    await kit.stop()
    new = Settings(tmp_path / "new", database=postgres.database())
    done = await asyncio.to_thread(backup.restore, new, saved, kit.clock.ms, replace=False)
    assert done.nodes == 1
    found = await asyncio.to_thread(held, new.database_url)
    assert found == (done.entries, 3, (), 0)
    with pytest.raises(backup.BackupRefused) as refused:
        await asyncio.to_thread(backup.restore, new, saved, kit.clock.ms, replace=True)
    assert refused.value.refusal.code == "store_in_the_way"
    again = await (await asyncio.to_thread(HubKit, new.data, new.database, fresh=False, clock=kit.clock)).start()
    node.kit = again
    assert await again.hub.store.read(lambda c: [views.load_visit(c, one) is not None for one in before]) == [True] * 3
    assert await again.hub.store.read(lambda c: views.load_visit(c, after)) is None
    await node.send([registered(new_id())])  # numbers go on behind those that are there
    assert later not in before
    await again.stop()
    lite = Settings(tmp_path / "lite")
    kept = await asyncio.to_thread(backup.restore, lite, saved, kit.clock.ms, replace=False)
    assert kept.entries == done.entries, "it goes into SQLite as well"


async def test_a_backup_and_a_restore_that_were_killed_leave_nothing_half(
    tmp_path: Path, postgres: Postgres, migrated: str
) -> None:
    kit = await (await asyncio.to_thread(HubKit, tmp_path / "hub", postgres.database(migrated))).start()
    node = await kit.enrol()
    visit_id, patient_id = new_id(), new_id()
    await node.send([registered(patient_id), *visit_events(visit_id, patient_id)])
    saved, data, database = tmp_path / "saved", kit.settings.data, kit.settings.database
    to = ("--to", str(saved), "--with-keys")
    killed = await asyncio.to_thread(command, data, database, "backup", *to, kill_at="backup-snapshot")
    assert killed == -signal.SIGKILL
    assert not saved.exists()
    assert await asyncio.to_thread(command, data, database, "backup", *to) == 0
    assert sqlite3.connect(saved / "hub.db").execute("PRAGMA quick_check").fetchall() == [("ok",)]
    await kit.stop()
    empty, new = postgres.database(), tmp_path / "new"
    back = ("--from", str(saved))
    killed = await asyncio.to_thread(command, new, empty, "restore", *back, kill_at="backup-filled")
    assert killed == -signal.SIGKILL
    assert await asyncio.to_thread(backup_postgres.is_empty, empty)
    assert await asyncio.to_thread(command, new, empty, "restore", *back) == 0
    assert (await asyncio.to_thread(held, empty))[1:] == (1, (), 0)
    assert not list(new.glob("*.restoring*"))
