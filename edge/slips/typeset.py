"""Typesetting in a helper process that lives while there is something to print, so that its memory is not its owner's.

The typesetter takes 35 MB at its first page and keeps them; a crash in it ends one page and not the clinic. One process
is shared by all callers, one at a time, and ends when nobody has asked for a while. Blocking.
"""

import os
import subprocess
import sys
import threading
from pathlib import Path

from edge.model.errors import UpkendraError

from .coverage import FONTS_DIR
from .typeset_worker import read_frame, write_frame
from .words import TEMPLATES_DIR

IDLE_S = 60.0
"""So long it stays after a page: the next one then takes a fifth of the time."""
PAGE_S = 30.0
_WORKER = Path(__file__).with_name("typeset_worker.py")


class TypesetFailed(UpkendraError):
    """The page could not be made: the helper process failed. Try again."""

    code = "typeset_failed"


class Typesetter:
    """The helper process. Any thread may ask."""

    def __init__(self, idle_s: float = IDLE_S) -> None:
        self._idle_s = idle_s
        self._lock = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self._rest: threading.Timer | None = None

    def pages(self, template: bytes, words: bytes, kind: str, ppi: float) -> tuple[bytes, ...]:
        """One file for "pdf", one for each page for "png". A process that died meanwhile is replaced once.

        Raises TypesetFailed.
        """
        request = (template, words, kind.encode(), str(ppi).encode())
        with self._lock:
            if self._rest is not None:
                self._rest.cancel()
            try:
                return self._ask(request) or self._ask(request) or self._fail()
            finally:
                self._rest = threading.Timer(self._idle_s, self.close)
                self._rest.daemon = True
                self._rest.start()

    def close(self) -> None:
        """End the process; the next page begins another."""
        with self._lock:
            if self._rest is not None:
                self._rest.cancel()
            self._end()

    def _ask(self, request: tuple[bytes, ...]) -> tuple[bytes, ...]:
        """The pages; none when the process is gone. Raises TypesetFailed when it refuses."""
        child = self._begin()
        assert child.stdin is not None
        assert child.stdout is not None
        late = threading.Timer(PAGE_S, child.kill)
        late.start()
        try:
            for frame in request:
                write_frame(child.stdin, frame)
            child.stdin.flush()
            head = child.stdout.read(4)
            count = int.from_bytes(head, "big")
            frames = tuple(read_frame(child.stdout) for _ in range(max(1, count)))
        except OSError:
            head, count, frames = b"", 0, ()
        finally:
            late.cancel()
        if len(head) < 4 or not all(frames):
            self._end()
            return ()
        return frames if count else self._fail(frames[0].decode())

    def _begin(self) -> "subprocess.Popen[bytes]":
        if self._child is None or self._child.poll() is not None:
            self._end()
            path = os.pathsep.join(filter(None, sys.path))
            command = (sys.executable, "-I", "-S", str(_WORKER), str(TEMPLATES_DIR), str(FONTS_DIR), path)
            try:
                self._child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            except OSError:
                self._fail()
        assert self._child is not None
        return self._child

    def _end(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            child.kill()
            child.communicate()

    @staticmethod
    def _fail(why: str = "") -> tuple[bytes, ...]:
        raise TypesetFailed(f"The page could not be made{f' ({why})' if why else ''}.")
