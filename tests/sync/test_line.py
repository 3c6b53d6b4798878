"""Long transfers over a line with a queue: windows between outages, and a TCP flow beside ours. Simulated time."""

import pytest

from edge.sync import frames as fr
from edge.sync.arq import Arq
from edge.sync.congestion import PACKET_BYTES, DelayAimd
from edge.sync.link import Cls

from .kit import World
from .line import Cubic, Line
from .test_photo_link import Counter, PhotoWorld

WINDOW_S, EVERY_S = 8.0, 60.0


def send_photo(seed: int, opens_s: float, counter: Counter, *, reopen_s: float | None = None) -> tuple[float, float]:
    """Seconds from the first window, which opens ``opens_s`` after the start, and the share of bytes sent twice.

    ``reopen_s``: in an outage the node takes a new port so often, as the runner does when the address has changed.
    """
    line = Line(seed, rate_bps=64_000, rtt_s=0.6, loss=0.01)
    opening = 1_000.0 + opens_s
    if opens_s:
        line.outages.append((0.0, opening))
    line.windows(opening, WINDOW_S, EVERY_S)
    world = PhotoWorld(line, seed)
    world.send_photo()
    total = sum(len(ref.sealed) for ref, _ in world.outbox.values())
    counter.bytes = 0
    while not world.go(reopen_s or 900.0, world.whole):
        assert world.now < opening + 900
        if any(start + 10 < world.now < end for start, end in line.outages):
            world.address = ("udp", ("10.0.0.1", int(world.now)))
    return world.now - opening, counter.bytes / total - 1


