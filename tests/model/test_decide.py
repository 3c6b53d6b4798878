"""Commands: what each leads to, and with which code it is refused."""

from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.model import commands as cmd
from edge.model import events as ev
from edge.model.clock import Instant, day_of
from edge.model.commands import Command
from edge.model.decide import Actor, NodeState, decide, warnings
from edge.model.errors import Refusal
from edge.model.fold import COLOUR_ORDER, Visit
from edge.model.records import (
    Age,
    AgeUnit,
    Allergies,
    Colour,
    Complaint,
    Gender,
    History,
    Person,
    Reading,
    Role,
    TriageResult,
    VisitState,
    Vitals,
)
from edge.model.reference import reference
from tests.model.kit import (
    ANM,
    COMMAND,
    GUARDIAN,
    NOW,
    NOW_MS,
    PATIENT,
    RANDOM,
    VISIT,
    adult_vitals,
    an_id,
    consented,
    nothing_present,
    patient,
    person,
    readings,
    state,
    visit_after,
)

RX = an_id(40)
SIGNED = ev.PrescriptionSigned(VISIT, RX, b"rx")
CLOSED = ev.VisitClosed(VISIT, VisitState.COMPLETED)
TOKEN = ev.TokenIssued(VISIT, "BR01-001", day_of(NOW_MS), 1)
DAY_MS = 86_400_000


def red() -> Visit:
    return visit_after(ev.Triaged(VISIT, TriageResult(Colour.RED)))


def events(command: Command, now: NodeState, at: Instant = NOW, by: Actor = ANM) -> list[ev.Event]:
    decision = decide(now, command, at, by, RANDOM)
    assert not isinstance(decision, Refusal), decision
    return decision


def refused(command: Command, now: NodeState, at: Instant = NOW, by: Actor = ANM) -> str:
    decision = decide(now, command, at, by, RANDOM)
    assert isinstance(decision, Refusal), decision
    assert decision.message
    return decision.code


def register(who: Person) -> cmd.RegisterPatient:
    return cmd.RegisterPatient(COMMAND, PATIENT, who)


def consent(given: bool = True, **changed: object) -> cmd.RecordConsent:
    base = cmd.RecordConsent(COMMAND, VISIT, "teleconsultation", given, "spoken", "hi", "tele-1")
    return msgspec.structs.replace(base, **changed)


def vitals(*measured: Reading, **changed: object) -> cmd.RecordVitals:
    return cmd.RecordVitals(COMMAND, VISIT, msgspec.structs.replace(Vitals(measured, "A"), **changed))


def answer(present: tuple[str, ...] = (), absent: tuple[str, ...] = ()) -> cmd.AnswerSigns:
    return cmd.AnswerSigns(COMMAND, VISIT, present, absent)


def test_a_new_patient_gets_the_next_local_number() -> None:
    (event,) = events(register(person()), NodeState("BR01", "Rampur", False, local_serial=41))
    assert event == ev.PatientRegistered(PATIENT, "BR01-000042", person())


@pytest.mark.parametrize(
    ("who", "code"),
    [
        (Person("   ", Gender.MALE, "v", Age(40)), "name_needed"),
        (Person("\u200f\U0001f600 .", Gender.MALE, "v", Age(40)), "name_needed"),
        (Person("A", Gender.MALE, "v"), "age_needed"),
        (Person("A", Gender.MALE, "v", birth_date="2026-02-30"), "birth_date_wrong"),
        (Person("A", Gender.MALE, "v", birth_date="2031"), "birth_date_wrong"),
        (Person("A", Gender.MALE, "v", birth_date="1890-01-01"), "age_impossible"),
        (Person("A", Gender.MALE, "v", Age(121)), "age_impossible"),
        (Person("A", Gender.MALE, "v", Age(1452, AgeUnit.MONTHS)), "age_impossible"),
    ],
)
def test_a_person_whose_name_or_age_makes_no_sense_is_refused(who: Person, code: str) -> None:
    assert refused(register(who), NodeState("BR01", "Rampur", False)) == code
    assert refused(cmd.AmendPatient(COMMAND, PATIENT, who), state()) == code


