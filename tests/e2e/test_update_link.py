"""An update by link between real processes: killed on both sides, paused, taken up again, whole at the end."""

import hashlib
import random
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from edge.sync import release, seal
from hub import courier_fleet, update_link, update_stock, waves
from hub.config import Settings
from hub.store.engine import Store
from tests.kits.clinic import Clinic, wait_until

pytestmark = [pytest.mark.waits, pytest.mark.serial, pytest.mark.timeout(240)]
SIZE_BYTES = 1_300_000
KEY = bytes(range(32))


def published(clinic: Clinic, folder: Path) -> tuple[bytes, str]:
    """An update that lies at the hub, paused; its content and SHA-256."""
    content = random.Random(3).randbytes(SIZE_BYTES)
    file, key = folder / "system.raucb", folder / "update.key"
    file.write_bytes(content)
    key.write_bytes(KEY)
    courier_fleet.release_update(file, "system", "9.9.9", "amd64", key)
    update = courier_fleet.load_update(file, "")
    found = update_stock.put(Settings(clinic.hub_data).updates_folder, file, update.release, update.release_signature)
    at_hub(clinic, lambda store: store.write_now(lambda c: waves.add(c, update.release, (waves.Wave(0),), 1, "asha")))
    return content, found.sha256


def at_hub(clinic: Clinic, act: Callable[[Store], object]) -> None:
    store = Store(Settings(clinic.hub_data).database_url)
    try:
        act(store)
    finally:
        store.close()


def let_go(clinic: Clinic, sha256: str, *, paused: bool) -> None:
    plan = (waves.Wave(0),)
    at_hub(clinic, lambda store: store.write_now(lambda c: waves.change(c, sha256, plan, 2, "asha", paused=paused)))


def said(clinic: Clinic, state: str) -> bool:
    found: dict[tuple[str, str], dict[str, int]] = {}
    at_hub(clinic, lambda store: found.update(store.read_now(update_link.progress)))
    return state in found.get(("system", "9.9.9"), {})


def test_an_update_comes_by_link_over_kills_of_both_sides_and_a_pause(tmp_path: Path) -> None:
    options = {"node_options": ("--update-hours", ""), "hub_options": ("--update-kbps", "1000")}
    with Clinic(tmp_path / "clinic", **options) as clinic:  # type: ignore[arg-type]
        content, sha256 = published(clinic, tmp_path)
        clinic.node.stop()
        folder = clinic.node_data / "updates"
        folder.mkdir(mode=0o700)
        (folder / "target").write_text("amd64\n")
        (folder / "update.pub").write_text(seal.verifier_of(KEY).hex() + "\n")
        part, note = folder / f"{sha256[:24]}.part", folder / f"{sha256[:24]}.json"

        def has(size_bytes: int) -> bool:
            return note.exists() or (part.exists() and part.stat().st_size >= size_bytes)

        let_go(clinic, sha256, paused=False)
        clinic.node.start()
        wait_until(lambda: has(100_000), "the first pieces", 60)
        clinic.node.kill()
        held = part.stat().st_size
        clinic.node.start()
        assert part.stat().st_size >= held, "what came before the kill stays"
        wait_until(lambda: has(held + 50_000), "pieces after the node's kill", 60)
        clinic.hub.kill()
        held = part.stat().st_size
        clinic.hub.start()
        wait_until(lambda: has(held + 100_000), "pieces after the hub's kill", 90)
        wait_until(lambda: said(clinic, "coming"), "the node's word", 30)
        let_go(clinic, sha256, paused=True)
        wait_until(lambda: not part.exists(), "the room is free after the pause", 60)
        assert not note.exists()
        assert not list(folder.glob("*.offer"))
        clinic.node.kill()
        let_go(clinic, sha256, paused=False)
        time.sleep(update_link.PLANS_KEPT_S)  # a node that starts sooner hears of the pause, and asks in an hour
        clinic.node.start()
        wait_until(note.exists, "the whole update", 120)
        assert (folder / f"{sha256[:24]}.bundle").read_bytes() == content
        made = msgspec.json.decode(note.read_bytes(), type=dict[str, str | int])
        assert (made["signed_by"], made["sha256"]) == ("update_key", hashlib.sha256(content).hexdigest())
        wait_until(lambda: said(clinic, "here"), "the node says that it is here", 30)
        outcome = {"version": "9.9.9", "ended": "rolled_back", "code": "update_rolled_back", "message": "no hub"}
        clinic.node.stop()
        for path in (note, folder / f"{sha256[:24]}.bundle"):
            path.unlink()
        (folder / "outcome").write_bytes(msgspec.json.encode(outcome))
        clinic.node.start()
        wait_until(lambda: said(clinic, "rolled_back"), "the node says how it ended", 30)
        assert release.parse_release((Settings(clinic.hub_data).updates_folder / f"{sha256}.json").read_bytes())
