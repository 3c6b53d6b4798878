"""Specialists in calls of a hub of two processes: one is asked by one call at a time, wherever it is."""

import asyncio
import threading
import time
from functools import partial

from sqlalchemy import Connection, Insert, text

from edge.media.call import Phase as CallPhase
from edge.model.errors import Refused
from hub.store.schema import calls
from hub.third_rows import Phase, Third

from .kit import new_id
from .test_rota_desk import OpenPage
from .test_thirds import specialist
from .test_together import PATIENCE_S, Pair, nats, pair

__all__ = ["nats", "pair"]


def running_call(call_id: str, visit_id: str, doctor_id: str, now_ms: int) -> dict[str, object]:
    """A row of a call that somebody took."""
    row: dict[str, object] = dict.fromkeys(("ended_ms", "held_ms", "video_s", "audio_s", "concealed_s", "frames"), 0)
    who = {"call_id": call_id, "visit_id": visit_id, "node_id": "00" * 8, "doctor_id": doctor_id}
    return {**row, **who, "phase": CallPhase.CONNECTING, "started_ms": now_ms, "ended_because": "", "mode": "text"}


def _do(insert: Insert, connection: Connection) -> None:
    connection.execute(insert)


def asking(call_id: str, visit_id: str, doctor_id: str) -> Third:
    return Third(new_id(), call_id, visit_id, "", doctor_id, "", "", "", "", "spoken", Phase.ASKING, 0)


async def test_two_calls_that_ask_at_two_processes_in_the_same_moment_do_not_ring_one_specialist(pair: Pair) -> None:
    first, second = pair.first.hub, pair.second.hub
    now_ms, asked = pair.first.clock.ms, []
    for name in ("asha", "anil", "bela"):
        await pair.first.add_doctor(name, f"Dr {name.title()}")
    await first.store.write(specialist("bela", now_ms))
    await OpenPage(pair.second, "bela").open()
    await pair.until(lambda: first.live.has_page("bela"))
    for name in ("asha", "anil"):
        call_id, visit_id = new_id(), new_id()
        insert = calls.insert().values(running_call(call_id, visit_id, name, now_ms))
        await first.store.write(partial(_do, insert))
        asked.append(asking(call_id, visit_id, name))

    together, waits = threading.Event(), text("SELECT count(*) FROM pg_locks WHERE NOT granted")
    other: list[asyncio.Task[Third]] = []

    def hold(connection: Connection) -> None:
        """Keeps the transaction of the first asking open until the other one waits for it, or has not waited."""
        patience_s = time.monotonic() + PATIENCE_S
        while time.monotonic() < patience_s and not connection.execute(waits).scalar():
            if other and other[0].done():
                return
            time.sleep(0.01)

    first.store.write_later(lambda connection: together.wait(PATIENCE_S))  # what comes meanwhile is one transaction
    one = asyncio.create_task(first.thirds.ask(asked[0]))
    await asyncio.sleep(0)
    held = first.store.write_later(hold)
    together.set()
    other.append(asyncio.create_task(second.thirds.ask(asked[1])))
    outcomes = await asyncio.gather(one, *other, return_exceptions=True)
    await asyncio.wrap_future(held)
    refused = [outcome for outcome in outcomes if isinstance(outcome, Refused)]
    assert [outcome.refusal.code for outcome in refused] == ["third_nobody"], outcomes
    assert [outcome.asked_id for outcome in outcomes if isinstance(outcome, Third)] == ["bela"]
