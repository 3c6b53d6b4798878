"""``./run bench NAME [--json FILE]``: run one bench, print its rows, and fail when a goal is missed."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec

from tests.bench import hub, media, node, sync
from tests.bench.rows import Row

BENCHES: dict[str, Callable[[], list[Row]]] = {"hub": hub.run, "media": media.run, "node": node.run, "sync": sync.run}


def main() -> int:
    """Run it; 1 when a figure does not reach its goal."""
    parser = argparse.ArgumentParser(prog="./run bench")
    parser.add_argument("name", choices=sorted(BENCHES))
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the rows there")
    parser.add_argument(
        "--quick", action="store_true", help="sync only: fewer seeds and no slow peers, within a minute"
    )
    parser.add_argument(
        "--only", default="", metavar="GROUP,…", help=f"sync only: these groups of rows, of {', '.join(sync.GROUPS)}"
    )
    options = parser.parse_args()
    only = tuple(filter(None, options.only.split(",")))
    if unknown := set(only) - set(sync.GROUPS):
        parser.error(f"no such group: {', '.join(sorted(unknown))}")
    rows = sync.run(quick=options.quick, only=only) if options.name == "sync" else BENCHES[options.name]()
    for row in rows:
        goal = "" if row.reach is None else f"   goal {row.reach:g}: {'reached' if row.ok else 'MISSED'}"
        peer = "" if row.peer_value is None else f"   peer {row.peer_value:,.10g}"
        ratio = "" if row.ratio is None else f", ratio {row.ratio:g}"
        print(f"{row.name:<48} {row.value:>12,.10g} {row.unit}{peer}{ratio}{goal}")
    if options.json:
        options.json.write_bytes(msgspec.json.encode(rows) + b"\n")
    return 1 if any(row.ok is False for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
