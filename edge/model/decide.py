"""Command in, events or a refusal out. The only place that says what may be recorded.

Knows the state it is given and nothing else: the node loads :class:`NodeState` for the command,
the time and the random bytes are arguments, and the same arguments always give the same answer.
Codes of refusals are listed in ``docs/errors.md``.
"""

from msgspec import Struct, structs

from . import answers, consent, decide_media, media, tokens
from . import commands as cmd
from . import events as ev
from . import vitals as vital_rules
from .age import age_days
from .clock import Instant, day_of, iso_day, next_stamp
from .errors import Fault, Refusal
from .fold import COLOUR_ORDER, FINAL_STATES, Patient, Visit, fold_visit, is_open
from .records import Colour, Role, TriageResult, VisitState
from .reference import formulary
from .standing import Standing, record_in, standing
from .taking_back import take_back
from .triage import latest_vitals, triage
from .triage_rules import rules

SALT_BYTES = 16

_S = VisitState
MOVES: dict[VisitState, frozenset[VisitState]] = {
    _S.DRAFT: frozenset({_S.IN_CALL, _S.CANCELLED, _S.WAITING}),
    _S.TRIAGED: frozenset({_S.IN_CALL, _S.CANCELLED, _S.WAITING}),
    _S.WAITING: frozenset({_S.IN_CALL, _S.RX_PENDING, _S.NO_SHOW, _S.CANCELLED, _S.DRAFT, _S.TRIAGED}),
    _S.IN_CALL: frozenset({_S.WAITING, _S.RX_PENDING, _S.NO_SHOW, _S.CANCELLED}),
    _S.RX_PENDING: frozenset({_S.WAITING, _S.IN_CALL, _S.CANCELLED}),
    _S.RX_READY: frozenset({_S.CANCELLED}),
    _S.NO_SHOW: frozenset({_S.WAITING, _S.CANCELLED}),
}
"""From where to where :class:`~edge.model.commands.MoveVisit` may move. A call out of the queue needs RED before a
token; a token that was a slip is taken back to draft or triaged, and stays the visit's for the day; completed and
referred are reached by closing."""

OUTCOMES = frozenset({_S.COMPLETED, _S.REFERRED, _S.CANCELLED, _S.NO_SHOW})
"""What a visit may be closed as."""

_OF_SHELF = cmd.Dispense | cmd.TakeBackHandOut
_CLINICAL = frozenset({Role.ANM, Role.CHO, Role.DOCTOR})

BY_PATIENT = (
    cmd.RegisterPatient,
    cmd.AmendPatient,
    cmd.OpenVisit,
    cmd.RecordConsent,
    cmd.RecordComplaints,
    cmd.RecordHistory,
    cmd.RecordVitals,
    cmd.AnswerSigns,
    cmd.IssueToken,
    cmd.MoveVisit,
    cmd.CloseVisit,
    cmd.AttachMedia,
    cmd.RemoveMedia,
)
"""What a patient at home may say about herself."""
_MOVES_BY_PATIENT = frozenset({_S.WAITING, _S.CANCELLED})
_OUTCOMES_BY_PATIENT = frozenset({_S.COMPLETED, _S.CANCELLED})


class Actor(Struct, frozen=True):
    """Who gives the command."""

    staff_id: str
    role: Role | None
    """None: the patient herself, at home."""


class NodeState(Struct, frozen=True):
    """Exactly what decide may look at, loaded by the node for this command."""

    site_code: str
    site_name: str
    demo: bool
    locked: bool = False
    patient: Patient | None = None
    """The patient whom the command names, or to whom its visit belongs; None when unknown here."""
    visit: Visit | None = None
    """The visit that the command names; None when unknown here."""
    local_serial: int = 0
    """Patients registered here so far."""
    day_serial: int = 0
    """Highest token serial of today."""
    queue_length: int = 0
    duplicate_ids: tuple[str, ...] = ()
    """Patients who may be the same person as the one being registered."""
    patient_visits: tuple[Visit, ...] = ()
    """All visits of the patient for whom one is being opened or who is amended."""
    uploads: tuple[media.Upload, ...] = ()
    """The uploads that the command names, as far as they are here."""
    media_left: bool = False
    """Something of the blob that the command names has left this node already."""


Decision = list[ev.Event] | Refusal


