"""Node and hub in one forked process that is killed at the n-th durable step, life after life, on the same files.

The real journal, outbox, endpoints, store, receiving and comparing; only threads, sockets and HTTP are left out, so
that a life takes a tenth of a second. A kill right after a commit may also tear that commit: the last transaction's
frames in the WAL are cut somewhere, as when the power fails before the fsync; nobody has been answered by then. Now
and then the hub's database is put back to an earlier life's.
"""

import hashlib
import os
import random
import secrets
import shutil
import signal
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
from sqlalchemy import select

from edge.model import events as ev
from edge.model.clock import Instant
from edge.model.ids import ID_BYTES, make_id
from edge.node.config import NodeConfig, Site
from edge.node.journal import Journal, Secrets
from edge.node.outbox import OutboxDb
from edge.sync import bundle, enrol, faults, holdings, seal
from edge.sync.endpoint import HubEndpoint, NodeEndpoint
from edge.sync.link import (
    BundleAcked,
    BundleArrived,
    BundleQuarantined,
    DownArrived,
    DownStored,
    HubMet,
    NodeSeen,
    Reseal,
    StateArrived,
)
from hub import directory, down, giving, returns
from hub.backup import init_hub
from hub.config import Settings
from hub.keys import load_keys
from hub.receive import receive_bundle
from hub.store.engine import Store
from hub.store.schema import entries
from tests.faults.torn import TEARABLE, tear
from tests.hub.kit import registered, visit_events
from tests.sync.kit import watch_nonces

STEPS_PER_LIFE = 60
AT = Instant(1_790_000_000_000, True)


