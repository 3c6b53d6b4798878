"""Blobs: named so that no guess can be confirmed, whole however their chunks come, and never wrong."""

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from edge.model import media
from edge.model.media import Facts, Manifest, MediaType, Purpose
from edge.sync import blobs, inbox, seal
from edge.sync.bundle import BundleRefused, Chunk
from tests.sync.kit import Keyring

SALT = bytes(range(16))
FACTS = Facts(MediaType.JPEG, 640, 480)
ID = "0123456789abcdef"


def manifest(content: bytes, salt: bytes = SALT, purpose: Purpose = Purpose.ORIGINAL) -> Manifest:
    return blobs.manifest_of(salt, purpose, FACTS, content)


def cut(content: bytes) -> dict[int, bytes]:
    spans = (media.chunk_span(len(content), number) for number in range(media.chunk_count(len(content))))
    return {number: content[start : start + length] for number, (start, length) in enumerate(spans)}


@given(st.binary(min_size=1, max_size=300), st.integers(0, 9), st.integers(10, 1024))
def test_a_chunk_survives_the_wire(data: bytes, number: int, count: int) -> None:
    chunk = Chunk(ID, number, count, data)
    assert blobs.unpack_chunk(blobs.pack_chunk(chunk)) == chunk


@given(st.binary(max_size=200))
def test_no_bytes_make_a_chunk_fail_otherwise(raw: bytes) -> None:
    try:
        blobs.unpack_chunk(bytes((blobs.FORMAT,)) + raw)
    except BundleRefused:
        return
    assert blobs.pack_chunk(blobs.unpack_chunk(bytes((blobs.FORMAT,)) + raw)) == bytes((blobs.FORMAT,)) + raw


@pytest.mark.parametrize(
    ("number", "count", "data"), [(5, 5, b"x"), (0, 0, b"x"), (0, 1025, b"x"), (0, 1, b""), (0, 1, bytes(131_073))]
)
def test_a_chunk_of_no_possible_blob_is_refused(number: int, count: int, data: bytes) -> None:
    with pytest.raises(BundleRefused) as refused:
        blobs.unpack_chunk(blobs.pack_chunk(Chunk(ID, number, count, data)))
    assert refused.value.refusal.code == "chunk_malformed"


def test_a_locked_node_sends_no_photos() -> None:
    packed = blobs.pack_chunk(Chunk(ID, 0, 1, b"x"))
    assert inbox.judge(packed, seal.Grade.DEVICE, None) == inbox.Rejected("device_grade")
    assert inbox.judge(packed, seal.Grade.LOG, None) == inbox.Piece(Chunk(ID, 0, 1, b"x"))


def test_the_same_photo_has_another_name_in_another_visit_and_for_another_purpose() -> None:
    content = random.Random(1).randbytes(20_000)
    here = manifest(content)
    assert here == manifest(content)
    other = manifest(content, bytes(16))
    assert other.blob_id != here.blob_id
    assert other.digest != here.digest
    assert other.checks != here.checks
    assert manifest(content, purpose=Purpose.PREVIEW).blob_id != here.blob_id


@given(st.binary(min_size=1, max_size=40_000), st.lists(st.integers(1, 9_000), max_size=9))
@settings(deadline=None)
def test_a_name_does_not_depend_on_how_the_bytes_were_read(content: bytes, pieces: list[int]) -> None:
    reader = blobs.Reader(SALT, Purpose.ORIGINAL, len(content))
    at = 0
    for piece in (*pieces, len(content)):
        reader.feed(content[at : at + piece])
        at += piece
    assert reader.manifest(FACTS) == manifest(content)


def test_a_reader_that_was_cut_off_names_nothing() -> None:
    reader = blobs.Reader(SALT, Purpose.ORIGINAL, 100)
    reader.feed(bytes(99))
    with pytest.raises(ValueError, match="99 bytes"):
        reader.manifest(FACTS)


