"""The handshake on a thin link: a small certificate, whole flights, each twice."""

import threading
from collections.abc import Callable
from typing import cast

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from edge.media import ice
from edge.media.handshake import (
    AGAIN_AFTER_S,
    COPY_AFTER_S,
    GATHER_S,
    LARGEST_BYTES,
    Arriving,
    Flights,
    identity,
    is_handshake,
    together,
    with_fingerprint,
)
from tests.media.test_first_picture import _leg, _wait_for

HELLO, CERTIFICATE, SOUND = b"\x16\xfe\xfd" + bytes(80), b"\x16\xfe\xfd" + bytes(240), b"\x90\x60" + bytes(100)
ANSWER = b"\x16\xfe\xfd" + bytes(10) + b"\x02" + bytes(80)
FINISHED = b"\x14\xfe\xfd" + bytes(60)


def test_a_leg_has_a_certificate_of_its_own_that_is_small_and_is_the_one_in_the_offer() -> None:
    mine, other = identity(), identity()
    certificate = x509.load_pem_x509_certificate(mine.pem.encode())
    assert len(certificate.public_bytes(serialization.Encoding.DER)) < 320
    assert certificate.fingerprint(hashes.SHA256()).hex(":").upper() == mine.fingerprint != other.fingerprint
    sdp = "a=x\r\na=fingerprint:sha-256 AA:BB\r\nm=video\r\na=fingerprint:sha-256 AA:BB\r\n"
    assert with_fingerprint(sdp, mine.fingerprint) == sdp.replace("AA:BB", mine.fingerprint)


def test_the_offer_carries_the_fingerprint_of_the_certificate_that_is_used() -> None:
    offers: list[str] = []
    leg, _ = _leg()
    leg._events.on_offer = offers.append  # type: ignore[assignment]
    try:
        _wait_for(lambda: leg.try_offer() and bool(offers))
        parts = {part.get_factory().get_name(): part for part in leg._web.iterate_recurse() if part.get_factory()}
        pem = parts["dtlsdec"].get_property("pem")
    finally:
        leg.close()
    used = x509.load_pem_x509_certificate(pem.encode()).fingerprint(hashes.SHA256()).hex(":").upper()
    assert used == leg._wire.identity.fingerprint and offers[0].count(used) == 3


def test_pieces_of_a_flight_travel_together_up_to_what_passes_everywhere() -> None:
    assert together([HELLO, CERTIFICATE, CERTIFICATE]) == [HELLO + CERTIFICATE + CERTIFICATE]
    assert [len(one) for one in together([bytes(600), bytes(500), bytes(100)])] == [1_100, 100]
    assert all(len(one) <= LARGEST_BYTES for one in together([CERTIFICATE] * 9))


