"""``outbox.db``: sealed bundles on their way to the hub, sealed blobs that came from it.

Plain SQLite, readable while the node is locked, and worthless to a reader: no class, no name, only
sealed bytes with the opening that goes with them. Blocking; called on the store's writer thread.
"""

from collections.abc import Sequence
from pathlib import Path

from edge.sync import faults
from edge.sync.link import BundleAcked, BundleRef

from .config import OUTBOX_FILE
from .database import Database


class OutboxDb:
    """Bundles and downlink blobs."""

    def __init__(self, folder: Path) -> None:
        self._db = Database(folder / OUTBOX_FILE)
        self._db.table(
            "bundles",
            {"ref": bytes, "opening": bytes, "bundle": bytes, "level": int, "size_bytes": int, "quarantined": int},
            "ref",
            [["level"]],
        )
        self._db.table("reseals", {"ref": bytes}, "ref", [])
        self._db.table("downs", {"seq": int, "blob": bytes, "imported": int}, "seq", [["imported"]])
        self._db.table("locked", {"id": int, "piece": bytes}, "id", [])
        self._db.table("downs_refused", {"seq": int, "blob": bytes, "reason": str}, "seq", [])

    def add(self, ref: BundleRef) -> None:
        """Keep a sealed bundle durably."""
        self.add_all([ref])

    def add_all(self, refs: list[BundleRef]) -> None:
        """Keep several sealed bundles durably, or none of them."""
        with self._db.transaction():
            for ref in refs:
                self._insert(ref)
        faults.point("outbox.added")

    def _insert(self, ref: BundleRef) -> None:
        self._db.run(
            "INSERT OR IGNORE INTO bundles (ref, opening, bundle, level, size_bytes, quarantined) "
            "VALUES (?, ?, ?, 0, ?, 0)",
            ref.bundle_id,
            ref.opening,
            ref.sealed,
            len(ref.sealed),
        )

    def add_locked(self, piece: bytes, ref: BundleRef) -> None:
        """Keep what a locked node recorded: sealed to its own R, and sealed for the hub; both or none of them."""
        with self._db.transaction():
            self._db.run("INSERT INTO locked (piece) VALUES (?)", piece)
            self._insert(ref)
        faults.point("outbox.locked")

    def locked(self) -> list[tuple[int, bytes]]:
        """What was recorded while locked and is not in the records yet, in its order."""
        return [(row[0], row[1]) for row in self._db.rows("SELECT id, piece FROM locked ORDER BY id")]

    def drop_locked(self, row: int) -> None:
        """It is in the records."""
        with self._db.transaction():
            self._db.run("DELETE FROM locked WHERE id = ?", row)

    def unacknowledged(self, refs: list[bytes]) -> int:
        """How many of these bundles the hub has not acknowledged; those that are not known here have been."""
        found = (self._db.row("SELECT 1 FROM bundles WHERE ref = ? AND level = 0", ref) for ref in refs)
        return sum(row is not None for row in found)

    def waiting(self) -> list[tuple[bytes, int]]:
        """Names and sizes of what the hub has not acknowledged and can still open, in the order of sealing."""
        sql = "SELECT ref, size_bytes FROM bundles WHERE level = 0 AND ref NOT IN (SELECT ref FROM reseals) "
        return [(row[0], row[1]) for row in self._db.rows(sql + "ORDER BY rowid")]

    def waiting_names(self, after: int, limit: int) -> tuple[list[tuple[bytes, bytes]], int]:
        """Ids and sealed bytes of at most ``limit`` waiting bundles after row ``after``; the last row, 0 at the end."""
        rows = self._db.rows(
            "SELECT ref, bundle, rowid FROM bundles WHERE rowid > ? AND level = 0 AND "
            "ref NOT IN (SELECT ref FROM reseals) ORDER BY rowid LIMIT ?",
            after,
            limit,
        )
        return [(row[0], row[1]) for row in rows], rows[-1][2] if rows else 0

    def find(self, ref: bytes) -> tuple[BundleRef, int] | None:
        """A bundle and its level; its bytes are empty once it was acknowledged. None when it is not known here."""
        row = self._db.row("SELECT opening, bundle, ref, level FROM bundles WHERE ref = ?", ref)
        return None if row is None else (BundleRef(*row[:3]), row[3])

    def find_all(self, refs: Sequence[bytes]) -> dict[bytes, tuple[BundleRef, int]]:
        """As :meth:`find`, of those that are known here."""
        return {ref: found for ref in refs if (found := self.find(ref)) is not None}

    def acknowledge(self, ref: bytes, level: int, quarantined: bool = False) -> None:
        """The hub has it (1), or has it twice (2): the sealed bytes may go, the level stays."""
        self.acknowledge_all([BundleAcked(ref, level, quarantined)])

    def acknowledge_all(self, words: Sequence[BundleAcked]) -> None:
        """Several, in one transaction: all of them or none."""
        with self._db.transaction():
            for word in words:
                self._db.run(
                    "UPDATE bundles SET level = max(level, ?), quarantined = ?, opening = x'', bundle = x'' "
                    "WHERE ref = ?",
                    word.level,
                    int(word.quarantined),
                    word.bundle_id,
                )
                faults.point("outbox.acknowledging")

    def levels(self) -> dict[bytes, tuple[int, bool]]:
        """Acknowledged bundles, their level and whether the hub keeps them aside; the records learn it at unlock."""
        rows = self._db.rows("SELECT ref, level, quarantined FROM bundles WHERE level > 0")
        return {row[0]: (row[1], bool(row[2])) for row in rows}

    def forget(self, refs: Sequence[bytes]) -> None:
        """Drop rows whose level the records know, or whose entries were sealed anew."""
        with self._db.transaction():
            for ref in refs:
                self._db.run("DELETE FROM bundles WHERE ref = ?", ref)
                self._db.run("DELETE FROM reseals WHERE ref = ?", ref)

    def want_reseal(self, refs: Sequence[bytes]) -> None:
        """The hub cannot open these bundles any more; their entries are sealed anew when the records are open."""
        with self._db.transaction():
            self._db.run_many("INSERT OR IGNORE INTO reseals (ref) VALUES (?)", [(ref,) for ref in refs])

    def reseals(self) -> list[bytes]:
        """Bundles whose entries wait to be sealed anew."""
        return [row[0] for row in self._db.rows("SELECT ref FROM reseals")]

    def backlog(self) -> tuple[int, int]:
        """How many bundles wait, and their bytes."""
        row = self._db.row("SELECT count(*), coalesce(sum(size_bytes), 0) FROM bundles WHERE level = 0")
        assert row is not None
        return row[0], row[1]

    def sizes(self) -> dict[bytes, int]:
        """Bytes of every bundle that the hub has not acknowledged."""
        return {row[0]: row[1] for row in self._db.rows("SELECT ref, size_bytes FROM bundles WHERE level = 0")}

    def add_down(self, seq: int, blob: bytes) -> bool:
        """Keep a sealed downlink blob durably; False when it was here already."""
        with self._db.transaction():
            added = self._db.run("INSERT OR IGNORE INTO downs (seq, blob, imported) VALUES (?, ?, 0)", seq, blob)
        faults.point("down.stored")
        return added > 0

    def downs(self) -> list[tuple[int, bytes]]:
        """Blobs that were not imported yet, in the hub's order."""
        return [
            (row[0], row[1]) for row in self._db.rows("SELECT seq, blob FROM downs WHERE imported = 0 ORDER BY seq")
        ]

    def has_down(self, seq: int) -> bool:
        """Whether a blob is or was here."""
        return self._db.row("SELECT 1 FROM downs WHERE seq = ?", seq) is not None

    def down_seqs(self) -> list[int]:
        """Sequence numbers of all blobs that are or were here."""
        return [row[0] for row in self._db.rows("SELECT seq FROM downs ORDER BY seq")]

    def down_imported(self, seq: int) -> None:
        """The records hold what was in the blob: only its number is kept."""
        with self._db.transaction():
            self._db.run("UPDATE downs SET imported = 1, blob = x'' WHERE seq = ?", seq)

    def refuse_down(self, seq: int, reason: str) -> None:
        """Put a blob that cannot be taken in aside, with the reason, so that it is tried no more."""
        with self._db.transaction():
            self._db.run(
                "INSERT OR REPLACE INTO downs_refused (seq, blob, reason) SELECT seq, blob, ? FROM downs WHERE seq = ?",
                reason,
                seq,
            )
            self._db.run("UPDATE downs SET imported = 1, blob = x'' WHERE seq = ?", seq)

    def refused_downs(self) -> list[tuple[int, str]]:
        """Sequence and reason of every blob that was put aside."""
        return [(row[0], row[1]) for row in self._db.rows("SELECT seq, reason FROM downs_refused ORDER BY seq")]

    def reconsider_downs(self, reasons: frozenset[str]) -> None:
        """Take blobs back that were put aside for a reason which another release of this node may not see."""
        with self._db.transaction():
            for seq, reason in self.refused_downs():
                if reason in reasons:
                    self._db.run(
                        "UPDATE downs SET imported = 0, blob = (SELECT blob FROM downs_refused WHERE seq = ?) "
                        "WHERE seq = ?",
                        seq,
                        seq,
                    )
                    self._db.run("DELETE FROM downs_refused WHERE seq = ?", seq)

    def close(self) -> None:
        """Close the file."""
        self._db.close()
