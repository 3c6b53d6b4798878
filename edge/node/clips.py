"""Clips of a visit: what a tablet or the node's own camera recorded is made small and attached with a preview.

A tablet's recording lies here as an upload, sealed like any; a node that stops meanwhile does it anew when it is asked
again. What the node's camera recorded is in the memory of its process only, until it is small. A clip's uploads, and
the command that attaches it, have ids drawn from the recording's: asked again, after a kill too, it is attached once.
A codec that crashes or hangs ends its process and nothing else. Knows no codec.
"""

import asyncio
import contextlib
import hashlib
import logging
import os
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import msgspec
from msgspec import Struct

from edge.media.clip import RECORDED_MOST_S
from edge.media.clip_process import Made, Order, Refused
from edge.media.clip_record import Record, Recording
from edge.media.own_still import Take, Taken
from edge.model.commands import AttachMedia
from edge.model.errors import NotFound
from edge.model.errors import Refused as NotTaken
from edge.model.ids import ID_BYTES, make_id
from edge.model.media import Purpose, Upload
from edge.sync import faults
from edge.web.logs import say

from .clinic import Clinic, CommandRefused
from .media import PART_MAX_BYTES, MediaDesk
from .views import Views

logger = logging.getLogger("edge.node.clips")
MOST_S = 240.0
"""A process that takes longer hangs."""
_ROOT = str(Path(__file__).resolve().parents[2])
BEGIN_MOST_S, GONE_MOST_S, STILL_MOST_S = 20.0, 2.0, 30.0
_still_answers: msgspec.json.Decoder[Taken | Refused] = msgspec.json.Decoder(Taken | Refused)
_answers: msgspec.json.Decoder[Made | Refused | Recording] = msgspec.json.Decoder(Made | Refused | Recording)
_W = TypeVar("_W")
_Clip: TypeAlias = tuple[Made, bytes, bytes]
_NOT_HERE = ("upload_unknown", "upload_incomplete")


class Attached(Struct, frozen=True):
    """A clip of a visit."""

    clip_bytes: int
    preview_bytes: int
    width: int
    height: int


class CameraStill(Struct, frozen=True):
    """One picture of the node's own camera. It is kept nowhere."""

    taken_ms: int
    width: int
    height: int
    """Of what the camera gave, in pixels."""
    webp: bytes


class _Name(Struct, frozen=True):
    """A recording: by its upload, or by what the tablet calls it that began it with the node's camera."""

    visit_id: str
    recording_id: str

    def drawn(self, what: str) -> str:
        """An id for something that this recording makes."""
        digest = hashlib.sha256("\0".join(("upk1 clip", self.visit_id, self.recording_id, what)).encode())
        return make_id(digest.digest()[:ID_BYTES])

    def command(self, caption: str) -> AttachMedia:
        """What attaches its clip."""
        return AttachMedia(
            self.drawn("attach"), self.visit_id, self.drawn(Purpose.CLIP), self.drawn(Purpose.PREVIEW), caption
        )


_STILL = _Name("", "still")
"""What has the camera while one picture is taken: no recording of any visit."""


