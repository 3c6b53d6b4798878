"""The node's command line: from first-boot and set-up to serve, and what technicians ask of it.

Results go to stdout as one JSON line each, logs as JSON lines to stderr; exit code 1 means refused.
"""

import argparse
import asyncio
import contextlib
import json
import os
import secrets
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import aiohttp
import msgspec
import segno

from edge.media.signals import ENCODERS, is_camera
from edge.model.errors import BadInput, UpkendraError
from edge.model.records import Role
from edge.slips.verify import verify_slip
from edge.sync import seal
from edge.web import process
from edge.web.logs import start_logging

from . import announce, courier, courier_cli, first_boot, provision, setup_cli, training
from .app import Node
from .clinic import SESSION_IDLE_S
from .config import load_config
from .devices import panel_cli
from .devices.registry import parse_device
from .listening import Listening, parse_address
from .notify import Notifier
from .printing.port import parse_printer
from .report import at_rest
from .sms_desk import sms_options_of
from .views import Staff

PIN_DIGITS = 6
DEFAULT_HTTP = "127.0.0.1:8470"
CLOSED_ANSWER_S = 0.5
"""What is left for the answer to whoever closed the day."""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="node", description="An Upkendra node: the appliance in the clinic.")
    commands = parser.add_subparsers(dest="command", required=True)

    def add(name: str, text: str, *, data: bool = True) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=text)
        if data:
            command.add_argument("--data", type=Path, required=True, metavar="DIR", help="the node's data folder")
        return command

    enrol = add("enrol", "Enrol this node with a hub, once, with a one-time site token.")
    enrol.add_argument("--hub", required=True, metavar="URL", help="the hub's address, http://host:port")
    enrol.add_argument("--token", required=True, help="the site token, UPK1-…")

    serve = add("serve", "Serve the clinic's pages and API, and talk to the hub.")
    serve.add_argument("--http", default=DEFAULT_HTTP, metavar="ADDR:PORT", help="where the tablets connect")
    setup_cli.add_https(serve)
    serve.add_argument("--camera", default="test", metavar="SOURCE", help="test, file:PATH, v4l2:/dev/videoN or tablet")
    serve.add_argument("--encoder", default="vp8", choices=ENCODERS, help="of the picture in calls; VP8 is in software")
    serve.add_argument("--no-announce", action="store_true", help="do not announce the node on the LAN (zeroconf)")
    serve.add_argument("--hub-host", default="", metavar="HOST", help="reach the hub under another name or address")
    serve.add_argument(
        "--data-cap",
        action="append",
        default=[],
        metavar="BEARER=MB",
        help="after so many million bytes a day (udp=50, wss=20) photos and the like wait; once for each bearer",
    )
    serve.add_argument(
        "--bulk-hours", default=None, metavar="HH:MM-HH:MM", help="photos and the like leave only then (Indian time)"
    )
    serve.add_argument(
        "--update-hours", default=None, metavar="HH:MM-HH:MM", help="updates come by link only then (Indian time)"
    )
    serve.add_argument("--panel", default="", metavar="DEVICE", help="serial port of the panel and power board")

    serve.add_argument(
        "--device",
        action="append",
        default=[],
        metavar="MODEL=PORT",
        help="a medical device on a serial port (contec-v7=/dev/ttyUSB0, or =usb:10c4:ea60); once for each",
    )
    serve.add_argument(
        "--printer",
        default="",
        metavar="MM=PORT",
        help="a thermal printer: 80 or 58, and /dev/usb/lp0, /dev/ttyUSB0@BAUD or tcp:HOST:PORT",
    )
    serve.add_argument(
        "--lock-after",
        type=float,
        default=SESSION_IDLE_S / 60,
        metavar="MINUTES",
        help="a tablet that nobody touches asks for the PIN again (0.5 to 60)",
    )
    serve.add_argument("--sms-modem", default="", metavar="DEVICE", help="serial port of a GSM modem, for emergencies")
    serve.add_argument("--sms-hub", default="", metavar="NUMBER", help="the hub's telephone number")
    serve.add_argument("--sms-cap", type=int, default=60, metavar="N", help="SMS a day at most")
    serve.add_argument("--sms-after", type=float, default=60.0, metavar="S", help="seconds without the hub's answer")
    serve.add_argument("--sms-cost", type=int, default=0, metavar="PAISE", help="price of an SMS, for the counter")

    staff = add("add-staff", "Add a staff member; prints the badge (and a generated PIN) once.")
    staff.add_argument("--name", required=True, help="name as in the staff register")
    staff.add_argument("--name-hi", default="", help="name in Devanagari")
    staff.add_argument("--role", required=True, choices=[role.value for role in Role if role is not Role.DOCTOR])
    staff.add_argument("--pin-stdin", action="store_true", help="read the PIN from standard input (4 to 12 digits)")
    staff.add_argument("--qr", type=Path, metavar="FILE", help="also write the badge as a QR code (.svg or .png)")
    _add_opener(staff)

    badge = add("renew-badge", "Give somebody who came back to a replaced node a badge and a PIN, shown once.")
    badge.add_argument("--staff", required=True, metavar="ID", help="staff id, as enrol printed it")
    badge.add_argument("--pin-stdin", action="store_true", help="read the PIN from standard input (4 to 12 digits)")
    badge.add_argument("--qr", type=Path, metavar="FILE", help="also write the badge as a QR code (.svg or .png)")
    _add_opener(badge)

    add("training", "Make a node for practice in a folder of its own: made-up patients, no way to any hub.")

    _add_opener(add("rebuild", "Compute patients and visits anew from the entries."))

    slip = add("verify-slip", "Check a printed slip's PDF off line.", data=False)
    slip.add_argument("pdf", type=Path)
    key = slip.add_mutually_exclusive_group(required=True)
    key.add_argument("--data", type=Path, metavar="DIR", help="a node's data folder, for its hub's key")
    key.add_argument("--hub-key", metavar="HEX", help="the hub's public signing key, 64 hexadecimal digits")

    find = add("find", "List the nodes on this LAN.", data=False)
    find.add_argument("--seconds", type=float, default=3.0, help="how long to listen")

    courier_cli.add_parser(add("courier", "Carry sealed records to a USB stick, and the hub's answers from it."))

    status = add("status", "Show how a node stands, running or not: link, backlog, health checks.", data=False)
    where = status.add_mutually_exclusive_group()
    where.add_argument("--data", type=Path, metavar="DIR", help="the node's data folder: the whole report")
    where.add_argument("--http", default=DEFAULT_HTTP, metavar="ADDR:PORT", help="its address: what everybody may see")
    panel_cli.add_parser(commands)
    setup_cli.add_parsers(commands, DEFAULT_HTTP)
    return parser


