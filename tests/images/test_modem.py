"""The modem: what is done next, what systemd-networkd is told, and both with a ModemManager that answers as it does.

ModemManager's words are those of ``mmcli -J`` (1.20 and later); no modem stands behind them.
"""

import json
import os
from pathlib import Path

import msgspec
import pytest

from edge.model import provisioning
from images.appliance import modem, network
from tests.kits.clinic import ROOT

V4 = modem.Addresses("static", "10.31.95.33", "30", "10.31.95.34", ("172.26.38.2",), "1430")
PLAYED = r"""#!/bin/sh
# A ModemManager with one modem, which is registered and then connected; what it was asked lies in the file "asked".
cd "$(dirname "$0")"
echo "$*" >>asked
path=/org/freedesktop/ModemManager1
case "$*" in
  "-L -J") echo "{\"modem-list\":[\"$path/Modem/0\"]}" ;;
  "-m $path/Modem/0 -J")
    if [ -e connected ]; then bearers="[\"$path/Bearer/1\"]" state=connected; else bearers='[]' state=registered; fi
    echo "{\"modem\":{\"3gpp\":{\"operator-name\":\"x\"},\"generic\":{\"bearers\":$bearers,\"state\":\"$state\",\
\"state-failed-reason\":\"--\",\"primary-sim-slot\":\"2\"}}}" ;;
  "-b $path/Bearer/1 -J") cat bearer.json ;;
  *--simple-connect=*) if [ -e refuses ]; then exit 1; fi; touch connected ;;
  *) exit 1 ;;
esac
"""


def bearer(v4: modem.Addresses = V4, port: str = "wwan0") -> modem.Bearer:
    return modem.Bearer(modem.Status("yes", port), v4)


@pytest.mark.parametrize(
    ("state", "step"),
    [
        ("disabled", modem.Next.CONNECT),
        ("registered", modem.Next.CONNECT),
        ("connecting", modem.Next.WAIT),
        ("connected", modem.Next.DESCRIBE),
        ("locked", modem.Next.HELPLESS),
        ("failed", modem.Next.HELPLESS),
        ("a word of a later release", modem.Next.WAIT),
    ],
)
def test_the_next_step_follows_from_the_modems_state(state: str, step: modem.Next) -> None:
    assert modem.next_of(state) is step


@pytest.mark.parametrize(
    ("slot", "apns", "wanted"),
    [
        ("1", ("internet", "airtelgprs.com"), "apn=internet,ip-type=ipv4v6"),
        ("2", ("internet", "airtelgprs.com"), "apn=airtelgprs.com,ip-type=ipv4v6"),
        ("2", ("internet",), "apn=internet,ip-type=ipv4v6"),
        ("--", ("internet",), "apn=internet,ip-type=ipv4v6"),
        ("--", (), "ip-type=ipv4v6"),
    ],
)
def test_each_slots_card_has_its_own_access_point_name(slot: str, apns: tuple[str, ...], wanted: str) -> None:
    assert modem.wish(modem.Generic("registered", sim_slot=slot), apns) == wanted


def test_given_addresses_are_set_behind_a_wired_port() -> None:
    lines = modem.link_of(bearer()).splitlines()
    for line in (
        *("Name=wwan0", "MTUBytes=1430", "DHCP=no", "Address=10.31.95.33/30", "DNS=172.26.38.2"),
        *("Destination=0.0.0.0/0", "Gateway=10.31.95.34", "GatewayOnLink=yes", f"Metric={modem.ROUTE_METRIC}"),
    ):
        assert line in lines


def test_a_modem_that_gives_addresses_itself_is_asked_by_dhcp() -> None:
    lines = modem.link_of(bearer(modem.Addresses("dhcp"))).splitlines()
    assert "DHCP=ipv4" in lines
    assert f"RouteMetric={modem.ROUTE_METRIC}" in lines
    assert not any(line.startswith(("Address=", "Gateway=")) for line in lines)


