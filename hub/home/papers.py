"""What a patient at home gives and gets: photos into the record, prescriptions and spoken answers out of it.

A photo comes whole with its small preview, is looked at for what it really is, loses what tells of its taking, and then
goes the way of every photo of a node: manifest, chunks, proof, shelf. Slips are rendered and checked by
:mod:`edge.slips`. Knows no HTTP.
"""

import asyncio
import hashlib

import msgspec
from msgspec import Struct
from sqlalchemy import Connection

from edge.model import commands as cmd
from edge.model import events as ev
from edge.model import media
from edge.model.errors import NotFound, Refusal
from edge.model.fold import PrescriptionState
from edge.model.fold_media import SpokenAnswer
from edge.model.ids import ID_BYTES, make_id
from edge.model.media import Purpose, Upload
from edge.model.media_probe import probe
from edge.model.media_strip import strip
from edge.model.prescribing import PrescriptionRecord, SignedPrescription, Stands, standing
from edge.slips.refusal import SlipRefused
from edge.slips.render import render_slip
from edge.slips.verify import Verified, verify_signed, verify_slip, with_newer
from edge.sync import blobs as blob_core
from edge.sync.bundle import Chunk
from edge.sync.link import ChunkArrived
from edge.sync.seal import Grade

from .. import audit, blob_rows, down, views
from ..answers import sound_of
from ..blobs import Blobs, Content, Look
from . import codes, log, rows
from .desk import HomeDesk, need_mine, not_too_often

_signed = msgspec.msgpack.Decoder(SignedPrescription)


class Checked(Struct, frozen=True):
    """What a slip is worth."""

    record: PrescriptionRecord
    stands: Stands | None


class Papers:
    """Photos and slips of the patients of one desk."""

    def __init__(self, home: HomeDesk, blobs: Blobs) -> None:
        self._home = home
        self._blobs = blobs

    # -- photos ------------------------------------------------------------------------------------

    async def attach(self, account_id: str, visit_id: str, command_id: str, preview: bytes, photo: bytes) -> None:
        """Put a photo with its preview into the record. The same again changes nothing.

        Raises NotFound, RefusedByModel (media_*), TooManyAttempts, Refused(command_reused), LooseLimit.
        """
        home = self._home
        small, large = await asyncio.gather(_looked_at(preview), _looked_at(photo))

        def look(connection: Connection) -> tuple[str, bytes]:
            owned = need_mine(connection, account_id, visit_id)
            return owned.node_id, down.visit_salt(connection, owned.node_id, visit_id)

        site_id, salt = await home.store.read(look)
        size_bytes = len(preview) + len(photo)
        await self._spend(codes.limits_of_photos(rows.pepper(home.keys), account_id, size_bytes))
        given = ((Purpose.PREVIEW, preview, small), (Purpose.ORIGINAL, photo, large))
        uploads = tuple(_upload(visit_id, purpose, salt, raw, facts) for purpose, raw, facts in given)
        command = cmd.AttachMedia(command_id, visit_id, uploads[1].upload_id, uploads[0].upload_id)
        await home.record(account_id, command, uploads)
        for upload, (_, _, facts) in zip(uploads, given, strict=True):
            await self._keep(site_id, upload, b"" if isinstance(facts, Refusal) else facts[1])
        home.changed(visit_id)

    async def _keep(self, site_id: str, upload: Upload, content: bytes) -> None:
        manifest = upload.manifest
        assert manifest is not None
        home, count = self._home, media.chunk_count(manifest.size_bytes)

        def act(connection: Connection) -> None:
            now_ms = home.wall_ms()
            blob_rows.note(connection, home.keys, site_id, frozenset({upload.visit_id}), now_ms)
            for number in range(count):
                at, length = media.chunk_span(manifest.size_bytes, number)
                chunk = Chunk(manifest.blob_id, number, count, content[at : at + length])
                arrived = ChunkArrived(bytes.fromhex(site_id), b"", Grade.LOG, chunk, b"")
                blob_rows.take_chunk(connection, home.keys, arrived, now_ms)

        await home.store.write(act)
        await self._blobs.settle(site_id, manifest.blob_id)

    async def open(self, account_id: str, visit_id: str, blob_id: str) -> Content:
        """A photo of one's own, or what the doctor recorded. Raises NotFound, Refused(media_not_whole)."""
        await self._home.store.read(lambda connection: need_mine(connection, account_id, visit_id))
        return await self._blobs.open(visit_id, blob_id, account_id, Look.NOTED)

    async def listen(self, account_id: str, visit_id: str, answer_id: str) -> tuple[SpokenAnswer, bytes]:
        """What the doctor said into her microphone for one's own visit; the look is audited. Raises NotFound."""

        def act(connection: Connection) -> tuple[SpokenAnswer, bytes]:
            found = sound_of(connection, need_mine(connection, account_id, visit_id).visit, answer_id)
            audit.record(connection, self._home.wall_ms(), account_id, "home_answer", answer_id)
            return found

        return await self._home.store.write(act)

    # -- prescriptions -----------------------------------------------------------------------------

    async def slip(self, account_id: str, visit_id: str, prescription_id: str, paper: str) -> bytes:
        """The slip as PDF, its signatures checked; the record then says that the patient has it.

        Raises NotFound, SlipRefused, TooManyAttempts.
        """
        home = self._home
        await self._spend(codes.limits_of_drawing(rows.pepper(home.keys), account_id))
        state = await self._home.store.read(
            lambda connection: _prescription(connection, account_id, visit_id, prescription_id)
        )
        pdf = await asyncio.to_thread(self._render, state, paper)
        await self._home.store.write(lambda connection: self._note_slip(connection, account_id, visit_id, state))
        self._home.changed(visit_id)
        return pdf

    def _render(self, state: PrescriptionState, paper: str) -> bytes:
        signed = _signed.decode(state.signed)
        verify_signed(signed, self._home.keys.sign_public)
        return render_slip(signed, paper=paper)

    def _note_slip(self, connection: Connection, account_id: str, visit_id: str, state: PrescriptionState) -> None:
        home, now_ms = self._home, self._home.wall_ms()
        owned = need_mine(connection, account_id, visit_id)
        now = next(one for one in owned.visit.prescriptions if one.prescription_id == state.prescription_id)
        events: list[ev.Event] = []
        if not now.stored_ms:
            events.append(ev.PrescriptionStored(visit_id, state.prescription_id))
        if not now.printed_ms:
            events.append(ev.SlipPrinted(visit_id, state.prescription_id, "telephone"))
        if events:
            log.append(connection, home.desk.speaker, owned.node_id, events, log.PATIENT, now_ms)
        audit.record(connection, now_ms, account_id, "home_slip", state.prescription_id)

    async def check(self, address: str, pdf: bytes) -> Checked:
        """Whether a PDF is a slip of this hub, byte for byte, and whether it still stands. Anybody may ask.

        Raises SlipRefused, TooManyAttempts.
        """
        key = self._home.keys.sign_public
        await self._spend(codes.limits_of_checking(rows.pepper(self._home.keys), address))
        verified = await asyncio.to_thread(verify_slip, pdf, key)
        others = await self._home.store.read(lambda connection: _of_visit(connection, verified))
        told = await asyncio.to_thread(with_newer, verified, others, key)
        return Checked(told.record, told.stands)

    async def _spend(self, limits: tuple[codes.Limit, ...]) -> None:
        home = self._home
        not_too_often(await home.store.write(lambda connection: rows.spend(connection, limits, home.wall_ms())))

    def papers_of(self, states: tuple[PrescriptionState, ...]) -> tuple[tuple[PrescriptionRecord, Stands], ...]:
        """The records of a visit's prescriptions whose signatures hold, and whether each still stands."""
        stands = standing(states)
        found = []
        for one in states:
            try:
                record = verify_signed(_signed.decode(one.signed), self._home.keys.sign_public).record
            except (SlipRefused, msgspec.DecodeError):
                continue
            found.append((record, stands[one.prescription_id]))
        return tuple(found)