class _Hand:
    """A clock that is moved by hand, and its timers: nothing here depends on how quick the machine is."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self._waiting: list[_Timer] = []

    def timer(self, wait_s: float, act: Callable[[], None]) -> threading.Timer:
        return cast(threading.Timer, _Timer(self._waiting, self.now_s + wait_s, act))

    def go(self, seconds: float) -> None:
        """Let so much time pass."""
        end_s = self.now_s + seconds
        while due := sorted((one for one in self._waiting if one.at_s <= end_s), key=lambda one: one.at_s):
            self._waiting.remove(due[0])
            self.now_s = due[0].at_s
            due[0].act()
        self.now_s = end_s


class _Timer:
    def __init__(self, waiting: "list[_Timer]", at_s: float, act: Callable[[], None]) -> None:
        self.daemon = False
        self._waiting, self.at_s, self.act = waiting, at_s, act

    def start(self) -> None:
        assert self.daemon, "it must not hold up the end of the process"
        self._waiting.append(self)

    def cancel(self) -> None:
        if self in self._waiting:
            self._waiting.remove(self)


def _flights() -> tuple[Flights, list[bytes], _Hand]:
    sent: list[bytes] = []
    hand = _Hand()
    return Flights(sent.append, hand.timer, lambda: hand.now_s), sent, hand


def test_only_the_handshake_is_touched() -> None:
    flights, sent, hand = _flights()
    assert not flights.take(SOUND) and not flights.take(b"\x17\xfe\xfd" + bytes(60)) and not flights.take(b"")
    assert is_handshake(HELLO) and is_handshake(FINISHED)
    hand.go(10)
    assert sent == []


def test_a_flight_leaves_twice_and_the_last_one_is_not_kept_back() -> None:
    flights, sent, hand = _flights()
    assert flights.take(HELLO) and flights.take(CERTIFICATE)
    assert sent == [], "the rest of the flight may come"
    hand.go(GATHER_S + COPY_AFTER_S / 2)
    assert sent == [HELLO + CERTIFICATE]
    hand.go(COPY_AFTER_S)
    assert sent == [HELLO + CERTIFICATE] * 2
    assert flights.take(FINISHED)
    assert sent[2:] == [FINISHED] * 2, "media follow at once"
    hand.go(10)
    assert sent[2:] == [FINISHED] * 3


def test_a_server_s_flight_leaves_again_only_when_no_answer_came_in_time() -> None:
    """OpenSSL's second is shorter than a round trip on a thin link: the copy stood in front of the first media."""
    flights, sent, hand = _flights()
    for _ in range(2):
        assert flights.take(ANSWER) and flights.take(CERTIFICATE)
        hand.go(AGAIN_AFTER_S / 3)
        assert sent == [ANSWER + CERTIFICATE] * 2
    assert flights.take(FINISHED)
    hand.go(10)
    assert sent == [ANSWER + CERTIFICATE] * 2 + [FINISHED] * 3

    flights, sent, hand = _flights()
    flights.take(ANSWER)
    hand.go(1.0)
    flights.take(ANSWER)
    hand.go(AGAIN_AFTER_S - 1.0)
    assert len(sent) == 2, "not yet: it left after it was gathered"
    hand.go(GATHER_S + 2 * COPY_AFTER_S)
    assert sent == [ANSWER] * 4


def test_a_client_s_second_flight_waits_for_nothing_and_may_leave_again() -> None:
    flights, sent, hand = _flights()
    flights.take(HELLO)
    hand.go(1.0)
    for count in (8, 14):
        flights.take(CERTIFICATE)
        flights.take(FINISHED)
        hand.go(1.0)
        assert len(sent) == count
    assert sent[2:8] == sent[8:14] == [CERTIFICATE, FINISHED] * 3


def test_nothing_leaves_after_the_end() -> None:
    flights, sent, hand = _flights()
    flights.take(HELLO)
    flights.close()
    flights.take(CERTIFICATE)
    hand.go(10)
    assert sent == []


def test_by_itself_it_takes_the_machine_s_clock() -> None:
    sent: list[bytes] = []
    flights = Flights(sent.append)
    flights.take(HELLO)
    _wait_for(lambda: sent == [HELLO, HELLO])
    flights.close()


def test_two_packets_of_a_flight_tell_what_the_way_carries() -> None:
    arriving = Arriving()
    arriving.note(1_228, 10.0)
    assert arriving.rate_bps == 0
    arriving.note(291, 10.097)
    assert 23_000 < arriving.rate_bps < 25_000
    arriving.note(1_228, 12.0)  # again, after its timer: nothing of one flight lies so far apart
    assert 23_000 < arriving.rate_bps < 25_000


def test_the_agent_nominates_with_every_check() -> None:
    leg, _ = _leg()
    try:
        agent = leg._web.get_property("ice-agent").get_property("agent")
        assert agent.get_property("nomination-mode").value_nick == "aggressive"
        spec = agent.find_property("nomination-mode")
        assert spec.flags & leg._gst.GObject.ParamFlags.CONSTRUCT_ONLY, "as it was for everybody else"
        assert not ice.nominate_at_once(leg._pipeline), "what is no agent stays as it is"
    finally:
        leg.close()
