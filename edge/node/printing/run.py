"""One job over one line, until it is printed or the printer says why not. Policy is in :mod:`.escpos`."""

import asyncio
import contextlib
from collections.abc import Sequence

from .escpos import Job, Outcome
from .port import open_line


async def run_job(port: str, pieces: Sequence[bytes]) -> Outcome:
    """Print what :func:`~.escpos.job_of` gave; how it ended. Raises nothing of the line's."""
    loop = asyncio.get_running_loop()
    woken = asyncio.Event()
    job = Job(pieces, loop.time())

    def heard(answer: bytes) -> None:
        job.receive(answer, loop.time())
        woken.set()

    try:
        line = await open_line(port, heard)
    except (OSError, ValueError):
        return Outcome.NO_PRINTER
    writing: asyncio.Task[None] | None = None
    try:
        while job.outcome is None:
            woken.clear()
            if writing is None and (out := job.bytes_to_send()):
                writing = asyncio.create_task(line.write(out))
                writing.add_done_callback(lambda _: woken.set())
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(woken.wait(), max(0.0, job.timer() - loop.time()))
            if writing is not None and writing.done():
                writing.result()
                writing = None
                job.sent(loop.time())
            job.expire(loop.time())
        return job.outcome
    except OSError:
        return Outcome.NO_PRINTER
    finally:
        if writing is not None:
            writing.cancel()
            with contextlib.suppress(asyncio.CancelledError, OSError):
                await writing
        await line.close()
