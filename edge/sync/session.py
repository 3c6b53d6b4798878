"""One epoch's session at the hub: its paths, its nonces, its transport. Without I/O.

Paths: a packet from a new address is answered, but never with more bytes than came from there until
the node has echoed a challenge on it. The session is live once any challenge was echoed: a
recording of old packets cannot do that.
"""

from collections.abc import Callable, Hashable

from msgspec import Struct

from . import frames as fr
from . import seal
from .arq import Arq
from .congestion import DelayAimd
from .link import ATTENDED_FOR_S
from .signals import FRESH_S
from .trains import TrainAnswering
from .versions import FIRST

DATAGRAM_MAX_BYTES = 1_200
IP_UDP_BYTES = 28
PATHS_MAX = 8
CHALLENGE_EVERY_S = 1.0
CHALLENGES_MAX = 4
"""Challenges sent to a path without anything more coming from there."""
TIME_EVERY_S = 10.0
ATTENDED_MARGIN_S = 40.0
"""A signal is at most 30 s old when the node gets or sends it."""
_EPSILON_S = 1e-6
PATH_BYTES = 10
CHALLENGE_BYTES = seal.PACKET_DOWN_OVERHEAD_BYTES + PATH_BYTES


class _PathState(Struct):
    token: bytes
    received_bytes: int = 0
    sent_bytes: int = 0
    challenged_s: float = float("-inf")
    first_challenged_s: float | None = None
    challenges: int = 0
    """Sent since something last came on the path."""
    proved: bool = False
    heard_s: float = 0.0


