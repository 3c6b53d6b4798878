"""A PostgreSQL server of our own for tests: Debian's programs, a scratch folder, a free port, no system service.

It runs as an unprivileged user (PostgreSQL refuses root) and answers on loopback to a drawn password only.
"""

import contextlib
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import psycopg
from psycopg import sql

USERS = ("postgres", "nobody")
"""Who runs the server when the tests run as root."""
START_S = 60.0
OWNER = "upkendra"


def programs() -> Path | None:
    """Folder of the newest installed server's programs; None when there is none."""
    found = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/postgres")]
    return max(found, key=lambda path: float(path.parent.name), default=None)


class Postgres:
    """A running server. Enter it to start it; everything is gone when it is left."""

    def __init__(self, *, durable: bool = False, environment: Mapping[str, str] | None = None) -> None:
        """``durable``: flush to the disk as a real server does; without, tests that cut no power run faster.
        ``environment``: more of the server's.
        """
        self._durable = durable
        self._environment = dict(environment or {})
        self._password = secrets.token_urlsafe(16)
        self._process: subprocess.Popen[bytes] | None = None
        self._count = 0
        self._port = 0
        self._folder = Path()

    def __enter__(self) -> Self:
        home = programs()
        if home is None:
            raise FileNotFoundError("PostgreSQL is not installed: apt-get install postgresql")
        user = self._user()
        self._folder = Path(tempfile.mkdtemp(prefix="upkendra-postgres-"))
        try:
            password_file = self._folder / "password"
            password_file.write_text(self._password)
            if user is not None:
                for path in (self._folder, password_file):
                    os.chown(path, user.pw_uid, user.pw_gid)
            self._initialise(home, user, password_file)
            self._serve(home, user)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _user(self) -> pwd.struct_passwd | None:
        if os.geteuid() != 0:
            return None
        known = {one.pw_name: one for one in pwd.getpwall()}
        return next(known[name] for name in USERS if name in known)

    def _popen(self, argv: list[str], user: pwd.struct_passwd | None, log: Path) -> subprocess.Popen[bytes]:
        environment = {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C.UTF-8", "HOME": str(self._folder)}
        environment |= self._environment
        with log.open("ab") as out:
            return subprocess.Popen(
                argv,
                stdout=out,
                stderr=out,
                stdin=subprocess.DEVNULL,
                cwd="/",
                env=environment,
                start_new_session=True,
                user=user.pw_uid if user else None,
                group=user.pw_gid if user else None,
                extra_groups=[] if user else None,
            )

    def _initialise(self, home: Path, user: pwd.struct_passwd | None, password_file: Path) -> None:
        log = self._folder / "initdb.log"
        argv = [
            *(str(home / "initdb"), "--pgdata", str(self._folder / "data"), "--username", OWNER),
            *("--pwfile", str(password_file), "--auth", "scram-sha-256", "--encoding", "UTF8"),
            *("--locale", "C.UTF-8", "--no-sync"),
        ]
        if self._popen(argv, user, log).wait(START_S) != 0:
            raise RuntimeError(f"initdb: {log.read_text(errors='replace')[-2000:]}")

    def _serve(self, home: Path, user: pwd.struct_passwd | None) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = int(probe.getsockname()[1])
        settings = {"listen_addresses": "127.0.0.1", "port": str(self._port), "unix_socket_directories": ""}
        settings |= {"max_connections": "100", "shared_buffers": "64MB", "jit": "off"}
        if not self._durable:
            settings |= {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off", "autovacuum": "off"}
        argv = [str(home / "postgres"), "-D", str(self._folder / "data")]
        for name, value in settings.items():
            argv += ["-c", f"{name}={value}"]
        log = self._folder / "postgres.log"
        self._process = self._popen(argv, user, log)
        limit_s = time.monotonic() + START_S
        while True:
            try:
                psycopg.connect(self._url("postgres"), connect_timeout=5).close()
                return
            except psycopg.OperationalError as error:
                if self._process.poll() is not None or time.monotonic() > limit_s:
                    raise RuntimeError(f"postgres: {log.read_text(errors='replace')[-2000:]}") from error
                time.sleep(0.05)

    def _url(self, database: str) -> str:
        return f"postgresql://{OWNER}:{self._password}@127.0.0.1:{self._port}/{database}"

    def database(self, like: str = "") -> str:
        """URL of a new database: empty, or a copy of the one that ``like`` names and nobody uses at the moment."""
        self._count += 1
        name = f"hub{self._count}"
        template = like.rpartition("/")[2] or "template1"
        command = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template))
        with psycopg.connect(self._url("postgres"), autocommit=True) as connection:
            connection.execute(command)
        return self._url(name)

    def close(self) -> None:
        """Stop the server and remove its folder."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGQUIT)  # at once: nothing here is kept
            try:
                self._process.wait(30)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None
        shutil.rmtree(self._folder, ignore_errors=True)
