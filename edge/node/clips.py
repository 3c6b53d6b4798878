"""Clips of a visit: what a tablet or the node's own camera recorded is made small and attached with a preview.

A tablet's recording lies here as an upload, sealed like any; a node that stops meanwhile does it anew when it is asked
again. What the node's camera recorded is in the memory of its process only, until it is small.
A codec that crashes or hangs ends its process and nothing else. Knows no codec.
"""

import asyncio
import contextlib
import logging
import os
import secrets
import sys
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import msgspec

from edge.media.clip import RECORDED_MOST_S
from edge.media.clip_process import Made, Order, Refused
from edge.media.clip_record import Record, Recording
from edge.model.commands import AttachMedia
from edge.model.errors import NotFound
from edge.model.errors import Refused as NotTaken
from edge.model.ids import ID_BYTES, make_id
from edge.model.media import Purpose, Upload
from edge.web.logs import say

from .clinic import Clinic
from .media import PART_MAX_BYTES, MediaDesk

logger = logging.getLogger("edge.node.clips")
MOST_S = 240.0
"""A process that takes longer hangs."""
DONE_KEPT = 64
_ROOT = str(Path(__file__).resolve().parents[2])
BEGIN_MOST_S, GONE_MOST_S = 20.0, 2.0
_answers: msgspec.json.Decoder[Made | Refused | Recording] = msgspec.json.Decoder(Made | Refused | Recording)
_Clip: TypeAlias = tuple[Made, bytes, bytes]


