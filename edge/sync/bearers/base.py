"""What a bearer is: something that carries datagrams to the other side, perhaps. It may lose them.

Bearers do I/O and decide nothing; security never depends on them.
"""

from collections.abc import Callable
from typing import Protocol, TypeAlias

from edge.model.errors import Fault, UpkendraError

Received: TypeAlias = Callable[[bytes, str], None]
"""Called with each datagram and the bearer's name."""


class BearerRefused(UpkendraError):
    """The bearer cannot be used: no way there, or not the hub's certificate at the other end."""

    code = "bearer_refused"
    fault = Fault.US


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
