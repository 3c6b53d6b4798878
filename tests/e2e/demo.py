"""``./run demo``: a hub and a node with sample people, to be looked at, or the whole journey by itself.

Without ``--once`` it stays up until Ctrl-C. With ``--once`` two headless browsers do a consultation
through an emulated link and a report is written. Everybody in it is made up.
"""

import argparse
import contextlib
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from tests.e2e.panel_stage import PanelStage, panel_stage
from tests.kits.cases import SAMPLES, Case, load_case
from tests.kits.clinic import Clinic, ClinicError, linked
from tests.kits.link import NAMED, Link, is_available
from tests.kits.visit import NurseVisit

NODE_PORT = 8470
HUB_PORT = 8480
PANEL_PORT = 8490
CODE_PERIOD_S = 30


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    made = argparse.ArgumentParser(prog="./run demo", description=__doc__)
    made.add_argument("--once", action="store_true", help="do one whole consultation in two browsers, report, end")
    made.add_argument("--link", choices=sorted(NAMED), default="", help="emulated link (default: 128k with --once)")
    made.add_argument(
        "--cut", action="store_true", help="with --once: cut the link in the call and at the prescription"
    )
    made.add_argument("--panel", action="store_true", help="with the panel board in a simulator, on a page of its own")
    made.add_argument("--out", type=Path, default=Path("out"), metavar="DIR", help="with --once: where the report goes")
    made.add_argument("--data", type=Path, metavar="DIR", help="keep node and hub data here (default: thrown away)")
    made.add_argument("--camera", default="test", metavar="SOURCE", help="test, file:PATH, v4l2:/dev/videoN or tablet")
    made.add_argument("--patient", type=Path, metavar="FILE", help="JSON of the patient (shape: tests/kits/cases.py)")
    made.add_argument("--nurse", default="Sunita Demo", metavar="NAME")
    made.add_argument("--nurse-hi", default="सुनीता डेमो", metavar="NAME")
    made.add_argument("--doctor", default="Dr Anil Demo", metavar="NAME")
    made.add_argument("--call-seconds", type=float, default=20.0, metavar="N", help="length of the measured call")
    return made


class Stage(NamedTuple):
    """What runs while one looks at it."""

    clinic: Clinic
    panel: PanelStage | None

    def goes_on(self) -> bool:
        """Whether all runs that should; lets the board switch the node. A node that it has cut may stand still."""
        if self.panel is not None:
            self.panel.supply(self.clinic.node)
            return self.clinic.hub.is_running() and self.panel.board.alive()
        return self.clinic.hub.is_running() and self.clinic.node.is_running()


@contextlib.contextmanager
def data_folder(wanted: Path | None) -> Iterator[Path]:
    """The folder asked for, or one that goes away at the end."""
    if wanted is not None:
        wanted.mkdir(parents=True, exist_ok=True)
        yield wanted.resolve()
        return
    made = Path(tempfile.mkdtemp(prefix="upkendra-demo-"))
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def make_clinic(
    folder: Path,
    link: Link | None,
    options: argparse.Namespace,
    ports: tuple[int, int],
    node_options: Sequence[str] = (),
) -> Clinic:
    """A clinic with the names that were asked for."""
    camera = str(options.camera)
    if camera.startswith("file:"):
        camera = "file:" + str(Path(camera.removeprefix("file:")).resolve())
    return Clinic(
        folder,
        camera=camera,
        link=link,
        http_ports=ports,
        nurse_name=(options.nurse, options.nurse_hi),
        doctor_name=options.doctor,
        node_options=node_options,
        telephone=_show_message if link is None else None,
    )


def _show_message(line: str) -> None:
    """A message that a telephone would get."""
    try:
        one = json.loads(line)
    except ValueError:
        return
    print(f"\r  to {one['to']}: {one['text']}", flush=True)


@contextlib.contextmanager
def made_stage(folder: Path, options: argparse.Namespace, ports: tuple[int, int, int]) -> Iterator[Stage]:
    """Hub, node, and the board if it was asked for. ``ports``: hub's, node's and the board's page's; 0: any."""
    with contextlib.ExitStack() as stack:
        panel = stack.enter_context(panel_stage(folder / "board", ports[2])) if options.panel else None
        extra = ("--panel", str(folder / "board" / "port")) if panel else ()
        clinic = stack.enter_context(make_clinic(folder, None, options, ports[:2], extra))
        if panel:
            panel.supply(clinic.node)
        yield Stage(clinic, panel)


def stay(options: argparse.Namespace) -> int:
    """Hub and node on loopback with a few people waiting; until Ctrl-C."""
    if options.link not in ("", "lan"):
        print("A link is emulated only with --once; this demo runs on loopback.", flush=True)
    ports = HUB_PORT, NODE_PORT, PANEL_PORT
    with data_folder(options.data) as folder, made_stage(folder, options, ports) as stage:
        clinic = stage.clinic
        nurse = clinic.nurse_client()
        print("Registering made-up patients …", flush=True)
        tokens = [NurseVisit(case).run(nurse) for case in people(options.patient)[1:]]
        nurse.close()
        show(stage, tokens)
        with contextlib.suppress(KeyboardInterrupt):
            shown = ""
            while stage.goes_on():
                code = clinic.doctor.code()
                if code != shown and sys.stdout.isatty():
                    print(f"\r  current code for the doctor: {code} ", end="", flush=True)
                    shown = code
                time.sleep(1)
        stopped = [server.name for server in (clinic.hub, clinic.node) if not server.is_running()]
        if stopped:
            print(f"\n{' and '.join(stopped)} ended; the end of the log:\n{clinic.node.log_tail()}", file=sys.stderr)
            return 1
        print("\nStopping.", flush=True)
    return 0