class Life:
    """One process: opens both stores, works, and ends when it is killed or has drained."""

    def __init__(self, home: Path, seed: int, tell: Callable[[bytes], None]) -> None:
        self.draw = random.Random(seed)
        self.tell = tell
        self.keys = load_keys(home / "hub")
        self.store = Store(Settings(home / "hub").database_url)
        made = msgspec.msgpack.decode((home / "node.msgpack").read_bytes(), type=tuple[NodeConfig, Secrets, bytes])
        self.config, self.secrets, dmk = made
        self.directory = directory.NodeDirectory()
        nodes = self.store.read_now(lambda connection: directory.load_changed(connection, self.keys, {}))
        for record, site in zip(nodes.records, nodes.sites, strict=True):
            self.directory.put(record, site)
        self.record = self.directory.by_id(self.config.node_id)
        assert self.record is not None
        self.speaker = down.Speaker(self.keys, secrets.token_bytes(8))
        self.now = 1000.0
        self.run = secrets.token_bytes(8)
        self.outbox = OutboxDb(home / "node")
        self.journal = Journal(home / "node", dmk, self.config, self.outbox, self.run)
        self.journal.learn_levels()
        self.hub = HubEndpoint(self.keys.hub, self.directory, self.now, unix_offset_s=1e9, random=secrets.token_bytes)
        self.node = NodeEndpoint(
            self.config.keys(),
            self.run,
            secrets.token_bytes(32),
            seal.Grade.LOG,
            self.secrets.log,
            self.now,
            random=secrets.token_bytes,
        )
        for seq in self.outbox.down_seqs():
            self.node.down_stored(seq)
        for seq, blob in self.outbox.downs():
            self._import(seq, blob)
        for name, _ in self.outbox.waiting():
            found = self.outbox.find(name)
            assert found is not None
            self.node.submit_bundle(found[0], 1, self.now)
        for waits in self.store.read_now(down.waiting):
            self.hub.send_down(waits.node_id, waits.seq, waits.blob, waits.cls, self.now)

    # -- what people do ---------------------------------------------------------------------------

    def work(self) -> None:
        """Some visits, some notes by the doctor, in between what the link does."""
        for _ in range(STEPS_PER_LIFE):
            match self.draw.randrange(6):
                case 0:
                    self._visit()
                case 1:
                    self._note()
                case 2:
                    self._seal()
                case _:
                    self.link(0.4)

    def _visit(self) -> None:
        patient, visit = (_id() for _ in range(2))
        self.journal.record([registered(patient), *visit_events(visit, patient)][: self.draw.randint(2, 10)], "n1", AT)
        self.tell(b"saved " + visit.encode())

    def _note(self) -> None:
        name = _id()
        event = ev.DoctorNote(name, "doc", "Drinks well.")
        blob = self.store.write_now(
            lambda connection: down.speak(
                connection, self.speaker, self.config.node_id.hex(), (event,), "doc", AT.wall_ms
            )
        )
        self.tell(b"said " + name.encode())
        self.hub.send_down(blob.node_id, blob.seq, blob.blob, blob.cls, self.now)

    def _seal(self) -> None:
        for piece in self.journal.pending():
            outgoing = self.journal.sealed(piece, self.node.seal_bundle(piece.payload))
            self.node.submit_bundle(outgoing.ref, outgoing.cls, self.now)

    # -- what the link does -----------------------------------------------------------------------

    def link(self, seconds: float) -> None:
        """Carry datagrams, losing some and doubling some."""
        end = self.now + seconds
        while self.now < end:
            self.now += 0.05
            leaving = self.node.datagrams_to_send(self.now)
            self._answered(leaving)
            for data, _ in leaving:
                for _ in range(self._copies()):
                    self.hub.receive(data, ("udp", 1), self.now)
            self._hub_hears()
            answers = self.hub.datagrams_to_send(self.now)
            self._answered(answers)
            for data, _ in answers:
                for _ in range(self._copies()):
                    self.node.receive(data, "udp", self.now)
            self._node_hears()

    def _answered(self, leaving: Sequence[object]) -> None:
        """What leaves a machine may rest on anything that it has committed: no power cut takes that any more."""
        if leaving:
            self.tell(b"")

    def _copies(self) -> int:
        return self.draw.choices((0, 1, 2), (10, 80, 10))[0]

    def _hub_hears(self) -> None:
        node_id, record = self.config.node_id, self.record
        assert record is not None
        while (event := self.hub.next_event()) is not None:
            match event:
                case BundleArrived():
                    arrived = event
                    keys = self.keys
                    self.store.write_now(lambda c: receive_bundle(c, arrived, record, keys, AT.wall_ms))  # noqa: B023
                    self.hub.bundle_stored(node_id, event.bundle_id)
                case BundleQuarantined():
                    raise AssertionError(event.reason)
                case DownStored(_, seq):
                    self.store.write_now(lambda c: down.mark_stored(c, node_id, seq, AT.wall_ms))
                case NodeSeen(fresh=True):
                    for blob in self.store.read_now(down.waiting):
                        self.hub.send_down(blob.node_id, blob.seq, blob.blob, blob.cls, self.now)
                case StateArrived(_, body):
                    told = holdings.decode(body)
                    assert isinstance(told, holdings.Holdings)
                    found = self.store.read_now(
                        lambda c: returns.answer(c, node_id.hex(), told, AT.wall_ms)  # noqa: B023
                    )
                    self.hub.send_state(node_id, holdings.encode(found.message), 1, self.now)
                    for piece in found.pieces:
                        packed = self.store.read_now(
                            lambda c: giving.pack_piece(c, self.speaker, record, piece)  # noqa: B023
                        )
                        assert packed is not None
                        given = self.store.write_now(
                            lambda c: giving.seal_piece(c, self.speaker, record, packed, AT.wall_ms)  # noqa: B023
                        )
                        self.hub.send_down(node_id, given.seq, given.blob, given.cls, self.now)
                case _:
                    pass

    def _node_hears(self) -> None:
        while (event := self.node.next_event()) is not None:
            match event:
                case BundleAcked():
                    self.journal.acknowledged([event], AT.wall_ms)
                case DownArrived(seq, blob):
                    self.outbox.add_down(seq, blob)
                    self.node.down_stored(seq)
                    self._import(seq, blob)
                case Reseal(ref):
                    self.journal.reseal([ref])
                case HubMet():
                    self._tell(whole=False)
                case StateArrived(_, body):
                    message = holdings.decode(body)
                    if isinstance(message, holdings.AskAll):
                        self._tell(whole=True)
                    elif isinstance(message, holdings.Wanted):
                        assert self.journal.held.want(message.spans) == 0
                        self._seal()
                case _:
                    pass

    def _tell(self, *, whole: bool) -> None:
        self.node.send_state(holdings.encode(self.journal.held.describe((), whole=whole)), 1, self.now)

    def _import(self, seq: int, blob: bytes) -> None:
        said = seal.open_down(blob, self.config.node_id, self.secrets.records, self.config.hub_sign)
        self.journal.import_down(bundle.unpack(said.payload), {}, AT, said)
        self.outbox.down_imported(seq)

    def drain(self) -> None:
        """Until nothing is owed by either side."""
        for _ in range(400):
            self._seal()
            self.link(1.0)
            if not self.outbox.backlog()[0] and not self.store.read_now(down.waiting) and not self.journal.pending():
                self.link(3.0)
                if not self.outbox.backlog()[0] and not self.store.read_now(down.waiting):
                    return
        raise AssertionError("it did not drain")

    def check(self, saved: Counter[str], said: Counter[str]) -> None:
        """Both sides hold each promised thing, and once."""
        rows = self.store.read_now(
            lambda connection: connection.execute(select(entries.c.raw, entries.c.stream, entries.c.visit_id)).all()
        )
        at_hub: Counter[str] = Counter()
        notes: Counter[str] = Counter()
        for row in rows:
            event = ev.event_of(msgspec.msgpack.decode(row.raw, type=ev.Entry))
            at_hub[row.visit_id] += isinstance(event, ev.VisitOpened)
            notes[row.visit_id] += isinstance(event, ev.DoctorNote)
        at_node: Counter[str] = Counter()
        heard: Counter[str] = Counter()
        for table, kind, counted in (("entries", 3, at_node), ("hub_entries", 68, heard)):
            for (raw,) in self.journal._db.rows(f"SELECT raw FROM {table}"):  # noqa: S608
                entry = msgspec.msgpack.decode(raw, type=ev.Entry)
                counted[ev.visit_of(ev.event_of(entry))] += entry.kind == kind
        lost = [name for name in saved if at_hub[name] != 1 or at_node[name] != 1]
        assert not lost, f"{len(lost)} of {len(saved)} visits lost or doubled"
        lost = [name for name in said if notes[name] != 1 or heard[name] != 1]
        assert not lost, f"{len(lost)} of {len(said)} notes lost or doubled"
        assert max(at_hub.values(), default=0) <= 1
        assert max(heard.values(), default=0) <= 1


