"""Erasing by law: two people, floors, nothing left in any file, every log verifies, and nothing comes back."""

import asyncio
import secrets
import threading
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import Connection, delete, func, inspect, select, text

from edge.model import events as ev
from edge.model.errors import UpkendraError
from edge.model.records import Complaint, VisitState
from edge.sync import holdings
from edge.sync.bundle import BundlePayload, unpack
from edge.sync.erased import name_of
from edge.sync.link import BundleArrived
from edge.sync.log import Stream
from edge.sync.seal import Grade, SignedDown, open_down
from hub import audit, backup, chains, erased, erasures, glass, retention, views
from hub.hub import Hub
from hub.permits import Role
from hub.quarantine import put_aside
from hub.receive import receive_bundle
from hub.retention import FLOOR_DAYS, Class
from hub.store.dialect import insert_many_new
from hub.store.engine import Store
from hub.store.schema import entries, node_stock, patients, visits
from hub.store.schema_home import home_accounts, home_people, home_sessions
from hub.store.schema_office import glass as broken_glass
from hub.store.schema_rights import erased as erased_names
from tests.kits import media as made

from .home_kit import Telephone
from .kit import PASSWORD, START_MS, HubKit, NodeKit, Page, new_id, registered, visit_events
from .test_blobs import Case, settled
from .test_permits import person

MARKER = "zqx-planted"
YEARS_S = 4 * 366 * 86_400


class Person:
    """A patient with one visit that was closed, full of markers."""

    def __init__(self, node: NodeKit, name: str = MARKER) -> None:
        self.node, self.name = node, name
        self.case = Case(node, made.jpeg_of(20_000))
        self.patient_id, self.visit_id = self.case.patient_id, self.case.visit_id

    async def come(self) -> "Person":
        kit = self.node.kit
        self.case.opening[0] = registered(self.patient_id, f"{self.name} name")
        complaint = ev.ComplaintsRecorded(self.visit_id, (Complaint("fever", "", 2),), f"{self.name} complaint")
        await self.node.send([*self.case.opening, complaint])
        await self.case.announce()
        await self.case.send(range(self.case.count))
        page = await kit.login()
        path = f"/api/visits/{self.visit_id}"
        assert (await page.call("POST", f"{path}/take")).status == 200
        assert (await page.call("PUT", f"{path}/notes", {"text": f"{self.name} note"})).status == 200
        draft = {"draft": {"diagnosis": f"{self.name} draft"}, "command_id": new_id()}
        assert (await page.call("PUT", f"{path}/draft", draft)).status == 200
        assert (await page.call("POST", f"{path}/put-back")).status == 200
        closing: list[ev.Event] = [
            ev.StockCounted("F001", 100),
            ev.Dispensed(self.visit_id, new_id(), "F001", 9),
            ev.EndingTold(self.visit_id, "better", f"{self.name} ending"),
            ev.VisitClosed(self.visit_id, VisitState.COMPLETED),
        ]
        await self.node.send(closing)
        await settled(kit)
        return self


async def fixed(kit: HubKit) -> None:
    """The State has fixed the shortest times."""

    def act(connection: Connection) -> None:
        for name in Class:
            retention.put(connection, name, FLOOR_DAYS[name], "asha", kit.clock.ms)

    await kit.hub.store.write(act)


async def two(kit: HubKit) -> tuple[Page, Page]:
    return await person(kit, Role.ADMINISTRATOR), await person(kit, Role.MEDICAL_OFFICER)


async def ask(page: Page, reference: str) -> str:
    body = {"password": PASSWORD, "reference": reference, "reason": "she asked by letter of 3 May"}
    reply = await page.call("POST", "/api/erasures", body)
    assert reply.status == 200, await reply.text()
    return str((await reply.json())["items"][0]["erasure_id"])


async def agree(page: Page, erasure_id: str) -> None:
    body = {"password": PASSWORD, "agree": True}
    reply = await page.call("POST", f"/api/erasures/{erasure_id}", body)
    assert reply.status == 200, await reply.text()


