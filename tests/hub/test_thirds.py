"""Three-way calls at the hub: who is asked, who comes, what passes between the two browsers, and what is written."""

from collections.abc import Callable

import msgspec
from aiohttp import ClientWebSocketResponse
from sqlalchemy import Connection, select

from edge.media.signals import Accept, Answer, Bye, Candidate, Offer, Report, Ring
from edge.model import events as ev
from hub import review
from hub.store.schema import audit, calls
from hub.thirds import ASK_S, LOST_S

from .kit import HubKit, NodeKit, Page, new_id
from .test_live import SDP, connect, hear, ready, say


def specialist(person_id: str, now_ms: int) -> Callable[[Connection], None]:
    """Gives somebody the role."""
    return lambda connection: review.give_role(connection, person_id, "specialist", now_ms)


class Room:
    """A call of Dr Asha's that runs, and two specialists with a page each."""

    def __init__(self, kit: HubKit, node: NodeKit, page: Page, visit_id: str) -> None:
        self.kit, self.node, self.page, self.visit_id = kit, node, page, visit_id
        self.call_id, self.third_id = new_id(), new_id()
        self.pages: dict[str, Page] = {}
        self.sockets: dict[str, ClientWebSocketResponse] = {}

    async def begin(self) -> "Room":
        kit = self.kit
        await self.node.until(lambda: kit.hub.link.online(self.node.node_id))
        self.sockets["asha"] = await connect(kit, self.page)
        await self.sockets["asha"].send_str(say(Ring(self.call_id, self.visit_id)))
        await self.node.until(lambda: len(self.node.signals) == 1)
        await kit.hub.live.from_node(self.node.keys.node_id, msgspec.msgpack.encode(Accept(self.call_id, "Meena")))
        await hear(self.sockets["asha"], "accept")
        for name in ("bela", "chand"):
            await kit.add_doctor(name, f"Dr {name.title()}")
            await kit.hub.store.write(specialist(name, kit.clock.ms))
            self.pages[name] = await kit.login(name)
            self.sockets[name] = await connect(kit, self.pages[name])
        return self

    async def ask(self, status: int = 200, **more: str) -> dict[str, object]:
        body = {"third_id": self.third_id, "call_id": self.call_id, "agreed": "spoken", **more}
        reply = await self.page.call("POST", f"/api/visits/{self.visit_id}/thirds", body)
        assert reply.status == status, await reply.text()
        found: dict[str, object] = await reply.json()
        return found

    async def answers(self, name: str, what: str) -> int:
        page = self.page if name == "asha" else self.pages[name]
        return (await page.call("POST", f"/api/thirds/{self.third_id}/{what}")).status

    async def asked(self, name: str) -> list[dict[str, object]]:
        page = self.page if name == "asha" else self.pages[name]
        found = (await page.get("/api/thirds"))["items"]
        assert isinstance(found, list)
        return found

    async def says(self, name: str, signal: object) -> None:
        await self.sockets[name].send_str(msgspec.json.encode(signal).decode())

    def told(self, kind: type[ev.ThirdJoined] | type[ev.ThirdLeft]) -> list[object]:
        return [one for one in self.node.said_by_hub() if isinstance(one, kind)]


async def room(kit: HubKit) -> Room:
    return await Room(kit, *await ready(kit)).begin()