def _add_opener(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--recovery-code",
        default=os.environ.get("UPKENDRA_RECOVERY_CODE", ""),
        help="the code that enrol printed; or $UPKENDRA_RECOVERY_CODE",
    )
    command.add_argument("--badge", default="", help="instead: the badge of somebody who can unlock this node …")
    command.add_argument("--badge-pin", default="", help="… and that badge's PIN")


def _opener(options: argparse.Namespace) -> tuple[str, str]:
    opener = (options.badge, options.badge_pin) if options.badge else (options.recovery_code, "")
    if not opener[0] or (options.badge and not options.badge_pin):
        raise BadInput("Give --recovery-code, or --badge and --badge-pin of somebody who can unlock this node.")
    return opener


def _print(**fields: object) -> None:
    print(json.dumps(fields, ensure_ascii=False), flush=True)


async def _enrol(options: argparse.Namespace) -> None:
    _folder(options.data)
    made = await provision.enrol_node(options.data, options.hub, options.token)
    config = made.config
    staff = [{"staff_id": one.staff_id, "name": one.name, "role": one.role.value} for one in made.staff]
    shown = {"staff_without_badge": staff} if staff else {}
    _print(
        enrolled=True,
        node_id=config.node_id.hex(),
        site_code=config.site.code,
        recovery_code=made.recovery_code,
        **shown,
    )


