"""Work that is done again and again: a failure ends nothing, the end is waited for, and it can begin anew."""

import asyncio
import logging

import pytest

from edge.web.often import Often

logger = logging.getLogger("tests.often")


async def test_a_time_that_fails_is_logged_and_the_next_one_comes(caplog: pytest.LogCaptureFixture) -> None:
    times: list[int] = []
    third = asyncio.Event()

    async def work() -> None:
        times.append(len(times))
        if times == [0]:
            raise OSError("the disk is full")
        if len(times) == 3:
            third.set()

    often = Often(work, 0.0, logger, "not kept")
    often.start()
    await asyncio.wait_for(third.wait(), 5)
    await often.stop()
    assert [record.message for record in caplog.records if record.name == logger.name] == ["not kept"]
    third.clear()
    times.clear()
    await asyncio.sleep(0)
    assert times == [], "nobody works after the end"
    often.start()
    await asyncio.wait_for(third.wait(), 5)
    await often.stop()


async def test_work_that_waits_is_ended_in_the_middle() -> None:
    began, ended = asyncio.Event(), []

    async def work() -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    often = Often(work, 60.0, logger, "not done")
    often.start()
    await asyncio.wait_for(began.wait(), 5)
    await often.stop()
    assert ended == [True]
