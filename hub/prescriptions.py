"""Prescribing at the hub: what may be signed now, and signing it with the doctor's own key.

The rules are :mod:`edge.model.prescribing`; here is what they are asked about: the mode that the
calls of this visit really reached by the doctor's own measurements, bounded by the time that passed.
Everything happens again on the server at the moment of signing. Fills in no drug.
"""

import hashlib
import secrets

import msgspec
from msgspec import Struct
from sqlalchemy import Connection, select

from edge.model import events as ev
from edge.model import prescribing as rx
from edge.model.errors import BadInput, Fault, Refused, UpkendraError
from edge.model.fold import Call, Patient
from edge.model.ids import ID_BYTES, make_id
from edge.model.records import ConsultType, Mode
from edge.model.reference import reference
from edge.slips.sign import sign_record
from edge.slips.verify import verify_signed
from edge.web.sessions import Session

from . import audit, down, drafts, nodes, views
from .desk import Desk, need_open, need_visit
from .doctors import Doctor, SigningKey, need_enabled
from .store.schema import calls, commands

_encode = msgspec.msgpack.Encoder().encode
_signed = msgspec.msgpack.Decoder(rx.SignedPrescription)
_record = msgspec.msgpack.Decoder(rx.PrescriptionRecord)


class Denied(UpkendraError):
    """The rules of tele-prescribing deny this draft. ``denials`` says what to change."""

    code = "denied"
    fault = Fault.STATE

    def __init__(self, denials: list[rx.Denial]) -> None:
        super().__init__("This prescription cannot be signed as it stands.")
        self.denials = denials


class Checked(Struct, frozen=True):
    """What the rules say about a draft at this moment."""

    denials: tuple[rx.Denial, ...]
    warnings: tuple[rx.Denial, ...]
    mode: Mode
    """What the calls reached so far."""
    consult_type: ConsultType


def calls_of(connection: Connection, visit_id: str, now_ms: int) -> list[Call]:
    """All calls of a visit as the doctor's side measured them; nobody sees more seconds than have passed."""
    found = []
    for row in connection.execute(select(calls).where(calls.c.visit_id == visit_id).order_by(calls.c.started_ms)):
        ended_ms = row.ended_ms or now_ms
        longest_s = max(ended_ms - row.started_ms, 0) / 1000
        found.append(
            Call(
                row.call_id,
                row.doctor_id,
                "doctor",
                row.started_ms,
                ended_ms,
                min(row.video_s, longest_s),
                min(row.audio_s, longest_s),
                min(row.concealed_s, longest_s),
                Mode(row.mode),
                row.ended_because,
            )
        )
    return found


def check_draft(
    connection: Connection, owned: views.Owned, doctor: Doctor, draft: rx.PrescriptionDraft, now_ms: int
) -> tuple[Checked, Patient | None]:
    """Ask the rules about a draft."""
    visit = owned.visit
    patient = views.load_patient(connection, visit.patient_id)
    mode = rx.achieved_mode(calls_of(connection, visit.visit_id, now_ms))
    earlier = [one for one in views.visits_of_patient(connection, visit.patient_id) if one.visit_id != visit.visit_id]
    consult = rx.consult_type(visit, earlier, doctor.doctor_id, now_ms)
    if patient is None:
        missing = rx.Denial("patient_missing", "The patient's registration has not arrived yet. Wait for it.")
        return Checked((missing,), (), mode, consult), None
    formulary = reference().formulary
    denials = rx.check(
        draft,
        patient,
        visit,
        formulary,
        mode,
        consult,
        now_ms,
        registration=doctor.registration,
        earlier=earlier,
    )
    notes = rx.warnings(draft, patient, visit, formulary, now_ms)
    return Checked(tuple(denials), tuple(notes), mode, consult), patient


