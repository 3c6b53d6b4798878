"""Prescribing at the hub: what may be signed now, and signing it with the doctor's own key.

The rules are :mod:`edge.model.prescribing`; here is what they are asked about: the mode that the
calls of this visit really reached by the doctor's own measurements, bounded by the time that passed.
Everything happens again on the server at the moment of signing. Fills in no drug.
"""

import hashlib
import secrets
from collections.abc import Callable, Sequence

import msgspec
from msgspec import Struct
from sqlalchemy import Connection, select

from edge.model import events as ev
from edge.model import prescribing as rx
from edge.model.age import age_days
from edge.model.clock import day_of, iso_day
from edge.model.errors import BadInput, Fault, Refused, UpkendraError
from edge.model.fold import Call, Patient, Visit
from edge.model.ids import ID_BYTES, make_id
from edge.model.prescription import medicine_line
from edge.model.records import ConsultType, Mode
from edge.model.reference import DrugItem
from edge.slips.sign import sign_record
from edge.slips.verify import verify_signed
from edge.slips.words import dose_lines
from edge.sync.link import Cls
from edge.web.sessions import Session

from . import audit, down, drafts, formularies, nodes, review, views
from .desk import Desk, need_open, need_visit
from .doctors import Doctor, SigningKey, need_current, need_enabled
from .store.dialect import lock
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


class Replacing(Struct, frozen=True):
    """Which signed prescription is amended or cancelled, and why."""

    prescription_id: str
    reason: str = ""


class Checked(Struct, frozen=True):
    """What the rules say about a draft at this moment."""

    denials: tuple[rx.Denial, ...]
    warnings: tuple[rx.Denial, ...]
    mode: Mode
    """What the doctor's own calls reached so far."""
    consult_type: ConsultType
    dose_lines: tuple[tuple[str, str], ...] = ()
    """Hindi and English of each line as the slip will say it; empty while the line is not whole."""
    child_doses: tuple[str, ...] = ()
    """For a child: each line as its dose is confirmed for the present weight; empty for whom doses do not go by it."""


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


def reached_mode(connection: Connection, visit: Visit, doctor_id: str, now_ms: int) -> Mode:
    """What this doctor's own calls of a visit reached up to now, by her measurements and the node's.

    Whoever was handed the visit has not seen the patient because another doctor did.
    """
    by_node = [call for call in visit.calls if call.side == "node"]
    own = [call for call in calls_of(connection, visit.visit_id, now_ms) if call.doctor_id == doctor_id]
    return rx.achieved_mode([*own, *by_node])


def check_draft(
    connection: Connection,
    owned: views.Owned,
    doctor: Doctor,
    draft: rx.PrescriptionDraft,
    now_ms: int,
    replaces: str = "",
) -> tuple[Checked, Patient | None]:
    """Ask the rules about a draft, which may amend the prescription ``replaces``."""
    visit = owned.visit
    patient = views.load_patient(connection, visit.patient_id)
    mode = reached_mode(connection, visit, doctor.doctor_id, now_ms)
    earlier = [one for one in views.visits_of_patient(connection, visit.patient_id) if one.visit_id != visit.visit_id]
    consult = rx.consult_type(visit, earlier, doctor.doctor_id, now_ms)
    if patient is None:
        missing = rx.Denial("patient_missing", "The patient's registration has not arrived yet. Wait for it.")
        return Checked((missing,), (), mode, consult), None
    formulary = formularies.standing(connection).content.items
    approvals = review.load_approvals(connection, formulary)
    denials = rx.check(
        draft,
        patient,
        visit,
        formulary,
        mode,
        consult,
        now_ms,
        registration=doctor.registration,
        doctor_id=doctor.doctor_id,
        earlier=earlier,
        approvals=approvals,
        replaces=replaces,
    )
    notes = rx.warnings(draft, patient, visit, formulary, now_ms, approvals, earlier)
    lines = tuple(_dose_lines(line, formulary) for line in draft.medicines)
    weight_kg = rx.weight_of(visit)
    child = rx.is_child(age_days(patient.person, patient.registered_ms, now_ms)) and weight_kg is not None
    doses = tuple(rx.child_dose(line, weight_kg or 0) for line in draft.medicines) if child else ()
    return Checked(tuple(denials), tuple(notes), mode, consult, lines, doses), patient


def _dose_lines(line: rx.DraftLine, formulary: Sequence[DrugItem]) -> tuple[str, str]:
    drug = next((one for one in formulary if one.id == line.drug_id), None)
    if drug is None or not (line.dose.strip() and line.route and line.frequency and line.duration_days):
        return "", ""
    return dose_lines(medicine_line(line, drug))


