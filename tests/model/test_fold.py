"""Folding: the same at node and hub, whatever overtakes what, and the same when entries come twice."""

from collections.abc import Sequence

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from edge.model import events as ev
from edge.model.fold import Visit, fold_all, fold_patient, fold_visit
from edge.model.queue import line_of
from edge.model.records import (
    Age,
    Allergies,
    Colour,
    Complaint,
    Gender,
    History,
    Mode,
    Person,
    Referral,
    TriageResult,
    VisitState,
    Vitals,
)
from tests.model.kit import PATIENT, RANDOM, VISIT, an_id, consented, readings, visit_after

RX = an_id(20), an_id(21)
PERSON = Person("Asha Kumari", Gender.FEMALE, "Rampur", Age(30))
NODE_STATES = [state for state in VisitState if state is not VisitState.DRAFT]

SLIPS = st.integers(2, 11).map(lambda n: ((1_000 + n // 2) << 16) + n)
"""Stamps of the entries of a node's log (:func:`stamped`)."""
node_events = st.one_of(
    st.booleans().map(lambda given: consented(given=given)),
    st.sampled_from(["fever", "cough"]).map(lambda code: ev.ComplaintsRecorded(VISIT, (Complaint(code),))),
    st.booleans().map(lambda yes: ev.HistoryRecorded(VISIT, History(pregnant=yes))),
    st.just(ev.AllergiesRecorded(VISIT, Allergies(True))),
    st.integers(60, 120).map(lambda hr: ev.VitalsRecorded(VISIT, Vitals(readings(hr=float(hr)), "A"))),
    st.sampled_from(["wheeze", "stridor"]).map(lambda sign: ev.SignsAnswered(VISIT, (sign,), ())),
    st.builds(
        lambda colour, staff: ev.Triaged(VISIT, TriageResult(colour), staff), st.sampled_from(Colour), st.booleans()
    ),
    st.integers(1, 9).map(lambda n: ev.TokenIssued(VISIT, f"BR01-{n:03d}", 20_000, n)),
    st.sampled_from(NODE_STATES).map(lambda state: ev.VisitMoved(VISIT, state)),
    st.builds(
        lambda n, s: ev.CallHeld(VISIT, an_id(30 + n), "doc1", s, s + 9, 3.0, 4.0, 0.0, Mode.VIDEO, "node"),
        st.integers(0, 2),
        st.integers(0, 5),
    ),
    st.sampled_from(RX).map(lambda rx: ev.PrescriptionStored(VISIT, rx)),
    st.builds(lambda rx, n: ev.SlipPrinted(VISIT, rx, "pdf", n), st.sampled_from(RX), st.integers(1, 3)),
    st.sampled_from([VisitState.COMPLETED, VisitState.REFERRED]).map(lambda s: ev.VisitClosed(VISIT, s, True)),
    st.sampled_from([VisitState.WAITING, VisitState.RX_READY]).map(lambda s: ev.ClosingTakenBack(VISIT, s)),
    st.just(ev.Dispensed(VISIT, RX[0], "F001", 9)),
    st.just(ev.Referred(VISIT, Referral("phc", "now"), "108")),
    SLIPS.map(lambda stamp: ev.HandOutTakenBack(VISIT, "F001", stamp)),
    SLIPS.map(lambda stamp: ev.ReferralTakenBack(VISIT, stamp)),
)
hub_events = st.one_of(
    st.sampled_from(["doc1", "doc2"]).map(lambda d: ev.VisitAssigned(VISIT, d, f"Dr {d}")),
    st.sampled_from(["", "child"]).map(lambda name: ev.SpecialityWanted(VISIT, name, "doc1")),
    st.builds(ev.VisitSeen, st.just(VISIT), st.sampled_from(["doc1", "doc2"]), st.booleans()),
    st.sampled_from(["prohibited", "unclassified"]).map(lambda why: ev.SigningDenied(VISIT, (why,))),
    st.sampled_from(["first", "second"]).map(lambda note: ev.DoctorNote(VISIT, "doc1", note)),
    st.sampled_from(RX).map(lambda rx: ev.PrescriptionSigned(VISIT, rx, rx.encode())),
    st.sampled_from(RX).map(
        lambda third: ev.ThirdJoined(VISIT, third, an_id(30), "doc1", "doc2", "Dr Sen", "BR 2", "MD", "spoken")
    ),
    st.builds(
        lambda third, audio_s: ev.ThirdLeft(VISIT, third, "left", 1.0, audio_s, 0.0),
        st.sampled_from(RX),
        st.sampled_from([2.0, 3.0]),
    ),
)


def stamped(events: Sequence[ev.Event], first_ms: int) -> list[ev.Entry]:
    """Entries of one log: stamps grow, several may share a millisecond."""
    return [ev.entry_of(event, ((first_ms + n // 2) << 16) + n, "anm1") for n, event in enumerate(events)]


OPENING: list[ev.Event] = [ev.PatientRegistered(PATIENT, "BR01-000001", PERSON), ev.VisitOpened(VISIT, PATIENT, RANDOM)]


def _node_log(events: Sequence[ev.Event]) -> list[ev.Entry]:
    return stamped([*OPENING, *events], 1_000)


node_logs = st.lists(node_events, max_size=10).map(_node_log)
hub_logs = st.lists(hub_events, max_size=6).flatmap(
    lambda events: st.integers(1, 3_000).map(lambda first_ms: stamped(events, first_ms))
)


def interleave(data: st.DataObject, *logs: list[ev.Entry]) -> list[ev.Entry]:
    """One order in which the entries of several logs may arrive; each log keeps its own."""
    rest = [list(log) for log in logs]
    merged = []
    while any(rest):
        chosen = data.draw(st.sampled_from([log for log in rest if log]))
        merged.append(chosen.pop(0))
    return merged


def folded(entries: list[ev.Entry]) -> Visit:
    return fold_all(entries)[1][VISIT]


@given(node_logs, hub_logs, st.data())
def test_node_and_hub_fold_to_the_same_visit_whatever_their_order(
    node: list[ev.Entry], hub: list[ev.Entry], data: st.DataObject
) -> None:
    urgent = [entry for entry in node if data.draw(st.booleans()) and entry.kind > 3]
    clinical = [entry for entry in node if entry not in urgent]
    assert folded(interleave(data, urgent, clinical, hub)) == folded([*node, *hub])


@given(node_logs, hub_logs, st.data())
def test_entries_that_come_twice_change_nothing(node: list[ev.Entry], hub: list[ev.Entry], data: st.DataObject) -> None:
    entries = interleave(data, node, hub)
    again = data.draw(st.lists(st.sampled_from(entries), max_size=8))
    assert folded([*entries, *again]) == folded(entries)


@given(node_logs, hub_logs)
def test_a_folded_visit_survives_json_and_msgpack(node: list[ev.Entry], hub: list[ev.Entry]) -> None:
    visit = folded([*node, *hub])
    assert msgspec.json.decode(msgspec.json.encode(visit), type=Visit) == visit
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(visit), type=Visit) == visit


def test_a_red_result_that_overtook_an_older_one_stays() -> None:
    visit = fold_visit(visit_after(), ev.Triaged(VISIT, TriageResult(Colour.RED)), 9 << 60, "a")
    visit = fold_visit(visit, ev.Triaged(VISIT, TriageResult(Colour.NOT_TRIAGED)), 1 << 60, "a")
    assert visit is not None and visit.colour is Colour.RED


def test_a_prescription_makes_a_visit_ready_even_if_the_node_moves_it_afterwards() -> None:
    signed = ev.PrescriptionSigned(VISIT, RX[0], b"rx")
    visit = visit_after(signed, ev.VisitMoved(VISIT, VisitState.RX_PENDING))
    assert visit.state is VisitState.RX_READY


def test_a_prescription_does_not_open_a_closed_visit_again() -> None:
    visit = visit_after(ev.VisitClosed(VISIT, VisitState.COMPLETED), ev.PrescriptionSigned(VISIT, RX[0], b"rx"))
    assert visit.state is VisitState.COMPLETED and len(visit.prescriptions) == 1


def test_a_colour_raised_by_staff_outlives_a_weaker_result_of_the_rules() -> None:
    visit = visit_after(
        ev.Triaged(VISIT, TriageResult(Colour.RED), True), ev.Triaged(VISIT, TriageResult(Colour.GREEN))
    )
    assert visit.colour is Colour.RED and visit.triage.colour is Colour.GREEN


def test_events_of_a_visit_that_is_not_open_yet_are_left_to_the_caller() -> None:
    assert fold_visit(None, consented(), 1, "a") is None


def test_a_doctor_who_took_a_visit_herself_was_given_it_by_nobody() -> None:
    visit = visit_after()
    for stamp, actor, doctor_id, given_by in (
        (1 << 60, "doc2", "doc1", "doc2"),
        (2 << 60, "doc1", "", ""),
        (3 << 60, "doc1", "doc1", ""),
    ):
        name = f"Dr {doctor_id}" if doctor_id else ""
        folded = fold_visit(visit, ev.VisitAssigned(VISIT, doctor_id, name), stamp, actor)
        assert folded is not None
        visit = folded
        assert (visit.given_by, line_of(visit).given) == (given_by, bool(given_by))


def test_unknown_events_change_nothing() -> None:
    visit = visit_after()
    assert fold_visit(visit, ev.Unknown(63, 1, b"\x90"), 1 << 60, "a") == visit


def test_an_amended_person_replaces_the_earlier_and_is_counted() -> None:
    registered = fold_patient(None, ev.PatientRegistered(PATIENT, "BR01-000001", PERSON), 5)
    assert fold_patient(registered, ev.PatientRegistered(PATIENT, "other", PERSON), 9) == registered
    renamed = msgspec.structs.replace(PERSON, name="Asha Devi")
    amended = fold_patient(registered, ev.PatientAmended(PATIENT, renamed), 9)
    assert amended is not None
    assert (amended.person.name, amended.amended, amended.registered_ms) == ("Asha Devi", 1, 5)