def test_a_clock_that_is_not_trusted_judges_no_date_of_birth() -> None:
    born_after_the_clock = Person("A", Gender.MALE, "v", birth_date="2031-01-01")
    assert events(register(born_after_the_clock), NodeState("B", "R", False), Instant(NOW_MS, trusted=False))


def test_a_patient_is_registered_once_and_can_be_amended() -> None:
    assert refused(register(person()), state()) == "already_registered"
    renamed = msgspec.structs.replace(person(), name="Asha Devi")
    assert events(cmd.AmendPatient(COMMAND, PATIENT, renamed), state()) == [ev.PatientAmended(PATIENT, renamed)]
    assert refused(cmd.AmendPatient(COMMAND, PATIENT, renamed), state(patient=None)) == "no_such_patient"


def test_a_visit_opens_with_its_salt() -> None:
    command = cmd.OpenVisit(COMMAND, VISIT, PATIENT)
    assert events(command, state()) == [ev.VisitOpened(VISIT, PATIENT, RANDOM)]
    assert refused(command, state(visit_after())) == "visit_exists"
    assert refused(command, state(patient=None)) == "no_such_patient"
    assert refused(msgspec.structs.replace(command, follow_up_of=VISIT), state()) == "follows_itself"


def test_too_few_random_bytes_are_an_error_of_the_program() -> None:
    with pytest.raises(ValueError, match="random"):
        decide(state(), cmd.OpenVisit(COMMAND, VISIT, PATIENT), NOW, ANM, bytes(15))


ON_A_VISIT: list[Command] = [
    consent(),
    cmd.RecordComplaints(COMMAND, VISIT, (Complaint("fever"),)),
    cmd.RecordHistory(COMMAND, VISIT, History()),
    vitals(),
    answer(),
    cmd.RaiseTriage(COMMAND, VISIT, Colour.RED),
    cmd.IssueToken(COMMAND, VISIT),
    cmd.MoveVisit(COMMAND, VISIT, VisitState.CANCELLED),
    cmd.ConfirmPrinted(COMMAND, VISIT, RX),
    cmd.CloseVisit(COMMAND, VISIT, VisitState.COMPLETED),
]


@pytest.mark.parametrize("command", ON_A_VISIT, ids=lambda command: type(command).__name__)
def test_every_command_on_a_visit_needs_visit_patient_role_and_open_records(command: Command) -> None:
    assert refused(command, state()) == "no_such_visit"
    assert refused(command, state(visit_after(), patient=None)) == "no_such_patient"
    assert refused(command, state(visit_after(), locked=True)) == "locked"
    assert refused(command, state(visit_after()), by=Actor("t", Role.TECHNICIAN)) == "role_not_allowed"
    stranger = msgspec.structs.replace(patient(), patient_id=an_id(9))
    assert refused(command, state(visit_after(), stranger)) == "no_such_patient"


@pytest.mark.parametrize("command", ON_A_VISIT, ids=lambda command: type(command).__name__)
def test_a_closed_visit_takes_nothing_but_prints(command: Command) -> None:
    closed = visit_after(SIGNED, CLOSED)
    if isinstance(command, cmd.ConfirmPrinted):
        assert events(command, state(closed))
    else:
        assert refused(command, state(closed)) == "visit_closed"


def test_consent_can_be_withdrawn_even_after_the_visit() -> None:
    assert events(consent(given=False), state(visit_after(CLOSED)))


def test_a_minor_needs_a_guardian_except_in_an_emergency() -> None:
    child = patient(years=10)
    assert refused(consent(), state(visit_after(), child)) == "guardian_needed"
    assert events(consent(guardian=GUARDIAN), state(visit_after(), child))
    assert events(consent(given=False), state(visit_after(), child))
    assert events(consent(), state(red(), child))
    assert events(consent(), state(visit_after(), patient(years=18)))


def test_consent_names_the_words_that_were_read() -> None:
    assert refused(consent(statement_version=""), state(visit_after())) == "statement_missing"


