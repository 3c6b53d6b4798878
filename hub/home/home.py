"""Patients at home put together: desk, papers and calls of one hub process. Knows no HTTP and no socket."""

import logging
from collections.abc import Callable

from sqlalchemy import Connection

from edge.web.often import Often

from ..blobs import Blobs
from ..desk import Desk
from ..leader import Leader
from ..live import Live
from ..rota.front import RotaFront
from . import rows, tidy
from .calls import HomeCalls
from .centres import CentreBook
from .desk import HomeDesk
from .gateway import Gateway
from .papers import Papers

logger = logging.getLogger("hub.home")
FORGET_S = 600.0


class Home:
    """Everything that the web side needs for patients."""

    def __init__(
        self,
        desk: Desk,
        live: Live,
        front: RotaFront,
        blobs: Blobs,
        gateway: Gateway,
        leader: Leader,
        monotonic_s: Callable[[], float],
    ) -> None:
        self._store = desk.store
        self._leader = leader
        self._wall_ms = desk.wall_ms
        self._speaker = desk.speaker
        self.desk = HomeDesk(desk, front, gateway, desk.changed)
        self.calls = HomeCalls(self.desk, live, monotonic_s)
        self.centres = CentreBook(desk.store, desk.directory, monotonic_s)
        self.papers = Papers(self.desk, blobs)
        self._tidying = Often(self.tidy, FORGET_S, logger, "what is over could not be forgotten")
        live.homes = self.calls

    async def start(self) -> None:
        await self.calls.start()

    async def close(self) -> None:
        """Finish what was begun."""
        await self.calls.close()
        await self.desk.close()

    async def lead(self) -> None:
        """Begin to tidy: the process that leads does it for all."""
        self._tidying.start()

    async def follow(self) -> None:
        """Stop that."""
        await self._tidying.stop()

    async def tidy(self) -> None:
        """Forget what is over, and close visits that have ended by themselves."""

        def act(connection: Connection) -> list[str]:
            rows.forget(connection, self._wall_ms())
            return tidy.close_old(connection, self._speaker, self._wall_ms())

        for visit_id in await self._store.write(self._leader.fenced(act)):
            self.desk.changed(visit_id)
