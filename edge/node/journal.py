"""Journal first, then speak: command → decide → events → signed log → views, in one transaction.

``records.db`` holds the entries, what they fold to, the replies to commands and how far each log was
sealed. Bundles are sealed from what is committed, so a kill between any two steps loses nothing:
what no bundle covers yet is sealed at the next start, and the hub knows entries by (run, stream,
seq). Blocking; everything here runs on the store's writer thread.
"""

import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from edge.model import commands as cmd
from edge.model import events as ev
from edge.model.clock import Instant, day_of, next_stamp
from edge.model.decide import Actor, NodeState, decide, warnings
from edge.model.errors import Refusal
from edge.model.fold import Patient, Visit, fold_patient, fold_visit
from edge.model.records import Colour
from edge.sync import bundle, faults, seal
from edge.sync.link import BundleAcked, BundleRef
from edge.sync.log import NO_SALT, Position, Stream, Writer, own_salt

from .config import RECORDS_FILE, NodeConfig
from .database import Database, WrongKey
from .erasing import Erasing
from .held import HeldLogs, Imported
from .locked_import import LockedImport
from .media_rows import MediaLog, Withdrawn
from .outbox import OutboxDb
from .replies import Replies, Reply, digest_of
from .staff import NewBadge, may_get_badge, unlisted
from .uncovered import Pending, Uncovered
from .views import OF_STAFF, Staff, Views, make_tables

SOFTWARE = "upkendra-node 0.1.0"
SCHEMA = 1


class Outgoing(msgspec.Struct, frozen=True):
    """A bundle that is at rest in the outbox and may be sent."""

    ref: BundleRef
    cls: int


class Secrets(msgspec.Struct, frozen=True):
    """Private keys that live inside ``records.db``."""

    log: bytes
    """L, Ed25519, 32 B."""
    records: bytes
    """R, X25519, 32 B."""

    def __repr__(self) -> str:
        return "Secrets(…)"


