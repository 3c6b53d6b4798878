"""What an application hears from an endpoint, and says to it: plain data, no behaviour.

Every event is a small frozen struct. Bytes that name things: ``bundle_id`` is 11 B
(:func:`edge.sync.seal.bundle_id`), ``node_id`` 8 B, ``epoch_id`` 4 B.
"""

from collections.abc import Sequence
from enum import IntEnum
from typing import NamedTuple, Protocol, TypeAlias

from msgspec import Struct

from .bundle import BundlePayload, Chunk
from .hubkey import HubKey
from .meter import Wait
from .seal import Grade, NodeRecord
from .trains import TrainTold

KEEPALIVE_S = 24.0
"""A NAT forgets a path after 30 s in the worst case; one that is lost is asked again before that."""
ATTENDED_KEEPALIVE_S = 5.0
"""While a call is rung or open, so that both sides soon see a link that was cut."""
ATTENDED_FOR_S = 300.0
"""So long after the last call signal."""
ONLINE_MARGIN_S = 4.0
"""One lost keep-alive is asked again within this."""
RTT_UNKNOWN_S = 1.5


def online_limit_s(keepalive_s: float, rtt_s: float) -> float:
    """How old the last sign of life may be before the other side is called gone."""
    return keepalive_s + 2 * (rtt_s or RTT_UNKNOWN_S) + ONLINE_MARGIN_S


class Silence(NamedTuple):
    """What a path owes: how long it has not answered, to how many packets, and its round trip."""

    seconds: float
    packets: int
    rtt_s: float


class Cls(IntEnum):
    """Priority classes, strict: a lower number always leaves first."""

    SIGNAL = 0
    """Call signalling and emergencies; sent twice."""
    CLINICAL = 1
    """Clinical entries and prescriptions."""
    PREVIEW = 2
    ORIGINAL = 3
    CLIP = 4
    TELEMETRY = 5


class BundleRef(Struct, frozen=True):
    """A row of the outbox: what must be on disk before it is submitted."""

    opening: bytes
    """176 B, of the epoch that sealed it (perhaps of an earlier process)."""
    sealed: bytes
    bundle_id: bytes
    """Key of the row; acknowledgements name it."""


class LinkState(Struct, frozen=True):
    """How the other side was last heard. "Online" is never guessed from an interface."""

    online: bool
    last_ack_age_s: float
    """Seconds since the other side acknowledged something; ``inf`` for never."""
    rtt_ms: int
    """Smoothed; 0 when not measured."""
    rate_bps: int
    """What the congestion controller allows at present."""
    bearer: str
    """``udp``, ``wss`` or ""."""
    backlog_items: int = 0
    backlog_bytes: int = 0
    level: int = 1
    """Protocol level that both sides speak; 0: they have none in common, one of them has to be updated."""
    today_bytes: int = 0
    """IP bytes both ways on this bearer since the site's midnight (the node's side)."""
    cap_bytes: int | None = None
    waits: Wait = Wait.NO
    """Why bulk does not leave, or hardly."""
    waiting_items: int = 0
    """What of the backlog that concerns."""
    waiting_bytes: int = 0


# Heard by the node.


class BundleAcked(Struct, frozen=True):
    """The hub holds this bundle durably (level 1) or in a second copy (2). Level 1: the row may go."""

    bundle_id: bytes
    level: int
    quarantined: bool = False
    """The hub keeps it, but could not read its contents: tell the technician."""


class DownArrived(Struct, frozen=True):
    """A down blob for R. Store it, fsync, then call ``down_stored(seq)``. May come again."""

    seq: int
    blob: bytes


class LinkChanged(Struct, frozen=True):
    state: LinkState


class TimeOffset(Struct, frozen=True):
    """The hub's Unix time at the moment of ``receive``, in ms; subtract your own clock."""

    hub_ms: int
    uncertainty_ms: int


class Reseal(Struct, frozen=True):
    """The hub can no longer open this bundle: seal its entries anew and replace the row."""

    bundle_id: bytes


