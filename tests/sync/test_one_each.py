"""Two tasks are never at one key, tasks of other keys do not wait, and no key is remembered for ever."""

import asyncio
import contextlib

from hypothesis import given, settings
from hypothesis import strategies as st

from edge.sync.one_each import OneEach

Visit = tuple[int, int, int, bool]
"""Key, when it comes and how long it stays (turns of the loop), whether it is called off."""
VISITS = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 6), st.integers(0, 3), st.booleans()), max_size=12)


async def _pause(turns: int) -> None:
    for _ in range(turns):
        await asyncio.sleep(0)


@settings(max_examples=300)
@given(VISITS)
def test_whoever_comes_and_goes_one_is_at_a_key(visits: list[Visit]) -> None:
    async def scene() -> None:
        each: OneEach[int] = OneEach()
        inside: dict[int, int] = {}

        async def visit(key: int, at: int, turns: int) -> None:
            await _pause(at)
            async with each.turn(key):
                inside[key] = inside.get(key, 0) + 1
                assert inside[key] == 1
                await _pause(turns)
                inside[key] -= 1

        tasks = [asyncio.create_task(visit(key, at, turns)) for key, at, turns, _ in visits]
        await _pause(4)
        for task, (_, _, _, called_off) in zip(tasks, visits, strict=True):
            if called_off and not any(inside.values()):
                task.cancel()
        for task in tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task
        assert len(each) == 0

    asyncio.run(scene())


async def test_another_key_does_not_wait() -> None:
    each: OneEach[str] = OneEach()
    async with each.turn("a"), asyncio.timeout(1), each.turn("b"):
        assert len(each) == 2
