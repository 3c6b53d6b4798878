"""The link emulator does what it says, so that what is measured through it can be believed."""

import itertools
import selectors
import socket
import statistics
import struct
import time
from collections.abc import Iterator

import pytest

from tests.kits.link import NAMED, Bursts, Link, LinkError, LinkSpec, Way

pytestmark = pytest.mark.root

IP_UDP_BYTES = 28


class Arrival:
    """A packet that came out: its number, and when (monotonic s) it was sent and received."""

    def __init__(self, number: int, sent_s: float, received_s: float) -> None:
        self.number = number
        self.delay_s = received_s - sent_s
        self.received_s = received_s


def exchange(
    link: Link, *, packets: int, size_bytes: int, interval_s: float, wait_s: float = 2.0, downlink: bool = False
) -> list[Arrival]:
    """Send ``packets`` of ``size_bytes`` (IP) one way, ``interval_s`` apart; what came out, with its delay."""
    source, sink = (link.right, link.left) if downlink else (link.left, link.right)
    arrivals: list[Arrival] = []
    with source.udp_socket() as sender, sink.udp_socket() as receiver, selectors.DefaultSelector() as selector:
        receiver.setblocking(False)
        selector.register(receiver, selectors.EVENT_READ)
        target = receiver.getsockname()
        start_s = time.monotonic()
        number, end_s = 0, start_s + packets * interval_s + wait_s
        while (now_s := time.monotonic()) < end_s and len(arrivals) < packets:
            while number < packets and start_s + number * interval_s <= now_s:
                payload = struct.pack("!Id", number, time.monotonic())
                sender.sendto(payload.ljust(size_bytes - IP_UDP_BYTES, b"\0"), target)
                number += 1
            next_s = start_s + number * interval_s if number < packets else end_s
            if selector.select(max(0.0, min(next_s, end_s) - time.monotonic())):
                arrivals += drain(receiver)
    return arrivals


def drain(receiver: socket.socket) -> Iterator[Arrival]:
    while True:
        try:
            data = receiver.recv(2048)
        except BlockingIOError:
            return
        number, sent_s = struct.unpack_from("!Id", data)
        yield Arrival(number, sent_s, time.monotonic())


@pytest.mark.parametrize(("rate_kbps", "size_bytes"), [(32, 200), (128, 1200), (1000, 1200), (4000, 1400)])
def test_the_rate_is_kept_within_five_percent(rate_kbps: int, size_bytes: int) -> None:
    serialise_s = size_bytes * 8 / (rate_kbps * 1000)
    packets = int(2.5 / serialise_s)
    with Link(LinkSpec.both(rate_kbps=rate_kbps, queue_bytes=10_000_000)) as link:
        arrivals = exchange(link, packets=packets, size_bytes=size_bytes, interval_s=serialise_s / 2, wait_s=4)
    assert len(arrivals) == packets
    took_s = arrivals[-1].received_s - arrivals[0].received_s
    assert (packets - 1) * serialise_s / took_s == pytest.approx(1, abs=0.05)


def test_the_two_directions_are_shaped_apart() -> None:
    spec = LinkSpec(Way(rate_kbps=200, delay_ms=10), Way(rate_kbps=800, delay_ms=60))
    with Link(spec) as link:
        up = exchange(link, packets=20, size_bytes=500, interval_s=0.05)
        down = exchange(link, packets=20, size_bytes=500, interval_s=0.05, downlink=True)
    assert statistics.median(a.delay_s for a in up) == pytest.approx(0.010 + 0.020, abs=0.008)
    assert statistics.median(a.delay_s for a in down) == pytest.approx(0.060 + 0.005, abs=0.008)


def test_the_delay_under_load_stays_within_ten_milliseconds_of_the_model() -> None:
    rate_bps, size_bytes, packets = 512_000, 1200, 120
    serialise_s = size_bytes * 8 / rate_bps
    interval_s = serialise_s / 0.9
    with Link(LinkSpec.both(rate_kbps=rate_bps / 1000, rtt_ms=300)) as link:
        arrivals = exchange(link, packets=packets, size_bytes=size_bytes, interval_s=interval_s)
    delays_s = sorted(arrival.delay_s for arrival in arrivals)
    assert len(delays_s) == packets
    assert delays_s[0] >= 0.150 + serialise_s - 0.001
    assert delays_s[int(packets * 0.95)] <= 0.150 + serialise_s + 0.010