def _of_visit(connection: Connection, verified: Verified) -> list[SignedPrescription]:
    owned = views.load_visit(connection, verified.record.visit_id)
    return [_signed.decode(one.signed) for one in owned.visit.prescriptions] if owned is not None else []


def _prescription(connection: Connection, account_id: str, visit_id: str, prescription_id: str) -> PrescriptionState:
    states = need_mine(connection, account_id, visit_id).visit.prescriptions
    state = next((one for one in states if one.prescription_id == prescription_id), None)
    if state is None:
        raise NotFound("There is no such prescription.")
    return state


async def _looked_at(raw: bytes) -> tuple[media.Facts, bytes] | Refusal:
    """What the bytes are, and the same picture without what tells of its taking; or why they are no picture."""

    def look() -> tuple[media.Facts, bytes] | Refusal:
        facts = probe(lambda at, length: raw[at : at + length], len(raw))
        if isinstance(facts, Refusal):
            return facts
        content = strip(facts.media_type, raw)
        again = probe(lambda at, length: content[at : at + length], len(content))
        return again if isinstance(again, Refusal) else (again, content)

    return await asyncio.to_thread(look)


def _upload(
    visit_id: str, purpose: Purpose, salt: bytes, raw: bytes, looked: tuple[media.Facts, bytes] | Refusal
) -> Upload:
    """What the model is asked about; its name is that of the bytes, so that the same again is the same."""
    upload_id = make_id(hashlib.sha256(purpose.value.encode() + raw).digest()[:ID_BYTES])
    if isinstance(looked, Refusal):
        return Upload(upload_id, visit_id, purpose, len(raw), len(raw), refusal=looked)
    facts, content = looked
    refusal = media.check(purpose, facts, len(content))
    if refusal is not None:
        return Upload(upload_id, visit_id, purpose, len(raw), len(raw), refusal=refusal)
    manifest = blob_core.manifest_of(salt, purpose, facts, content)
    return Upload(upload_id, visit_id, purpose, len(raw), len(raw), manifest)
