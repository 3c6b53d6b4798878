"""What sync costs on bad links, with plain tools beside it on the same emulated link and the same seeds."""

import sys
from collections.abc import Sequence
from typing import Protocol

from tests.bench import sync_bulk, sync_call, sync_fair, sync_month, sync_photo, sync_restore, sync_urgent, sync_visits
from tests.bench.rows import Row

DEFINITIONS = """\
bytes: IP bytes that used the line, both ways, lost ones too, until one second after the last acknowledgement
seconds: from the first packet's call to the last durable acknowledgement at the sender; both sides fsync before it
50: fixed corpus tests/bench/data, whole visits of eleven entries, wording that no dictionary was trained on
cold: a fresh process with nothing but its keys; warm: the link was idle for three seconds; medians over seeds
real node: commands over HTTP as fast as they are answered, keep-alives and the doctor's queue included
urgent: from submit to durable at the hub (one clock), every 4 s while 5 MB of photos are under way
photo: 300 kB in chunks as a node seals them; windows of 8 s in every 60 s; sent twice: bytes beyond its own
fairness: IP bytes that arrived in 100 s, ours over those of one TCP flow under CUBIC; reach 0.3 to 3
call: hub, node, call process and both pages; sound made up by getStats over 60 s, 300 kB photos in the outbox or none
restore: from the call of enrol until the pages of all visits show patient, close and prescription"""


class Group(Protocol):
    """Some rows that are measured together."""

    def __call__(self, *, quick: bool) -> list[Row]: ...


GROUPS: dict[str, Group] = {
    "visits": sync_visits.run,
    "urgent": sync_urgent.run,
    "photo": sync_photo.run,
    "mixed": sync_bulk.run,
    "cost": sync_bulk.cost,
    "fairness": sync_fair.run,
    "call": sync_call.run,
    "month": sync_month.run,
    "restore": sync_restore.run,
}
QUICK = ("visits",)
"""What ``--quick`` measures unless ``--only`` says otherwise."""


def run(*, quick: bool = False, only: Sequence[str] = ()) -> list[Row]:
    """Measure the groups that were asked for; prints what the figures mean."""
    print(DEFINITIONS, file=sys.stderr)
    names = only or (QUICK if quick else tuple(GROUPS))
    return [row for name in names for row in GROUPS[name](quick=quick)]
