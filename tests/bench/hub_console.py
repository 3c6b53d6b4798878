"""From the key "next patient" to the record painted on the doctor's screen, with 100,000 visits in the hub's store.

The hub is a real process on SQLite, the page is in Chromium at 1366×768. Two hundred patients wait, whose visits came
over UDP from real endpoints. The rest are copies of one visit of each node, closed, with ids of their own, put into
the store while the hub is down: entries and views, five visits a patient, those who wait included. The time runs from
the key's own stamp to the moment after the first frame in which record and prescription form stood.
"""

import asyncio
import contextlib
import os
import secrets
import sqlite3
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import msgspec
from msgspec import Struct
from playwright.sync_api import Page, sync_playwright
from sqlalchemy import Connection, select

from edge.model import events as ev
from edge.model.clock import next_stamp
from edge.model.records import VisitState
from hub import views
from hub.config import Settings
from hub.store.engine import Store
from hub.store.schema import entries, visits
from tests.bench.hub_load import drained, hub_only, started, stopped
from tests.bench.rows import Row, at_most
from tests.e2e.pages import BROWSER_ARGS, CHROMIUM, fill, see, tap
from tests.hub.kit import new_id
from tests.kits.clinic import Clinic

VISITS, WAITING, NODES, VISITS_A_PATIENT = 100_000, 200, 10, 5
PRESSES, PAUSE_MS = 60, 700
REACH_MS = 300.0
WATCH = """
() => addEventListener("keydown", (event) => {
  if (event.code !== "KeyP") return;
  const shown = () => document.querySelector('[data-test="record"]')?.dataset.visit;
  const before = shown();
  window.painted = new Promise((resolve) => {
    const watch = new MutationObserver(() => {
      if (!shown() || shown() === before || !document.querySelector('[data-test="rx-form"]')) return;
      watch.disconnect();
      requestAnimationFrame(() => {
        const channel = new MessageChannel();
        channel.port1.onmessage = () => resolve(performance.now() - event.timeStamp);
        channel.port2.postMessage(0);
      });
    });
    watch.observe(document.body, { childList: true, subtree: true, attributes: true });
  });
}, true)
"""
"""What is posted within a frame's callback is heard after that frame was painted."""
REPLY = """
() => {
  const path = `/api/visits/${document.querySelector('[data-test="record"]').dataset.visit}`;
  const ours = performance.getEntriesByType("resource").find((one) => new URL(one.name).pathname === path);
  performance.clearResourceTimings();
  return ours?.duration ?? -1;
}
"""
Cells = tuple[object, ...]


class Template(Struct, frozen=True):
    """A closed visit of a node and its rows, to be copied."""

    node_id: str
    visit_id: str
    patient_id: str
    of_visit: list[Cells]
    of_patient: list[Cells]
    visit: Cells
    patient: Cells


