"""A hub on PostgreSQL, made and served by its own commands: one whole visit."""

import random
from pathlib import Path

import pytest

from tests.attacks.ground import WholeVisit
from tests.kits.client import dig
from tests.kits.clinic import Clinic, wait_until
from tests.kits.postgres import Postgres

pytestmark = pytest.mark.serial


def test_a_visit_goes_from_reception_to_the_printed_slip_with_the_hub_on_postgresql(tmp_path: Path) -> None:
    with Postgres(durable=True) as server, Clinic(tmp_path, database=server.database()) as clinic:
        nurse, doctor = clinic.nurse_client(), clinic.doctor_client()
        visit = WholeVisit(clinic, random.Random(26).randrange(1000))
        visit.run(nurse, doctor)
        assert visit.is_whole(visit.page_at_hub(doctor))
        clinic.hub.stop()
        clinic.hub.start()
        wait_until(lambda: visit.is_whole(visit.page_at_hub(doctor)), "the visit after a restart of the hub")
        status = clinic.command("hub", ["status", *clinic.hub_store])
        assert (dig(status, "audit_broken_at"), dig(status, "quarantined"), dig(status, "nodes")) == (0, 0, 1)
        assert not (clinic.hub_data / "hub.db").exists()
