"""``hub report``: the figures as CSV on stdout, and as a sheet to print.

A process of its own: a state's month is minutes of decoding.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec
from sqlalchemy import Connection

from edge.model.clock import iso_day
from edge.model.errors import BadInput
from edge.slips.figures import figures_page, render_figures

from . import directory, report
from .config import Settings
from .home import sites as home_sites
from .keys import load_keys
from .store.engine import Store


def add_parser(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("--from", dest="from_day", required=True, metavar="DAY", help="YYYY-MM-DD, Indian calendar")
    parser.add_argument("--to", dest="to_day", required=True, metavar="DAY", help="the last day")
    parser.add_argument("--by", default=report.By.ALL, choices=[by.value for by in report.By], help="a line for each")
    parser.add_argument("--monthly", action="store_true", help="months in place of days")
    parser.add_argument("--district", action="append", default=[], help="only visits of this district; may be repeated")
    parser.add_argument("--json", action="store_true", help="a JSON list in place of CSV")
    parser.add_argument("--pdf", type=Path, metavar="FILE", help="write the sheet to print, too")
    parser.add_argument("--demo", action="store_true", help="count made-up patients too")


def days(arguments: argparse.Namespace) -> tuple[int, int]:
    """First and last day that were asked for. Raises BadInput."""
    first, last = iso_day(arguments.from_day), iso_day(arguments.to_day)
    if first is None or last is None or first > last:
        raise BadInput("A day looks like 2026-11-26, and the first one comes first.", field="from")
    return first, last


def run(arguments: argparse.Namespace) -> None:
    """Print the sheet. Raises BadInput, KeysRefused, OSError."""
    first, last = days(arguments)
    settings = Settings(arguments.data, database=arguments.database)
    keys, store = load_keys(settings.data), Store(settings.database_url)

    def act(connection: Connection) -> list[report.Line]:
        nodes = directory.load_changed(connection, keys, {}).sites
        sites = {site.node_id: site for site in (*nodes, *home_sites.all_sites(connection))}
        found = report.read(
            connection, sites.__getitem__, first, last, demo=arguments.demo, districts=arguments.district
        )
        sizes = report.sizes(connection, first, last)
        return report.lines(found, report.By(arguments.by), monthly=arguments.monthly, sizes=sizes)

    try:
        sheet = store.read_now(act)
    finally:
        store.close()
    if arguments.pdf is not None:
        span = f"{arguments.from_day} – {arguments.to_day}"
        arguments.pdf.write_bytes(sheet_pdf(sheet, span, report.By(arguments.by), demo=arguments.demo))
    if arguments.json:
        sys.stdout.write(msgspec.json.encode(sheet).decode() + "\n")
    else:
        report.write_csv(sheet, sys.stdout)


def sheet_pdf(sheet: Sequence[report.Line], span: str, by: report.By, *, demo: bool) -> bytes:
    """The sheet to print."""
    rows = [msgspec.structs.asdict(line) for line in sheet]
    return render_figures(figures_page(rows, span, everywhere=by is report.By.ALL, demo=demo))
