"""A page hears a beat when there is nothing to say, and nothing that was to be said is lost to one."""

import asyncio

from edge.web.beat import BEAT, next_or_beat


async def test_what_waits_is_said_at_once() -> None:
    waiting: asyncio.Queue[str] = asyncio.Queue()
    waiting.put_nowait("a")
    assert await next_or_beat(waiting, 60.0) == "a"


async def test_silence_is_broken_by_a_beat_and_loses_nothing() -> None:
    waiting: asyncio.Queue[str] = asyncio.Queue()
    said: list[str] = []

    async def speak() -> None:
        for number in range(60):
            waiting.put_nowait(str(number))
            await asyncio.sleep(0.003 if number % 3 else 0.0)

    speaker = asyncio.create_task(speak())
    while not speaker.done() or not waiting.empty():
        said.append(await next_or_beat(waiting, 0.002))
    assert [one for one in said if one != BEAT] == [str(number) for number in range(60)]
    assert await next_or_beat(waiting, 0.0) == BEAT