async def erase(kit: HubKit, reference: str) -> dict[str, object]:
    """By two people; the request as it stands when all of it was done."""
    first, second = await two(kit)
    erasure_id = await ask(first, reference)
    await agree(second, erasure_id)
    await kit.hub.erasures.step()
    items = (await first.get("/api/rights"))["items"]
    assert isinstance(items, list)
    return dict(next(one for one in items if one["erasure_id"] == erasure_id))


def with_marker(folder: Path) -> list[str]:
    """Files below a folder that hold a marker."""
    return [str(path) for path in folder.rglob("*") if path.is_file() and MARKER.encode() in path.read_bytes()]


async def rows_with_marker(kit: HubKit) -> list[str]:
    """Tables in which a row holds a marker, as text or in the hexadecimal digits of its bytes."""

    def look(connection: Connection) -> list[str]:
        found = []
        for name in inspect(connection).get_table_names():
            rows = connection.execute(text(f'SELECT * FROM "{name}"')).all()  # noqa: S608
            held = [bytes(one) for row in rows for one in row if isinstance(one, bytes | memoryview)]
            if any(MARKER.encode() in one for one in held) or MARKER in repr([tuple(row) for row in rows]):
                found.append(name)
        return found

    return await kit.hub.store.read(look)


async def verified(kit: HubKit) -> chains.Verified:
    found = await kit.hub.store.read(chains.verify)
    assert found.broken == ()
    return found


async def snapshot(kit: HubKit) -> object:
    """All that is derived from the entries."""

    def look(connection: Connection) -> object:
        return [
            sorted(tuple(map(repr, row)) for row in connection.execute(select(table)))
            for table in (visits, patients, node_stock)
        ]

    return await kit.hub.store.read(look)


async def test_of_what_two_people_erase_no_file_keeps_a_byte_and_every_log_verifies(kit: HubKit) -> None:
    await kit.add_doctor()
    node = await kit.enrol()
    gone = await Person(node).come()
    stays = await Person(node, "somebody else").come()
    twisted = BundlePayload(1, node.run, Stream.CLINICAL, 1, (msgspec.msgpack.encode([3, MARKER, gone.visit_id]),))
    await kit.hub.store.write(
        lambda connection: put_aside(
            connection, kit.hub.keys, node.keys.node_id, twisted.entries[0], "fork", kit.clock.ms
        )
    )
    before = await verified(kit)
    sqlite = kit.hub.store.engine.dialect.name == "sqlite"
    assert not sqlite or with_marker(kit.settings.data)
    assert await rows_with_marker(kit)
    files = [path for path in kit.settings.blobs_folder.rglob("*") if path.is_file()]
    assert len(files) == 2
    await fixed(kit)
    kit.clock.pass_s(YEARS_S)
    done = await erase(kit, gone.visit_id)
    assert (done["state"], done["visits"], done["blobs"], done["patient_id"]) == ("done", 1, 1, "")
    assert done["scrubbed_ms"]
    assert with_marker(kit.settings.data) == []
    assert await rows_with_marker(kit) == []
    after = await verified(kit)
    assert (after.logs, after.erased) == (before.logs, done["entries"])
    assert after.entries > before.entries and after.heads >= before.heads  # what told the node of it
    assert len([path for path in kit.settings.blobs_folder.rglob("*") if path.is_file()]) == 1
    there = await snapshot(kit)
    now_ms = kit.clock.ms
    await kit.hub.store.write(lambda connection: views.rebuild(connection, now_ms))
    assert await snapshot(kit) == there
    page = await kit.login()
    assert (await page.call("GET", f"/api/visits/{gone.visit_id}")).status == 404
    opened = await page.get(f"/api/visits/{stays.visit_id}")
    assert "somebody else name" in str(opened)
    assert await kit.hub.store.read(audit.verify) == 0