def test_every_damaged_chunk_is_found_and_no_other() -> None:
    content = random.Random(2).randbytes(90_000)
    told, chunks = manifest(content), cut(content)
    assert blobs.prove(told, SALT, chunks.__getitem__) == blobs.Proof(True)
    for number in (0, 4, len(chunks) - 1):
        damaged = {**chunks, number: bytes((chunks[number][0] ^ 1,)) + chunks[number][1:]}
        assert blobs.prove(told, SALT, damaged.__getitem__) == blobs.Proof(False, (number,))
    swapped = {**chunks, 1: chunks[2], 2: chunks[1]}
    assert blobs.prove(told, SALT, swapped.__getitem__) == blobs.Proof(False, (1, 2))
    short = {**chunks, 3: chunks[3][:-1]}
    assert blobs.prove(told, SALT, short.__getitem__) == blobs.Proof(False, (3,))
    assert not blobs.prove(told, bytes(16), chunks.__getitem__).whole


@given(st.sets(st.integers(0, 1023)))
def test_a_bitmap_says_which_chunks(numbers: set[int]) -> None:
    assert set(blobs.numbers_of(blobs.bitmap_of(numbers))) == numbers


def test_a_hostile_bitmap_is_bounded() -> None:
    assert len(blobs.numbers_of(b"\xff" * 100_000)) == blobs.COUNT_MAX


def test_what_is_shown_grows_with_the_parts_that_are_here() -> None:
    size = 40_000
    facts = Facts(MediaType.JPEG, 640, 480, parts=(5_000, 9_000, 30_000))
    told = blobs.manifest_of(SALT, Purpose.ORIGINAL, facts, bytes(size))
    receiving = blobs.Receiving(manifest=told)
    assert receiving.shown_bytes() == 0
    shown = []
    for number in (0, 2, 1, 3, 4):
        receiving.take(Chunk(told.blob_id, number, 5, bytes(media.chunk_span(size, number)[1])))
        shown.append(receiving.shown_bytes())
    assert shown == [5_000, 5_000, 9_000, 30_000, 40_000]


def test_what_was_lost_is_asked_for_once_in_a_while() -> None:
    receiving = blobs.Receiving(range(5), 5, manifest(bytes(40_000)))
    assert receiving.ask(0.0) == b""
    receiving.lose((1, 3))
    assert receiving.ask(1_000.0) == blobs.bitmap_of((1, 3))
    assert receiving.ask(1_001.0) == b""
    assert receiving.ask(1_000.0 + blobs.ASK_AGAIN_S) == blobs.bitmap_of((1, 3))


def test_only_what_was_acknowledged_is_sent_anew() -> None:
    sending = blobs.Sending(manifest(bytes(40_000)), range(5), (0, 1))
    assert sending.wanted(blobs.bitmap_of((1, 2, 9))) == (1,)
    assert sending.to_seal(1 << 20) == (1,)


