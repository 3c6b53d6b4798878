"""How long the nurse waits: every command of twenty visits on loopback, and the start of a node."""

import random
import tempfile
import time
from pathlib import Path

from tests.bench.rows import Row, at_most
from tests.kits.cases import draw_case
from tests.kits.clinic import Clinic
from tests.kits.visit import NurseVisit

VISITS = 20


def run() -> list[Row]:
    """Measure on real processes. The answer counts from the request's first byte to the reply's last."""
    rng = random.Random(1)
    waits_ms: list[float] = []
    with tempfile.TemporaryDirectory() as folder, Clinic(Path(folder)) as clinic:
        nurse = clinic.nurse_client()
        reference = nurse.get("/api/reference")
        for _ in range(VISITS):
            for _, step in NurseVisit(draw_case(rng)).steps(reference):
                start_s = time.monotonic()
                step(nurse)
                waits_ms.append((time.monotonic() - start_s) * 1000)
        nurse.close()
        clinic.node.stop()
        start_s = time.monotonic()
        clinic.node.start()
        started_s = time.monotonic() - start_s
    waits_ms.sort()
    return [
        at_most("command, median", waits_ms[len(waits_ms) // 2], "ms", 100),
        at_most("command, 95th percentile", waits_ms[int(len(waits_ms) * 0.95)], "ms", 100),
        at_most("command, slowest", waits_ms[-1], "ms", 100),
        Row("node listens after its start", round(started_s, 2), "s"),
    ]
