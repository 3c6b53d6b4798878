"""What lies on a courier stick, byte by byte: bundles up, receipts and downlink down. Without I/O.

Every file says itself what it is; its name and place say nothing. What the hub puts on a stick is
signed by H, so that a locked node can tell it from a forgery before it stores or forgets anything;
what a node says it holds is signed by D. Receipts name bundles by id and hash: a stranger's bytes
under a known id are worth nothing. Knows no file system and no store.
"""

import hashlib
import hmac
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from enum import IntEnum
from typing import Final, TypeAlias

from msgspec import Struct

from edge.model.errors import Fault, UpkendraError

from . import seal
from .frames import QUARANTINED
from .inbox import Piece, Rejected, judge
from .link import BundleArrived, BundleQuarantined, ChunkArrived, Directory

MAGIC: Final = b"UPKC"
VERSION: Final = 1
HUB_BYTES: Final = 8
SUM_BYTES: Final = 16
HEADER_BYTES: Final = len(MAGIC) + 2 + HUB_BYTES
DIGEST_BYTES: Final = 16
ROW_BYTES: Final = seal.BUNDLE_ID_BYTES + DIGEST_BYTES + 1
ROWS_MAX: Final = 1_000
RANGES_MAX: Final = 10_000
DOWN_MAX_BYTES: Final = seal.BUNDLE_MAX_BYTES + 1_024
FILE_MAX_BYTES: Final = 512 * 1024
"""No file of this version is larger."""
RESEAL_LEVEL: Final = 0
"""In a receipt: the hub can never open this bundle, its entries are to be sealed anew."""
CANDIDATES_MAX: Final = 4
EPOCHS_MAX: Final = 256

_RECEIPT_LABEL: Final = b"upk1 stick receipt"
_DOWN_LABEL: Final = b"upk1 stick down"
_STORED_LABEL: Final = b"upk1 stick stored"
_UPDATE_LABEL: Final = b"upk1 stick update"
EVERY_NODE: Final = bytes(8)
"""In an offer: it is for each node of the hub."""
LISTS_MAX_BYTES: Final = FILE_MAX_BYTES - 1_024


class CourierRefused(UpkendraError):
    """A file on the stick is not what it says, or not from whom it says. It is left there; the rest goes on."""

    code = "courier_refused"
    fault = Fault.CALLER


class Kind(IntEnum):
    """Second byte after the magic."""

    UP = 1
    RECEIPT = 2
    DOWN = 3
    STORED = 4
    REVOKED = 5
    UPDATE = 6


class UpFile(Struct, frozen=True):
    """A sealed bundle with the opening of its epoch, for the hub ``hub``."""

    hub: bytes
    opening: bytes
    sealed: bytes

    @property
    def bundle_id(self) -> bytes:
        return seal.bundle_id(self.sealed)

    @property
    def digest(self) -> bytes:
        return digest_of(self.sealed)


class Row(Struct, frozen=True, order=True):
    """What the hub says about one bundle."""

    bundle_id: bytes
    digest: bytes
    """First 16 B of SHA-256 over the sealed bundle."""
    level: int
    """0: seal anew; 1: durable at the hub; 2: in a second copy; plus 0x80 when it is quarantined there."""

    @property
    def durable(self) -> int:
        """The level of acknowledgement, without the mark."""
        return self.level & ~QUARANTINED

    @property
    def quarantined(self) -> bool:
        return bool(self.level & QUARANTINED)


class ReceiptFile(Struct, frozen=True):
    """The hub's word about bundles of one node; to be verified before it is believed."""

    hub: bytes
    node_id: bytes
    made_ms: int
    rows: tuple[Row, ...]
    signed: bytes
    signature: bytes


class DownFile(Struct, frozen=True):
    """A down blob (``05…``) for one node; to be verified before it is stored."""

    hub: bytes
    node_id: bytes
    seq: int
    signature: bytes
    blob: bytes


class StoredFile(Struct, frozen=True):
    """Which down blobs a node holds durably: inclusive ranges; to be verified before it is believed."""

    hub: bytes
    node_id: bytes
    ranges: tuple[tuple[int, int], ...]
    signed: bytes
    signature: bytes


class RevokedFile(Struct, frozen=True):
    """Lists of :mod:`edge.sync.revocation` for nodes of one hub, each signed by itself."""

    hub: bytes
    lists: tuple[bytes, ...]


