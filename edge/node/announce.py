"""Zeroconf: the node says on its LAN that it is there; technicians find it.

Announces the site's code and name and the port of the pages, nothing about patients or load.
"""

import asyncio
import socket

from msgspec import Struct
from zeroconf import ServiceStateChange, Zeroconf
from zeroconf.asyncio import AsyncServiceBrowser, AsyncServiceInfo, AsyncZeroconf

from .config import NodeConfig

SERVICE = "_upkendra._tcp.local."


class Found(Struct, frozen=True):
    """A node on the LAN."""

    site_code: str
    site_name: str
    node_id: str
    http: str


class Announced:
    """A running announcement."""

    def __init__(self, zeroconf: AsyncZeroconf, info: AsyncServiceInfo) -> None:
        self._zeroconf = zeroconf
        self._info = info

    async def stop(self) -> None:
        """Withdraw it."""
        await self._zeroconf.async_unregister_service(self._info)
        await self._zeroconf.async_close()


def _own_address() -> str:
    """The address of the interface that leads out; loopback when none does. Sends nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return "127.0.0.1"
        address: str = probe.getsockname()[0]
        return address


async def start(config: NodeConfig, host: str, port: int) -> Announced:
    """Announce the node's pages at ``host``:``port``."""
    address = _own_address() if host in ("0.0.0.0", "::", "") else socket.gethostbyname(host)
    name = f"upkendra-{config.node_id.hex()}"
    info = AsyncServiceInfo(
        SERVICE,
        f"{name}.{SERVICE}",
        addresses=[socket.inet_aton(address)],
        port=port,
        properties={"site": config.site.code, "name": config.site.name, "node": config.node_id.hex()},
        server=f"{name}.local.",
    )
    zeroconf = AsyncZeroconf()
    await zeroconf.async_register_service(info)
    return Announced(zeroconf, info)


async def find(listen_s: float) -> list[Found]:
    """Nodes that answer within ``listen_s`` seconds."""
    names: set[str] = set()

    def heard(zeroconf: Zeroconf, service_type: str, name: str, state_change: ServiceStateChange) -> None:
        if state_change is not ServiceStateChange.Removed:
            names.add(name)

    zeroconf = AsyncZeroconf()
    browser = AsyncServiceBrowser(zeroconf.zeroconf, SERVICE, handlers=[heard])
    await asyncio.sleep(listen_s)
    found = []
    for name in sorted(names):
        info = AsyncServiceInfo(SERVICE, name)
        if await info.async_request(zeroconf.zeroconf, 2000):
            words = {key.decode(): (value or b"").decode() for key, value in info.properties.items()}
            address = next(iter(info.parsed_addresses()), "")
            url = f"http://{address}:{info.port}"
            found.append(Found(words.get("site", ""), words.get("name", ""), words.get("node", ""), url))
    await browser.async_cancel()
    await zeroconf.async_close()
    return found
