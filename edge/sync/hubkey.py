"""The hub's newest KEM key, signed by H, as nodes learn it: through the hub's log, or in answer to an opening that
was sealed to a key that is gone. Pure codec. A key replaces only an older one.
"""

import hmac

from msgspec import Struct

from . import seal

TYPE_HUB_KEY = 7
HUB_KEY_BYTES = 117
"""``07 ‖ epoch_id4 ‖ last 8 bytes of what it answers ‖ made_ms8 ‖ K_pub32 ‖ sig64``; shorter than an opening."""
_LABEL = b"upk1 hub-key"


class HubKey(Struct, frozen=True, array_like=True):
    """A KEM key of the hub."""

    made_ms: int
    public: bytes
    signature: bytes
    """H over ``"upk1 hub-key" ‖ made_ms8 ‖ K_pub32``."""


def sign_key(hub_sign: bytes, made_ms: int, public: bytes) -> HubKey:
    """Sign a new key with H."""
    return HubKey(made_ms, public, seal.sign(hub_sign, _tbs(made_ms, public)))


def _tbs(made_ms: int, public: bytes) -> bytes:
    return _LABEL + made_ms.to_bytes(8, "big") + public


def holds(key: HubKey, hub_sign_public: bytes, known_ms: int) -> bool:
    """Whether a key is H's and newer than the one that is known."""
    if len(key.public) != 32 or not known_ms < key.made_ms < 1 << 62:
        return False
    return seal.verify(hub_sign_public, _tbs(key.made_ms, key.public), key.signature)


def encode(key: HubKey, opening: bytes, datagram: bytes) -> bytes:
    """The answer to a datagram that begins with an opening nobody can open any more."""
    head = bytes((TYPE_HUB_KEY,)) + seal.epoch_id_of(opening) + datagram[-8:]
    return head + key.made_ms.to_bytes(8, "big") + key.public + key.signature


def decode(data: bytes, epoch_id: bytes, tags: "list[bytes]") -> HubKey | None:
    """The key in an answer to one of our latest datagrams, by their last bytes; None for anything else."""
    if len(data) != HUB_KEY_BYTES or data[0] != TYPE_HUB_KEY or data[1:5] != epoch_id:
        return None
    if not any(hmac.compare_digest(data[5:13], tag) for tag in tags):
        return None
    return HubKey(int.from_bytes(data[13:21], "big"), data[21:53], data[53:])
