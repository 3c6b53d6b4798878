"""What a serving process asks of the system before it listens."""

import contextlib
import ctypes
import resource
from asyncio import sslproto

FILES_MAX = 65_536
TLS_BUFFER_BYTES = 32 * 1024
"""asyncio gives each TLS connection a buffer of 256 KiB when it begins: 600 strangers took 150 MB without a handshake.
A TLS record has 16 KiB at most."""

_M_ARENA_MAX = -8
"""mallopt(3)."""


def prepare() -> None:
    """No core dumps, since keys and records are in memory; small TLS buffers; as many open files as the system grants.

    The usual soft limit of 1,024 is what one stranger with a thousand connections takes up: then neither the database
    nor a photo could be opened.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    sslproto.SSLProtocol.max_size = TLS_BUFFER_BYTES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES_MAX if hard == resource.RLIM_INFINITY else min(hard, FILES_MAX)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def small_heap() -> None:
    """Before threads begin: one arena for all of them, mallopt(3). A dozen threads that take turns under Python's lock
    would each keep a heap of their own, and what is free in one is not free for another.
    """
    with contextlib.suppress(AttributeError, OSError):  # not the C library of glibc
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)
