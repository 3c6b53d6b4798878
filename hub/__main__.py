"""The hub's command line: making a hub, serving, people and nodes, copies, keys and the courier.

Results go to stdout as one JSON line each, logs as JSON lines to stderr; exit code 1 means refused.
"""

import argparse
import asyncio
import json
import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec
from sqlalchemy import Connection, func, select

from edge.model.errors import BadInput, UpkendraError
from edge.model.ids import id_bytes
from edge.model.records import Name
from edge.web import process
from edge.web.logs import start_logging

from . import (
    accounts,
    audit,
    backup,
    breach_cli,
    courier_cli,
    courier_fleet,
    directory,
    erasures,
    journal_cli,
    people_cli,
    report_cli,
    returns,
    revocations,
    rights_cli,
    update_stock,
    views,
)
from .app import Server, serve, wall_ms
from .config import Settings, parse_address
from .exchange import outbox
from .keys import KEEP_DAYS, Keyring, KeysRefused, load_keys, rotate
from .rota import plan
from .rota.core import Settings as RotaSettings
from .serving import held
from .store.engine import Store
from .store.schema import down, entries, nodes, quarantine, visits
from .turn import Turn, turn_urls

T = TypeVar("T")
DEFAULT_HTTP = "127.0.0.1:8480"
TOKEN_HOURS = 72
RELEASE_TEXT = "Write FILE.update.json, and with a signing key FILE.update.sig, beside an update. Needs no hub."


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="hub", description="An Upkendra hub: where doctors see the clinics.")
    commands = parser.add_subparsers(dest="command", required=True)

    def add(name: str, text: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=text)
        command.add_argument("--data", type=Path, required=True, metavar="DIR", help="the hub's data folder")
        command.add_argument("--database", default="", metavar="URL", help="SQLAlchemy URL; SQLite in DIR by default")
        return command

    add("init", "Make the hub's keys and its database, once.")

    run = add("serve", "Serve doctors and nodes.")
    run.add_argument("--http", default=DEFAULT_HTTP, metavar="ADDR:PORT", help="where browsers connect")
    run.add_argument("--link-address", default="0.0.0.0", metavar="ADDR", help="where nodes connect")
    run.add_argument("--udp", type=int, default=8481, metavar="PORT", help="UDP port for nodes")
    run.add_argument("--tls", type=int, default=8482, metavar="PORT", help="TLS port for nodes without UDP")
    run.add_argument("--copy", type=Path, metavar="DIR", help="second copy of every change, on another disk")
    run.add_argument(
        "--turn",
        action="append",
        default=[],
        metavar="URL",
        help="TURN server: turn:HOST:PORT?transport=udp or =tcp, turns:HOST:443",
    )
    run.add_argument("--turn-secret-file", type=Path, metavar="FILE", help="coturn's static-auth-secret")
    run.add_argument("--blobs", default="", metavar="URL", help="https://HOST/BUCKET of an S3 store for photos")
    run.add_argument("--blobs-keys", type=Path, metavar="FILE", help="JSON: access_key, secret_key, region")
    run.add_argument("--secure-cookie", action="store_true", help="a proxy in front speaks HTTPS to browsers")

    run.add_argument(
        "--nats",
        default="",
        metavar="URL",
        help="nats://HOST:4222: one of several processes on the same PostgreSQL, keys and ports for nodes",
    )
    run.add_argument(
        "--gone-seconds",
        type=gone_seconds,
        default=RotaSettings().gone_s,
        metavar="S",
        help="a doctor without a page for so long (30 to 3600) is not ready any more, and loses whom she took",
    )
    run.add_argument("--metrics", default="", metavar="ADDR:PORT", help="serve /metrics for Prometheus there")
    run.add_argument(
        "--update-kbps",
        type=int,
        default=8000,
        metavar="N",
        help="updates to all nodes together, kbit/s; 0: no updates",
    )
    run.add_argument("--sms-modem", default="", metavar="DEVICE", help="serial port of a GSM modem for early copies")

    run.add_argument(
        "--home",
        default="",
        metavar="demo|FILE",
        help="serve patients at home: messages to the output (demo), or by the gateway of a JSON file",
    )

    run.add_argument("--fhir-endpoint", default="", metavar="URL", help="https://HOST/fhir that takes FHIR documents")
    run.add_argument("--fhir-token-file", type=Path, metavar="FILE", help="the endpoint's bearer token")
    run.add_argument(
        "--fhir-consent",
        action="append",
        default=[],
        metavar="VERSION",
        help="wording of the data statement that speaks of this endpoint; nothing leaves without its consent",
    )

    people_cli.add_parsers(add)
    rights_cli.add_parsers(add)
    token = add("site-token", "Make a one-time token with which a node enrols.")
    token.add_argument("--code", required=True, help="site code, as it stands on tokens")
    token.add_argument("--name", required=True, help="name of the site")
    token.add_argument("--district", required=True)
    token.add_argument("--block", default="", help="the part of the district")
    token.add_argument("--hours", type=int, default=TOKEN_HOURS, help="how long the token is good for")
    token.add_argument("--demo", action="store_true", help="synthetic patients: papers carry a watermark")

    other = add("replace-token", "Make a one-time token for the machine that takes a node's place.")
    other.add_argument("--node", required=True, metavar="ID", help="the node that is replaced; its keys end then")
    other.add_argument("--hours", type=int, default=TOKEN_HOURS, help="how long the token is good for")
    add("status", "Count what the hub holds, and verify the audit chain.")
    calendar = add("rota", "Show when doctors sit and for whom they may be asked, or set it from a JSON file.")
    calendar.add_argument("--set", type=Path, metavar="FILE", dest="plan", help="replaces hours and holidays")
    breach_cli.add_affected(add("affected", "List the patients whose records an account opened, for a breach report."))
    breach_cli.add_report(add("breach-report", "Write the reports after a breach, to be completed."))
    breach_cli.add_officer(add("officer", "Name the grievance officer, or the contact for authorities."))
    report_cli.add_parser(add("report", "Figures by day and place or doctor, as CSV: nothing about one person."))
    revoke = add("revoke", "Never believe a node again.")
    revoke.add_argument("--node", required=True, metavar="ID")
    leaver = add("remove-staff", "Let a node's staff member log in there no more; link or stick takes it to the node.")
    leaver.add_argument("--node", required=True, metavar="ID")
    leaver.add_argument("--staff", required=True, metavar="ID", help="as add-staff printed it at the node")
    leaver.add_argument("--back", action="store_true", help="let that person log in again")
    courier_cli.add_parser(add("courier", "Take records from a USB stick, and leave receipts and answers on it."))
    journal_cli.add_options(add("open-journal", "Open the journal of a machine that a technician's stick brought."))
    release = commands.add_parser("release-update", help="Describe and sign an update file.", description=RELEASE_TEXT)
    release.add_argument("--file", type=Path, required=True)
    release.add_argument("--name", required=True, help="of what it is a version: system, panel")
    release.add_argument("--version", required=True)
    release.add_argument("--target", required=True, help="the board it is made for: rpi, amd64")
    release.add_argument("--signing-key", type=Path, metavar="FILE", help="the raw private update key, 32 bytes")
    stock = add("stock-update", "Keep an update, with its release beside it, for the nodes that fetch it by link.")
    stock.add_argument("--file", type=Path, required=True)
    add("export-again", "Offer the documents again that the FHIR endpoint refused.")
    add("rebuild", "Compute all views anew from the entries.")
    add("rotate-key", "Make a new KEM key and tell the nodes; older ones open for 400 days and are then destroyed.")
    saved = add("backup", "Copy the database of a hub that may be running into a new folder.")
    saved.add_argument("--to", type=Path, required=True, metavar="DIR", help="a folder that does not exist yet")
    saved.add_argument("--with-keys", action="store_true", help="the keys too: keep that copy in a safe")
    back = add("restore", "Put a backup back; nodes then send what it lacks.")
    back.add_argument("--from", type=Path, metavar="DIR", dest="source", help="a folder made by backup")
    back.add_argument("--copy", type=Path, metavar="DIR", help="the second copy: what was changed later, or all of it")
    back.add_argument("--replace", action="store_true", help="put the database that is here aside")
    return parser