@pytest.mark.parametrize(
    ("complaint", "code"),
    [(Complaint("nonsense"), "unknown_complaint"), (Complaint("other", " "), "complaint_empty")],
)
def test_a_complaint_is_of_the_list_or_has_words(complaint: Complaint, code: str) -> None:
    assert refused(cmd.RecordComplaints(COMMAND, VISIT, (complaint,)), state(visit_after())) == code
    in_words = cmd.RecordComplaints(COMMAND, VISIT, (Complaint("other", "hair falls out"),))
    assert isinstance(events(in_words, state(visit_after()))[0], ev.ComplaintsRecorded)


@pytest.mark.parametrize(
    ("history", "gender", "code"),
    [
        (History(("lycanthropy",)), Gender.FEMALE, "unknown_condition"),
        (History(pregnant=True), Gender.MALE, "pregnancy_contradiction"),
        (History(pregnant=False, weeks_pregnant=20), Gender.FEMALE, "pregnancy_contradiction"),
        (History(pregnant=True, lmp_date="2020-01-01"), Gender.FEMALE, "lmp_wrong"),
        (History(pregnant=True, lmp_date="2026-13-01"), Gender.FEMALE, "lmp_wrong"),
    ],
)
def test_history_that_makes_no_sense_is_refused(history: History, gender: Gender, code: str) -> None:
    now = state(visit_after(), patient(gender=gender))
    assert refused(cmd.RecordHistory(COMMAND, VISIT, history), now) == code


@pytest.mark.parametrize(
    ("allergies", "code"),
    [
        (Allergies(True, ("dust",)), "allergies_contradiction"),
        (Allergies(False), "allergies_unanswered"),
        (Allergies(False, (" ",)), "allergies_unanswered"),
    ],
)
def test_allergies_are_answered_one_way(allergies: Allergies, code: str) -> None:
    assert refused(cmd.RecordHistory(COMMAND, VISIT, History(), allergies), state(visit_after())) == code


def test_history_and_allergies_become_two_facts() -> None:
    command = cmd.RecordHistory(COMMAND, VISIT, History(), Allergies(True))
    kinds = [type(event) for event in events(command, state(visit_after()))]
    assert kinds[:2] == [ev.HistoryRecorded, ev.AllergiesRecorded]


def test_an_impossible_value_is_refused_and_an_unusual_one_wants_confirmation() -> None:
    now = state(visit_after())
    assert refused(vitals(Reading("hr", 0.0)), now) == "vital_impossible"
    unusual = Reading("hr", 145.0)
    assert refused(vitals(unusual), now) == "vital_unconfirmed"
    assert [warning.code for warning in warnings(now, vitals(unusual), NOW)] == ["vital_unusual"]
    confirmed = msgspec.structs.replace(unusual, confirmed=True)
    assert isinstance(events(vitals(confirmed), now)[0], ev.VitalsRecorded)


def test_a_red_visit_is_not_held_up_by_a_confirmation() -> None:
    assert events(vitals(Reading("hr", 145.0)), state(red()))


def test_answers_run_the_triage_again_and_say_so_only_when_it_changed() -> None:
    visit = visit_after()
    said = events(answer(present=("wheeze",)), state(visit))
    assert [type(event) for event in said] == [ev.SignsAnswered, ev.Triaged]
    after = visit_after(*said, start=visit)
    assert after.colour is Colour.YELLOW and after.state is VisitState.TRIAGED
    again = events(answer(present=("wheeze",)), state(after))
    assert [type(event) for event in again] == [ev.SignsAnswered]


def test_an_emergency_is_red_with_one_answer_and_gets_its_token_without_consent() -> None:
    said = events(answer(present=("convulsing_now",)), state(visit_after()))
    visit = visit_after(*said)
    assert visit.colour is Colour.RED
    assert events(cmd.IssueToken(COMMAND, VISIT), state(visit))
    assert events(cmd.MoveVisit(COMMAND, VISIT, VisitState.IN_CALL), state(visit))