async def test_nobody_erases_alone_and_nothing_goes_before_its_time(kit: HubKit) -> None:
    await kit.add_doctor()
    node = await kit.enrol()
    gone = await Person(node).come()
    first, second = await two(kit)

    async def why() -> set[str]:
        reply = await first.call("POST", "/api/erasures/plan", {"reference": gone.patient_id})
        return {item["why"] for item in (await reply.json())["items"]}

    body = {"password": PASSWORD, "reference": gone.patient_id, "reason": "she asked by letter"}
    assert await why() == {"kept"}, "no time is fixed: all of it stays"
    refused = await first.call("POST", "/api/erasures", body)
    assert (refused.status, (await refused.json())["code"]) == (409, "nothing_to_erase")
    too_short = {"password": PASSWORD, "keep_days": 365}
    assert (await first.call("PUT", "/api/retention/clinical", too_short)).status == 400
    assert (await second.call("PUT", "/api/retention/clinical", {**too_short, "keep_days": 1096})).status == 403
    for name in Class:
        keep = {"password": PASSWORD, "keep_days": FLOOR_DAYS[name]}
        reply = await first.call("PUT", f"/api/retention/{name}", keep)
        assert reply.status == 200, await reply.text()
    assert await why() == {"time"}
    kit.clock.pass_s(2 * 366 * 86_400)
    first = await kit.login("administrator")
    assert await why() == {"time", "visits"}, "who she is stays as long as a visit of hers does"
    kit.clock.pass_s(YEARS_S)
    first, second = await kit.login("administrator"), await kit.login("medical_officer")
    erasure_id = await ask(first, "UP-01-000001")
    alone = await first.call("POST", f"/api/erasures/{erasure_id}", {"password": PASSWORD, "agree": True})
    assert (alone.status, (await alone.json())["code"]) == (409, "own_request")
    twice = await second.call("POST", "/api/erasures", body)
    assert (twice.status, (await twice.json())["code"]) == (409, "erasure_asked")
    wrong = await second.call("POST", f"/api/erasures/{erasure_id}", {"password": "not her password", "agree": True})
    assert wrong.status == 401 or wrong.status == 403
    await kit.hub.erasures.step()
    assert await kit.hub.store.read(lambda c: views.load_visit(c, gone.visit_id)) is not None
    await agree(second, erasure_id)
    await kit.hub.erasures.step()
    assert await kit.hub.store.read(lambda c: views.load_visit(c, gone.visit_id)) is None


async def test_what_was_on_its_way_finds_its_place_and_leaves_nothing(kit: HubKit) -> None:
    await kit.add_doctor()
    node = await kit.enrol()
    gone = await Person(node).come()
    await fixed(kit)
    kit.clock.pass_s(YEARS_S)
    first = [registered(gone.patient_id, f"{MARKER} amended")]
    late = node.entries([*first, ev.EndingTold(gone.visit_id, "better", f"{MARKER} late"), ev.StockCounted("F002", 1)])
    await erase(kit, gone.patient_id)
    await node.send_payload(late)
    await node.send_payload(late)
    assert await rows_with_marker(kit) == []
    found = await verified(kit)
    last = await kit.hub.store.read(
        lambda c: c.execute(select(func.max(entries.c.seq)).where(entries.c.run == node.run)).scalar()
    )
    assert last == late.first_seq + 2
    assert found.entries >= last, "the log goes on behind them"
    assert {type(one) for one in node.said_by_hub()} >= {ev.RecordsErased}
    told = next(one for one in node.said_by_hub() if isinstance(one, ev.RecordsErased))
    assert name_of(gone.visit_id) in told.names and name_of(gone.patient_id) in told.names
    assert await kit.hub.store.read(lambda c: any(erased.among(c, kit.hub.keys, [gone.visit_id]).salts.values()))
    await node.send([ev.ErasureDone(told.names)])
    assert not await kit.hub.store.read(lambda c: any(erased.among(c, kit.hub.keys, [gone.visit_id]).salts.values()))
    page = await kit.login("administrator")
    items = (await page.get("/api/rights"))["items"]
    assert isinstance(items, list) and items[0]["node_ms"] > START_MS
    await case_again(kit, gone)


async def test_what_waits_behind_a_hole_when_it_is_erased_is_reached_when_the_hole_is_filled(kit: HubKit) -> None:
    await kit.add_doctor()
    node = await kit.enrol()
    gone = await Person(node).come()
    hole = node.entries([ev.EndingTold(gone.visit_id, "better", f"{MARKER} in the hole")])
    await node.send([ev.EndingTold(gone.visit_id, "died", f"{MARKER} behind it")])
    await fixed(kit)
    kit.clock.pass_s(YEARS_S)
    await erase(kit, gone.patient_id)
    await node.send_payload(hole)
    assert await rows_with_marker(kit) == []
    assert (await verified(kit)).entries >= hole.first_seq + 1

    def behind(connection: Connection) -> int:
        reached = select(func.count()).where(entries.c.run == node.run, entries.c.h.is_(None))
        return int(connection.execute(reached).scalar() or 0)

    assert await kit.hub.store.read(behind) == 0


