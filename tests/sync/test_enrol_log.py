"""Enrolment from a token, the signed log, fault points, and the choice of a bearer."""

import os
import subprocess
import sys
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.model import events as ev
from edge.model.records import VisitState
from edge.sync import enrol, log, seal
from edge.sync.frontier import Frontier, Ranges


class Office:
    """A hub with tokens: what the application's hook does, in its smallest form."""

    def __init__(self) -> None:
        self.root, self.hub = os.urandom(32), seal.HubKeys((os.urandom(32),), os.urandom(32))
        self.valid: dict[bytes, bool] = {}

    def token(self) -> str:
        secret = os.urandom(16)
        self.valid[secret] = True
        return enrol.make_token(secret, seal.verifier_of(self.root))

    def announcement(self) -> bytes:
        signature = enrol.certify_sign(self.root, seal.verifier_of(self.hub.sign))
        return enrol.announce(seal.verifier_of(self.root), signature, self.hub)

    def answer(self, body: bytes) -> bytes:
        request = enrol.open_request(body, self.hub)
        if not self.valid.pop(request.secret, False):
            raise enrol.EnrolRefused("the token is unknown, used or expired", code="token_refused")
        grant = enrol.EnrolGrant(os.urandom(8), os.urandom(32), "MP-01", "स्थल", "Rewa", bytes(32), 1, 2)
        return enrol.make_reply(body, request, grant, self.hub.sign)


def secrets() -> enrol.EnrolSecrets:
    return enrol.EnrolSecrets(os.urandom(32), os.urandom(32), os.urandom(32), os.urandom(32))


def refused(call: object, *args: object) -> str:
    assert callable(call)
    with pytest.raises(enrol.EnrolRefused) as caught:
        call(*args)
    return caught.value.refusal.code


def test_a_node_with_a_token_gets_its_keys_over_an_open_bearer() -> None:
    office, mine = Office(), secrets()
    token = enrol.parse_token(f"  {office.token().lower()} \n")
    checked = enrol.check_announcement(office.announcement(), token)
    body = enrol.make_request(token, checked, mine, "0.1.0")
    grant, keys = enrol.open_reply(office.answer(body), body, mine, checked)
    assert (keys.node_id, keys.psk, keys.device) == (grant.node_id, grant.psk, mine.device)
    assert keys.hub_kem == (seal.public_of(office.hub.kem[0]),)
    assert grant.site_name == "स्थल"


def test_a_used_or_unknown_token_is_refused_by_the_application() -> None:
    office, mine = Office(), secrets()
    token = enrol.parse_token(office.token())
    checked = enrol.check_announcement(office.announcement(), token)
    office.answer(enrol.make_request(token, checked, mine))
    assert refused(office.answer, enrol.make_request(token, checked, mine)) == "token_refused"


def test_a_hub_that_the_token_does_not_name_is_not_believed() -> None:
    token = enrol.parse_token(Office().token())
    assert refused(enrol.check_announcement, Office().announcement(), token) == "hub_other"


def test_hub_keys_that_the_root_has_not_signed_are_not_believed() -> None:
    office = Office()
    token = enrol.parse_token(office.token())
    root = seal.verifier_of(office.root)
    foreign = enrol.announce(root, bytes(64), office.hub)
    assert refused(enrol.check_announcement, foreign, token) == "hub_keys_refused"
    body = bytearray(office.announcement())
    body[-1] ^= 1
    assert refused(enrol.check_announcement, bytes(body), token) == "hub_keys_refused"


def test_an_altered_request_or_reply_is_refused() -> None:
    office, mine = Office(), secrets()
    token = enrol.parse_token(office.token())
    checked = enrol.check_announcement(office.announcement(), token)
    body = enrol.make_request(token, checked, mine)
    for at in (0, 1, 5, len(body) - 1):
        altered = bytearray(body)
        altered[at] ^= 1
        assert refused(office.answer, bytes(altered)) == "enrol_malformed"
    reply = bytearray(office.answer(body))
    reply[-1] ^= 1
    assert refused(enrol.open_reply, bytes(reply), body, mine, checked) == "enrol_malformed"


