"""Half a photo by UDP, the rest by stick, real processes that die in the middle: whole at the doctor, settled here."""

import contextlib
import random
import sqlite3
from pathlib import Path

import msgspec
import pytest

from edge.model.media import CHUNK_MIN_BYTES
from edge.node.config import load_config, save_config
from tests.kits import media, photos
from tests.kits.cases import draw_case
from tests.kits.clinic import Clinic, ClinicError, free_port, wait_until
from tests.kits.courier import carry, files
from tests.kits.link import Link, LinkSpec
from tests.kits.visit import NurseVisit

pytestmark = [pytest.mark.waits, pytest.mark.root, pytest.mark.serial, pytest.mark.timeout(240)]

PHOTO, PREVIEW = media.jpeg_of(300_000, 5), media.jpeg_of(4_000, 5)


def cut(clinic: Clinic) -> None:
    """From now on the hub is nowhere to be found."""
    clinic.node.stop()
    config = load_config(clinic.node_data)
    save_config(clinic.node_data, msgspec.structs.replace(config, udp_port=free_port(), wss_port=free_port()))
    clinic.node.start()


def live_until(clinic: Clinic, point: str) -> None:
    """Serve until the hub dies at this point, which may be before it listens."""
    with contextlib.suppress(ClinicError):
        clinic.hub.start({"UPKENDRA_KILL_AT": point})
    wait_until(lambda: not clinic.hub.is_running(), f"the hub to die at {point}", 60)


def unsettled_pieces(clinic: Clinic) -> int:
    """Full pieces of the photo of which the node does not know yet that the hub has them; all else here is smaller."""
    with contextlib.closing(sqlite3.connect(f"file:{clinic.node_data / 'outbox.db'}?mode=ro", uri=True)) as outbox:
        sizes = outbox.execute("SELECT size_bytes FROM bundles WHERE size_bytes >= ?", (CHUNK_MIN_BYTES,)).fetchall()
    return len(sizes)


def test_half_a_photo_by_udp_and_the_rest_by_stick_is_one_photo(tmp_path: Path) -> None:
    stick = tmp_path / "stick"
    stick.mkdir()
    # Slow enough that the hub's receipts are back before the next pieces are.
    with Link(LinkSpec.both(rate_kbps=1000, rtt_ms=20)) as link, Clinic(tmp_path / "clinic", link=link) as clinic:
        clinic.hub.stop()
        clinic.hub.start({"UPKENDRA_KILL_AT": "hub-chunk-stored:14"})
        nurse = clinic.nurse_client()
        visit = NurseVisit(draw_case(random.Random(7)))
        visit.run(nurse)
        photo, preview = photos.attach(nurse, visit.visit_id, PHOTO, PREVIEW)
        wait_until(lambda: not clinic.hub.is_running(), "the hub to die in the middle of the photo", 30)
        nurse.close()
        cut(clinic)
        clinic.hub.start()
        doctor, nurse = clinic.doctor_client(), clinic.nurse_client()

        assert photos.content(doctor, visit.visit_id, preview) == PREVIEW
        state, by_udp, parts = photos.at_hub(doctor, visit.visit_id, photo)
        assert state == "waiting"
        assert 0 < by_udp < 14 < parts
        assert photos.lines(nurse, visit.visit_id)[photo] == "sent"

        full, unsettled = parts - 1, unsettled_pieces(clinic)
        assert full - by_udp <= unsettled < full, "UDP settled some pieces, and no more than the hub has"
        up = carry("edge.node", clinic.node_data, stick)
        assert up.complete, up.said
        large = [one for one in files(stick, "UP") if one.stat().st_size >= CHUNK_MIN_BYTES]
        assert len(large) == unsettled, "what UDP had settled went again"
        taken = carry("hub", clinic.hub_data, stick)
        assert taken.complete, taken.said
        assert photos.at_hub(doctor, visit.visit_id, photo) == ("whole", parts, parts)
        assert photos.content(doctor, visit.visit_id, photo) == PHOTO

        down = carry("edge.node", clinic.node_data, stick)
        assert down.complete, down.said
        assert files(stick, "UP") == [] or down.count("written") > 0
        wait_until(
            lambda: set(photos.lines(nurse, visit.visit_id).values()) == {"hub_has_it"}, "the receipts to show", 10
        )
        assert carry("hub", clinic.hub_data, stick).complete
        assert carry("edge.node", clinic.node_data, stick).complete
        wait_until(lambda: photos.lines(nurse, visit.visit_id)[photo] == "doctor_opened", "the doctor's look", 10)


def test_neither_restart_starts_a_photo_over(tmp_path: Path) -> None:
    with Clinic(tmp_path / "clinic") as clinic:
        clinic.hub.stop()
        # Shelving the preview is its death, so the photo is its second in the next life.
        clinic.hub.start({"UPKENDRA_KILL_AT": "hub-blob-shelved"})
        nurse = clinic.nurse_client()
        visit = NurseVisit(draw_case(random.Random(8)))
        visit.run(nurse)
        photo, _ = photos.attach(nurse, visit.visit_id, PHOTO, PREVIEW)
        wait_until(lambda: not clinic.hub.is_running(), "the hub to die", 30)
        clinic.node.kill()
        clinic.node.start()
        nurse = clinic.nurse_client()  # a piece that was not sealed before the kill waits for the unlocking
        live_until(clinic, "hub-blob-shelved:2")
        clinic.hub.start()
        doctor = clinic.doctor_client()
        wait_until(lambda: photos.at_hub(doctor, visit.visit_id, photo)[0] == "whole", "the whole photo", 60)
        assert photos.content(doctor, visit.visit_id, photo) == PHOTO
        wait_until(
            lambda: photos.lines(nurse, visit.visit_id)[photo] in ("hub_has_it", "doctor_opened"), "its line", 60
        )
