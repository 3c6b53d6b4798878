"""Handlers of what the node reads out for a tablet that has no voice of its own: a line of words, and first aid."""

import asyncio
from typing import Annotated, Literal

from msgspec import Meta, Struct

from edge.model.errors import Refused
from edge.node import voice
from edge.node.clinic import Clinic
from edge.web.routes import AnyRoute, Call, Raw, Route

from .prompt_api import OpenPrompts, PromptList

ADDRESS = "/api/first-aid/prompts"


class Words(Struct, frozen=True, forbid_unknown_fields=True):
    """A line to read out. It is spoken and forgotten: it stands in no file, no log and no command line."""

    text: Annotated[str, Meta(min_length=1, max_length=voice.WORDS_MAX)]
    language: Literal["hi", "en"] = "hi"


class Speaker(Struct, frozen=True):
    speaks: bool
    """Whether this node can read out."""


class VoiceApi:
    """The voice of one node; one sound is made at a time."""

    def __init__(self, clinic: Clinic) -> None:
        self._speaking = asyncio.Lock()
        self._prompts = OpenPrompts(clinic.folder / voice.FOLDER, ADDRESS, voice.AID, self._speaking)
        self._waiting = 0

    async def get_voice(self, call: Call[None, None]) -> Speaker:
        """Whether the node can read out."""
        return Speaker(await asyncio.to_thread(voice.speaks))

    async def post_voice(self, call: Call[Words, None]) -> Raw:
        """The sound of a line."""
        if self._waiting >= voice.WAITING_MAX:
            raise Refused("The box is reading out for other tablets. Try again in a moment.", code="voice_busy")
        self._waiting += 1
        try:
            async with self._speaking:
                sound = await asyncio.to_thread(voice.sound_of, call.body.language, call.body.text)
        finally:
            self._waiting -= 1
        if sound is None:
            raise Refused("This box cannot read out.", code="voice_missing")
        return Raw(sound, "audio/wav", (("Cache-Control", "no-store"),))

    async def get_aid_prompts(self, call: Call[None, None]) -> PromptList:
        """First aid, spoken; placeholders are made when they are asked for first. Needs no log-in."""
        return await self._prompts.listed(voice.aid_phrases)

    async def get_aid_prompt(self, call: Call[None, None]) -> Raw:
        """The sound of one line of first aid."""
        return await self._prompts.sound(call.path["file"])

    def routes(self) -> list[AnyRoute]:
        """The table."""
        return [
            Route("GET", "/api/voice", self.get_voice, reply=Speaker, errors=(423,)),
            Route("POST", "/api/voice", self.post_voice, Words, bytes, reply_media="audio/wav", errors=(409, 423)),
            *self._prompts.routes(self.get_aid_prompts, self.get_aid_prompt),
        ]