def test_jitter_spreads_the_delay_and_keeps_the_order() -> None:
    with Link(LinkSpec.both(rtt_ms=200, jitter_ms=40)) as link:
        arrivals = exchange(link, packets=150, size_bytes=100, interval_s=0.01)
    delays_s = [arrival.delay_s for arrival in arrivals]
    assert [arrival.number for arrival in arrivals] == list(range(150))
    assert min(delays_s) >= 0.059
    assert max(delays_s) - min(delays_s) > 0.02
    assert max(delays_s) <= 0.140 + 0.010


def test_independent_loss_is_within_its_statistical_tolerance() -> None:
    packets, loss = 4000, 0.05
    with Link(LinkSpec.both(loss_pct=loss * 100, seed=7)) as link:
        arrivals = exchange(link, packets=packets, size_bytes=60, interval_s=0.0003)
        stats = link.stats().uplink
    assert stats.offered_packets == packets
    assert stats.dropped_loss == packets - len(arrivals)
    four_sigma = 4 * (packets * loss * (1 - loss)) ** 0.5
    assert abs(stats.dropped_loss - packets * loss) <= four_sigma


def test_the_same_seed_loses_the_same_packets_and_another_seed_others() -> None:
    def survivors(seed: int) -> list[int]:
        with Link(LinkSpec.both(loss_pct=20, seed=seed)) as link:
            return [a.number for a in exchange(link, packets=100, size_bytes=60, interval_s=0.001, wait_s=0.3)]

    assert survivors(3) == survivors(3)
    assert survivors(3) != survivors(4)


def test_bursts_have_the_mean_loss_and_the_length_that_was_asked_for() -> None:
    bursts = Bursts(to_bad=0.02, to_good=0.2)
    packets = 6000
    with Link(LinkSpec.both(bursts=bursts, seed=5)) as link:
        arrived = {a.number for a in exchange(link, packets=packets, size_bytes=60, interval_s=0.0003)}
    lost = [number not in arrived for number in range(packets)]
    spells = sum(1 for before, now in zip([False, *lost], lost, strict=False) if now and not before)
    assert sum(lost) / packets == pytest.approx(bursts.mean_loss(), rel=0.25)
    assert sum(lost) / spells == pytest.approx(1 / bursts.to_good, rel=0.25)


def test_a_full_queue_drops_the_newest_and_says_so() -> None:
    with Link(LinkSpec.both(rate_kbps=80, queue_bytes=5_000)) as link:
        arrivals = exchange(link, packets=20, size_bytes=1000, interval_s=0.0, wait_s=1.5)
        stats = link.stats().uplink
    assert [arrival.number for arrival in arrivals] == [0, 1, 2, 3, 4]
    assert stats.dropped_queue == 15
    assert stats.queue_peak_bytes == 5_000


@pytest.mark.parametrize(("rate_kbps", "limit_bytes"), [(32, 6_000), (128, 16_000)])
def test_the_queue_holds_one_second_but_at_least_six_kilobytes(rate_kbps: int, limit_bytes: int) -> None:
    assert Way(rate_kbps=rate_kbps).queue_limit_bytes() == limit_bytes


def test_a_planned_outage_loses_what_is_sent_in_it_and_nothing_else() -> None:
    with Link(LinkSpec.both(outages=((0.5, 0.5), (1.5, 0.25)))) as link:
        arrivals = exchange(link, packets=200, size_bytes=100, interval_s=0.01, wait_s=0.3)
        stats = link.stats()
    lost = 200 - len(arrivals)
    assert lost == stats.uplink.dropped_down
    assert lost == pytest.approx(75, abs=5)
    assert stats.up


def test_the_link_is_cut_and_mended_while_it_runs() -> None:
    with Link(LinkSpec.both(rtt_ms=10)) as link:
        assert len(exchange(link, packets=5, size_bytes=100, interval_s=0.01)) == 5
        link.down()
        assert exchange(link, packets=5, size_bytes=100, interval_s=0.01, wait_s=0.3) == []
        link.up()
        assert len(exchange(link, packets=5, size_bytes=100, interval_s=0.01)) == 5


