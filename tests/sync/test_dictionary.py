"""What the release ships to make bundles small, on wording that it has never seen."""

import hashlib
import statistics
from importlib import resources
from itertools import islice

import pytest

from edge.sync import bundle, seal
from edge.sync.bundle import BundlePayload
from edge.sync.log import Stream
from tests.bench.consultations import CORPUS, Words, load_corpus, make_corpus
from tests.bench.make_dictionary import bundles
from tests.bench.shapes import Node
from tests.bench.wording import OTHER, TRAINING, prose

SHA256 = {
    "dictionary-001.bin": "cf976e42b6f3ddf8a8c3c0a3652d7e282e7b3b7a65bba19f5f5967d49569f9d7",
    "dictionary-002.bin": "688aa1254c8ec493041403f629f9d6e105ff354bcabef3e668fe8c0f3d5c11e6",
    "model-002.bin": "0bab6e265d5ec415bf0016315f7966f36cd8078acf4a2e9d15ba6f4662f04461",
}
SIZE_MAX_BYTES = 128_000
PACKET_BYTES = seal.PACKET_UP_OVERHEAD_BYTES + 28 + 14
"""Our packet, IP and UDP headers, one fragment's head."""


@pytest.mark.parametrize("name", SHA256)
def test_what_was_shipped_is_never_changed(name: str) -> None:
    file = resources.files("edge.sync").joinpath(f"data/{name}").read_bytes()
    assert hashlib.sha256(file).hexdigest() == SHA256[name]
    assert len(file) <= SIZE_MAX_BYTES


def test_the_corpus_is_what_its_seed_makes() -> None:
    assert load_corpus() == make_corpus()


@pytest.mark.parametrize("words", [CORPUS, OTHER], ids=["corpus", "other"])
def test_no_word_that_tries_the_model_has_trained_it(words: Words) -> None:
    """Names, places and site codes nowhere, remarks nowhere as they stand."""
    for group in ("given", "family", "villages", "notes"):
        assert set(getattr(words, group)) & set(getattr(TRAINING, group)) <= {""}
    trained = b"\n".join(raw for _, _, entries in islice(bundles(), 400) for raw in entries)
    trained += "\n".join(prose()).encode()
    for word in (*words.given, *words.villages, *filter(None, words.notes), words.actor, words.site):
        assert word.encode() not in trained, word


def _sizes(visits: list[tuple[bytes, ...]]) -> list[int]:
    sizes = []
    for number, raws in enumerate(visits):
        payload = BundlePayload(1, bytes(range(8)), Stream.CLINICAL, number * 11 + 1, raws)
        packed = bundle.pack(payload)
        assert packed[0] == bundle.MODELLED
        sizes.append(len(packed) + seal.BUNDLE_HEADER_BYTES + seal.TAG_BYTES + PACKET_BYTES)
    return sizes


def test_a_whole_consultation_in_one_packet_is_small_for_both_sets_of_words() -> None:
    assert statistics.mean(_sizes([one.raw for one in load_corpus()])) <= 300
    node = Node(OTHER, "sizes")
    assert statistics.mean(_sizes([node.visit().raw for _ in range(50)])) <= 340


def test_fifty_consultations_in_one_bundle_keep_well_within_8500_bytes() -> None:
    entries = tuple(raw for one in load_corpus() for raw in one.raw)
    payload = BundlePayload(1, bytes(range(8)), Stream.CLINICAL, 1, entries)
    packed = bundle.pack(payload)
    assert len(packed) <= 5_000
    assert bundle.unpack(packed) == payload


def test_what_was_sealed_without_a_dictionary_is_still_read() -> None:
    payload = BundlePayload(1, bytes(8), Stream.CLINICAL, 1, load_corpus()[0].raw)
    assert bundle.unpack(bundle.pack(payload, bundle.NO_DICTIONARY, None)) == payload
