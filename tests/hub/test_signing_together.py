"""The same prescription signed at two processes in the same moment, or at one that is killed: it is signed once."""

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientError

from edge.sync import faults
from hub import directory
from hub.config import Settings
from hub.keys import load_keys
from hub.store.engine import Store
from tests.bench.hub_load import LoadNode, drained, enrolled
from tests.kits.clinic import free_port
from tests.kits.nats import Nats
from tests.kits.postgres import Postgres

from .kit import DRAFT, PASSWORD, HubKit, Page, new_id
from .test_home_together import Process, made_with_a_doctor
from .test_thirds_together import logged_in
from .test_together import Pair, nats, pair

__all__ = ["nats", "pair"]
SIGNED_AT_ONCE = 4


def also_at(kit: HubKit, page: Page) -> Page:
    """The same browser, sent to another process by the proxy."""
    same = Page(kit)
    same.cookies, same.csrf = page.cookies, page.csrf
    return same


async def signs(page: Page, visit_id: str, command_id: str, path: str = "sign", **more: object) -> tuple[int, Any]:
    body = {"command_id": command_id, "draft": DRAFT, "password": PASSWORD, **more}
    reply = await page.call("POST", f"/api/visits/{visit_id}/{path}", body)
    return reply.status, await reply.json()


async def prescribed(page: Page, visit_id: str) -> list[str]:
    record: Any = await page.get(f"/api/visits/{visit_id}")
    return [one["prescription_id"] for one in record["prescriptions"]]


async def test_one_command_at_two_processes_signs_once_and_both_hear_of_the_same_prescription(pair: Pair) -> None:
    _, page, visit_id = await pair.ready()
    pair.first.totp = pair.second.totp
    pages = [page, await pair.first.login()] * SIGNED_AT_ONCE
    command_id = new_id()
    said = await asyncio.gather(*(signs(one, visit_id, command_id, password="") for one in pages))
    assert {status for status, _ in said} == {200}, said
    assert len({body["prescription_id"] for _, body in said}) == 1
    assert await prescribed(page, visit_id) == [said[0][1]["prescription_id"]]


async def test_of_two_doctors_who_sign_for_one_patient_at_two_processes_one_does_and_the_other_hears_why(
    pair: Pair,
) -> None:
    _, page, visit_id = await pair.ready()
    await pair.first.add_doctor("ravi", "Dr Ravi")
    other = await pair.first.login("ravi")
    both = (signs(one, visit_id, new_id(), password="") for one in (page, other))
    said = await asyncio.gather(*both)
    assert sorted(status for status, _ in said) == [200, 409]
    assert [body["code"] for status, body in said if status == 409] == ["visit_taken"]
    assert len(await prescribed(page, visit_id)) == 1


async def test_a_process_that_is_killed_while_it_signs_has_signed_once_or_not_at_all_and_the_other_says_which(
    tmp_path: Path, postgres: Postgres, migrated: str, nats: Nats
) -> None:
    """Processes of the operating system; who dies has not committed yet, or has committed and told nobody."""
    settings = Settings(tmp_path / "hub", database=postgres.database(migrated), nats=nats.url)
    totp = await asyncio.to_thread(made_with_a_doctor, settings)
    ports = (free_port(), free_port())
    stays = Process("stays", tmp_path, settings, ports)
    processes = [stays]
    try:
        await asyncio.to_thread(stays.start)
        stays.open()
        node = await _node(stays, settings)
        visits = [node.last_visit]
        node.say()
        await drained([node], 60)
        visits.append(node.last_visit)
        page = await logged_in(stays, "asha", totp)
        await node.runner.stop()  # its datagrams would go to whichever process the system likes
        for point, visit_id in zip(("hub-said", "hub-before-send-down"), visits, strict=True):
            dies = Process(point, tmp_path, settings, ports)
            processes.append(dies)
            await asyncio.to_thread(dies.server.start, {faults.VARIABLE: point})
            dies.open()
            command_id = new_id()
            with pytest.raises(ClientError):
                await signs(also_at(dies, page), visit_id, command_id)  # type: ignore[arg-type]
            before = await prescribed(page, visit_id)
            assert len(before) == (point == "hub-before-send-down")
            status, body = await signs(page, visit_id, command_id)
            assert status == 200, body
            assert await prescribed(page, visit_id) == [body["prescription_id"]]
            assert before in ([], [body["prescription_id"]])
    finally:
        for process in processes:
            await process.close()


async def _node(process: Process, settings: Settings) -> LoadNode:
    """A node with one visit, at a running hub."""

    def token() -> str:
        keys, store = load_keys(settings.data), Store(settings.database_url)
        site, now_ms = directory.Site("", "UP01", "Site UP01", "Sitapur", True), time.time_ns() // 1_000_000
        try:
            return store.write_now(lambda connection: directory.add_token(connection, keys, site, now_ms, 3600))
        finally:
            store.close()

    node = LoadNode(*await enrolled(process.server.url, await asyncio.to_thread(token)))
    await node.runner.start()
    node.say()
    await drained([node], 60)
    return node