def test_a_sign_stays_answered_until_it_is_answered_otherwise() -> None:
    visit = visit_after(ev.SignsAnswered(VISIT, ("wheeze",), ("stridor",)))
    (said, *_) = events(answer(present=("stridor",), absent=("agitation",)), state(visit))
    assert said == ev.SignsAnswered(VISIT, ("wheeze", "stridor"), ("agitation",))


def test_signs_are_of_the_list_and_not_both_ways() -> None:
    assert refused(answer(present=("bad_luck",)), state(visit_after())) == "unknown_sign"
    assert refused(answer(("wheeze",), ("wheeze",)), state(visit_after())) == "sign_contradiction"


def test_a_complete_form_ends_green_and_in_the_queue() -> None:
    man = patient()
    visit = visit_after()
    steps: list[Command] = [
        consent(),
        cmd.RecordComplaints(COMMAND, VISIT, (Complaint("itching"),)),
        cmd.RecordVitals(COMMAND, VISIT, adult_vitals()),
        answer(absent=nothing_present(10_957, Gender.MALE, None, adult_vitals())),
        cmd.IssueToken(COMMAND, VISIT),
    ]
    for step in steps:
        visit = visit_after(*events(step, state(visit, man, day_serial=6)), start=visit)
    assert (visit.colour, visit.state, visit.token) == (Colour.GREEN, VisitState.WAITING, "BR01-007")


def test_the_staff_may_raise_a_colour_but_never_lower_it() -> None:
    visit = visit_after(ev.Triaged(VISIT, TriageResult(Colour.YELLOW)))
    (raised,) = events(cmd.RaiseTriage(COMMAND, VISIT, Colour.RED, "looks ill"), state(visit))
    assert isinstance(raised, ev.Triaged) and raised.raised_by_staff and raised.reason == "looks ill"
    after = visit_after(raised, start=visit)
    assert after.colour is Colour.RED
    assert refused(cmd.RaiseTriage(COMMAND, VISIT, Colour.YELLOW), state(after)) == "triage_not_lowered"
    assert events(cmd.RaiseTriage(COMMAND, VISIT, Colour.RED), state(after)) == []


@pytest.mark.parametrize("colour", [Colour.GREEN, Colour.NOT_TRIAGED])
def test_green_cannot_be_set_by_hand(colour: Colour) -> None:
    assert refused(cmd.RaiseTriage(COMMAND, VISIT, colour), state(visit_after())) == "colour_not_settable"


def test_a_token_needs_standing_consent() -> None:
    token = cmd.IssueToken(COMMAND, VISIT)
    assert refused(token, state(visit_after())) == "consent_needed"
    assert refused(token, state(visit_after(consented("data")))) == "consent_needed"
    assert refused(token, state(visit_after(consented(), consented(given=False)))) == "consent_needed"
    (issued,) = events(token, state(visit_after(consented()), day_serial=3))
    assert issued == ev.TokenIssued(VISIT, "BR01-004", day_of(NOW_MS), 4)


def test_a_visit_has_one_token_a_day() -> None:
    token = cmd.IssueToken(COMMAND, VISIT)
    waiting = visit_after(consented(), TOKEN)
    assert refused(token, state(waiting)) == "token_exists"
    assert events(token, state(waiting), Instant(NOW_MS + DAY_MS))
    assert (
        refused(token, state(visit_after(consented(), TOKEN, SIGNED)), Instant(NOW_MS + DAY_MS)) == "has_prescription"
    )


TRIAGE = ev.Triaged(VISIT, TriageResult(Colour.GREEN))