class TwoSides(RuleBasedStateMachine):
    """One photo between two stores that die and come back, over any mixture of bearers."""

    @initialize(seed=st.integers(0, 1 << 32), size=st.integers(1, 200_000))
    def begin(self, seed: int, size: int) -> None:
        self.draw = random.Random(seed)
        self.content = self.draw.randbytes(size)
        self.told = manifest(self.content)
        self.right = cut(self.content)
        self.disk = dict(self.right)
        """The sender's store, which may rot; what stands in `right` is read after it was repaired."""
        keys = Keyring()
        self.epoch = seal.Epoch.new(keys.node, bytes(8), self.draw.randbytes(32), seal.Grade.LOG, keys.log)
        self.opened = seal.open_opening(self.epoch.opening, keys.hub, keys.record)
        self.outbox: dict[int, tuple[bytes, int]] = {}
        """Sealed bytes by a number of their own, with the chunk they hold."""
        self.acked: set[int] = set()
        self.bearers: list[bytes] = []
        self.stored: dict[int, bytes] = {}
        self.manifest_here = False
        self.now = 0.0
        self.done = False
        self.asked: list[bytes] = []
        self.restart_sender()
        self.restart_receiver()

    @rule()
    def restart_sender(self) -> None:
        sealed = {number for _, number in self.outbox.values()} | self.acked
        self.sending = blobs.Sending(self.told, sealed, self.acked)

    @rule()
    def restart_receiver(self) -> None:
        self.receiving = blobs.Receiving(self.stored, len(self.right) if self.stored else 0)
        if self.manifest_here:
            assert self.receiving.learn(self.told) == ()

    @rule(budget=st.integers(1, 60_000), rot=st.booleans())
    def seal_some(self, budget: int, rot: bool) -> None:
        for number in self.sending.to_seal(budget):
            data = self.disk[number]
            if rot and self.draw.random() < 0.3:
                data = bytes((data[0] ^ 255,)) + data[1:]
            sealed = self.epoch.seal_bundle(
                blobs.pack_chunk(Chunk(self.told.blob_id, number, self.sending.count, data))
            )
            self.outbox[len(self.bearers) + len(self.outbox) + self.draw.getrandbits(40)] = (sealed, number)
            self.sending.sealed.add(number)

    @rule(count=st.integers(1, 5))
    def some_bearer_takes_copies(self, count: int) -> None:
        waiting = list(self.outbox.values())
        self.bearers += [self.draw.choice(waiting)[0] for _ in range(count) if waiting]

    @precondition(lambda self: self.bearers)
    @rule(damaged=st.booleans(), keep=st.booleans(), tell=st.booleans())
    def a_copy_arrives(self, damaged: bool, keep: bool, tell: bool) -> None:
        at = self.draw.randrange(len(self.bearers))
        sealed = self.bearers[at] if keep else self.bearers.pop(at)
        if damaged:
            where = self.draw.randrange(8, len(sealed))
            with pytest.raises(seal.SealRefused):
                self.opened.open_bundle(sealed[:where] + bytes((sealed[where] ^ 1,)) + sealed[where + 1 :])
            return
        self.arrive(sealed, tell)

    def arrive(self, sealed: bytes, tell: bool) -> None:
        verdict = inbox.judge(self.opened.open_bundle(sealed), seal.Grade.LOG, None)
        assert isinstance(verdict, inbox.Piece)
        if not self.done:
            taken = self.receiving.take(verdict.chunk)
            assert taken is not blobs.Taken.REFUSED
            if taken is blobs.Taken.FRESH:
                self.stored[verdict.chunk.number] = verdict.chunk.data
        if tell:
            for name in [name for name, (bytes_, _) in self.outbox.items() if bytes_ == sealed]:
                self.acked.add(self.outbox.pop(name)[1])
            self.sending.acked |= self.acked
        self.prove()

    @rule()
    def the_manifest_arrives(self) -> None:
        self.manifest_here = True
        assert self.receiving.learn(self.told) == ()
        self.prove()

    def prove(self) -> None:
        if self.done or not self.receiving.complete:
            return
        proof = blobs.prove(self.told, SALT, self.stored.__getitem__)
        self.done = proof.whole
        if not proof.whole:
            assert set(proof.bad) == {n for n, data in self.stored.items() if data != self.right[n]}
            self.receiving.lose(proof.bad)
            for number in proof.bad:
                del self.stored[number]
            self.asked.append(self.receiving.ask(self.now))

    @rule(seconds=st.floats(0, 2_000))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        if not self.done and self.manifest_here and (bitmap := self.receiving.ask(self.now)):
            self.asked.append(bitmap)

    @precondition(lambda self: self.asked)
    @rule()
    def the_wish_arrives(self) -> None:
        again = self.sending.wanted(self.asked.pop(0))
        self.acked -= set(again)
        for name in [name for name, (_, number) in self.outbox.items() if number in again]:
            del self.outbox[name]

    @invariant()
    def whole_means_right(self) -> None:
        if self.done:
            assert b"".join(self.stored[n] for n in sorted(self.stored)) == self.content

    def teardown(self) -> None:
        """With a fair link everything comes to a whole in the end."""
        if not hasattr(self, "told"):
            return
        self.the_manifest_arrives()
        for _ in range(4):
            self.time_passes(blobs.ASK_AGAIN_S)
            while self.asked:
                self.the_wish_arrives()
            self.restart_sender()
            self.restart_receiver()
            while self.sending.to_seal(1):
                self.seal_some(1 << 20, rot=False)
            for sealed, _ in list(self.outbox.values()):
                self.arrive(sealed, tell=True)
        assert self.done


TestTwoSides = TwoSides.TestCase
TestTwoSides.settings = settings(
    max_examples=40, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
