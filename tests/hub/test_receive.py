"""What nodes send: once, in any order, bad contents apart, and acknowledged only when it is durable."""

import asyncio
import hashlib
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
from pathlib import Path

import msgspec
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, func, select, update
from sqlalchemy.event import listen

from edge.model import events as ev
from edge.model.records import VisitState
from edge.sync import enrol
from edge.sync.bundle import BundlePayload
from edge.sync.link import BundleQuarantined
from edge.sync.log import Stream
from edge.sync.seal import Grade
from hub import directory, views
from hub.quarantine import content_of
from hub.store.schema import entries, heads, metadata, quarantine

from .kit import HubKit, about_visits, new_id, registered, visit_events


async def count(kit: HubKit, table: object = entries) -> int:
    query = select(func.count()).select_from(table)  # type: ignore[arg-type]
    return int(await kit.hub.store.read(lambda connection: connection.execute(query).scalar() or 0))


async def test_the_migrations_make_exactly_the_tables_of_the_schema(kit: HubKit) -> None:
    def compare(connection):  # type: ignore[no-untyped-def]
        return compare_metadata(MigrationContext.configure(connection), metadata)

    assert await kit.hub.store.read(compare) == []


async def test_the_same_entries_in_another_bundle_are_stored_once(kit: HubKit) -> None:
    node = await kit.enrol()
    patient_id, visit_id = new_id(), new_id()
    payload = node.entries([registered(patient_id), *visit_events(visit_id, patient_id)])
    first = await node.send_payload(payload)
    second = await node.send_payload(payload)
    assert first != second
    assert await count(kit) == len(payload.entries)
    assert await count(kit, quarantine) == 0


async def test_a_full_disk_is_named_once_nothing_is_acknowledged_and_it_all_comes_when_there_is_room(
    kit: HubKit, caplog: pytest.LogCaptureFixture
) -> None:
    node = await kit.enrol()
    if kit.hub.store.engine.dialect.name != "sqlite":
        pytest.skip("a PostgreSQL cannot be told to be full")

    pages = 1  # a database that is larger stays as large as it is

    def limit(connection: sqlite3.Connection, *_: object) -> None:
        connection.execute(f"PRAGMA max_page_count = {pages}")

    listen(kit.hub.store.engine, "checkout", limit)
    refs = [node.endpoint.seal_bundle(node.entries([ev.DoctorNote(new_id(), "d", os.urandom(900).hex())] * 20))]
    refs.append(node.endpoint.seal_bundle(node.entries([ev.DoctorNote(new_id(), "d", os.urandom(900).hex())] * 20)))
    before = await count(kit)
    for ref in refs:
        node.endpoint.submit_bundle(ref, 1, kit.clock.monotonic_s())
    await node.until(lambda: any(one.message == "storage_full" for one in caplog.records))
    for _ in range(300):
        await node.step()
    assert await count(kit) == before
    assert not {ref.bundle_id for ref in refs} & set(node.acked)
    assert [one.message for one in caplog.records if one.levelname == "ERROR"] == ["storage_full"]
    pages = 1 << 30
    kit.clock.pass_s(70)
    await node.until(lambda: {ref.bundle_id for ref in refs} <= set(node.acked))
    assert await count(kit) == before + 40


async def test_bundles_in_the_wrong_order_give_the_same_visit_and_a_verified_head(kit: HubKit) -> None:
    node = await kit.enrol()
    patient_id, visit_id = new_id(), new_id()
    whole = [registered(patient_id), *visit_events(visit_id, patient_id)]
    parts = [node.entries(whole[:2]), node.entries(whole[2:6]), node.entries(whole[6:])]
    for payload in (parts[2], parts[0], parts[1]):
        await node.send_payload(payload)
    owned = await kit.hub.store.read(lambda connection: views.load_visit(connection, visit_id))
    assert owned is not None
    assert (owned.visit.state, owned.visit.token) == (VisitState.WAITING, "UP01-001")
    states = await kit.hub.store.read(
        lambda connection: [row.state for row in connection.execute(select(heads.c.state))]
    )
    assert states == ["good", "good", "good"]


async def test_a_head_that_comes_after_its_entries_is_verified_also_when_others_stand_before_it(kit: HubKit) -> None:
    node = await kit.enrol()
    first, second = node.entries([registered(new_id())]), node.entries([registered(new_id())])
    for payload in (first, second):
        await node.send_payload(msgspec.structs.replace(payload, head=None))
    await node.send_payload(second)
    await node.send_payload(first)
    states = await kit.hub.store.read(lambda connection: connection.execute(select(heads.c.seq, heads.c.state)).all())
    assert sorted(tuple(row) for row in states) == [(1, "good"), (2, "good")]


