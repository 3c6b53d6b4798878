"""One process serves a hub's data folder: a second one would take over the courier's socket and end it with itself.

Hubs that share a PostgreSQL may share the folder's keys too; whoever puts a backup back wants it alone in any case.
"""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from edge.model.errors import Fault, UpkendraError

LOCK_FILE = "serving.lock"


class HubRunning(UpkendraError):
    """A hub is running on this data folder. Stop it first."""

    code = "hub_running"
    fault = Fault.STATE


@contextlib.contextmanager
def held(data: Path, *, shared: bool = False) -> Iterator[None]:
    """Hold the folder until the end, however the process ends. Raises HubRunning, OSError. Blocking."""
    handle = os.open(data / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            raise HubRunning("A hub is running on this data folder. Stop it first.") from None
        yield
    finally:
        os.close(handle)