class UpdateFile(Struct, frozen=True):
    """An offer: the hub wants this release at a node; its payload lies beside it. To be verified before it counts."""

    hub: bytes
    node_id: bytes
    """Or :data:`EVERY_NODE`."""
    number: int
    """Grows with every offer of this hub: an older one does not come back."""
    made_ms: int
    release: bytes
    """JSON of :mod:`edge.sync.release`."""
    release_signature: bytes
    """By the update key; 64 zeros when nobody signed."""
    signed: bytes
    signature: bytes


class LaterFile(Struct, frozen=True):
    """Whole, but of a kind or version of a later release. Left where it is."""

    version: int
    kind: int


CourierFile: TypeAlias = UpFile | ReceiptFile | DownFile | StoredFile | RevokedFile | UpdateFile | LaterFile


class Stray(Struct, frozen=True):
    """An authentic opening whose hub key is gone: the bundle under it can never be opened here."""

    node_id: bytes
    bundle_id: bytes


def hub_of(sign_public: bytes) -> bytes:
    """The 8 bytes by which a stick tells hubs apart: SHA256("upk1 hub" ‖ H)[:8]. A hint, no proof."""
    return hashlib.sha256(b"upk1 hub" + sign_public).digest()[:HUB_BYTES]


def digest_of(sealed: bytes) -> bytes:
    """Names the bytes of a bundle in receipts."""
    return hashlib.sha256(sealed).digest()[:DIGEST_BYTES]


def _wrap(kind: Kind, hub: bytes, body: bytes) -> bytes:
    whole = MAGIC + bytes((VERSION, kind)) + hub + body
    return whole + hashlib.sha256(whole).digest()[:SUM_BYTES]


def up_file(hub: bytes, opening: bytes, sealed: bytes) -> bytes:
    """The file that carries a bundle."""
    return _wrap(Kind.UP, hub, opening + sealed)


def receipt_file(sign_private: bytes, node_id: bytes, made_ms: int, rows: Iterable[Row]) -> bytes:
    """A receipt signed by H. Raises ValueError for no row or more than 1,000."""
    ordered = sorted(set(rows))
    if not 1 <= len(ordered) <= ROWS_MAX or len({(row.bundle_id, row.digest) for row in ordered}) != len(ordered):
        raise ValueError("a receipt has 1 to 1000 rows, each bundle once")
    body = node_id + made_ms.to_bytes(8, "big") + len(ordered).to_bytes(2, "big")
    body += b"".join(row.bundle_id + row.digest + bytes((row.level,)) for row in ordered)
    hub = hub_of(seal.verifier_of(sign_private))
    return _wrap(Kind.RECEIPT, hub, body + seal.sign(sign_private, _RECEIPT_LABEL + hub + body))


def down_file(sign_private: bytes, node_id: bytes, seq: int, blob: bytes) -> bytes:
    """A down blob for a node, signed by H on the outside as well: a locked node must tell it from junk."""
    signature = seal.sign(sign_private, _down_tbs(node_id, seq, blob))
    return _wrap(Kind.DOWN, hub_of(seal.verifier_of(sign_private)), node_id + seq.to_bytes(8, "big") + signature + blob)


def _down_tbs(node_id: bytes, seq: int, blob: bytes) -> bytes:
    return _DOWN_LABEL + node_id + seq.to_bytes(8, "big") + hashlib.sha256(blob).digest()


def stored_file(device_private: bytes, hub: bytes, node_id: bytes, seqs: Iterable[int]) -> bytes:
    """What a node holds, signed by D. Only the last 10,000 ranges are told."""
    ranges = ranges_of(seqs)[-RANGES_MAX:]
    body = node_id + len(ranges).to_bytes(2, "big")
    body += b"".join(first.to_bytes(8, "big") + last.to_bytes(8, "big") for first, last in ranges)
    return _wrap(Kind.STORED, hub, body + seal.sign(device_private, _STORED_LABEL + hub + body))


def revoked_files(hub: bytes, lists: Iterable[bytes]) -> list[bytes]:
    """Files that hold these lists, as few as they fit into, the first ones first."""
    files: list[bytes] = []
    body, count = b"", 0
    for one in lists:
        if count and len(body) + 2 + len(one) > LISTS_MAX_BYTES:
            files.append(_wrap(Kind.REVOKED, hub, count.to_bytes(2, "big") + body))
            body, count = b"", 0
        body += len(one).to_bytes(2, "big") + one
        count += 1
    return [*files, _wrap(Kind.REVOKED, hub, count.to_bytes(2, "big") + body)] if count else files


