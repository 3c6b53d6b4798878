"""Messages beside sound and picture: bounded, the same to Python and to the page, never faster than allowed."""

import asyncio
import base64
import itertools
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.media import aside
from edge.media.ladder import load_rules
from edge.media.still import webp_within
from edge.media.testcard import Card
from edge.model.errors import BadInput
from tests.kits.link import Link, LinkSpec
from tests.media.room import browsing, calling, open_page, until

STILL_MOST_BYTES = load_rules().still_max_bytes
THIN_KBPS = 17
"""Too little for moving pictures, enough for sound and a still now and then."""


def test_messages_survive_and_what_is_none_is_refused() -> None:
    for message in (
        aside.AskStill("0123456789abcdef"),
        aside.LinkState("stills", True, True),
    ):
        assert aside.read(aside.write(message)) == message
    for text in ("", "{}", "[]", "[" * 900, '{"type":"dance"}', '{"type":"ask_still","still_id":"x"}', "x" * 3_000):
        with pytest.raises(BadInput):
            aside.read(text)


@given(st.binary(min_size=1, max_size=20_000), st.floats(0, 700))
def test_a_still_is_cut_into_packets_that_pass_everywhere(content: bytes, age_s: float) -> None:
    cut = aside.pieces(70_000, content, age_s)
    assert all(len(piece) <= aside.PIECE_HEADER.size + aside.PIECE_BYTES for piece in cut)
    heads = [aside.PIECE_HEADER.unpack_from(piece) for piece in cut]
    assert [(head[3], head[4]) for head in heads] == [(place, len(cut)) for place in range(len(cut))]
    assert b"".join(piece[aside.PIECE_HEADER.size :] for piece in cut) == content


def test_pieces_leave_no_faster_than_the_allocation_and_a_new_still_waits_for_the_last() -> None:
    pacer, sent, began = aside.StillPacer(), 0, []
    for tick in range(600):
        now_s = tick / 10
        if pacer.wants(now_s, 4.0):
            pacer.begin(bytes(2_600), 0.1, now_s)
            began.append(now_s)
        piece = pacer.due(now_s, 600.0)
        sent += len(piece) if piece else 0
        assert sent <= 600.0 * (now_s + 0.1) + aside.PIECE_BYTES + aside.PIECE_HEADER.size
    assert all(later - earlier >= 4.0 for earlier, later in itertools.pairwise(began))
    assert sent > 0.9 * 600 * 60 and len(began) >= 12
    pacer.clear()
    assert pacer.due(1e9, 600.0) is None


@pytest.mark.parametrize("most_bytes", [900, 2_000, 5_000])
def test_a_still_keeps_to_its_bytes_whatever_it_shows(most_bytes: int) -> None:
    picture = Card(640, 480).draw(time.time_ns() // 1_000_000)
    made = webp_within(picture, 640, 480, 320, most_bytes)
    assert made[:4] == b"RIFF" and made[8:12] == b"WEBP"
    assert most_bytes / 4 < len(made) <= most_bytes
    with pytest.raises(ValueError, match="cannot be made so small"):
        webp_within(picture, 640, 480, 320, 60)


PUT_TOGETHER = """
async (pieces) => {
  const { Aside } = await import("/ui/call/aside.js");
  const seen = [];
  const aside = new Aside({ onStill: (still) => seen.push(still), onMessage: () => {}, onOpen: () => {} });
  for (const piece of pieces) aside.piece(Uint8Array.from(atob(piece), (letter) => letter.charCodeAt(0)).buffer);
  return Promise.all(seen.map(async ({ picture, takenAt }) => {
    const { width, height } = await createImageBitmap(picture);
    return { size: picture.size, width, height, age: performance.now() - takenAt };
  }));
}
"""


@pytest.mark.browser
@pytest.mark.serial
async def test_the_page_puts_stills_together_in_any_order_passes_over_nonsense_and_hears_of_the_link() -> None:
    picture = Card(640, 480).draw(time.time_ns() // 1_000_000)
    whole = webp_within(picture, 640, 480, 320, 5_000)
    cut = aside.pieces(7, whole, 1.5)
    assert len(cut) >= 2
    lost = aside.pieces(6, whole, 0.0)[:-1]
    nonsense = [
        b"",
        b"S\x01",
        b"S\x01\x00\x07\x05\x02\x00\x00x",
        b"X" * 40,
        b"S\x01\x00\x08\x00\xff\x00\x00" + bytes(900),
    ]
    given_bytes = [*nonsense, *lost, *reversed(cut), *nonsense]
    async with browsing() as browser, calling("test") as room:
        page = await open_page(browser, f"{room.url}/doctor")
        await until(page, "window.call")
        seen = await page.evaluate(PUT_TOGETHER, [base64.b64encode(one).decode() for one in given_bytes])
        assert [one["size"] for one in seen] == [len(whole)]
        assert (max(seen[0]["width"], seen[0]["height"]), 1500 <= seen[0]["age"] < 5000) == (320, True)
        await until(page, "window.asides.some((one) => one.type === 'link_state' && one.rung)")
        assert await page.evaluate("window.call.aside.send({type: 'dance'})")
        await room.wait_for(lambda: bool(room.errors))
        assert room.errors[0].refusal.code == "bad_input"


@pytest.mark.browser
@pytest.mark.serial
async def test_a_reloaded_doctors_page_is_called_again_by_the_same_process_and_its_data_channel_opens_anew() -> None:
    async with browsing() as browser, calling("test") as room:
        page = await open_page(browser, f"{room.url}/doctor")
        for attempt in range(3):
            await until(page, "window.call && window.call.stats().frames > 5 && window.asides.length > 0")
            assert room.process is not None and room.state.attempt == attempt
            pid = room.process.pid
            await page.reload()
            await until(page, f"window.call?.attempt === {attempt + 1}")
            assert room.process.pid == pid
        assert room.errors == []


@pytest.mark.browser
@pytest.mark.root
@pytest.mark.timeout(300)
def test_while_the_rate_carries_no_video_stills_come_instead_and_video_follows_when_it_does() -> None:
    async def story(link: Link) -> None:
        async with browsing() as browser, calling("test", start_bps=15_000, wrapper=link.left.argv([])) as room:
            page = await open_page(browser, f"{room.url}/doctor")
            await until(page, "window.asides.some((one) => one.type === 'link_state' && one.rung === 'stills')")
            await until(page, "window.stills?.length > 0", 110)
            still = (await page.evaluate("window.stills"))[0]
            assert still["bytes"] <= STILL_MOST_BYTES
            assert 0 <= still["at"] - still["takenAt"] < 8_000
            for way in ("uplink", "downlink"):
                link.set_rate(way, None)
            await until(page, "window.call.stats().fps > 2 && window.asides.at(-1).rung.startsWith('video')", 90)

    with Link(LinkSpec.both(rate_kbps=THIN_KBPS, rtt_ms=200)) as link:
        link.right.call(lambda: asyncio.run(story(link)))