def test_a_rate_changed_by_hand_is_in_force_at_once() -> None:
    with Link(LinkSpec.both(rate_kbps=1000)) as link:
        link.set_rate("uplink", 80)
        arrivals = exchange(link, packets=6, size_bytes=1000, interval_s=0.0)
    gaps_s = [b.received_s - a.received_s for a, b in itertools.pairwise(arrivals)]
    assert statistics.median(gaps_s) == pytest.approx(0.1, abs=0.01)


def test_a_trace_steers_the_rate_and_starts_again_after_its_period() -> None:
    trace = ((0.0, 400.0), (0.5, 0.0), (1.0, 400.0))
    way = Way(rate_kbps=400, trace=trace, trace_period_s=1.5, queue_bytes=1_000_000)
    with Link(LinkSpec(way, way)) as link:
        arrivals = exchange(link, packets=100, size_bytes=1000, interval_s=0.0, wait_s=4)
    assert len(arrivals) == 100  # 2 s of work in 0.5 + 1.0 + 0.5 s of open line
    gaps_s = [b.received_s - a.received_s for a, b in itertools.pairwise(arrivals)]
    assert sum(1 for gap_s in gaps_s if 0.4 < gap_s < 0.65) == 2
    assert arrivals[-1].received_s - arrivals[0].received_s == pytest.approx(3.0, abs=0.15)


def test_counters_tell_ip_bytes_each_way() -> None:
    with Link(LinkSpec.both()) as link:
        exchange(link, packets=10, size_bytes=100, interval_s=0.001)
        exchange(link, packets=4, size_bytes=300, interval_s=0.001, downlink=True)
        stats = link.stats()
    assert (stats.uplink.delivered_packets, stats.uplink.delivered_bytes) == (10, 1000)
    assert (stats.downlink.sent_packets, stats.downlink.sent_bytes) == (4, 1200)


def test_processes_on_the_two_sides_reach_each_other_and_their_own_loopback() -> None:
    server = (
        "import socket\n"
        "s = socket.create_server(('0.0.0.0', 7000))\n"
        "print('ready', flush=True)\n"
        "while True:\n c, a = s.accept(); c.sendall(a[0].encode()); c.close()\n"
    )
    client = "import socket,sys; print(socket.create_connection((sys.argv[1], 7000), 5).recv(99).decode())"
    with Link(LinkSpec.both()) as link:
        running = link.right.popen(["/usr/bin/python3", "-c", server], stdout=-1)
        assert running.stdout is not None
        assert running.stdout.readline() == b"ready\n"
        across = link.left.run(["/usr/bin/python3", "-c", client, link.right.address])
        own = link.right.run(["/usr/bin/python3", "-c", client, "127.0.0.1"])
        running.stdout.close()
    assert (across.stdout.strip(), own.stdout.strip()) == (link.left.address.encode(), b"127.0.0.1")
    assert running.poll() is not None


def test_packets_for_elsewhere_do_not_use_the_link() -> None:
    with Link(LinkSpec.both()) as link:
        with link.left.udp_socket() as sender:
            sender.sendto(b"x" * 100, ("192.0.2.1", 9))
        time.sleep(0.1)
        stats = link.stats().uplink
    assert (stats.offered_packets, stats.sent_bytes) == (0, 0)
    assert stats.strays >= 1


def test_a_command_that_makes_no_sense_is_refused() -> None:
    with Link(LinkSpec.both()) as link:
        with pytest.raises(LinkError, match="no such way"):
            link.set_rate("sideways", 5)
        assert link.stats().up
    with pytest.raises(LinkError, match="not running"):
        link.stats()


def test_the_named_links_are_the_ones_in_the_brief() -> None:
    found = {
        name: (spec.uplink.rate_kbps, spec.uplink.delay_ms * 2, spec.uplink.loss_pct)
        for name, spec in NAMED.items()
        if spec is not None and spec.is_up
    }
    assert found == {"128k": (128, 300, 2), "64k": (64, 400, 2), "32k": (32, 600, 2)}
    assert NAMED["lan"] is None