class ClipDesk:
    """The clips of one node; one is made at a time."""

    def __init__(self, clinic: Clinic, media: MediaDesk, camera: str, in_call: Callable[[], bool]) -> None:
        """``camera``: the source of calls; ``in_call``: whether one has it now."""
        self._clinic, self._media, self._camera, self._in_call = clinic, media, camera, in_call
        self.command = [sys.executable, "-m", "edge.media.clip_process"]
        """What makes a clip."""
        self.recorder = [sys.executable, "-m", "edge.media.clip_record"]
        """What records one with the node's own camera."""
        self._one, self._beginning = asyncio.Lock(), asyncio.Lock()
        self._making: dict[str, asyncio.Task[Made]] = {}
        self._done: OrderedDict[str, Made] = OrderedDict()
        self._recording: asyncio.subprocess.Process | None = None
        self._recording_id = ""

    async def make(self, visit_id: str, upload_id: str, caption: str, staff_id: str) -> Made:
        """Make and attach the clip of a recording that was uploaded; asked again it is made once.

        Raises NotFound, Refused.
        """
        done = self._done.get(upload_id)
        if done is not None:
            return done
        task = self._making.get(upload_id)
        if task is None:
            task = self._making[upload_id] = asyncio.create_task(self._make(visit_id, upload_id, caption, staff_id))
            task.add_done_callback(lambda done: self._forget(upload_id, done))
        return await asyncio.shield(task)

    async def begin(self, visit_id: str, recording_id: str, staff_id: str) -> None:
        """Record with the node's own camera until :meth:`stop`, at most 30 s; then it is made and attached by itself.

        Comes back when the first picture is there. Raises NotFound, Refused.
        """
        async with self._beginning:
            if recording_id not in self._making and recording_id not in self._done:
                await self._begin(visit_id, recording_id, staff_id)

    async def _begin(self, visit_id: str, recording_id: str, staff_id: str) -> None:
        if self._camera == "tablet":
            raise NotTaken("This centre has no camera of its own. Use the tablet's.", code="clip_no_camera")
        if self._recording is not None or self._in_call():
            raise NotTaken("The camera of the centre is in use. Try again after that.", code="clip_busy")
        await self._clinic.visit(visit_id)
        child = self._recording = await self._spawn(self.recorder)
        self._recording_id = recording_id
        try:
            assert child.stdin is not None and child.stdout is not None
            child.stdin.write(msgspec.json.encode(Record(self._camera)) + b"\n")
            word = _decoded(await asyncio.wait_for(child.stdout.readline(), BEGIN_MOST_S))
            if not isinstance(word, Recording):
                raise _refused(word)
            if self._in_call():  # taken while the camera was being opened
                raise NotTaken("The camera of the centre is in use. Try again after that.", code="clip_busy")
        except BaseException as error:
            await self._end(child)
            if isinstance(error, TimeoutError):
                raise _refused(None) from None
            raise
        task = self._making[recording_id] = asyncio.create_task(self._recorded(child, visit_id, recording_id, staff_id))
        task.add_done_callback(lambda done: self._forget(recording_id, done))

    async def stop(self, recording_id: str) -> Made:
        """End a recording; its clip is attached when this comes back. Raises NotFound, Refused."""
        task = self._making.get(recording_id)
        if task is None:
            done = self._done.get(recording_id)
            if done is None:
                raise NotFound("Nothing is being recorded under this name.")
            return done
        child = self._recording
        if child is not None and child.stdin is not None and self._recording_id == recording_id:
            child.stdin.close()
            self._recording_id = ""  # the camera is free in a moment; what is left is making it small
        return await asyncio.shield(task)

    async def release(self) -> None:
        """A call takes the camera: what is being recorded is lost, what has ended is not."""
        child = self._recording
        if child is not None and self._recording_id:
            await self._end(child, 0.0)

    async def cancel(self, recording_id: str) -> None:
        """Forget a recording. One that is being attached already is not stopped."""
        child = self._recording
        if child is not None and self._recording_id == recording_id and child.returncode is None:
            child.kill()

    async def _recorded(
        self, child: asyncio.subprocess.Process, visit_id: str, recording_id: str, staff_id: str
    ) -> Made:
        try:
            assert child.stdout is not None
            out = await asyncio.wait_for(child.stdout.read(), RECORDED_MOST_S + MOST_S)
        except TimeoutError:
            out = b""
        finally:
            await self._end(child)
        return await self._attach(visit_id, recording_id, _clip_of(out), "", staff_id)

    async def _end(self, child: asyncio.subprocess.Process, grace_s: float = GONE_MOST_S) -> None:
        try:  # one that has said everything goes by itself
            await asyncio.wait_for(child.wait(), grace_s)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                child.kill()
            await child.wait()
        if self._recording is child:
            self._recording, self._recording_id = None, ""

    def _forget(self, name: str, task: "asyncio.Task[Made]") -> None:
        self._making.pop(name, None)
        if not task.cancelled() and task.exception() is not None:
            say(logger, "clip_not_made", logging.WARNING, why=type(task.exception()).__name__)

    async def _make(self, visit_id: str, upload_id: str, caption: str, staff_id: str) -> Made:
        async with self._one:
            content = await self._media.content(visit_id, upload_id)
            made = await self._attach(visit_id, upload_id, await self._encode(content), caption, staff_id)
            await self._media.drop(visit_id, upload_id)
        return made

    async def _attach(self, visit_id: str, name: str, clip: _Clip, caption: str, staff_id: str) -> Made:
        made, preview, content = clip
        small = await self._keep(visit_id, Purpose.PREVIEW, preview)
        main = await self._keep(visit_id, Purpose.CLIP, content)
        command = AttachMedia(make_id(secrets.token_bytes(ID_BYTES)), visit_id, main, small, caption)
        reply = await self._clinic.command(command, staff_id)
        await self._media.attached(reply.visit)
        self._done[name] = made
        while len(self._done) > DONE_KEPT:
            self._done.popitem(last=False)
        say(logger, "clip_made", took_s=made.took_s, tries=made.tries, clip_bytes=len(content))
        return made

    async def _keep(self, visit_id: str, purpose: Purpose, content: bytes) -> str:
        upload_id = make_id(secrets.token_bytes(ID_BYTES))
        await self._media.begin(Upload(upload_id, visit_id, purpose, len(content), 0))
        for at in range(0, len(content), PART_MAX_BYTES):
            state = await self._media.put_part(visit_id, upload_id, at, content[at : at + PART_MAX_BYTES])
        if state.refusal is not None:
            raise NotTaken(state.refusal.message, code=state.refusal.code)
        return upload_id

    async def _encode(self, content: bytes) -> _Clip:
        child = await self._spawn(self.command)
        try:
            order = msgspec.json.encode(Order(len(content))) + b"\n" + content
            out, _ = await asyncio.wait_for(child.communicate(order), MOST_S)
        except TimeoutError:
            out = b""
        finally:
            await self._end(child)
        return _clip_of(out)

    async def _spawn(self, command: list[str]) -> asyncio.subprocess.Process:
        path = os.pathsep.join(filter(None, [_ROOT, os.environ.get("PYTHONPATH", "")]))
        return await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": path},
        )

    async def close(self) -> None:
        """The node stops: recordings stay as uploads."""
        tasks = list(self._making.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _decoded(line: bytes) -> Made | Refused | Recording | None:
    """The process's word; None when it died or talks nonsense."""
    try:
        return _answers.decode(line)
    except msgspec.DecodeError:
        return None


def _refused(word: Made | Refused | Recording | None) -> NotTaken:
    if isinstance(word, Refused):
        return NotTaken(word.refusal.message, code=word.refusal.code)
    say(logger, "clip_process_died", logging.WARNING)
    return NotTaken("The recording could not be made into a clip. Record it again.", code="clip_failed")


def _clip_of(out: bytes) -> _Clip:
    """Raises Refused."""
    head, _, rest = out.partition(b"\n")
    word = _decoded(head)
    if not isinstance(word, Made) or len(rest) != word.preview_bytes + word.clip_bytes:
        raise _refused(word)
    return word, rest[: word.preview_bytes], rest[word.preview_bytes :]
