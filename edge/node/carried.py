"""How the entries of many visits were carried, at once: the register of a day asks for all of it.

One visit is asked for by :meth:`edge.node.views.Views.carried`, which looks for the bundle of each entry; for a day
that is each entry against each bundle behind it.
"""

from collections.abc import Iterator, Sequence

import msgspec

from edge.model.progress import Carried, ItemLine, item_lines

from .database import Database

_Entry = tuple[str, int, int, int, str]
"""Visit, kind, stamp, seq, log (run and stream)."""
_Bundle = tuple[int, int, int, int, str]
"""First seq, last seq, level, acknowledged at in ms, bundle in hex."""
_entries = msgspec.json.Decoder(list[_Entry])
_bundles = msgspec.json.Decoder(list[_Bundle])


def lines_behind(db: Database, visits: Sequence[str], sent: frozenset[bytes]) -> dict[str, list[ItemLine]]:
    """A line for each item of those visits of which the hub has not acknowledged everything.

    ``sent``: bundles that have left.
    """
    ids = msgspec.json.encode(visits).decode()
    found: dict[str, list[Carried]] = {}
    for visit_id, carried in _carried(db, ids, sent):
        found.setdefault(visit_id, []).append(carried)
    return {name: item_lines(ones, ()) for name, ones in found.items() if not all(one.level for one in ones)}


def _carried(db: Database, ids: str, sent: frozenset[bytes]) -> Iterator[tuple[str, Carried]]:
    """Each entry with its visit, in order. ``ids``: a list of visits in JSON."""
    # One row of JSON and not ten thousand: SQLite gives up Python's lock at each.
    sql = (
        "SELECT json_group_array(json_array(visit_id, kind, stamp, seq, log)) FROM "
        "(SELECT visit_id, kind, stamp, seq, hex(run) || stream AS log FROM entries "
        "WHERE visit_id IN (SELECT value FROM json_each(?)) ORDER BY stamp)"
    )
    row = db.row(sql, ids)
    entries = _entries.decode(row[0]) if row else []
    spans: dict[str, tuple[int, int]] = {}
    for _, _, _, seq, log in entries:
        low, high = spans.get(log, (seq, seq))
        spans[log] = (min(low, seq), max(high, seq))
    covers = {log: _covers(db, log, low, high) for log, (low, high) in spans.items()}
    for visit_id, kind, stamp, seq, log in entries:
        bundle = covers[log].get(seq)
        if bundle is None:
            yield visit_id, Carried(kind, stamp >> 16)
        else:
            _, _, level, level_ms, ref = bundle
            left = level == 0 and bytes.fromhex(ref) in sent
            yield visit_id, Carried(kind, stamp >> 16, True, left, level, level_ms)


def _covers(db: Database, log: str, low: int, high: int) -> dict[int, _Bundle]:
    """The bundle of each entry of a log from ``low`` to ``high``; where there are two, what the hub has."""
    sql = (
        "SELECT json_group_array(json_array(first_seq, last_seq, level, level_ms, hex(ref))) FROM bundles "
        "WHERE run = ? AND stream = ? AND last_seq >= ? AND first_seq <= ?"
    )
    row = db.row(sql, bytes.fromhex(log[:-1]), int(log[-1]), low, high)
    found: dict[int, _Bundle] = {}
    for bundle in _bundles.decode(row[0]) if row else []:
        for seq in range(max(bundle[0], low), min(bundle[1], high) + 1):
            if seq not in found or found[seq][2] < bundle[2]:
                found[seq] = bundle
    return found
