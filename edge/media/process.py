"""The node's handle on a call process: starts it, speaks JSON lines with it, notices its death.

One process serves one attempt of one call, so that a crash in a codec ends an attempt and not the
clinic. This module may not know GStreamer or aiortc; it knows a child process and two pipes.
"""

import asyncio
import contextlib
import logging
import os
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import msgspec

from edge.media.signals import CallEnded, EndCall, FromCall, StartCall, ToCall

_ROOT = str(Path(__file__).resolve().parents[2])
"""Where the ``edge`` package lies, so that the child finds it."""
LINE_LIMIT_BYTES = 256 * 1024
"""Longest line on either pipe; an SDP has at most 20,000 characters."""
END_TIMEOUT_S = 3.0
"""The process promises to be gone 2 s after EndCall."""

_LOG = logging.getLogger(__name__)
_TO_CALL = msgspec.json.Encoder()
_FROM_CALL: msgspec.json.Decoder[FromCall] = msgspec.json.Decoder(FromCall)

OnMessage = Callable[[FromCall], Awaitable[None]]


class CallProcess:
    """A running call process.

    ``on_message`` gets every line of the process in order, and exactly one :class:`CallEnded` as
    the last: the process's own, or one with reason ``crashed`` when it died without a word.
    """

    def __init__(self, child: asyncio.subprocess.Process, start: StartCall, on_message: OnMessage) -> None:
        self._child = child
        self._on_message = on_message
        self.start_call = start
        self._reader = asyncio.create_task(self._read(), name=f"call-{start.call_id}-{start.attempt}")

    @classmethod
    async def start(cls, start: StartCall, on_message: OnMessage, wrapper: Sequence[str] = ()) -> "CallProcess":
        """Spawn ``python -m edge.media`` and give it its first line. Raises OSError when it cannot be spawned.

        ``wrapper`` is a command that runs the process, such as one that limits its CPU.
        """
        path = os.pathsep.join(filter(None, [_ROOT, os.environ.get("PYTHONPATH", "")]))
        child = await asyncio.create_subprocess_exec(
            *wrapper,
            sys.executable,
            "-m",
            "edge.media",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=LINE_LIMIT_BYTES,
            env={**os.environ, "PYTHONPATH": path},
        )
        process = cls(child, start, on_message)
        await process.send(start)
        return process

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._child.pid

    @property
    def running(self) -> bool:
        """False from the moment the process has ended."""
        return self._child.returncode is None

    async def send(self, message: ToCall) -> None:
        """Give the process one message. A message to a process that has ended is dropped: its end is on its way."""
        pipe = self._child.stdin
        assert pipe is not None
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            pipe.write(_TO_CALL.encode(message) + b"\n")
            await pipe.drain()

    async def stop(self, reason: str = "hangup") -> None:
        """Ask the process to end and see to it that it does; its last messages are delivered before this returns."""
        await self.send(EndCall(reason))
        try:
            await asyncio.wait_for(self._child.wait(), END_TIMEOUT_S)
        except TimeoutError:
            self.kill()
        if asyncio.current_task() is not self._reader:
            await self._reader

    @property
    def gone(self) -> bool:
        """Whether nothing of it is left, its last messages included."""
        return self._reader.done()

    async def ended(self) -> None:
        """Wait until it is gone and its last messages are delivered."""
        await self._reader

    def kill(self) -> None:
        """End the process at once (SIGKILL). ``on_message`` still gets its CallEnded."""
        with contextlib.suppress(ProcessLookupError):
            self._child.kill()

    async def _read(self) -> None:
        ended = False
        pipe = self._child.stdout
        assert pipe is not None
        while not ended:
            try:
                line = await pipe.readline()
            except ValueError:
                _LOG.error("call process sent a line that is too long")
                break
            if not line:
                break
            try:
                message = _FROM_CALL.decode(line)
            except msgspec.DecodeError as error:
                _LOG.error("call process sent a line that is no message: %s", error)
                continue
            ended = isinstance(message, CallEnded)
            if ended:
                await self._reap()
            await self._deliver(message)
        if not ended:
            await self._reap()
            await self._deliver(CallEnded("crashed"))

    async def _reap(self) -> None:
        pipe = self._child.stdin
        assert pipe is not None
        pipe.close()
        try:
            await asyncio.wait_for(self._child.wait(), END_TIMEOUT_S)
        except TimeoutError:
            self.kill()
            await self._child.wait()

    async def _deliver(self, message: FromCall) -> None:
        try:
            await self._on_message(message)
        except Exception:
            _LOG.exception("a message of the call process could not be handled")
