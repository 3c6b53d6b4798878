"""The site of a stolen node, as its hub holds it: a thousand visits and more, with what both sides said about them.

Entries go in by the hub's own code (``receive_bundle``, ``down.speak``), so that they fold and chain as if they had
come over the link. Nobody here is real; no note stands in the dictionary's or the model's training set, none repeats.
"""

import random
import secrets
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec import Struct
from sqlalchemy import Connection, select, update

from edge.model import events as ev
from edge.model.ids import ID_BYTES, make_id
from edge.model.media import Facts, Manifest, MediaType, Purpose, chunk_count
from edge.model.prescribing import PrescriptionRecord
from edge.model.records import ConsultType, MedicineLine, Mode
from edge.model.reference import reference
from edge.slips.sign import certify_doctor, sign_record
from edge.sync.bundle import BundlePayload
from edge.sync.link import BundleArrived
from edge.sync.log import Stream
from edge.sync.seal import RUN_BYTES, Grade, NodeRecord
from hub import down
from hub.config import Settings
from hub.directory import load_record
from hub.keys import Keyring, load_keys
from hub.receive import receive_bundle
from hub.store.engine import Store
from hub.store.schema import down as down_table
from hub.store.schema import entries
from hub.store.schema import visits as visits_table
from tests.bench import shapes
from tests.bench.consultations import CORPUS, Words
from tests.bench.wording import OTHER

DAY_MS = 86_400_000
VISITS, OLDER = 1_000, 300
"""What has to come back, and older visits that must not."""
A_DAY = 30
PHOTO_EVERY = 3
PREVIEW_BYTES, ORIGINAL_BYTES = 7_500, 150_000
STAFF = (
    ("Asha Devi", "आशा देवी", "anm"),
    ("Rekha Kumari", "रेखा कुमारी", "cho"),
    ("Imran Ali", "इमरान अली", "technician"),
)


class Site(Struct, frozen=True):
    """What was put into the hub."""

    kept: tuple[str, ...]
    """Visits that have to come back, newest first."""
    old: tuple[str, ...]
    """Visits that must stay at the hub."""
    last_week: tuple[str, ...]
    export: bytes
    """The entries of the kept visits as JSON: what a peer downloads."""


def words(draw: random.Random) -> Words:
    """Names of both lists that nothing was trained on, and notes of words in an order that nobody wrote."""
    pool = [word for note in (*CORPUS.notes, *OTHER.notes) for word in note.split()]
    notes = tuple(" ".join(draw.choices(pool, k=draw.randrange(3, 13))) for _ in range(3 * (VISITS + OLDER)))
    return Words(
        CORPUS.given + OTHER.given,
        CORPUS.family + OTHER.family,
        CORPUS.villages + OTHER.villages,
        ("", *notes),
        OTHER.site,
        OTHER.actor,
    )