class Journal:
    """The records of an unlocked node, writer's side."""

    def __init__(self, folder: Path, dmk: bytes, config: NodeConfig, outbox: OutboxDb, run: bytes) -> None:
        """Open the store. Raises WrongKey. ``run`` is this process's own (8 B)."""
        self._db = Database(folder / RECORDS_FILE, dmk)
        make_tables(self._db)
        self.views = Views(self._db)
        self.views.finder.renew()
        self.views.expected.renew()
        self._replies = Replies(self._db, self.views)
        self._config = config
        self._outbox = outbox
        self._run = run
        self.erasing = Erasing(self._db, self.views, self._replies)
        self.held = HeldLogs(self._db, self.views, config, run)
        self._stamp = int((self._db.row("SELECT coalesce(max(stamp), 0) FROM entries") or (0,))[0])
        self._writers: dict[Stream, Writer] = {}
        self._uncovered = Uncovered(self._db, config.node_id, lambda: self.secrets().log)
        self._of_locked: set[str] = set()
        """Visits of which something was recorded before the hub's answers to them were taken in."""
        self.media = MediaLog(self._db, self.views.media, outbox)
        self.touched = self._db.touched
        """What has changed since the reader looked."""

    # -- keys -----------------------------------------------------------------------------------

    def keep_secrets(self, keys: Secrets) -> None:
        """Write the private keys, once, at enrolment."""
        with self._db.transaction():
            for name, value in (("log_key", keys.log), ("records_key", keys.records)):
                self._db.run("INSERT OR REPLACE INTO meta (name, value) VALUES (?, ?)", name, value)

    def secrets(self) -> Secrets:
        """The private keys. Raises WrongKey when the file is not the one that was made at enrolment."""
        found = dict(self._db.rows("SELECT name, value FROM meta WHERE name IN ('log_key', 'records_key')"))
        if len(found) < 2:
            raise WrongKey("The records are empty or damaged. Restore them from a copy, or enrol a replacement.")
        return Secrets(found["log_key"], found["records_key"])

    # -- commands -------------------------------------------------------------------------------

    def apply(self, command: cmd.Command, by: Actor, at: Instant) -> Reply | Refusal:
        """Decide a command and record what follows, once per ``command_id``."""
        known = self._replies.find(command)
        if known is not None:
            return known
        state = self._state(command, at)
        outcome = decide(state, command, at, by, secrets.token_bytes(16))
        if isinstance(outcome, Refusal):
            return outcome
        faults.point("journal.decided")
        reply = self._record(outcome, by.staff_id, at, command, warnings(state, command, at))
        assert reply is not None
        return reply

    def record(self, events: Sequence[ev.Event], actor: str, at: Instant) -> None:
        """Record what happened without a command: a call that was held, a slip that was stored, an access."""
        self._record(events, actor, at)

    def list_staff(self, at: Instant) -> int:
        """Say in the log who works here, where it does not say so already; how many were said."""
        rows = self._db.rows(f"SELECT raw FROM entries WHERE {OF_STAFF} ORDER BY stamp")  # noqa: S608
        if fresh := unlisted((raw for (raw,) in rows), self.views.staff()):
            self.record(fresh, "", at)
        return len(fresh)

    def give_pin(self, staff_id: str, badge: NewBadge, at: Instant) -> Staff:
        """The PIN of a badge that was made for somebody who had none. Raises NotFound, Refused."""
        staff = may_get_badge(self.views.staff_member(staff_id))
        self.views.put_staff(staff, badge.salt, badge.verifier)
        self.list_staff(at)
        return msgspec.structs.replace(staff, has_pin=True)

    def _state(self, command: cmd.Command, at: Instant) -> NodeState:
        visit_id = getattr(command, "visit_id", "")
        visit = self.views.visit(visit_id) if visit_id else None
        patient_id = getattr(command, "patient_id", "") or (visit.patient_id if visit else "")
        today = day_of(at.wall_ms)
        duplicates: tuple[str, ...] = ()
        if isinstance(command, cmd.RegisterPatient):
            alike = self.views.finder.alike(command.person, at.wall_ms)
            duplicates = tuple(one.patient_id for one in alike)
        visits: list[Visit] = []
        if isinstance(command, cmd.OpenVisit | cmd.AmendPatient):
            visits = self.views.visits_of(patient_id)
        uploads = (getattr(command, "upload_id", ""), getattr(command, "preview_upload_id", ""))
        blob_id = getattr(command, "blob_id", "")
        blobs = [item for item in visit.media if item.blob_id == blob_id] if visit is not None else []
        return NodeState(
            self._config.site.code,
            self._config.site.name,
            self._config.demo,
            patient=self.views.patient(patient_id) if patient_id else None,
            visit=visit,
            local_serial=self.views.count_patients(),
            day_serial=self.views.day_serial(today),
            queue_length=self.views.queue_length(today),
            duplicate_ids=duplicates,
            patient_visits=tuple(visits),
            uploads=tuple(found for name in uploads if name and (found := self.views.media.upload(name)) is not None),
            media_left=self.views.media.has_left(name for item in blobs for name in (item.blob_id, item.preview_id)),
        )

    def _record(
        self,
        events: Sequence[ev.Event],
        actor: str,
        at: Instant,
        command: cmd.Command | None = None,
        warnings: tuple[Refusal, ...] = (),
    ) -> Reply | None:
        stamp, writers, reply = self._stamp, dict(self._writers), None
        patient: Patient | None = None
        visit: Visit | None = None
        withdrawn: list[Withdrawn] = []
        with self._db.transaction():
            self.touched.name(name for event in events for name in _names_in(event))
            for event in events:
                stamp = next_stamp(stamp, at.wall_ms)
                entry = ev.entry_of(event, stamp, actor)
                folded = self.fold(event, stamp, actor)
                patient = folded if isinstance(folded, Patient) else patient
                visit = folded if isinstance(folded, Visit) else visit
                self._append(writers, event, entry, visit)
                withdrawn.append(self.views.media.recorded(event))
            faults.point("journal.appended")
            if command is not None:
                reply = Reply(command.command_id, len(events), patient, visit, warnings, digest_of(command))
                self._replies.keep(reply)
            faults.point("journal.committing")
        faults.point("journal.committed")
        self._stamp, self._writers = stamp, writers
        self.media.taken_back(withdrawn)
        return reply

    def import_locked(self, records: bytes) -> int:
        """Take in what was recorded while the records were closed; how many entries. ``records``: R, 32 B."""
        node_id = self._config.node_id
        done = LockedImport(self._db, self.views, self._outbox, node_id, self.fold, self._insert).run(records)
        self._stamp = max(self._stamp, done.stamp)
        self._writers |= {one.stream: one for one in done.writers if one.run == self._run}
        self._of_locked |= done.visits
        self._uncovered.look_again()
        if done.left:
            # What was sealed for the hub under this run has places that nobody knows here: go on in another run.
            self._run = secrets.token_bytes(len(self._run))
            self._writers = {}
            self.held = HeldLogs(self._db, self.views, self._config, self._run)
        return done.entries

    def _append(self, writers: dict[Stream, Writer], event: ev.Event, entry: ev.Entry, visit: Visit | None) -> None:
        visit_id = ev.visit_of(event)
        stream = Stream.CLINICAL
        if isinstance(event, ev.RunStarted | ev.Accessed | ev.NodeTold | ev.LinkWatched):
            stream = Stream.AUDIT
        elif isinstance(event, ev.MediaAttached | ev.MediaRemoved):
            stream = Stream.MEDIA
        elif visit is not None and visit.visit_id == visit_id and visit.colour is Colour.RED:
            stream = Stream.URGENT
        before = writers.get(stream)
        writer = Writer(
            self._config.node_id,
            self._run,
            stream,
            None if before is None else Position(before.seq, b"", before.head),
        )
        salt = own_salt(event) or (self.views.salt(visit_id) if visit_id else NO_SALT)
        self._insert(writer, msgspec.msgpack.encode(entry), entry, salt or NO_SALT, visit_id)
        writers[stream] = writer
        if isinstance(event, ev.VisitClosed):
            self._want_head(stream)

    def _insert(self, writer: Writer, raw: bytes, entry: ev.Entry, salt: bytes, visit_id: str) -> None:
        position = writer.append(raw, salt)
        self._db.run(
            "INSERT INTO entries (run, stream, seq, raw, c, h, stamp, kind, visit_id) VALUES (?,?,?,?,?,?,?,?,?)",
            writer.run,
            int(writer.stream),
            position.seq,
            raw,
            position.commitment,
            position.head,
            entry.stamp,
            entry.kind,
            visit_id,
        )

    def _want_head(self, stream: Stream) -> None:
        self._db.run(
            "INSERT INTO logs (run, stream, sealed_upto, head_due) VALUES (?, ?, 0, 1) "
            "ON CONFLICT (run, stream) DO UPDATE SET head_due = 1",
            self._run,
            int(stream),
        )

    def fold(self, event: ev.Event | ev.Unknown, stamp: int, actor: str) -> Patient | Visit | None:
        """Fold one event into the views, inside the caller's transaction."""
        if isinstance(event, ev.PatientRegistered | ev.PatientAmended):
            patient = fold_patient(self.views.patient(event.patient_id), event, stamp >> 16)
            if patient is not None:
                self.views.put_patient(patient)
            return patient
        self.views.put_down(event, stamp)
        visit_id = ev.visit_of(event)
        if not visit_id:
            return None
        visit = fold_visit(self.views.visit(visit_id), event, stamp, actor)
        if visit is not None:
            self.views.put_visit(visit, event.salt if isinstance(event, ev.VisitOpened) else None)
        return visit

    def rebuild(self) -> int:
        """Compute all views anew from the entries, ours and the hub's, in causal order; how many visits there are."""
        with self._db.transaction():
            raws = self._db.rows("SELECT raw FROM entries UNION ALL SELECT raw FROM hub_entries")
            entries = [msgspec.msgpack.decode(raw, type=ev.Entry) for (raw,) in raws if raw]
            self.views.clear()
            for entry in sorted(entries, key=lambda entry: entry.stamp):
                self.fold(ev.event_of(entry), entry.stamp, entry.actor)
            row = self._db.row("SELECT count(*) FROM visits")
        return int(row[0]) if row else 0

    # -- sealing --------------------------------------------------------------------------------

    def close_run(self) -> None:
        """The process ends in order: the heads of its logs are due."""
        with self._db.transaction():
            for stream in self._writers:
                self._want_head(stream)

    def pending(self, *, audit: bool = True) -> list[Pending]:
        """Every entry that no bundle covers, of this run and of earlier ones, in pieces fit to be sealed.

        Without ``audit`` the audit streams are left for later.
        """
        found = self._uncovered.pending(((self._run, int(stream)) for stream in self._writers), audit=audit)
        return found + [Pending(one.payload, one.last_seq, False, one.rowid) for one in self.held.again()]

    def sealed(self, pending: Pending, ref: BundleRef) -> Outgoing:
        """Keep a sealed bundle in the outbox, then note what it covers."""
        faults.point("journal.sealed")
        self._outbox.add(ref)
        payload = pending.payload
        with self._db.transaction():
            self._db.run(
                "INSERT INTO bundles (ref, run, stream, first_seq, last_seq, cls, level, level_ms, quarantined) "
                "VALUES (?,?,?,?,?,?,0,0,0)",
                ref.bundle_id,
                payload.run,
                payload.stream,
                payload.first_seq,
                pending.last_seq,
                payload.cls,
            )
            if pending.wanted:
                self.held.sealed(pending.wanted)
            else:
                self.touched.name(self._visits_in(payload.run, payload.stream, payload.first_seq, pending.last_seq))
                self._db.run(
                    "INSERT INTO logs (run, stream, sealed_upto, head_due) VALUES (?, ?, ?, ?) ON CONFLICT "
                    "(run, stream) DO UPDATE SET sealed_upto = max(sealed_upto, excluded.sealed_upto), "
                    "head_due = excluded.head_due",
                    payload.run,
                    payload.stream,
                    pending.last_seq,
                    int(pending.head_due),
                )
        faults.point("journal.covered")
        return Outgoing(ref, payload.cls)

    def acknowledged(self, words: Sequence[BundleAcked], at_ms: int) -> set[str]:
        """The hub has fsynced bundles: durable in the outbox first, then known to the views. The visits in them.

        ``at_ms``: when we heard it, for people to see.
        """
        self._outbox.acknowledge_all(words)
        faults.point("ack.stored")
        visits: set[str] = set()
        for word in words:
            self.held.noted(word.bundle_id)
            sql = "SELECT run, stream, first_seq, last_seq FROM bundles WHERE ref = ?"
            for covers in self._db.rows(sql, word.bundle_id):
                visits |= self._visits_in(*covers)
            visits |= {self.views.media.visit_of(word.bundle_id)} - {""}
        self._learn({word.bundle_id: (word.level, word.quarantined) for word in words}, at_ms, visits)
        return visits

    def _visits_in(self, run: bytes, stream: int, first_seq: int, last_seq: int) -> set[str]:
        sql = "SELECT DISTINCT visit_id FROM entries WHERE run = ? AND stream = ? AND seq BETWEEN ? AND ?"
        return {row[0] for row in self._db.rows(sql, run, stream, first_seq, last_seq)} - {""}

    def learn_levels(self) -> None:
        """What was acknowledged while the node was locked; what a damaged outbox has lost is sealed anew."""
        self._learn(self._outbox.levels())
        sealed = [ref for (ref,) in self._db.rows("SELECT ref FROM bundles WHERE level = 0")]
        for refs in (sealed, self.views.media.unacknowledged()):
            if lost := [ref for ref in refs if self._outbox.find(ref) is None]:
                self.reseal(lost)

    def _learn(self, levels: dict[bytes, tuple[int, bool]], at_ms: int = 0, visits: set[str] | None = None) -> None:
        """``visits``: those of the bundles, where they are known."""
        with self._db.transaction():
            if visits is not None:
                self.touched.name(visits)
            for ref, (level, quarantined) in levels.items():
                self._db.run(
                    "UPDATE bundles SET level = max(level, ?), "
                    "level_ms = CASE WHEN ? > level THEN ? ELSE level_ms END, "
                    "quarantined = max(quarantined, ?) WHERE ref = ?",
                    level,
                    level,
                    at_ms,
                    int(quarantined),
                    ref,
                )
                if at_ms:
                    self._db.run("INSERT OR IGNORE INTO heard (ref, at_ms) VALUES (?, ?)", ref, at_ms)
                self.views.media.learn(ref, level, at_ms)
        self._outbox.forget(list(levels))

    def reseal(self, refs: Sequence[bytes]) -> None:
        """The hub cannot open these bundles any more: their entries are to be sealed anew."""
        with self._db.transaction():
            for ref in refs:
                row = self._db.row("SELECT run, stream, first_seq, last_seq, cls FROM bundles WHERE ref = ?", ref)
                if row is not None:
                    self.held.reseal(*row)
                self._db.run("DELETE FROM bundles WHERE ref = ?", ref)
                self.views.media.forget_ref(ref)
        self._outbox.forget(refs)

    # -- downlink -------------------------------------------------------------------------------

    def import_down(
        self,
        payload: bundle.BundlePayload,
        own: Mapping[int, ev.Event],
        at: Instant,
        down: seal.SignedDown | None = None,
    ) -> Imported:
        """Keep the hub's entries and fold the new ones; take back our own that were lost here.

        ``own``: what we say to the entry of that seq; said once, however often the blob comes. ``down``: as it was
        signed, to be given back to a hub that has lost it.
        """
        with self._db.transaction():
            if payload.stream != Stream.HUB:
                self._uncovered.look_again()
                done, stamp, writers = self._take_back(payload, at)
            else:
                events = [ev.event_of(msgspec.msgpack.decode(raw, type=ev.Entry)) for raw in payload.entries]
                self.touched.name(name for event in events for name in _names_in(event))
                done, stamp, writers = self._take_in(payload, own, at, down)
            faults.point("down.importing")
        faults.point("down.imported")
        self._stamp, self._writers = stamp, writers
        return done

    def _take_back(self, payload: bundle.BundlePayload, at: Instant) -> tuple[Imported, int, dict[Stream, Writer]]:
        """Own entries; what the hub had prescribed for their visits is stored with them."""
        touched = self.erasing.reopen(self.held.take_back(payload))
        self.held.refold(touched)
        stamps = [msgspec.msgpack.decode(raw, type=ev.Entry).stamp for raw in payload.entries]
        stamp = max(self._stamp, min(max(stamps, default=0), next_stamp(0, at.wall_ms)))
        answers = [
            ev.PrescriptionStored(visit.visit_id, one.prescription_id)
            for visit in filter(None, map(self.views.visit, sorted(touched)))
            for one in visit.prescriptions
            if not one.stored_ms
        ]
        return self._answer(touched, answers, stamp, at)

    def _take_in(
        self,
        payload: bundle.BundlePayload,
        own: Mapping[int, ev.Event],
        at: Instant,
        down: seal.SignedDown | None,
    ) -> tuple[Imported, int, dict[Stream, Writer]]:
        """The hub's entries. Of a visit that is not known here we say nothing yet: it may be on its way back."""
        touched: set[str] = set()
        answers: list[ev.Event] = []
        stamp = self._stamp
        if down is not None:
            self.held.keep_said(down, payload)
        for seq, raw in enumerate(payload.entries, payload.first_seq):
            entry = msgspec.msgpack.decode(raw, type=ev.Entry)
            event = ev.event_of(entry)
            fresh = self._db.run(
                "INSERT OR IGNORE INTO hub_entries (run, stream, seq, raw, visit_id) VALUES (?, ?, ?, ?, ?)",
                payload.run,
                payload.stream,
                seq,
                raw,
                ev.visit_of(event),
            )
            if not fresh:
                continue
            stamp = max(stamp, min(entry.stamp, next_stamp(0, at.wall_ms)))
            self.fold(event, entry.stamp, entry.actor)
            if isinstance(event, ev.MediaWanted):
                self.views.media.wanted(event)
            touched |= self.erasing.hear(event)
            if ev.visit_of(event) in self._of_locked:
                self.held.refold({ev.visit_of(event)})
            if seq in own and not self._has_answered(own[seq]):
                answers.append(own[seq])
        return self._answer(touched - {""}, answers, stamp, at)

    def _has_answered(self, mine: ev.Event) -> bool:
        """Whether our log says it already, or cannot say it yet because the visit is not known."""
        visit = self.views.visit(ev.visit_of(mine))
        if visit is None or not isinstance(mine, ev.PrescriptionStored):
            return visit is None
        return any(one.prescription_id == mine.prescription_id and one.stored_ms for one in visit.prescriptions)

    def _answer(
        self, touched: set[str], answers: Sequence[ev.Event], stamp: int, at: Instant
    ) -> tuple[Imported, int, dict[Stream, Writer]]:
        """Record what we say to it, inside the caller's transaction."""
        writers = dict(self._writers)
        for mine in answers:
            stamp = next_stamp(stamp, at.wall_ms)
            folded = self.fold(mine, stamp, "")
            self._append(writers, mine, ev.entry_of(mine, stamp, ""), folded if isinstance(folded, Visit) else None)
        return Imported(frozenset(touched), tuple(answers)), stamp, writers

    def close(self) -> None:
        """Close the store."""
        self._db.close()


def _names_in(event: ev.Event | ev.Unknown) -> set[str]:
    """The visit and the patient that an event changes."""
    return {ev.visit_of(event), getattr(event, "patient_id", "")}
