"""A NATS server of our own for tests: Debian's program, loopback, a free port, a drawn password; nothing is kept."""

import secrets
import shutil
import socket
import subprocess
import time
from types import TracebackType
from typing import Self

START_S = 30.0
PROGRAM = "nats-server"


class Nats:
    """A running server. Enter it to start it; :meth:`kill` and :meth:`start` again at the same port."""

    def __init__(self) -> None:
        self._password = secrets.token_urlsafe(16)
        self._process: subprocess.Popen[bytes] | None = None
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = int(probe.getsockname()[1])

    @property
    def url(self) -> str:
        return f"nats://upkendra:{self._password}@127.0.0.1:{self._port}"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def start(self) -> None:
        """Start and wait until it listens. Raises FileNotFoundError, TimeoutError."""
        if shutil.which(PROGRAM) is None:
            raise FileNotFoundError("NATS is not installed: apt-get install nats-server")
        self._process = subprocess.Popen(
            [PROGRAM, "-a", "127.0.0.1", "-p", str(self._port), "--user", "upkendra", "--pass", self._password],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        limit_s = time.monotonic() + START_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", self._port), 5).close()
                return
            except OSError:
                if time.monotonic() > limit_s:
                    raise TimeoutError("nats-server does not listen") from None
                time.sleep(0.05)

    def kill(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