@pytest.mark.parametrize(("before", "stands"), [((), VisitState.DRAFT), ((TRIAGE,), VisitState.TRIAGED)])
def test_a_token_that_was_a_slip_is_taken_back_and_stays_the_visits_own(
    before: tuple[ev.Event, ...], stands: VisitState
) -> None:
    waiting = visit_after(consented(), *before, TOKEN)
    (back,) = events(cmd.MoveVisit(COMMAND, VISIT, VisitState.TRIAGED, "undone"), state(waiting))
    assert back == ev.VisitMoved(VISIT, stands, "undone")
    after = visit_after(back, start=waiting)
    assert (after.state, after.token) == (stands, waiting.token)
    again = [ev.VisitMoved(VISIT, VisitState.WAITING)]
    assert events(cmd.IssueToken(COMMAND, VISIT), state(after, day_serial=9)) == again
    assert events(move(VisitState.WAITING), state(after)) == again
    (fresh,) = events(cmd.IssueToken(COMMAND, VISIT), state(after, day_serial=9), Instant(NOW_MS + DAY_MS))
    assert isinstance(fresh, ev.TokenIssued) and fresh.serial == 10
    withdrawn = visit_after(consented(given=False), start=after)
    assert refused(move(VisitState.WAITING), state(withdrawn)) == "consent_needed"


def test_a_token_is_not_taken_back_from_a_doctor() -> None:
    taken = visit_after(consented(), TOKEN, ev.VisitAssigned(VISIT, "dr-1", "Dr. Rao"))
    assert refused(move(VisitState.TRIAGED), state(taken)) == "taken_by_doctor"


def test_a_second_visit_while_one_is_open_is_told() -> None:
    opening = cmd.OpenVisit(COMMAND, an_id(9), PATIENT)
    assert warnings(state(), opening, NOW) == ()
    (told,) = warnings(state(patient_visits=(visit_after(),)), opening, NOW)
    assert told.code == "visit_open_already"
    assert warnings(state(patient_visits=(visit_after(CLOSED),)), opening, NOW) == ()


def test_a_visit_that_another_tablet_has_just_opened_is_no_second_one() -> None:
    visits = (visit_after(CLOSED), visit_after())
    for known, code in ((0, "visit_open_meanwhile"), (1, ""), (None, "")):
        opening = cmd.OpenVisit(COMMAND, an_id(9), PATIENT, open_known=known)
        now = state(patient_visits=visits)
        assert (refused(opening, now) if code else "") == code
        assert code or events(opening, now)


def test_a_patient_whom_somebody_else_corrected_meanwhile_is_looked_at_first() -> None:
    known = msgspec.structs.replace(patient(), amended=2)
    corrected = msgspec.structs.replace(known.person, village="Manpur")
    assert refused(cmd.AmendPatient(COMMAND, PATIENT, corrected, 1), state(who=known)) == "changed_meanwhile"
    for based_on in (2, None):
        (amended,) = events(cmd.AmendPatient(COMMAND, PATIENT, corrected, based_on), state(who=known))
        assert amended == ev.PatientAmended(PATIENT, corrected)
    assert events(cmd.AmendPatient(COMMAND, PATIENT, known.person, 2), state(who=known)) == []


def test_a_corrected_age_runs_the_triage_of_an_open_visit_again() -> None:
    warm = events(vitals(Reading("temp_c", 38.2)), state(visit_after()))
    adult, closed, unasked = visit_after(*warm), visit_after(*warm, CLOSED), visit_after()
    assert adult.colour is Colour.NOT_TRIAGED
    newborn = msgspec.structs.replace(patient().person, age=Age(20, AgeUnit.DAYS), birth_date="")
    said = events(cmd.AmendPatient(COMMAND, PATIENT, newborn), state(patient_visits=(adult, unasked)))
    assert said[0] == ev.PatientAmended(PATIENT, newborn)
    (told,) = said[1:]
    assert isinstance(told, ev.Triaged) and "N-R-TEMP" in told.result.reasons
    assert visit_after(told, start=adult).colour is Colour.RED, "a number for an adult is a danger for a newborn"
    assert len(events(cmd.AmendPatient(COMMAND, PATIENT, newborn), state(patient_visits=(closed,)))) == 1
    renamed = msgspec.structs.replace(patient().person, name="Sita Kumari")
    assert len(events(cmd.AmendPatient(COMMAND, PATIENT, renamed), state(patient_visits=(adult,)))) == 1


