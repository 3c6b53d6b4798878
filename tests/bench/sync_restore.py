"""A stolen node is replaced over a thin link: how soon its site's records are at the new machine.

A real hub with 1,320 visits of the site (300 of them too old to come back), a real new machine that enrols, makes a
badge for one of its people, serves and is unlocked; the clock runs from the call of ``enrol``. The peer downloads what
both sides said about the same visits, as gzipped JSON over HTTPS, on a link of its own.
"""

import gzip
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from tests.bench.restore_site import STAFF, Site, fill
from tests.bench.rows import Row, at_most
from tests.bench.sync_stand import Stand
from tests.kits.client import Client, dig, items, text
from tests.kits.clinic import Clinic, Server, free_port, wait_until
from tests.kits.link import Link, LinkSpec

LINKS = ((256, 300), (64, 600))
"""kbit/s, round trip in ms; 1 % loss. The goal is for the first."""
PIN = "471108"
REACH_S = 300.0
PATIENCE_S = 900.0
LOOK_S = 0.5
MISSES = 3
"""A look at the pages ends after so many that are not there yet."""


class Came(NamedTuple):
    """Seconds since the enrolment began, and IP bytes both ways until the last visit was there."""

    login_s: float
    week_s: float
    all_s: float
    size_bytes: int


