"""The technician's tool: cards, flash, verify, provision, label; for maintainers build, bundle, pack, os-list, ssh-key.

Results go to stdout as one JSON line each, progress and questions to stderr; exit code 1 means refused.
"""

import argparse
import contextlib
import json
import os
import pwd
import secrets
import sys
from collections.abc import Callable, Sequence
from getpass import getpass
from pathlib import Path

import msgspec

from edge.model import provisioning
from edge.model.errors import BadInput, UpkendraError
from edge.sync import enrol

from . import cards, fat, flash, keys, label, manifest, pack, receipt, rescue, source, ssh_key
from .appliance import equipment
from .builder import cli


def _keys_folder() -> Path:
    """The technician's own, also under sudo: key, receipts and update.pub are not root's."""
    if named := os.environ.get("XDG_CONFIG_HOME"):
        return Path(named) / "upkendra"
    home, own = Path.home(), os.environ.get("SUDO_USER", "")
    if os.geteuid() == 0 and own:
        with contextlib.suppress(KeyError):
            home = Path(pwd.getpwnam(own).pw_dir)
    return home / ".config" / "upkendra"


def _give_back(folder: Path) -> None:
    """What sudo made in the technician's folder belongs to the technician."""
    owner, group = os.environ.get("SUDO_UID", ""), os.environ.get("SUDO_GID", "")
    if os.geteuid() == 0 and owner.isdecimal() and group.isdecimal():
        for path in (folder, folder / "flash.key", folder / "receipts", *(folder / "receipts").glob("*.json")):
            if path.exists():
                os.chown(path, int(owner), int(group), follow_symlinks=False)


KEYS = _keys_folder()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="image", description="From a blank card to a node in service.")
    commands = parser.add_subparsers(dest="command", required=True)

    def add(name: str, text: str) -> argparse.ArgumentParser:
        return commands.add_parser(name, help=text, description=text)

    def release(command: argparse.ArgumentParser) -> None:
        command.add_argument("manifest", type=Path, help="NAME.manifest.json; the other files lie beside it")
        command.add_argument(
            "--key", type=Path, default=KEYS / "update.pub", metavar="FILE", help="public update key (64 hex digits)"
        )

    def equipment_option(command: argparse.ArgumentParser) -> None:
        text = "what is plugged into the box, a line each (camera v4l2:/dev/video0); put on the card"
        command.add_argument("--equipment", type=Path, metavar="FILE", help=text)

    add("cards", "List disks, and why each may or may not be written.")

    command = add("flash", "Write a release to a card, read it back, and put the provisioning file on it.")
    release(command)
    command.add_argument("--target", type=Path, required=True, metavar="DEVICE", help="the card, or a new file")
    command.add_argument("--provision", type=Path, metavar="FILE", help="made by `image provision`")
    equipment_option(command)

    command = add("verify", "Check a downloaded release; with --target, compare a card that never ran with it.")
    release(command)
    command.add_argument("--target", type=Path, metavar="DEVICE")
    command.add_argument("--whole", action="store_true", help="also the boot partition, before provisioning")

    command = add("provision", "Make a provisioning file; with --target, put it, or --equipment, on a flashed card.")
    command.add_argument("--file", type=Path, metavar="FILE", help="the provisioning file; made when it is not there")
    equipment_option(command)
    command.add_argument("--hub", default="", metavar="URL", help="the hub's address")
    command.add_argument("--token", default="", help="one-time site token, UPK1-…; asked for without it")
    command.add_argument("--ssid", default="", help="name of the clinic's Wi-Fi")
    command.add_argument("--apn", action="append", default=[], help="of the SIM card; once for each slot")
    command.add_argument("--language", choices=("hi", "en"), default="hi")
    command.add_argument("--time-zone", default=provisioning.TIME_ZONE, help="no other one is taken")
    command.add_argument("--target", type=Path, metavar="DEVICE")
    command.add_argument("--manifest", type=Path, help="of the release on the card; with --target")
    command.add_argument("--key", type=Path, default=KEYS / "update.pub", metavar="FILE")

    command = add("label", "Write the label of a node's box as PDF: Wi-Fi name, key and QR code.")
    command.add_argument("--provision", type=Path, required=True, metavar="FILE")
    command.add_argument("--place", required=True, help="the health sub-centre's name")
    command.add_argument("--version", default="", help="of the image")
    command.add_argument("--out", type=Path, required=True, metavar="PDF")

    command = add("receipt", "Check a flash receipt.")
    command.add_argument("file", type=Path)

    command = add("rescue", "Copy what can be read of a failing card's data into a new folder.")
    command.add_argument("card", type=Path, help="the card's device, or an image of it")
    command.add_argument("--out", type=Path, required=True, metavar="DIR")

    command = add("os-list", "Write the list that Raspberry Pi Imager reads.")
    release(command)
    command.add_argument("--url", required=True, help="where the packed image can be had")

    command = add("pack", "Make a release of a raw image: block map, zstd, manifest, signature.")
    command.add_argument("image", type=Path)
    command.add_argument("--board", choices=("rpi", "amd64"), required=True)
    command.add_argument("--version", required=True)
    command.add_argument("--made-on", required=True, metavar="YYYY-MM-DD")
    command.add_argument("--boot-offset", type=int, required=True, metavar="BYTES")
    command.add_argument("--boot-bytes", type=int, required=True, metavar="BYTES")
    command.add_argument("--signing-key", type=Path, required=True, metavar="FILE", help="raw Ed25519 key, 32 bytes")
    command.add_argument("--out", type=Path, required=True, metavar="DIR")

    command = add("keys", "Make the keys of releases; see the key ceremony in the administrator's runbook.")
    command.add_argument("--out", type=Path, required=True, metavar="DIR")
    ssh_key.add_options(add("ssh-key", "Sign a key file that opens SSH at a node while it is in, for one technician."))
    cli.add_parsers(commands)
    return parser


