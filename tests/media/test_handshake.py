"""The handshake on a thin link: a small certificate, whole flights, each twice."""

import time

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from edge.media import handshake, ice
from edge.media.handshake import LARGEST_BYTES, Arriving, Flights, identity, is_handshake, together, with_fingerprint
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


def test_only_the_handshake_is_touched() -> None:
    sent: list[bytes] = []
    flights = Flights(sent.append)
    assert not flights.take(SOUND) and not flights.take(b"\x17\xfe\xfd" + bytes(60)) and not flights.take(b"")
    assert is_handshake(HELLO) and is_handshake(FINISHED)
    assert sent == []
    flights.close()


def test_a_flight_leaves_twice_and_the_last_one_is_not_kept_back() -> None:
    sent: list[bytes] = []
    flights = Flights(sent.append)
    assert flights.take(HELLO) and flights.take(CERTIFICATE)
    assert sent == [], "the rest of the flight may come"
    _wait_for(lambda: len(sent) == 2)
    assert sent == [HELLO + CERTIFICATE] * 2
    assert flights.take(FINISHED)
    assert sent[2:] == [FINISHED] * 2, "media follow at once"
    _wait_for(lambda: len(sent) == 5)
    flights.close()


def test_a_server_s_flight_leaves_again_only_when_no_answer_came_in_time() -> None:
    """OpenSSL's second is shorter than a round trip on a thin link: the copy stood in front of the first media."""
    sent: list[tuple[float, bytes]] = []
    flights = Flights(lambda datagram: sent.append((time.monotonic(), datagram)))
    for _ in range(2):
        assert flights.take(ANSWER) and flights.take(CERTIFICATE)
        _wait_for(lambda: len(sent) == 2)
    assert flights.take(FINISHED)
    _wait_for(lambda: len(sent) == 5)
    begun_s = time.monotonic()
    _wait_for(lambda: time.monotonic() - begun_s > handshake.AGAIN_AFTER_S)
    assert [datagram for _, datagram in sent] == [ANSWER + CERTIFICATE] * 2 + [FINISHED] * 3
    flights.close()

    lost: list[float] = []
    flights = Flights(lambda _: lost.append(time.monotonic()))
    for _ in range(2):
        flights.take(ANSWER)
        _wait_for(lambda: len(lost) >= 2)
    _wait_for(lambda: len(lost) == 4)
    assert lost[2] - lost[0] > handshake.AGAIN_AFTER_S - 0.1
    flights.close()


def test_a_client_s_second_flight_waits_for_nothing_and_may_leave_again() -> None:
    sent: list[bytes] = []
    flights = Flights(sent.append)
    flights.take(HELLO)
    _wait_for(lambda: len(sent) == 2)
    for count in (8, 14):
        flights.take(CERTIFICATE)
        flights.take(FINISHED)
        _wait_for(lambda count=count: len(sent) == count)
    assert sent[2:8] == sent[8:14] == [CERTIFICATE, FINISHED] * 3
    flights.close()


def test_nothing_leaves_after_the_end() -> None:
    sent: list[bytes] = []
    flights = Flights(sent.append)
    flights.take(HELLO)
    flights.close()
    flights.take(CERTIFICATE)
    begun_s = time.monotonic()
    _wait_for(lambda: time.monotonic() - begun_s > 0.3)
    assert sent == []


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
