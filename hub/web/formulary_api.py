"""HTTP around versions of the formulary: drafting, comparing, approving by somebody else."""

from typing import Annotated

from msgspec import Meta, Struct
from sqlalchemy import Connection

from edge.model.records import ShortText
from edge.web.routes import BINARY, AnyRoute, Call, Raw, Route

from .. import audit, formularies
from ..hub import Hub
from .bodies import Password

NUMBER = {"number": Annotated[str, Meta(pattern="^[0-9]{1,9}$(?!\\n)")]}


class Versions(Struct, frozen=True):
    number: int
    """Of the version that counts; 0 is the release's own."""
    version: str
    release: str
    """Version of the release's own."""
    medicines: int
    items: tuple[formularies.Version, ...]


class NewDraft(Struct, frozen=True, forbid_unknown_fields=True):
    password: Password
    content: Annotated[str, Meta(max_length=200_000)]
    """The JSON of ``edge/model/data/formulary.json``, with another version."""
    note: ShortText = ""


class Comparison(Struct, frozen=True):
    number: int
    version: str
    standing: int
    """Number of the version that it is compared with: whoever approves says it."""
    standing_version: str
    lines: tuple[formularies.Difference, ...]


class Decide(Struct, frozen=True, forbid_unknown_fields=True):
    password: Password
    standing: Annotated[int, Meta(ge=0)]
    approve: bool
    note: ShortText = ""


class FormularyApi:
    """Handlers over one hub."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    def routes(self) -> list[AnyRoute]:
        root, one = "/api/lists/formulary", "/api/lists/formulary/{number}"
        return [
            Route("GET", root, self.get_versions, None, Versions),
            Route("POST", root, self.draft, NewDraft, Versions, errors=(409, 429)),
            Route("GET", one, self.compare, None, Comparison, params=NUMBER),
            Route("POST", one, self.decide, Decide, Versions, params=NUMBER, errors=(409, 429)),
            Route("GET", f"{one}/file", self.get_file, None, Raw, params=NUMBER, reply_media=BINARY),
        ]

    async def get_versions(self, call: Call[None, None]) -> Versions:
        """Which formulary counts, and all that were written here."""
        return await self._hub.store.read(_versions)

    async def draft(self, call: Call[NewDraft, None]) -> Versions:
        """Keep a new version, for somebody else to approve. It changes nothing yet."""
        body, now_ms = call.body, self._hub.wall_ms()
        await self._hub.desk.need_password(call.subject, body.password)

        def act(connection: Connection) -> Versions:
            formularies.draft(connection, body.content.encode(), body.note, now_ms, call.subject)
            return _versions(connection)

        return await self._hub.store.write(act)

    async def compare(self, call: Call[None, None]) -> Comparison:
        """What a version says otherwise than the one that counts."""
        number = int(call.path["number"])

        def load(connection: Connection) -> Comparison:
            now, other = formularies.standing(connection), formularies.content_of(connection, number)
            lines = formularies.compare(now.content, other)
            return Comparison(number, other.version, now.number, now.content.version, lines)

        return await self._hub.store.read(load)

    async def decide(self, call: Call[Decide, None]) -> Versions:
        """Approve a version, which counts at once, or reject it. Nobody decides about what she wrote."""
        body, number, now_ms = call.body, int(call.path["number"]), self._hub.wall_ms()
        await self._hub.desk.need_password(call.subject, body.password)

        def act(connection: Connection) -> Versions:
            approve, note = body.approve, body.note
            formularies.decide(connection, number, body.standing, now_ms, call.subject, approve=approve, note=note)
            return _versions(connection)

        return await self._hub.store.write(act)

    async def get_file(self, call: Call[None, None]) -> Raw:
        """A version as a file, from which the next one is written."""
        number = int(call.path["number"])

        def load(connection: Connection) -> bytes:
            audit.record(connection, self._hub.wall_ms(), call.subject, "formulary_read", "", str(number))
            return formularies.encode(formularies.content_of(connection, number))

        return Raw(await self._hub.store.write(load), BINARY)


def _versions(connection: Connection) -> Versions:
    now = formularies.standing(connection)
    release = formularies.of_release().content.version
    rows = tuple(formularies.listed(connection))
    return Versions(now.number, now.content.version, release, len(now.content.items), rows)