class HubKeyTold(Struct, frozen=True):
    """The hub has a newer KEM key (its signature was checked, and new epochs use it): keep it."""

    key: HubKey


class HubMet(Struct, frozen=True):
    """A hub session answered that was not heard before in this epoch: tell it what is held (holdings)."""


# Heard by both.


class SignalArrived(Struct, frozen=True):
    """A call signal, in order and once within a session, at most 30 s after it was sent."""

    node_id: bytes
    blob: bytes


class StateArrived(Struct, frozen=True):
    """A message of :mod:`edge.sync.holdings`; at the hub only from a live session of log grade."""

    node_id: bytes
    body: bytes


class UpdateHeard(Struct, frozen=True):
    """A message of :mod:`edge.sync.updating`; at the hub from a live session of any grade."""

    node_id: bytes
    body: bytes


class UnlockTold(Struct, frozen=True):
    """The hub's word about a request to open this node; to be asked about as long as it waits."""

    request: bytes
    state: int
    """As in :class:`edge.sync.frames.Unlock`."""
    secret: bytes

    def __repr__(self) -> str:
        return f"UnlockTold({self.request.hex()}, {self.state})"


# Heard by the hub.


class BundleArrived(Struct, frozen=True):
    """An authentic, readable bundle. Store ``payload`` durably, then ``bundle_stored(...)``.

    Idempotent by (node_id, run, stream, seq): after a restart of the hub it may come again.
    """

    node_id: bytes
    bundle_id: bytes
    grade: Grade
    payload: BundlePayload
    sealed: bytes
    missing: tuple[int, int] | None = None
    """First and last sequence that have not been heard yet before this one, if any (only informs)."""


class ChunkArrived(Struct, frozen=True):
    """An authentic chunk of a blob. Store it durably, then ``bundle_stored(...)``. May come again."""

    node_id: bytes
    bundle_id: bytes
    grade: Grade
    chunk: Chunk
    sealed: bytes


class BundleQuarantined(Struct, frozen=True):
    """An authentic bundle with bad contents. Keep ``sealed`` aside, then ``bundle_stored(..., quarantined=True)``."""

    node_id: bytes
    bundle_id: bytes
    grade: Grade
    reason: str
    """Stable code of :mod:`edge.sync.bundle` or :mod:`edge.sync.inbox`."""
    sealed: bytes
    packed: bytes = b""
    """Its payload, when the bundle opened: a later release may read it."""


class DownStored(Struct, frozen=True):
    """The node holds the down blob ``seq`` durably."""

    node_id: bytes
    seq: int


class NodeSeen(Struct, frozen=True):
    """A node proved that it is there (path challenge). ``fresh``: a session began, hand over what it lacks."""

    node_id: bytes
    run: bytes
    grade: Grade
    fresh: bool


class NodeTwice(Struct, frozen=True):
    """Two processes of one node are alive at the same time: a card was copied. Told again every ten minutes."""

    node_id: bytes
    run: bytes
    other: bytes


class UnlockAsked(Struct, frozen=True):
    """Somebody at a node asks to have it opened: a person has to act, see ``tell_unlock``. Told again while it asks."""

    node_id: bytes
    request: bytes


NodeEvent: TypeAlias = (
    BundleAcked
    | DownArrived
    | SignalArrived
    | LinkChanged
    | TimeOffset
    | Reseal
    | HubMet
    | HubKeyTold
    | StateArrived
    | UpdateHeard
    | UnlockTold
    | TrainTold
)
HubEvent: TypeAlias = (
    BundleArrived
    | ChunkArrived
    | BundleQuarantined
    | SignalArrived
    | DownStored
    | NodeSeen
    | StateArrived
    | UpdateHeard
    | NodeTwice
    | UnlockAsked
)


class Directory(Protocol):
    """How the hub's endpoint finds nodes; answered from memory, called for every opening."""

    def by_hint(self, hint: bytes) -> Sequence[NodeRecord]:
        """Nodes whose ``node_hint`` is ``hint`` (3 B); usually one."""
        ...

    def by_id(self, node_id: bytes) -> NodeRecord | None: ...