def made(folder: Path) -> tuple[str, Site]:
    """A hub and its node on loopback; the node's id, after the node is gone and its past is in the hub."""
    with Clinic(folder) as clinic:
        node_id = text(clinic.node_client().get("/api/status"), "node_id")
        clinic.node.stop()
        for name, name_hi, role in STAFF:
            person = ["--name", name, "--name-hi", name_hi, "--role", role, "--recovery-code", clinic.recovery_code]
            clinic.command("edge.node", ["add-staff", "--data", str(clinic.node_data), "--pin-stdin", *person], PIN)
        clinic.node.start()
        nurse = clinic.nurse_client()
        staff = tuple(text(one, "staff_id") for one in items(nurse.get("/api/staff")))
        wait_until(lambda: dig(nurse.get("/api/status"), "link", "backlog_items") == 0, "an empty outbox")
        nurse.close()
    shutil.rmtree(clinic.node_data)
    return node_id, fill(clinic.hub_data, node_id, staff, time.time_ns() // 1_000_000)


def is_whole(client: Client, visit_id: str) -> bool:
    """Whether a visit's page shows its patient, its close and its prescription."""
    status, _ = client.raw("GET", f"/api/visits/{visit_id}")
    if status != 200:
        return False
    page = client.get(f"/api/visits/{visit_id}")
    prescriptions = items(dig(page, "visit", "prescriptions"))
    return dig(page, "visit", "state") == "completed" and [dig(one, "stored_ms") != 0 for one in prescriptions] == [
        True
    ]


class Pages:
    """Which visits the new machine shows, looked at newest first."""

    def __init__(self, client: Client, wanted: tuple[str, ...]) -> None:
        self._client, self.left = client, list(wanted)

    def all_there(self) -> bool:
        misses, left = 0, []
        for place, visit_id in enumerate(self.left):
            if misses < MISSES and is_whole(self._client, visit_id):
                continue
            misses += 1
            left.append(visit_id)
            if misses >= MISSES:
                left += self.left[place + 1 :]
                break
        self.left = left
        return not left


def replaced(base: Path, node_id: str, site: Site, spec: LinkSpec) -> Came:
    """Replace the node over such a link."""
    with tempfile.TemporaryDirectory() as temporary, Link(spec) as link:
        folder = Path(temporary)
        clinic = Clinic(folder, link=link)
        shutil.copytree(base / "hub", clinic.hub_data)
        data = ["--data", str(clinic.hub_data)]
        serve = [
            sys.executable,
            "-m",
            "hub",
            "serve",
            *data,
            "--http",
            "0.0.0.0:7480",
            "--udp",
            "7470",
            "--tls",
            "7443",
        ]
        clinic.hub = Server("hub", clinic.hub_ground, serve, folder / "hub.log")
        clinic.hub.start()
        try:
            token = text(clinic.command("hub", ["replace-token", *data, "--node", node_id]), "token")
            return _come_back(clinic, site, token)
        finally:
            clinic.close()


def _come_back(clinic: Clinic, site: Site, token: str) -> Came:
    link = clinic.link
    assert link is not None
    before, began = _line_bytes(link), time.monotonic()
    data = ["--data", str(clinic.node_data)]
    hub_url = f"http://{clinic.hub_ground.address}:7480"
    enrolled = clinic.command("edge.node", ["enrol", *data, "--hub", hub_url, "--token", token])
    staff = items(enrolled, "staff_without_badge")
    assert {text(one, "name") for one in staff} >= {name for name, _, _ in STAFF}
    first = next(text(one, "staff_id") for one in staff if text(one, "name") == STAFF[0][0])
    person = ["--staff", first, "--pin-stdin", "--recovery-code", text(enrolled, "recovery_code")]
    badge = clinic.command("edge.node", ["renew-badge", *data, *person], PIN)
    http_at = f"127.0.0.1:{free_port()}"
    serve = [sys.executable, "-m", "edge.node", "serve", *data, "--http", http_at, "--no-announce"]
    clinic.node = Server("node", clinic.node_ground, serve, clinic.folder / "node.log")
    clinic.node.start()
    client = clinic.node_client()
    client.post("/api/unlock", {"badge": text(badge, "badge"), "pin": PIN})
    client.csrf = text(client.post("/api/session", {"staff_id": text(badge, "staff_id"), "pin": PIN}), "csrf")
    login_s = time.monotonic() - began
    week, whole = Pages(client, site.last_week), Pages(client, site.kept)
    wait_until(week.all_there, "the last week", PATIENCE_S, LOOK_S)
    week_s = time.monotonic() - began
    wait_until(whole.all_there, "the last visit", PATIENCE_S, LOOK_S)
    all_s, size_bytes = time.monotonic() - began, _line_bytes(link) - before
    late = [visit_id for visit_id in site.old if client.raw("GET", f"/api/visits/{visit_id}")[0] != 404]
    assert not late, "a visit of more than 90 days ago came back"
    client.close()
    return Came(login_s, week_s, all_s, size_bytes)


def _line_bytes(link: Link) -> int:
    stats = link.stats()
    return stats.uplink.sent_bytes + stats.downlink.sent_bytes


def download(site: Site, spec: LinkSpec) -> tuple[float, int]:
    """Seconds and IP bytes of the peer."""
    with Stand(spec, "https-server") as stand:
        (stand.folder / "download").write_bytes(gzip.compress(site.export, 9))
        took_s, size_bytes, _ = stand.client("https", "download")
        return took_s, size_bytes


def run(*, quick: bool = False) -> list[Row]:
    """The rows; ``quick``: the first link alone."""
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as temporary:
        base = Path(temporary)
        node_id, site = made(base)
        for rate_kbps, rtt_ms in LINKS[: 1 if quick else None]:
            spec = LinkSpec.both(rate_kbps=rate_kbps, rtt_ms=rtt_ms, loss_pct=1)
            came, (peer_s, peer_bytes) = replaced(base, node_id, site, spec), download(site, spec)
            name = f"replaced node, {rate_kbps} kbit/s, {rtt_ms} ms, 1 %"
            last = at_most if rate_kbps == LINKS[0][0] else _plain
            rows += [
                Row(f"{name}: staff can log in", round(came.login_s, 1), "s"),
                Row(f"{name}: the last week is there", round(came.week_s, 1), "s"),
                last(f"{name}: {len(site.kept)} visits are there", came.all_s, "s", REACH_S),
                Row(f"{name}: bytes", came.size_bytes, "B", peer_bytes, _of(came.size_bytes, peer_bytes)),
                Row(
                    f"{name}: seconds beside HTTPS",
                    round(came.all_s, 1),
                    "s",
                    round(peer_s, 1),
                    _of(came.all_s, peer_s),
                ),
            ]
    return rows


def _of(ours: float, theirs: float) -> float:
    return round(ours / theirs, 3)


def _plain(name: str, value: float, unit: str, reach: float) -> Row:
    return Row(name, round(value, 3), unit)
