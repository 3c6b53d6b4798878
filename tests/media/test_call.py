"""The call machine: a call outlives its media and ends by a Bye or a long silence only."""

from hypothesis import given
from hypothesis import strategies as st

from edge.media.call import (
    TABLE,
    CallState,
    Effect,
    Kind,
    Limits,
    Phase,
    PrepareAttempt,
    RenewAttempt,
    ShowCall,
    StartAttempt,
    StopAttempt,
    TellAccept,
    TellBye,
    advance,
    due_s,
    ring,
    step,
)

LIMITS = Limits()


class Story:
    """Plays happenings at times and keeps the effects."""

    def __init__(self) -> None:
        self.state, effects = ring("0123456789abcdef", 0.0)
        self.effects: list[Effect] = list(effects)

    def at(self, now_s: float, kind: Kind, reason: str = "hangup") -> tuple[Effect, ...]:
        self.state, effects = step(self.state, kind, now_s, reason=reason)
        self.effects += effects
        return effects

    def connected(self) -> "Story":
        self.at(2, Kind.ACCEPTED)
        self.at(4, Kind.MEDIA_UP)
        return self


def test_an_accepted_call_tells_the_doctor_and_starts_attempt_0() -> None:
    story = Story()
    assert story.at(3, Kind.ACCEPTED) == (TellAccept(), StartAttempt(0), ShowCall(Phase.CONNECTING))


def test_a_call_that_nobody_takes_ends_after_a_minute() -> None:
    story = Story()
    assert due_s(story.state) == LIMITS.ring_s
    assert story.at(59, Kind.TICK) == ()
    assert TellBye("no_answer") in story.at(60, Kind.TICK)
    assert story.state.phase is Phase.ENDED


def test_a_process_that_dies_in_a_running_call_is_followed_at_once() -> None:
    story = Story().connected()
    assert story.at(30, Kind.PROCESS_DIED) == (StartAttempt(1), ShowCall(Phase.CONNECTING))
    story.at(31.5, Kind.MEDIA_UP)
    assert StartAttempt(2) not in story.at(33, Kind.PROCESS_DIED), "one that dies soon again is no running call"
    assert story.state.phase is Phase.INTERRUPTED
    due = due_s(story.state)
    assert due == 33 + LIMITS.restart_s
    assert story.at(due, Kind.TICK) == (StartAttempt(2), ShowCall(Phase.CONNECTING))


def test_a_process_that_crashes_at_once_is_started_ever_later_and_then_given_up() -> None:
    story = Story()
    story.at(0, Kind.ACCEPTED)
    now_s, waits_s = 0.5, []
    while story.state.phase is not Phase.ENDED:
        story.at(now_s, Kind.PROCESS_DIED)
        due = due_s(story.state)
        if due is not None:
            waits_s.append(due - now_s)
            assert StartAttempt(story.state.attempt + 1) in story.at(due, Kind.TICK)
            now_s = due + 0.5
    assert waits_s == [1, 2, 4, 8, 16]
    assert story.state.reason == "failed"
    assert TellBye("failed") in story.effects


def test_an_attempt_that_carried_sound_forgets_earlier_crashes() -> None:
    story = Story()
    story.at(0, Kind.ACCEPTED)
    story.at(0.5, Kind.PROCESS_DIED)
    story.at(2, Kind.TICK)
    story.at(3, Kind.MEDIA_UP)
    story.at(6, Kind.PROCESS_DIED)
    assert due_s(story.state) == 6 + LIMITS.restart_s


def test_a_short_outage_is_survived_without_a_new_attempt_when_the_media_repairs_itself() -> None:
    story = Story().connected()
    story.at(30, Kind.MEDIA_DOWN)
    assert story.at(31, Kind.LINK_DOWN) == (), "the process that runs is ready for the link's return"
    for second in range(32, 36):
        assert story.at(second, Kind.TICK) == ()
    assert story.at(36, Kind.LINK_UP) == ()
    assert story.at(38, Kind.MEDIA_UP) == (ShowCall(Phase.CONNECTED),)
    assert story.state.attempt == 0


def test_a_link_that_is_back_without_media_gets_a_new_attempt() -> None:
    story = Story().connected()
    story.at(30, Kind.MEDIA_DOWN)
    story.at(30, Kind.LINK_DOWN)
    story.at(36, Kind.LINK_UP)
    assert story.at(36 + LIMITS.return_s - 0.1, Kind.TICK) == ()
    assert RenewAttempt(1) in story.at(36 + LIMITS.return_s, Kind.TICK)


def test_after_a_long_outage_the_next_attempt_begins_with_the_link_in_the_same_process() -> None:
    story = Story().connected()
    story.at(30, Kind.MEDIA_DOWN)
    assert story.at(33, Kind.LINK_DOWN) == ()
    assert story.at(48, Kind.TICK) == ()
    assert story.at(50, Kind.LINK_UP) == (RenewAttempt(1), ShowCall(Phase.CONNECTING))
    assert story.at(52, Kind.MEDIA_UP) == (ShowCall(Phase.CONNECTED),)


