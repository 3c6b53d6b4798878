"""Marks on a photo and a doctor's spoken answer by stick only, both ways, to a node that is locked as well."""

import json
import random
from pathlib import Path

import pytest

from edge.model import media as rules
from tests.kits import media as made
from tests.kits import photos
from tests.kits.cases import draw_case
from tests.kits.client import Client, Json, dig, items
from tests.kits.clinic import wait_until
from tests.kits.courier import carry
from tests.kits.visit import DoctorVisit, NurseVisit, fresh_id

from .test_courier import Island

pytestmark = [pytest.mark.waits, pytest.mark.serial, pytest.mark.timeout(240)]
PHOTO, PREVIEW = made.jpeg_of(60_000, 6), made.jpeg_of(4_000, 6)
SOUND = made.sound("webm", 20.0)


def drawn(client: Client, visit_id: str, photo: str) -> list[tuple[bool, Json]]:
    """(by the doctor, kind) of each mark on a photo."""
    media = items(dig(client.get(f"/api/visits/{visit_id}"), "visit"), "media")
    layers = [layer for one in media if dig(one, "blob_id") == photo for layer in items(one, "drawn")]
    return [(dig(layer, "doctor") is True, dig(mark, "kind")) for layer in layers for mark in items(layer, "marks")]


def mark(kind: str) -> Json:
    return {"mark_id": fresh_id(), "kind": kind, "points": [100, 100, 400, 500]}


def test_marks_and_a_spoken_answer_come_by_stick(tmp_path: Path) -> None:
    assert len(SOUND) > 2 * rules.ANSWER_PART_BYTES, "it is several parts"
    stick = tmp_path / "stick"
    stick.mkdir()
    with Island(tmp_path / "island") as island:
        nurse, doctor = island.nurse_client(), island.doctor_client()
        visit = NurseVisit(draw_case(random.Random(11)))
        visit.run(nurse)
        photo, _ = photos.attach(nurse, visit.visit_id, PHOTO, PREVIEW)
        visit.command(nurse, "mark_photo", visit_id=visit.visit_id, blob_id=photo, marks=[mark("arrow")])
        assert carry("edge.node", island.node_data, stick).complete
        assert carry("hub", island.hub_data, stick).complete

        at_hub = DoctorVisit(visit)
        at_hub.wait_in_queue(doctor)
        at_hub.take(doctor)
        assert photos.content(doctor, visit.visit_id, photo) == PHOTO
        assert drawn(doctor, visit.visit_id, photo) == [(False, "arrow")]
        doctor.post(f"/api/visits/{visit.visit_id}/media/{photo}/marks", {"marks": [mark("ring")]})
        answer = f"/api/visits/{visit.visit_id}/answers/{fresh_id()}"
        status, raw = doctor.raw("PUT", answer, SOUND, {"Content-Type": "application/octet-stream"})
        assert status == 200, raw
        island.node.stop()
        island.node.start()  # locked: it keeps what comes and reads none of it
        assert carry("hub", island.hub_data, stick).complete
        down = carry("edge.node", island.node_data, stick)
        assert down.complete, down.said

        nurse = island.nurse_client()
        wait_until(lambda: (True, "ring") in drawn(nurse, visit.visit_id, photo), "the doctor's mark", 20)
        (said,) = items(nurse.get(f"/api/visits/{visit.visit_id}/answers"), "items")
        assert (dig(said, "whole"), dig(said, "parts")) == (True, -(-len(SOUND) // rules.ANSWER_PART_BYTES))
        assert nurse.raw("GET", answer) == (200, SOUND)
        assert json.loads(raw)["visit"]["answers"][0]["answer_id"] == dig(said, "answer_id")

        again = carry("hub", island.hub_data, stick)
        assert again.complete
        assert again.count("confirmed") > 3, "the mark, the answer and its parts"
        assert carry("hub", island.hub_data, stick).count("downs") == 0, "what the node holds is not written again"