def people(patient: Path | None) -> tuple[Case, ...]:
    """The patient of the journey first, then those who sit in the waiting room."""
    return (load_case(patient), *SAMPLES[1:]) if patient else SAMPLES


def show(stage: Stage, tokens: list[str]) -> None:
    """Say where to go and how to get in."""
    clinic = stage.clinic
    panel = f"\n  Panel board            {stage.panel.url}   (simulated)\n" if stage.panel else ""
    nurse, doctor = clinic.nurse, clinic.doctor
    print(
        f"""
Everybody here is made up. Open both pages in Chromium or Chrome:

  Tablet in the clinic   {clinic.node.url}
    unlock               badge {nurse.badge}
                         PIN   {nurse.pin}   (already unlocked until the node restarts)
    log in               {nurse.name}, PIN {nurse.pin}

  Doctor at the hub      {clinic.hub.url}
    log in               {doctor.user}
    password             {doctor.password}
    code                 {doctor.code()}   (changes every {CODE_PERIOD_S} s; secret {doctor.totp_secret})

  Patient at home        {clinic.hub.url}/home/
    mobile number        any that begins with 5550, ten digits; its code shows here

  Waiting                tokens {", ".join(tokens) or "none"}
{panel}
What to do next: log in on both pages. At the tablet register somebody, or take a token that waits.
At the hub open the visit, take it, call; accept on the tablet; write and sign a prescription; print
the slip at the tablet and close the visit. Ctrl-C ends everything.
""",
        flush=True,
    )


def once(options: argparse.Namespace) -> int:
    """One whole consultation in two browsers; 0 when every step worked."""
    if options.panel:
        print("--panel is there to be looked at: without --once.", file=sys.stderr)
        return 2
    from playwright.sync_api import sync_playwright

    from tests.e2e import browsers
    from tests.e2e.journey import Journey, Plan
    from tests.e2e.report import Recorder, Report

    wanted = options.link or "128k"
    spec = NAMED[wanted]
    notes = []
    if spec is not None and not is_available():
        print("Emulating a link needs root and /dev/net/tun; going on over loopback.", file=sys.stderr, flush=True)
        notes.append(f"link {wanted} was asked for, but not emulated: not root or no /dev/net/tun")
        spec = None
    if options.cut and spec is None:
        print("--cut needs an emulated link.", file=sys.stderr)
        return 2
    out = options.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    for old in [*out.glob("[0-9][0-9]-*.png"), out / "slip.pdf", out / "report.json"]:
        old.unlink(missing_ok=True)
    case = people(options.patient)[0]
    report = Report(link=wanted, camera=options.camera, link_emulated=spec is not None, notes=notes)
    # `down` is a link that breaks right after enrolment, for which the hub has to be reached once.
    start = msgspec.structs.replace(spec, is_up=True) if spec else None
    failed = ""
    with data_folder(options.data) as folder, linked(start) as link:
        recorder = Recorder(report, link)
        try:
            with contextlib.ExitStack() as stack:
                with recorder.step("start and enrol"):
                    clinic = stack.enter_context(make_clinic(folder, link, options, (0, 0)))
                if link is not None and spec is not None and not spec.is_up:
                    link.down()
                with recorder.step("browsers"):
                    playwright = stack.enter_context(sync_playwright())
                    tablet = browsers.launch(playwright, clinic.node_ground, folder, "tablet")
                    stack.callback(tablet.close)
                    doctor = browsers.launch(playwright, clinic.hub_ground, folder, "doctor")
                    stack.callback(doctor.close)
                    tablet_page = browsers.open_page(tablet, clinic.node.url, 1280, 800)
                    hub_url = f"http://127.0.0.1:{clinic.hub_port()}"
                    doctor_page = browsers.open_page(doctor, hub_url, 1440, 900)
                plan = Plan(case, out, options.call_seconds, options.cut, wanted == "down")
                Journey(clinic, link, recorder, tablet_page, doctor_page, plan).run()
        except Exception as error:  # a failed step is the report's business; anything is possible in there
            failed = f"{type(error).__name__}: {error}"
        for log in ("hub.log", "node.log"):
            if (folder / log).exists():
                shutil.copy(folder / log, out / log)
        recorder.write(out / "report.json")
    if failed:
        print(f"FAILED: {failed}", file=sys.stderr)
    print(
        f"{'ok' if report.ok else 'FAILED'}: token {report.token or '-'}, report in {out / 'report.json'}", flush=True
    )
    return 0 if report.ok and not failed else 1


def main() -> int:
    """Run the demo; its exit code."""
    options = parser().parse_args()
    signal.signal(signal.SIGTERM, lambda *_: os.kill(os.getpid(), signal.SIGINT))
    try:
        return once(options) if options.once else stay(options)
    except KeyboardInterrupt:
        return 130
    except ClinicError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