async def test_a_specialist_comes_into_a_call_the_two_browsers_find_each_other_and_the_node_is_told_who_came(
    kit: HubKit,
) -> None:
    here = await room(kit)
    people = await here.page.get("/api/specialists")
    assert [one["doctor_id"] for one in people["items"]] == ["bela", "chand"]  # type: ignore[attr-defined]
    asked = await here.ask(specialist_id="chand")
    assert (asked["phase"], asked["specialist"]["name"]) == ("asking", "Dr Chand")  # type: ignore[index]
    assert await here.ask(specialist_id="chand") == asked, "a repeated request asks nobody twice"
    assert await here.asked("bela") == []
    assert [one["visit_id"] for one in await here.asked("chand")] == [here.visit_id]
    assert await here.answers("bela", "accept") == 404
    assert await here.answers("chand", "accept") == 200
    await here.node.until(lambda: bool(here.told(ev.ThirdJoined)))
    (joined,) = here.told(ev.ThirdJoined)
    assert isinstance(joined, ev.ThirdJoined)
    assert (joined.doctor_id, joined.name, joined.registration, joined.agreed) == (
        *("asha", "Dr Chand"),
        (await kit.hub.desk.doctor("chand")).registration,
        "spoken",
    )

    await here.says("chand", Accept(here.third_id))
    assert (await hear(here.sockets["asha"], "accept"))["call_id"] == here.third_id
    await here.says("asha", Offer(here.third_id, SDP))
    assert (await hear(here.sockets["chand"], "offer"))["sdp"] == SDP
    await here.says("chand", Answer(here.third_id, "v=0"))
    assert (await hear(here.sockets["asha"], "answer"))["sdp"] == "v=0"
    await here.says("asha", Candidate(here.third_id, "candidate:1"))
    assert (await hear(here.sockets["chand"], "candidate"))["candidate"] == "candidate:1"

    kit.clock.pass_s(60)
    await here.says("chand", Report(here.third_id, 30.0, 5_000.0, 0.5, 300))
    await here.says("chand", Bye(here.third_id, "hangup"))
    await here.node.until(lambda: bool(here.told(ev.ThirdLeft)))
    (left,) = here.told(ev.ThirdLeft)
    assert isinstance(left, ev.ThirdLeft)
    assert (left.because, left.video_s) == ("left", 30.0)
    assert 60 <= left.audio_s < 100, "no longer than she was in it, whatever her page says"
    record = (await here.page.get(f"/api/visits/{here.visit_id}"))["visit"]
    assert record["thirds"][0]["because"] == "left"  # type: ignore[index]
    lines = await kit.hub.store.read(lambda connection: connection.execute(select(audit)).all())
    about = [
        (one.actor, one.action) for one in lines if one.action.startswith("third") and one.subject == here.visit_id
    ]
    assert about == [("asha", "third_asked"), ("chand", "third_joined"), ("chand", "third_left")]


async def test_who_declines_or_does_not_answer_is_passed_over_and_the_doctor_hears_when_nobody_is_left(
    kit: HubKit,
) -> None:
    here = await room(kit)
    asked = await here.ask()
    assert asked["specialist"]["doctor_id"] == "bela"  # type: ignore[index]
    assert await here.answers("bela", "decline") == 204
    assert await here.answers("bela", "accept") == 409, "the next one is asked now"
    assert [one["specialist"]["doctor_id"] for one in await here.asked("asha")] == ["chand"]  # type: ignore[index]
    await kit.hub.thirds.look()
    kit.clock.pass_s(ASK_S + 1)
    await kit.hub.thirds.look()
    assert await here.asked("asha") == []
    assert await here.answers("chand", "accept") == 409
    assert here.told(ev.ThirdJoined) == []
    here.third_id = new_id()
    assert (await here.ask(409, speciality="cardiology"))["code"] == "third_nobody"


