"""What a stick may and may not make a node believe, with the node running and its store locked or open."""

import asyncio
import contextlib
import hashlib
import os
import secrets
import sys
from pathlib import Path

import msgspec
import pytest

from edge.node import media as node_media
from edge.node.config import load_config
from edge.node.courier import NodeDesk, desk_of
from edge.node.database import Database
from edge.node.live import StickPush
from edge.node.outbox import OutboxDb
from edge.node.stick_line import StickLine
from edge.sync import courier, seal
from edge.sync.bearers.usb_stick import Waiting
from edge.sync.link import BundleRef
from tests.node.kit import Provisioned, Served, provisioned, settled
from tests.node.test_media import attach


@pytest.fixture
async def setup(tmp_path: Path) -> Provisioned:
    return await provisioned(tmp_path / "data")


def receipt(setup: Provisioned, items: tuple[Waiting, ...], level: int, digest: bytes = b"") -> bytes:
    rows = [courier.Row(one.bundle_id, digest or one.digest, level) for one in items]
    return courier.receipt_file(setup.hub.sign, setup.config.node_id, 1, rows)


async def recorded(served: Served, desk: NodeDesk) -> tuple[Waiting, ...]:
    await served.tablet.login(served.setup)
    await served.tablet.register()
    await settled()
    return await desk.waiting()


async def test_a_running_node_is_asked_through_its_socket_and_forgets_what_is_receipted(setup: Provisioned) -> None:
    async with Served(setup) as served, desk_of(setup.folder) as (desk, config, running):
        assert running
        assert config == await asyncio.to_thread(load_config, setup.folder)
        items = await recorded(served, desk)
        assert items
        file = courier.parse(await desk.file(items[0].bundle_id))
        assert isinstance(file, courier.UpFile)
        assert (file.bundle_id, file.digest) == (items[0].bundle_id, items[0].digest)
        learned = await desk.learn(receipt(setup, items, 1))
        assert learned.acknowledged == len(items)
        assert (await desk.learn(receipt(setup, items, 1))).acknowledged == 0
        assert await desk.file(items[0].bundle_id) == b""
        counts = (await served.node.reporter.report()).sticks
        assert (counts.copied, counts.receipts, counts.acknowledged, counts.downs) == (1, 2, len(items), 0)
        assert counts.copied_bytes > len(file.sealed)
        assert not {one.bundle_id for one in await desk.waiting()} & {one.bundle_id for one in items}
    assert not (setup.folder / "courier.sock").exists()


async def test_a_photo_lies_behind_the_next_patients_record_on_a_stick(
    setup: Provisioned, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node_media, "HOLD_S", 0.0)
    async with Served(setup) as served, desk_of(setup.folder) as (desk, _, _):
        await served.tablet.login(setup)
        _, visit = await served.tablet.register()
        await attach(served.tablet, visit)
        first = [one.bundle_id for one in await desk.waiting()]
        await served.tablet.register()
        now = [one.bundle_id for one in await desk.waiting()]
        fresh = [ref for ref in now if ref not in first]
        classes = {ref: cls for cls, ref, _ in await served.node.clinic.store.read(lambda views: views.media.waiting())}
        photo = [ref for ref in now if classes.get(ref) == 3]
        assert len(photo) > 3
        assert fresh
        assert now[-len(photo) :] == photo == [ref for ref in first if ref in photo], "in their order, behind all else"


async def test_bundles_whose_hub_key_is_gone_are_sealed_anew_under_other_ids(setup: Provisioned) -> None:
    async with Served(setup) as served, desk_of(setup.folder) as (desk, _, _):
        items = await recorded(served, desk)
        assert (await desk.learn(receipt(setup, items, courier.RESEAL_LEVEL))).reseal == len(items)
        again = await desk.waiting()
        assert again
        assert not {one.bundle_id for one in again} & {one.bundle_id for one in items}