def update_file(
    sign_private: bytes, node_id: bytes, number: int, made_ms: int, release: bytes, release_signature: bytes
) -> bytes:
    """An offer signed by H."""
    hub = hub_of(seal.verifier_of(sign_private))
    body = node_id + number.to_bytes(8, "big") + made_ms.to_bytes(8, "big") + release_signature + release
    return _wrap(Kind.UPDATE, hub, body + seal.sign(sign_private, _UPDATE_LABEL + hub + body))


def ranges_of(seqs: Iterable[int]) -> list[tuple[int, int]]:
    """Inclusive ranges of a set of numbers, ascending."""
    ranges: list[tuple[int, int]] = []
    for seq in sorted(set(seqs)):
        if ranges and ranges[-1][1] + 1 == seq:
            ranges[-1] = (ranges[-1][0], seq)
        else:
            ranges.append((seq, seq))
    return ranges


def parse(raw: bytes) -> CourierFile:
    """What a file is, by its own bytes. Raises CourierRefused, and nothing else, for any bytes."""
    if len(raw) > FILE_MAX_BYTES:
        raise CourierRefused("a file that is larger than any of ours", code="courier_too_large")
    if len(raw) < HEADER_BYTES + SUM_BYTES or raw[:4] != MAGIC:
        raise CourierRefused("not a courier file", code="courier_malformed")
    whole, told = raw[:-SUM_BYTES], raw[-SUM_BYTES:]
    if not hmac.compare_digest(hashlib.sha256(whole).digest()[:SUM_BYTES], told):
        raise CourierRefused("the file is damaged or only half there", code="courier_damaged")
    version, kind = whole[4], whole[5]
    if version != VERSION or kind not in tuple(Kind):
        return LaterFile(version, kind)
    hub, body = whole[6:HEADER_BYTES], whole[HEADER_BYTES:]
    match Kind(kind):
        case Kind.UP:
            return _parse_up(hub, body)
        case Kind.RECEIPT:
            return _parse_receipt(hub, body)
        case Kind.DOWN:
            return _parse_down(hub, body)
        case Kind.STORED:
            return _parse_stored(hub, body)
        case Kind.REVOKED:
            return _parse_revoked(hub, body)
        case Kind.UPDATE:
            return _parse_update(hub, body)


def _malformed() -> CourierRefused:
    return CourierRefused("the file does not hold what its kind holds", code="courier_malformed")


def _parse_up(hub: bytes, body: bytes) -> UpFile:
    opening, sealed = body[: seal.OPENING_BYTES], body[seal.OPENING_BYTES :]
    try:
        seal.opening_hint(opening)
        seal.bundle_id(sealed)
    except seal.SealRefused as error:
        raise _malformed() from error
    if len(sealed) > seal.BUNDLE_MAX_BYTES or seal.epoch_id_of(opening) != sealed[1:5]:
        raise _malformed()
    return UpFile(hub, opening, sealed)


def _parse_receipt(hub: bytes, body: bytes) -> ReceiptFile:
    count = int.from_bytes(body[16:18], "big")
    end = 18 + count * ROW_BYTES
    if not 1 <= count <= ROWS_MAX or len(body) != end + seal.SIGNATURE_BYTES:
        raise _malformed()
    rows = tuple(Row(body[at : at + 11], body[at + 11 : at + 27], body[at + 27]) for at in range(18, end, ROW_BYTES))
    names = [(row.bundle_id, row.digest) for row in rows]
    if names != sorted(set(names)):
        raise _malformed()
    return ReceiptFile(hub, body[:8], int.from_bytes(body[8:16], "big"), rows, hub + body[:end], body[end:])


def _parse_down(hub: bytes, body: bytes) -> DownFile:
    blob = body[80:]
    seq = int.from_bytes(body[8:16], "big")
    if not 1 <= len(blob) <= DOWN_MAX_BYTES or blob[0] != seal.TYPE_DOWN or not 1 <= seq < 1 << 63:
        raise _malformed()
    return DownFile(hub, body[:8], seq, body[16:80], blob)


def _parse_stored(hub: bytes, body: bytes) -> StoredFile:
    count = int.from_bytes(body[8:10], "big")
    end = 10 + count * 16
    if count > RANGES_MAX or len(body) != end + seal.SIGNATURE_BYTES:
        raise _malformed()
    ranges = tuple(
        (int.from_bytes(body[at : at + 8], "big"), int.from_bytes(body[at + 8 : at + 16], "big"))
        for at in range(10, end, 16)
    )
    past = 0
    for first, last in ranges:
        if not past < first <= last < 1 << 63:
            raise _malformed()
        past = last + 1
    return StoredFile(hub, body[:8], ranges, hub + body[:end], body[end:])


