"""A technician's key file: who may open a shell at which node, until which day, for how many hours. Pure.

``upkendra-ssh.txt`` on a stick: a line of 128 hex digits, then JSON. The digits are an Ed25519 signature by the update
key over ``"upkendra ssh permit 1\\0"`` and the JSON's raw bytes, so that nothing a stranger wrote is ever parsed. The
file is no secret: it opens nothing without the technician's own private key.
"""

import base64
from typing import Annotated, Final

import msgspec

from edge.model.clock import Guess, day_of, day_text
from edge.model.errors import Fault, UpkendraError
from edge.sync import seal

WISH_FILE: Final = "upkendra-ssh.txt"
FILE_MAX_BYTES: Final = 4096
FORMAT: Final = 1
DAYS_MAX: Final = 14
HOURS_MAX: Final = 12
KEY_TYPE: Final = "ssh-ed25519"
_CONTEXT: Final = b"upkendra ssh permit 1\0"
_KEY_BYTES: Final = 32


class PermitRefused(UpkendraError):
    """This key file opens nothing here."""

    code = "ssh_malformed"
    fault = Fault.CALLER


class Permit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is signed. Exactly one of ``node`` and ``site`` is named."""

    format: int
    permit_id: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{16}$(?!\n)")]
    technician: Annotated[str, msgspec.Meta(min_length=1, max_length=60)]
    """Whose key it is, for the audit."""
    key: Annotated[str, msgspec.Meta(pattern=r"^ssh-ed25519 [A-Za-z0-9+/]{68}$(?!\n)")]
    """Public, as ``ssh-keygen -t ed25519`` writes it, without its comment."""
    made_ms: Annotated[int, msgspec.Meta(ge=0)]
    until_ms: Annotated[int, msgspec.Meta(ge=0)]
    hours: Annotated[int, msgspec.Meta(ge=1, le=HOURS_MAX)]
    """How long one opening lasts."""
    node: Annotated[str, msgspec.Meta(pattern=r"^([0-9a-f]{16})?$(?!\n)")] = ""
    site: Annotated[str, msgspec.Meta(max_length=20)] = ""

    def __post_init__(self) -> None:
        if bool(self.node) == bool(self.site):
            raise ValueError("a node or a site is named")
        if not 0 < self.until_ms - self.made_ms <= DAYS_MAX * 86_400_000:
            raise ValueError(f"a key file serves for at most {DAYS_MAX} days")
        if not self.technician.isprintable():
            raise ValueError("a name has no control characters")


def parse_key(text: str) -> str:
    """A public key file's one line, without its comment. Raises PermitRefused."""
    words = text.split()
    try:
        blob = base64.b64decode(words[1], validate=True) if words[0] == KEY_TYPE else b""
    except (IndexError, ValueError):
        blob = b""
    head = len(KEY_TYPE).to_bytes(4, "big") + KEY_TYPE.encode() + _KEY_BYTES.to_bytes(4, "big")
    if not blob.startswith(head) or len(blob) != len(head) + _KEY_BYTES:
        raise PermitRefused("That is no public key of `ssh-keygen -t ed25519` (a file that ends in .pub).", field="key")
    return " ".join(words[:2])


def encode(permit: Permit, private: bytes) -> bytes:
    """The signed file. ``private``: raw Ed25519 key, 32 B."""
    raw = msgspec.json.encode(permit) + b"\n"
    return seal.sign(private, _CONTEXT + raw).hex().encode() + b"\n" + raw


def open_signed(content: bytes, public: bytes) -> Permit:
    """Check the signature, then read. ``public``: raw Ed25519 key, 32 B. Raises PermitRefused."""
    signature, _, raw = content.partition(b"\n")
    try:
        held = len(content) <= FILE_MAX_BYTES and seal.verify(
            public, _CONTEXT + raw, bytes.fromhex(signature.decode("ascii").strip())
        )
    except ValueError:
        held = False
    if not held:
        raise PermitRefused(
            "This key file is not signed by the key that this node trusts, or it was altered. Ask for a new one.",
            code="ssh_unsigned",
        )
    try:
        permit = msgspec.json.decode(raw, type=Permit)
    except msgspec.MsgspecError as error:
        raise PermitRefused(f"The key file cannot be read: {error}.") from None
    if permit.format != FORMAT:
        raise PermitRefused("This key file is of another release. Ask for a new one.")
    return permit


def judge(permit: Permit, node: str, site: str, guess: Guess) -> None:
    """Whether it opens this node now. Raises PermitRefused.

    A clock that stands before the signature is wrong: it is then at least the time of the signature. Where a clock
    is in doubt, both of its readings have to fit.
    """
    if permit.node not in ("", node) or permit.site not in ("", site):
        raise PermitRefused(
            f"This key file is for {permit.node or permit.site}, and this is {node} at {site}.", code="ssh_other_node"
        )
    now_ms = max(guess.now_ms, permit.made_ms)
    until = day_text(day_of(permit.until_ms))
    if now_ms > permit.until_ms:
        raise PermitRefused(
            f"This key file ended on {until}; by this node's clock it is {day_text(day_of(now_ms))}. "
            "Ask for a new one, or let the node hear the hub if its clock is wrong.",
            code="ssh_over",
        )
    if guess.doubted_ms > permit.until_ms:
        raise PermitRefused(
            f"This node's clock is in doubt, and by one of its readings this key file ended on {until}. Log in at a "
            "tablet and say what day it is, or let the node hear the hub; then put the stick in again.",
            code="ssh_clock",
        )