class Prescriptions:
    """Checking and signing for the doctors of a desk."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def check(self, visit_id: str, doctor: Doctor, draft: rx.PrescriptionDraft) -> Checked:
        """What the rules say now. Raises NotFound."""
        now_ms = self._desk.wall_ms()
        return await self._desk.store.read(
            lambda connection: check_draft(connection, need_visit(connection, visit_id), doctor, draft, now_ms)[0]
        )

    async def sign(
        self,
        visit_id: str,
        doctor: Doctor,
        session: Session,
        command_id: str,
        draft: rx.PrescriptionDraft,
        password: str,
    ) -> str:
        """Sign a draft and send it to the node; returns the prescription's id. Idempotent by ``command_id``.

        Raises Denied, NotFound, WrongPin,
        Refused(visit_closed, visit_taken, command_reused, password_needed, doctor_disabled).
        """
        body_hash = hashlib.sha256(visit_id.encode() + _encode(draft)).digest()
        done = await self._desk.store.read(lambda connection: _done(connection, command_id, doctor, body_hash))
        if done:
            return done
        key = await self._desk.signing_key(session, password)

        def act(connection: Connection) -> tuple[str, down.DownBlob | None]:
            earlier = _done(connection, command_id, doctor, body_hash)
            if earlier:
                return earlier, None
            return self._sign(connection, visit_id, doctor, key, command_id, draft, body_hash)

        try:
            prescription_id, blob = await self._desk.store.write(act)
        except Denied as denied:
            codes = ",".join(denial.code for denial in denied.denials)
            await self._desk.store.write(
                lambda connection: audit.record(
                    connection, self._desk.wall_ms(), doctor.doctor_id, "signing_denied", visit_id, codes
                )
            )
            raise
        self._desk.tell(visit_id, blob)
        return prescription_id

    def _sign(
        self,
        connection: Connection,
        visit_id: str,
        doctor: Doctor,
        key: SigningKey,
        command_id: str,
        draft: rx.PrescriptionDraft,
        body_hash: bytes,
    ) -> tuple[str, down.DownBlob]:
        desk = self._desk
        now_ms = desk.wall_ms()
        need_enabled(connection, doctor.doctor_id)
        owned = need_open(connection, visit_id)
        visit = owned.visit
        if visit.doctor_name and visit.doctor_id != doctor.doctor_id:
            raise Refused("Another doctor has taken this visit.", code="visit_taken")
        checked, patient = check_draft(connection, owned, doctor, draft, now_ms)
        if checked.denials or patient is None:
            raise Denied(list(checked.denials))
        site = desk.directory.site(owned.node_id)
        record = rx.build_record(
            draft,
            visit,
            patient,
            rx.Prescriber(doctor.doctor_id, doctor.name, doctor.qualification, doctor.registration, doctor.contact),
            rx.Site(site.site_name, site.site_code),
            reference().formulary,
            prescription_id=make_id(secrets.token_bytes(ID_BYTES)),
            signed_ms=now_ms,
            time_trusted=True,
            worker_name=nodes.worker_name(connection, owned.node_id, visit.opened_by),
            mode=checked.mode,
            consult=checked.consult_type,
            demo=site.demo,
        )
        signed = sign_record(record, key.private, key.certificate, desk.keys.sign, now_ms)
        verify_signed(signed, desk.keys.sign_public)
        events: list[ev.Event] = []
        if not visit.doctor_name:
            events.append(ev.VisitAssigned(visit_id, doctor.doctor_id, doctor.name))
        events.append(ev.PrescriptionSigned(visit_id, record.prescription_id, _encode(signed)))
        blob = down.speak(connection, desk.speaker, owned.node_id, events, doctor.doctor_id, now_ms)
        connection.execute(
            commands.insert().values(
                command_id=command_id,
                doctor_id=doctor.doctor_id,
                body_hash=body_hash,
                prescription_id=record.prescription_id,
                at_ms=now_ms,
            )
        )
        drafts.drop(connection, visit_id, doctor.doctor_id)
        audit.record(connection, now_ms, doctor.doctor_id, "prescription_signed", visit_id, record.prescription_id)
        return record.prescription_id, blob


def _done(connection: Connection, command_id: str, doctor: Doctor, body_hash: bytes) -> str:
    """The prescription that this command made before, or "". Raises Refused(command_reused)."""
    row = connection.execute(select(commands).where(commands.c.command_id == command_id)).first()
    if row is None:
        return ""
    if row.doctor_id != doctor.doctor_id or bytes(row.body_hash) != body_hash:
        raise Refused("This command id was used for something else. Make a new one.", code="command_reused")
    return str(row.prescription_id)


def record_of(signed: bytes) -> rx.PrescriptionRecord:
    """The record inside a signed prescription that this hub made. Raises BadInput."""
    try:
        return _record.decode(_signed.decode(signed).record)
    except msgspec.DecodeError as error:
        raise BadInput("These bytes are not a signed prescription.") from error
