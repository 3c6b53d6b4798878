"""The call process as the node sees it: lines in, lines out, and an end in every case."""

import asyncio
import json
import os
import signal
import sys
import time
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.media.process import CallProcess
from edge.media.signals import (
    Answer,
    CallEnded,
    CallError,
    CallStats,
    Candidate,
    EndCall,
    FromCall,
    GoOn,
    IceServer,
    LanOffer,
    Offer,
    StartCall,
    ToCall,
)

CALL_ID = "0123456789abcdef"


class Heard:
    """Keeps what a process says and lets a test wait for a kind of message."""

    def __init__(self) -> None:
        self.messages: list[FromCall] = []
        self._news = asyncio.Condition()

    async def __call__(self, message: FromCall) -> None:
        async with self._news:
            self.messages.append(message)
            self._news.notify_all()

    async def wait_for(self, kind: type[FromCall]) -> FromCall:
        """The first message of this kind."""
        async with asyncio.timeout(15), self._news:
            await self._news.wait_for(lambda: any(isinstance(message, kind) for message in self.messages))
        return next(message for message in self.messages if isinstance(message, kind))


@given(
    st.sampled_from(["test", "tablet", "file:/a b", "v4l2:/dev/video0"]),
    st.integers(0, 50),
    st.lists(
        st.builds(IceServer, st.tuples(st.text(max_size=20)), st.text(max_size=9), st.text(max_size=9)), max_size=2
    ),
)
def test_messages_survive_the_pipe(camera: str, attempt: int, servers: list[IceServer]) -> None:
    messages: list[ToCall] = [
        StartCall(CALL_ID, camera, tuple(servers), attempt),
        LanOffer("v=0\r\n", "tablet"),
        Answer(CALL_ID, "v=0\r\n", attempt),
        Candidate(CALL_ID, "", 0, attempt),
        EndCall(),
    ]
    for message in messages:
        line = msgspec.json.encode(message)
        assert b"\n" not in line
        assert msgspec.json.decode(line, type=ToCall) == message


async def test_a_process_offers_and_ends_when_it_is_told_to() -> None:
    heard = Heard()
    process = await CallProcess.start(StartCall(CALL_ID, "test", attempt=3), heard)
    offer = await heard.wait_for(Offer)
    assert isinstance(offer, Offer)
    assert offer.attempt == 3
    assert "a=ptime:60" in offer.sdp and len(offer.sdp) < 4_000
    began_s = time.monotonic()
    await process.stop("hangup")
    assert time.monotonic() - began_s < 3
    assert heard.messages[-1].reason == "hangup" if isinstance(heard.messages[-1], CallEnded) else False
    assert not process.running


async def test_a_killed_process_is_reported_once_as_crashed() -> None:
    heard = Heard()
    process = await CallProcess.start(StartCall(CALL_ID, "test"), heard)
    await heard.wait_for(Offer)
    process.kill()
    ended = await heard.wait_for(CallEnded)
    assert isinstance(ended, CallEnded) and ended.reason == "crashed"
    await process.send(EndCall())
    await process.stop()
    assert sum(isinstance(message, CallEnded) for message in heard.messages) == 1


@pytest.mark.parametrize(
    "camera", ["nonsense", "file:/no/such/file", "v4l2:/dev/video987", "v4l2:/etc/passwd", "test:x"]
)
async def test_a_camera_that_is_not_there_is_refused_and_ends_the_process(camera: str) -> None:
    heard = Heard()
    await CallProcess.start(StartCall(CALL_ID, camera), heard)
    ended = await heard.wait_for(CallEnded)
    assert isinstance(ended, CallEnded) and ended.reason == "no_camera"
    error = await heard.wait_for(CallError)
    assert isinstance(error, CallError)
    assert (error.refusal.code, error.refusal.field) == ("bad_input", "camera")
    assert "/no/such" not in error.refusal.message


async def _raw_process() -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "edge.media", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )


async def test_garbage_on_stdin_gets_a_typed_refusal_and_the_process_goes_on() -> None:
    child = await _raw_process()
    assert child.stdin is not None and child.stdout is not None
    garbage = [
        b"",
        b"not json",
        b"\xff\xfe\x00",
        b"{}",
        b'{"type":"dance"}',
        b'{"type":"answer","call_id":"0123456789abcdef","sdp":"v=0"}',
        b'{"type":"start_call","call_id":"x","camera":"test"}',
        b"[" * 5_000,
        b"x" * 400_000,
    ]
    for line in garbage:
        child.stdin.write(line + b"\n")
    await child.stdin.drain()
    child.stdin.write(b'{"type":"end_call","reason":"done"}\n')
    lines = (await asyncio.wait_for(child.stdout.read(), 15)).splitlines()
    answers = [json.loads(line) for line in lines]
    assert [answer["type"] for answer in answers[:-1]] == ["call_error"] * (len(answers) - 1)
    assert len(answers) >= len(garbage)
    assert all(answer["refusal"]["code"] == "bad_input" for answer in answers[:-1])
    assert answers[-1]["type"] == "call_ended" and answers[-1]["reason"] == "done"
    assert await asyncio.wait_for(child.wait(), 3) == 0


async def test_a_bad_answer_in_a_running_call_is_refused_and_the_call_goes_on() -> None:
    heard = Heard()
    process = await CallProcess.start(StartCall(CALL_ID, "test"), heard)
    await heard.wait_for(Offer)
    await process.send(Answer(CALL_ID, "this is no sdp"))
    await process.send(LanOffer("neither is this", "tablet"))
    await process.send(Candidate(CALL_ID, "candidate: nonsense"))
    error = await heard.wait_for(CallError)
    assert isinstance(error, CallError) and error.refusal.code == "bad_input"
    assert process.running
    await process.stop()
    assert sum(isinstance(message, CallError) for message in heard.messages) == 2


async def test_a_process_whose_node_died_ends_by_itself() -> None:
    child = await _raw_process()
    assert child.stdin is not None and child.stdout is not None
    child.stdin.write(msgspec.json.encode(StartCall(CALL_ID, "test")) + b"\n")
    await child.stdin.drain()
    async with asyncio.timeout(15):
        while not isinstance(msgspec.json.decode(await child.stdout.readline(), type=FromCall), Offer):
            pass
    child.stdin.close()
    assert await asyncio.wait_for(child.wait(), 5) == 0
    with pytest.raises(ProcessLookupError):
        os.kill(child.pid, 0)


NODE_IN_SHORT = f"""
import asyncio, sys
from edge.media.process import CallProcess
from edge.media.signals import Offer, StartCall

async def run():
    async def heard(message):
        if isinstance(message, Offer):
            print(process.pid, flush=True)
    process = await CallProcess.start(StartCall("{CALL_ID}", "test"), heard)
    await asyncio.Event().wait()

asyncio.run(run())
"""


@pytest.mark.parametrize("hangs", [False, True])
async def test_a_process_does_not_outlive_a_node_that_is_killed_even_when_it_hangs(hangs: bool) -> None:
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", NODE_IN_SHORT, stdout=asyncio.subprocess.PIPE, cwd=Path(__file__).parents[2]
    )
    assert parent.stdout is not None
    pid = int(await asyncio.wait_for(parent.stdout.readline(), 20))
    if hangs:
        os.kill(pid, signal.SIGSTOP)
    parent.kill()
    await parent.wait()
    deadline_s = time.monotonic() + 3
    while _is_alive(pid):
        assert time.monotonic() < deadline_s, "the call process keeps camera and memory"
        await asyncio.sleep(0.05)


def _is_alive(pid: int) -> bool:
    """Whether the process runs; one that waits to be reaped by init does not."""
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False


async def test_a_held_process_makes_its_offer_but_opens_the_camera_only_when_the_call_is_taken() -> None:
    heard = Heard()
    process = await CallProcess.start(StartCall(CALL_ID, "file:/no/such/file", held=True), heard)
    await heard.wait_for(Offer)
    await heard.wait_for(CallStats)
    assert not any(isinstance(message, CallEnded) for message in heard.messages)
    await process.send(GoOn())
    ended = await heard.wait_for(CallEnded)
    assert isinstance(ended, CallEnded) and ended.reason == "no_camera"