@pytest.mark.parametrize("low", [bytes(32), (1).to_bytes(32, "little"), ((1 << 255) - 18).to_bytes(32, "little")])
@pytest.mark.parametrize("which", ["records", "response"])
def test_a_key_with_which_nothing_can_be_sealed_is_refused(
    low: bytes, which: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hub that took it would fail at whatever it says to that node, and with it at what it says to all."""
    office = Office()
    token = enrol.parse_token(office.token())
    drawn = secrets()
    public_of = seal.public_of
    wrong = getattr(drawn, which)
    checked = enrol.check_announcement(office.announcement(), token)
    with monkeypatch.context() as lying:
        lying.setattr(seal, "public_of", lambda private: low if private == wrong else public_of(private))
        body = enrol.make_request(token, checked, drawn)
    with pytest.raises(enrol.EnrolRefused):
        enrol.open_request(body, office.hub)


def test_a_hub_that_keeps_many_keys_announces_the_newest() -> None:
    office = Office()
    kept = tuple(os.urandom(32) for _ in range(80))
    body = enrol.announce(
        seal.verifier_of(office.root),
        enrol.certify_sign(office.root, seal.verifier_of(office.hub.sign)),
        msgspec.structs.replace(office.hub, kem=kept),
    )
    checked = enrol.check_announcement(body, enrol.parse_token(office.token()))
    assert checked.kem[0] == seal.public_of(kept[0])


def test_a_reply_to_another_request_or_from_another_hub_is_refused() -> None:
    office, mine = Office(), secrets()
    token = enrol.parse_token(office.token())
    checked = enrol.check_announcement(office.announcement(), token)
    body, other = (enrol.make_request(token, checked, mine) for _ in range(2))
    reply = office.answer(body)
    assert refused(enrol.open_reply, reply, other, mine, checked) == "enrol_malformed"
    request = enrol.open_request(body, office.hub)
    grant = enrol.EnrolGrant(bytes(8), bytes(32), "", "", "", b"", 0, 0)
    forged = enrol.make_reply(body, request, grant, os.urandom(32))
    assert refused(enrol.open_reply, forged, body, mine, checked) == "enrol_malformed"


@pytest.mark.parametrize("text", ["", "UPK1-", "UPK2-" + "A" * 52, "UPK1-" + "A" * 51, "UPK1-" + "1" * 52, "UPK1-é"])
def test_a_token_that_was_not_copied_whole_is_refused(text: str) -> None:
    assert refused(enrol.parse_token, text) == "token_malformed"


# The log.


def written(count: int) -> tuple[log.Writer, list[tuple[bytes, bytes]], bytes]:
    private = os.urandom(32)
    writer = log.Writer(bytes(8), bytes(8), log.Stream.CLINICAL)
    entries = [(b"entry %d" % number, os.urandom(16)) for number in range(count)]
    for raw, salt in entries:
        writer.append(raw, salt)
    return writer, entries, private


def test_a_reader_confirms_a_signed_head_over_the_entries_it_got() -> None:
    writer, entries, private = written(5)
    signed = writer.sign_head(private, seal.Grade.LOG)
    reader = log.Chain(bytes(8), bytes(8), log.Stream.CLINICAL)
    log.verify_entries(reader, entries, signed, seal.verifier_of(private))


@pytest.mark.parametrize("harm", ["changed", "left out", "other salt", "other stream", "other key"])
def test_a_log_that_was_tampered_with_does_not_fit_its_head(harm: str) -> None:
    writer, entries, private = written(5)
    signed = writer.sign_head(private, seal.Grade.LOG)
    public = seal.verifier_of(os.urandom(32) if harm == "other key" else private)
    if harm == "changed":
        entries[2] = (b"something else", entries[2][1])
    if harm == "other salt":
        entries[2] = (entries[2][0], bytes(16))
    if harm == "left out":
        del entries[2]
    stream = log.Stream.URGENT if harm == "other stream" else log.Stream.CLINICAL
    with pytest.raises(log.LogRefused):
        log.verify_entries(log.Chain(bytes(8), bytes(8), stream), entries, signed, public)


def test_a_chain_verifies_when_a_payload_was_erased_and_only_its_commitment_is_left() -> None:
    private = os.urandom(32)
    writer = log.Writer(bytes(8), bytes(8), log.Stream.CLINICAL)
    first, second = writer.append(b"one", os.urandom(16)), writer.append(b"two")
    signed = writer.sign_head(private, seal.Grade.DEVICE)
    reader = log.Chain(bytes(8), bytes(8), log.Stream.CLINICAL)
    reader.append_commitment(first.commitment)
    assert reader.append(b"two") == second
    assert reader.confirms(signed, seal.verifier_of(private))


def test_the_salt_of_an_entry_is_that_of_its_visit_once_the_visit_is_known() -> None:
    salt = os.urandom(16)
    visit = "0" * 16
    opened = ev.entry_of(ev.VisitOpened(visit, visit, salt), 1, "")
    closed = ev.entry_of(ev.VisitClosed(visit, VisitState.COMPLETED), 2, "")
    started = ev.entry_of(ev.RunStarted("0.1", 1), 3, "")
    assert log.salt_of(opened, {}) == salt
    assert log.salt_of(closed, {}) is None
    assert log.salt_of(closed, {visit: salt}) == salt
    assert log.salt_of(started, {}) == log.NO_SALT


# Arithmetic, fault points, bearers.


def test_a_frontier_closes_its_holes_and_survives_the_wire() -> None:
    held = Frontier()
    for first, count in ((5, 2), (1, 2), (9, 1)):
        assert held.add(first, count)
    assert (held.cursor, held.highest, held.missing_before(9)) == (2, 9, (7, 8))
    copy = Frontier.decode(held.encode())
    assert [copy.has(number) for number in range(1, 11)] == [held.has(number) for number in range(1, 11)]
    held.add(3, 2)
    assert held.cursor == 6
    assert not held.add(1 << 40)


def test_a_sequence_however_far_costs_no_time() -> None:
    """The hub places bundles in its event loop: one of a stolen node must not stop it."""
    far = (1 << 47) + 5
    assert Frontier().missing_before(far) == (1, far - 1)
    held = Frontier(10)
    assert held.add(13, 65_000)
    assert held.missing_before(far) == (65_013, far - 1)
    assert held.missing_before(60_000) == (11, 12)
    assert held.missing_before(11) is None


@given(st.lists(st.tuples(st.integers(1, 90), st.integers(0, 9)), max_size=12), st.integers(1, 110))
def test_the_nearest_hole_is_the_one_that_counting_finds(added: list[tuple[int, int]], first: int) -> None:
    held = Frontier()
    known: set[int] = set()
    for begin, count in added:
        held.add(begin, count)
        known |= set(range(begin, begin + count))
    hole = [number for number in range(1, first) if number not in known]
    expected = None
    if hole:
        begin = last = hole[-1]
        while begin - 1 in hole:
            begin -= 1
        expected = (begin, last)
    assert held.missing_before(first) == expected


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 60), st.integers(0, 25)), max_size=30))
def test_ranges_are_the_numbers_that_were_added_and_not_removed(steps: list[tuple[bool, int, int]]) -> None:
    ranges = Ranges()
    known: set[int] = set()
    for adds, start, length in steps:
        these = set(range(start, start + length))
        assert ranges.covers(start, start + length) == (these <= known)
        count = len(ranges)
        touches = ranges.touches(start, start + length)
        if adds:
            ranges.add(start, start + length)
            known |= these
            assert not these or touches == (len(ranges) <= count)
        else:
            ranges.remove(start, start + length)
            known -= these
        spans = ranges.spans()
        assert {number for begin, end in spans for number in range(begin, end)} == known
        assert all(before[1] < after[0] for before, after in pairwise(spans))


def test_ranges_merge_and_split() -> None:
    ranges = Ranges((0, 10))
    ranges.remove(3, 5)
    assert ranges.spans() == [(0, 3), (5, 10)]
    ranges.add(2, 6)
    assert ranges.spans() == [(0, 10)]
    assert ranges.covers(0, 10)
    assert ranges.size == 10


def test_a_process_dies_at_the_point_that_the_environment_names() -> None:
    program = "from edge.sync.faults import point\nfor _ in range(3): point('here'); print('passed', flush=True)"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "UPKENDRA_KILL_AT": "here:3"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout.count("passed")) == (-9, 2)
