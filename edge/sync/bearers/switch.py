"""Which bearer to use: UDP; WSS only where UDP is blocked while WSS works; back when UDP answers. Pure.

Three things keep two bearers from flapping: leaving UDP needs silence on evidence, a WebSocket that stands
after it and one more round of questions over UDP; coming back needs three answers in a row; whoever
falls out of UDP again soon is asked ever more rarely. An outage of the whole link moves nothing, since no
WebSocket opens in it. Time is an argument.
"""

from typing import NamedTuple

from edge.sync.link import Silence

SILENT_S = 12.0
SILENT_ROUND_TRIPS = 6.0
SILENT_PACKETS = 3
"""Silence: this long and so many round trips without an answer to so many packets."""
CONFIRM_S = 3.0
CONFIRM_ROUND_TRIPS = 3.0
"""How long UDP is asked for the last time once a WebSocket stands."""
WSS_RETRY_S = 15.0
WSS_RETRY_MAX_S = 120.0
ASK_UDP_S = 15.0
ASK_UDP_MAX_S = 240.0
"""While on WSS, UDP is asked this often; twice as rarely after each return that did not last."""
ASK_SOON_S = 1.0
RETURN_ANSWERS = 3
LASTED_S = 300.0
REOPEN_S = 20.0
"""A silent UDP socket is opened anew this often: the address may have changed."""


class Steps(NamedTuple):
    """What to do now."""

    path: str
    connect_wss: bool = False
    drop_wss: bool = False
    ask_udp: bool = False
    reopen_udp: bool = False


class Switch:
    """The decision of one node. Feed it what was heard; ask it what to do."""

    def __init__(self, now: float) -> None:
        self.path = "udp"
        self.moves = 0
        """Changes of the bearer so far."""
        self._blocked = False
        self._dropping = False
        self._confirm_s: float | None = None
        self._connect_s = now
        self._connect_wait_s = WSS_RETRY_S
        self._opened_udp_s = now
        self._ask_s = now
        self._ask_every_s = ASK_UDP_S
        self._asked = False
        self._answers = 0
        self._returned_s = float("-inf")

    def heard(self, path: str, now: float) -> None:
        """The hub was heard (authentically) on a path."""
        if path != "udp":
            return
        self._opened_udp_s = now
        if self.path == "udp":
            self._confirm_s = None
            self._blocked = False
            self._connect_wait_s = WSS_RETRY_S
        elif self._asked:
            self._asked = False
            self._answers += 1
            self._ask_s = min(self._ask_s, now + ASK_SOON_S)

    def steer(self, silence: Silence, *, wss_up: bool, now: float) -> Steps:
        """What to do now. ``silence``: of the present path; ``wss_up``: a WebSocket stands."""
        limit_s = max(SILENT_S, SILENT_ROUND_TRIPS * silence.rtt_s)
        silent = silence.packets >= SILENT_PACKETS and silence.seconds >= limit_s
        self._dropping = self._dropping and wss_up
        if self._dropping:
            return Steps("udp", drop_wss=True)
        if self.path == "udp":
            return self._on_udp(silent, silence, wss_up, now)
        return self._on_wss(silent, silence.seconds >= 2 * limit_s, silence.rtt_s, wss_up, now)

    def _on_udp(self, silent: bool, silence: Silence, wss_up: bool, now: float) -> Steps:
        if not (silent or self._blocked):
            self._confirm_s = None
            return Steps("udp", drop_wss=wss_up)
        if not wss_up:
            self._confirm_s = None
            connect = self._connect_s <= now
            if connect:
                self._connect_s = now + self._connect_wait_s
                self._connect_wait_s = min(2 * self._connect_wait_s, WSS_RETRY_MAX_S)
            return Steps("udp", connect_wss=connect, reopen_udp=self._reopen(now))
        if self._confirm_s is None and not self._blocked:
            self._confirm_s = now + max(CONFIRM_S, CONFIRM_ROUND_TRIPS * silence.rtt_s)
            self._ask_s = now
        if self._confirm_s is not None and now < self._confirm_s:
            return Steps("udp", ask_udp=self._ask(now, ASK_SOON_S))
        lasted = now - self._returned_s >= LASTED_S
        self._ask_every_s = ASK_UDP_S if lasted else min(2 * self._ask_every_s, ASK_UDP_MAX_S)
        self._move("wss", now)
        self._blocked = True
        return Steps("wss")

    def _on_wss(self, silent: bool, dead: bool, rtt_s: float, wss_up: bool, now: float) -> Steps:
        if self._answers >= RETURN_ANSWERS or (silent and self._answers):
            self._blocked = False
            self._returned_s = now
            self._dropping = wss_up
            self._move("udp", now)
            return Steps("udp", drop_wss=wss_up)
        if not wss_up or dead:
            # UDP stays known as blocked: the next WebSocket that stands is used at once.
            self._dropping = wss_up
            self._move("udp", now)
            self._connect_s = now
            return Steps("udp", drop_wss=wss_up)
        soon_s = max(ASK_SOON_S, 2 * rtt_s)
        ask = self._ask(now, soon_s if self._answers or silent else self._ask_every_s)
        return Steps("wss", ask_udp=ask, reopen_udp=self._reopen(now))

    def _move(self, path: str, now: float) -> None:
        self.path = path
        self.moves += 1
        self._confirm_s = None
        self._connect_wait_s = WSS_RETRY_S
        self._asked = False
        self._answers = 0
        self._ask_s = now + self._ask_every_s

    def _ask(self, now: float, every_s: float) -> bool:
        if now < self._ask_s:
            return False
        if self._asked:
            self._answers = 0
        self._asked = True
        self._ask_s = now + every_s
        return True

    def _reopen(self, now: float) -> bool:
        if now - self._opened_udp_s < REOPEN_S:
            return False
        self._opened_udp_s = now
        return True
