"""A locked node asks to be opened: who may decide, what the node is told, and what is written down."""

import asyncio
import time
from concurrent.futures import Future, ThreadPoolExecutor

import pytest
from sqlalchemy import select, text

from edge.model.errors import Refused
from edge.sync import frames as fr
from hub import audit, unlocks
from hub.permits import Role
from hub.store.schema import audit as lines

from .kit import PASSWORD, PATIENCE_S, HubKit, NodeKit, Page
from .test_permits import person
from .test_revocations import revoke

REQUEST = bytes(range(8))


async def ask(kit: HubKit, node: NodeKit, request: bytes = REQUEST) -> unlocks.Answer:
    keys, node_id, now_ms = kit.hub.keys, node.keys.node_id, kit.clock.ms
    return await kit.hub.store.write(lambda connection: unlocks.asked(connection, keys, node_id, request, now_ms))


DECISION = {"request": REQUEST.hex(), "approve": True, "why": "Spoke with Asha on her phone", "password": PASSWORD}


async def decide(page: Page, node: NodeKit, **other: object) -> int:
    return (await page.call("POST", f"/api/unlocks/{node.node_id}", {**DECISION, **other})).status


async def listed(page: Page) -> list[dict[str, object]]:
    items = (await page.get("/api/unlocks"))["items"]
    assert isinstance(items, list)
    return items


async def said(kit: HubKit) -> list[tuple[str, str, str, str]]:
    query = select(lines.c.actor, lines.c.action, lines.c.subject, lines.c.result).where(
        lines.c.action.like("unlock_%")
    )
    rows = await kit.hub.store.read(lambda connection: connection.execute(query.order_by(lines.c.seq)).all())
    assert await kit.hub.store.read(audit.verify) == 0
    return [(row.actor, row.action, row.subject, row.result) for row in rows]


async def test_a_node_gets_its_secret_after_a_persons_act_and_who_when_and_why_is_written_down(kit: HubKit) -> None:
    node = await kit.enrol()
    page = await person(kit, Role.COORDINATOR)
    assert (await ask(kit, node)) == unlocks.Answer(fr.UNLOCK_WAITS)
    kit.clock.pass_s(3600)
    assert (await ask(kit, node)).secret == b"", "time alone opens nothing"
    (one,) = await listed(page)
    assert (one["site_code"], one["state"], one["still_asks"]) == ("UP01", "waiting", True)
    assert await decide(page, node, password="not it at all") == 401
    assert await decide(page, node, why="  ") == 400
    assert await decide(page, node, request="00" * 8) == 404
    assert (await ask(kit, node)).secret == b""
    assert await decide(page, node) == 200
    assert await decide(page, node, approve=False) == 409
    released = await ask(kit, node)
    assert released == unlocks.Answer(fr.UNLOCK_RELEASED, node.grant.unlock) and len(node.grant.unlock) == 32
    assert await ask(kit, node) == released, "an answer that was lost is said again"
    assert await said(kit) == [
        ("", "unlock_asked", node.node_id, "ok"),
        ("coordinator", "unlock_approved", node.node_id, DECISION["why"]),
        ("coordinator", "unlock_released", node.node_id, "ok"),
    ]
    kit.clock.pass_s(601)
    assert await ask(kit, node) == unlocks.Answer(fr.UNLOCK_REFUSED), "an approval lasts ten minutes"
    assert await ask(kit, node, bytes(8)) == unlocks.Answer(fr.UNLOCK_WAITS), "the next time wants its own act"


async def test_what_was_refused_stays_refused_and_a_decision_is_for_the_request_that_was_seen(kit: HubKit) -> None:
    node = await kit.enrol()
    page = await person(kit, Role.ADMINISTRATOR)
    await ask(kit, node)
    assert await decide(page, node, approve=False) == 200
    assert await ask(kit, node) == unlocks.Answer(fr.UNLOCK_REFUSED)
    assert await ask(kit, node, b"another1") == unlocks.Answer(fr.UNLOCK_WAITS)
    assert await decide(page, node) == 409, "asked anew within ten seconds: not heard"
    kit.clock.pass_s(11)
    await ask(kit, node, b"another1")
    assert await decide(page, node) == 404
    assert (await ask(kit, node, b"another1")).secret == b""


async def test_a_revoked_node_is_not_listed_not_decided_and_not_told(kit: HubKit) -> None:
    node, other = await kit.enrol(), await kit.enrol("UP02")
    page = await person(kit, Role.COORDINATOR)
    await ask(kit, node)
    await ask(kit, other)
    assert await decide(page, node) == 200
    await revoke(kit, node)
    await revoke(kit, other)
    assert await ask(kit, node) == unlocks.Answer(fr.UNLOCK_REFUSED), "approved, and revoked before it was fetched"
    assert await listed(page) == []
    assert await decide(page, other) == 409


@pytest.mark.parametrize("role", [Role.DOCTOR, Role.VIEWER, Role.PHARMACIST])
async def test_nobody_else_decides(kit: HubKit, role: Role) -> None:
    node = await kit.enrol()
    await ask(kit, node)
    assert await decide(await person(kit, role), node) == 403


async def test_over_the_link_a_node_asks_and_is_told(kit: HubKit) -> None:
    node = await kit.enrol()
    page = await person(kit, Role.COORDINATOR)
    node.endpoint.unlock.begin(REQUEST)
    await node.until(lambda: fr.UNLOCK_WAITS in [state for state, _ in node.unlocks])
    assert await decide(page, node) == 200
    await node.until(lambda: (fr.UNLOCK_RELEASED, node.grant.unlock) in node.unlocks)


async def test_of_two_who_decide_at_the_same_time_in_two_processes_the_first_has_decided(kit: HubKit) -> None:
    node = await kit.enrol()
    await ask(kit, node)
    about = node.node_id, REQUEST.hex()
    engine, now_ms = kit.hub.store.engine, kit.clock.ms
    blocked = text("SELECT count(*) FROM pg_locks WHERE NOT granted")

    def approve() -> str:
        with engine.connect().execution_options(writing=True) as connection, connection.begin():
            try:
                unlocks.decide(connection, *about, "asha", "She is there", now_ms, approve=True)
            except Refused as error:
                return error.refusal.code
        return "approved"

    def refuse_meanwhile(pool: ThreadPoolExecutor) -> Future[str]:
        with engine.connect().execution_options(writing=True) as connection, connection.begin():
            unlocks.decide(connection, *about, "anil", "A thief asks", now_ms, approve=False)
            approving = pool.submit(approve)
            patience_s = time.monotonic() + PATIENCE_S
            while engine.dialect.name == "postgresql" and not connection.execute(blocked).scalar():
                assert time.monotonic() < patience_s
        return approving

    with ThreadPoolExecutor() as pool:
        approving = await asyncio.to_thread(refuse_meanwhile, pool)
        assert await asyncio.wrap_future(approving) == "unlock_decided"
    assert await ask(kit, node) == unlocks.Answer(fr.UNLOCK_REFUSED)
    assert [action for _, action, _, _ in await said(kit)] == ["unlock_asked", "unlock_refused"]