def test_a_photo_crosses_windows_of_eight_seconds_and_little_of_it_is_sent_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    counter = Counter(monkeypatch)
    runs = [send_photo(seed, 0.0, counter) for seed in range(10)]
    assert max(took_s for took_s, _ in runs) <= 330, runs
    assert sorted(twice for _, twice in runs)[len(runs) // 2] <= 0.10, runs
    assert max(twice for _, twice in runs) <= 0.11, runs


def test_a_new_port_in_each_outage_costs_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """The hub's first answer goes to the new address and says what is held, before that has proved itself."""
    counter = Counter(monkeypatch)
    runs = [send_photo(seed, 0.0, counter, reopen_s=20.0) for seed in range(10)]
    assert sum(took_s <= 330 for took_s, _ in runs) >= 8, runs
    assert max(twice for _, twice in runs) <= 0.12, runs


def test_a_photo_that_starts_in_an_outage_needs_no_more_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    counter = Counter(monkeypatch)
    runs = [send_photo(seed, 20.0, counter) for seed in range(10)]
    assert sum(took_s <= 330 for took_s, _ in runs) >= 9, runs
    assert max(took_s for took_s, _ in runs) < 370
    assert max(twice for _, twice in runs) <= 0.12, runs


def share(rate_bps: float, rtt_s: float, queue_s: float, seed: int, *, tcp_first: bool) -> float:
    """Our goodput over that of one cubic flow, from 20 s after the second one began, over 150 s."""
    line = Line(seed, rate_bps=rate_bps, rtt_s=rtt_s, loss=0.005, queue_s=queue_s)
    world = World(line, seed)
    flow = Cubic(line, world.now + (0.0 if tcp_first else 30.0))
    line.flows.append(flow)
    world.go(30.0 if tcp_first else 0.0)
    for _ in range(int(rate_bps / 8 * 200 / 100_000) + 2):
        world.submit((world.draw.randbytes(100_000),), Cls.ORIGINAL)
    world.go(20.0 if tcp_first else 50.0)
    theirs, ours = flow.delivered_bytes, line.delivered_bytes
    world.go(150.0)
    return (line.delivered_bytes - ours) / (flow.delivered_bytes - theirs)


@pytest.mark.timeout(400)
@pytest.mark.parametrize("tcp_first", [True, False])
@pytest.mark.parametrize(
    ("rate_bps", "rtt_s"), [(64_000.0, 0.6), (128_000.0, 0.3), pytest.param(384_000.0, 0.3, marks=pytest.mark.long)]
)
@pytest.mark.parametrize("queue_s", [0.3, 1.0])
def test_bulk_takes_about_what_a_cubic_flow_beside_it_takes(
    rate_bps: float, rtt_s: float, queue_s: float, tcp_first: bool
) -> None:
    """The same goal is measured with a real flow (``./run bench sync``)."""
    shares = sorted(share(rate_bps, rtt_s, queue_s, seed, tcp_first=tcp_first) for seed in range(3))
    assert 0.3 <= shares[1] <= 3.0, shares


def test_a_window_in_which_no_third_packet_fits_is_a_window_that_is_used() -> None:
    """Else it neither grows nor suspects anybody, beside a flow that keeps the queue full."""
    control = DelayAimd()
    control.on_rtt(0.3)
    control.on_outage()  # the doubling is over
    control.on_acked(1, 0.0)
    control.window_bytes = 3_293.0
    for number in range(20):
        control.on_sent(int(control.window_bytes / PACKET_BYTES) * 1_215)
        control.on_rtt(0.8)
        control.on_acked(2_430, 1.0 + number)
    assert control.window_bytes != 3_293.0
    assert control._competing


def sent_and_late(answered_s: float, *, outage: bool) -> DelayAimd:
    """The controller after an answer that came later than the timeout; a way of 0.7 s was known."""
    control = DelayAimd()
    for _ in range(20):
        control.on_rtt(0.7)
    arq = Arq(control, 0.0, probes=True)
    arq.send(fr.KIND_BUNDLE, Cls.ORIGINAL, bytes(4_000), b"bulk", 0.0)
    arq.on_sent(1, arq.next_frames(0.0, 1_172), 1_215, 0.0)
    now, counter = 0.0, 2
    while arq.timeouts < 1 + outage:
        now += 0.1
        arq.tick(now)
        frames = arq.next_frames(now, 1_172)
        if frames:
            arq.on_sent(counter, frames, 100, now)
            counter += 1
    arq.heard(answered_s)
    arq.on_ack(fr.Ack(bytes(2), 1, 0, b""), answered_s)
    return control


def test_an_answer_after_the_timeout_says_how_long_the_way_has_become() -> None:
    """Else a queue that somebody fills within one round trip is never learned of, and each answer comes too late."""
    assert sent_and_late(1.8, outage=False).srtt_s > 0.75


def test_an_answer_from_before_an_outage_says_nothing() -> None:
    assert sent_and_late(60.0, outage=True).srtt_s == pytest.approx(0.7)


def test_beside_somebody_else_three_packets_are_the_least_and_one_leaves_at_a_time() -> None:
    control = DelayAimd()
    control.on_rtt(0.3)
    control.on_outage()
    assert control.burst_packets == 2
    for number in range(20):
        control.on_sent(20_000)
        control.on_rtt(0.9)
        control.on_acked(2_430, 1.0 + number)
    assert control._competing
    assert control.burst_packets == 1
    for number in range(20):
        control.on_sent(20_000)
        control.on_lost([30.0 + number] * 3)
        control.on_rtt(0.9)
        control.on_acked(1_215, 30.5 + number)
    assert control.window_bytes >= 3 * PACKET_BYTES


def test_alone_bulk_uses_the_line_and_keeps_the_queue_short() -> None:
    line = Line(3, rate_bps=64_000, rtt_s=0.6, loss=0.01)
    world = World(line, 3)
    for _ in range(12):
        world.submit((world.draw.randbytes(100_000),), Cls.ORIGINAL)
    world.go(20)
    before, began = line.delivered_bytes, world.now
    waits = []
    for _ in range(60):
        world.go(1.0)
        waits.append(line.waiting_s("up", world.now))
    assert (line.delivered_bytes - before) * 8 / (world.now - began) > 0.93 * 64_000
    assert sorted(waits)[30] < 0.35
    assert sorted(waits)[56] < 0.6
