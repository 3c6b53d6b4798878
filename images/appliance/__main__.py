"""``python -m images.appliance COMMAND``: what the units of the image run as root.

Says one JSON line each; nothing of a patient is ever read here.
"""

import argparse
import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from edge.model.errors import UpkendraError

from . import equipment, health, modem, network, slots, technician, updates
from .updates import Outcome, Pending

DATA = Path("/var/lib/upkendra")
SYSTEM = Path("/data/system")
RUN = Path("/run/upkendra")
BOOT = Path("/boot/upkendra")
STICKS = Path("/run/upkendra-stick")
FOLDER = DATA / "updates"
PANEL_IMAGE = Path("/usr/lib/upkendra/panel.upk")
CMDLINE = Path("/proc/cmdline")
PANEL_TIMEOUT_S = 60.0

logger = logging.getLogger("appliance")


def _owner() -> int:
    return DATA.stat().st_uid


def _say(**fields: object) -> None:
    print(json.dumps(fields, ensure_ascii=False), flush=True)


def _tell(outcome: Outcome) -> None:
    _say(update=outcome.version, ended=outcome.ended, code=outcome.code, message=outcome.message)
    if FOLDER.is_dir():
        updates.tell(FOLDER, outcome, _owner())


def _panel(*words: str) -> None:
    """Tell the panel board by the node's own program; a node without a board has nothing to tell."""
    if not (DATA / "panel").is_dir():
        return
    argv = ["setpriv", "--reuid=upkendra", "--regid=upkendra", "--init-groups", health.PYTHON, "-m", "edge.node"]
    try:
        done = subprocess.run(
            [*argv, "panel", *words, "--data", str(DATA)],
            capture_output=True,
            text=True,
            check=False,
            timeout=PANEL_TIMEOUT_S,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        logger.warning("panel %s: %s", words[0], type(error).__name__)
        return
    if done.returncode != 0:
        logger.warning("panel %s: %s", words[0], done.stderr.strip()[-300:])


def _network() -> None:
    found = network.apply(DATA, SYSTEM, RUN)
    _say(network=found is not None)


def _equipment() -> None:
    found = equipment.apply(BOOT, RUN)
    _say(equipment=[name for name, _ in found.lines], wrong=found.wrong)


def _modem() -> None:
    kept = network.kept(SYSTEM)
    modem.run(() if kept is None else kept.apns, _say)


def _install() -> None:
    before = updates.load(SYSTEM)
    if before is not None and before.installed:
        return
    _tidy()
    found = updates.newest(updates.waiting(FOLDER))
    if found is None:
        return
    stem, note = found
    if not updates.claim(FOLDER, stem):
        return
    now = slots.running()
    bundle = FOLDER / f"{stem}.bundle"
    if note.target != now.board:
        _refuse(stem, note.version, "update_target", "This update is for another machine.")
        return
    if not updates.is_newer(note.version, now.version):
        _refuse(stem, note.version, "update_older", f"Version {now.version} runs here, which is not older.")
        return
    if bundle.is_symlink() or not bundle.is_file():
        _refuse(stem, note.version, "update_missing", "The update itself is not there.")
        return
    slot = slots.OTHER[slots.booted(CMDLINE.read_text())]
    heard = health.hub_is_heard(health.ask("/api/status"))
    pending = Pending(note.version, now.version, slot, stem, heard, installed=False)
    (SYSTEM / updates.WHY_FILE).unlink(missing_ok=True)
    updates.save(SYSTEM, pending)
    worked, said = slots.install(bundle)
    if not worked:
        logger.error("rauc: %s", said.strip()[-2000:])
        if updates.is_machines_fault(said):
            return  # it stays claimed, and is taken again when this runs next
        _refuse(stem, note.version, *updates.refusal(said))
        return
    updates.save(SYSTEM, msgspec.structs.replace(pending, installed=True))
    _tell(Outcome(note.version, "installed", message="It starts in the quiet hours of the night."))


def _tidy() -> None:
    """What was claimed before a power cut, and neither installed nor refused, is taken again."""
    for stem, _ in updates.waiting(FOLDER, updates.CLAIMED):
        updates.give_back(FOLDER, stem)


def _refuse(stem: str, version: str, code: str, message: str) -> None:
    _end(stem, Outcome(version, "refused", code, message))


def _end(stem: str, outcome: Outcome) -> None:
    """An update is over. It waits until all is done: after a power cut in between it is ended, not installed, again."""
    updates.drop(FOLDER, stem)
    _tell(outcome)
    updates.save(SYSTEM, None)


def _restart() -> None:
    pending = updates.load(SYSTEM)
    if pending is None or not pending.installed or pending.kept:
        return
    _panel("hold")
    _say(restart=True)
    subprocess.run(["systemctl", "reboot"], check=True, timeout=PANEL_TIMEOUT_S)


def _health() -> None:
    slot = slots.booted(CMDLINE.read_text())
    pending = updates.load(SYSTEM)
    if pending is not None and pending.slot != slot:
        if pending.installed:
            _rolled_back(pending)
        else:
            updates.save(SYSTEM, None)
        pending = None
    wanted = health.Wanted(pending is not None and not pending.kept, pending is not None and pending.hub_answered)
    verdict, why = health.wait(wanted)
    if verdict is health.Verdict.GOOD:
        slots.keep()
        _say(slot=slot, version=slots.running().version, good=True)
        if pending is not None:
            _keep(pending)
            verdict, why = health.wait_opening()
    if verdict is health.Verdict.GOOD:
        if pending is not None:
            _end(pending.stem, Outcome(pending.version, "committed"))
            if PANEL_IMAGE.exists():
                _panel("update", str(PANEL_IMAGE))
        subprocess.run(["systemctl", "start", "--no-block", "upkendra-install.service"], check=False)
        return
    if pending is None or verdict is health.Verdict.AGAIN:
        logger.error("slot %s is started again: %s", slot, why)
    else:
        logger.error("version %s is given up: %s", pending.version, why)
        updates.write(SYSTEM / updates.WHY_FILE, why.encode())
        slots.give_up()
    subprocess.run(["systemctl", "reboot"], check=True, timeout=PANEL_TIMEOUT_S)


def _keep(pending: Pending) -> None:
    """A new system serves. The old one stays in its slot until somebody has opened the records."""
    if pending.kept:
        return
    updates.save(SYSTEM, msgspec.structs.replace(pending, kept=True))
    _tell(Outcome(pending.version, "installed", message="It runs. It is kept when somebody has opened the records."))
    _panel("release")


def _rolled_back(pending: Pending) -> None:
    note = SYSTEM / updates.WHY_FILE
    why = note.read_text() if note.exists() else "it did not start, or nothing found it good"
    slots.give_up_other()
    message = f"Version {pending.version}: {why}."
    _end(pending.stem, Outcome(pending.version, "rolled_back", "update_rolled_back", message))
    note.unlink(missing_ok=True)
    _panel("release")


def _ssh_take(device: str) -> None:
    found = technician.take(STICKS / device, device, time.time_ns() // 1_000_000, technician.Places())
    _say(ssh="opened", permit=found.permit_id, technician=found.technician, hours=found.hours)


def _ssh_close(device: str) -> None:
    found = technician.close(device, os.environ.get("EXIT_STATUS", ""), technician.Places())
    if found is not None:
        _say(ssh="ended", permit=found.permit_id, technician=found.technician)


COMMANDS: dict[str, Callable[[], None]] = {
    "equipment": _equipment,
    "network": _network,
    "modem": _modem,
    "install": _install,
    "restart": _restart,
    "health": _health,
}
OF_A_STICK: dict[str, Callable[[str], None]] = {"ssh-take": _ssh_take, "ssh-close": _ssh_close}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    parser = argparse.ArgumentParser(prog="appliance", description="What the appliance's units run as root.")
    parser.add_argument("command", choices=sorted({*COMMANDS, *OF_A_STICK}))
    parser.add_argument("--stick", default="", metavar="NAME", help="its partition, as in /dev/NAME")
    options = parser.parse_args(arguments)
    try:
        if options.command in OF_A_STICK:
            if not options.stick:
                parser.error("--stick is needed")
            OF_A_STICK[options.command](options.stick)
        else:
            COMMANDS[options.command]()
    except UpkendraError as error:
        print(json.dumps({"error": error.refusal.code, "message": error.refusal.message}), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
