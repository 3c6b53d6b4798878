"""Which bearer to use: UDP first, WSS when UDP is silent, back when UDP answers. Pure; time is an argument."""

UDP_SILENT_S = 8.0
"""Two first timeouts and a probe: after this long without an answer WSS is tried."""
UDP_RETRY_S = 15.0
"""While on WSS, UDP is asked this often."""
WSS_RETRY_S = 15.0
REOPEN_S = 20.0
"""A silent UDP socket is opened anew this often: the address may have changed."""


class Switch:
    """The decision of one node. Feed it what was heard; ask it what to do."""

    def __init__(self, now: float) -> None:
        self.path = "udp"
        self._asked_udp_s = now
        self._tried_wss_s = float("-inf")
        self._opened_udp_s = now

    def heard(self, path: str, now: float) -> None:
        """The hub was heard (authentically) on a path."""
        if path == "udp":
            self.path = "udp"
            self._opened_udp_s = now

    def decide(self, silent_s: float, *, wss_up: bool, now: float) -> str:
        """The path to use now. ``silent_s``: how long the present path has not answered."""
        if self.path == "udp" and silent_s >= UDP_SILENT_S and wss_up:
            self.path = "wss"
            self._asked_udp_s = now
        elif self.path == "wss" and not wss_up:
            self.path = "udp"
        return self.path

    def connect_wss(self, silent_s: float, now: float) -> bool:
        """Whether to try a WSS connection now (at most every ``WSS_RETRY_S``)."""
        if self.path == "udp" and silent_s >= UDP_SILENT_S and now - self._tried_wss_s >= WSS_RETRY_S:
            self._tried_wss_s = now
            return True
        return False

    def ask_udp(self, now: float) -> bool:
        """Whether to ask over UDP now, while on WSS."""
        if self.path == "wss" and now - self._asked_udp_s >= UDP_RETRY_S:
            self._asked_udp_s = now
            return True
        return False

    def reopen_udp(self, silent_s: float, now: float) -> bool:
        """Whether to open the UDP socket anew now."""
        silent = self.path == "wss" or silent_s >= UDP_SILENT_S
        if silent and now - self._opened_udp_s >= REOPEN_S:
            self._opened_udp_s = now
            return True
        return False
