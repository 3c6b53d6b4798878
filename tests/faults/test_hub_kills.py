"""The hub's own commands, killed in the middle: what was there stays, and the same command ends what was begun."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import func, select

from edge.sync import faults
from hub import backup, directory
from hub.config import Settings
from hub.keys import load_keys
from hub.store.engine import Store
from hub.store.schema import tokens

NOW_MS = 1_790_000_000_000


def killed(work: Callable[[], object], point: str) -> int:
    """How a process of its own ended that does this."""
    pid = os.fork()
    if not pid:
        os.environ[faults.VARIABLE] = point
        work()
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.mark.parametrize("point", ["backup-snapshot", "backup-written"])
def test_a_kill_in_a_backup_leaves_no_folder_of_its_name_and_the_next_one_is_whole(tmp_path: Path, point: str) -> None:
    settings = Settings(tmp_path / "hub")
    backup.init_hub(settings)
    keys, site = load_keys(settings.data), directory.Site("", "N1", "x", "y")
    store = Store(settings.database_url)
    store.write_now(lambda connection: directory.add_token(connection, keys, site, 1, 60) and None)
    target = tmp_path / "saved"
    assert killed(lambda: backup.make_backup(settings, target, NOW_MS, with_keys=True), point) == -signal.SIGKILL
    assert not target.exists(), "nobody takes it for a backup"
    store.write_now(lambda connection: directory.add_token(connection, keys, site, 1, 60) and None)
    store.close()
    backup.make_backup(settings, target, NOW_MS, with_keys=True)
    assert not target.with_name("saved.part").exists()
    other = Settings(tmp_path / "other")
    backup.restore(other, target, NOW_MS, replace=False)
    there = Store(other.database_url)
    assert there.read_now(lambda c: c.execute(select(func.count()).select_from(tokens)).scalar()) == 2
    there.close()