def _id() -> str:
    return make_id(secrets.token_bytes(ID_BYTES))


def make_home(home: Path) -> None:
    """A hub, and a node that is enrolled there."""
    home.mkdir(exist_ok=True)
    settings = Settings(home / "hub")
    keys = init_hub(settings)
    store = Store(settings.database_url)
    site = directory.Site("", "UP01", "Site", "Sitapur", True)
    text = store.write_now(lambda connection: directory.add_token(connection, keys, site, AT.wall_ms, 3600))
    token = enrol.parse_token(text)
    checked = enrol.check_announcement(keys.announcement, token)
    drawn = enrol.EnrolSecrets(*(secrets.token_bytes(32) for _ in range(4)))
    body = enrol.make_request(token, checked, drawn)
    reply = store.write_now(
        lambda connection: directory.enrol_node(connection, keys, body, directory.Ports(1, 2), AT.wall_ms)
    )
    store.close()
    grant, node = enrol.open_reply(reply, body, drawn, checked)
    config = NodeConfig(
        node.node_id,
        node.psk,
        node.device,
        seal.verifier_of(drawn.log),
        seal.public_of(drawn.records),
        node.hub_root,
        node.hub_sign,
        node.hub_kem,
        bytes(32),
        "127.0.0.1",
        9,
        9,
        Site(grant.site_code, grant.site_name),
        True,
    )
    dmk, keep = secrets.token_bytes(32), Secrets(drawn.log, drawn.records)
    (home / "node").mkdir()
    (home / "node.msgpack").write_bytes(msgspec.msgpack.encode((config, keep, dmk)))
    outbox = OutboxDb(home / "node")
    journal = Journal(home / "node", dmk, config, outbox, secrets.token_bytes(8))
    journal.keep_secrets(keep)
    journal.close()
    outbox.close()


