"""A simulated bottleneck for the estimator: a rate that may change, a tail-drop queue, delay and loss. Pure."""

import random
from collections.abc import Callable

from msgspec import Struct

from edge.media.estimate import Estimator, PacketFeedback

_STEP_S = 0.01
_FEEDBACK_S = 0.1
_CLOCK_OFFSET_S = 5_000.0
"""The receiver's clock has nothing to do with the sender's."""


class Moment(Struct, frozen=True):
    """One tenth of a second of a simulated call."""

    at_s: float
    rate_bps: float
    queue_s: float
    """Real queueing delay."""
    arrived_bits: int


def simulate(
    rate_at: Callable[[float], float],
    length_s: float,
    *,
    rtt_s: float = 0.3,
    loss: float = 0.0,
    queue_s: float = 1.0,
    start_bps: float = 0.0,
    packet_bytes: int = 500,
    seed: int = 1,
) -> list[Moment]:
    """A sender that fills its estimate, over a link of ``rate_at(t)`` bits per second; 0 is an outage."""
    chance = random.Random(seed)
    estimator = Estimator(0.0, start_bps)
    moments: list[Moment] = []
    queue: list[tuple[float, int]] = []  # (sent, size)
    queued_bits = credit_bits = served_bits = 0.0
    in_flight: list[tuple[float, PacketFeedback]] = []  # (when the sender may know, fate)
    arrived_bits = 0
    for step in range(round(length_s / _STEP_S)):
        now_s = step * _STEP_S
        rate = rate_at(now_s)
        credit_bits = min(credit_bits + estimator.rate_bps * _STEP_S, 3 * packet_bytes * 8)
        while credit_bits >= packet_bytes * 8:
            credit_bits -= packet_bytes * 8
            if queued_bits > max(rate * queue_s, 48_000):
                in_flight.append((now_s + rtt_s, PacketFeedback(now_s, None, packet_bytes)))
            else:
                queue.append((now_s, packet_bytes))
                queued_bits += packet_bytes * 8
        served_bits = served_bits + rate * _STEP_S if queue else 0.0
        while queue and served_bits >= queue[0][1] * 8:
            sent_s, size = queue.pop(0)
            served_bits -= size * 8
            queued_bits -= size * 8
            gone = chance.random() < loss
            if not gone:
                arrived_bits += size * 8
            arrived_s = None if gone else now_s + rtt_s / 2 + _CLOCK_OFFSET_S
            in_flight.append((now_s + rtt_s, PacketFeedback(sent_s, arrived_s, size)))
        if step % round(_FEEDBACK_S / _STEP_S) == 0:
            known = [fate for known_s, fate in in_flight if known_s <= now_s]
            in_flight = [entry for entry in in_flight if entry[0] > now_s]
            if rate > 0:
                estimator.feed(known, now_s, rtt_s)
            estimator.tick(now_s, rtt_s)
            delay_s = queued_bits / rate if rate else 0.0
            moments.append(Moment(now_s, estimator.rate_bps, delay_s, arrived_bits))
            arrived_bits = 0
    return moments


def used(moments: list[Moment], rate_at: Callable[[float], float], from_s: float) -> float:
    """Share of the link's capacity that carried packets since ``from_s``."""
    counted = [moment for moment in moments if moment.at_s >= from_s]
    capacity = sum(rate_at(moment.at_s) * _FEEDBACK_S for moment in counted)
    return sum(moment.arrived_bits for moment in counted) / capacity


def quantile(values: list[float], share: float) -> float:
    """The value below which ``share`` of the values lie."""
    return sorted(values)[int(share * (len(values) - 1))]