def test_an_attempt_whose_way_is_gone_is_renewed_at_once_or_when_the_link_is_back() -> None:
    story = Story().connected()
    assert story.at(30, Kind.MEDIA_FAILED) == (RenewAttempt(1), ShowCall(Phase.CONNECTING))
    story.at(31, Kind.MEDIA_UP)
    story.at(40, Kind.LINK_DOWN)
    assert story.at(41, Kind.MEDIA_FAILED) == (ShowCall(Phase.INTERRUPTED),)
    assert story.at(42, Kind.LINK_UP) == (RenewAttempt(2), ShowCall(Phase.CONNECTING)), "no time is spent on repair"


def test_a_renewed_attempt_that_does_not_connect_gets_a_new_process() -> None:
    story = Story().connected()
    story.at(30, Kind.MEDIA_FAILED)
    assert story.at(30 + LIMITS.renew_s - 0.1, Kind.TICK) == ()
    assert story.at(30 + LIMITS.renew_s, Kind.TICK) == (StartAttempt(2),)


def test_a_first_attempt_that_fails_before_it_connects_is_renewed_no_oftener_than_once_a_second() -> None:
    story = Story()
    story.at(0, Kind.ACCEPTED)
    assert story.at(3, Kind.MEDIA_FAILED) == (ShowCall(Phase.INTERRUPTED),)
    assert story.at(3 + LIMITS.restart_s - 0.1, Kind.TICK) == ()
    assert RenewAttempt(1) in story.at(3 + LIMITS.restart_s, Kind.TICK)


def test_a_loss_while_the_link_is_up_has_longer_to_repair_itself() -> None:
    story = Story().connected()
    story.at(30, Kind.MEDIA_DOWN)
    assert story.at(30 + LIMITS.repair_s - 0.1, Kind.TICK) == ()
    assert RenewAttempt(1) in story.at(30 + LIMITS.repair_s, Kind.TICK)


def test_a_process_that_died_in_an_outage_waits_for_the_link() -> None:
    story = Story().connected()
    story.at(30, Kind.LINK_DOWN)
    assert PrepareAttempt() in story.at(31, Kind.PROCESS_DIED)
    assert story.at(45, Kind.TICK) == ()
    assert StartAttempt(1) in story.at(50, Kind.LINK_UP)


def test_an_offer_that_was_made_during_an_outage_is_replaced_when_the_link_returns() -> None:
    story = Story()
    story.at(1, Kind.LINK_DOWN)
    story.at(2, Kind.ACCEPTED)
    assert StartAttempt(1) in story.at(20, Kind.LINK_UP)


def test_an_attempt_that_does_not_connect_is_replaced() -> None:
    story = Story()
    story.at(0, Kind.ACCEPTED)
    assert story.at(LIMITS.connect_s - 1, Kind.TICK) == ()
    assert story.at(LIMITS.connect_s, Kind.TICK) == (StartAttempt(1),)


def test_two_minutes_without_media_end_the_call_as_failed() -> None:
    story = Story().connected()
    story.at(30, Kind.MEDIA_DOWN)
    story.at(30, Kind.LINK_DOWN)
    assert story.at(30 + LIMITS.silence_s - 0.1, Kind.TICK) == ()
    ended = (TellBye("failed"), StopAttempt("failed"), ShowCall(Phase.ENDED))
    assert story.at(30 + LIMITS.silence_s, Kind.TICK) == ended


def test_a_reloaded_doctors_page_gets_accept_and_a_new_offer() -> None:
    story = Story().connected()
    assert story.at(30, Kind.RANG) == (TellAccept(), RenewAttempt(1), ShowCall(Phase.CONNECTING))


def test_the_doctors_bye_is_not_answered_and_ours_is_told() -> None:
    story = Story().connected()
    assert TellBye("hangup") not in story.at(40, Kind.BYE)
    other = Story()
    assert TellBye("declined") in other.at(5, Kind.HANG_UP, "declined")
    assert other.state.reason == "declined"


@given(st.lists(st.tuples(st.sampled_from(list(Kind)), st.floats(0, 30))))
def test_whatever_happens_attempts_only_rise_and_an_ended_call_stays_ended(steps: list[tuple[Kind, float]]) -> None:
    state, _ = ring("0123456789abcdef", 0.0)
    now_s = 0.0
    for kind, wait_s in steps:
        now_s += wait_s
        before: CallState = state
        state, effects = step(state, kind, now_s)
        assert state.attempt >= before.attempt
        assert before.phase is not Phase.ENDED or (state == before and not effects)
        assert [e.attempt for e in effects if isinstance(e, StartAttempt | RenewAttempt)] in ([], [state.attempt])
        assert before.running or not any(isinstance(e, RenewAttempt) for e in effects)
        assert not (state.phase is Phase.ENDED and state.running)
        due = due_s(state)
        if state.phase in (Phase.RINGING, Phase.CONNECTING, Phase.INTERRUPTED):
            assert due is not None and due < float("inf")


def test_the_table_knows_every_phase_and_nothing_leaves_the_end() -> None:
    assert set(TABLE) == set(Phase)
    assert all(advance(Phase.ENDED, kind) is Phase.ENDED for kind in Kind)
