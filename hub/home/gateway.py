"""Messages to telephones: what is said, and who carries it. A gateway is one method; a real one is a POST.

No text holds a name, a complaint, a medicine or a diagnosis (security.md S9). Texts come from
the project's list of messages where it has them; the others are ours. None was reviewed by a native clinician. Logs
neither numbers nor texts.
"""

import asyncio
import contextlib
import json
import logging
import sys
from enum import StrEnum
from pathlib import Path
from typing import IO, Protocol

import msgspec
from aiohttp import ClientError, ClientSession, ClientTimeout
from msgspec import Struct

from edge.model.errors import BadInput
from edge.web.logs import say

from .codes import is_synthetic

logger = logging.getLogger("hub.home")
SEND_S = 10.0
SOON_S, LATER_S = (5.0, 20.0), (5.0, 60.0, 600.0)
"""When a message goes to the gateway again that did not take it: as long as it is of use to somebody."""


class Kind(StrEnum):
    """What a message is about."""

    CODE = "code"
    GIVEN = "token"
    TURN_NEXT = "turn_next"
    MISSED = "missed"
    ANSWERED = "answered"


TEXTS: dict[Kind, dict[str, str]] = {
    Kind.CODE: {
        "hi": "उपकेंद्र का कोड {code} है। {minutes} मिनट चलेगा। किसी को न बताएँ।",
        "en": "Your Upkendra code is {code}. Good for {minutes} minutes. Tell it to nobody.",
    },
    Kind.GIVEN: {
        "hi": "आपका टोकन नंबर {n} है। अनुमानित समय {t}। केंद्र: {centre}।",
        "en": "Your token is {n}. Expected time {t}. Centre: {centre}.",
    },
    Kind.TURN_NEXT: {
        "hi": "टोकन {n}: अब आपकी बारी आने वाली है। तैयार रहें।",
        "en": "Token {n}: your turn is next.",
    },
    Kind.MISSED: {
        "hi": "टोकन {n}: आपकी बारी निकल गई। टोकन आज चलेगा। पन्ना खोलकर फिर से आएँ।",
        "en": "Token {n}: turn missed. The token stays for today. Open the page and come back.",
    },
    Kind.ANSWERED: {
        "hi": "टोकन {n}: आपकी पर्ची तैयार है। पन्ना खोलकर देखें।",
        "en": "Token {n}: your prescription is ready. Open the page.",
    },
}


class Message(Struct, frozen=True):
    """One message to one telephone."""

    number: str
    kind: Kind
    text: str

    def __repr__(self) -> str:
        return f"Message({self.kind})"


def message(number: str, kind: Kind, language: str, **words: str) -> Message:
    """The message in the account's language; Hindi for one that has no texts here."""
    texts = TEXTS[kind]
    return Message(number, kind, texts.get(language, texts["hi"]).format(**words))


class Gateway(Protocol):
    """Whoever brings messages to telephones."""

    push_contact: str
    demo: bool
    """Takes synthetic numbers only for show; no real telephone hears of it."""

    async def send(self, one: Message) -> bool:
        """Hand a message over; whether that worked. Never raises."""
        ...

    async def close(self) -> None: ...


async def hand_over(gateway: Gateway, one: Message, again_s: tuple[float, ...], closing: asyncio.Event) -> bool:
    """Give a message to the gateway, again after each of these waits if it was not taken; whether it was.

    Once ``closing`` is set nothing is tried again.
    """
    for wait_s in (0.0, *again_s):
        if wait_s:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(closing.wait(), wait_s)
            if closing.is_set():
                break
        if await gateway.send(one):
            return True
    say(logger, "message_given_up", logging.WARNING, kind=one.kind.value)
    return False


class DemoGateway:
    """Prints every message as one JSON line: for demonstrations and tests."""

    demo = True
    push_contact = ""

    def __init__(self, out: IO[str] | None = None) -> None:
        self._out = out or sys.stdout

    async def send(self, one: Message) -> bool:
        print(json.dumps({"to": one.number, "kind": one.kind, "text": one.text}), file=self._out, flush=True)
        return True

    async def close(self) -> None:
        return


class Account(Struct, frozen=True, forbid_unknown_fields=True):
    """What the file of ``--home`` holds."""

    url: str
    authorization: str = ""
    push_contact: str = ""
    """``mailto:`` or ``https:`` of whoever runs the hub: push services want to know it."""


class HttpGateway:
    """Posts every message to one address; the state's SMS service, or a small program before it, listens there."""

    demo = False

    def __init__(self, account: Account) -> None:
        self._account = account
        self.push_contact = account.push_contact
        self._session: ClientSession | None = None

    async def send(self, one: Message) -> bool:
        if is_synthetic(one.number):
            return False
        if self._session is None:
            self._session = ClientSession(timeout=ClientTimeout(total=SEND_S))
        headers = {"Authorization": self._account.authorization} if self._account.authorization else {}
        body = {"to": f"+91{one.number}", "text": one.text, "kind": one.kind.value}
        try:
            async with self._session.post(
                self._account.url, json=body, headers=headers, allow_redirects=False
            ) as reply:
                good = 200 <= reply.status < 300
                if not good:
                    say(logger, "message_refused", logging.WARNING, kind=one.kind.value, status=reply.status)
                return good
        except (ClientError, OSError, TimeoutError) as error:
            say(logger, "message_not_sent", logging.WARNING, kind=one.kind.value, why=type(error).__name__)
            return False

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()


def gateway_of(setting: str) -> Gateway | None:
    """What ``--home`` says: nothing, ``demo``, or a file. Blocking. Raises BadInput."""
    if not setting:
        return None
    if setting == "demo":
        return DemoGateway()
    try:
        account = msgspec.json.decode(Path(setting).read_bytes(), type=Account)
    except (OSError, msgspec.DecodeError):
        raise BadInput("The file of --home holds JSON with url and authorization.", field="home") from None
    if not account.url.startswith(("https://", "http://127.0.0.1", "http://localhost")):
        raise BadInput("Messages go by https only.", field="home")
    return HttpGateway(account)
