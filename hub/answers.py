"""Spoken answers: what a doctor says into her microphone for a visit goes down in the node's log. Knows no HTTP."""

import asyncio

from sqlalchemy import Connection, select

from edge.model import events as ev
from edge.model import spoken
from edge.model.errors import BadInput, NotFound, Refusal, Refused
from edge.model.fold import Visit
from edge.model.fold_media import SpokenAnswer
from edge.model.media_probe import probe
from edge.sync.link import Cls

from . import audit, down, views
from .desk import Desk, need_open, need_visit
from .store.schema import entries

ANSWERS_MAX = 12
"""For one visit."""


class Answers:
    """Over one hub's desk."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def speak(self, visit_id: str, answer_id: str, doctor_id: str, content: bytes) -> Visit:
        """Send an answer; the same again changes nothing.

        Raises NotFound, BadInput(media_...), Refused(visit_closed, visit_taken, answers_too_many).
        """
        facts = await asyncio.to_thread(probe, lambda at, length: content[at : at + length], len(content))
        refusal = facts if isinstance(facts, Refusal) else spoken.check(facts, len(content))
        if isinstance(facts, Refusal) or refusal is not None:
            assert refusal is not None
            raise BadInput(refusal.message, field=refusal.field, code=refusal.code)
        parts = spoken.cut(visit_id, answer_id, content)
        said = ev.AnswerSpoken(visit_id, answer_id, doctor_id, facts, len(content), len(parts))
        desk = self._desk

        def act(connection: Connection) -> tuple[Visit, list[down.DownBlob]]:
            owned = need_open(connection, visit_id)
            if any(one.answer_id == answer_id for one in owned.visit.answers):
                return owned.visit, []
            if owned.visit.doctor_name and owned.visit.doctor_id != doctor_id:
                raise Refused("Another doctor has taken this visit.", code="visit_taken")
            if len(owned.visit.answers) >= ANSWERS_MAX:
                raise Refused(f"A visit holds at most {ANSWERS_MAX} spoken answers.", code="answers_too_many")
            now_ms = desk.wall_ms()
            audit.record(connection, now_ms, doctor_id, "answer_spoken", visit_id, answer_id)
            events: list[ev.Event] = [said, *parts]
            blobs = [
                down.speak(connection, desk.speaker, owned.node_id, (event,), doctor_id, now_ms, Cls.PREVIEW)
                for event in events
            ]
            return need_visit(connection, visit_id).visit, blobs

        visit, blobs = await desk.store.write(act)
        for blob in blobs:
            desk.tell(visit_id, blob)
        return visit

    async def listen(self, visit_id: str, answer_id: str, doctor_id: str) -> tuple[SpokenAnswer, bytes]:
        """An answer that was given; the look is audited. Raises NotFound."""

        def act(connection: Connection) -> tuple[SpokenAnswer, bytes]:
            found = sound_of(connection, need_visit(connection, visit_id).visit, answer_id)
            audit.record(connection, self._desk.wall_ms(), doctor_id, "answer_opened", visit_id, answer_id)
            return found

        return await self._desk.store.write(act)


def sound_of(connection: Connection, visit: Visit, answer_id: str) -> tuple[SpokenAnswer, bytes]:
    """An answer of a visit. Raises NotFound."""
    one = next((one for one in visit.answers if one.answer_id == answer_id), None)
    if one is None:
        raise NotFound("There is no such answer here.")
    kind = ev.KIND_OF[ev.AnswerPart]
    query = select(entries.c.raw).where(entries.c.visit_id == visit.visit_id, entries.c.kind == kind)
    found = (views.readable(bytes(row.raw)) for row in connection.execute(query))
    events = [pair[1] for pair in found if pair is not None]
    content = spoken.put_together(answer_id, one.size_bytes, one.parts, events).content
    if content is None:
        raise NotFound("There is no such answer here.")
    return one, content
