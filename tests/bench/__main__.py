"""``./run bench NAME [--json FILE]``: run one bench, print its rows, and fail when a goal is missed."""

import argparse
import sys
from pathlib import Path

import msgspec

from tests.bench import hub, media, node, sync
from tests.bench.media_rows import PEERS

GROUPS: dict[str, tuple[str, ...]] = {
    "hub": tuple(hub.GROUPS),
    "node": tuple(node.GROUPS),
    "sync": tuple(sync.GROUPS),
    "media": media.GROUPS,
}


def main() -> int:
    """Run it; 1 when a figure does not reach its goal."""
    parser = argparse.ArgumentParser(prog="./run bench")
    parser.add_argument("name", choices=sorted(GROUPS))
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the rows there")
    parser.add_argument(
        "--quick",
        action="store_true",
        help="sync: fewer seeds and no slow peers, within a minute; media: one short call",
    )
    parser.add_argument("--only", default="", metavar="GROUP,…", help=f"only these groups of rows: {_groups()}")
    parser.add_argument("--seeds", type=int, metavar="N", help="media only: calls a row and peer (3)")
    parser.add_argument("--seconds", type=float, metavar="S", help="media only: length of a call (60)")
    parser.add_argument("--peers", metavar="PEER,…", help=f"media only: of {', '.join(PEERS)}")
    parser.add_argument("--camera", choices=("file", "tablet"), help="media only: who shows the film to our node")
    parser.add_argument("--plots", type=Path, metavar="FOLDER", help="media only: draw each row's last call there")
    options = parser.parse_args()
    only = tuple(filter(None, options.only.split(",")))
    if unknown := set(only) - set(GROUPS.get(options.name, ())):
        parser.error(f"no such group: {', '.join(sorted(unknown))}")
    calls: object = None
    if options.name == "media":
        rows, calls = media.run(_media(parser, options, only))
    elif options.name == "hub":
        rows = hub.run(only=only)
    elif options.name == "node":
        rows = node.run(only=only)
    else:
        rows = sync.run(quick=options.quick, only=only)
    for row in rows:
        goal = "" if row.reach is None else f"   goal {row.reach:g}: {'reached' if row.ok else 'MISSED'}"
        peer = "" if row.peer_value is None else f"   peer {row.peer_value:,.10g}"
        ratio = "" if row.ratio is None else f", ratio {row.ratio:g}"
        print(f"{row.name:<48} {row.value:>12,.10g} {row.unit}{peer}{ratio}{goal}")
    if options.json:
        written = rows if calls is None else {"rows": rows, "calls": calls}
        options.json.write_bytes(msgspec.json.encode(written) + b"\n")
    return 1 if any(row.ok is False for row in rows) else 0


def _groups() -> str:
    return "; ".join(f"{name}: {', '.join(groups)}" for name, groups in GROUPS.items())


def _media(parser: argparse.ArgumentParser, given: argparse.Namespace, only: tuple[str, ...]) -> media.Options:
    """The media bench's options; what is given goes before what ``--quick`` means."""
    options = media.quick() if given.quick else media.Options()
    peers = tuple(filter(None, (given.peers or "").split(",")))
    if unknown := set(peers) - set(PEERS):
        parser.error(f"no such peer: {', '.join(sorted(unknown))}")
    changes = {
        "only": only, "peers": peers, "seeds": tuple(range(1, (given.seeds or 0) + 1)), "seconds": given.seconds,
        "camera": given.camera, "plots": given.plots,
    }  # fmt: skip
    return msgspec.structs.replace(options, **{name: value for name, value in changes.items() if value})


if __name__ == "__main__":
    sys.exit(main())
