"""Day slots: for one day a tablet that was here at the opening opens the node again with a PIN, after a power cut.

Made at a log-in on that tablet while the records are open, erased at the closing of the day or after at most 14 hours
(docs/decisions/0027). Age never comes from one clock that may have stood still: a slot is as old as the oldest of all
witnesses says, and one about whose age they disagree is erased. Knows neither HTTP nor database.
"""

import asyncio
import contextlib
import logging
import os
import secrets
from collections.abc import Callable, Collection
from io import FileIO
from pathlib import Path

import msgspec

from edge.model.errors import Refused
from edge.sync.revocation import Content
from edge.web.logs import say
from edge.web.often import Often

from .clock import Clock
from .config import DAY_FILE, LOST_FILE, TOLD_LOST_FILE, write_private
from .unlock import Slot, slot_id_of, wrap

logger = logging.getLogger("edge.node")

LIFE_S = 14 * 3600.0
"""A slot's whole life (SEALING.md)."""
AGREE_S = 30 * 60.0
"""After a restart, while the hub has not told the time, node and tablet must agree on the age within this."""
STARTS_MAX = 6
"""Starts of the node that a slot outlives while nobody has told the time."""
SLOTS_MAX = 40
"""People times tablets of one place."""
LOST_MAX = 100
"""Names of slots whose tablet was lost: the latest are kept until the next hundred."""
LOOK_EVERY_S = 60.0
KEEP_EVERY_S = 600.0
"""The age that was counted while running is written this often: 90 small writes a day."""


class DaySlotGone(Refused):
    """This tablet opens the node no more today: its slot was erased, is too old, or its age is not certain.

    Use a badge and its PIN.
    """

    code = "day_slot_gone"


class DaySlot(msgspec.Struct, frozen=True):
    """``day.json`` is a list of these."""

    slot: Slot
    made_ms: int
    """When it was made, by the node's clock as it stood then."""
    ran_s: float = 0.0
    """How long the node has run since, counted without any wall clock; what was not written yet is missing."""
    starts: int = 0
    """How often the node was started since."""