def _folder(path: Path) -> None:
    path.mkdir(mode=0o700, parents=True, exist_ok=True)


async def _add_staff(options: argparse.Namespace) -> None:
    pin = _pin(options)
    opener = _opener(options)
    config = load_config(options.data)
    member, badge = await provision.add_staff(
        options.data, config, opener, options.name, options.name_hi, Role(options.role), pin
    )
    _show_badge(options, member, badge, pin)


async def _renew_badge(options: argparse.Namespace) -> None:
    pin = _pin(options)
    opener = _opener(options)
    config = load_config(options.data)
    member, badge = await provision.renew_badge(options.data, config, opener, options.staff, pin)
    _show_badge(options, member, badge, pin)


def _show_badge(options: argparse.Namespace, member: Staff, badge: str, pin: str) -> None:
    if options.qr is not None:
        segno.make(badge, error="m").save(str(options.qr), scale=6)
    shown = {} if options.pin_stdin else {"pin": pin}
    _print(staff_id=member.staff_id, name=member.name, role=member.role.value, badge=badge, **shown)


async def _training(options: argparse.Namespace) -> None:
    _folder(options.data)
    made = await training.make_training(options.data)
    _print(training=True, staff_id=made.staff_id, name=made.name, badge=made.badge, pin=made.pin)


async def _rebuild(options: argparse.Namespace) -> None:
    opener = _opener(options)
    _print(visits=await provision.rebuild_views(options.data, load_config(options.data), opener))


def _pin(options: argparse.Namespace) -> str:
    if not options.pin_stdin:
        return "".join(secrets.choice("0123456789") for _ in range(PIN_DIGITS))
    pin = sys.stdin.readline().strip()
    if not (pin.isascii() and pin.isdecimal() and 4 <= len(pin) <= 12):
        raise BadInput("A PIN has 4 to 12 digits.", field="pin")
    return pin


SWITCH_S = 0.001
"""So long a thread that is at work keeps the others waiting (Python: 5 ms). Who searches waits for each of the steps
of a search while the node seals or sends: at 5 ms 82 ms at the 95th percentile beside one busy thread, at 1 ms 22."""


async def _serve(options: argparse.Namespace) -> bool:
    """Until the process is told to end; True when the day was closed: it starts anew, locked, with empty memory."""
    process.prepare()
    process.small_heap()
    sys.setswitchinterval(SWITCH_S)
    start_logging()
    host, port = parse_address(options.http)
    secure = setup_cli.secure_of(options)
    if not is_camera(options.camera):
        raise BadInput("A camera is test, tablet, file:PATH or v4l2:/dev/videoN.", field="camera")
    sms_options = sms_options_of(
        options.sms_modem, options.sms_hub, options.sms_cap, options.sms_after, options.sms_cost
    )
    if not 0.5 <= options.lock_after <= 60:
        raise BadInput("A tablet locks after 0.5 to 60 minutes.", field="lock-after")
    devices = [parse_device(text) for text in options.device]
    printer = parse_printer(options.printer) if options.printer else None
    stopping, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    notifier = Notifier.of_process()
    run = secrets.token_bytes(seal.RUN_BYTES)
    node = await asyncio.to_thread(
        lambda: Node.load(
            *(options.data, run, options.camera, options.hub_host, options.data_cap, options.bulk_hours),
            options.update_hours,
            devices,
            printer,
        )
    )
    node.calls.encoder = options.encoder
    node.clinic.sessions.idle_s = options.lock_after * 60
    practice = node.clinic.config.training
    if practice and sms_options is not None:
        raise BadInput("A node for practice sends no SMS.", field="sms-modem")
    closed = asyncio.Event()

    def start_anew() -> None:
        closed.set()
        loop.call_later(CLOSED_ANSWER_S, stopping.set)

    node.clinic.on_closed.append(start_anew)
    await node.start()
    if options.panel:
        await node.fit_panel(options.panel, options.data, stopping.set)
    if sms_options is not None:
        await node.fit_sms(options.data, sms_options)
    listening = Listening()
    await listening.open(lambda secure: node.web_app(secure=secure), options.data, (host, port), secure)
    announced = None
    if not (options.no_announce or practice):
        announced = await announce.start(node.clinic.config, *(listening.https or listening.http))
    shown = {"https": listening.url} if listening.url else {}
    _print(ready=True, http="http://{}:{}".format(*listening.http), **shown)
    notifier.say("READY=1")
    feeding = asyncio.create_task(notifier.feed(node.answers))
    await stopping.wait()
    if not closed.is_set():
        notifier.say("STOPPING=1")
    if announced is not None:
        await announced.stop()
    await listening.close()
    feeding.cancel()
    await node.stop()
    return closed.is_set()