class ClipDesk:
    """The clips of one node, one made at a time; and its own camera while no call has it."""

    def __init__(self, clinic: Clinic, media: MediaDesk, camera: str, in_call: Callable[[], bool]) -> None:
        """``camera``: the source of calls; ``in_call``: whether one has it now."""
        self._clinic, self._media, self._camera, self._in_call = clinic, media, camera, in_call
        self.command = [sys.executable, "-m", "edge.media.clip_process"]
        """What makes a clip."""
        self.recorder = [sys.executable, "-m", "edge.media.clip_record"]
        """What records one with the node's own camera."""
        self.still_taker = [sys.executable, "-m", "edge.media.own_still"]
        """What takes one picture with it."""
        self._one, self._beginning = asyncio.Lock(), asyncio.Lock()
        self._making: dict[_Name, asyncio.Task[Attached]] = {}
        self._recording: asyncio.subprocess.Process | None = None
        self._recording_of: _Name | None = None

    async def make(self, visit_id: str, upload_id: str, caption: str, staff_id: str) -> Attached:
        """Make and attach the clip of a recording that was uploaded; asked again it is made once.

        Raises NotFound, Refused, CommandRefused.
        """
        name = _Name(visit_id, upload_id)
        return await asyncio.shield(self._making.get(name) or self._work(name, self._make(name, caption, staff_id)))

    def _work(self, name: _Name, work: Coroutine[Any, Any, Attached]) -> "asyncio.Task[Attached]":
        task = self._making[name] = asyncio.create_task(work)
        task.add_done_callback(lambda done: self._forget(name, done))
        return task

    async def begin(self, visit_id: str, recording_id: str, staff_id: str) -> None:
        """Record with the node's own camera until :meth:`stop`, at most 30 s; then it is made and attached by itself.

        Comes back when the first picture is there. Raises NotFound, Refused.
        """
        name = _Name(visit_id, recording_id)
        async with self._beginning:
            if name not in self._making and await self._left(name, "", staff_id) is None:
                await self._begin(name, staff_id)

    async def _begin(self, name: _Name, staff_id: str) -> None:
        self._need_camera()
        await self._clinic.visit(name.visit_id)
        child = self._recording = await self._spawn(self.recorder)
        self._recording_of = name
        try:
            assert child.stdin is not None and child.stdout is not None
            child.stdin.write(msgspec.json.encode(Record(self._camera)) + b"\n")
            word = _decoded(_answers, await asyncio.wait_for(child.stdout.readline(), BEGIN_MOST_S))
            if not isinstance(word, Recording):
                raise _refused(word)
            if self._in_call():  # taken while the camera was being opened
                raise _busy()
        except BaseException as error:
            await self._end(child)
            if isinstance(error, TimeoutError):
                raise _refused(None) from None
            raise
        self._work(name, self._recorded(child, name, staff_id))

    def _need_camera(self) -> None:
        """Raises Refused."""
        if self._camera == "tablet":
            raise NotTaken("This centre has no camera of its own. Use the tablet's.", code="clip_no_camera")
        if self._recording is not None or self._in_call():
            raise _busy()

    async def still(self) -> CameraStill:
        """One picture of the node's own camera, for who looks after it; a call takes the camera. Raises Refused."""
        async with self._beginning:
            self._need_camera()
            child = self._recording = await self._spawn(self.still_taker)
            self._recording_of = _STILL
        out = b""
        try:
            if not self._in_call():  # taken while the process was being started
                order = msgspec.json.encode(Take(self._camera)) + b"\n"
                out, _ = await asyncio.wait_for(child.communicate(order), STILL_MOST_S)
        except TimeoutError:
            say(logger, "still_process_hung", logging.WARNING)
        finally:
            await self._end(child, 0.0)
        head, _, webp = out.partition(b"\n")
        word = _decoded(_still_answers, head)
        if isinstance(word, Taken) and len(webp) == word.size_bytes:
            return CameraStill(self._clinic.clock.now().wall_ms, word.width, word.height, webp)
        if self._in_call():
            raise _busy()
        if isinstance(word, Refused):
            raise _refused(word)
        raise NotTaken("The camera of the centre gives no picture. Look at its cable.", code="clip_no_camera")

    async def stop(self, visit_id: str, recording_id: str, staff_id: str) -> Attached:
        """End a recording; its clip is attached when this comes back. Raises NotFound, Refused, CommandRefused."""
        name = _Name(visit_id, recording_id)
        task = self._making.get(name)
        if task is None:
            left = await self._left(name, "", staff_id)
            if left is None:
                raise NotFound("Nothing is being recorded under this name.")
            return left
        child = self._recording
        if child is not None and child.stdin is not None and self._recording_of == name:
            child.stdin.close()
            self._recording_of = None  # the camera is free in a moment; what is left is making it small
        return await asyncio.shield(task)

    async def release(self) -> None:
        """A call takes the camera: what is being recorded is lost, what has ended is not."""
        child = self._recording
        if child is not None and self._recording_of is not None:
            await self._end(child, 0.0)

    async def cancel(self, visit_id: str, recording_id: str) -> None:
        """Forget a recording. One that is being attached already is not stopped."""
        child = self._recording
        if child is not None and self._recording_of == _Name(visit_id, recording_id) and child.returncode is None:
            child.kill()

    async def _recorded(self, child: asyncio.subprocess.Process, name: _Name, staff_id: str) -> Attached:
        try:
            assert child.stdout is not None
            out = await asyncio.wait_for(child.stdout.read(), RECORDED_MOST_S + MOST_S)
        except TimeoutError:
            out = b""
        finally:
            await self._end(child)
        return await self._attach(name, _clip_of(out), "", staff_id)

    async def _end(self, child: asyncio.subprocess.Process, grace_s: float = GONE_MOST_S) -> None:
        try:  # one that has said everything goes by itself
            await asyncio.wait_for(child.wait(), grace_s)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                child.kill()
            await child.wait()
        if self._recording is child:
            self._recording, self._recording_of = None, None

    def _forget(self, name: _Name, task: "asyncio.Task[Attached]") -> None:
        self._making.pop(name, None)
        if not task.cancelled() and task.exception() is not None:
            say(logger, "clip_not_made", logging.WARNING, why=type(task.exception()).__name__)

    async def _make(self, name: _Name, caption: str, staff_id: str) -> Attached:
        left = await self._left(name, caption, staff_id)
        if left is None:
            async with self._one:
                content = await self._media.content(name.visit_id, name.recording_id)
                left = await self._attach(name, await self._encode(content), caption, staff_id)
        await self._drop(name.visit_id, name.recording_id)
        return left

    async def _attach(self, name: _Name, clip: _Clip, caption: str, staff_id: str) -> Attached:
        made, preview, content = clip
        await self._keep(name, Purpose.PREVIEW, preview)
        await self._keep(name, Purpose.CLIP, content)
        faults.point("clip.kept")
        attached = await self._command(name, caption, staff_id)
        say(logger, "clip_made", took_s=made.took_s, tries=made.tries, clip_bytes=len(content))
        return attached

    async def _left(self, name: _Name, caption: str, staff_id: str) -> Attached | None:
        """The clip of a recording that was attached before, or that a node which died left ready to be attached."""
        try:
            return await self._command(name, caption, staff_id)
        except CommandRefused as error:
            if error.refusal.code in _NOT_HERE:
                return None
            raise

    async def _command(self, name: _Name, caption: str, staff_id: str) -> Attached:
        """Attach what lies under the ids of this recording; once. Raises CommandRefused, Refused, NotFound."""
        command = name.command(caption)
        reply = await self._clinic.command(command, staff_id)
        faults.point("clip.attached")
        await self._media.attached(reply.visit)

        def found(views: Views) -> tuple[Upload | None, Upload | None]:
            return views.media.upload(command.upload_id), views.media.upload(command.preview_upload_id)

        clip, preview = await self._clinic.store.read(found)
        if clip is None or clip.manifest is None or preview is None:
            raise NotTaken("This was taken back before. Take or record it anew.", code="media_removed")
        facts = clip.manifest.facts
        return Attached(clip.size_bytes, preview.size_bytes, facts.width_px, facts.height_px)

    async def _keep(self, name: _Name, purpose: Purpose, content: bytes) -> None:
        upload_id = name.drawn(purpose)
        await self._drop(name.visit_id, upload_id)  # the half of one that a node which died was keeping
        await self._media.begin(Upload(upload_id, name.visit_id, purpose, len(content), 0))
        for at in range(0, len(content), PART_MAX_BYTES):
            state = await self._media.put_part(name.visit_id, upload_id, at, content[at : at + PART_MAX_BYTES])
        if state.refusal is not None:
            raise NotTaken(state.refusal.message, code=state.refusal.code)

    async def _drop(self, visit_id: str, upload_id: str) -> None:
        with contextlib.suppress(NotFound):
            await self._media.drop(visit_id, upload_id)

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


def _decoded(answers: msgspec.json.Decoder[_W], line: bytes) -> _W | None:
    """The process's word; None when it died or talks nonsense."""
    try:
        return answers.decode(line)
    except msgspec.DecodeError:
        return None


def _busy() -> NotTaken:
    return NotTaken("The camera of the centre is in use. Try again after that.", code="clip_busy")


def _refused(word: Made | Refused | Recording | None) -> NotTaken:
    if isinstance(word, Refused):
        return NotTaken(word.refusal.message, code=word.refusal.code)
    say(logger, "clip_process_died", logging.WARNING)
    return NotTaken("The recording could not be made into a clip. Record it again.", code="clip_failed")


def _clip_of(out: bytes) -> _Clip:
    """Raises Refused."""
    head, _, rest = out.partition(b"\n")
    word = _decoded(_answers, head)
    if not isinstance(word, Made) or len(rest) != word.preview_bytes + word.clip_bytes:
        raise _refused(word)
    return word, rest[: word.preview_bytes], rest[word.preview_bytes :]