def decide(state: NodeState, command: cmd.Command, at: Instant, by: Actor, random: bytes) -> Decision:
    """The events that ``command`` leads to, or why it leads to none. An empty list: nothing has changed.

    ``random``: at least 16 fresh bytes, the salt of a new visit; fewer raise ValueError.
    """
    if len(random) < SALT_BYTES:
        raise ValueError(f"decide needs {SALT_BYTES} random bytes, not {len(random)}")
    refusal = _not_allowed(state, command, by)
    if refusal is not None:
        return refusal
    match command:
        case cmd.RegisterPatient():
            return _register(state, command, at)
        case cmd.AmendPatient():
            if state.patient is None:
                return _no_patient()
            return _amend(state.patient, state.patient_visits, command, at)
        case cmd.OpenVisit():
            return _open(state, command, random)
        case cmd.CountStock(_, drug_id, units):
            return _unknown_drug(drug_id) or [ev.StockCounted(drug_id, units)]
        case cmd.ReceiveStock(_, drug_id, units, batch, expires):
            return _unknown_drug(drug_id) or [ev.StockReceived(drug_id, units, batch, expires)]
        case _:
            return _on_visit(state, command, at, by)


def warnings(state: NodeState, command: cmd.Command, at: Instant) -> tuple[Refusal, ...]:
    """What the person should look at again although the command was, or can be, accepted."""
    match command:
        case cmd.RegisterPatient() if state.duplicate_ids:
            return (Refusal("possible_duplicate", "Somebody like this is registered already; compare.", "person"),)
        case cmd.OpenVisit() if any(map(is_open, state.patient_visits)):
            return (Refusal("visit_open_already", "This patient has a visit that is not closed.", "patient_id"),)
        case cmd.RecordVitals():
            known = latest_vitals(state.visit.vitals) if state.visit is not None else vital_rules.NOTHING
            return vital_rules.check(command.vitals, _age(state, at), known).warnings
        case cmd.MoveVisit(state=VisitState.NO_SHOW) if state.visit is not None and state.visit.no_shows_ms:
            return (Refusal("second_no_show", "The second missed turn: the patient now waits at the end."),)
        case _:
            return ()


def retriage(visit: Visit, patient: Patient, at: Instant) -> TriageResult:
    """What the rules say about a visit as it stands, by the newest reading of each vital."""
    days = age_days(patient.person, patient.registered_ms, at.wall_ms)
    return triage(
        days,
        patient.person.gender,
        visit.history,
        visit.complaints,
        latest_vitals(visit.vitals),
        visit.signs_present,
        visit.signs_absent,
    )


def _not_allowed(state: NodeState, command: cmd.Command, by: Actor) -> Refusal | None:
    if state.locked:
        return Refusal("locked", "The records are locked; unlock with a badge and PIN first.")
    if by.role is None:
        return None if _may_patient(command) else _not_by_patient()
    for_pharmacist = isinstance(command, cmd.ConfirmPrinted | cmd.CountStock | cmd.ReceiveStock | _OF_SHELF)
    if by.role in _CLINICAL or (for_pharmacist and by.role is Role.PHARMACIST):
        return None
    return Refusal("role_not_allowed", "Your role may not do this; ask an ANM or CHO.", fault=Fault.CALLER)


def _may_patient(command: cmd.Command) -> bool:
    match command:
        case cmd.MoveVisit():
            return command.state in _MOVES_BY_PATIENT
        case cmd.CloseVisit():
            return command.outcome in _OUTCOMES_BY_PATIENT
        case _:
            return isinstance(command, BY_PATIENT)


def _not_by_patient() -> Refusal:
    return Refusal("role_not_allowed", "A patient may not do this; ask at the sub-centre.", fault=Fault.CALLER)


def _no_patient() -> Refusal:
    return Refusal("no_such_patient", "No such patient is known here.", "patient_id", Fault.CALLER)


def _age(state: NodeState, at: Instant) -> int | None:
    patient = state.patient
    return None if patient is None else age_days(patient.person, patient.registered_ms, at.wall_ms)


def _register(state: NodeState, command: cmd.RegisterPatient, at: Instant) -> Decision:
    if state.patient is not None:
        return Refusal("already_registered", "This patient is registered already.", "patient_id")
    wrong = answers.check_person(command.person, at)
    if wrong is not None:
        return wrong
    local_id = tokens.local_patient_id(state.site_code, state.local_serial)
    return [ev.PatientRegistered(command.patient_id, local_id, command.person)]