async def test_a_number_that_two_people_have_finds_neither_and_a_visit_finds_hers(kit: HubKit) -> None:
    node = await kit.enrol()
    people = [new_id() for _ in range(3)]
    numbers = ("UP-01-000007", "UP-01-000007", "UP-01-000008")
    for patient_id, number in zip(people, numbers, strict=True):
        await node.send([msgspec.structs.replace(registered(patient_id), local_id=number)])

    def finder(number: str) -> Callable[[Connection], str]:
        return lambda connection: erasures.find(connection, number)

    assert await kit.hub.store.read(finder(" UP-01-000008 ")) == people[2]
    for number, code in (("UP-01-000007", "several_people"), ("UP-01-00000", "not_found")):
        with pytest.raises(UpkendraError) as met:
            await kit.hub.store.read(finder(number))
        assert met.value.refusal.code == code


async def test_who_comes_again_after_an_erasure_has_her_name_and_can_be_erased_again(kit: HubKit) -> None:
    await kit.add_doctor()
    node = await kit.enrol()
    gone = await Person(node).come()
    await fixed(kit)
    kit.clock.pass_s(YEARS_S)
    await erase(kit, gone.patient_id)
    again = new_id()
    await node.send(visit_events(again, gone.patient_id))
    await node.send([registered(gone.patient_id, "Sita, here again")])
    page = await kit.login()
    assert "Sita, here again" in str(await page.get(f"/api/visits/{again}"))
    names = await kit.hub.store.read(erased.listed)

    def of_an_older_copy(connection: Connection) -> int:
        connection.execute(delete(erased_names))
        return erasures.again(connection, kit.hub.keys, names, kit.clock.ms)

    assert await kit.hub.store.write(of_an_older_copy) == 0
    assert await kit.hub.store.read(lambda c: views.load_patient(c, gone.patient_id)) is not None
    await node.send([ev.VisitClosed(again, VisitState.COMPLETED)])
    kit.clock.pass_s(YEARS_S)
    assert (await erase_again(kit, again))["state"] == "done"
    assert await kit.hub.store.read(lambda c: views.load_patient(c, gone.patient_id)) is None
    await verified(kit)


async def erase_again(kit: HubKit, reference: str) -> dict[str, object]:
    first, second = await kit.login("administrator"), await kit.login("medical_officer")
    await agree(second, await ask(first, reference))
    await kit.hub.erasures.step()
    items = (await first.get("/api/rights"))["items"]
    assert isinstance(items, list)
    return dict(items[0])


async def test_what_another_process_takes_in_while_its_person_is_erased_leaves_nothing(
    kit: HubKit, monkeypatch: pytest.MonkeyPatch
) -> None:
    await kit.add_doctor()
    node = await kit.enrol()
    gone = await Person(node).come()
    await fixed(kit)
    kit.clock.pass_s(YEARS_S)
    first, second = await two(kit)
    await agree(second, await ask(first, gone.patient_id))
    late = node.entries([ev.EndingTold(gone.visit_id, "better", f"{MARKER} late")])
    record = kit.hub.directory.by_id(node.keys.node_id)
    assert record is not None
    arrived = BundleArrived(node.keys.node_id, bytes(16), Grade.LOG, late, b"")

    asked, go_on = threading.Event(), threading.Event()

    def later(*given: object) -> object:
        asked.set()  # whether it was erased
        go_on.wait(10)
        return insert_many_new(*given)  # type: ignore[arg-type]

    monkeypatch.setattr("hub.receive.insert_many_new", later)

    def elsewhere() -> None:
        engine = kit.hub.store.engine
        with engine.connect().execution_options(writing=True) as connection, connection.begin():
            receive_bundle(connection, arrived, record, kit.hub.keys, START_MS)  # no time counts from it anew

    other = asyncio.create_task(asyncio.to_thread(elsewhere))
    await asyncio.to_thread(asked.wait, 10)
    step = asyncio.create_task(kit.hub.erasures.step())
    await asyncio.wait({step}, timeout=1.0)
    go_on.set()
    await asyncio.gather(other, step)
    assert await rows_with_marker(kit) == []
    await verified(kit)