async def test_a_head_that_does_not_fit_the_entries_is_marked(kit: HubKit) -> None:
    node = await kit.enrol()
    payload = node.entries([registered(new_id())])
    other = msgspec.msgpack.encode(ev.entry_of(registered(new_id(), "Gita"), 5, "anm1"))
    await node.send_payload(msgspec.structs.replace(payload, entries=(other,)))
    states = await kit.hub.store.read(
        lambda connection: [row.state for row in connection.execute(select(heads.c.state))]
    )
    assert states == ["bad"]


async def test_a_head_that_a_former_machine_signed_is_no_false_alarm(kit: HubKit) -> None:
    """It waited for an entry that only the machine which took the place has brought."""
    old = await kit.enrol()
    first, second = old.entries([registered(new_id())]), old.entries([registered(new_id())])
    await old.send_payload(second)
    new = await kit.enrol(replaces=old.node_id)
    await new.send_payload(msgspec.structs.replace(first, head=None))
    await new.send([registered(new_id())])
    forged = new.entries([registered(new_id())])
    assert forged.head is not None
    stranger = new.log.sign_head(bytes(range(32)), Grade.LOG)
    await new.send_payload(msgspec.structs.replace(forged, head=stranger))
    rows = await kit.hub.store.read(
        lambda connection: [(row.run, row.seq, row.state) for row in connection.execute(select(heads))]
    )
    assert sorted(rows) == sorted([(old.run, 2, "good"), (new.run, 1, "good"), (new.run, 2, "bad")])


async def test_what_lies_aside_is_sealed_once_also_what_an_older_release_put_there_in_plain(
    tmp_path: Path, database: str
) -> None:
    kit = await asyncio.to_thread(HubKit, tmp_path / "hub", database)
    await kit.start()
    node = await kit.enrol()
    marker = b"\xc1 planted marker of a patient"
    for _ in range(2):
        await node.send_payload(BundlePayload(1, node.run, Stream.CLINICAL, 2, (marker,)))
    older = b"\xc1 what an older release kept"
    plain = {
        "node_id": node.node_id,
        "content_hash": hashlib.sha256(bytes.fromhex(node.node_id) + b"fork" + older).digest(),
        "content": older,
        "reason": "fork",
        "received_ms": 1,
    }
    await kit.hub.store.write(lambda connection: connection.execute(quarantine.insert().values(plain)))
    kit = await kit.restart()

    def look(connection: Connection) -> list[tuple[bytes, bytes]]:
        found = []
        for row in connection.execute(select(quarantine).order_by(quarantine.c.id)).all():
            opened = content_of(connection, kit.hub.keys, row.id)
            assert opened is not None
            found.append((bytes(row.content), opened[2]))
        return found

    rows = await kit.hub.store.read(look)
    assert [opened for _, opened in rows] == [marker, older]
    assert not any(content in raw for raw, content in rows)
    names = await kit.hub.store.read(lambda c: list(c.execute(select(quarantine.c.content_hash)).scalars()))
    assert hashlib.sha256(bytes.fromhex(node.node_id) + b"entry_malformed" + marker).digest() not in names
    await kit.stop()


async def test_a_damaged_row_aside_does_not_keep_the_hub_from_its_start(tmp_path: Path, database: str) -> None:
    kit = await asyncio.to_thread(HubKit, tmp_path / "hub", database)
    await kit.start()
    node = await kit.enrol()
    poison = BundleQuarantined(node.keys.node_id, b"", Grade.LOG, "format_unknown", b"sealed", b"\x7fpacked")
    await kit.hub.link.receive(poison)
    await kit.hub.store.write(lambda c: c.execute(update(quarantine).values(content=bytes(60))))
    kit = await kit.restart()
    assert await count(kit, quarantine) == 1
    await kit.stop()


async def test_an_unreadable_entry_and_a_fork_lie_in_quarantine_and_the_rest_goes_on(kit: HubKit) -> None:
    node = await kit.enrol()
    good = node.entries([registered(new_id())])
    await node.send_payload(good)
    fork = msgspec.msgpack.encode(ev.entry_of(registered(new_id(), "Gita"), 5, "anm1"))
    await node.send_payload(msgspec.structs.replace(good, entries=(fork,), head=None))
    await node.send_payload(BundlePayload(1, node.run, Stream.CLINICAL, 2, (b"\xc1 no entry",)))
    reasons = await kit.hub.store.read(
        lambda connection: {row.reason for row in connection.execute(select(quarantine.c.reason))}
    )
    assert reasons == {"fork", "entry_malformed"}
    await node.send([registered(new_id(), "Mira")])