def _amend(patient: Patient, visits: tuple[Visit, ...], command: cmd.AmendPatient, at: Instant) -> Decision:
    """The rules go by age and sex: what they said of an open visit is asked again."""
    if command.based_on is not None and command.based_on != patient.amended:
        text = "Somebody else has changed this patient meanwhile. Look at the new data and correct again."
        return Refusal("changed_meanwhile", text, "based_on")
    if command.person == patient.person:
        return []
    wrong = answers.check_person(command.person, at)
    if wrong is not None:
        return wrong
    after = structs.replace(patient, person=command.person)
    triaged = (one for one in visits if "triage" in one.stamps and is_open(one))
    results = ((one, retriage(one, after, at)) for one in triaged)
    changed = [ev.Triaged(one.visit_id, result) for one, result in results if result != one.triage]
    return [ev.PatientAmended(command.patient_id, command.person), *changed]


def _open(state: NodeState, command: cmd.OpenVisit, random: bytes) -> Decision:
    if state.patient is None:
        return _no_patient()
    if state.visit is not None:
        return Refusal("visit_exists", "This visit is open already.", "visit_id")
    if command.follow_up_of == command.visit_id:
        text = "A visit cannot follow itself; name the earlier visit."
        return Refusal("follows_itself", text, "follow_up_of", Fault.CALLER)
    if command.open_known is not None and sum(map(is_open, state.patient_visits)) > command.open_known:
        text = "Another tablet has just opened a visit of this patient. Go on with that one."
        return Refusal("visit_open_meanwhile", text, "open_known")
    salt = random[:SALT_BYTES]
    return [ev.VisitOpened(command.visit_id, command.patient_id, salt, command.category, command.follow_up_of)]


def _on_visit(state: NodeState, command: cmd.Command, at: Instant, by: Actor) -> Decision:
    """Commands that need their visit and its patient."""
    visit, patient = state.visit, state.patient
    if visit is None:
        return Refusal("no_such_visit", "No such visit is known here.", "visit_id", Fault.CALLER)
    if patient is None or patient.patient_id != visit.patient_id:
        return _no_patient()
    withdrawal = isinstance(command, cmd.RecordConsent) and not command.given
    late = withdrawal or isinstance(command, cmd.ConfirmPrinted | cmd.TellEnding | cmd.TakeBackClosing | _OF_SHELF)
    if visit.state in FINAL_STATES and not late:
        return Refusal("visit_closed", "This visit is closed; open a new one.", "visit_id")
    match command:
        case cmd.RecordConsent():
            return _consent(visit, command, _age(state, at))
        case cmd.RaiseTriage():
            return _raise(visit, command)
        case cmd.IssueToken():
            return _token(state, visit, at)
        case cmd.MoveVisit():
            return _move(visit, command, at)
        case cmd.ConfirmPrinted():
            return _printed(visit, command)
        case cmd.CloseVisit():
            return _close(visit, command)
        case cmd.RecordInPerson():
            return _in_person(command, at)
        case cmd.Dispense():
            return _dispense(visit, command)
        case cmd.Refer():
            if not command.referral.to.strip():
                return Refusal("referral_place", "Say where the patient is sent.", "referral.to", Fault.CALLER)
            return [ev.Referred(visit.visit_id, command.referral, command.way, command.given)]
        case cmd.TellEnding():
            return [ev.EndingTold(visit.visit_id, command.ending, command.note)]
        case cmd.TakeBackClosing() | cmd.TakeBackHandOut() | cmd.TakeBackReferral():
            return take_back(visit, command, at)
        case cmd.AttachMedia():
            return decide_media.attach(state.uploads, visit, command)
        case cmd.RemoveMedia():
            return decide_media.remove(visit, command, left=state.media_left)
        case cmd.MarkPhoto():
            return decide_media.mark(visit, command)
        case cmd.RecordComplaints() | cmd.RecordHistory() | cmd.RecordVitals() | cmd.AnswerSigns():
            said = _said(visit, patient, command, at)
            return said if isinstance(said, Refusal) else _with_triage(visit, patient, said, at, by)
        case _:
            return Refusal("not_understood", "This release does not know the command.", "type", Fault.CALLER)