async def case_again(kit: HubKit, gone: Person) -> None:
    """Pieces of its photo that come once more are taken and thrown away."""
    await gone.case.send([0, 1])
    kept = await kit.hub.store.read(lambda c: erased.among(c, kit.hub.keys, [gone.case.manifest.blob_id]).salts.keys())
    assert kept == {gone.case.manifest.blob_id}
    assert list(kit.settings.blobs_folder.rglob("*.*")) == []


async def test_an_older_backup_brings_nothing_back(tmp_path: Path) -> None:
    kit = await (await asyncio.to_thread(HubKit, tmp_path / "hub")).start()
    await kit.add_doctor()
    node = await kit.enrol()
    gone = await Person(node).come()
    saved = tmp_path / "saved"
    await asyncio.to_thread(backup.make_backup, kit.settings, saved, kit.clock.ms, with_keys=True)
    assert with_marker(saved)
    await fixed(kit)
    kit.clock.pass_s(YEARS_S)
    await erase(kit, gone.patient_id)
    await kit.stop()
    await asyncio.to_thread(backup.restore, kit.settings, saved, kit.clock.ms, replace=True)
    for old in kit.settings.data.glob("hub.db.before-*"):
        old.unlink()
    again = await (await asyncio.to_thread(HubKit, kit.settings.data, fresh=False, clock=kit.clock)).start()
    await again.hub.erasures.step()
    assert with_marker(kit.settings.data) == []
    assert await rows_with_marker(again) == []
    assert (await verified(again)).erased > 0
    await again.stop()


async def test_neither_a_number_nor_a_reason_comes_back_with_an_older_backup(tmp_path: Path) -> None:
    kit = await (await asyncio.to_thread(HubKit, tmp_path / "hub", messages=StringIO())).start()
    await kit.add_doctor()
    gone = await Person(await kit.enrol()).come()
    begun_ms, why = kit.clock.ms, "nobody else answers"
    await kit.hub.store.write(lambda c: glass.break_glass(c, "asha", gone.visit_id, why, begun_ms) and None)
    at_home = await (await Telephone(kit).login()).register()

    def kept(connection: Connection) -> list[int]:
        tables = (broken_glass, home_accounts, home_people, home_sessions)
        return [connection.execute(select(func.count()).select_from(one)).scalar() or 0 for one in tables]

    assert await kit.hub.store.read(kept) == [1, 1, 1, 1]
    saved = tmp_path / "saved"
    await asyncio.to_thread(backup.make_backup, kit.settings, saved, kit.clock.ms, with_keys=True)
    await fixed(kit)
    kit.clock.pass_s(YEARS_S)
    await erase(kit, gone.patient_id)
    await erase_again(kit, at_home)
    assert await kit.hub.store.read(kept) == [0, 0, 0, 0]
    await kit.stop()
    done = await asyncio.to_thread(backup.restore, kit.settings, saved, kit.clock.ms, replace=True)
    assert done.erased_again == 5, "a visit, its reason, two people, a number"
    store = await asyncio.to_thread(Store, kit.settings.database_url)
    assert await asyncio.to_thread(store.read_now, kept) == [0, 0, 0, 0]
    await asyncio.to_thread(store.close)


