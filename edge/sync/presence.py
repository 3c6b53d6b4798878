"""How a node last heard its hub, and what waits for it: "online" is a fact with a time. Without I/O."""

from .arq import Arq
from .link import ATTENDED_FOR_S, ATTENDED_KEEPALIVE_S, KEEPALIVE_S, LinkState, online_limit_s
from .meter import HELD_CLS_MIN, Meter, Wait
from .outbox import CLASSES
from .pace import LIMITED_CLS_MIN


class Presence:
    """Of one node's endpoint, over epochs and paths."""

    def __init__(self) -> None:
        self.heard_s: float | None = None
        """When the hub was last heard."""
        self.attended_s = float("-inf")
        """When a call signal last went either way."""

    def keepalive_s(self, now: float) -> float:
        """After so long without a word the hub is asked for one."""
        return ATTENDED_KEEPALIVE_S if now - self.attended_s < ATTENDED_FOR_S else KEEPALIVE_S

    def online_until_s(self, now: float, arq: Arq) -> float:
        """When the hub is called gone, unless it is heard before."""
        heard_s = self.heard_s if self.heard_s is not None else float("-inf")
        return heard_s + online_limit_s(self.keepalive_s(now), arq.congestion.srtt_s)

    def is_online(self, now: float, arq: Arq) -> bool:
        """Heard lately, and not silent to two timeouts in a row."""
        return now < self.online_until_s(now, arq) and arq.timeouts < 2

    def state(self, now: float, arq: Arq, meter: Meter, bearer: str, waits: Wait, level: int) -> LinkState:
        """For people and for the application; ``waits``: why bulk does not leave, ``level``: of the protocol."""
        items, size = arq.queue.backlog()
        cls_min = CLASSES if waits is Wait.NO else LIMITED_CLS_MIN if waits is Wait.CALL else HELD_CLS_MIN
        waiting_items, waiting_bytes = arq.queue.backlog(cls_min)
        return LinkState(
            online=self.is_online(now, arq),
            last_ack_age_s=now - self.heard_s if self.heard_s is not None else float("inf"),
            rtt_ms=int(arq.congestion.srtt_s * 1000),
            rate_bps=arq.congestion.rate_bps,
            bearer=bearer,
            backlog_items=items,
            backlog_bytes=size,
            level=level,
            today_bytes=meter.today_bytes(bearer),
            cap_bytes=meter.cap_bytes(bearer),
            waits=waits,
            waiting_items=waiting_items,
            waiting_bytes=waiting_bytes,
        )