class _Writer:
    """Puts the days of a node into a hub."""

    def __init__(self, connection: Connection, keys: Keyring, record: NodeRecord, staff: tuple[str, ...]) -> None:
        self._connection, self._keys, self._record = connection, keys, record
        self.draw = random.Random("restore")
        self.node = shapes.Node(words(self.draw), "restore", staff=staff)
        self._speaker = down.Speaker(keys, secrets.token_bytes(RUN_BYTES))
        self._doctor = Ed25519PrivateKey.generate()
        self.entries: dict[str, list[bytes]] = {}
        self.opened: list[str] = []

    def day(self, begins_ms: int, count: int) -> None:
        """One process of the node: a log of its own, and what the hub said that day."""
        run, first, audit = self.draw.randbytes(RUN_BYTES), 1, 0
        for number in range(count):
            self.node._wall_ms = begins_ms + number * (7 * 3_600_000 // count)
            raws = self._with_photo(self.node.visit(whole=True).raw, number)
            visit_id = self._visit_of(raws)
            self._receive(BundlePayload(1, run, Stream.CLINICAL, first, raws))
            first += len(raws)
            self._speak(visit_id, raws)
            audit += 4
        self._receive(BundlePayload(5, run, Stream.AUDIT, 1, self.node.audit(audit)))

    def _visit_of(self, raws: tuple[bytes, ...]) -> str:
        events = [ev.event_of(msgspec.msgpack.decode(raw, type=ev.Entry)) for raw in raws]
        visit_id = next(event.visit_id for event in events if isinstance(event, ev.VisitOpened))
        self.entries[visit_id] = list(raws)
        self.opened.append(visit_id)
        return visit_id

    def _with_photo(self, raws: tuple[bytes, ...], number: int) -> tuple[bytes, ...]:
        """Preview and photo of every third visit, named in its log before the last entry."""
        if number % PHOTO_EVERY:
            return raws
        last = msgspec.msgpack.decode(raws[-1], type=ev.Entry)
        visit_id = ev.visit_of(ev.event_of(last))
        more: list[bytes] = []
        preview_id = ""
        for purpose, size in ((Purpose.PREVIEW, PREVIEW_BYTES), (Purpose.ORIGINAL, ORIGINAL_BYTES)):
            digest = self.draw.randbytes(32)
            facts = Facts(MediaType.JPEG, 640, 480)
            checks = self.draw.randbytes(8 * chunk_count(size))
            manifest = Manifest(make_id(digest[:ID_BYTES]), purpose, facts, size, digest, checks, preview_id)
            preview_id = manifest.blob_id
            attached = ev.MediaAttached(visit_id, manifest)
            more.append(msgspec.msgpack.encode(ev.entry_of(attached, last.stamp - 2 + len(more), last.actor)))
        return (*raws[:-1], *more, raws[-1])

    def _receive(self, payload: BundlePayload) -> None:
        arrived = BundleArrived(self._record.node_id, b"", Grade.LOG, payload, b"")
        stamp = msgspec.msgpack.decode(payload.entries[-1], type=ev.Entry).stamp
        taken = receive_bundle(self._connection, arrived, self._record, self._keys, stamp >> 16)
        assert taken.fresh == len(payload.entries), taken

    def _speak(self, visit_id: str, raws: tuple[bytes, ...]) -> None:
        """The hub's side: opened, taken, called, prescribed. As the doctor's clicks make it, in three pieces."""
        said = {}
        for raw in raws:
            entry = msgspec.msgpack.decode(raw, type=ev.Entry)
            said[entry.kind] = (entry.stamp >> 16, ev.event_of(entry))
        at_ms, held = said[ev.KIND_OF[ev.CallHeld]]
        stored = said[ev.KIND_OF[ev.PrescriptionStored]][1]
        assert isinstance(held, ev.CallHeld) and isinstance(stored, ev.PrescriptionStored)
        seen = ev.VisitSeen(visit_id, "anil")
        taken = ev.VisitAssigned(visit_id, "anil", "Dr Anil Demo")
        mine = msgspec.structs.replace(held, side="doctor", call_id=held.call_id)
        record = self._prescription(visit_id, stored.prescription_id, at_ms)
        public = self._doctor.public_key().public_bytes_raw()
        certificate = certify_doctor(public, "anil", "Dr Anil Demo", "DEMO/00001", self._keys.sign)
        signed = sign_record(record, self._doctor.private_bytes_raw(), certificate, self._keys.sign, at_ms)
        rx = ev.PrescriptionSigned(visit_id, stored.prescription_id, msgspec.msgpack.encode(signed))
        for events in ((seen,), (taken,), (mine,), (rx,)):
            down.speak(self._connection, self._speaker, self._record.node_id.hex(), events, "anil", at_ms)

    def _prescription(self, visit_id: str, prescription_id: str, at_ms: int) -> PrescriptionRecord:
        draw, words = self.draw, self.node._words
        drugs = draw.sample(reference().formulary, draw.choice((1, 2, 2, 3)))
        lines = tuple(
            MedicineLine(
                drug_id=drug.id, generic=drug.generic, form=drug.form, strength=drug.strength, dose="1", route="oral",
                frequency=draw.choice(("OD", "BD", "TDS")), duration_days=draw.randrange(1, 15), food="after",
                quantity=str(draw.randrange(3, 40)), approved=True,
            )
            for drug in drugs
        )  # fmt: skip
        return PrescriptionRecord(
            prescription_id=prescription_id, visit_id=visit_id, token=f"{words.site}-{draw.randrange(1, 60):03d}",
            signed_ms=at_ms, time_trusted=True, site_name=words.site, site_code=words.site, worker_name=STAFF[0][0],
            doctor_id="anil", doctor_name="Dr Anil Demo", qualification="MBBS (demo)", registration="DEMO/00001",
            doctor_contact="", patient_name=f"{draw.choice(words.given)} {draw.choice(words.family)}",
            patient_age=f"{draw.randrange(1, 90)} years", patient_sex=draw.choice(("female", "male")),
            patient_village=draw.choice(words.villages), weight_kg=float(draw.randrange(5, 90)),
            complaints=tuple(draw.choice(words.notes)[:60] or "fever" for _ in range(draw.choice((1, 2)))),
            findings=draw.choice(words.notes), diagnosis=draw.choice(words.notes)[:80] or "fever", diagnosis_code="",
            provisional=True, allergies="none known", medicines=lines, advice=draw.choice(words.notes), tests=(),
            referral=None, follow_up_date="", mode=Mode.VIDEO, consult_type=ConsultType.FIRST,
        )  # fmt: skip


def fill(hub_data: Path, node_id: str, staff: tuple[str, ...], now_ms: int) -> Site:
    """Put the site into the database of a hub that does not run; the newest visit is an hour old."""
    settings = Settings(hub_data)
    keys, store = load_keys(hub_data), Store(settings.database_url)

    def act(connection: Connection) -> Site:
        record = load_record(connection, keys, node_id)
        assert record is not None
        writer = _Writer(connection, keys, record, staff)
        days = -(-(VISITS + OLDER) // A_DAY)
        older_days = -(-OLDER // A_DAY)
        for number in range(days):
            # What must not come back lies before the 90 days.
            before = (days - number - 1) + (100 if number < older_days else 0)
            writer.day(now_ms - 8 * 3_600_000 - before * DAY_MS, A_DAY)
        old, kept = writer.opened[: older_days * A_DAY], writer.opened[older_days * A_DAY :]
        connection.execute(update(down_table).where(down_table.c.stored_ms == 0).values(stored_ms=now_ms))
        return Site(tuple(reversed(kept)), tuple(old), tuple(reversed(kept[-6 * A_DAY :])), _export(connection, kept))

    try:
        return store.write_now(act)
    finally:
        store.close()


def _export(connection: Connection, kept: list[str]) -> bytes:
    """What both sides said about these visits, and their patients, as JSON."""
    wanted = set(kept)
    patients = {
        row.patient_id
        for row in connection.execute(select(visits_table.c.patient_id, visits_table.c.visit_id))
        if row.visit_id in wanted
    }
    rows: list[list[object]] = []
    for row in connection.execute(select(entries.c.raw, entries.c.visit_id, entries.c.patient_id)):
        if row.visit_id in wanted or row.patient_id in patients:
            entry = msgspec.msgpack.decode(bytes(row.raw), type=ev.Entry)
            event = ev.event_of(entry)
            named = {name: getattr(event, name) for name in event.__struct_fields__}
            rows.append([entry.kind, entry.stamp, entry.actor, named])
    return msgspec.json.encode(rows)
