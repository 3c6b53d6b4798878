"""The data master key and the slots that wrap it; wrong attempts that power cuts do not forget.

``slots.json`` and ``attempts.json`` are plain files: a slot is AES-256-GCM under a key that needs a printed badge and
its PIN, a tablet's secret and a PIN (:mod:`.dayslots`), what the hub holds, or the recovery code. It says nothing
without them. Knows no database.
"""

import asyncio
import base64
import hashlib
import secrets
import threading
from collections.abc import Callable, Collection
from pathlib import Path

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from edge.model.errors import BadInput
from edge.sync.seal import hkdf
from edge.web.refusals import TooManyAttempts, WrongPin

from .config import ATTEMPTS_FILE, SLOTS_FILE, NodeDamaged, write_private
from .stretch import SALT_BYTES, stretch

BADGE_BYTES = 16
BADGE_PREFIX = "UPB1"
RECOVERY_PREFIX = "UPR1"
CODE_BYTES = 20
TABLET_BYTES = 32
WITH_PIN = ("badge", "day")
FREE_ATTEMPTS = 5
"""Wrong PINs before the wait begins (DESIGN.md §10)."""
FIRST_WAIT_S = 60.0
LONGEST_WAIT_S = 3600.0


class Slot(msgspec.Struct, frozen=True):
    """One wrapping of the DMK."""

    kind: str
    """``badge``, ``day``, ``hub`` or ``recovery``."""
    slot_id: bytes
    salt: bytes
    nonce: bytes
    wrapped: bytes
    staff_id: str = ""
    """Whose PIN it wants; empty for a recovery code and the hub's, and for a badge of an earlier release."""


def _to_text(prefix: str, raw: bytes) -> str:
    text = base64.b32encode(raw).decode("ascii").rstrip("=")
    return "-".join([prefix, *(text[start : start + 4] for start in range(0, len(text), 4))])


def _from_text(prefix: str, text: str, length: int) -> bytes:
    plain = text.upper().replace("-", "").replace(" ", "").removeprefix(prefix)
    try:
        raw = base64.b32decode(plain + "=" * (-len(plain) % 8))
    except ValueError:
        raw = b""
    if len(raw) != length:
        if prefix == RECOVERY_PREFIX:
            raise BadInput("This is no recovery code. Type it again, with all its groups.", field="recovery_code")
        raise BadInput("This is no code of a badge. Scan or type it again.", field="badge")
    return raw


def badge_text(badge: bytes) -> str:
    """The badge as printed: ``UPB1-`` and groups of four, 128 bits in base32."""
    return _to_text(BADGE_PREFIX, badge)


def badge_bytes(text: str) -> bytes:
    """The 16 bytes on a badge. Raises BadInput."""
    return _from_text(BADGE_PREFIX, text, BADGE_BYTES)


def slot_id_of(kind: str, code: bytes) -> bytes:
    """The name of a slot: it tells who holds the code which slot is meant, and nobody what the code is."""
    return hashlib.sha256(b"upk1 slot " + kind.encode() + code).digest()[:8]


def _aad(kind: str, slot_id: bytes) -> bytes:
    return kind.encode() + slot_id


def kek_of(kind: str, code: bytes, stretched: bytes) -> bytes:
    """The key that wraps. ``stretched``: Argon2id of the PIN, empty where a slot has none (docs/protocol.md)."""
    return hkdf(code + stretched, kind.encode())


async def _kek(kind: str, code: bytes, pin: str, salt: bytes) -> bytes:
    return kek_of(kind, code, await stretch(pin, salt) if kind in WITH_PIN else b"")


class Slots:
    """The file of slots. Blocking file work is a few hundred bytes, done where the caller says."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / SLOTS_FILE

    def load(self) -> tuple[Slot, ...]:
        """All slots; none before enrolment. Raises NodeDamaged. Blocking."""
        if not self._path.exists():
            return ()
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=tuple[Slot, ...])
        except msgspec.DecodeError:
            raise NodeDamaged(f"{SLOTS_FILE} is damaged: no badge opens this node. Restore it from a copy.") from None

    def add(self, slot: Slot) -> None:
        """Add a slot durably, in the place of an older one of the same id. Blocking."""
        kept = [other for other in self.load() if other.slot_id != slot.slot_id]
        write_private(self._path, msgspec.json.encode((*kept, slot)))

    def drop_of(self, staff_ids: Collection[str]) -> int:
        """Remove the badges of these people durably; how many. Blocking."""
        slots = self.load()
        kept = tuple(slot for slot in slots if not slot.staff_id or slot.staff_id not in staff_ids)
        if len(kept) < len(slots):
            write_private(self._path, msgspec.json.encode(kept))
        return len(slots) - len(kept)


async def make_badge(dmk: bytes, pin: str) -> tuple[str, Slot]:
    """A new badge for a PIN: the text to print once, and the slot to keep."""
    badge = secrets.token_bytes(BADGE_BYTES)
    return badge_text(badge), await _wrap("badge", badge, pin, dmk)


async def make_recovery(dmk: bytes) -> tuple[str, Slot]:
    """A recovery code (160 bits, no PIN): the text to print once, and the slot to keep."""
    code = secrets.token_bytes(CODE_BYTES)
    return _to_text(RECOVERY_PREFIX, code), await _wrap("recovery", code, "", dmk)


async def _wrap(kind: str, code: bytes, pin: str, dmk: bytes) -> Slot:
    salt = secrets.token_bytes(SALT_BYTES)
    stretched = await stretch(pin, salt) if kind in WITH_PIN else b""
    return wrap(kind, code, (salt, stretched), secrets.token_bytes(12), dmk)


def wrap(kind: str, code: bytes, pin: tuple[bytes, bytes], nonce: bytes, dmk: bytes, staff_id: str = "") -> Slot:
    """A slot. ``pin``: the salt, and what Argon2id made of it and the PIN."""
    salt, stretched = pin
    slot_id = slot_id_of(kind, code)
    wrapped = AESGCM(kek_of(kind, code, stretched)).encrypt(nonce, dmk, _aad(kind, slot_id))
    return Slot(kind, slot_id, salt, nonce, wrapped, staff_id)


async def open_with_badge(slots: tuple[Slot, ...], attempts: "Attempts", text: str, pin: str) -> bytes:
    """The DMK, given a badge and its PIN. Raises BadInput, WrongPin, TooManyAttempts."""
    badge = badge_bytes(text)
    slot_id = slot_id_of("badge", badge)
    subject = "badge-" + slot_id.hex()
    known = next((slot for slot in slots if slot.slot_id == slot_id), None)
    if known is None:
        subject = "badge-unknown"
    await attempts.begin(subject)
    dmk = await _unwrap(known, badge, pin) if known is not None else None
    if dmk is None:
        raise WrongPin("Badge or PIN is wrong.")
    await attempts.succeeded(subject)
    return dmk


async def open_with_day(slot: Slot, attempts: "Attempts", tablet: bytes, pin: str) -> bytes:
    """The DMK, given a tablet's secret (32 B), its slot and the PIN. Raises WrongPin, TooManyAttempts."""
    subject = "day-" + slot.slot_id.hex()
    await attempts.begin(subject)
    dmk = await _unwrap(slot, tablet, pin)
    if dmk is None:
        raise WrongPin("The PIN is wrong.")
    await attempts.succeeded(subject)
    return dmk