class Lives:
    """The parent of all lives: forks, listens, tears, restores, counts."""

    def __init__(self, home: Path, seed: int) -> None:
        self.home, self.draw = home, random.Random(seed)
        self.kills = self.torn = self.restored = 0
        self.points: Counter[str] = Counter()
        self.saved: Counter[str] = Counter()
        self.said: Counter[str] = Counter()
        self._nonces: dict[bytes, bytes] = {}
        self.reused = 0
        self._told: dict[str, int] = {}
        make_home(home)

    def go(self, kills: int) -> None:
        """Live until so many lives were killed, then once more to the end, and check."""
        while self.kills < kills:
            if self.draw.random() < 0.06 and (self.home / "old.db").exists():
                self._fork(0, self.draw.getrandbits(32), last=True)
                self._restore_hub()
            elif self.draw.random() < 0.1:
                self._back_up_hub()
            self._fork(int(2 ** self.draw.uniform(1, 8)), self.draw.getrandbits(32), last=False)
        self._fork(0, self.draw.getrandbits(32), last=True)

    def _fork(self, kill_at: int, seed: int, *, last: bool) -> None:
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(reading)
            code = 1
            try:
                self._live(writing, kill_at, seed, last=last)
                code = 0
            except BaseException as error:
                os.write(writing, b"failed " + repr(error)[:400].replace("\n", " ").encode() + b"\n")
            finally:
                os._exit(code)
        os.close(writing)
        with os.fdopen(reading, "rb") as pipe:
            told = pipe.read()
        status = os.waitpid(pid, 0)[1]
        point = self._hear(told)
        if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
            self.kills += 1
            self.points[point] += 1
            if point in TEARABLE and self.draw.random() < 0.9:
                self.torn += tear(self.home / TEARABLE[point], self.draw, self._told[TEARABLE[point]])
        elif os.waitstatus_to_exitcode(status) != 0:
            raise AssertionError(told.rpartition(b"failed ")[2].decode(errors="replace"))

    def _live(self, writing: int, kill_at: int, seed: int, *, last: bool) -> None:
        told: list[bytes] = []

        def tell(line: bytes) -> None:
            sizes = [f"wal {name} {_size(self.home / name)}".encode() for name in sorted(set(TEARABLE.values()))]
            if line or sizes != told:
                os.write(writing, b"\n".join([line, *sizes, b""]))
            told[:] = sizes

        passed = faults.point

        def point(name: str) -> None:
            passed(name)
            tell(b"")  # the next step rests on what is committed here

        setattr(faults, "point", point)  # noqa: B010
        tell(b"")  # what earlier lives left behind was answered long ago
        watch = watch_nonces()
        lines: list[bytes] = []
        if kill_at:
            os.environ[faults.VARIABLE] = f"*:{kill_at}"

            def before_kill(name: str) -> None:
                os.write(writing, b"\n".join([*_nonce_lines(watch.sealed), b"point " + name.encode(), b""]))

            setattr(faults, "before_kill", before_kill)  # noqa: B010
        life = Life(self.home, seed, tell)
        if not last:
            life.work()
        else:
            life.drain()
            life.check(self.saved, self.said)
        lines += _nonce_lines(watch.sealed)
        lines += [b"reused"] * len(watch.repeated)
        os.write(writing, b"\n".join([*lines, b""]))

    def _hear(self, told: bytes) -> str:
        point = ""
        self._told = dict.fromkeys(TEARABLE.values(), 0)
        for line in told.split(b"\n"):
            word, _, rest = line.partition(b" ")
            if word == b"saved":
                self.saved[rest.decode()] += 1
            elif word == b"said":
                self.said[rest.decode()] += 1
            elif word == b"nonce":
                place, _, content = rest.partition(b" ")
                self.reused += self._nonces.setdefault(place, content) != content
            elif word == b"wal":
                name, _, size = rest.decode().partition(" ")
                self._told[name] = int(size)
            elif word == b"reused":
                self.reused += 1
            elif word == b"point":
                point = rest.decode()
        return point

    def _back_up_hub(self) -> None:
        for suffix in ("", "-wal"):
            source = self.home / "hub" / f"hub.db{suffix}"
            target = self.home / f"old.db{suffix}"
            target.unlink(missing_ok=True)
            if source.exists():
                shutil.copyfile(source, target)

    def _restore_hub(self) -> None:
        """An old database; not while it is the only one that knows of a note."""
        with sqlite3.connect(self.home / "hub" / "hub.db") as reading:
            waiting = reading.execute("SELECT count(*) FROM down WHERE stored_ms = 0").fetchone()[0]
        reading.close()
        if waiting:
            return
        self.restored += 1
        for suffix in ("", "-wal", "-shm"):
            target = self.home / "hub" / f"hub.db{suffix}"
            target.unlink(missing_ok=True)
            source = self.home / f"old.db{suffix}"
            if source.exists():
                shutil.copyfile(source, target)


def _nonce_lines(sealed: dict[tuple[bytes, bytes], bytes]) -> list[bytes]:
    found = []
    for (key, nonce), plain in sealed.items():
        place = hashlib.sha256(key + nonce).hexdigest()[:24]
        found.append(f"nonce {place} {hashlib.sha256(plain).hexdigest()[:16]}".encode())
    return found


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def main() -> None:
    """``python -m tests.faults.lives KILLS SEED``: what came of it, in one line."""
    import sys
    import tempfile

    kills, seed = int(sys.argv[1]), int(sys.argv[2])
    with tempfile.TemporaryDirectory() as folder:
        began_s = time.monotonic()
        lives = Lives(Path(folder) / "home", seed)
        lives.go(kills)
        print(
            f"kills {lives.kills}, torn {lives.torn}, hub restored {lives.restored}, visits {len(lives.saved)}, "
            f"notes {len(lives.said)}, sealed {len(lives._nonces)}, reused {lives.reused}, "
            f"{time.monotonic() - began_s:.0f} s, at {dict(lives.points)}"
        )


if __name__ == "__main__":
    main()
