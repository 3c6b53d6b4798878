"""Copies of a hub's data, made while it runs, and putting one back, on either database.

A backup is a folder: the database as one consistent snapshot, photos and notes where they lie in a folder, the keys
when asked for, and a manifest with the hash of each file. Restoring is not the end: nodes are asked what they hold as
soon as they are heard (:mod:`hub.returns`), and for photos that are not here (:mod:`hub.blobs`).
"""

import hashlib
import os
import shutil
import sqlite3
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct
from sqlalchemy import Connection, delete, func, select

from edge.model.errors import Fault, UpkendraError
from edge.sync import faults

from . import audit, backup_postgres, erasures
from .config import Settings
from .keys import KEYS_FILE, LEAF_FILE, LEAF_KEY_FILE, Keyring, init_keys, load_keys
from .shelf import is_name
from .store.copy import CopyRefused, FolderCopy, end_history, replay
from .store.dialect import DATABASE_FILE, require_store
from .store.engine import Store
from .store.schema import entries, nodes, sessions

MANIFEST_FILE: Final = "backup.json"
BLOBS_FOLDER: Final = "blobs"
KEY_FILES: Final = (KEYS_FILE, LEAF_FILE, LEAF_KEY_FILE)
_BLOCK_BYTES = 1 << 20


class BackupRefused(UpkendraError):
    """This backup could not be made or put back. Nothing was changed; the message says what is in the way."""

    code = "backup_refused"
    fault = Fault.STATE


class Manifest(Struct, frozen=True):
    """``backup.json``."""

    format: int
    made_ms: int
    hub_key: str
    """H in hexadecimal: whose backup this is."""
    files: dict[str, str]
    """Name → SHA-256 in hexadecimal."""


class Restored(Struct, frozen=True):
    """What stands in a restored store."""

    made_ms: int
    nodes: int
    revoked: int
    entries: int
    changes: int
    """Taken over from the second copy."""
    erased_again: int = 0
    """Visits, people, numbers and reasons that were erased after the backup."""


def init_hub(settings: Settings) -> Keyring:
    """Make a hub's database and then its keys, so that keys without a database always mean damage.

    Raises KeysRefused when there are keys, BackupRefused when the database belongs to another hub.
    """
    settings.data.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not (settings.data / KEYS_FILE).exists():
        store = Store(settings.database_url, create=True)
        try:
            known = store.read_now(lambda connection: connection.execute(select(nodes.c.node_id)).first())
        finally:
            store.close()
        if known is not None:
            raise BackupRefused("This database belongs to a hub whose keys are not here.", code="hub_keys_missing")
    init_keys(settings.data)
    return load_keys(settings.data)


def make_backup(settings: Settings, target: Path, now_ms: int, *, with_keys: bool) -> Manifest:
    """A consistent snapshot of a hub that may be running, in a new folder. Raises BackupRefused. Blocking."""
    source = settings.data / DATABASE_FILE
    keys = load_keys(settings.data)
    if target.exists():
        raise BackupRefused("There is something under this name. Name a new folder.", code="backup_exists")
    if settings.database:
        require_store(settings.database_url)
    elif not source.exists():
        raise BackupRefused("There is no database to be copied.", code="store_gone")
    draft = target.with_name(target.name + ".part")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(mode=0o700, parents=True)
    if settings.database:
        backup_postgres.export(settings.database_url, draft / DATABASE_FILE)
        (draft / DATABASE_FILE).chmod(0o600)
    else:
        snapshot(source, draft / DATABASE_FILE)
    faults.point("backup-snapshot")
    names = [DATABASE_FILE]
    for name in KEY_FILES if with_keys else ():
        shutil.copyfile(settings.data / name, draft / name)
        (draft / name).chmod(0o600)
        names.append(name)
    names += _copy_blobs(settings.blobs_folder, draft / BLOBS_FOLDER, draft)  # behind the snapshot
    manifest = Manifest(1, now_ms, keys.sign_public.hex(), {name: _digest(draft / name) for name in names})
    (draft / MANIFEST_FILE).write_bytes(msgspec.json.encode(manifest))
    for path in (*draft.rglob("*"), draft):
        _sync(path)
    faults.point("backup-written")
    draft.rename(target)
    _sync(target.parent)
    return manifest


