"""Does this system serve? Then its slot is kept; a new one that does not is left for the old one. Blocking.

Updates start at night, when the records are locked: that a new system can read them shows when somebody opens them.

A slot that runs already is never given up for what it cannot help, such as a hub that is silent. One that shows no
pages for half an hour is started again: GRUB counts, and takes the other slot after three such starts.
"""

import http.client
import json
import ssl
import subprocess
import time
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path

from msgspec import Struct

ANSWER_S = 600.0
"""A new system has so long until the clinic's pages answer …"""
HUB_S = 1800.0
"""… and so long until the hub is heard, if it was heard before."""
PAGES_S = 1800.0
"""A system that ran before has so long."""
RESTARTS_MAX = 5
"""A service that died so often does not come any more."""
LOOK_S = 3.0
OPENING_LOOK_S = 15.0
"""Between two looks for the first opening of the records, which may take until the morning."""
TIMEOUT_S = 20.0
CALL_S = 120.0
UNITS = ("upkendra-set-up.service", "upkendra-node.service")
PYTHON = "/opt/upkendra/.venv/bin/python"
GSTREAMER = Path("/usr/lib/python3/dist-packages/gi/overrides/Gst.py")


class Verdict(StrEnum):
    """What a look says."""

    WAIT = "wait"
    GOOD = "good"
    BROKEN = "broken"
    AGAIN = "again"
    """It is to be started once more; its counter of tries goes up."""


class Seen(Struct, frozen=True):
    """One look at the system."""

    answers: bool
    """The pages of clinic or set-up answered."""
    hub_heard: bool
    restarts: int
    """Of the service that died most often."""
    calls_start: bool


class Wanted(Struct, frozen=True):
    """What is asked of it."""

    is_new: bool
    """Its first boot: it may be given up."""
    hub: bool


def judge(seen: Seen, wanted: Wanted, since_s: float) -> tuple[Verdict, str]:
    """What to do ``since_s`` seconds after the start of the looking, and why. Pure."""
    if seen.answers and not wanted.is_new:
        return Verdict.GOOD, ""
    if wanted.is_new and not seen.calls_start:
        return Verdict.BROKEN, "the program for calls does not start"
    if seen.answers and (seen.hub_heard or not wanted.hub):
        return Verdict.GOOD, ""
    if not wanted.is_new:
        if since_s >= PAGES_S:
            return Verdict.AGAIN, f"the clinic's pages did not answer in {PAGES_S:.0f} s"
        return Verdict.WAIT, ""
    if not seen.answers and seen.restarts >= RESTARTS_MAX:
        return Verdict.BROKEN, f"a service of the clinic died {seen.restarts} times"
    if not seen.answers and since_s >= ANSWER_S:
        return Verdict.BROKEN, f"the clinic's pages did not answer in {ANSWER_S:.0f} s"
    if since_s >= HUB_S:
        return Verdict.BROKEN, "the hub was not heard any more"
    return Verdict.WAIT, ""


def wait(wanted: Wanted, clock: Callable[[], float] = time.monotonic) -> tuple[Verdict, str]:
    """Look again and again until the matter is clear; anything but WAIT, and why."""
    began_s = clock()
    calls_start = calls_work() if wanted.is_new else True
    while True:
        verdict, why = judge(look(calls_start=calls_start), wanted, clock() - began_s)
        if verdict is not Verdict.WAIT:
            return verdict, why
        time.sleep(LOOK_S)


def opening(status: object, setup: object) -> tuple[Verdict, str]:
    """What a new system's status says about the records. Pure. A node that is being set up has none."""
    if isinstance(status, dict) and status.get("unreadable") is True:
        return Verdict.BROKEN, "the records did not open with the right key"
    if isinstance(status, dict) and status.get("locked") is False:
        return Verdict.GOOD, ""
    return (Verdict.GOOD, "") if status is None and setup is not None else (Verdict.WAIT, "")


def wait_opening() -> tuple[Verdict, str]:
    """Look until somebody has opened the records, or has not been able to. Open is what is open at two looks."""
    before = Verdict.WAIT
    while True:
        status = ask("/api/status")
        verdict, why = opening(status, ask("/api/setup") if status is None else None)
        if verdict is Verdict.BROKEN or verdict is before is Verdict.GOOD:
            return verdict, why
        before = verdict
        time.sleep(OPENING_LOOK_S)


def look(*, calls_start: bool) -> Seen:
    """How it is now."""
    status = ask("/api/status")
    answers = status is not None or ask("/api/setup") is not None
    return Seen(answers, hub_is_heard(status), max(restarts(unit) for unit in UNITS), calls_start)


def hub_is_heard(status: object) -> bool:
    """Whether the node's status says that the hub has answered this process."""
    link = status.get("link") if isinstance(status, dict) else None
    return isinstance(link, dict) and link.get("last_ack_age_s") is not None


def ask(path: str) -> object:
    """The JSON that the clinic's pages give on this machine; None when they give none."""
    context = ssl.create_default_context()
    context.check_hostname = False  # the certificate is for the name that tablets use, and this is loopback
    context.verify_mode = ssl.CERT_NONE
    connection = http.client.HTTPSConnection("127.0.0.1", 443, timeout=TIMEOUT_S, context=context)
    try:
        connection.request("GET", path)
        reply = connection.getresponse()
        content = reply.read(1 << 20)
        return json.loads(content) if reply.status == 200 else None
    except (OSError, http.client.HTTPException, ValueError):
        return None
    finally:
        connection.close()


def restarts(unit: str) -> int:
    """How often systemd has started a unit again."""
    said = _said(["systemctl", "show", "--property=NRestarts", "--value", unit]).strip()
    return int(said) if said.isdigit() else 0


def calls_work() -> bool:
    """Whether the program for calls starts and ends by itself; an image without media packages has none."""
    if not GSTREAMER.exists():
        return True
    argv = ["setpriv", "--reuid=upkendra", "--regid=upkendra", "--init-groups", PYTHON, "-m", "edge.media"]
    try:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=CALL_S)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def _said(argv: list[str]) -> str:
    try:
        return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=TIMEOUT_S).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""