def gone_seconds(text: str) -> int:
    """Half a minute to an hour: a page that loads again is away for some seconds."""
    if not text.isdecimal() or not 30 <= int(text) <= 3600:
        raise argparse.ArgumentTypeError("between 30 and 3600")
    return int(text)


def _say(**fields: object) -> None:
    print(json.dumps(fields, ensure_ascii=False), flush=True)


def _with_store(arguments: argparse.Namespace, work: Callable[[Connection, Keyring], T], *, reads: bool = False) -> T:
    """``reads``: the work writes nothing, and a hub that serves beside it goes on writing, however long it takes."""
    settings = Settings(arguments.data, database=arguments.database)
    keys = load_keys(settings.data)
    store = Store(settings.database_url)
    try:
        return (store.read_now if reads else store.write_now)(lambda connection: work(connection, keys))
    finally:
        store.close()


def _init(arguments: argparse.Namespace) -> None:
    keys = backup.init_hub(Settings(arguments.data, database=arguments.database))
    _say(hub_key=keys.sign_public.hex(), root_key=keys.root_public.hex(), tls_fingerprint=keys.tls_fingerprint.hex())


def _serve(arguments: argparse.Namespace) -> None:
    host, port = parse_address(arguments.http)
    secret = arguments.turn_secret_file.read_text().strip() if arguments.turn_secret_file else ""
    settings = Settings(
        arguments.data,
        host,
        port,
        arguments.link_address,
        arguments.udp,
        arguments.tls,
        arguments.database,
        Turn(turn_urls(arguments.turn), secret),
        arguments.secure_cookie,
        arguments.sms_modem,
        copy=arguments.copy,
        blobs=arguments.blobs,
        blobs_keys=arguments.blobs_keys,
        home=arguments.home,
        fhir_endpoint=arguments.fhir_endpoint,
        update_bps=max(arguments.update_kbps, 0) * 1000,
        fhir_token_file=arguments.fhir_token_file,
        fhir_consent=tuple(arguments.fhir_consent),
        nats=arguments.nats,
        gone_s=arguments.gone_seconds,
        metrics=arguments.metrics,
    )
    process.prepare()
    if not settings.data.is_dir():
        raise KeysRefused("No hub was made in this data folder. Look at --data; `hub init` makes a new hub.")
    with held(settings.data, shared=bool(settings.nats)):
        asyncio.run(_serve_until_told(Server(settings)))


