"""The modem: connected by the SIM card's access point name, its network port described to systemd-networkd. Blocking.

ModemManager speaks to it, by QMI or MBIM. It connects nothing by itself, and tells addresses instead of setting them:
this asks how each modem stands, again and again, and does the next step. A SIM card's PIN is never tried.
"""

import ipaddress
import re
import subprocess
import time
from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

LOOK_S: Final = 30.0
CONNECT_S: Final = 150.0
"""ModemManager itself waits a minute for a network, and as long for a connection."""
ASK_S: Final = 20.0
ROUTE_METRIC: Final = 2048
"""Behind a wired port that leads to the Internet, which has systemd-networkd's 1024."""
LINKS: Final = Path("/run/systemd/network")
_PORT: Final = re.compile(r"^[a-z][a-z0-9]{1,14}$")


class Next(StrEnum):
    """What to do with a modem."""

    CONNECT = "connect"
    DESCRIBE = "describe"
    """It is connected: systemd-networkd is told its addresses."""
    WAIT = "wait"
    HELPLESS = "helpless"
    """A person is needed: no SIM card, one that wants its PIN, a broken modem."""


_Names = tuple[str, ...] | str
"""A list; ``--`` instead of an empty one."""


class Generic(Struct, frozen=True):
    """How a modem stands; a part of what ``mmcli -m N -J`` says. Nothing known is ``--``."""

    state: str
    bearers: _Names = ()
    failed: str = msgspec.field(name="state-failed-reason", default="--")
    sim_slot: str = msgspec.field(name="primary-sim-slot", default="--")


class Status(Struct, frozen=True):
    """Of a connection: whether it stands, and by which network port."""

    connected: str
    interface: str


class Addresses(Struct, frozen=True):
    """What the operator gave it: ``method`` is static, dhcp, ppp or ``--``."""

    method: str = "--"
    address: str = "--"
    prefix: str = "--"
    gateway: str = "--"
    dns: _Names = ()
    mtu: str = "--"


class Bearer(Struct, frozen=True):
    """A connection; a part of what ``mmcli -b PATH -J`` says."""

    status: Status
    v4: Addresses = msgspec.field(name="ipv4-config", default=Addresses())
    v6: Addresses = msgspec.field(name="ipv6-config", default=Addresses())


class _Modem(Struct, frozen=True):
    generic: Generic


class _ModemSaid(Struct, frozen=True):
    modem: _Modem


class _BearerSaid(Struct, frozen=True):
    bearer: Bearer


class _ListSaid(Struct, frozen=True):
    modems: tuple[str, ...] = msgspec.field(name="modem-list")


def _names(said: _Names) -> tuple[str, ...]:
    return () if isinstance(said, str) else said


def next_of(state: str) -> Next:
    """The next step by ModemManager's word for a modem's state (MMModemState). Pure."""
    match state:
        case "disabled" | "enabled" | "searching" | "registered":
            return Next.CONNECT
        case "connected":
            return Next.DESCRIBE
        case "failed" | "locked" | "unknown":
            return Next.HELPLESS
    return Next.WAIT


def wish(generic: Generic, apns: Sequence[str]) -> str:
    """What ``mmcli --simple-connect`` is asked for. Pure. Without a name the operator's own one is taken."""
    at = int(generic.sim_slot) - 1 if generic.sim_slot.isdigit() else 0
    apn = apns[at] if 0 <= at < len(apns) else apns[0] if apns else ""
    return f"apn={apn},ip-type=ipv4v6" if apn else "ip-type=ipv4v6"


