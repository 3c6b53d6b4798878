"""What twenty visits cost on a bad link: written while it is down, then sent when it comes up."""

import random
import tempfile
import time
from pathlib import Path

from tests.bench.rows import Row
from tests.kits.cases import draw_case
from tests.kits.client import items, text
from tests.kits.clinic import Clinic, wait_until
from tests.kits.link import Link, LinkSpec
from tests.kits.visit import NurseVisit

VISITS = 20
LINK = LinkSpec.both(rate_kbps=32, rtt_ms=1000, loss_pct=3)


def run() -> list[Row]:
    """Measure from the mended link to the last visit in the hub's queue; IP bytes both ways until then."""
    rng = random.Random(2)
    with tempfile.TemporaryDirectory() as folder, Link(LINK) as link, Clinic(Path(folder), link=link) as clinic:
        doctor, nurse = clinic.doctor_client(), clinic.nurse_client()
        link.down()
        time.sleep(2)
        tokens = {NurseVisit(draw_case(rng)).run(nurse) for _ in range(VISITS)}
        before = link.stats()

        def arrived() -> bool:
            return {text(one, "visit", "token") for one in items(doctor.get("/api/queue"), "items")} >= tokens

        start_s = time.monotonic()
        link.up()
        wait_until(arrived, "all visits at the hub", 300)
        took_s = time.monotonic() - start_s
        after = link.stats()
    up = after.uplink.sent_bytes - before.uplink.sent_bytes
    down = after.downlink.sent_bytes - before.downlink.sent_bytes
    return [
        Row(f"{VISITS} visits at the hub, 32 kbit/s, 1 s, 3 %", round(took_s, 2), "s"),
        Row("IP bytes, node to hub", up, "B"),
        Row("IP bytes, hub to node", down, "B"),
        Row("IP bytes a visit, both ways", round((up + down) / VISITS, 1), "B"),
    ]