def _say(result: object) -> None:
    print(msgspec.json.encode(result).decode(), flush=True)


def _ask(question: str) -> str:
    print(question, end="" if sys.stdin.isatty() else "\n", file=sys.stderr, flush=True)
    return sys.stdin.readline()


def _cards() -> None:
    for block in cards.look():
        reasons = cards.refusals(block, 0) if block.size else ("It is empty: no card in the reader.",)
        _say({"path": block.path, "label": block.label, "may_be_written": not reasons, "why_not": reasons})


def _load(options: argparse.Namespace) -> source.Release:
    return source.load(options.manifest, manifest.parse_key(options.key.read_bytes()))


def _equipment(options: argparse.Namespace) -> bytes | None:
    """The file of what is plugged in, checked. Raises BadInput, OSError."""
    if options.equipment is None:
        return None
    content: bytes = options.equipment.read_bytes()
    equipment.check(content)
    return content


def _flash(options: argparse.Namespace) -> None:
    content = options.provision.read_bytes() if options.provision else None
    files = {provisioning.FILE_NAME: content, equipment.FILE_NAME: _equipment(options)}
    try:
        _say(flash.flash(_load(options), options.target, files, _ask, KEYS, flash.Meter()))
    finally:
        _give_back(KEYS)


def _verify(options: argparse.Namespace) -> None:
    release = _load(options)
    meter = flash.Meter()
    source.check(release, meter)
    if options.target is None:
        _say({"version": release.manifest.version, "board": release.manifest.board, "whole": True})
        return
    _say(flash.verify_card(release, options.target, meter, whole=options.whole))


def _provision(options: argparse.Namespace) -> None:
    files = {equipment.FILE_NAME: _equipment(options)}
    shown: dict[str, object] = {}
    if options.file is not None:
        if not options.file.exists():
            _make_provisioning(options)
        elif options.hub or options.ssid or options.token or options.apn:
            raise BadInput(
                f"{options.file} is there already and stays as it is. To make another one, name another file; "
                "to put this one on a card, leave out --hub, --ssid, --token and --apn.",
                field="file",
                code="provision_exists",
            )
        files[provisioning.FILE_NAME] = content = options.file.read_bytes()
        found = provisioning.parse(content)
        shown = {"file": str(options.file), "hub": found.hub, "ssid": found.wifi.ssid, "setup_code": found.setup_code}
    there = {name: content for name, content in files.items() if content is not None}
    if not there:
        raise BadInput("Name the file to make or to put on the card, with --file or --equipment.", field="file")
    if options.target is not None:
        if options.manifest is None:
            raise BadInput("Name the release that is on the card, with --manifest.", field="manifest")
        release = _load(options)
        path = flash.card_of(options.target, 0).path if options.target.is_block_device() else options.target
        for name, content in there.items():
            fat.put(path, release.manifest.boot_offset_bytes, content, name)
    _say({**shown, "on_card": sorted(there) if options.target is not None else []})