class Prescriptions:
    """Checking, signing, amending and cancelling for the doctors of a desk."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def check(self, visit_id: str, doctor: Doctor, draft: rx.PrescriptionDraft, replaces: str = "") -> Checked:
        """What the rules say now; ``replaces``: what the draft amends. Raises NotFound."""

        def look(connection: Connection) -> Checked:
            owned = need_visit(connection, visit_id)
            return check_draft(connection, owned, doctor, draft, self._desk.wall_ms(), replaces)[0]

        return await self._desk.store.read(look)

    async def sign(
        self,
        visit_id: str,
        doctor: Doctor,
        session: Session,
        command_id: str,
        draft: rx.PrescriptionDraft,
        password: str,
        replacing: Replacing | None = None,
    ) -> str:
        """Sign a draft and send it to the node; returns the prescription's id. Idempotent by ``command_id``.

        ``replacing``: the prescription that this one amends. The draft is checked like any other, by what holds now.
        Raises Denied, NotFound, WrongPin, Refused(visit_closed, visit_taken, command_reused, password_needed,
        doctor_disabled, no_such_prescription, prescription_replaced).
        """
        body_hash = hashlib.sha256(visit_id.encode() + _encode((draft, replacing))).digest()

        def act(connection: Connection, key: SigningKey) -> tuple[str, down.DownBlob]:
            return self._sign(connection, visit_id, doctor, key, command_id, draft, body_hash, replacing)

        try:
            return await self._once(doctor, session, visit_id, command_id, body_hash, password, act)
        except Denied as denied:
            found = denied.denials
            blob = await self._desk.store.write(
                lambda connection: self._note_denied(connection, visit_id, doctor, found)
            )
            if blob is not None:
                self._desk.send_down(blob)
            raise

    def _note_denied(
        self, connection: Connection, visit_id: str, doctor: Doctor, denials: list[rx.Denial]
    ) -> down.DownBlob | None:
        """Audit it; a centre hears of it, for the report of its month, when the rules about medicines were among it."""
        now_ms, who = self._desk.wall_ms(), doctor.doctor_id
        audit.record(connection, now_ms, who, "signing_denied", visit_id, ",".join(one.code for one in denials))
        owned = need_visit(connection, visit_id)
        reasons = tuple(sorted({one.code for one in denials} & rx.GATE_REASONS))
        if not reasons or self._desk.directory.site(owned.node_id).home:
            return None
        said = ev.SigningDenied(visit_id, reasons)
        return down.speak(connection, self._desk.speaker, owned.node_id, (said,), who, now_ms, Cls.TELEMETRY)

    async def cancel(
        self, visit_id: str, doctor: Doctor, session: Session, command_id: str, replacing: Replacing, password: str
    ) -> str:
        """Sign that a prescription is taken back, also of a closed visit; the id of the new record. Idempotent.

        Raises NotFound, WrongPin, Refused(visit_taken, command_reused, password_needed, doctor_disabled,
        no_such_prescription, prescription_replaced, reason_missing, registration_missing).
        """
        if not replacing.reason.strip():
            raise Refused("Say why it is cancelled: it stands on the paper.", code="reason_missing", field="reason")
        if not doctor.registration.strip():
            raise Refused("The doctor's registration number is not on record.", code="registration_missing")
        body_hash = hashlib.sha256(b"cancel" + visit_id.encode() + _encode(replacing)).digest()

        def act(connection: Connection, key: SigningKey) -> tuple[str, down.DownBlob]:
            need_enabled(connection, doctor.doctor_id)
            owned = need_visit(connection, visit_id)
            record = rx.cancelling(
                _replaced(owned.visit, doctor, replacing),
                _prescriber(doctor),
                prescription_id=make_id(secrets.token_bytes(ID_BYTES)),
                signed_ms=self._desk.wall_ms(),
                reason=replacing.reason,
            )
            return self._issue(connection, owned, doctor, key, record, command_id, body_hash)

        return await self._once(doctor, session, visit_id, command_id, body_hash, password, act)

    async def confirm_in_person(self, visit_id: str, doctor: Doctor, held_on: str) -> None:
        """The doctor's own word that she saw the patient in person for this condition on that day, today or earlier.

        Raises NotFound, Refused(visit_closed, visit_taken, doctor_disabled), BadInput.
        """

        def act(connection: Connection) -> down.DownBlob | None:
            now_ms = self._desk.wall_ms()
            need_enabled(connection, doctor.doctor_id)
            owned = need_open(connection, visit_id)
            _not_taken(owned.visit, doctor)
            day = iso_day(held_on)
            if day is None or day > day_of(now_ms):
                raise BadInput("Give the day of that consultation, today or earlier.", field="held_on")
            if any(one.doctor_id == doctor.doctor_id and one.held_on == held_on for one in owned.visit.in_person):
                return None
            audit.record(connection, now_ms, doctor.doctor_id, "in_person_confirmed", visit_id, held_on)
            said = ev.InPersonConfirmed(visit_id, doctor.doctor_id, held_on)
            return down.speak(connection, self._desk.speaker, owned.node_id, (said,), doctor.doctor_id, now_ms)

        self._desk.tell(visit_id, await self._desk.store.write(act))

    async def _once(
        self,
        doctor: Doctor,
        session: Session,
        visit_id: str,
        command_id: str,
        body_hash: bytes,
        password: str,
        work: Callable[[Connection, SigningKey], tuple[str, down.DownBlob]],
    ) -> str:
        """Do signed work in one transaction, once for each command."""
        done = await self._desk.store.read(lambda connection: _done(connection, command_id, doctor, body_hash))
        if done:
            return done
        key = await self._desk.signing_key(session, password)

        def act(connection: Connection) -> tuple[str, down.DownBlob | None]:
            lock(connection, command_id)  # the same command at another process: the second hears what the first did
            earlier = _done(connection, command_id, doctor, body_hash)
            return (earlier, None) if earlier else work(connection, key)

        prescription_id, blob = await self._desk.store.write(act)
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
        replacing: Replacing | None,
    ) -> tuple[str, down.DownBlob]:
        now_ms = self._desk.wall_ms()
        need_enabled(connection, doctor.doctor_id)
        owned = need_visit(connection, visit_id) if replacing else need_open(connection, visit_id)
        _not_taken(owned.visit, doctor)
        old = _replaced(owned.visit, doctor, replacing) if replacing else None
        replaces = replacing.prescription_id if replacing else ""
        checked, patient = check_draft(connection, owned, doctor, draft, now_ms, replaces)
        if checked.denials or patient is None:
            raise Denied(list(checked.denials))
        if checked.child_doses:
            audit.record(connection, now_ms, doctor.doctor_id, "child_doses_confirmed", visit_id)
        site = self._desk.directory.site(owned.node_id)
        standing = formularies.standing(connection)
        record = rx.build_record(
            draft,
            owned.visit,
            patient,
            _prescriber(doctor),
            rx.Site(site.site_name, site.site_code),
            standing.content.items,
            prescription_id=make_id(secrets.token_bytes(ID_BYTES)),
            signed_ms=now_ms,
            time_trusted=True,
            worker_name="" if site.home else nodes.worker_name(connection, owned.node_id, owned.visit.opened_by),
            mode=checked.mode,
            consult=checked.consult_type,
            demo=site.demo,
            replaces=old,
            reason=replacing.reason if replacing else "",
            approvals=review.load_approvals(connection, standing.content.items),
        )
        by = f"formulary {standing.content.version}"[:60]
        audit.record(connection, now_ms, doctor.doctor_id, "prescribed_from", record.prescription_id, by)
        return self._issue(connection, owned, doctor, key, record, command_id, body_hash)

    def _issue(
        self,
        connection: Connection,
        owned: views.Owned,
        doctor: Doctor,
        key: SigningKey,
        record: rx.PrescriptionRecord,
        command_id: str,
        body_hash: bytes,
    ) -> tuple[str, down.DownBlob]:
        """Sign a record, say it in the hub's log and in the audit, and remember the command."""
        need_current(connection, doctor.doctor_id, key)
        desk, visit, now_ms = self._desk, owned.visit, record.signed_ms
        signed = sign_record(record, key.private, key.certificate, desk.keys.sign, now_ms)
        verify_signed(signed, desk.keys.sign_public)
        events: list[ev.Event] = []
        if not visit.doctor_name:
            events.append(ev.VisitAssigned(visit.visit_id, doctor.doctor_id, doctor.name))
        said = ev.PrescriptionSigned(visit.visit_id, record.prescription_id, _encode(signed), record.replaces)
        blob = down.speak(connection, desk.speaker, owned.node_id, [*events, said], doctor.doctor_id, now_ms)
        connection.execute(
            commands.insert().values(
                command_id=command_id,
                doctor_id=doctor.doctor_id,
                body_hash=body_hash,
                prescription_id=record.prescription_id,
                at_ms=now_ms,
            )
        )
        if not record.cancels:
            drafts.drop(connection, visit.visit_id, doctor.doctor_id)
        done = "cancelled" if record.cancels else "amended" if record.replaces else "signed"
        who = doctor.doctor_id
        audit.record(connection, now_ms, who, f"prescription_{done}", visit.visit_id, record.prescription_id)
        audit.record(
            connection, now_ms, who, "prescribed_by", record.prescription_id, f"{record.mode}:{record.consult_type}"
        )
        return record.prescription_id, blob


def _prescriber(doctor: Doctor) -> rx.Prescriber:
    return rx.Prescriber(doctor.doctor_id, doctor.name, doctor.qualification, doctor.registration, doctor.contact)


def _not_taken(visit: Visit, doctor: Doctor) -> None:
    if visit.doctor_name and visit.doctor_id != doctor.doctor_id:
        raise Refused("Another doctor has taken this visit.", code="visit_taken")


def _replaced(visit: Visit, doctor: Doctor, replacing: Replacing) -> rx.PrescriptionRecord:
    """The record that is amended or cancelled. Raises Refused when it does not stand, or the visit is another's."""
    _not_taken(visit, doctor)
    refusal = rx.check_replacing(visit.prescriptions, replacing.prescription_id)
    if refusal is not None:
        raise Refused(refusal.message, code=refusal.code, field=refusal.field)
    signed = next(one.signed for one in visit.prescriptions if one.prescription_id == replacing.prescription_id)
    return record_of(signed)


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
