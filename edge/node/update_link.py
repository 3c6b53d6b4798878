"""Updates by link, at the node: asks the hub what it may have, fetches it piece by piece, and says how far it is.

The lowest class, and only in the hours for it, by a trusted clock, within the day's data, never while a call is up or
anything else has to leave. What came is checked like a stick's copy and lies where a stick's copy would; the installer
sees no difference. Works while the node is locked: an update is nobody's record.
"""

import asyncio
import contextlib
import logging
import time
from collections import deque
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from edge.model.clock import IST_OFFSET_S
from edge.model.errors import UpkendraError
from edge.sync import courier, release, updating
from edge.sync.meter import parse_hours
from edge.web.logs import say

from .clinic import Clinic
from .link import HubLink
from .spool import Spool
from .spool_link import LinkCopy

logger = logging.getLogger("edge.node.updates")
RELEASE_FILE: Final = Path("/usr/lib/upkendra/release.json")
OUTCOME_FILE: Final = "outcome"
ASK_EVERY_S: Final = 3600.0
ASK_AGAIN_S: Final = 60.0
"""After a question that nobody answered, twice as long each time, up to an hour: an older hub knows no answer."""
LOOK_S: Final = 5.0
HEARD_MAX: Final = 4 * updating.WINDOW
BUSY_S: Final = 0.5
TELL_SHARE: Final = 20
"""Twentieths of an update are told."""
PASSING: Final = frozenset({"update_no_room", "update_busy"})
"""Refusals that are no fault of the offer."""
BAD_MAX: Final = 2
"""So often the same block may be wrong before the update is given up: then it is wrong where it lies."""


class Release(Struct, frozen=True):
    """``release.json`` of the image that runs."""

    version: str = ""


class Outcome(Struct, frozen=True):
    """What the installer left: how the last update ended."""

    version: str
    ended: str
    code: str = ""
    message: str = ""


class UpdateNow(Struct, frozen=True):
    """How it stands with the update of this node."""

    name: str
    version: str
    state: str
    """coming, here, installed, committed, refused, rolled_back; ``offered`` when it has not begun."""
    done_bytes: int = 0
    size_bytes: int = 0
    code: str = ""
    why: str = ""
    waits: str = ""
    """Why it does not come at present: clock, time (not the hours for it), hub, cap, hours, call, busy; or empty."""