async def test_kinds_of_a_later_release_are_kept(kit: HubKit) -> None:
    node = await kit.enrol()
    raw = msgspec.msgpack.encode(ev.Entry(60, 3, 1 << 20, "anm1", b"\x91\x01"))
    await node.send_payload(BundlePayload(1, node.run, Stream.CLINICAL, 1, (raw,)))
    kept = await kit.hub.store.read(lambda connection: connection.execute(select(entries.c.raw)).scalar())
    assert kept == raw


async def test_a_node_cannot_speak_in_the_hubs_log_nor_sign_prescriptions(kit: HubKit) -> None:
    node = await kit.enrol()
    patient_id, visit_id = new_id(), new_id()
    await node.send([registered(patient_id), *visit_events(visit_id, patient_id)])
    forged = ev.PrescriptionSigned(visit_id, new_id(), b"forged")
    raw = msgspec.msgpack.encode(ev.entry_of(forged, 1 << 60, "asha"))
    await node.send_payload(BundlePayload(1, node.run, Stream.HUB, 1, (raw,)))
    assert list(node.acked.values())[-1] is True
    await node.send([forged])
    owned = await kit.hub.store.read(lambda connection: views.load_visit(connection, visit_id))
    assert owned is not None
    assert owned.visit.prescriptions == ()


async def test_a_node_cannot_change_a_visit_of_another_node(kit: HubKit) -> None:
    first, second = await kit.enrol("UP01"), await kit.enrol("UP02")
    patient_id, visit_id = new_id(), new_id()
    await first.send([registered(patient_id), *visit_events(visit_id, patient_id)])
    await second.send([ev.VisitClosed(visit_id, VisitState.CANCELLED)])
    owned = await kit.hub.store.read(lambda connection: views.load_visit(connection, visit_id))
    assert owned is not None
    assert (owned.visit.state, owned.node_id) == (VisitState.WAITING, first.node_id)


async def test_views_rebuilt_from_the_entries_are_the_same(kit: HubKit) -> None:
    node = await kit.enrol()
    patient_id, visit_id = new_id(), new_id()
    await node.send([registered(patient_id), *visit_events(visit_id, patient_id)])
    before = await kit.hub.store.read(lambda connection: views.load_visit(connection, visit_id))
    assert await kit.hub.store.write(lambda connection: views.rebuild(connection, kit.clock.ms)) == 1
    assert await kit.hub.store.read(lambda connection: views.load_visit(connection, visit_id)) == before


async def test_many_jobs_share_a_commit_and_one_bad_job_spoils_only_itself(kit: HubKit) -> None:
    store = kit.hub.store
    before = store.commits

    def bad(connection: object) -> None:
        raise ValueError("this one")

    jobs = [store.write_later(lambda connection: connection.execute(select(1)).scalar()) for _ in range(100)]
    broken = store.write_later(bad)
    results = await asyncio.gather(*(asyncio.wrap_future(job) for job in jobs))
    with pytest.raises(ValueError, match="this one"):
        await asyncio.wrap_future(broken)
    assert results == [1] * 100
    assert store.commits - before < 60


async def test_what_the_node_does_not_hold_is_sent_again_after_a_restart(kit: HubKit) -> None:
    await kit.add_doctor()
    node = await kit.enrol()
    patient_id, visit_id = new_id(), new_id()
    await node.send([registered(patient_id), *visit_events(visit_id, patient_id)])
    node.stores_downs = False
    page = await kit.login()
    await page.get(f"/api/visits/{visit_id}")
    await node.until(lambda: len(about_visits(node.said_by_hub())) == 1)
    lost = min(node.downs)
    assert lost >= 1_500_000_000_000, "a number that no earlier state of the database has given, whatever was restored"
    failed = list(node.downs)
    node.downs.clear()
    again = await kit.restart()
    try:
        node.kit, node.stores_downs = again, True
        for seq in failed:
            node.endpoint.down_failed(seq)
        await node.until(lambda: len(about_visits(node.said_by_hub())) == 1, 6000)
        assert isinstance(about_visits(node.said_by_hub())[0], ev.VisitSeen)
    finally:
        await again.stop()


