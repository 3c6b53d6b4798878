"""A hub that serves patients at home, and a patient's telephone: its browser and the messages that came."""

import asyncio
import json
import time
from collections.abc import Mapping
from io import StringIO
from typing import Any

import msgspec
from aiohttp import ClientResponse, ClientWebSocketResponse

from edge.model.records import VisitState
from hub.rota import store as kept
from hub.rota.hours import Hours, Shift

from .kit import PATIENCE_S, HubKit, Page, new_id

MOBILE = "5550123456"
ALWAYS = Hours(tuple(Shift(weekday, 0, 24 * 60) for weekday in range(7)))
PERSON: dict[str, object] = {
    "name": "सीता देवी",
    "gender": "female",
    "village": "नमूनापुर",
    "age": {"value": 34, "unit": "years"},
    "language": "hi",
}


def messages(kit: HubKit) -> list[dict[str, str]]:
    """All messages that left the hub so far."""
    assert isinstance(kit.messages, StringIO)
    return [json.loads(line) for line in kit.messages.getvalue().splitlines()]


async def sent(kit: HubKit, kind: str, number: str = MOBILE) -> list[str]:
    """Texts of one kind to one number, once what is being sent has left."""
    home = kit.hub.home
    assert home is not None
    await home.calls.settled()
    await home.desk.sent()
    return [one["text"] for one in messages(kit) if (one["kind"], one["to"]) == (kind, number)]


async def sent_soon(kit: HubKit, kind: str, number: str = MOBILE, *, more_than: int = 0) -> list[str]:
    """As :func:`sent`, once there are more than so many; the hub looks once a second."""
    patience_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < patience_s:
        assert kit.hub.home is not None
        await kit.hub.home.calls.look()
        found = await sent(kit, kind, number)
        if len(found) > more_than:
            return found
        await asyncio.sleep(0.05)
    raise AssertionError(f"no message {kind}")


def code_in(text: str) -> str:
    """The code of a message: six digits or more."""
    return next(word for word in text.split() if word.isdigit() and len(word) >= 6)


def only(reply: dict[str, object], name: str) -> dict[str, Any]:
    """The one thing in a list of a reply."""
    found = reply[name]
    assert isinstance(found, list)
    (one,) = found
    assert isinstance(one, dict)
    return one


async def always_open(kit: HubKit) -> None:
    await kit.hub.store.write(lambda connection: kept.put_hours(connection, ALWAYS))
    await kit.hub.rota.reload()


class Telephone(Page):
    """A patient's browser."""

    def __init__(self, kit: HubKit, number: str = MOBILE) -> None:
        super().__init__(kit)
        self.kit = kit
        self.number = number

    async def ask(self) -> ClientResponse:
        return await self.call("POST", "/home/api/code", {"mobile": self.number})

    async def code(self) -> str:
        """Ask for a code, and read it from the message."""
        assert (await self.ask()).status == 200
        text = (await sent(self.kit, "code", self.number))[-1]
        return code_in(text)

    async def prove(self, proof: str) -> ClientResponse:
        reply = await self.call("POST", "/home/api/login", {"mobile": self.number, "proof": proof})
        if reply.status == 200:
            self.csrf = (await reply.json())["csrf"]
        return reply

    async def login(self) -> "Telephone":
        assert (await self.prove(await self.code())).status == 200
        return self

    async def say(self, kind: str, **fields: object) -> ClientResponse:
        """Give a command."""
        return await self.call("POST", "/home/api/commands", {"type": kind, "command_id": new_id(), **fields})

    async def done(self, kind: str, **fields: object) -> None:
        reply = await self.say(kind, **fields)
        assert reply.status == 204, await reply.text()

    async def register(self, person: Mapping[str, object] = PERSON) -> str:
        patient_id = new_id()
        await self.done("register_patient", patient_id=patient_id, person={**person, "mobile": self.number})
        return patient_id

    async def visit(self, patient_id: str = "", present: tuple[str, ...] = ()) -> str:
        """A visit with everything that a doctor needs, before its token."""
        visit_id = new_id()
        await self.done("open_visit", visit_id=visit_id, patient_id=patient_id or await self.register())
        for purpose, version in (("teleconsultation", "tele-1"), ("data", "data-1")):
            consent = {
                "purpose": purpose,
                "given": True,
                "method": "otp",
                "language": "hi",
                "statement_version": version,
            }
            await self.done("record_consent", visit_id=visit_id, **consent)
        complaint = {"code": "fever", "duration": 2, "duration_unit": "day"}
        await self.done("record_complaints", visit_id=visit_id, complaints=[complaint])
        history = {"pregnant": False, "post_partum": False}
        await self.done("record_history", visit_id=visit_id, history=history, allergies={"none_known": True})
        await self.done("answer_signs", visit_id=visit_id, present=list(present), absent=[])
        return visit_id

    async def waiting(self, patient_id: str = "") -> str:
        """A visit with its token."""
        visit_id = await self.visit(patient_id)
        await self.done("issue_token", visit_id=visit_id)
        return visit_id

    async def seen(self, visit_id: str) -> dict[str, object]:
        return await self.get(f"/home/api/visits/{visit_id}")

    async def state(self, visit_id: str) -> VisitState:
        return VisitState(str((await self.seen(visit_id))["state"]))

    async def live(self) -> ClientWebSocketResponse:
        """The page's channel."""
        assert self.kit.client is not None
        headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())}
        return await self.kit.client.ws_connect("/home/api/live", headers=headers)


def to_text(signal: msgspec.Struct) -> str:
    return msgspec.json.encode(signal).decode()
