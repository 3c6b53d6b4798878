"""The modelled payload format: gives back every byte, for any bytes; hostile ones cost little and are refused."""

import random
import time
from array import array

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.model.errors import UpkendraError
from edge.sync import bundle
from edge.sync.bundle import BundlePayload, BundleRefused
from edge.sync.compact import LENGTH_MAX, Walk, _context
from edge.sync.log import SignedHead
from edge.sync.rangecoder import NEW_SLOT, SLOTS, Reader, Writer
from edge.sync.values import Value
from tests.bench.consultations import CORPUS, load_corpus
from tests.bench.shapes import SHAPES, Node
from tests.bench.wording import OTHER

RUN = bytes(range(8))
MODEL = bundle._MODELS[bundle.CURRENT_MODEL]

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text(max_size=40)
    | st.sampled_from(("", "fever", "BR27-099", "9", "e2kkk09p947bgav5", "0" * 16, "सुबह 10", "\x00\x01", "😀"))
    | st.binary(max_size=40)
)
values: st.SearchStrategy[object] = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=6) | st.lists(inner, max_size=4).map(msgspec.msgpack.encode),
    max_leaves=25,
)
entries = st.builds(
    lambda kind, version, stamp, actor, said: msgspec.msgpack.encode([kind, version, stamp, actor, said]),
    st.integers(0, 300),
    st.integers(0, 5),
    st.integers(0, 2**64 - 1),
    st.sampled_from(("", "anm1", "नर्स")),
    values | st.lists(values, max_size=6).map(msgspec.msgpack.encode),
)


def modelled(raws: tuple[bytes, ...], cls: int = 1, head: SignedHead | None = None) -> bytes:
    """Format 02 even where format 01 is smaller; empty where the model gives up."""
    return bundle._modelled(BundlePayload(cls, RUN, 2, 7, raws, head), bundle.CURRENT_MODEL)


@settings(max_examples=200, deadline=None)
@given(raws=st.lists(entries | st.binary(max_size=60), max_size=6).map(tuple))
def test_entries_of_any_kind_come_back_to_the_byte(raws: tuple[bytes, ...]) -> None:
    payload = BundlePayload(1, RUN, 2, 1, raws)
    assert bundle.unpack(bundle.pack(payload)) == payload
    packed = modelled(raws)
    assert not packed or bundle.unpack(packed.ljust(5, b"\0")).entries == raws


@pytest.mark.parametrize("shape", sorted(set(SHAPES)))
def test_visits_of_every_shape_are_modelled_whatever_their_wording(shape: str) -> None:
    node = Node(OTHER, f"test {shape}")
    raws = node.visit(shape, whole=True).raw + node.visit(shape).raw
    payload = BundlePayload(1, RUN, 2, 5, raws)
    packed = bundle.pack(payload)
    assert packed[0] == bundle.MODELLED
    assert bundle.unpack(packed) == payload
    assert 2 * len(packed) < len(bundle.pack(payload, model=None))


def test_a_signed_head_travels_with_the_entries_and_names_the_last_one() -> None:
    raws = load_corpus()[0].raw
    for grade in ("L", "D"):
        head = SignedHead(4 + len(raws), bytes(range(32)), grade, bytes(range(64)))
        payload = BundlePayload(1, RUN, 2, 5, raws, head)
        packed = bundle.pack(payload)
        assert packed[0] == bundle.MODELLED
        assert bundle.unpack(packed) == payload


def test_unknown_kinds_and_fields_of_a_later_release_are_forwarded_as_they_are() -> None:
    later = msgspec.msgpack.encode([63, 9, 1 << 40, "anm1", msgspec.msgpack.encode(["x", [1, {"a": 2}]])])
    longer = msgspec.msgpack.encode([11, 1, 1 << 41, "anm1", msgspec.msgpack.encode(["x", "BR27-001", 1, 2, 3, 4])])
    for raws in ((later, longer), (b"\xc1\xff",), (b"",)):
        assert bundle.unpack(bundle.pack(BundlePayload(1, RUN, 2, 1, raws))).entries == raws
        assert modelled(raws)


def test_what_is_equal_in_python_but_not_on_the_wire_is_not_mixed_up() -> None:
    def entry(stamp: int, said: object) -> bytes:
        return msgspec.msgpack.encode([20, 1, stamp, "", msgspec.msgpack.encode([said])])

    for pair in ((0.0, -0.0), (1, True), ([1], [True]), ([0.0], [-0.0]), (1, 1.0), (0.1, 0.1 + 2**-56)):
        raws = tuple(entry(stamp, said) for stamp, said in enumerate(pair, 1 << 40))
        assert bundle.unpack(bundle.pack(BundlePayload(1, RUN, 2, 1, raws))).entries == raws


@settings(max_examples=150, deadline=None)
@given(
    data=st.binary(max_size=300),
    start=st.sampled_from([bundle.pack(BundlePayload(1, RUN, 2, 1, load_corpus()[3].raw))]),
)
def test_any_code_ends_in_a_payload_or_a_typed_refusal(data: bytes, start: bytes) -> None:
    for code in (bytes((bundle.MODELLED, bundle.CURRENT_MODEL)) + data, start[: len(data)] + data):
        try:
            bundle.unpack(code)
        except BundleRefused as error:
            assert error.refusal.code != "internal"