def _verify_slip(options: argparse.Namespace) -> None:
    key = load_config(options.data).hub_sign if options.data else _hex_key(options.hub_key)
    try:
        pdf = options.pdf.read_bytes()
    except OSError:
        raise BadInput("This file cannot be read.", field="pdf") from None
    verified = verify_slip(pdf, key)
    record = verified.record
    _print(
        valid=True,
        prescription_id=record.prescription_id,
        doctor=record.doctor_name,
        registration=record.registration,
        signed_ms=record.signed_ms,
        paper=verified.paper,
    )


def _hex_key(text: str) -> bytes:
    with contextlib.suppress(ValueError):
        key = bytes.fromhex(text)
        if len(key) == 32:
            return key
    raise BadInput("A hub's key has 64 hexadecimal digits.", field="hub-key")


async def _find(options: argparse.Namespace) -> None:
    nodes = await announce.find(options.seconds)
    for found in nodes:
        print(msgspec.json.encode(found).decode(), flush=True)
    if not nodes:
        print("No node said on this network that it is there.", file=sys.stderr)


async def _report(folder: Path) -> None:
    config = await asyncio.to_thread(load_config, folder)
    raw = await courier.report_of(folder)
    if raw is None:
        raw = msgspec.json.encode(await asyncio.to_thread(at_rest, folder, config))
    print(raw.decode(), flush=True)


async def _status(options: argparse.Namespace) -> None:
    if options.data is not None:
        await _report(options.data)
        return
    host, port = parse_address(options.http)
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5.0)) as http,
            http.get(f"http://{host}:{port}/api/status") as reply,
        ):
            print(await reply.text(), flush=True)
    except (aiohttp.ClientError, TimeoutError):
        raise provision.HubUnreachable("No node answers there.", code="node_unreachable") from None


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code."""
    os.umask(0o077)
    environment = dict(os.environ)
    options = _parser().parse_args(arguments)
    try:
        match options.command:
            case "enrol":
                asyncio.run(_enrol(options))
            case "first-boot":
                first_boot.run(options)
            case "set-up":
                asyncio.run(setup_cli.set_up(options))
            case "serve":
                if asyncio.run(_serve(options)):
                    os.execve(sys.executable, sys.orig_argv, environment)  # noqa: S606 - ourselves, as we were started
            case "add-staff":
                asyncio.run(_add_staff(options))
            case "renew-badge":
                asyncio.run(_renew_badge(options))
            case "rebuild":
                asyncio.run(_rebuild(options))
            case "training":
                asyncio.run(_training(options))
            case "verify-slip":
                _verify_slip(options)
            case "find":
                asyncio.run(_find(options))
            case "status":
                asyncio.run(_status(options))
            case "courier":
                asyncio.run(courier_cli.run(options))
            case "panel":
                panel_cli.run(options)
    except UpkendraError as error:
        print(json.dumps({"error": msgspec.to_builtins(error.refusal)}, ensure_ascii=False), file=sys.stderr)
        return 1
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        refusal = {"code": "io", "message": place + (error.strerror or "input or output failed")}
        print(json.dumps({"error": refusal}, ensure_ascii=False), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
