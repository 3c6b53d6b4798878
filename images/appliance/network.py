"""From the provisioning file to the settings of hostapd and dnsmasq. Texts are made purely; :func:`apply` writes them.

The provisioning file goes when the node is set up; what it says of the network is kept in a file that only root reads.
"""

import os
from pathlib import Path

import msgspec

from edge.model import provisioning
from edge.model.errors import BadInput

ADDRESS = "10.42.0.1"
NAME = "upkendra.lan"
KEPT_FILE = "network.json"
SITE_FILE = "site.json"
COUNTRY = "IN"


class Network(msgspec.Struct, frozen=True):
    """What outlives the set-up."""

    ssid: str
    passphrase: str
    apns: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"Network({self.ssid!r})"


def of_site(found: provisioning.Provisioning) -> Network:
    """What a provisioning file says of the network."""
    return Network(found.wifi.ssid, found.wifi.passphrase, found.apns)


def hostapd(network: Network) -> str:
    """hostapd.conf: WPA2 and WPA3 in one, so that old tablets get in. The name goes as hex, in whatever script."""
    return "\n".join(
        (
            "interface=wlan0",
            "bridge=lan0",
            "driver=nl80211",
            f"ssid2={network.ssid.encode().hex()}",
            "utf8_ssid=1",
            f"country_code={COUNTRY}",
            "ieee80211d=1",
            "hw_mode=g",
            "channel=6",
            "ieee80211n=1",
            "wmm_enabled=1",
            "auth_algs=1",
            "wpa=2",
            "wpa_key_mgmt=WPA-PSK SAE",
            "rsn_pairwise=CCMP",
            "ieee80211w=1",
            "sae_require_mfp=1",
            f"wpa_passphrase={network.passphrase}",
            "",
        )
    )


def dnsmasq() -> str:
    """dnsmasq.conf: addresses for tablets, the one name, and no way into the Internet."""
    first, _, _ = ADDRESS.rpartition(".")
    return "\n".join(
        (
            "interface=lan0",
            "bind-interfaces",
            "except-interface=lo",
            "no-hosts",
            "no-resolv",
            "no-poll",
            f"dhcp-range={first}.50,{first}.200,12h",
            f"dhcp-option=option:router,{ADDRESS}",
            f"dhcp-option=option:dns-server,{ADDRESS}",
            f"address=/{NAME}/{ADDRESS}",
            "dhcp-leasefile=/run/upkendra-dns.leases",
            "dhcp-authoritative",
            "user=nobody",
            "pid-file=",
            "",
        )
    )


def apply(data: Path, system: Path, run: Path) -> Network | None:
    """Keep what ``site.json`` says, and write the settings; the network, or None before any file came.

    Raises BadInput (a damaged file), OSError. Blocking.
    """
    try:
        network: Network | None = of_site(provisioning.parse((data / SITE_FILE).read_bytes()))
    except FileNotFoundError:
        network = kept(system)
    else:
        _write(system / KEPT_FILE, msgspec.json.encode(network).decode(), 0o600)
    if network is not None:
        _write(run / "hostapd.conf", hostapd(network), 0o600)
    _write(run / "dnsmasq.conf", dnsmasq(), 0o644)
    return network


def kept(system: Path) -> Network | None:
    """What outlived the set-up; None before any file came. Raises BadInput (it is damaged), OSError. Blocking."""
    try:
        return msgspec.json.decode((system / KEPT_FILE).read_bytes(), type=Network)
    except FileNotFoundError:
        return None
    except msgspec.MsgspecError:
        raise BadInput("The kept settings of the network are damaged.", code="network_damaged") from None


def _write(path: Path, text: str, mode: int) -> None:
    fresh = path.with_name(path.name + ".new")
    fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    with os.fdopen(fd, "w", encoding="utf-8") as file:
        os.fchmod(file.fileno(), mode)
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