class Boundless(Walk):
    """A writer that does not hold itself to the limits."""

    def _weigh(self, more: int) -> None:
        """Nothing."""


def test_a_bomb_of_repeated_arrays_is_refused_before_it_is_built() -> None:
    bomb: Value = ["fever"] * 40
    for _ in range(4):
        bomb = [bomb] * 40
    slots = MODEL.slots()
    writer = Writer(slots, 10**9)
    walk = Boundless(writer, MODEL, reading=False)
    coder = writer
    coder.tree(_context(50, 0), 3, 1)
    coder.tree(_context(51, 0), 8, 2)
    walk.number(_context(52, 0), 1)
    coder.plain(64, 0)
    walk.number(_context(53, 0), 1)
    coder.tree(_context(1, 0), 8, 20)
    walk.number(_context(3, 20), 1)
    walk._step(20, 1 << 40)
    walk.value(4, 0, 0, bomb)
    packed = bytes((bundle.MODELLED, bundle.CURRENT_MODEL)) + writer.finish()
    assert len(packed) < 2_000
    with pytest.raises(BundleRefused) as refused:
        bundle.unpack(packed)
    assert refused.value.refusal.code == "too_large"


def test_endless_work_ends_at_the_budget() -> None:
    began_s = time.process_time()
    with pytest.raises(BundleRefused):
        bundle.unpack(bytes((bundle.MODELLED, bundle.CURRENT_MODEL)) + random.Random(1).randbytes(250_000))
    assert time.process_time() - began_s < 20
    reader = Reader(b"", MODEL.slots(), 100)
    with pytest.raises(UpkendraError):
        for _ in range(101):
            reader.tree(0, 1)


def test_a_few_bytes_buy_little_work_and_visits_need_far_less_than_theirs() -> None:
    writer = Writer(MODEL.slots(), 10**9)
    Walk(writer, MODEL, reading=False).payload(1, RUN, 2, 1, [b""] * 4_000)
    packed = bytes((bundle.MODELLED, bundle.CURRENT_MODEL)) + writer.finish()
    assert len(packed) < 100
    with pytest.raises(BundleRefused) as refused:
        bundle.unpack(packed)
    assert refused.value.refusal.code == "too_large"
    node = Node(OTHER, "work")
    for shape in sorted(set(SHAPES)):
        raws = node.visit(shape, whole=True).raw
        honest = Writer(MODEL.slots(), 10**9)
        Walk(honest, MODEL, reading=False).payload(1, RUN, 2, 1, raws)
        spent = 10**9 - honest._left
        assert 2 * spent < bundle.WORK_FREE + bundle.WORK_PER_BYTE * len(honest.finish()), shape


def test_bytes_that_are_said_to_be_long_cost_what_they_weigh_and_no_more() -> None:
    writer = Writer(MODEL.slots(), 10**9)
    walk = Walk(writer, MODEL, reading=False)
    writer.tree(_context(50, 0), 3, 1)
    writer.tree(_context(51, 0), 8, 2)
    walk.number(_context(52, 0), 1)
    writer.plain(64, 0)
    walk.number(_context(53, 0), 1)
    writer.tree(_context(1, 0), 8, 0)
    walk.number(_context(2, 0), LENGTH_MAX - 1)
    began_s = time.process_time()
    with pytest.raises(BundleRefused) as refused:
        bundle.unpack(bytes((bundle.MODELLED, bundle.CURRENT_MODEL)) + writer.finish())
    assert refused.value.refusal.code == "too_large"
    assert time.process_time() - began_s < 8


def test_values_nested_deeper_than_the_limit_are_left_to_the_plain_format() -> None:
    deep: object = []
    for _ in range(60):
        deep = [deep]
    raws = (msgspec.msgpack.encode([20, 1, 1 << 40, "", msgspec.msgpack.encode(deep)]),)
    assert bundle.unpack(bundle.pack(BundlePayload(1, RUN, 2, 1, raws))).entries == raws


@given(st.lists(st.tuples(st.integers(1, 12), st.integers(0, 4095), st.integers(0, 3)), max_size=60))
def test_the_range_coder_reads_what_it_wrote(said: list[tuple[int, int, int]]) -> None:
    def run(coder: Writer | Reader, values: list[int]) -> list[int]:
        made = []
        for (width, _, sort), value in zip(said, values, strict=True):
            if sort == 0:
                made.append(coder.plain(width, value))
            elif sort == 1:
                made.append(coder.pair(7, 9, value & 255))
            else:
                made.append(coder.tree(sort, width, value))
        return made

    values = [value & (1 << width) - 1 for width, value, _ in said]
    fresh = array("I", [NEW_SLOT]) * SLOTS
    writer = Writer(fresh[:], 10**6)
    wrote = run(writer, values)
    assert run(Reader(writer.finish(), fresh[:], 10**6), [0] * len(values)) == wrote


def test_memory_of_a_reader_is_bounded_by_what_a_bundle_may_hold() -> None:
    assert LENGTH_MAX <= bundle.PLAIN_MAX_BYTES


def test_the_words_of_the_corpus_are_in_no_word_list_of_the_model() -> None:
    known = set(MODEL.words)
    assert not known & {*CORPUS.given, *CORPUS.family, *CORPUS.villages, *filter(None, CORPUS.notes), CORPUS.actor}
