"""The handshake on a thin link: a small certificate, whole flights, each twice."""

import time

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from edge.media.handshake import LARGEST_BYTES, Flights, identity, is_handshake, together, with_fingerprint
from tests.media.test_first_picture import _leg, _wait_for

HELLO, CERTIFICATE, SOUND = b"\x16\xfe\xfd" + bytes(80), b"\x16\xfe\xfd" + bytes(240), b"\x90\x60" + bytes(100)
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


def test_nothing_leaves_after_the_end() -> None:
    sent: list[bytes] = []
    flights = Flights(sent.append)
    flights.take(HELLO)
    flights.close()
    flights.take(CERTIFICATE)
    begun_s = time.monotonic()
    _wait_for(lambda: time.monotonic() - begun_s > 0.3)
    assert sent == []
