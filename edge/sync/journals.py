"""A machine's own journal on its way to whoever looks after it: bounded, packed, sealed to the hub. Pure but for HPKE.

``UPKJ 01 ‖ hub_key_id2 ‖ node_id8 ‖ HPKE(zlib)``; what stands before the sealed part is bound to it (docs/protocol.md).
Nothing of a patient is written to a journal; it is sealed for what nobody thought of.
"""

import zlib
from collections.abc import Sequence
from typing import Final

from . import seal

MAGIC: Final = b"UPKJ\x01"
HEAD_BYTES: Final = len(MAGIC) + 2 + seal.NODE_ID_BYTES
TEXT_MAX_BYTES: Final = 4 << 20
"""Of a journal, the newest; packed it is a tenth of that."""
_LABEL: Final = b"upk1 journal"


def pack(text: bytes, node_id: bytes, kem_public: bytes) -> bytes:
    """The newest of a journal, from the beginning of a line, for who holds the key."""
    if len(text) > TEXT_MAX_BYTES:
        text = text[-TEXT_MAX_BYTES:].partition(b"\n")[2]
    head = MAGIC + seal.key_id(kem_public) + node_id
    return head + seal.hpke_seal(kem_public, _LABEL + head, zlib.compress(text, 9))


def unpack(content: bytes, kem: Sequence[bytes]) -> tuple[bytes, bytes]:
    """(node_id, text) by one of the hub's private keys. Raises SealRefused."""
    head, sealed = content[:HEAD_BYTES], content[HEAD_BYTES:]
    if len(head) != HEAD_BYTES or not head.startswith(MAGIC):
        raise seal.SealRefused("This is no journal that a node has sealed.", code="journal_malformed")
    wanted = head[len(MAGIC) : len(MAGIC) + 2]
    for private in kem:
        if seal.key_id(seal.public_of(private)) == wanted:
            text = zlib.decompressobj().decompress(seal.hpke_open(private, _LABEL + head, sealed), TEXT_MAX_BYTES)
            return head[-seal.NODE_ID_BYTES :], text
    raise seal.SealRefused("It is sealed to a key that this hub does not hold.", code="journal_key")