def _said(
    visit: Visit,
    patient: Patient,
    command: cmd.RecordComplaints | cmd.RecordHistory | cmd.RecordVitals | cmd.AnswerSigns,
    at: Instant,
) -> Decision:
    """The answers themselves, checked; triage follows."""
    match command:
        case cmd.RecordComplaints(_, visit_id, complaints, notes):
            return answers.check_complaints(complaints) or [ev.ComplaintsRecorded(visit_id, complaints, notes)]
        case cmd.RecordHistory(_, visit_id, history, allergies):
            wrong = answers.check_history(history, patient.person, at)
            if wrong is None and allergies is not None:
                wrong = answers.check_allergies(allergies)
            if wrong is not None:
                return wrong
            events: list[ev.Event] = [ev.HistoryRecorded(visit_id, history)]
            return events if allergies is None else [*events, ev.AllergiesRecorded(visit_id, allergies)]
        case cmd.RecordVitals(_, visit_id, vitals):
            days = age_days(patient.person, patient.registered_ms, at.wall_ms)
            found = vital_rules.check(vitals, days, latest_vitals(visit.vitals))
            if found.refusals:
                return found.refusals[0]
            if found.unconfirmed and visit.colour is not Colour.RED:
                first = found.unconfirmed[0]
                return Refusal("vital_unconfirmed", first.message, first.field)
            return [ev.VitalsRecorded(visit_id, vitals)]
        case cmd.AnswerSigns(_, visit_id, present, absent):
            wrong = answers.check_signs(present, absent)
            if wrong is not None:
                return wrong
            # A sign that was answered before stays answered until it is answered otherwise.
            still_present = (s for s in visit.signs_present if s not in absent)
            still_absent = (s for s in visit.signs_absent if s not in present)
            return [
                ev.SignsAnswered(
                    visit_id,
                    tuple(dict.fromkeys((*still_present, *present))),
                    tuple(dict.fromkeys((*still_absent, *absent))),
                )
            ]


def _with_triage(visit: Visit, patient: Patient, said: list[ev.Event], at: Instant, by: Actor) -> list[ev.Event]:
    """Fold what was said, ask the rules again, and add the result when it is another one."""
    after = visit
    stamp = visit.changed_stamp
    for event in said:
        stamp = next_stamp(stamp, at.wall_ms)
        after = fold_visit(after, event, stamp, by.staff_id) or after
    result = retriage(after, patient, at)
    return said if result == visit.triage else [*said, ev.Triaged(visit.visit_id, result)]


def _consent(visit: Visit, command: cmd.RecordConsent, age: int | None) -> Decision:
    wrong = consent.check(command, visit, age)
    if wrong is not None:
        return wrong
    return [
        ev.ConsentRecorded(
            command.visit_id,
            command.purpose,
            command.given,
            command.method,
            command.language,
            command.statement_version,
            command.guardian,
        )
    ]


def _raise(visit: Visit, command: cmd.RaiseTriage) -> Decision:
    if command.colour not in (Colour.YELLOW, Colour.RED):
        text = "Only YELLOW and RED can be set by hand; GREEN comes from complete answers."
        return Refusal("colour_not_settable", text, "colour", Fault.CALLER)
    if COLOUR_ORDER[command.colour] < COLOUR_ORDER[visit.colour]:
        return Refusal("triage_not_lowered", "The colour can only be raised here; a doctor may lower it.", "colour")
    if command.colour is visit.staff_colour:
        return []
    result = TriageResult(command.colour, ("STAFF",), (), None, rules().version)
    return [ev.Triaged(command.visit_id, result, raised_by_staff=True, reason=command.reason)]


def _token(state: NodeState, visit: Visit, at: Instant) -> Decision:
    taken_back = visit.state in (_S.DRAFT, _S.TRIAGED)
    of_today = bool(visit.token) and tokens.is_of_today(visit.token_day, at.wall_ms)
    if of_today and not taken_back:
        return Refusal("token_exists", "This visit has its token of today.", "visit_id")
    if not visit.token and visit.state not in (_S.DRAFT, _S.TRIAGED):
        return Refusal("not_before_queue", "The visit is past the queue already.", "visit_id")
    if visit.prescriptions:
        return Refusal("has_prescription", "The prescription is here; the visit needs no place in the queue.")
    if visit.colour is not Colour.RED and not consent.is_given(visit):
        return Refusal("consent_needed", "Record the consent to teleconsultation first.", "visit_id")
    if of_today:
        return [ev.VisitMoved(visit.visit_id, _S.WAITING)]
    token, serial = tokens.next_token(state.site_code, state.day_serial)
    return [ev.TokenIssued(visit.visit_id, token, day_of(at.wall_ms), serial)]