def move(to: VisitState) -> cmd.MoveVisit:
    return cmd.MoveVisit(COMMAND, VISIT, to)


def test_a_missed_turn_can_be_called_again_the_same_day() -> None:
    missed = visit_after(consented(), TOKEN, ev.VisitMoved(VISIT, VisitState.NO_SHOW))
    assert events(move(VisitState.WAITING), state(missed)) == [ev.VisitMoved(VISIT, VisitState.WAITING)]
    assert refused(move(VisitState.WAITING), state(missed), Instant(NOW_MS + DAY_MS)) == "token_expired"
    assert [w.code for w in warnings(state(missed), move(VisitState.NO_SHOW), NOW)] == ["second_no_show"]


@pytest.mark.parametrize(
    ("visit", "to", "code"),
    [
        (visit_after, VisitState.IN_CALL, "token_needed"),
        (visit_after, VisitState.WAITING, "move_not_possible"),
        (visit_after, VisitState.COMPLETED, "move_not_possible"),
        (lambda: visit_after(SIGNED), VisitState.WAITING, "move_not_possible"),
        (lambda: visit_after(ev.VisitMoved(VISIT, VisitState.NO_SHOW)), VisitState.WAITING, "token_needed"),
    ],
)
def test_moves_that_skip_a_step_are_refused(visit: Callable[[], Visit], to: VisitState, code: str) -> None:
    assert refused(move(to), state(visit())) == code


def test_moving_to_where_it_is_changes_nothing() -> None:
    assert events(move(VisitState.WAITING), state(visit_after(consented(), TOKEN))) == []


def test_a_slip_is_printed_of_a_prescription_that_is_here() -> None:
    printed = cmd.ConfirmPrinted(COMMAND, VISIT, RX, "pdf", 2)
    assert refused(printed, state(visit_after())) == "no_such_prescription"
    assert events(printed, state(visit_after(SIGNED))) == [ev.SlipPrinted(VISIT, RX, "pdf", 2)]
    assert events(printed, state(visit_after(SIGNED)), by=Actor("p", Role.PHARMACIST))


@pytest.mark.parametrize("outcome", list(VisitState))
def test_a_visit_closes_with_an_outcome_only(outcome: VisitState) -> None:
    command = cmd.CloseVisit(COMMAND, VISIT, outcome, True)
    if outcome.value in ("completed", "referred", "cancelled", "no_show"):
        assert events(command, state(visit_after())) == [ev.VisitClosed(VISIT, outcome, True)]
    else:
        assert refused(command, state(visit_after())) == "not_an_outcome"


def test_somebody_who_may_be_known_is_registered_with_a_warning() -> None:
    now = NodeState("BR01", "Rampur", False, duplicate_ids=(an_id(8),))
    assert [warning.code for warning in warnings(now, register(person()), NOW)] == ["possible_duplicate"]
    assert events(register(person()), now)
    assert warnings(now, consent(), NOW) == ()


SIGN_IDS = [sign.id for sign in reference().signs]


@given(
    st.lists(st.tuples(st.sampled_from(SIGN_IDS), st.booleans()), max_size=6),
    st.lists(st.sampled_from(["hr", "rr", "temp_c", "spo2"]), max_size=4, unique=True),
    st.sampled_from(Gender),
)
def test_a_colour_of_the_staff_survives_whatever_is_answered_later(
    answers: list[tuple[str, bool]], measured: list[str], gender: Gender
) -> None:
    who = patient(gender=gender)
    visit = visit_after(ev.Triaged(VISIT, TriageResult(Colour.RED), True))
    normal = {"hr": 80.0, "rr": 16.0, "temp_c": 37.0, "spo2": 98.0}
    steps: list[Command] = [answer((s,), ()) if yes else answer((), (s,)) for s, yes in answers]
    steps.append(vitals(*readings(**{code: normal[code] for code in measured})))
    for step in steps:
        visit = visit_after(*events(step, state(visit, who)), start=visit)
        assert COLOUR_ORDER[visit.colour] == COLOUR_ORDER[Colour.RED]