@pytest.mark.parametrize(
    "said",
    [
        bearer(port="../../etc/x"),
        bearer(port="wwan0\nName=eth0"),
        bearer(msgspec.structs.replace(V4, address="10.0.0.1\n[Route]")),
        bearer(msgspec.structs.replace(V4, gateway="x")),
        bearer(msgspec.structs.replace(V4, dns=("1.1.1.1 2.2.2.2",))),
    ],
)
def test_what_is_no_address_brings_no_line_into_the_file(said: modem.Bearer) -> None:
    with pytest.raises(ValueError, match=r"none|appear"):
        modem.link_of(said)


@pytest.fixture
def played(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of programs: ModemManager's, and one that notes what systemd-networkd is told."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, content in (("mmcli", PLAYED), ("networkctl", '#!/bin/sh\necho "$*" >>"$(dirname "$0")/told"\n')):
        (folder / name).write_text(content)
        (folder / name).chmod(0o755)
    config = {"method": "static", "address": "10.31.95.33", "prefix": "30", "gateway": "10.31.95.34", "mtu": "1430"}
    said = {
        "dbus-path": "/org/freedesktop/ModemManager1/Bearer/1",
        "status": {"connected": "yes", "interface": "wwan0", "ip-timeout": "20", "suspended": "no"},
        "ipv4-config": {**config, "dns": ["172.26.38.2"]},
        "ipv6-config": {"method": "--", "address": "--", "dns": "--", "gateway": "--", "mtu": "--", "prefix": "--"},
    }
    (folder / "bearer.json").write_text(json.dumps({"bearer": said}))
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return folder


def test_a_modem_is_connected_described_once_and_forgotten_when_it_goes(played: Path, tmp_path: Path) -> None:
    links = tmp_path / "links"
    apns = ("internet", "airtelgprs.com")
    assert list(modem.look(apns, links).values()) == ["connecting"]
    assert "--simple-connect=apn=airtelgprs.com,ip-type=ipv4v6" in (played / "asked").read_text()
    for _ in range(2):
        assert list(modem.look(apns, links).values()) == ["connected"]
    (path,) = links.iterdir()
    assert (path.name, path.stat().st_mode & 0o777) == ("35-modem-wwan0.network", 0o644)
    assert (played / "told").read_text().splitlines() == ["reload", "reconfigure wwan0"]
    (played / "connected").unlink()
    (played / "refuses").touch()
    assert list(modem.look(apns, links).values()) == ["registered: refused"]
    assert not list(links.iterdir())


class _Enough(Exception):
    """Three looks were had."""


def test_a_change_is_told_once_and_no_failure_ends_the_looking(played: Path) -> None:
    (played / "bearer.json").write_text("{")
    (played / "connected").touch()
    said: list[object] = []
    looks = iter(range(3))

    def pause(_: float) -> None:
        if next(looks) == 2:
            raise _Enough

    with pytest.raises(_Enough):
        modem.run((), lambda **fields: said.append(fields), pause)
    assert said == [{"modem": {"problem": "DecodeError"}}]


def test_the_access_point_names_outlive_the_provisioning_file(tmp_path: Path) -> None:
    wifi = provisioning.Wifi("Namunapur", "golghar-42")
    site = provisioning.Provisioning(1, "https://hub.example", "UPK1-AAAAAAAA", "04711000", wifi, ("internet",))
    (tmp_path / network.SITE_FILE).write_bytes(provisioning.encode(site))
    assert network.kept(tmp_path) is None
    network.apply(tmp_path, tmp_path, tmp_path)
    kept = network.kept(tmp_path)
    assert kept is not None
    assert kept.apns == ("internet",)


def test_the_modems_unit_may_reach_what_it_talks_to() -> None:
    unit = (ROOT / "images/overlay/usr/lib/systemd/system/upkendra-modem.service").read_text().splitlines()
    assert "RestrictAddressFamilies=AF_UNIX AF_NETLINK" in unit
    assert not any(line.startswith("PrivateNetwork") for line in unit)
    assert f"ReadWritePaths={modem.LINKS.parent}" in unit


def test_a_modem_manager_touches_no_serial_port() -> None:
    rules = (ROOT / "images/overlay/usr/lib/udev/rules.d/72-upkendra-modem.rules").read_text()
    assert 'SUBSYSTEM=="tty", ENV{ID_MM_PORT_IGNORE}="1"' in rules
