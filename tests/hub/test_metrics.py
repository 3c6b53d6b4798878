"""What Prometheus is told, and that the files beside it fit: dashboard, units, proxy, relay."""

import ipaddress
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from aiohttp.test_utils import TestClient, TestServer

from hub.metrics import METER, HttpMeter, metrics_app, text

from .kit import HubKit, new_id, registered, visit_events

DEPLOY = Path(__file__).parents[2] / "hub" / "deploy"


async def told(kit: HubKit) -> str:
    """Asked over HTTP, as Prometheus asks."""
    assert kit.client is not None
    async with TestClient(TestServer(metrics_app(kit.hub, kit.client.app[METER]))) as asking:
        reply = await asking.get("/metrics")
        assert reply.status == 200 and reply.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        return await reply.text()


async def test_numbers_grow_with_what_happens_and_name_nobody(kit: HubKit) -> None:
    await kit.add_doctor()
    node = await kit.enrol()
    patient_id, visit_id = new_id(), new_id()
    await node.send([registered(patient_id), *visit_events(visit_id, patient_id)])
    page = await kit.login()
    await page.get(f"/api/visits/{visit_id}")
    await page.call("GET", "/api/people")
    said = await told(kit)
    for line in (
        'upkendra_nodes{state="away"} 1',
        'upkendra_visits_open{state="waiting"} 1',
        "upkendra_sessions 1",
        'upkendra_http_requests_total{method="GET",route="/api/visits/{visit_id}",status="200"} 1',
        'upkendra_http_requests_total{method="GET",route="/api/people",status="403"} 1',
        "upkendra_http_request_seconds_count 3",
    ):
        assert line in said.splitlines(), line
    assert not any(word in said for word in (patient_id, visit_id, node.node_id, "Sita", "asha"))
    shape = re.compile(r'[a-z_]+(\{[a-z]+="[^"]*"(,[a-z]+="[^"]*")*\})? [0-9.e+-]+')
    assert all(shape.fullmatch(line) for line in said.splitlines() if not line.startswith("#"))


async def test_browsers_and_nodes_do_not_find_the_numbers(kit: HubKit) -> None:
    assert kit.client is not None
    assert (await kit.client.get("/metrics")).status == 404


async def test_every_panel_of_the_dashboard_asks_for_something_that_is_told(kit: HubKit) -> None:
    said = await text(kit.hub, HttpMeter())
    known = set(re.findall(r"^# TYPE (\S+)", said, re.MULTILINE))
    board = json.loads((DEPLOY / "grafana-dashboard.json").read_text())
    asked = {
        re.sub(r"_(bucket|sum|count)$", "", name)
        for panel in board["panels"]
        for target in panel["targets"]
        for name in re.findall(r"\b(?:upkendra|process)_[a-z_]+", target["expr"])
    }
    assert asked <= known and known - asked <= {"upkendra_info"}


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd here")
def test_systemd_takes_the_units(tmp_path: Path) -> None:
    for name in ("upkendra-hub.service", "upkendra-hub-backup.service", "upkendra-hub-backup.timer"):
        unit = (DEPLOY / name).read_text().replace("/opt/upkendra/.venv/bin/python", "/bin/true")
        (tmp_path / name).write_text(unit)
    modem = tmp_path / "upkendra-hub.service.d"
    modem.mkdir()
    (modem / "modem.conf").write_text((DEPLOY / "upkendra-hub-modem.conf").read_text())
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *sorted(str(path) for path in tmp_path.iterdir() if path.is_file())],
        capture_output=True,
        text=True,
        timeout=60,
    )
    ours = [line for line in done.stderr.splitlines() if "upkendra" in line]
    assert ours == [] and done.returncode == 0, done.stderr


def test_the_relay_reaches_nothing_inside_whatever_an_address_is_written_as() -> None:
    spans = [
        tuple(map(ipaddress.ip_address, (span.split("-") * 2)[:2]))
        for span in re.findall(r"^denied-peer-ip=(.*)$", (DEPLOY / "turnserver.conf").read_text(), re.MULTILINE)
    ]
    inside = ("0.0.0.0", "10.1.2.3", "127.0.0.1", "169.254.169.254", "172.16.0.1", "192.168.1.1", "100.64.0.1")
    inside6 = ("::", "::1", "::7f00:1", "fd00::1", "fe80::1", "64:ff9b::a00:1", "64:ff9b:1::1", "2002:a00:1::1")
    for name in (*inside, *inside6, *(f"::ffff:{one}" for one in inside)):
        one = ipaddress.ip_address(name)
        assert any(a.version == one.version and int(a) <= int(one) <= int(b) for a, b in spans), name
    for name in ("49.36.1.1", "2405:200::1"):
        one = ipaddress.ip_address(name)
        assert not any(a.version == one.version and int(a) <= int(one) <= int(b) for a, b in spans), name


def test_the_units_options_are_those_of_the_command() -> None:
    from hub.__main__ import _parser

    unit = (DEPLOY / "upkendra-hub.service").read_text()
    words = re.findall(r"^ExecStart=.* -m hub (.*) \$UPKENDRA_HUB_OPTIONS$", unit, re.MULTILINE)[0].split()
    parsed = _parser().parse_args(words)
    assert (parsed.command, parsed.metrics, parsed.secure_cookie) == ("serve", "127.0.0.1:8490", True)