def _make_provisioning(options: argparse.Namespace) -> None:
    for name in ("hub", "ssid"):
        if not getattr(options, name):
            raise BadInput(f"{options.file} is not there; to make it, --hub and --ssid are needed.", field=name)
    provisioning.check_time_zone(options.time_zone)
    token = options.token or _secret("Site token (UPK1-…): ")
    enrol.parse_token(token)
    passphrase = _secret("Wi-Fi key, 8 to 63 characters (empty: one is made): ") or _new_passphrase()
    wanted = {
        "format": provisioning.FORMAT,
        "hub": options.hub,
        "token": "".join(token.split()).upper(),
        "setup_code": f"{secrets.randbelow(10**8):08d}",
        "wifi": {"ssid": options.ssid, "passphrase": passphrase},
        "apns": options.apn,
        "language": options.language,
        "time_zone": options.time_zone,
    }
    content = provisioning.encode(provisioning.parse(msgspec.json.encode(wanted)))
    fd = os.open(options.file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(content)


def _secret(question: str) -> str:
    if sys.stdin.isatty():
        return getpass(question)
    return sys.stdin.readline().strip()


def _new_passphrase() -> str:
    """Three groups of four letters and digits that nobody takes for another: 60 bits."""
    letters = "abcdefghijkmnpqrstuvwxyz23456789"
    return "-".join("".join(secrets.choice(letters) for _ in range(4)) for _ in range(3))


def _label(options: argparse.Namespace) -> None:
    found = provisioning.parse(options.provision.read_bytes())
    options.out.write_bytes(label.render(found, options.place, options.version))
    _say({"label": str(options.out)})


def _pack(options: argparse.Namespace) -> None:
    nothing = manifest.FileOf("x", 1, "0" * 64)
    about = {
        "format": manifest.FORMAT,
        "board": options.board,
        "version": options.version,
        "made_on": options.made_on,
        "image": manifest.FileOf("x", options.image.stat().st_size, "0" * 64),
        "packed": nothing,
        "bmap": nothing,
        "boot_offset_bytes": options.boot_offset,
        "boot_bytes": options.boot_bytes,
    }
    checked = msgspec.convert(about, manifest.Manifest, from_attributes=True)
    path = pack.pack(options.image, options.out, options.signing_key.read_bytes(), checked, flash.Meter())
    _say({"manifest": str(path)})


def _keys(options: argparse.Namespace) -> None:
    _say({"public": keys.make(options.out)})


COMMANDS: dict[str, Callable[[argparse.Namespace], None]] = {
    "cards": lambda _: _cards(),
    "flash": _flash,
    "verify": _verify,
    "provision": _provision,
    "label": _label,
    "receipt": lambda options: _say(receipt.read(options.file.read_bytes())),
    "rescue": lambda options: _say(rescue.rescue(options.card, options.out, flash.Meter())),
    "os-list": lambda options: _say(msgspec.Raw(manifest.os_list(_load(options).manifest, options.url))),
    "pack": _pack,
    "keys": _keys,
    "ssh-key": lambda options: _say(ssh_key.run(options)),
    "build": lambda options: _say(cli.build(options)),
    "bundle": lambda options: _say(cli.pack_up(options)),
}


def _what_to_do(error: OSError) -> str:
    """An error of the system in words for the technician."""
    said = (f"{error.filename}: " if error.filename else "") + (error.strerror or "input or output failed")
    match error:
        case FileNotFoundError() if error.filename and Path(error.filename).name == "update.pub":
            return f"{said}. Ask the administrator for the public update key; name it by --key, or keep it there."
        case FileNotFoundError():
            return f"{said}. Look at the name."
        case FileExistsError():
            return f"{said}. Nothing is written over: name another one."
        case PermissionError():
            return f"{said}. Run the same command with sudo before it."
    return said


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; the exit code."""
    os.umask(0o077)
    options = _parser().parse_args(arguments)
    try:
        COMMANDS[options.command](options)
    except UpkendraError as error:
        print(json.dumps({"error": msgspec.to_builtins(error.refusal)}, ensure_ascii=False), file=sys.stderr)
        return 1
    except msgspec.ValidationError as error:
        refusal = {"code": "bad_input", "message": str(error)}
        print(json.dumps({"error": refusal}, ensure_ascii=False), file=sys.stderr)
        return 1
    except OSError as error:
        refusal = {"code": "io", "message": _what_to_do(error)}
        print(json.dumps({"error": refusal}, ensure_ascii=False), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped. A card that was being written or read back is empty now; begin again.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
