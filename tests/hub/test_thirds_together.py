"""Specialists in calls of a hub of two processes: one is asked by one call at a time, and comes from the other one."""

import asyncio
import threading
import time
from pathlib import Path
from typing import Any

import pyotp
from sqlalchemy import Connection, text

from edge.media.call import Phase as CallPhase
from edge.media.signals import Accept, Answer, Bye, Candidate, Offer, Report, Ring
from edge.model.errors import Refused
from hub import doctors
from hub.config import Settings
from hub.keys import load_keys
from hub.store.engine import Store
from hub.store.schema import calls
from hub.third_rows import Phase, Third
from tests.kits.clinic import free_port
from tests.kits.nats import Nats
from tests.kits.postgres import Postgres

from .home_kit import Telephone
from .kit import PASSWORD, HubKit, Page, new_id
from .test_home_together import Process, made_with_a_doctor, until
from .test_live import SDP, connect, hear, say
from .test_rota_desk import OpenPage
from .test_thirds import specialist
from .test_together import PATIENCE_S, Pair, nats, pair

__all__ = ["nats", "pair"]


async def begun(kit: HubKit, doctor_id: str) -> tuple[str, str]:
    """A call of a doctor that somebody took, and its visit."""
    call_id, visit_id = new_id(), new_id()
    row: dict[str, object] = dict.fromkeys(("ended_ms", "held_ms", "video_s", "audio_s", "concealed_s", "frames"), 0)
    row |= {"call_id": call_id, "visit_id": visit_id, "node_id": "00" * 8, "doctor_id": doctor_id}
    row |= {"phase": CallPhase.CONNECTING, "started_ms": kit.clock.ms, "ended_because": "", "mode": "text"}
    await kit.hub.store.write(lambda connection: connection.execute(calls.insert().values(row)) and None)
    return call_id, visit_id


def asking(call_id: str, visit_id: str, doctor_id: str) -> Third:
    return Third(new_id(), call_id, visit_id, "", doctor_id, "", "", "", "", "spoken", Phase.ASKING, 0)


async def test_two_calls_that_ask_at_two_processes_in_the_same_moment_do_not_ring_one_specialist(pair: Pair) -> None:
    first, second = pair.first.hub, pair.second.hub
    for name in ("asha", "anil", "bela"):
        await pair.first.add_doctor(name, f"Dr {name.title()}")
    await first.store.write(specialist("bela", pair.first.clock.ms))
    await OpenPage(pair.second, "bela").open()
    await pair.until(lambda: first.live.has_page("bela"))
    asked = [asking(*await begun(pair.first, name), name) for name in ("asha", "anil")]

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


def made_with_specialist(settings: Settings) -> dict[str, str]:
    """A hub on the disk with a doctor and a specialist; their authenticators' secrets. Blocking."""
    found = {"asha": made_with_a_doctor(settings)}
    keys, store, now_ms = load_keys(settings.data), Store(settings.database), time.time_ns() // 1_000_000
    bela = doctors.Doctor("bela", "Dr Bela", "12345 MCI", "MBBS", "044-555")
    found["bela"] = store.write_now(lambda connection: doctors.add_doctor(connection, keys, bela, PASSWORD, now_ms))
    store.write_now(specialist("bela", now_ms))
    store.close()
    return found


async def logged_in(process: Process, user: str, totp: str) -> Page:
    page = Page(process)  # type: ignore[arg-type]
    body = {"user": user, "password": PASSWORD, "totp": pyotp.TOTP(totp).now()}
    reply = await page.call("POST", "/api/login", body)
    assert reply.status == 200, await reply.text()
    page.csrf = (await reply.json())["csrf"]
    return page


async def test_a_specialist_at_another_process_comes_into_a_call_and_both_browsers_find_each_other(
    tmp_path: Path, postgres: Postgres, migrated: str, nats: Nats
) -> None:
    """Two processes of the operating system: patient and doctor at one, the specialist at the other."""
    settings = Settings(tmp_path / "hub", database=postgres.database(migrated), nats=nats.url)
    totp = await asyncio.to_thread(made_with_specialist, settings)
    ports = (free_port(), free_port())
    processes = [Process(name, tmp_path, settings, ports) for name in ("doctors", "specialists")]
    try:
        for process in processes:
            await asyncio.to_thread(process.start)
            process.open()
        hers, other = processes
        patient = Telephone(hers)  # type: ignore[arg-type]
        assert (await patient.ask()).status == 200
        assert (await patient.prove(await hers.code())).status == 200
        visit_id = await patient.waiting()
        page, asked_page = await logged_in(hers, "asha", totp["asha"]), await logged_in(other, "bela", totp["bela"])
        telephone = await patient.live()
        doctor, bela = await connect(hers, page), await connect(other, asked_page)  # type: ignore[arg-type]
        call_id, third_id = new_id(), new_id()
        await doctor.send_str(say(Ring(call_id, visit_id)))
        await hear(telephone, "ring")
        await telephone.send_str(say(Offer(call_id, SDP)))
        await hear(doctor, "offer")

        async def someone_is_there() -> bool:
            people: Any = (await page.get("/api/specialists"))["items"]
            return [(one["doctor_id"], one["here"]) for one in people] == [("bela", True)]

        await until(someone_is_there)  # the processes tell each other whose pages they hold
        body = {"third_id": third_id, "call_id": call_id, "agreed": "spoken"}
        reply = await page.call("POST", f"/api/visits/{visit_id}/thirds", body)
        assert reply.status == 200, await reply.text()
        await hear(bela, "third")
        assert (await asked_page.call("POST", f"/api/thirds/{third_id}/accept")).status == 200
        await hear(doctor, "third")
        await bela.send_str(say(Accept(third_id)))
        assert (await hear(doctor, "accept"))["call_id"] == third_id
        await doctor.send_str(say(Offer(third_id, SDP)))
        assert (await hear(bela, "offer"))["sdp"] == SDP
        await bela.send_str(say(Answer(third_id, "v=0")))
        assert (await hear(doctor, "answer"))["sdp"] == "v=0"
        for ends in ((doctor, bela), (bela, doctor)):
            await ends[0].send_str(say(Candidate(third_id, "candidate:1")))
            assert (await hear(ends[1], "candidate"))["candidate"] == "candidate:1"
        record: Any = await asked_page.get(f"/api/visits/{visit_id}")
        assert record["visit"]["visit_id"] == visit_id, "with the patient's record before her"
        await bela.send_str(say(Report(third_id, 0.01, 0.01, 0.0, 1)))
        await bela.send_str(say(Bye(third_id, "hangup")))

        async def left() -> bool:
            seen: Any = (await page.get(f"/api/visits/{visit_id}"))["visit"]
            return [(one["because"], one["audio_s"]) for one in seen["thirds"]] == [("left", 0.01)]

        await until(left)
        assert (await page.get("/api/thirds"))["items"] == []
        third_id = new_id()
        reply = await page.call("POST", f"/api/visits/{visit_id}/thirds", {**body, "third_id": third_id})
        assert reply.status == 200, await reply.text()
        assert (await asked_page.call("POST", f"/api/thirds/{third_id}/accept")).status == 200
        await doctor.send_str(say(Bye(call_id, "hangup")))

        async def over() -> bool:
            return not (await asked_page.get("/api/thirds"))["items"]

        await until(over)  # whichever process leads saw that the call is over
        for socket in (doctor, bela, telephone):
            await socket.close()
    finally:
        for process in processes:
            await process.close()