def link_of(bearer: Bearer) -> str:
    """The file by which systemd-networkd sets the modem's port up. Pure. Raises ValueError for what is no address."""
    port = bearer.status.interface
    if not _PORT.match(port):
        raise ValueError(f"a network port of this name is none: {port!r}")
    lines = ["[Match]", f"Name={port}", "", "[Link]", "RequiredForOnline=no"]
    if bearer.v4.mtu.isdigit():
        lines.append(f"MTUBytes={int(bearer.v4.mtu)}")
    asks = bearer.v4.method == "dhcp"
    lines += ["", "[Network]", f"DHCP={'ipv4' if asks else 'no'}", "IPv6AcceptRA=yes"]
    routes = []
    for version, given in (("4", bearer.v4), ("6", bearer.v6)):
        if given.method != "static":
            continue
        lines.append(f"Address={ipaddress.ip_interface(f'{given.address}/{given.prefix}')}")
        lines += [f"DNS={ipaddress.ip_address(one)}" for one in _names(given.dns)]
        default = "0.0.0.0/0" if version == "4" else "::/0"
        gateway = given.gateway != "--"
        by = [f"Gateway={ipaddress.ip_address(given.gateway)}", "GatewayOnLink=yes"] if gateway else ["Scope=link"]
        routes += ["", "[Route]", f"Destination={default}", *by, f"Metric={ROUTE_METRIC}"]
    if asks:
        routes += ["", "[DHCPv4]", "UseHostname=no", "SendHostname=no", "UseTimezone=no", f"RouteMetric={ROUTE_METRIC}"]
    return "\n".join((*lines, *routes, ""))


def look(apns: Sequence[str], links: Path = LINKS) -> dict[str, str]:
    """Do each modem's next step; what is to be told of it, by its name in ModemManager. Raises OSError, ValueError."""
    told = {}
    ports = set()
    for name in msgspec.json.decode(_mmcli("-L", "-J"), type=_ListSaid).modems:
        generic = msgspec.json.decode(_mmcli("-m", name, "-J"), type=_ModemSaid).modem.generic
        told[name] = generic.state if generic.failed in ("--", "none") else f"{generic.state}: {generic.failed}"
        match next_of(generic.state):
            case Next.CONNECT:
                told[name] = "connecting" if _connect(name, wish(generic, apns)) else f"{generic.state}: refused"
            case Next.DESCRIBE:
                ports |= {_describe(bearer, links) for bearer in _names(generic.bearers)}
    for path in links.glob("35-modem-*.network"):
        if path.name not in ports:
            path.unlink()
            _networkctl("reload")
    return told


def _connect(name: str, wanted: str) -> bool:
    """Enable a modem, let it find its network, connect it; whether it worked."""
    try:
        _mmcli("-m", name, f"--simple-connect={wanted}", timeout_s=CONNECT_S)
    except subprocess.SubprocessError:
        return False
    return True


def _describe(name: str, links: Path) -> str:
    """Let systemd-networkd set a connection's port up, once; the file that says how, or nothing."""
    bearer = msgspec.json.decode(_mmcli("-b", name, "-J"), type=_BearerSaid).bearer
    if bearer.status.connected != "yes":
        return ""
    path = links / f"35-modem-{bearer.status.interface}.network"
    content = link_of(bearer)
    if not path.exists() or path.read_text() != content:
        links.mkdir(parents=True, exist_ok=True)
        fresh = path.with_suffix(".new")
        fresh.write_text(content)
        fresh.chmod(0o644)
        fresh.replace(path)
        _networkctl("reload")
        _networkctl("reconfigure", bearer.status.interface)
    return path.name


def run(apns: Sequence[str], say: Callable[..., None], pause: Callable[[float], None] = time.sleep) -> None:
    """Look again and again; ``say`` hears what has changed. Ends only by what ``pause`` raises."""
    before: dict[str, str] = {}
    while True:
        try:
            now = look(apns)
        except (OSError, ValueError, subprocess.SubprocessError) as error:  # ModemManager starts, or a modem went away
            now = {"problem": type(error).__name__}
        if now != before:
            say(modem=now)
        before = now
        pause(LOOK_S)


def _mmcli(*arguments: str, timeout_s: float = ASK_S) -> bytes:
    argv = ["mmcli", *arguments]
    if timeout_s > ASK_S:
        argv.append(f"--timeout={timeout_s:.0f}")
    return subprocess.run(argv, capture_output=True, check=True, timeout=timeout_s + ASK_S).stdout


def _networkctl(*arguments: str) -> None:
    subprocess.run(["networkctl", *arguments], capture_output=True, check=False, timeout=ASK_S)