async def test_a_token_enrols_once_but_a_repeated_request_gets_the_same_reply(kit: HubKit) -> None:
    text = await kit.site_token()
    token = enrol.parse_token(text)
    keys = enrol.check_announcement(kit.hub.keys.announcement, token)
    bodies = [enrol.make_request(token, keys, enrol.EnrolSecrets(*([bytes([n]) * 32] * 4))) for n in (1, 2)]
    first = await kit.hub.enrol(bodies[0])
    assert await kit.hub.enrol(bodies[0]) == first
    with pytest.raises(enrol.EnrolRefused) as used:
        await kit.hub.enrol(bodies[1])
    assert used.value.refusal.code == "token_used"


async def test_an_expired_and_an_unknown_token_are_refused_each_with_its_code(kit: HubKit) -> None:
    text = await kit.site_token(life_s=60)
    token = enrol.parse_token(text)
    keys = enrol.check_announcement(kit.hub.keys.announcement, token)
    drawn = enrol.EnrolSecrets(*([b"k" * 32] * 4))
    unknown = enrol.SiteToken(bytes(16), token.root_hash)
    kit.clock.pass_s(61)
    for one, code in ((token, "token_expired"), (unknown, "token_unknown")):
        with pytest.raises(enrol.EnrolRefused) as refused:
            await kit.hub.enrol(enrol.make_request(one, keys, drawn))
        assert refused.value.refusal.code == code


async def test_a_revoked_node_is_not_heard(kit: HubKit) -> None:
    node = await kit.enrol()
    await node.send([registered(new_id())])
    await kit.hub.store.write(lambda connection: directory.revoke_node(connection, node.node_id, kit.clock.ms))
    await kit.hub.reload_nodes()
    ref = node.endpoint.seal_bundle(node.entries([registered(new_id())]))
    node.endpoint.submit_bundle(ref, 1, kit.clock.monotonic_s())
    for _ in range(300):
        await node.step()
    assert ref.bundle_id not in node.acked
    assert await count(kit) == 1


KILLED = textwrap.dedent(
    """
    import sys
    from pathlib import Path
    import msgspec
    from edge.model import events as ev
    from edge.sync.bundle import BundlePayload
    from edge.sync.link import BundleArrived
    from edge.sync.seal import Grade
    from hub import directory
    from hub.config import Settings
    from hub.keys import load_keys
    from hub.receive import receive_bundle
    from hub.store.engine import Store
    from tests.hub.kit import registered

    data, database, node_hex, n = Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])
    keys = load_keys(data)
    store = Store(Settings(data, database=database).database_url)
    node_id = bytes.fromhex(node_hex)
    record = store.read_now(lambda c: directory.load_record(c, keys, node_hex))
    for seq in range(1, n + 1):
        raw = msgspec.msgpack.encode(ev.entry_of(registered(f"{seq:016d}"), seq << 16, "anm1"))
        payload = BundlePayload(1, bytes(8), 2, seq, (raw,))
        arrived = BundleArrived(node_id, seq.to_bytes(11, "big"), Grade.LOG, payload, b"")
        store.write_now(lambda c: receive_bundle(c, arrived, record, keys, 1))
        print(seq, flush=True)
    """
)


@pytest.mark.parametrize("point", ["hub-entry-stored", "hub-views-folded", "hub-before-commit", "hub-after-commit"])
async def test_killed_at_any_point_the_hub_holds_what_it_acknowledged_and_nothing_twice(
    tmp_path: Path, database: str, point: str
) -> None:
    kit = await asyncio.to_thread(HubKit, tmp_path / "hub", database)
    node = await kit.enrol()
    await kit.hub.stop()
    data = str(tmp_path / "hub")

    def run(kill_at: str) -> tuple[int, str]:
        environment = {**os.environ, "UPKENDRA_KILL_AT": kill_at, "PYTHONPATH": str(Path.cwd())}
        done = subprocess.run(
            [sys.executable, "-c", KILLED, data, database, node.node_id, "6"],
            env=environment,
            capture_output=True,
            text=True,
        )
        return done.returncode, done.stdout

    returned, told = await asyncio.to_thread(run, f"{point}:4")
    assert returned == -signal.SIGKILL
    acknowledged = len(told.split())
    again = await asyncio.to_thread(HubKit, tmp_path / "hub", database, fresh=False)
    assert await count(again) >= acknowledged
    await again.hub.stop()
    returned, told = await asyncio.to_thread(run, "")
    assert (returned, len(told.split())) == (0, 6)
    last = await asyncio.to_thread(HubKit, tmp_path / "hub", database, fresh=False)
    assert await count(last) == 6
    await last.hub.stop()
