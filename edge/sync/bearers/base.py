"""What a bearer is: something that carries datagrams to the other side, perhaps. It may lose them.

Bearers do I/O and decide nothing; security never depends on them.
"""

from collections.abc import Callable
from typing import Protocol, TypeAlias

from msgspec import Struct

from edge.model.errors import Fault, UpkendraError

Received: TypeAlias = Callable[[bytes, str], None]
"""Called with each datagram and the bearer's name."""


class BearerRefused(UpkendraError):
    """The bearer cannot be used: no way there, or not the hub's certificate at the other end."""

    code = "bearer_refused"
    fault = Fault.US


class BearerState(Struct, frozen=True):
    """How a bearer stands, for people."""

    name: str
    in_use: bool
    up: bool
    """Its socket is open. That says nothing about the hub."""
    why: str
    """Why it is not used, or not well: silent (packets without an answer), blocked (it fell silent and the other one
    works), no_route, wrong_certificate (it could not be opened), not_needed, not_configured; empty when there is
    nothing to say."""
    moves: int
    """Changes between the bearers since the start."""


class Bearer(Protocol):
    """The node's side of a bearer."""

    name: str

    @property
    def up(self) -> bool:
        """Whether sending is worth trying now."""
        ...

    async def open(self) -> None:
        """Get ready. Raises BearerRefused."""
        ...

    def send(self, datagram: bytes) -> None:
        """Send or lose; never blocks, never raises."""
        ...

    async def close(self) -> None: ...