async def _serve_until_told(server: Server) -> None:
    ready, stop = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    running = asyncio.create_task(serve(server, ready, stop))
    waiting = asyncio.create_task(ready.wait())
    await asyncio.wait({running, waiting}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if ready.is_set():
        _say(ready=True, http=server.url)
    await running


def _people(arguments: argparse.Namespace) -> None:
    _say(**_with_store(arguments, people_cli.COMMANDS[arguments.command](arguments, wall_ms())))


def _rights(arguments: argparse.Namespace) -> None:
    if arguments.command == "erasure" and arguments.person:
        reference = arguments.person
        arguments.person = _with_store(
            arguments, lambda connection, keys: erasures.find(connection, reference), reads=True
        )
    work = rights_cli.COMMANDS[arguments.command](arguments, wall_ms())
    _say(**_with_store(arguments, work, reads=arguments.command in rights_cli.READS))


def _site_token(arguments: argparse.Namespace) -> None:
    for field in ("code", "name", "district"):
        try:
            msgspec.convert(getattr(arguments, field), Name)
        except msgspec.ValidationError:
            raise BadInput("Between 1 and 80 printable characters are needed.", field=field) from None
    accounts.need_hours(arguments.hours)
    site = accounts.new_site(arguments.code, arguments.name, arguments.district, arguments.block, demo=arguments.demo)
    token = _with_store(
        arguments,
        lambda connection, keys: directory.add_token(connection, keys, site, wall_ms(), arguments.hours * 3600),
    )
    _say(token=token, site_code=site.site_code, hours=arguments.hours)


def _replace_token(arguments: argparse.Namespace) -> None:
    accounts.need_hours(arguments.hours)

    def act(connection: Connection, keys: Keyring) -> tuple[str, str]:
        known = accounts.site_of_node(connection, arguments.node)
        return directory.add_token(connection, keys, known, wall_ms(), arguments.hours * 3600), known.site_code

    token, code = _with_store(arguments, act)
    _say(token=token, site_code=code, replaces=arguments.node, hours=arguments.hours)


def _status(arguments: argparse.Namespace) -> None:
    def count(connection: Connection, keys: Keyring) -> dict[str, object]:
        tables = {"nodes": nodes, "entries": entries, "visits": visits, "quarantined": quarantine}
        found: dict[str, object] = {
            name: connection.execute(select(func.count()).select_from(table)).scalar() for name, table in tables.items()
        }
        waiting = select(func.count()).select_from(down).where(down.c.stored_ms == 0)
        found["down_waiting"] = connection.execute(waiting).scalar()
        found["audit_broken_at"] = audit.verify(connection)
        found["of_a_later_release"] = returns.unknown_kinds(connection)
        found["quarantine"] = returns.quarantined_by_reason(connection)
        found["notices"] = returns.load_notices(connection)
        found["exchange"] = outbox.counts(connection)
        found["hub_key"] = keys.sign_public.hex()
        found["node_ids"] = [row.node_id for row in connection.execute(select(nodes.c.node_id))]
        return found

    _say(**_with_store(arguments, count, reads=True))


def _rota(arguments: argparse.Namespace) -> None:
    wanted = None if arguments.plan is None else plan.parse(arguments.plan.read_bytes())

    def act(connection: Connection, keys: Keyring) -> plan.Plan:
        if wanted is not None:
            plan.put(connection, wanted, wall_ms())
        return plan.show(connection)

    _say(**msgspec.to_builtins(_with_store(arguments, act)))


def _affected(arguments: argparse.Namespace) -> None:
    _with_store(arguments, lambda connection, keys: breach_cli.asked(arguments, connection, wall_ms()))
    found = _with_store(arguments, lambda connection, keys: breach_cli.look(arguments, connection), reads=True)
    for one in found.people:
        _say(**msgspec.structs.asdict(one))
    counts = {name: getattr(found, name) for name in ("reads", "at_nodes", "unsaid", "unknown", "audit_broken_at")}
    _say(patients=len(found.people), **counts)


def _breach_report(arguments: argparse.Namespace) -> None:
    act = breach_cli.report(arguments)
    _with_store(arguments, lambda connection, keys: breach_cli.asked(arguments, connection, wall_ms()))
    texts = _with_store(arguments, lambda connection, keys: act(connection), reads=True)
    breach_cli.write(arguments.out, texts)
    _say(out=str(arguments.out), files=sorted(texts))


def _officer(arguments: argparse.Namespace) -> None:
    act = breach_cli.officer(arguments, wall_ms())
    _with_store(arguments, lambda connection, keys: act(connection))
    _say(role=arguments.role, name=arguments.name)


def _open_journal(arguments: argparse.Namespace) -> None:
    _say(**journal_cli.open_file(arguments, load_keys(arguments.data)))


def _revoke(arguments: argparse.Namespace) -> None:
    _with_store(arguments, lambda connection, keys: directory.revoke_node(connection, arguments.node, wall_ms()))
    _say(revoked=arguments.node)


def _stock_update(arguments: argparse.Namespace) -> None:
    update = courier_fleet.load_update(arguments.file, "")
    found = update_stock.put(
        Settings(arguments.data).updates_folder, update.file, update.release, update.release_signature
    )
    _say(update=found.name, version=found.version, sha256=found.sha256, size_bytes=found.size_bytes)


def _release_update(arguments: argparse.Namespace) -> None:
    found = courier_fleet.release_update(
        arguments.file, arguments.name, arguments.version, arguments.target, arguments.signing_key
    )
    _say(name=found.name, version=found.version, target=found.target, size_bytes=found.size_bytes, sha256=found.sha256)


def _remove_staff(arguments: argparse.Namespace) -> None:
    try:
        id_bytes(arguments.staff)
    except ValueError:
        raise BadInput("This is no id of a staff member.", field="staff") from None
    _with_store(
        arguments,
        lambda connection, keys: revocations.remove_staff(
            connection, arguments.node, arguments.staff, wall_ms(), back=arguments.back
        ),
    )
    _say(node=arguments.node, staff=arguments.staff, removed=not arguments.back)


def _export_again(arguments: argparse.Namespace) -> None:
    _say(documents=_with_store(arguments, lambda connection, keys: outbox.again(connection)))


def _rebuild(arguments: argparse.Namespace) -> None:
    _say(visits=_with_store(arguments, lambda connection, keys: views.rebuild(connection, wall_ms())))


def _rotate(arguments: argparse.Namespace) -> None:
    kept = rotate(arguments.data, wall_ms()).kem
    _with_store(arguments, lambda connection, keys: audit.record(connection, wall_ms(), "", "key_rotated"))
    _say(rotated=True, keys=len(kept), destroyed_after_days=KEEP_DAYS)


def _backup(arguments: argparse.Namespace) -> None:
    settings = Settings(arguments.data, database=arguments.database)
    made = backup.make_backup(settings, arguments.to, wall_ms(), with_keys=arguments.with_keys)
    blobs = [name for name in made.files if name.startswith(f"{backup.BLOBS_FOLDER}/")]
    _say(backup=str(arguments.to), files=sorted(set(made.files) - set(blobs)), blobs=len(blobs))


def _restore(arguments: argparse.Namespace) -> None:
    arguments.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    with held(arguments.data):
        _put_back(arguments)


def _put_back(arguments: argparse.Namespace) -> None:
    settings = Settings(arguments.data, database=arguments.database, copy=arguments.copy)
    if arguments.source is not None:
        done = backup.restore(settings, arguments.source, wall_ms(), replace=arguments.replace)
    elif arguments.copy is not None:
        done = backup.restore_copy(settings, arguments.copy, wall_ms(), replace=arguments.replace)
    else:
        raise BadInput("Say from where: --from a backup, --copy of the second copy, or both.", field="from")
    _say(restored=True, **msgspec.structs.asdict(done))


COMMANDS: dict[str, Callable[[argparse.Namespace], None]] = {
    "init": _init,
    "serve": _serve,
    **dict.fromkeys(people_cli.COMMANDS, _people),
    **dict.fromkeys(rights_cli.COMMANDS, _rights),
    "site-token": _site_token,
    "replace-token": _replace_token,
    "status": _status,
    "affected": _affected,
    "breach-report": _breach_report,
    "officer": _officer,
    "report": report_cli.run,
    "rota": _rota,
    "revoke": _revoke,
    "open-journal": _open_journal,
    "release-update": _release_update,
    "stock-update": _stock_update,
    "remove-staff": _remove_staff,
    "export-again": _export_again,
    "rebuild": _rebuild,
    "backup": _backup,
    "rotate-key": _rotate,
    "restore": _restore,
    "courier": lambda arguments: courier_cli.run(arguments, wall_ms),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; 0 when it was done, 1 when it was refused."""
    os.umask(0o077)
    start_logging()
    logging.getLogger("alembic").setLevel(logging.WARNING)
    arguments = _parser().parse_args(argv)
    try:
        COMMANDS[arguments.command](arguments)
    except UpkendraError as error:
        print(json.dumps({"code": error.refusal.code, "message": error.refusal.message}), file=sys.stderr)
        return 1
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        message = place + (error.strerror or "input or output failed")
        print(json.dumps({"code": "io", "message": message}), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
