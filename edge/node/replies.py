"""Replies to commands, kept so that one that comes again changes nothing and is answered alike.

The latest are kept whole; of older ones, which a tablet hardly ever asks for, it is kept that they were carried out,
and the answer is put together from the views. So records do not grow by a whole visit with each command, and what
retention has dropped does not live on here. Works in the journal's database.
"""

import hashlib
import re
from collections.abc import Callable

import msgspec

from edge.model import commands as cmd
from edge.model.errors import Refusal
from edge.model.fold import Patient, Visit

from .database import Database
from .views import Views

WHOLE_MAX = 1_000
"""So many replies, of two days or so, are kept as they were given."""
BATCH = 64
"""So many at a time are made short, in the transaction of a command."""
SHORT_BYTES = 64
"""One that was made short is no longer; it names nobody."""
_ID = re.compile(rb"(?=([0-9a-hjkmnp-tv-z]{16}))")


class Reply(msgspec.Struct, frozen=True, array_like=True):
    """What a command led to; kept under its ``command_id`` and given again when it comes again."""

    command_id: str
    events: int
    patient: Patient | None = None
    visit: Visit | None = None
    warnings: tuple[Refusal, ...] = ()
    digest: bytes = b""
    """SHA-256 of the command, so that another one under the same id is not taken for it."""


class Replies:
    """On the writer's connection."""

    def __init__(self, db: Database, views: Views) -> None:
        self._db, self._views = db, views

    def find(self, command: cmd.Command) -> Reply | Refusal | None:
        """What a command was answered before; a refusal when its id stood for another one; None for a new one."""
        known = self._db.row("SELECT reply FROM commands WHERE command_id = ?", command.command_id)
        if known is None:
            return None
        reply = msgspec.msgpack.decode(known[0], type=Reply)
        if reply.digest and reply.digest != digest_of(command):
            text = "This command id was used for something else. Make a new one."
            return Refusal("command_reused", text, "command_id")
        if reply.patient is None and reply.visit is None:
            return self._filled(reply, command)
        return reply

    def _filled(self, reply: Reply, command: cmd.Command) -> Reply:
        visit_id, patient_id = getattr(command, "visit_id", ""), getattr(command, "patient_id", "")
        return msgspec.structs.replace(
            reply,
            patient=self._views.patient(patient_id) if patient_id and not visit_id else None,
            visit=self._views.visit(visit_id) if visit_id else None,
        )

    def keep(self, reply: Reply) -> None:
        """Keep a reply, inside a transaction."""
        self._db.run(
            "INSERT INTO commands (command_id, reply) VALUES (?, ?)", reply.command_id, msgspec.msgpack.encode(reply)
        )
        last = self.last_row()
        if last % BATCH == 0:
            self._shorten(last - WHOLE_MAX)

    def _shorten(self, last: int) -> None:
        sql = "SELECT rowid, reply FROM commands WHERE rowid > ? AND rowid <= ?"
        for rowid, raw in self._db.rows(sql, last - BATCH, last):
            self._make_short(rowid, raw)

    def last_row(self) -> int:
        """The number of the latest."""
        row = self._db.row("SELECT coalesce(max(rowid), 0) FROM commands")
        return int(row[0]) if row is not None else 0

    def forget(self, is_about: Callable[[bytes], bool], after: int, upto: int) -> None:
        """Of these rows it is kept that the commands were carried out, where the reply is about what is erased."""
        sql = "SELECT rowid, reply FROM commands WHERE rowid > ? AND rowid <= ? AND length(reply) > ?"
        for rowid, raw in self._db.rows(sql, after, upto, SHORT_BYTES):
            if is_about(raw):
                self._make_short(rowid, raw)

    def _make_short(self, rowid: int, raw: bytes) -> None:
        reply = msgspec.structs.replace(msgspec.msgpack.decode(raw, type=Reply), patient=None, visit=None, warnings=())
        self._db.run("UPDATE commands SET reply = ? WHERE rowid = ?", msgspec.msgpack.encode(reply), rowid)


def digest_of(command: cmd.Command) -> bytes:
    """What tells a command from another one of the same id."""
    return hashlib.sha256(msgspec.msgpack.encode(command)).digest()


def ids_in(raw: bytes) -> set[str]:
    """All that may be the id of a visit or patient in a reply as it is kept."""
    return {found.decode() for found in _ID.findall(raw)}
