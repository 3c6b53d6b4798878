"""Handlers of the public board and of calling a token. The board needs no log-in and hears token numbers only."""

import asyncio
from typing import Annotated

from msgspec import Meta, Struct

from edge.model.errors import Refused
from edge.node import voice
from edge.node.calling import BoardNow, Calling, CallOfToken
from edge.node.clinic import Clinic
from edge.web.routes import AnyRoute, Auth, Call, Raw, Route

from .prompt_api import OpenPrompts, PromptList

ADDRESS = "/api/board/prompts"


class CallToken(Struct, frozen=True, forbid_unknown_fields=True):
    """Which token to call."""

    visit_id: Annotated[str, Meta(pattern="^([0-9a-hjkmnp-tv-z]{16})?$(?!\\n)")] = ""
    """Empty: the next in the queue who was not called today."""


class TokenCalled(Struct, frozen=True):
    """Who was called."""

    visit_id: str
    token: str
    times: int


class BoardApi:
    """What the public board asks, and the tablet's buttons that call."""

    def __init__(self, clinic: Clinic, calling: Calling) -> None:
        self._calling = calling
        self._prompts = OpenPrompts(clinic.folder / voice.FOLDER, ADDRESS, voice.BOARD, asyncio.Lock())

    async def get_board(self, call: Call[None, None]) -> BoardNow:
        """The tokens that were called and that wait, for a screen in the waiting room."""
        return await self._calling.board()

    async def get_board_prompts(self, call: Call[None, None]) -> PromptList:
        """The spoken pieces of a call; placeholders are made when they are asked for first."""
        return await self._prompts.listed(voice.board_phrases)

    async def get_board_prompt(self, call: Call[None, None]) -> Raw:
        """The sound of one piece."""
        return await self._prompts.sound(call.path["file"])

    async def post_call(self, call: Call[CallToken, None]) -> TokenCalled:
        """Call a token: the next one, or the one that is named, also once more."""
        visit_id = call.body.visit_id
        called = await (self._calling.call(visit_id) if visit_id else self._calling.next())
        if called is None:
            raise Refused("Nobody is there to be called.", code="nobody_to_call")
        return _told(called)

    def routes(self) -> list[AnyRoute]:
        """The table."""
        return [
            Route("GET", "/api/board", self.get_board, reply=BoardNow, auth=Auth.OPEN, while_locked=True),
            *self._prompts.routes(self.get_board_prompts, self.get_board_prompt),
            Route("POST", "/api/queue/call", self.post_call, CallToken, TokenCalled, errors=(409, 423)),
        ]


def _told(called: CallOfToken) -> TokenCalled:
    return TokenCalled(called.visit_id, called.token, called.times)
