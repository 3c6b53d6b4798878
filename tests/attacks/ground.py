"""What several attacks share: a clinic of real processes, whole visits, and a look into stopped stores."""

import random
import shutil
import sqlite3
from pathlib import Path

from tests.kits.cases import draw_case
from tests.kits.client import Client, Json, dig, items, text
from tests.kits.clinic import Clinic, wait_until
from tests.kits.visit import DoctorVisit, NurseVisit

PATIENCE_S = 90.0


class WholeVisit:
    """A visit from reception to the printed slip, and what both sides must show of it for ever after."""

    def __init__(self, clinic: Clinic, seed: int) -> None:
        self.clinic = clinic
        self.nurse_side = NurseVisit(draw_case(random.Random(seed)))
        self.doctor_side = DoctorVisit(self.nurse_side)
        self.token = ""
        self.prescription = ""

    def begin(self, nurse: Client, doctor: Client) -> None:
        self.token = self.nurse_side.run(nurse)
        self.doctor_side.wait_in_queue(doctor, PATIENCE_S)

    def sign(self, doctor: Client) -> None:
        self.doctor_side.take(doctor)
        self.prescription = self.doctor_side.sign(doctor, self.clinic.doctor.password)

    def finish(self, nurse: Client, doctor: Client) -> None:
        assert self.nurse_side.wait_for_prescription(nurse, PATIENCE_S) == self.prescription
        self.nurse_side.confirm_printed(nurse, self.prescription)
        self.nurse_side.close(nurse)
        wait_until(lambda: self.is_closed(doctor), "the close at the hub", PATIENCE_S)

    def run(self, nurse: Client, doctor: Client) -> None:
        self.begin(nurse, doctor)
        self.sign(doctor)
        self.finish(nurse, doctor)

    def is_closed(self, doctor: Client) -> bool:
        return dig(self.doctor_side.page(doctor), "visit", "state") == "completed"

    def page_at_hub(self, doctor: Client) -> Json:
        return dig(self.doctor_side.page(doctor), "visit")

    def is_whole(self, visit: Json) -> bool:
        """Whether a page shows all of it, once."""
        prescriptions = items(visit, "prescriptions")
        return (
            text(visit, "token") == self.token
            and text(visit, "state") == "completed"
            and len(items(visit, "vitals")) == 1
            and [text(one, "prescription_id") for one in prescriptions] == [self.prescription]
            and dig(prescriptions[0], "copies") == 1
        )


def drained(nurse: Client) -> None:
    """Wait until the node owes the hub nothing."""
    wait_until(lambda: dig(nurse.get("/api/status"), "link", "backlog_items") == 0, "an empty outbox", PATIENCE_S)


def places(database: Path) -> dict[tuple[str, bytes, int, int], bytes]:
    """Every entry of a hub's database by its place in its log."""
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as reading:
        rows = reading.execute("SELECT node_id, run, stream, seq, raw FROM entries").fetchall()
    reading.close()
    return {(row[0], bytes(row[1]), row[2], row[3]): bytes(row[4]) for row in rows}


def down_numbers(database: Path) -> dict[tuple[str, int], bytes]:
    """Every down blob of a hub's database by its number."""
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as reading:
        rows = reading.execute("SELECT node_id, seq, blob FROM down").fetchall()
    reading.close()
    return {(row[0], row[1]): bytes(row[2]) for row in rows}


def copy_card(node_data: Path, target: Path) -> None:
    """Copy the card of a node that does not run."""
    shutil.copytree(node_data, target, ignore=shutil.ignore_patterns("*.sock"))


def swap_card(node_data: Path, card: Path) -> None:
    """Put another card into a node that does not run."""
    shutil.rmtree(node_data)
    shutil.copytree(card, node_data)
