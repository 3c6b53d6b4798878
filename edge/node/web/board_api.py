"""Handlers of the public board and of calling a token. The board needs no log-in and hears token numbers only."""

import asyncio
from typing import Annotated

from msgspec import Meta, Struct

from edge.model.errors import NotFound, Refused
from edge.node import voice
from edge.node.calling import BoardNow, Calling, CallOfToken
from edge.node.clinic import Clinic
from edge.web.routes import AnyRoute, Auth, Call, Raw, Route

from .prompt_api import FileName, PromptList

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
        self._folder = clinic.folder / voice.FOLDER
        self._making = asyncio.Lock()

    async def get_board(self, call: Call[None, None]) -> BoardNow:
        """The tokens that were called and that wait, for a screen in the waiting room."""
        return await self._calling.board()

    async def get_board_prompts(self, call: Call[None, None]) -> PromptList:
        """The spoken pieces of a call; placeholders are made when they are asked for first."""
        async with self._making:
            await asyncio.to_thread(voice.make_missing, self._folder, voice.board_phrases())
            found = await asyncio.to_thread(voice.prompts, self._folder, ADDRESS)
        return PromptList([one for one in found if one.prompt_id.startswith(voice.BOARD)])

    async def get_board_prompt(self, call: Call[None, None]) -> Raw:
        """The sound of one piece."""
        file = call.path["file"]
        found = await asyncio.to_thread(voice.read, self._folder, file) if file.startswith(voice.BOARD) else None
        if found is None:
            raise NotFound("There is no such prompt.")
        return Raw(found[0], found[1], (("Cache-Control", "public, max-age=600"),))

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
            Route("GET", ADDRESS, self.get_board_prompts, reply=PromptList, auth=Auth.OPEN, while_locked=True),
            Route(
                "GET",
                ADDRESS + "/{file}",
                self.get_board_prompt,
                reply=bytes,
                reply_media="audio/wav",
                params={"file": FileName},
                auth=Auth.OPEN,
                while_locked=True,
            ),
            Route("POST", "/api/queue/call", self.post_call, CallToken, TokenCalled, errors=(409, 423)),
        ]


def _told(called: CallOfToken) -> TokenCalled:
    return TokenCalled(called.visit_id, called.token, called.times)
