"""Who is due this week: follow-ups that a doctor set, and people who were sent on."""

import msgspec
from msgspec.structs import replace

from edge.model.clock import day_start_ms, day_text
from edge.model.due import AHEAD_DAYS, BACK_DAYS, Due, DueWhy, due, lines
from edge.model.fold import Patient, PrescriptionState, Visit
from edge.model.records import Age, Gender, Person, Referral, VisitState
from edge.model.referral import MadeReferral, ToldEnding
from tests.slips.samples import RECORD, sign

TODAY = 20_800
PATIENT = Patient("p1", "BR-000001", Person("सुनीता", Gender.FEMALE, "रामपुर", Age(34), mobile="5550123456"), 1)


def visit(day: int, number: int = 1, patient: str = "p1", **more: object) -> Visit:
    made = Visit(f"v{number}", patient, day_start_ms(day) + 3_600_000 * number, "anm1", state=VisitState.COMPLETED)
    return replace(made, **more)


def prescribed(day: int, follow_up: int | None = None, referral: Referral | None = None) -> PrescriptionState:
    record = replace(
        RECORD,
        signed_ms=day_start_ms(day) + 7_200_000,
        follow_up_date="" if follow_up is None else day_text(follow_up),
        referral=referral,
    )
    return PrescriptionState("rx1", msgspec.msgpack.encode(sign(record)), record.signed_ms)


def listed(*visits: Visit) -> list[Due]:
    return due(visits, {"p1": PATIENT, "p2": PATIENT}, TODAY)


def test_a_follow_up_is_listed_from_a_week_before_until_two_weeks_after_and_then_no_more() -> None:
    def late(follow_up: int) -> list[int]:
        return [one.late_days for one in listed(visit(TODAY - 40, prescriptions=(prescribed(TODAY - 40, follow_up),)))]

    assert late(TODAY) == [0]
    assert late(TODAY + AHEAD_DAYS) == [-AHEAD_DAYS] and late(TODAY + AHEAD_DAYS + 1) == []
    assert late(TODAY - BACK_DAYS) == [BACK_DAYS] and late(TODAY - BACK_DAYS - 1) == []
    (found,) = listed(visit(TODAY - 5, prescriptions=(prescribed(TODAY - 5, TODAY),)))
    assert (found.why, found.name, found.mobile, found.what) == (
        DueWhy.FOLLOW_UP,
        "सुनीता",
        "5550123456",
        "Acute upper respiratory infection",
    )


def test_who_has_been_here_since_is_not_due_but_a_slip_of_the_finger_is_no_visit() -> None:
    set_then = visit(TODAY - 5, prescriptions=(prescribed(TODAY - 5, TODAY),))
    assert listed(set_then, visit(TODAY - 1, 2)) == []
    assert len(listed(set_then, visit(TODAY - 1, 2, state=VisitState.CANCELLED))) == 1
    assert len(listed(set_then, visit(TODAY - 1, 2, patient="p2"))) == 1


def test_who_was_sent_on_is_asked_after_until_somebody_has_written_down_how_it_ended() -> None:
    sent_ms = day_start_ms(TODAY - 2)
    sent = MadeReferral(sent_ms, "anm1", "chc", "now", "", "108", "")
    by_nurse = visit(TODAY - 2, referrals=(sent,))
    (found,) = listed(by_nurse)
    assert (found.why, found.what, found.late_days, found.day) == (DueWhy.SENT_ON, "chc", 2, day_text(TODAY - 2))
    told = ToldEnding(sent_ms + 1, "anm1", "reached", "")
    assert listed(replace(by_nurse, ending=told)) == []
    by_doctor = prescribed(TODAY - 3, None, Referral("PHC Rahui", "today"))
    (found,) = listed(visit(TODAY - 3, prescriptions=(by_doctor,)))
    assert (found.what, found.late_days) == ("PHC Rahui", 3)


def test_the_latest_comes_first_and_a_patient_who_is_not_known_here_is_left_out() -> None:
    visits = [
        visit(TODAY - 9, 1, prescriptions=(prescribed(TODAY - 9, TODAY + 2),)),
        visit(TODAY - 9, 2, "p2", prescriptions=(prescribed(TODAY - 9, TODAY - 3),)),
        visit(TODAY - 9, 3, "p3", prescriptions=(prescribed(TODAY - 9, TODAY),)),
    ]
    assert [one.late_days for one in listed(*visits)] == [3, -2]


def test_a_visit_tells_its_lines_by_itself_whatever_the_day_is() -> None:
    made = MadeReferral(day_start_ms(TODAY - 3), "anm1", "phc", "today", "", "own", "")
    both = visit(TODAY - 40, prescriptions=(prescribed(TODAY - 40, TODAY + 50),), referrals=(made,))
    assert [(one.why, one.day) for one in lines(both)] == [(DueWhy.FOLLOW_UP, TODAY + 50), (DueWhy.SENT_ON, TODAY - 3)]
    assert lines(visit(TODAY - 3)) == lines(replace(both, state=VisitState.CANCELLED)) == []