class UpdateFetcher:
    """Of one running node."""

    def __init__(self, clinic: Clinic, link: HubLink, release_file: Path = RELEASE_FILE) -> None:
        """Raises BadInput for hours that are none."""
        self._clinic, self._link = clinic, link
        self._spool = Spool(clinic.folder, clinic.config)
        self._copy = LinkCopy(self._spool)
        self._hours = parse_hours(clinic.config.update_hours)
        self._release_file = release_file
        self._pull: updating.Pull | None = None
        self._wanted: updating.Head | None = None
        """Offered and chosen; its signed offer was asked for."""
        self._asked_s = float("-inf")
        self._answered = True
        self._unanswered = 0
        self._told: updating.Told | None = None
        self._bad: dict[int, int] = {}
        """How often what ends at a place was wrong."""
        self._refused: updating.Told | None = None
        self._heard: deque[bytes] = deque()
        self._turned_down: set[bytes] = set()
        """Offers that will not be better next time this process asks."""
        self._offer_asked_s = float("-inf")
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Go on where the process before this one ended. A machine on which nothing installs updates asks for none."""
        if self._clinic.config.training or not await asyncio.to_thread(lambda: self._spool.target):
            return
        await asyncio.to_thread(self._copy.resume)
        self._link.on_update = self.hear
        self._link.on_met = self._met
        await self._begin_pull()
        self._task = asyncio.create_task(self._work(), name="updates")

    async def stop(self) -> None:
        """Fetch no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await asyncio.to_thread(self._copy.forget)

    def _met(self) -> None:
        """Another session of the hub: what was asked is lost, and it may not know how it stands here."""
        self._asked_s = self._offer_asked_s = float("-inf")
        self._told, self._unanswered = None, 0
        if self._pull is not None:
            self._pull.forget_asked()
        self._wake.set()

    def waits(self) -> str:
        """Why nothing may come now, see :class:`UpdateNow`."""
        now = self._clinic.clock.now()
        if not now.trusted:
            return "clock"
        minute = (now.wall_ms // 1000 + IST_OFFSET_S) // 60 % (24 * 60)
        if self._hours is not None and not self._hours.has(minute):
            return "time"
        if self._clinic.revoked.why_out:
            return "hub"
        return self._link.update_waits()

    async def now(self) -> UpdateNow | None:
        """For the technician's page; None when there is nothing to say."""
        told = await asyncio.to_thread(self._state)
        if told is None:
            if self._wanted is None:
                return None
            head = self._wanted
            return UpdateNow(head.name, head.version, "offered", 0, head.size_bytes, waits=self.waits())
        waits = self.waits() if told.state == "coming" else ""
        return UpdateNow(
            told.name, told.version, told.state, told.done_bytes, told.size_bytes, told.code, told.why, waits
        )

    # -- the work -------------------------------------------------------------------------------------

    async def _work(self) -> None:
        while True:
            wait_s = LOOK_S
            try:
                while self._heard:
                    await self._take(updating.decode(self._heard.popleft()))
                await self._tell()
                wait_s = await self._step(time.monotonic())
            except UpkendraError as error:
                say(logger, error.refusal.code, logging.WARNING)
            except Exception:
                logger.exception("fetching an update failed")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), wait_s)
            self._wake.clear()

    async def _step(self, now_s: float) -> float:
        """Ask what is to be asked; seconds until the next look."""
        if self._pull is not None and await asyncio.to_thread(lambda: self._copy.is_gone):
            self._end_pull()  # a stick brought the rest, or another one
        has_room = self._pull is None or await asyncio.to_thread(self._copy.has_room)
        if self._pull is not None and self._pull.is_whole and has_room:
            await self._finish()
        waits = self.waits()
        if waits == "hub":
            return LOOK_S
        gap_s = ASK_EVERY_S if self._answered else min(ASK_AGAIN_S * (1 << min(self._unanswered, 6)), ASK_EVERY_S)
        if now_s - self._asked_s >= gap_s:
            self._unanswered = 0 if self._answered else self._unanswered + 1
            self._asked_s, self._answered = now_s, False
            target = await asyncio.to_thread(lambda: self._spool.target)
            self._link.send_update(updating.encode(updating.Ask(target)), b"ask")
        if waits:
            return BUSY_S if waits == "busy" else LOOK_S
        if self._pull is None:
            if self._wanted is not None and now_s - self._offer_asked_s >= ASK_AGAIN_S:
                self._offer_asked_s = now_s
                self._link.send_update(updating.encode(updating.WantOffer(self._wanted.sha256)), b"want offer")
            return LOOK_S
        for want in self._pull.wants(now_s) if has_room else ():
            self._link.send_update(updating.encode(want), b"want" + want.offset.to_bytes(8, "big"))
        return LOOK_S

    async def hear(self, body: bytes) -> None:
        """The hub says something about updates. It waits here: the link has others to hear meanwhile."""
        if len(self._heard) < HEARD_MAX:
            self._heard.append(body)
        self._wake.set()

    async def _take(self, message: updating.Message | None) -> None:
        match message:
            case updating.Offers(items):
                await self._offered(items)
            case updating.Offer(file):
                await self._begin(file)
            case updating.Piece() if self._pull is not None:
                await self._piece(message)
            case updating.Gone(sha256) if self._wanted is not None and self._wanted.sha256 == sha256:
                self._wanted, self._offer_asked_s = None, float("-inf")
            case updating.Gone(sha256) if self._pull is not None and self._pull.sha256 == sha256:
                await self._give_up()
            case _:
                pass

    async def _offered(self, heads: tuple[updating.Head, ...]) -> None:
        self._answered, self._unanswered = True, 0
        if self._pull is not None and not any(head.sha256 == self._pull.sha256 for head in heads):
            await self._give_up()
        running = await asyncio.to_thread(self._running)
        taken, begun = await asyncio.to_thread(lambda: (self._copy.taken(), self._copy.begun()))
        best = updating.choose([one for one in heads if one.sha256 not in self._turned_down], running, taken, begun)
        mine = self._pull.sha256 if self._pull is not None else b""
        self._wanted = best if best is not None and best.sha256 != mine else None
        if self._wanted is not None and self._pull is not None:
            await self._give_up()  # a newer one: what has come of the older one would be thrown away at its end

    async def _begin(self, file: bytes) -> None:
        if self._pull is not None:
            return
        wanted, self._wanted = self._wanted, None
        try:
            begun = await asyncio.to_thread(self._copy.begin, file)
        except courier.CourierRefused as error:
            self._note_refused(file, error)
            if wanted is not None and error.refusal.code not in PASSING:
                self._turned_down.add(wanted.sha256)
            raise
        if begun:
            await self._begin_pull()

    def _note_refused(self, file: bytes, error: courier.CourierRefused) -> None:
        with contextlib.suppress(courier.CourierRefused):
            offer = courier.parse(file)
            if isinstance(offer, courier.UpdateFile):
                found = release.parse_release(offer.release)
                self._refused = updating.Told(
                    found.name, found.version, "refused", 0, found.size_bytes, error.refusal.code
                )

    async def _begin_pull(self) -> None:
        found = self._copy.release
        if found is None:
            return
        self._bad.clear()
        self._refused = self._wanted = None
        at = await asyncio.to_thread(self._copy.position)
        self._pull = updating.Pull(bytes.fromhex(found.sha256), found.size_bytes, at)
        say(logger, "update_coming", name=found.name, version=found.version, at=at, size=found.size_bytes)

    async def _piece(self, piece: updating.Piece) -> None:
        assert self._pull is not None
        at = self._pull.at
        content = self._pull.take(piece, time.monotonic())
        if not content:
            return
        try:
            end = await asyncio.to_thread(self._copy.append, at, content)
        except (OSError, UpkendraError):
            self._pull.go_to(at)  # a stick is at it, or there is no room: asked for again
            raise
        if end != self._pull.at:
            self._pull.go_to(end)
            await self._was_wrong(end)
        elif self._pull.is_whole:
            await self._finish()

    async def _was_wrong(self, at: int) -> None:
        self._bad[at] = self._bad.get(at, 0) + 1
        say(logger, "update_damaged", logging.WARNING, at=at)
        found = self._copy.release
        if self._bad[at] >= BAD_MAX and found is not None:
            await asyncio.to_thread(self._copy.refuse)
            self._refused = updating.Told(found.name, found.version, "refused", at, found.size_bytes, "update_damaged")
            self._pull = None

    async def _finish(self) -> None:
        """What came whole goes to the installer; what passes is left to the next look."""
        found = self._copy.release
        assert found is not None
        assert self._pull is not None
        now_ms = self._clinic.clock.now().wall_ms
        try:
            whole = await asyncio.to_thread(self._copy.finish, now_ms)
        except courier.CourierRefused as error:
            code = error.refusal.code
            if code in PASSING:
                say(logger, code, logging.WARNING)
                return
            await asyncio.to_thread(self._copy.refuse)
            self._refused = updating.Told(found.name, found.version, "refused", 0, found.size_bytes, code)
            self._pull = None
            raise
        if whole:
            say(logger, "update_taken", name=found.name, version=found.version)
            self._pull = None
        else:
            at = await asyncio.to_thread(self._copy.position)
            self._pull.go_to(at)
            await self._was_wrong(at)

    async def _give_up(self) -> None:
        """The hub does not offer it any more: its room is free."""
        say(logger, "update_withdrawn")
        await asyncio.to_thread(self._copy.drop)
        self._pull, self._offer_asked_s = None, float("-inf")

    def _end_pull(self) -> None:
        self._copy.forget()
        self._pull = None

    def _running(self) -> str:
        try:
            return msgspec.json.decode(self._release_file.read_bytes(), type=Release).version
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
            return ""

    # -- how far it is --------------------------------------------------------------------------------

    def _state(self) -> updating.Told | None:
        """What is to be said. Blocking."""
        found = self._copy.release
        if found is not None:
            code = "" if self._copy.has_room() else "update_no_room"
            return updating.Told(found.name, found.version, "coming", self._copy.position(), found.size_bytes, code)
        waiting = self._spool.waiting()
        if waiting:
            one = waiting[-1]
            return updating.Told(one.name, one.version, "here", one.size_bytes, one.size_bytes)
        if self._refused is not None:
            return self._refused
        try:
            raw = (self._spool.folder / OUTCOME_FILE).read_bytes()
            ended = msgspec.json.decode(raw, type=Outcome)
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
            return None
        version, how, code = (text.replace("\0", "")[:60] for text in (ended.version, ended.ended, ended.code))
        return updating.Told(updating.SYSTEM, version, how, code=code, why=ended.message.replace("\0", "")[:300])

    async def _tell(self) -> None:
        """Say it when it has changed; of what is coming each twentieth."""
        if self._link.update_waits() == "hub":
            return
        state = await asyncio.to_thread(self._state)
        if state is None or _rounded(state) == self._told:
            return
        self._told = _rounded(state)
        self._link.send_update(updating.encode(state), b"told" + updating.encode(state))


def _rounded(told: updating.Told) -> updating.Told:
    if told.state != "coming" or not told.size_bytes:
        return told
    share = told.done_bytes * TELL_SHARE // told.size_bytes
    return msgspec.structs.replace(told, done_bytes=share)