async def make_hub_slot(dmk: bytes, secret: bytes) -> Slot:
    """The slot of the hub's U (32 B), which the hub keeps and this node does not."""
    return await _wrap("hub", secret, "", dmk)


async def open_with_hub(slots: tuple[Slot, ...], secret: bytes) -> bytes | None:
    """The DMK, given the hub's U; None when no slot here is for it."""
    known = next((slot for slot in slots if slot.slot_id == slot_id_of("hub", secret)), None)
    return await _unwrap(known, secret, "") if known is not None else None


async def open_with_recovery(slots: tuple[Slot, ...], text: str) -> bytes:
    """The DMK, given the recovery code (160 random bits: guessing needs no lock-out). Raises WrongPin."""
    code = _from_text(RECOVERY_PREFIX, text, CODE_BYTES)
    slot_id = slot_id_of("recovery", code)
    known = next((slot for slot in slots if slot.slot_id == slot_id), None)
    dmk = await _unwrap(known, code, "") if known is not None else None
    if dmk is None:
        raise WrongPin("This recovery code is not known here.")
    return dmk


async def _unwrap(slot: Slot, code: bytes, pin: str) -> bytes | None:
    try:
        return AESGCM(await _kek(slot.kind, code, pin, slot.salt)).decrypt(
            slot.nonce, slot.wrapped, _aad(slot.kind, slot.slot_id)
        )
    except InvalidTag:
        return None


class Attempts:
    """Counts wrong attempts per subject in a file; five are free, then each waits longer.

    The count is durable before the PIN is looked at, so that pulling the plug wins nothing. Waiting
    is measured on the monotonic clock and begins anew with every start: neither a restart nor a
    changed wall clock shortens it. A damaged file wins nothing either: nobody has free attempts then.
    """

    def __init__(self, folder: Path, clock: Callable[[], float]) -> None:
        """Read the counts. Blocking."""
        self._path = folder / ATTEMPTS_FILE
        self._clock = clock
        self._started_s = clock()
        self._last_s: dict[str, float] = {}
        self._wrong: dict[str, int] = {}
        self._saving = threading.Lock()
        self._least = 0
        if self._path.exists():
            try:
                self._wrong = msgspec.json.decode(self._path.read_bytes(), type=dict[str, int])
            except msgspec.DecodeError:
                self._least = FREE_ATTEMPTS

    def wait_s(self, subject: str) -> float:
        """Seconds until the next attempt is heard; 0 for now."""
        wrong = self._wrong.get(subject, self._least)
        if wrong < FREE_ATTEMPTS:
            return 0.0
        penalty_s = min(FIRST_WAIT_S * 2.0 ** (wrong - FREE_ATTEMPTS), LONGEST_WAIT_S)
        since_s = self._clock() - self._last_s.get(subject, self._started_s)
        return max(0.0, penalty_s - since_s)

    async def begin(self, subject: str) -> None:
        """Count an attempt as wrong until it is known to be right. Raises TooManyAttempts."""
        wait_s = self.wait_s(subject)
        if wait_s > 0:
            raise TooManyAttempts(f"Too many wrong PINs. Try again in {int(wait_s) + 1} seconds.", field="pin")
        self._wrong[subject] = self._wrong.get(subject, self._least) + 1
        self._last_s[subject] = self._clock()
        await asyncio.to_thread(self._save)

    async def succeeded(self, subject: str) -> None:
        """The attempt was right: forget the wrong ones."""
        if self._wrong.pop(subject, None) is not None:
            if self._least:
                self._wrong[subject] = 0
            await asyncio.to_thread(self._save)

    def _save(self) -> None:
        with self._saving:
            write_private(self._path, msgspec.json.encode(self._wrong))