async def test_a_hub_that_lost_its_list_too_is_told_by_the_node_what_it_said_itself(tmp_path: Path) -> None:
    kit = await (await asyncio.to_thread(HubKit, tmp_path / "hub")).start()
    await kit.add_doctor()
    node = await kit.enrol()
    gone = await Person(node).come()
    saved = tmp_path / "saved"
    await asyncio.to_thread(backup.make_backup, kit.settings, saved, kit.clock.ms, with_keys=True)
    await fixed(kit)
    kit.clock.pass_s(YEARS_S)
    await erase(kit, gone.patient_id)
    await node.until(lambda: any(isinstance(one, ev.RecordsErased) for one in node.said_by_hub()))
    await kit.stop()
    (kit.settings.data / erased.LIST_FILE).unlink()
    await asyncio.to_thread(backup.restore, kit.settings, saved, kit.clock.ms, replace=True)
    again = await (await asyncio.to_thread(HubKit, kit.settings.data, fresh=False, clock=kit.clock)).start()
    assert "entries" in await rows_with_marker(again)
    node.kit = again
    opened = [
        open_down(blob, node.keys.node_id, node.drawn.records, node.keys.hub_sign) for blob in node.downs.values()
    ]
    said = [one for one in opened if unpack(one.payload).stream == Stream.HUB]
    raws = tuple(msgspec.msgpack.encode(SignedDown(one.seq, one.payload, one.signature)) for one in said)
    await node.send_payload(BundlePayload(2, secrets.token_bytes(8), Stream.RETURNED, 1, raws))
    assert await rows_with_marker(again) == []
    await again.hub.erasures.step()
    for old in kit.settings.data.glob("hub.db.before-*"):
        old.unlink()
    assert with_marker(kit.settings.data) == []
    await again.stop()


async def test_a_node_that_lost_everything_is_sent_no_empty_entry(kit: HubKit) -> None:
    await kit.add_doctor()
    node = await kit.enrol()
    gone = await Person(node).come()
    await fixed(kit)
    kit.clock.pass_s(YEARS_S)
    stays = await Person(node, "somebody else").come()
    await erase(kit, gone.visit_id)
    known = set(node.downs)
    nothing = holdings.Holdings(True, holdings.digest_of({}), ())
    await node.state(nothing)
    await node.until(lambda: any(stays.visit_id == ev.visit_of(one) for one in back(node, known)))
    assert back(node, known)
    assert gone.visit_id not in {ev.visit_of(one) for one in back(node, known)}


def back(node: NodeKit, known: set[int]) -> list[ev.Event | ev.Unknown]:
    found: list[ev.Event | ev.Unknown] = []
    for seq in sorted(set(node.downs) - known):
        down = open_down(node.downs[seq], node.keys.node_id, node.drawn.records, node.keys.hub_sign)
        found += [ev.event_of(msgspec.msgpack.decode(raw, type=ev.Entry)) for raw in unpack(down.payload).entries]
    return found


async def test_the_second_copy_begins_anew_and_the_old_one_is_deleted(tmp_path: Path) -> None:
    first = await asyncio.to_thread(HubKit, tmp_path / "hub")
    await first.hub.stop()
    settings = msgspec.structs.replace(first.settings, copy=tmp_path / "copy")
    kit = HubKit.__new__(HubKit)
    kit.__dict__.update(first.__dict__)
    kit.settings = settings
    kit.hub = await asyncio.to_thread(Hub, settings, kit.clock.wall_ms, kit.clock.monotonic_s)
    await kit.start()
    await kit.add_doctor()
    node = await kit.enrol()
    gone = await Person(node).come()
    assert kit.hub.copier is not None
    assert await kit.hub.copier.reached(kit.hub.store.lsn, 10.0)
    assert with_marker(tmp_path / "copy")
    saved = tmp_path / "saved"
    await asyncio.to_thread(backup.make_backup, settings, saved, kit.clock.ms, with_keys=False)
    await fixed(kit)
    kit.clock.pass_s(YEARS_S)
    await erase(kit, gone.patient_id)
    await node.send([ev.StockCounted("F003", 3)])
    assert await kit.hub.copier.reached(kit.hub.store.lsn, 10.0)
    assert with_marker(tmp_path / "hub") == with_marker(tmp_path / "copy") == []
    assert len(list((tmp_path / "copy").glob("base-*.db"))) == 1
    await kit.stop()
    done = await asyncio.to_thread(backup.restore_copy, settings, tmp_path / "copy", kit.clock.ms, replace=True)
    assert done.entries > 0
    there = settings.data / "hub.db"
    before = there.read_bytes()
    with pytest.raises(UpkendraError) as met:  # of a history that is over since
        await asyncio.to_thread(backup.restore, settings, saved, kit.clock.ms, replace=True)
    assert met.value.refusal.code == "copy_other"
    assert there.read_bytes() == before, "nothing was changed"
    assert not list(settings.data.glob("*.restoring*"))
