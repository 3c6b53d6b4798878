"""``image ssh-key``: the signed file that opens SSH at a node for one technician, for some days."""

import argparse
import os
import secrets
import time
from pathlib import Path

import msgspec

from edge.model.clock import day_of, day_text
from edge.model.errors import BadInput
from edge.sync import seal

from .appliance import permit

DAY_MS = 86_400_000
KEY_BYTES = 32


def add_options(command: argparse.ArgumentParser) -> None:
    """What the command is told."""
    command.add_argument("--key", type=Path, required=True, metavar="FILE", help="technician's id_ed25519.pub")
    command.add_argument("--technician", required=True, metavar="NAME", help="for the audit log")
    command.add_argument("--node", default="", metavar="ID", help="16 hex digits; this machine only")
    command.add_argument("--site", default="", metavar="CODE", help="whatever machine stands there")
    command.add_argument("--days", type=int, default=3, help=f"it can be put in, 1 to {permit.DAYS_MAX} (default: 3)")
    command.add_argument("--hours", type=int, default=4, help=f"of one opening, 1 to {permit.HOURS_MAX} (default: 4)")
    command.add_argument("--signing-key", type=Path, required=True, metavar="FILE", help="update.key, 32 raw bytes")
    command.add_argument("--out", type=Path, required=True, metavar="DIR", help="the stick, or a folder")


def run(options: argparse.Namespace) -> dict[str, object]:
    """Make and sign it; what the command prints. Raises BadInput, PermitRefused, OSError."""
    private = options.signing_key.read_bytes()
    if len(private) != KEY_BYTES:
        raise BadInput("The update key is a file of 32 bytes.", field="signing_key", code="key_wrong")
    now_ms = time.time_ns() // 1_000_000
    wanted = {
        "format": permit.FORMAT,
        "permit_id": secrets.token_hex(8),
        "technician": options.technician,
        "key": permit.parse_key(options.key.read_text("utf-8", "replace")),
        "made_ms": now_ms,
        "until_ms": now_ms + options.days * DAY_MS,
        "hours": options.hours,
        "node": options.node.strip().lower(),
        "site": options.site.strip(),
    }
    try:
        made = msgspec.convert(wanted, permit.Permit)
    except msgspec.ValidationError as error:
        raise BadInput(f"No such key file: {error}.") from None
    content = permit.encode(made, private)
    permit.open_signed(content, seal.verifier_of(private))
    path = options.out / permit.WISH_FILE
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    return {"file": str(path), "permit": made.permit_id, "until": day_text(day_of(made.until_ms)), "hours": made.hours}
