"""Handlers of the spoken prompts: which there are, and their sound."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Annotated

from msgspec import Meta, Struct

from edge.model.errors import NotFound
from edge.node import voice
from edge.node.clinic import Clinic
from edge.web.routes import AnyRoute, Auth, Call, Raw, Route

FileName = Annotated[str, Meta(max_length=80, pattern=r"^[a-z0-9-]+(\.[a-z0-9]+){2,3}$(?!\n)")]


class PromptList(Struct, frozen=True):
    items: list[voice.Prompt]


class OpenPrompts:
    """Those of one kind, which a page asks for without a log-in: on the board, and beside a locked node."""

    def __init__(self, folder: Path, address: str, kind: str, making: asyncio.Lock) -> None:
        """``kind``: how their names begin; ``making``: held while placeholders are made."""
        self._folder, self._address, self._kind, self._making = folder, address, kind, making

    async def listed(self, phrases: Callable[[], list[voice.Phrase]]) -> PromptList:
        """All of them; placeholders for ``phrases`` are made first where they lack."""
        async with self._making:
            await asyncio.to_thread(lambda: voice.make_missing(self._folder, phrases()))
            found = await asyncio.to_thread(voice.prompts, self._folder, self._address)
        return PromptList([one for one in found if one.prompt_id.startswith(self._kind)])

    async def sound(self, file: str) -> Raw:
        """One of them. Raises NotFound."""
        found = await asyncio.to_thread(voice.read, self._folder, file) if file.startswith(self._kind) else None
        if found is None:
            raise NotFound("There is no such prompt.")
        return Raw(found[0], found[1], (("Cache-Control", "public, max-age=600"),))

    def routes(
        self,
        get_all: Callable[[Call[None, None]], Awaitable[PromptList]],
        get_one: Callable[[Call[None, None]], Awaitable[Raw]],
    ) -> tuple[AnyRoute, AnyRoute]:
        """The two lines of a table."""
        return (
            Route("GET", self._address, get_all, reply=PromptList, auth=Auth.OPEN, while_locked=True),
            Route(
                "GET",
                self._address + "/{file}",
                get_one,
                reply=bytes,
                reply_media="audio/wav",
                params={"file": FileName},
                auth=Auth.OPEN,
                while_locked=True,
            ),
        )


class PromptApi:
    """What the tablet plays to a patient, from the folder of one node."""

    def __init__(self, clinic: Clinic) -> None:
        self._folder = clinic.folder / voice.FOLDER
        self._making = asyncio.Lock()

    async def get_prompts(self, call: Call[None, None]) -> PromptList:
        """Spoken prompts; placeholders are made when they are asked for first."""
        async with self._making:
            await asyncio.to_thread(voice.make_missing, self._folder, voice.statements())
            found = await asyncio.to_thread(voice.prompts, self._folder)
            return PromptList([one for one in found if not one.prompt_id.startswith((voice.BOARD, voice.AID))])

    async def get_prompt(self, call: Call[None, None]) -> Raw:
        """The sound of a prompt."""
        found = await asyncio.to_thread(voice.read, self._folder, call.path["file"])
        if found is None:
            raise NotFound("There is no such prompt.")
        return Raw(found[0], found[1], (("Cache-Control", "private, max-age=600"),))

    def routes(self) -> Sequence[AnyRoute]:
        """The table."""
        file = {"file": FileName}
        return (
            Route("GET", "/api/prompts", self.get_prompts, reply=PromptList, errors=(423,)),
            Route(
                "GET",
                "/api/prompts/{file}",
                self.get_prompt,
                reply=bytes,
                reply_media="audio/wav",
                params=file,
                errors=(423,),
            ),
        )
