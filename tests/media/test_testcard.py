"""The test card tells the time to scripts; the speech is audible."""

import struct

from hypothesis import given
from hypothesis import strategies as st

from edge.media import testcard
from edge.media.testcard import BLOCKS, CLOCK_MODULUS_MS, Card, clock_bits, read_clock, speech_pcm


@given(st.integers(0, 2**42))
def test_the_clock_reads_back_what_was_burnt_in(unix_ms: int) -> None:
    assert read_clock(clock_bits(unix_ms)) == unix_ms % CLOCK_MODULUS_MS


@given(st.integers(0, 2**42), st.integers(0, BLOCKS - 1))
def test_one_misread_block_is_noticed(unix_ms: int, place: int) -> None:
    blocks = clock_bits(unix_ms)
    blocks[place] ^= 1
    assert read_clock(blocks) is None


def test_the_picture_carries_the_clock_and_moves() -> None:
    card = Card(640, 480)
    one, two = card.draw(1_000_123), card.draw(1_000_223)
    assert len(one) == 640 * 480 * 3 // 2
    assert [int(one[16 * 640 + block * 32 + 16] > 127) for block in range(BLOCKS)] == clock_bits(1_000_123)
    assert sum(a != b for a, b in zip(one[: 640 * 480 : 7], two[: 640 * 480 : 7], strict=True)) > 1_000


def test_speech_is_loud_enough_and_has_pauses() -> None:
    for pcm in (speech_pcm(), testcard._babble()):
        samples = struct.unpack(f"<{len(pcm) // 2}h", pcm)
        assert len(samples) % 960 == 0
        assert max(samples) > 5_000
        frames = [max(map(abs, samples[at : at + 960])) for at in range(0, len(samples), 960)]
        assert min(frames) < 50