def _copy_blobs(source: Path, target: Path, root: Path) -> list[str]:
    """Photos and notes as they lie there, sealed; their names below ``root``. What is taken back meanwhile is left."""
    names: list[str] = []
    for path in sorted(source.rglob("*")) if source.is_dir() else ():
        if path.is_dir() or path.name.startswith("."):
            continue
        copy = target / path.relative_to(source)
        copy.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            shutil.copyfile(path, copy)
        except FileNotFoundError:
            copy.unlink(missing_ok=True)
            continue
        copy.chmod(0o600)
        names.append(str(copy.relative_to(root)))
    return names


def snapshot(source: Path, target: Path) -> None:
    """Copy a database by SQLite's own backup call, in one read transaction, and check the copy. Blocking."""
    reading = sqlite3.connect(f"file:{source}?mode=ro", uri=True, timeout=30)
    writing = sqlite3.connect(target)
    try:
        reading.backup(writing)
        found = writing.execute("PRAGMA quick_check").fetchall()
    except sqlite3.Error as error:
        raise BackupRefused("The database cannot be copied: it is damaged.", code="store_damaged") from error
    finally:
        writing.close()
        reading.close()
    target.chmod(0o600)
    if found != [("ok",)]:
        raise BackupRefused("The copied database is damaged.", code="store_damaged")


def read_backup(source: Path) -> Manifest:
    """The manifest of a backup whose files are all as they were written. Raises BackupRefused. Blocking."""
    try:
        manifest = msgspec.json.decode((source / MANIFEST_FILE).read_bytes(), type=Manifest)
    except (OSError, msgspec.MsgspecError) as error:
        raise BackupRefused("This folder holds no backup.", code="backup_damaged") from error
    for name, digest in manifest.files.items():
        if not _belongs(name) or not (source / name).is_file() or _digest(source / name) != digest:
            raise BackupRefused("A file of this backup is missing or was changed.", code="backup_damaged")
    if manifest.format != 1 or DATABASE_FILE not in manifest.files:
        raise BackupRefused("This backup is of another release.", code="backup_damaged")
    return manifest


def restore(settings: Settings, source: Path, now_ms: int, *, replace: bool) -> Restored:
    """Put a backup back into the data folder of a hub that does not run. Raises BackupRefused, CopyRefused. Blocking.

    What stood there is kept beside it under another name. With a second copy in the settings what was changed after
    the backup follows.
    """
    manifest = read_backup(source)
    settings.data.mkdir(parents=True, exist_ok=True, mode=0o700)
    _need_room(settings, replace=replace)
    if not (settings.data / KEYS_FILE).exists():
        _restore_keys(settings, source, manifest)
    if load_keys(settings.data).sign_public.hex() != manifest.hub_key:
        raise BackupRefused("This backup belongs to another hub.", code="backup_other_hub")
    _restore_blobs(settings.blobs_folder, source, manifest)
    replayed = _put(settings, source / DATABASE_FILE, now_ms)
    return settle(settings, manifest.made_ms, replayed, now_ms)


def _belongs(name: str) -> bool:
    """Whether a manifest may name this file: nothing outside, whatever the backup says."""
    folder, _, rest = name.partition("/")
    return name in (DATABASE_FILE, *KEY_FILES) or (folder == BLOBS_FOLDER and is_name(rest))


def _restore_blobs(target: Path, source: Path, manifest: Manifest) -> None:
    """Photos and notes that are not here. One that is lies there whole: a name never means another content."""
    for name in sorted(manifest.files):
        folder, _, rest = name.partition("/")
        file = target / rest
        if folder != BLOBS_FOLDER or file.exists():
            continue
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh = file.with_name(f".{file.name}.new")
        shutil.copyfile(source / name, fresh)
        fresh.chmod(0o600)
        _sync(fresh)
        fresh.rename(file)
        _sync(file.parent)


