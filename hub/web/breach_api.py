"""HTTP around a breach: who was affected, and what has to be sent by when, as one file. No patient is named in it."""

import asyncio
import base64
from typing import Annotated, Final

from msgspec import Meta, Struct

from edge.model.clock import iso_day
from edge.model.errors import BadInput
from edge.web.routes import AnyRoute, Call, Route

from .. import affected, audit, breach, node_reads
from ..hub import Hub

DAYS_MAX: Final = 3_660
Short = Annotated[str, Meta(max_length=60, pattern=r"^[^\x00-\x1f\x7f]*$(?!\n)")]
Day = Annotated[str, Meta(max_length=10)]


class AskBreach(Struct, frozen=True, forbid_unknown_fields=True):
    """Which readings count."""

    since: Day
    """YYYY-MM-DD, Indian calendar."""
    until: Day
    """The last day."""
    noticed: Annotated[str, Meta(max_length=16)]
    """YYYY-MM-DDTHH:MM in India: the hours count from there."""
    account: Short = ""
    """Name to log in with, here or at a node; empty: everybody's."""
    centre: Short = ""
    """Code or id: only what was opened there; empty: everything."""


class BreachFile(Struct, frozen=True):
    """What was found, and the file."""

    patients: int
    listed: int
    """Of them, how many stood in a list only."""
    reads: int
    at_nodes: int
    unsaid: int
    unknown: int
    audit_broken_at: int
    names: tuple[str, ...]
    """Of the files within."""
    file_name: str
    zip: str
    """Base64."""


class BreachApi:
    """Handlers over one hub."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._one = asyncio.Lock()

    def routes(self) -> list[AnyRoute]:
        return [Route("POST", "/api/breach-report", self.make, AskBreach, BreachFile, errors=(404,))]

    async def make(self, call: Call[AskBreach, None]) -> BreachFile:
        """Everything that has to be written after a breach, with what the audit logs know filled in."""
        body, store = call.body, self._hub.store
        first, last = iso_day(body.since), iso_day(body.until)
        if first is None or last is None or not 0 <= last - first < DAYS_MAX:
            raise BadInput("A day looks like 2026-11-26, and the first comes first.", field="since")
        noticed_ms = breach.noticed(body.noticed)
        account, centre = body.account.strip(), body.centre.strip()
        await store.read(lambda connection: node_reads.need_place(connection, centre))
        now_ms, who = self._hub.wall_ms(), call.subject
        await store.write(lambda connection: affected.asked(connection, account, centre, now_ms, who))
        span = f"{body.since} to {body.until}"
        async with self._one:
            found = await store.read(
                lambda connection: affected.look(connection, account, *affected.span_of(first, last), centre)
            )
            texts = await store.read(lambda connection: breach.files(connection, found, span, noticed_ms))
            made = await asyncio.to_thread(breach.zipped, texts)
        await store.write(lambda connection: audit.record(connection, now_ms, who, "breach_report", centre))
        return BreachFile(
            len(found.people),
            sum(not one.opened for one in found.people),
            *(found.reads, found.at_nodes, found.unsaid, found.unknown, found.audit_broken_at),
            tuple(texts),
            f"breach-{body.since}-{body.until}.zip",
            base64.b64encode(made).decode(),
        )