async def test_a_receipt_for_other_bytes_or_of_another_signer_acknowledges_nothing(setup: Provisioned) -> None:
    async with Served(setup) as served, desk_of(setup.folder) as (desk, _, _):
        items = await recorded(served, desk)
        assert (await desk.learn(receipt(setup, items, 1, digest=bytes(16)))).acknowledged == 0
        rows = [courier.Row(one.bundle_id, one.digest, 1) for one in items]
        for signer, node_id in ((bytes(32), setup.config.node_id), (setup.hub.sign, bytes(8))):
            with pytest.raises(courier.CourierRefused):
                await desk.learn(courier.receipt_file(signer, node_id, 1, rows))
        with pytest.raises(courier.CourierRefused):
            await desk.learn(b"junk")
        assert {one.bundle_id for one in items} <= {one.bundle_id for one in await desk.waiting()}


async def test_a_locked_node_stores_signed_downlink_and_junk_cannot_take_its_number(setup: Provisioned) -> None:
    blob = seal.seal_down(setup.record, 3, b"payload", setup.hub.sign)
    public = seal.verifier_of(setup.config.device)
    for serving in (True, False):
        async with Served(setup) if serving else contextlib.nullcontext(), desk_of(setup.folder) as (desk, _, running):
            assert running == serving
            if serving:
                assert await desk.stored() == b""
                with pytest.raises(courier.CourierRefused):
                    await desk.take_down(courier.down_file(bytes(32), setup.config.node_id, 3, b"\x05junk"))
                assert await desk.take_down(courier.down_file(setup.hub.sign, setup.config.node_id, 3, blob))
            assert not await desk.take_down(courier.down_file(setup.hub.sign, setup.config.node_id, 3, blob))
            told = courier.parse(await desk.stored())
            assert isinstance(told, courier.StoredFile)
            courier.check_stored(told, public)
            assert told.ranges == ((3, 3),)


async def test_questions_that_are_no_questions_are_refused_and_the_node_goes_on(setup: Provisioned) -> None:
    async with Served(setup) as served, desk_of(setup.folder) as (desk, _, _):
        reader, writer = await asyncio.open_unix_connection(str(setup.folder / "courier.sock"))
        body = hashlib.sha256(b"?").digest()
        writer.write(len(body).to_bytes(4, "big") + body)
        size = int.from_bytes(await reader.readexactly(4), "big")
        assert b"bad_input" in await reader.readexactly(size)
        writer.write(b"\xff\xff\xff\xff")
        assert await reader.read() == b""
        writer.close()
        assert await desk.waiting() == ()
        assert served.node.clinic.locked


