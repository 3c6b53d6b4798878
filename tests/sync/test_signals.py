"""Call signals on the link: small by a dictionary that the other side knows, and readable without."""

import json
from pathlib import Path

import pytest

from edge.model.errors import BadInput
from edge.sync import signals
from edge.sync.bundle import BundleRefused, dictionary_of
from edge.sync.versions import FIRST, OURS, Reads
from tests.bench import make_signal_dictionary as made

VECTOR = json.loads((Path(__file__).parents[1] / "vectors" / "signal.json").read_text())


@pytest.mark.parametrize(("name", "reads"), [("body", OURS), ("first", FIRST)])
def test_a_signal_has_the_frozen_bytes(name: str, reads: Reads) -> None:
    blob, body = bytes.fromhex(VECTOR["blob"]), bytes.fromhex(VECTOR[name])
    assert signals.unpack_signal(body) == (7, blob)
    assert signals.pack_signal(7, blob, reads) == body


def test_a_description_that_the_dictionary_has_never_seen_is_less_than_half_with_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(made, "CALLS", 5)
    for blob in made.signals():
        # other names, numbers and an order of lines that no training signal has
        other = blob.replace(b"a=rtcp-mux\r\n", b"").replace(b"host-", b"node-").replace(b"audio0", b"sound0")
        plain, short = signals.pack_signal(1, other), signals.pack_signal(1, other, OURS)
        assert signals.unpack_signal(plain) == signals.unpack_signal(short) == (1, other)
        assert len(short) <= len(plain)
        if len(other) > 1_000:
            assert len(short) < 0.5 * len(plain)


def test_what_is_no_signal_or_names_a_dictionary_of_a_later_release_is_none() -> None:
    body = signals.pack_signal(1, b"a signal that is long enough " * 9, OURS)
    assert dictionary_of(body[4:]) == signals.DICTIONARY
    later = body[:4] + body[4:].replace(bytes([signals.DICTIONARY]), b"\xfe", 1)
    assert dictionary_of(later[4:]) == 0xFE
    assert signals.unpack_signal(later) is None
    assert signals.unpack_signal(body[:6]) is None and signals.unpack_signal(b"") is None
    with pytest.raises(BundleRefused):
        dictionary_of(b"")


def test_a_signal_that_is_too_large_is_refused() -> None:
    with pytest.raises(BadInput):
        signals.pack_signal(1, bytes(signals.SIGNAL_MAX_BYTES + 1))