async def test_whoever_is_away_too_long_is_out_and_the_end_of_the_call_ends_it_for_her_too(kit: HubKit) -> None:
    here = await room(kit)
    await here.ask()
    assert await here.answers("bela", "accept") == 200
    here_again = here.third_id
    here.third_id = new_id()
    assert (await here.ask(409))["code"] == "third_already"
    here.third_id = here_again
    await here.sockets["bela"].close()
    await here.node.until(lambda: not kit.hub.live.has_page("bela"))
    await kit.hub.thirds.look()
    assert await here.asked("bela"), "a reload takes some seconds"
    kit.clock.pass_s(LOST_S + 1)
    await kit.hub.thirds.look()
    await here.node.until(lambda: bool(here.told(ev.ThirdLeft)))
    assert [one.because for one in here.told(ev.ThirdLeft) if isinstance(one, ev.ThirdLeft)] == ["lost"]

    here.third_id = new_id()
    await here.ask(specialist_id="chand", agreed="emergency")
    assert await here.answers("chand", "accept") == 200
    await here.says("asha", Bye(here.call_id, "hangup"))
    await hear(here.sockets["asha"], "queue")
    await here.node.until(lambda: not kit.hub.link.signals.qsize())
    while await kit.hub.store.read(
        lambda connection: connection.execute(select(calls.c.phase).where(calls.c.call_id == here.call_id)).scalar()
    ) != ("ended"):
        await here.node.step()
    await kit.hub.thirds.look()
    await here.node.until(lambda: len(here.told(ev.ThirdLeft)) == 2)
    assert await here.asked("chand") == []


async def test_nobody_is_asked_into_anothers_call_and_a_specialist_signs_nothing_there(kit: HubKit) -> None:
    here = await room(kit)
    body = {"third_id": new_id(), "call_id": here.call_id, "agreed": "spoken"}
    reply = await here.pages["bela"].call("POST", f"/api/visits/{here.visit_id}/thirds", body)
    assert (reply.status, (await reply.json())["code"]) == (409, "third_no_call")
    await here.ask(specialist_id="bela")
    assert (await here.pages["chand"].call("POST", f"/api/thirds/{here.third_id}/end")).status == 404
    await here.says("bela", Offer(here.third_id, SDP))  # of a leg that has not begun
    assert await here.answers("bela", "accept") == 200
    await here.says("bela", Offer(here.third_id, SDP))
    assert (await hear(here.sockets["bela"], "refused"))["code"] == "call_unknown"
    await here.says("chand", Candidate(here.third_id, "candidate:9"))
    assert (await hear(here.sockets["chand"], "refused"))["code"] == "call_unknown"
    taken = await here.pages["bela"].call("POST", f"/api/visits/{here.visit_id}/take")
    assert (taken.status, (await taken.json())["code"]) == (409, "visit_taken")
    assert await here.answers("asha", "end") == 204
    await here.node.until(lambda: bool(here.told(ev.ThirdLeft)))
    assert [one.because for one in here.told(ev.ThirdLeft) if isinstance(one, ev.ThirdLeft)] == ["sent_away"]


async def test_who_was_passed_over_cannot_end_the_leg_of_the_one_who_came(kit: HubKit) -> None:
    here = await room(kit)
    await here.ask()
    assert await here.answers("bela", "decline") == 204
    assert await here.answers("chand", "accept") == 200
    assert await here.answers("bela", "end") == 204
    assert [one["phase"] for one in await here.asked("chand")] == ["joined"]
    assert here.told(ev.ThirdLeft) == []


async def test_a_specialist_in_a_call_of_her_own_comes_into_no_other(kit: HubKit) -> None:
    """Her own call began while she was being asked: her patient would have heard the other one."""
    here = await room(kit)
    await here.ask(specialist_id="bela")

    def begin_own(connection: Connection) -> None:
        row = connection.execute(select(calls).where(calls.c.call_id == here.call_id)).one()
        connection.execute(calls.insert().values({**row._asdict(), "call_id": new_id(), "doctor_id": "bela"}))

    await kit.hub.store.write(begin_own)
    reply = await here.pages["bela"].call("POST", f"/api/thirds/{here.third_id}/accept")
    assert (reply.status, (await reply.json())["code"]) == (409, "third_own_call")
    assert here.told(ev.ThirdJoined) == []
    await kit.hub.store.write(lambda c: c.execute(calls.delete().where(calls.c.doctor_id == "bela")))
    assert await here.answers("bela", "accept") == 200