async def test_a_long_receipt_costs_few_transactions_and_a_tablet_gets_in_between(
    setup: Provisioned, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = [bytes((seal.TYPE_BUNDLE,)) + secrets.token_bytes(499) for _ in range(250)]
    refs = [BundleRef(b"opening", sealed, seal.bundle_id(sealed)) for sealed in made]
    items = tuple(Waiting(ref.bundle_id, courier.digest_of(ref.sealed), len(ref.sealed)) for ref in refs)
    begun = 0
    real = Database.transaction

    def counted(database: Database) -> contextlib.AbstractContextManager[None]:
        nonlocal begun
        begun += 1
        return real(database)

    async with Served(setup) as served, desk_of(setup.folder) as (desk, _, _):
        await served.tablet.login(setup)
        await served.node.clinic.store.outbox(lambda outbox: outbox.add_all(refs))
        await settled()
        monkeypatch.setattr(Database, "transaction", counted)
        assert (await desk.learn(receipt(setup, items, 1))).acknowledged == len(refs)
        assert begun < 20
        assert not {one.bundle_id for one in await desk.waiting()} & {ref.bundle_id for ref in refs}
        assert (await desk.learn(receipt(setup, items, 1))).acknowledged == 0


async def test_a_node_killed_in_the_middle_of_a_receipt_has_lost_nothing_and_learns_it_again(
    setup: Provisioned, tmp_path: Path
) -> None:
    """At rest, so that the command itself holds the store; each bundle either lies here whole or was acknowledged."""
    made = [bytes((seal.TYPE_BUNDLE,)) + secrets.token_bytes(499) for _ in range(250)]
    refs = [BundleRef(b"opening", sealed, seal.bundle_id(sealed)) for sealed in made]
    items = tuple(Waiting(ref.bundle_id, courier.digest_of(ref.sealed), len(ref.sealed)) for ref in refs)

    async def look(expected: int) -> None:
        outbox = await asyncio.to_thread(OutboxDb, setup.folder)
        try:
            known = outbox.levels()
            assert len(known) == expected
            for ref in refs:
                found = outbox.find(ref.bundle_id)
                assert found is not None
                assert found[0].sealed == (b"" if ref.bundle_id in known else ref.sealed)
        finally:
            outbox.close()

    outbox = await asyncio.to_thread(OutboxDb, setup.folder)
    outbox.add_all(refs)
    outbox.close()
    stick = tmp_path / "stick"
    folder = stick / "UPKENDRA" / "RECEIPTS"
    await asyncio.to_thread(folder.mkdir, parents=True)
    (folder / f"{1:024x}.upk").write_bytes(receipt(setup, items, 1))
    argv = [sys.executable, "-m", "edge.node", "courier", "--data", str(setup.folder), "--stick", str(stick)]
    for kill_at, expected in (("outbox.acknowledging:150", 100), ("", 250)):
        environment = {**os.environ, "UPKENDRA_KILL_AT": kill_at}
        process = await asyncio.create_subprocess_exec(*argv, stdout=-3, stderr=-3, env=environment)
        assert (await process.wait() == 0) is not bool(kill_at)
        await look(expected)


async def test_two_sticks_at_once_are_one_line_that_says_busy_until_both_are_done(setup: Provisioned) -> None:
    async with Served(setup) as served:
        await served.tablet.login(setup)
        async with served.tablet.http.ws_connect("/api/live") as live, contextlib.AsyncExitStack() as opened:
            desks: dict[str, NodeDesk] = {}
            for stick in ("sda1", "sdb1"):
                desks[stick], _, _ = await opened.enter_async_context(desk_of(setup.folder, stick))
            for stick, stage, written, total in (
                ("sda1", "busy", 1, 4),
                ("sdb1", "busy", 2, 5),
                ("sda1", "done", 0, 0),
                ("sda1", "out", 0, 0),
                ("sdb1", "busy", 3, 5),
                ("sdb1", "done", 0, 0),
                ("sda1", "busy", 0, 0),
                ("sdb1", "busy", 0, 0),
                ("sda1", "out", 0, 0),
                ("sdb1", "done", 0, 0),
                ("sdb1", "out", 0, 0),
            ):
                await desks[stick].tell_stage(stage, written, total)
            said: list[dict[str, object]] = []
            while len(said) < 11:
                message = await live.receive_json(timeout=10)
                said += [message] if message["type"] == "stick" else []
    assert [(one["stage"], one["written"], one["total"], one["code"]) for one in said] == [
        ("busy", 1, 4, ""),
        ("busy", 3, 9, ""),
        ("busy", 2, 5, ""),
        ("busy", 2, 5, ""),
        ("busy", 3, 5, ""),
        ("done", 0, 0, ""),
        ("busy", 0, 0, ""),
        ("busy", 0, 0, ""),
        ("busy", 0, 0, ""),
        ("failed", 0, 0, "stick_gone"),
        ("out", 0, 0, ""),
    ]


def test_a_courier_that_was_killed_does_not_keep_the_line_busy_for_ever() -> None:
    line = StickLine()
    assert line.heard("/mnt/a", StickPush("busy"), 0.0).stage == "busy"
    assert line.heard("/mnt/b", StickPush("done"), 899.0).stage == "busy"
    assert line.heard("/mnt/b", StickPush("done"), 901.0).stage == "done"


async def test_the_room_hears_how_a_stick_stands_and_when_it_may_be_pulled(setup: Provisioned, tmp_path: Path) -> None:
    stick = tmp_path / "stick"
    stick.mkdir()
    async with Served(setup) as served:
        await served.tablet.login(setup)
        await served.tablet.register()
        async with served.tablet.http.ws_connect("/api/live") as live:
            for words in (
                ["--stick", str(stick)],
                ["--stick", str(stick / "none")],
                ["--pulled", "--result", "success"],
            ):
                argv = [sys.executable, "-m", "edge.node", "courier", "--data", str(setup.folder), *words]
                process = await asyncio.create_subprocess_exec(*argv, stdout=-3, stderr=-3)
                await process.wait()
            said: list[dict[str, object]] = []
            while not said or said[-1]["stage"] != "out":
                message = await live.receive_json(timeout=10)
                said += [message] if message["type"] == "stick" else []
    assert [(one["stage"], one["code"]) for one in said] == [
        ("busy", ""),
        ("done", ""),
        ("busy", ""),
        ("failed", "stick_missing"),
        ("out", ""),
    ]


async def test_a_stick_whose_courier_was_stopped_half_way_is_not_called_done(setup: Provisioned) -> None:
    async with Served(setup) as served, desk_of(setup.folder) as (desk, _, _):
        await served.tablet.login(setup)
        async with served.tablet.http.ws_connect("/api/live") as live:
            for stage in ("busy", "done", "out", "busy", "out", "out"):
                await desk.tell_stage(stage)
            said: list[dict[str, object]] = []
            while len(said) < 6:
                message = await live.receive_json(timeout=10)
                said += [message] if message["type"] == "stick" else []
    assert [one["stage"] for one in said] == ["busy", "done", "out", "busy", "failed", "out"]
    assert said[4]["code"] == "stick_gone"


async def test_a_node_that_cannot_answer_says_so_to_the_courier_and_to_the_room(
    setup: Provisioned, tmp_path: Path
) -> None:
    stick = tmp_path / "stick"
    stick.mkdir()
    async with Served(setup) as served:
        await served.tablet.login(setup)
        async with served.tablet.http.ws_connect("/api/live") as live:
            await served.node.clinic.store.outbox(lambda outbox: outbox._db.run("ALTER TABLE downs RENAME TO lost"))
            argv = [sys.executable, "-m", "edge.node", "courier", "--data", str(setup.folder), "--stick", str(stick)]
            process = await asyncio.create_subprocess_exec(*argv, stdout=-1, stderr=-1)
            out, said = await process.communicate()
            assert process.returncode
            assert b"courier_failed" in out
            assert b"Traceback" not in said
            stages: list[dict[str, object]] = []
            while len(stages) < 2:
                message = await live.receive_json(timeout=10)
                stages += [message] if message["type"] == "stick" else []
    assert [(one["stage"], one["code"]) for one in stages] == [("busy", ""), ("failed", "courier_failed")]


async def test_a_receipt_that_was_copied_a_thousand_times_is_learned_once_and_the_copies_go(
    setup: Provisioned, tmp_path: Path
) -> None:
    stick = tmp_path / "stick"
    folder = stick / "UPKENDRA" / "RECEIPTS"
    folder.mkdir(parents=True)
    rows = [courier.Row(number.to_bytes(11, "big"), bytes(16), 1) for number in range(1_000)]
    raw = courier.receipt_file(setup.hub.sign, setup.config.node_id, 1, rows)
    for number in range(1_000):
        (folder / f"{number:024x}.upk").write_bytes(raw)
    argv = [sys.executable, "-m", "edge.node", "courier", "--data", str(setup.folder), "--stick", str(stick)]
    process = await asyncio.create_subprocess_exec(*argv, stdout=-1, stderr=-1)
    out, said = await process.communicate()
    assert process.returncode == 0, said
    done = msgspec.json.decode(out)
    assert (done["complete"], done["receipts"], done["deleted"]) == (True, 1, 1_000)
    assert list(folder.iterdir()) == []
