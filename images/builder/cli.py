"""``image build`` and ``image bundle``."""

import argparse
import os
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from edge.model.errors import BadInput

from . import bundle, make, tree
from .recipe import recipe

ROOT = Path(__file__).resolve().parents[2]
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "upkendra-image"


def add_parsers(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add both to a program's commands."""
    text = "Build an image from Debian's packages and this checkout. Needs root and a Debian mirror in apt's sources."
    command = commands.add_parser("build", help=text, description=text)
    command.add_argument("--board", choices=("amd64", "rpi"), required=True)
    command.add_argument("--ci", action="store_true", help="for virtual machines: without media and firmware packages")
    command.add_argument("--version", required=True)
    command.add_argument("--made-on", default="", metavar="YYYY-MM-DD", help="time stamp of all files; default: today")
    command.add_argument("--keys", type=Path, required=True, metavar="DIR", help="made by `image keys`; public halves")
    command.add_argument("--out", type=Path, required=True, metavar="DIR")
    command.add_argument("--panel", type=Path, metavar="FILE", help="signed panel application; release.pub beside it")
    command.add_argument("--source", type=Path, default=ROOT, metavar="DIR", help="the checkout to build from")
    command.add_argument("--cache", type=Path, default=CACHE, metavar="DIR", help="downloads and bases are kept there")

    text = "Make a signed update of a build: whole, or with --base a delta from an earlier build."
    command = commands.add_parser("bundle", help=text, description=text)
    command.add_argument("build", type=Path, help="folder that `image build` wrote")
    command.add_argument("--base", type=Path, metavar="DIR", help="the build that nodes run now")
    command.add_argument("--keys", type=Path, required=True, metavar="DIR", help="with bundle.key.pem")
    command.add_argument("--out", type=Path, required=True, metavar="FILE")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def build(options: argparse.Namespace) -> make.Built:
    """``build``. Raises BuildFailed, BadInput, OSError."""
    day = options.made_on or datetime.now(UTC).date().isoformat()
    try:
        epoch_s = int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp())
    except ValueError:
        raise BadInput("A day is YYYY-MM-DD.", field="made_on") from None
    about = tree.About(
        options.version,
        options.source.resolve(),
        (options.keys / "update.pub").read_bytes(),
        (options.keys / "bundle.cert.pem").read_bytes(),
        options.panel,
    )
    reuse_s = make.CI_REUSE_S if options.ci else 0.0
    order = make.Order(
        recipe(options.board, ci=options.ci),
        about,
        epoch_s,
        options.out.resolve(),
        options.cache.resolve(),
        Path(sys.executable),
        reuse_s,
    )
    return make.build(order, _say)


def pack_up(options: argparse.Namespace) -> dict[str, object]:
    """``bundle``. Raises BuildFailed, OSError."""
    with tempfile.TemporaryDirectory(prefix="bundle-", dir=options.out.resolve().parent) as folder:
        if options.base is None:
            bundle.full(options.build, options.out, options.keys, Path(folder), _say)
        else:
            bundle.delta(options.base, options.build, options.out, options.keys, Path(folder), _say)
    return {"bundle": str(options.out), "size_bytes": options.out.stat().st_size}