async def _arrive(clinic: Clinic) -> None:
    """Over the link: those who wait, and one of each node to be copied."""
    nodes = await started(clinic, NODES)
    for _ in range(WAITING // NODES):
        for node in nodes:
            node.say()
    await drained(nodes, 120)
    await stopped(nodes)


def _close_one_each(store: Store) -> list[tuple[str, str, str]]:
    """One visit of each node is closed by its nurse; node, visit and patient."""

    def close(connection: Connection) -> list[tuple[str, str, str]]:
        closed = []
        for node_id in connection.execute(select(visits.c.node_id).distinct()).scalars().all():
            ids = select(visits.c.visit_id, visits.c.patient_id).where(visits.c.node_id == node_id).limit(1)
            visit_id, patient_id = connection.execute(ids).one()
            newest = select(entries).where(entries.c.visit_id == visit_id).order_by(entries.c.id.desc()).limit(1)
            row = dict(connection.execute(newest).mappings().one())
            del row["id"]
            stamp = next_stamp(row["stamp"], 0)
            event = ev.VisitClosed(visit_id, VisitState.COMPLETED)
            raw = msgspec.msgpack.encode(ev.entry_of(event, stamp, "anm1"))
            row |= {"run": b"closings", "raw": raw, "kind": ev.KIND_OF[ev.VisitClosed], "stamp": stamp}
            connection.execute(entries.insert().values(row))
            views.refold(connection, (visit_id,), (), row["received_ms"])
            closed.append((node_id, visit_id, patient_id))
        return closed

    return store.write_now(close)


def _fill(data: Path) -> int:
    """Copy until there are as many visits as wanted; how many there are."""
    store = Store(Settings(data).database_url)
    closed = _close_one_each(store)
    path = store.engine.url.database
    store.close()
    assert path is not None
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
        count = "SELECT count(*) FROM visits"
        lacking = VISITS - db.execute(count).fetchone()[0]
        for node_id, visit_id, patient_id in closed:
            one = Template(
                node_id,
                visit_id,
                patient_id,
                db.execute("SELECT * FROM entries WHERE visit_id = ?", (visit_id,)).fetchall(),
                db.execute("SELECT * FROM entries WHERE patient_id = ?", (patient_id,)).fetchall(),
                db.execute("SELECT * FROM visits WHERE visit_id = ?", (visit_id,)).fetchone(),
                db.execute("SELECT * FROM patients WHERE patient_id = ?", (patient_id,)).fetchone(),
            )
            db.execute("BEGIN")
            _copy(db, one, lacking // len(closed))
            db.execute("COMMIT")
        return int(db.execute(count).fetchone()[0])


def _copy(db: sqlite3.Connection, one: Template, count: int) -> None:
    """So many copies within the transaction: earlier visits of those who wait at the node, then of other patients."""
    known = [row[0] for row in db.execute("SELECT patient_id FROM visits WHERE node_id = ? AND open", (one.node_id,))]
    run, seq = secrets.token_bytes(8), 0
    columns = [row[1] for row in db.execute("PRAGMA table_info(entries)")]
    at_id, at_run, at_seq = (columns.index(name) for name in ("id", "run", "seq"))
    said: list[Cells] = []
    seen: list[Cells] = []
    people: list[Cells] = []
    for number in range(count):
        if number % VISITS_A_PATIENT == 0:
            is_new = not known
            patient_id = new_id() if is_new else known.pop()
        told = one.of_visit
        renamed = {one.visit_id: new_id(), one.patient_id: patient_id}
        if is_new and number % VISITS_A_PATIENT == 0:
            people.append(_renamed(one.patient, renamed))
            told = one.of_patient + told
        seen.append(_renamed(one.visit, renamed))
        for row in told:
            seq += 1
            cells = list(_renamed(row, renamed))
            cells[at_id], cells[at_run], cells[at_seq] = None, run, seq
            said.append(tuple(cells))
    for table, rows in (("entries", said), ("visits", seen), ("patients", people)):
        places = ",".join("?" * len(rows[0]))
        db.executemany(f"INSERT INTO {table} VALUES ({places})", rows)  # noqa: S608 - names from the line above


def _renamed(row: Sequence[object], renamed: dict[str, str]) -> Cells:
    """A row with other ids; packed ones too, for all are of the same length."""

    def cell(value: object) -> object:
        if isinstance(value, bytes):
            for old, new in renamed.items():
                value = value.replace(old.encode(), new.encode())
            return value
        return renamed.get(value, value) if isinstance(value, str) else value

    return tuple(cell(value) for value in row)


def _press(page: Page, clinic: Clinic) -> list[tuple[float, float]]:
    """Log in and go from patient to patient by the key; of each the wait and the hub's reply in it, ms."""
    page.goto(clinic.hub.url)
    fill(page, "login-user", clinic.doctor.user)
    fill(page, "login-password", clinic.doctor.password)
    fill(page, "login-totp", clinic.doctor.code())
    tap(page, "login-submit")
    see(page, "queue-row", 30_000)
    page.evaluate(WATCH)
    taken: list[tuple[float, float]] = []
    for _ in range(PRESSES):
        page.wait_for_timeout(PAUSE_MS)
        page.keyboard.press("Alt+p")
        wait = float(page.evaluate("() => window.painted"))
        taken.append((wait, float(page.evaluate(REPLY))))
    return taken


def run() -> list[Row]:
    """One hub, one doctor."""
    print(__doc__, file=sys.stderr)
    with tempfile.TemporaryDirectory() as name, hub_only(Path(name)) as clinic:
        asyncio.run(_arrive(clinic))
        clinic.hub.stop()
        held = _fill(clinic.hub_data)
        clinic.hub.start()
        before = os.getloadavg()[0]
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(BROWSER_ARGS))
            page = browser.new_page(viewport={"width": 1366, "height": 768})
            taken = sorted(_press(page, clinic))
            browser.close()
        print(f"load {before:.1f} before, {os.getloadavg()[0]:.1f} after; slowest: {taken[-6:]}", file=sys.stderr)
    waits, replies = ([one[part] for one in taken] for part in (0, 1))
    what = "next patient to record painted"
    return [
        Row("visits in the store", held, ""),
        Row("patients gone through", len(waits), ""),
        Row(f"{what}, median", round(statistics.median(waits)), "ms"),
        at_most(f"{what}, 95th percentile", round(waits[int(len(waits) * 0.95)]), "ms", REACH_MS),
        Row(f"{what}, slowest", round(waits[-1]), "ms"),
        Row("the hub's reply in it, median", round(statistics.median(replies)), "ms"),
    ]