class DaySlots:
    """The slots of this day. Call from the event loop; files are written in a thread."""

    def __init__(self, folder: Path, clock: Clock, monotonic_s: Callable[[], float]) -> None:
        """Read what is left of an earlier process; a start is counted. Blocking."""
        self._path = folder / DAY_FILE
        self._lost_path = folder / LOST_FILE
        self.lost: tuple[str, ...] = self._load_lost()
        """Names of slots that were erased because their tablet was lost: it wipes itself at its next look."""
        self._told_path = folder / TOLD_LOST_FILE
        self._told_ms = self._load_told()
        """What the hub said last of a lost tablet, and was done."""
        self._clock, self._monotonic_s = clock, monotonic_s
        self._since_s = monotonic_s()
        self._saving = asyncio.Lock()
        self._often = Often(self.look, LOOK_EVERY_S, logger, "day slots", first_s=LOOK_EVERY_S)
        self._made_here: set[bytes] = set()
        self._slots: dict[bytes, DaySlot] = {}
        for one in self._load():
            if one.starts < STARTS_MAX and self._age_s(one) < LIFE_S:
                self._slots[one.slot.slot_id] = msgspec.structs.replace(one, starts=one.starts + 1)
        if self._path.exists():
            _replace(self._path, self._encoded(), erase=True)

    def _load(self) -> tuple[DaySlot, ...]:
        """Whatever cannot be read opens nothing: half an erasure is one."""
        with contextlib.suppress(OSError, msgspec.DecodeError):
            return msgspec.json.decode(self._path.read_bytes(), type=tuple[DaySlot, ...])
        return ()

    def _load_lost(self) -> tuple[str, ...]:
        with contextlib.suppress(OSError, msgspec.DecodeError):
            return msgspec.json.decode(self._lost_path.read_bytes(), type=tuple[str, ...])
        return ()

    def _load_told(self) -> int:
        with contextlib.suppress(OSError, ValueError):
            return int(self._told_path.read_bytes())
        return 0

    def _encoded(self) -> bytes:
        return msgspec.json.encode(tuple(self._slots.values()))

    @property
    def ids(self) -> list[str]:
        """Names of all slots, so that a tablet can see that its own was erased."""
        return [slot_id.hex() for slot_id in self._slots]

    async def put(self, dmk: bytes, tablet: bytes, staff_id: str, pin: tuple[bytes, bytes]) -> str:
        """Make a tablet's slot for somebody, or that person's PIN of today for a slot that is there; its name.

        ``tablet``: its secret, 32 B. ``pin``: salt and what Argon2id made of it. A slot made again lives no longer.
        """
        fresh = wrap("day", tablet, pin, secrets.token_bytes(12), dmk, staff_id)
        known = self._slots.get(fresh.slot_id)
        if known is None:
            while len(self._slots) >= SLOTS_MAX:
                self._slots.pop(min(self._slots, key=lambda name: self._slots[name].made_ms))
            known = DaySlot(fresh, self._clock.now().wall_ms)
            self._note_run()
            self._made_here.add(fresh.slot_id)
        self._slots[fresh.slot_id] = msgspec.structs.replace(known, slot=fresh)
        await self._keep(erase=False)
        return fresh.slot_id.hex()

    def find(self, tablet: bytes, tablet_age_s: float) -> Slot:
        """The slot of a tablet's secret. ``tablet_age_s``: its age by the tablet's own clock. Raises DaySlotGone."""
        slot_id = slot_id_of("day", tablet)
        known = self._slots.get(slot_id)
        if known is None:
            raise DaySlotGone("This tablet opens the box no more today. Use a badge.")
        age_s = self._age_s(known)
        alone = slot_id not in self._made_here and not self._clock.trusted
        too_old = not 0 <= max(age_s, tablet_age_s) < LIFE_S or tablet_age_s < 0
        if too_old or (alone and abs(age_s - tablet_age_s) > AGREE_S):
            say(logger, "day_slot_refused", logging.WARNING, unsure=not too_old)
            raise DaySlotGone("How old this tablet's key is, is not certain, or it is too old. Use a badge.")
        return known.slot

    def name_of(self, tablet: bytes, staff_id: str) -> bytes:
        """The name of a tablet's slot, which has to be this person's and to stand now. Raises DaySlotGone."""
        slot_id = slot_id_of("day", tablet)
        known = self._slots.get(slot_id)
        if known is None or known.slot.staff_id != staff_id:
            raise DaySlotGone("This tablet has no key of today for this person. Log in here.")
        return slot_id

    def _age_s(self, one: DaySlot) -> float:
        """As old as the oldest witness says. A time before it was made proves nothing: then it is too old."""
        ran_s = one.ran_s + self._monotonic_s() - self._since_s
        if one.slot.slot_id in self._made_here:
            return ran_s
        wall_s = (self._clock.now().wall_ms - one.made_ms) / 1000
        return LIFE_S if wall_s < 0 else max(ran_s, wall_s)

    def _note_run(self) -> None:
        """Count what has passed since the last time; what was made here is dated by that as the clock is now."""
        now_s = self._monotonic_s()
        for slot_id, one in self._slots.items():
            ran_s = one.ran_s + now_s - self._since_s
            made_ms = one.made_ms
            if slot_id in self._made_here:
                made_ms = self._clock.now().wall_ms - round(1000 * ran_s)
            self._slots[slot_id] = msgspec.structs.replace(one, ran_s=ran_s, made_ms=made_ms)
        self._since_s = now_s

    async def erase(self, slot_ids: Collection[bytes] | None = None) -> int:
        """Erase these slots, or all; how many there were."""
        gone = set(self._slots) if slot_ids is None else set(self._slots) & set(slot_ids)
        for slot_id in gone:
            del self._slots[slot_id]
        if gone:
            await self._keep(erase=True)
            say(logger, "day_slots_erased", slots=len(gone))
        return len(gone)

    async def erase_of(self, staff_ids: Collection[str]) -> int:
        """Erase the slots of people who were removed, and wipe their tablets; how many there were."""
        return await self.lose([name for name, one in self._slots.items() if one.slot.staff_id in staff_ids])

    async def obey(self, told: Content) -> bool:
        """What the hub said: erase the slots of people who were removed, and once all when it says that a tablet is
        lost, which it does not know apart. Whether that is new: then everybody is logged out.
        """
        await self.erase_of(told.staff)
        if told.tablets_ms <= self._told_ms:
            return False
        await self.lose(list(self._slots))
        await asyncio.to_thread(write_private, self._told_path, str(told.tablets_ms).encode())
        self._told_ms = told.tablets_ms
        return True

    async def lose(self, slot_ids: Collection[bytes]) -> int:
        """The tablets of these slots are lost: erase the slots, and tell the tablets so when they look; how many."""
        gone = [slot_id.hex() for slot_id in slot_ids if slot_id in self._slots]
        erased = await self.erase(slot_ids)
        if gone:
            self.lost = (*self.lost, *gone)[-LOST_MAX:]
            await asyncio.to_thread(write_private, self._lost_path, msgspec.json.encode(self.lost))
        return erased

    async def lose_others(self, keep: Collection[str]) -> int:
        """As :meth:`lose` for all slots but those named, which are the asking tablet's own."""
        return await self.lose([slot_id for slot_id in self._slots if slot_id.hex() not in keep])

    async def _keep(self, *, erase: bool) -> None:
        async with self._saving:
            await asyncio.to_thread(lambda: _replace(self._path, self._encoded(), erase=erase))

    async def look(self) -> None:
        """Erase what is too old; keep the count of the time every ten minutes."""
        await self.erase([name for name, one in self._slots.items() if not self._age_s(one) < LIFE_S])
        if self._slots and self._monotonic_s() - self._since_s >= KEEP_EVERY_S:
            self._note_run()
            await self._keep(erase=False)

    def start(self) -> None:
        """Look at them every minute from now on, locked or not."""
        self._often.start()

    async def stop(self) -> None:
        """End looking, and keep the count."""
        await self._often.stop()
        if self._slots:
            self._note_run()
            await self._keep(erase=False)


def _replace(path: Path, body: bytes, *, erase: bool) -> None:
    """Replace the file; what stood in the old one is overwritten where it lies: with ``erase`` before anything else.

    Then a power cut in the middle leaves no slot at all, else it leaves those of before or after. Blocking.
    """
    with contextlib.ExitStack() as held:
        old = held.enter_context(path.open("r+b", buffering=0)) if path.exists() else None
        if old is not None and erase:
            _zero(old)
        write_private(path, body)
        if old is not None and not erase:
            _zero(old)


def _zero(file: FileIO) -> None:
    file.write(bytes(os.fstat(file.fileno()).st_size))
    os.fsync(file.fileno())
