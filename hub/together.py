"""Several processes of one hub: who leads, what the others say, and what they are told.

The database is the truth. What another process says only makes this one look sooner; every few seconds it looks
without being told.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from . import fanout as fan
from . import peers
from .leader import Leader
from .link import Link
from .live import Live
from .live_again import LOOK_S as AGAIN_S
from .live_again import Again
from .rota.front import RotaFront
from .serving import HubRunning

if TYPE_CHECKING:
    from .home.calls import HomeCalls

logger = logging.getLogger("hub.together")
LOOK_S = 1.0
"""So soon another process leads when the one that led has died."""
LOOK_MAX_S = 5.0
"""A database that does not answer for so long may have given the lead to another process by now."""
ALONE_S = 15.0
"""So long a lone process waits for one that still has the database."""
RECHECK_S = 15.0
"""So often nodes, and calls that a killed process left, are looked after without anybody's word."""


class Together:
    """This process among the others."""

    def __init__(
        self,
        leader: Leader,
        fanout: fan.Fanout,
        link: Link,
        live: Live,
        front: RotaFront,
        visits_changed: Callable[[frozenset[str], bool], None],
        homes: "HomeCalls | None",
        again: Again,
    ) -> None:
        """``visits_changed``: tell the pages of this process; the second says that records arrived."""
        self.leader = leader
        self.fanout = fanout
        self._link, self._live, self._front = link, live, front
        self._visits_changed, self._homes = visits_changed, homes
        self.again = again
        self.on_lead: list[Callable[[], Awaitable[None]]] = []
        """Begun when this process leads, in order, and given back in the other order by :attr:`on_follow`."""
        self.on_follow: list[Callable[[], Awaitable[None]]] = []
        self._here = peers.Here()
        self._beginning: asyncio.Task[None] | None = None
        """What a leader does, being begun or begun."""
        self._asking: asyncio.Task[bool] | None = None
        self._tasks: list[asyncio.Task[None]] = []
        front.is_sure = lambda: self.leader.leads
        link.fanout = live.fanout = fanout
        if not fanout.alone:
            live.peers = link.peers
            if homes is not None:
                homes.fanout, homes.peers = fanout, link.peers

    async def start(self) -> None:
        """Listen to the others and look who leads; what a leader does has begun when this returns.

        Raises HubRunning when another process serves this database and nothing carries what they have to say.
        """
        await self.fanout.start(self._hear)
        await self._look()
        patience_s = ALONE_S if self.fanout.alone else 0.0
        while self._beginning is None and patience_s > 0:  # the one before may be on its way out
            await asyncio.sleep(LOOK_S)
            patience_s -= LOOK_S
            await self._look()
        if self._beginning is None and self.fanout.alone:
            raise HubRunning("Another process serves this database. Stop it, or give each of them --nats.")
        # What is begun may take long; meanwhile the others have to see that this process lives.
        self._tasks = [asyncio.create_task(self._keep_looking(), name="hub-leader")]
        if self._beginning is not None:
            await asyncio.wait((self._beginning,))
        if not self.fanout.alone:
            self._tasks.append(asyncio.create_task(self._keep_saying(), name="hub-present"))

    async def stop(self) -> None:
        """Leave: another process leads then."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._follow()
        if self._asking is not None:
            await asyncio.wait((self._asking,), timeout=LOOK_MAX_S)
        await asyncio.to_thread(self.leader.close)
        await self.fanout.stop()

    async def _keep_looking(self) -> None:
        since_s = again_s = 0.0
        while True:
            await asyncio.sleep(LOOK_S)
            since_s, again_s = since_s + LOOK_S, again_s + LOOK_S
            try:
                await self._look()
                if again_s >= AGAIN_S:
                    again_s = 0.0
                    await self.again.look()
                if since_s >= RECHECK_S:
                    since_s = 0.0
                    await self._recheck()
            except Exception:
                logger.exception("looking after the other processes failed")  # a database that went away comes back

    async def _recheck(self) -> None:
        if not self.fanout.alone:
            await self._link.send_waiting()
        if self._front.leads:
            await self._live.settle_left()

    async def _look(self) -> None:
        leads = await self._leads()
        if leads and self._beginning is None:
            self._beginning = asyncio.create_task(self._begin(), name="hub-lead")
        elif not leads:
            await self._follow()
        elif self._beginning is not None and self._beginning.done() and not self._front.leads:
            # It failed. Else nobody would lead: we have the lock, and believe that it is begun.
            await self._follow()
            await asyncio.to_thread(self.leader.close)

    async def _begin(self) -> None:
        try:
            for begin in self.on_lead:
                await begin()
            self._front.leads = True
        except Exception:
            logger.exception("what a leader does could not be begun")

    async def _leads(self) -> bool:
        """What the database says; one that does not answer in time says no, and is asked nothing else meanwhile."""
        if self._asking is None:
            self._asking = asyncio.create_task(asyncio.to_thread(self.leader.look), name="hub-look")
        asking = self._asking
        done, _ = await asyncio.wait((asking,), timeout=LOOK_MAX_S)
        if not done:
            return False
        self._asking = None
        return asking.result()

    async def _follow(self) -> None:
        self._front.leads = False
        begun, self._beginning = self._beginning, None
        if begun is not None:
            begun.cancel()
            await asyncio.gather(begun, return_exceptions=True)
            for end in reversed(self.on_follow):
                try:
                    await end()
                except Exception:
                    logger.exception("what a leader does was not ended")  # the others are ended all the same

    async def _keep_saying(self) -> None:
        while True:
            self.say_present()
            await asyncio.sleep(peers.SAID_EVERY_S)

    def say_present(self) -> None:
        """Tell the others whom this process speaks with."""
        here = [peers.node(one) for one in self._link.nodes_heard()]
        here += [peers.doctor(one) for one in self._live.doctors_here()]
        here += [peers.family(one) for one in self._homes.accounts_here()] if self._homes is not None else ()
        self.fanout.say(self._here.next(here))

    async def _hear(self, sender: bytes, message: fan.Message) -> None:
        match message:
            case fan.ToNode():
                self._link.send_signal_here(message.node_id, message.blob)
            case fan.ToDoctor():
                self._live.tell_here(message.call_id, message.text)
            case fan.ToPerson():
                self._live.tell_person_here(message.person_id, message.text)
            case fan.CallChanged():
                await self._live.call_changed(message.call_id)
            case fan.DownMade():
                await self._link.down_made(message.node_id, message.seq)
            case fan.DownHeld():
                self._link.endpoint.forget_down(message.node_id, message.seq)
            case fan.VisitsChanged():
                self._visits_changed(frozenset(message.visit_ids), message.arrived)
            case fan.RotaTold():
                self._live.tell_rota_here(message.doctor_id)
            case fan.Present() | fan.PresentChanged():
                if not self._link.peers.said(sender, message):
                    self.fanout.say(fan.PresentWanted(sender))
            case fan.PresentWanted():
                if message.of == self.fanout.own:
                    self._here.forget()
                    self.say_present()
            case fan.ToHome() if self._homes is not None:
                self._homes.say_here(message.visit_id, message.body)
            case fan.HomeSaid() if self._homes is not None:
                self._homes.said_elsewhere(sender, message)
            case fan.Asked():
                await self._front.asked(sender, message)
            case fan.Answered():
                self._front.answered(message)