def restore_copy(settings: Settings, copy: Path, now_ms: int, *, replace: bool) -> Restored:
    """Make a hub's database from its second copy alone; its keys must be here. As :func:`restore`."""
    if settings.database:
        raise CopyRefused("A second copy in a folder is of SQLite; PostgreSQL has replicas.", code="copy_sqlite")
    load_keys(settings.data)
    folder = FolderCopy(copy)
    _need_room(settings, replace=replace)
    histories = folder.histories()
    if not histories:
        raise BackupRefused("This folder holds no second copy.", code="backup_damaged")
    base = folder.base(histories[0])
    made_ms = int(base.stat().st_mtime * 1000)
    settings = msgspec.structs.replace(settings, copy=copy)
    replayed = _put(settings, base, now_ms)
    return settle(settings, made_ms, replayed, now_ms)


def _need_room(settings: Settings, *, replace: bool) -> None:
    """Raise BackupRefused where a database is in the way."""
    if settings.database:
        if not backup_postgres.is_empty(settings.database_url):
            text = "This database is not empty. Make a new one, and name it with --database."
            raise BackupRefused(text, code="store_in_the_way")
        return
    target = settings.data / DATABASE_FILE
    if target.exists() and target.stat().st_size and not replace:
        raise BackupRefused("There is a database here. Say --replace to put it aside.", code="store_in_the_way")


def _put(settings: Settings, database: Path, now_ms: int) -> int:
    """Put a database in its place, with what was changed later from the second copy; how many changes that were.

    Raises CopyRefused: then nothing was changed.
    """
    fresh = settings.data / (DATABASE_FILE + ".restoring")
    _drop(fresh)
    shutil.copyfile(database, fresh)
    fresh.chmod(0o600)
    _sync(fresh)
    if settings.database:
        Store(f"sqlite:///{fresh}").close()  # of an older release: brought up to this one first
        backup_postgres.fill(fresh, settings.database_url)
        _drop(fresh)
        return 0
    replayed = 0
    if settings.copy is not None:
        try:
            replayed = replay(fresh, FolderCopy(settings.copy))
        except CopyRefused:
            _drop(fresh)
            raise
        _sync(fresh)
    for suffix in ("", "-wal", "-shm"):
        old = settings.data / (DATABASE_FILE + suffix)
        if old.exists():
            old.rename(settings.data / f"{DATABASE_FILE}.before-{now_ms}{suffix}")
    fresh.rename(settings.data / DATABASE_FILE)
    _sync(settings.data)
    return replayed


def _drop(database: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        database.with_name(database.name + suffix).unlink(missing_ok=True)


def settle(settings: Settings, made_ms: int, replayed: int, now_ms: int) -> Restored:
    """After a restore: nobody is logged in, the audit says so, what was erased since is erased again. Blocking."""

    def act(connection: Connection) -> Restored:
        if settings.copy is None:
            end_history(connection)  # what happens from here on belongs to no copy that was begun before
        connection.execute(delete(sessions))
        audit.record(connection, now_ms, "", "restored", "", str(made_ms))
        count = connection.execute(select(func.count()).select_from(nodes)).scalar() or 0
        revoked = connection.execute(select(func.count()).select_from(nodes).where(nodes.c.revoked_ms > 0)).scalar()
        held = connection.execute(select(func.count()).select_from(entries)).scalar() or 0
        return Restored(made_ms, count, revoked or 0, held, replayed)

    store = Store(settings.database_url)
    try:
        done = store.write_now(act)
        again = erasures.recall(store, load_keys(settings.data), settings.data, now_ms)
        return msgspec.structs.replace(done, erased_again=again)
    finally:
        store.close()


def _restore_keys(settings: Settings, source: Path, manifest: Manifest) -> None:
    if KEYS_FILE not in manifest.files:
        raise BackupRefused("This backup holds no keys, and there are none here. Put them back first.", code="hub_keys")
    for name in reversed(KEY_FILES):  # keys.json last: it says that the others are there
        shutil.copyfile(source / name, settings.data / name)
        (settings.data / name).chmod(0o600)
        _sync(settings.data / name)


def _digest(path: Path) -> str:
    state = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            state.update(block)
    return state.hexdigest()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