def _parse_revoked(hub: bytes, body: bytes) -> RevokedFile:
    lists: list[bytes] = []
    at = 2
    for _ in range(int.from_bytes(body[:2], "big")):
        end = at + 2 + int.from_bytes(body[at : at + 2], "big")
        lists.append(body[at + 2 : end])
        at = end
    if not lists or at != len(body):
        raise _malformed()
    return RevokedFile(hub, tuple(lists))


def _parse_update(hub: bytes, body: bytes) -> UpdateFile:
    end = len(body) - seal.SIGNATURE_BYTES
    number, made_ms = (int.from_bytes(body[at : at + 8], "big") for at in (8, 16))
    if end <= 88 or not 1 <= number < 1 << 63:
        raise _malformed()
    return UpdateFile(hub, body[:8], number, made_ms, body[88:end], body[24:88], hub + body[:end], body[end:])


def check_update(file: UpdateFile, hub_sign_public: bytes) -> None:
    """Raises CourierRefused unless H signed it."""
    if not seal.verify(hub_sign_public, _UPDATE_LABEL + file.signed, file.signature):
        raise CourierRefused("the offer is not signed by our hub", code="courier_signature")


def check_receipt(file: ReceiptFile, hub_sign_public: bytes) -> None:
    """Raises CourierRefused unless H signed it."""
    if not seal.verify(hub_sign_public, _RECEIPT_LABEL + file.signed, file.signature):
        raise CourierRefused("the receipt is not signed by our hub", code="courier_signature")


def check_down(file: DownFile, hub_sign_public: bytes) -> None:
    """Raises CourierRefused unless H signed it."""
    if not seal.verify(hub_sign_public, _down_tbs(file.node_id, file.seq, file.blob), file.signature):
        raise CourierRefused("the blob is not signed by our hub", code="courier_signature")


def check_stored(file: StoredFile, device_public: bytes) -> None:
    """Raises CourierRefused unless the node's device key signed it."""
    if not seal.verify(device_public, _STORED_LABEL + file.signed, file.signature):
        raise CourierRefused("the list is not signed by the node", code="courier_signature")


def is_of_node(file: UpFile, node_id: bytes, psk: bytes) -> bool:
    """Whether this node sealed under that opening (2 µs, no public key)."""
    return seal.opening_hint(file.opening) == seal.node_hint(node_id) and seal.opening_is_from(file.opening, psk)


class Opener:
    """The hub's side: an UP file → the same event that the datagram link would give for its bundle."""

    def __init__(self, keys: seal.HubKeys, directory: Directory) -> None:
        self._keys = keys
        self._directory = directory
        self._epochs: OrderedDict[bytes, seal.OpenedEpoch] = OrderedDict()

    def open(self, file: UpFile) -> BundleArrived | ChunkArrived | BundleQuarantined | Stray:
        """Open a bundle. Raises SealRefused for what deserves no receipt: unknown or revoked node, damage."""
        record = self._owner(file.opening)
        if record.revoked:
            raise seal.SealRefused("this node is revoked", code="node_revoked")
        epoch = self._epochs.get(file.opening)
        if epoch is None:
            try:
                epoch = seal.open_opening(file.opening, self._keys, record)
            except seal.SealRefused as error:
                if error.refusal.code != "hub_key_gone":
                    raise
                return Stray(record.node_id, file.bundle_id)
            self._epochs[file.opening] = epoch
            while len(self._epochs) > EPOCHS_MAX:
                self._epochs.popitem(last=False)
        packed = epoch.open_bundle(file.sealed)
        verdict = judge(packed, epoch.grade, None)
        if isinstance(verdict, Rejected):
            return BundleQuarantined(record.node_id, file.bundle_id, epoch.grade, verdict.reason, file.sealed, packed)
        if isinstance(verdict, Piece):
            return ChunkArrived(record.node_id, file.bundle_id, epoch.grade, verdict.chunk, file.sealed)
        return BundleArrived(record.node_id, file.bundle_id, epoch.grade, verdict.payload, file.sealed)

    def _owner(self, opening: bytes) -> seal.NodeRecord:
        candidates: Sequence[seal.NodeRecord] = self._directory.by_hint(seal.opening_hint(opening))
        for record in candidates[:CANDIDATES_MAX]:
            if seal.opening_is_from(opening, record.psk):
                return record
        raise seal.SealRefused("an opening of no node we know", code="node_unknown")