def _move(visit: Visit, command: cmd.MoveVisit, at: Instant) -> Decision:
    if command.state is visit.state:
        return []
    before_queue = visit.state in (_S.DRAFT, _S.TRIAGED)
    never_queued = before_queue and command.state is _S.WAITING and not visit.token
    if never_queued or command.state not in MOVES.get(visit.state, frozenset()):
        text = f"A visit that is {visit.state.value} cannot become {command.state.value}."
        return Refusal("move_not_possible", text, "state")
    if command.state is _S.IN_CALL and before_queue and visit.colour is not Colour.RED:
        return Refusal("token_needed", "Only an emergency is called without a token.", "state")
    if command.state in (_S.DRAFT, _S.TRIAGED):
        return _take_back(visit, command)
    if command.state is _S.WAITING and before_queue and not consent.is_given(visit) and visit.colour is not Colour.RED:
        return Refusal("consent_needed", "Record the consent to teleconsultation first.", "visit_id")
    if command.state is _S.WAITING and (before_queue or visit.colour is not Colour.RED):
        if not visit.token:
            return Refusal("token_needed", "Issue a token first.", "state")
        if not tokens.is_of_today(visit.token_day, at.wall_ms):
            return Refusal("token_expired", "The token was for another day; issue a new one.", "state")
    return [ev.VisitMoved(command.visit_id, command.state, command.reason)]


def _take_back(visit: Visit, command: cmd.MoveVisit) -> Decision:
    """Out of the queue again, to where the visit stood before its token."""
    if visit.doctor_id or visit.calls:
        return Refusal("taken_by_doctor", "A doctor has taken this visit; close it instead.", "state")
    state = _S.TRIAGED if "triage" in visit.stamps else _S.DRAFT
    return [ev.VisitMoved(command.visit_id, state, command.reason)]


def _printed(visit: Visit, command: cmd.ConfirmPrinted) -> Decision:
    if all(p.prescription_id != command.prescription_id for p in visit.prescriptions):
        text = "No such prescription is known here; it may not have arrived yet."
        return Refusal("no_such_prescription", text, "prescription_id", Fault.CALLER)
    return [ev.SlipPrinted(command.visit_id, command.prescription_id, command.printer, command.copies)]


def _in_person(command: cmd.RecordInPerson, at: Instant) -> Decision:
    day = iso_day(command.held_on)
    if day is None or day > day_of(at.wall_ms):
        return Refusal("in_person_day", "Give the day of that consultation, today or earlier.", "held_on", Fault.CALLER)
    if not command.paper_seen and day != day_of(at.wall_ms):
        text = "A consultation of another day is recorded from its paper. Ask for the paper, or for the doctor's word."
        return Refusal("in_person_paper", text, "paper_seen", Fault.CALLER)
    return [ev.InPersonRecorded(command.visit_id, command.doctor_id, command.held_on, command.paper_seen)]


def _unknown_drug(drug_id: str) -> Refusal | None:
    if any(drug.id == drug_id for drug in formulary().items):
        return None
    return Refusal("unknown_drug", "This medicine is not in the formulary.", "drug_id", Fault.CALLER)


def _dispense(visit: Visit, command: cmd.Dispense) -> Decision:
    found = standing(visit.prescriptions).get(command.prescription_id)
    if found is None:
        text = "No such prescription is known here; it may not have arrived yet."
        return Refusal("no_such_prescription", text, "prescription_id", Fault.CALLER)
    if found.standing is not Standing.VALID:
        text = "This prescription was replaced or cancelled by the doctor. Hand out by the newest one only."
        return Refusal("prescription_replaced", text, "prescription_id")
    signed = next(one.signed for one in visit.prescriptions if one.prescription_id == command.prescription_id)
    record = record_in(signed)
    if record is None or all(line.drug_id != command.drug_id for line in record.medicines):
        return Refusal("not_prescribed", "This medicine does not stand on the prescription.", "drug_id")
    line = (command.prescription_id, command.drug_id)
    given = sum(one.units for one in visit.handed_out if (one.prescription_id, one.drug_id) == line)
    if command.given_before not in (None, given):
        text = "Another tablet has handed this out meanwhile. Look at what was given before."
        return Refusal("given_meanwhile", text, "given_before")
    return [ev.Dispensed(command.visit_id, command.prescription_id, command.drug_id, command.units)]


def _close(visit: Visit, command: cmd.CloseVisit) -> Decision:
    if command.outcome not in OUTCOMES:
        return Refusal("not_an_outcome", "A visit is closed as completed, referred, no_show or cancelled.", "outcome")
    if visit.state is _S.IN_CALL and command.outcome is _S.NO_SHOW:
        return Refusal("move_not_possible", "Somebody in a call is there.", "outcome")
    return [ev.VisitClosed(command.visit_id, command.outcome, command.explained)]