class Session:
    """One epoch of one node, at the hub."""

    def __init__(
        self, node_id: bytes, epoch: seal.OpenedEpoch, random: Callable[[int], bytes], arq: Arq, now: float
    ) -> None:
        self.node_id = node_id
        self.epoch = epoch
        self.arq = arq
        self.salt = random(seal.SALT_BYTES)
        """New for each session, so that a session opened twice repeats no nonce."""
        self.heard_s = now
        self.signal_s = float("-inf")
        """When the node last sent a signal."""
        self.reads = FIRST
        """What the node's process said that it reads."""
        self.greeted = False
        """Whether the node was told what this process reads."""
        self.live = False
        self.trains = TrainAnswering(now)
        self.active: Hashable = None
        self._random = random
        self._paths: dict[Hashable, _PathState] = {}
        self._congestion: dict[Hashable, DelayAimd] = {}
        self._nonces: dict[int, float] = {}
        self._told_time_s = float("-inf")
        self._challenges: list[Hashable] = []

    # What came.

    def heard(self, path: Hashable, size: int, counter: int, now: float) -> None:
        """An authentic packet came on ``path``; ``size`` counts the whole datagram."""
        self.heard_s = now
        state = self._paths.get(path)
        if state is None:
            while len(self._paths) >= PATHS_MAX:
                others = [p for p in self._paths if p != self.active]
                self._paths.pop(min(others, key=lambda p: self._paths[p].heard_s))
            state = self._paths[path] = _PathState(self._random(8))
        state.received_bytes += size
        state.heard_s = now
        state.challenges = 0
        newest = counter == self.epoch.highest
        if self.active is None or (newest and (state.proved or not self._proved(self.active))):
            self._move(path, now)
        self._challenge(path, now)

    def prove(self, path: Hashable, token: bytes, now: float) -> bool:
        """The node echoed a challenge; True if it is the one that was sent on this path."""
        state = self._paths.get(path)
        if state is None or state.token != token:
            return False
        if not state.proved:
            state.proved = True
            self._move(path, now)
            if not self.arq.congestion.srtt_s and state.first_challenged_s is not None:
                self.arq.congestion.on_rtt(now - state.first_challenged_s)
        return True

    def take_train(self, frame: fr.Train, path: Hashable, size: int, now: float) -> None:
        """A packet of a train; ``size`` counts the whole datagram. What is answered to it needs a proved path."""
        if path == self.active and self._proved(path):
            self.trains.take(frame, size + IP_UDP_BYTES, now)

    def _challenge(self, path: Hashable, now: float) -> None:
        due_s = self._challenge_due_s(self._paths[path])
        if due_s is not None and due_s <= now + _EPSILON_S:
            self._paths[path].challenged_s = now
            self._challenges.append(path)

    def _challenge_due_s(self, state: _PathState) -> float | None:
        if state.proved or state.challenges >= CHALLENGES_MAX:
            return None
        return state.challenged_s + CHALLENGE_EVERY_S

    def _proved(self, path: Hashable) -> bool:
        state = self._paths.get(path)
        return state is not None and state.proved

    def _move(self, path: Hashable, now: float) -> None:
        if path == self.active:
            return
        first = self.active is None
        self.active = path
        kind = path[0] if isinstance(path, tuple) else path
        self.arq.congestion = self._congestion.setdefault(kind, DelayAimd())
        if not first:
            self.arq.lose_all(now)

    def attended(self, now: float) -> bool:
        """Whether the node certainly keeps the link alive at the faster pace of a call."""
        acked_s = self.arq.signal_acked_s
        last_s = self.signal_s if acked_s is None else max(self.signal_s, acked_s)
        return now - last_s < ATTENDED_FOR_S - ATTENDED_MARGIN_S

    def nonce_fresh(self, nonce: int, now: float) -> bool:
        """Whether this nonce was told in this session in the last 30 s."""
        return now - self._nonces.get(nonce, float("-inf")) <= FRESH_S

    def tell_time(self, unix_ms: int, now: float, *, asked: bool) -> None:
        """Tell the time and a fresh nonce, when asked or every 10 s of traffic."""
        if not asked and now - self._told_time_s < TIME_EVERY_S:
            return
        self._told_time_s = now
        nonce = int.from_bytes(self._random(4), "big")
        self._nonces = {n: told_s for n, told_s in self._nonces.items() if now - told_s <= FRESH_S}
        self._nonces[nonce] = now
        self.arq.control(fr.Time(unix_ms, nonce))

    # What leaves.

    def datagrams(self, now: float, *, crowded: bool = False) -> list[tuple[bytes, Hashable]]:
        """Packets that may leave now; ``crowded``: none on the active path, so only challenges to others."""
        outgoing: list[tuple[bytes, Hashable]] = []
        if self.active is not None:
            self._challenge(self.active, now)
        challenges, self._challenges = self._challenges, []
        along = False
        for path in challenges:
            state = self._paths.get(path)
            if state is None or state.proved:
                continue
            if self._budget(state) < CHALLENGE_BYTES:
                state.challenged_s = float("-inf")
            elif path == self.active:
                along = True
            else:
                outgoing.append(self._seal(self._challenge_frames(state, now), path)[1])
        self.arq.tick(now)
        while self.active is not None and not crowded:
            state = self._paths[self.active]
            room = min(DATAGRAM_MAX_BYTES, self._budget(state)) - PATH_BYTES * along
            frames = self.arq.next_frames(now, room - seal.PACKET_DOWN_OVERHEAD_BYTES)
            if along and (frames or not self.arq.incoming.rides(now)):
                frames.append(_challenge_of(state, now))
                along = False
            if not frames:
                break
            counter, datagram = self._seal(frames, self.active)
            self.arq.on_sent(counter, frames, len(datagram[0]) + IP_UDP_BYTES, now)
            outgoing.append(datagram)
        if self._proved(self.active) and not crowded:
            outgoing += [self._seal([frame], self.active)[1] for frame in self.trains.leaving(now)]
        if along:
            # The ACK waits for STORED, and the challenge with it: one packet instead of two.
            self._challenges.append(self.active)
        return outgoing

    def _challenge_frames(self, state: _PathState, now: float) -> list[fr.Frame]:
        """On a new path the ACK rides along, or the node, whose old address is gone, repeats what is held here.

        It is not called told: it leaves on the active path as well, so that who replays packets cannot stop it.
        """
        challenge = _challenge_of(state, now)
        ack = self.arq.incoming.ack(now, again=True)
        if ack is None or self._budget(state) < CHALLENGE_BYTES + len(fr.encode(ack)):
            return [challenge]
        return [ack, challenge]

    def _budget(self, state: _PathState) -> int:
        return DATAGRAM_MAX_BYTES if state.proved else state.received_bytes - state.sent_bytes

    def _seal(self, frames: list[fr.Frame], path: Hashable) -> tuple[int, tuple[bytes, Hashable]]:
        counter, packet = self.epoch.seal_packet(self.salt, b"".join(fr.encode(frame) for frame in frames))
        self._paths[path].sent_bytes += len(packet)
        return counter, (packet, path)

    def get_timer(self, now: float) -> float | None:
        """When :meth:`datagrams` has work again; None while the path's budget is used up."""
        if self.active is None:
            return None
        state = self._paths[self.active]
        if self._budget(state) <= seal.PACKET_DOWN_OVERHEAD_BYTES:
            return None
        timer = self.arq.get_timer(now)
        if timer is not None and not state.proved:
            timer = max(timer, now + 0.02)
        due_s = self._challenge_due_s(state) if self._budget(state) >= CHALLENGE_BYTES else None
        for own_s in (due_s, self.trains.due_s if state.proved else None):
            if own_s is not None:
                timer = max(own_s, now) if timer is None else min(timer, max(own_s, now))
        return timer


def _challenge_of(state: _PathState, now: float) -> fr.Path:
    state.challenges += 1
    if state.first_challenged_s is None:
        state.first_challenged_s = now
    return fr.Path(False, state.token)
