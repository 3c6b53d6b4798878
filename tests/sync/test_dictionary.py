"""The dictionary that the release ships, on a corpus whose wording it has never seen."""

import hashlib
from importlib import resources

from edge.sync import bundle, seal
from edge.sync.bundle import BundlePayload
from edge.sync.log import Stream
from tests.bench.consultations import CORPUS, TRAINING, load_corpus, make_corpus

SHA256 = "cf976e42b6f3ddf8a8c3c0a3652d7e282e7b3b7a65bba19f5f5967d49569f9d7"
WARM_GOAL_BYTES = 560
PACKET_BYTES = seal.PACKET_UP_OVERHEAD_BYTES + 28 + 14
"""Our packet, IP and UDP headers, one fragment's head."""


def _shipped() -> bytes:
    return resources.files("edge.sync").joinpath("data/dictionary-001.bin").read_bytes()


def test_a_shipped_dictionary_is_never_changed() -> None:
    assert hashlib.sha256(_shipped()).hexdigest() == SHA256
    assert len(_shipped()) <= 32 * 1024


def test_the_corpus_is_what_its_seed_makes_and_shares_no_wording_with_the_training() -> None:
    corpus = load_corpus()
    assert corpus == make_corpus()
    for group in ("given", "family", "villages", "notes"):
        assert set(getattr(CORPUS, group)) & set(getattr(TRAINING, group)) <= {""}
    dictionary = _shipped()
    for word in (*CORPUS.given, *CORPUS.villages, *filter(None, CORPUS.notes), CORPUS.actor, CORPUS.site):
        assert word.encode() not in dictionary, word


def test_a_whole_consultation_in_one_packet_keeps_within_560_bytes_on_average() -> None:
    sizes = []
    for number, one in enumerate(load_corpus()):
        payload = BundlePayload(1, bytes(range(8)), Stream.CLINICAL, number * 11 + 1, one.raw)
        packed = bundle.pack(payload)
        assert bundle.unpack(packed) == payload
        sizes.append(len(packed) + seal.BUNDLE_HEADER_BYTES + seal.TAG_BYTES + PACKET_BYTES)
    assert sum(sizes) / len(sizes) <= WARM_GOAL_BYTES


def test_what_was_sealed_without_a_dictionary_is_still_read() -> None:
    payload = BundlePayload(1, bytes(8), Stream.CLINICAL, 1, load_corpus()[0].raw)
    assert bundle.unpack(bundle.pack(payload, bundle.NO_DICTIONARY)) == payload
