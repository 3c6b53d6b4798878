"""The page of nodes and updates in waves: what is shown, in which order, and who may have what when."""

import base64
from typing import Any

import msgspec
from sqlalchemy import Connection, insert

from edge.sync import release
from edge.sync.log import Stream
from hub import fleet, waves
from hub.keys import Keyring
from hub.permits import Role
from hub.store.schema import node_told, nodes
from hub.waves import Wave

from .kit import PASSWORD, HubKit
from .test_nodes import TOLD, in_stream
from .test_permits import person

RELEASE = release.describe("system", "1.2.0", "rpi", [b"content"])
SHA = release.parse_release(RELEASE).sha256
PLACES = [(number.to_bytes(8).hex(), "Gaya" if number % 2 else "Patna") for number in range(1000)]
HOUR_MS = 3_600_000


def brought_in(plan: tuple[Wave, ...], sha256: str = SHA) -> list[int | None]:
    return [waves.wave_of(sha256, plan, node_id, district) for node_id, district in PLACES]


def test_a_share_is_a_share_and_later_waves_bring_in_the_rest() -> None:
    plan = (Wave(0, 5), Wave(1, 50), Wave(2, 100))
    found = brought_in(plan)
    assert 20 <= found.count(0) <= 90 and 380 <= found.count(1) <= 520, "5 and 45 of a hundred, drawn"
    assert found.count(None) == 0
    assert brought_in(tuple(reversed(plan))) == [2 - number for number in found if number is not None], (
        "the time decides which wave is first, not the place in the list"
    )


def test_another_update_begins_with_other_nodes() -> None:
    first, second = brought_in((Wave(0, 10),)), brought_in((Wave(0, 10),), "00" * 32)
    assert first != second


def test_a_district_that_no_wave_names_gets_nothing() -> None:
    found = brought_in((Wave(0, 100, ("Gaya",)),))
    assert {number for number, (_, district) in zip(found, PLACES, strict=True) if district == "Patna"} == {None}
    assert {number for number, (_, district) in zip(found, PLACES, strict=True) if district == "Gaya"} == {0}


async def test_an_update_begins_paused_and_a_pause_stops_new_nodes(kit: HubKit) -> None:
    node = await kit.enrol()
    page = await person(kit, Role.ADMINISTRATOR)
    plan = [{"starts_ms": kit.clock.ms + HOUR_MS, "share": 100, "districts": []}]
    body = {"password": PASSWORD, "release": base64.b64encode(RELEASE).decode(), "plan": plan}
    elsewhere = [{"starts_ms": 0, "districts": ["Nowhere"]}]
    assert (await page.call("POST", "/api/updates", {**body, "plan": elsewhere})).status == 400
    assert (await page.call("POST", "/api/updates", {**body, "release": "bm90aGluZw=="})).status in (400, 409)
    made = await page.call("POST", "/api/updates", body)
    assert made.status == 200, await made.text()
    (one,) = (await made.json())["items"]
    assert (one["version"], one["paused"], one["reached"], one["offered"]) == ("1.2.0", True, [1], 0)
    assert (await page.call("POST", "/api/updates", body)).status == 409

    async def due() -> list[str] | None:
        return await kit.hub.store.read(lambda connection: waves.offered_to(connection, SHA, kit.clock.ms))

    go = {"password": PASSWORD, "plan": plan, "paused": False}
    assert (await page.call("PUT", f"/api/updates/{SHA}", go)).status == 200
    assert await due() == [], "its hour has not come"
    kit.clock.pass_s(3700)
    assert await due() == [node.node_id]
    shown: Any = await page.get("/api/fleet")
    assert shown["items"][0]["update"] == "system 1.2.0"
    assert (await page.call("PUT", f"/api/updates/{SHA}", {**go, "paused": True})).status == 200
    assert await due() == []
    assert (await page.call("DELETE", f"/api/updates/{SHA}", {"password": PASSWORD})).status == 200
    assert await due() == [], "what was taken out of the list is nobody's, not everybody's"
    assert (await page.get("/api/updates"))["items"] == []
    assert (await page.call("PUT", f"/api/updates/{SHA}", go)).status == 404
    assert (await page.call("DELETE", f"/api/updates/{SHA}", {"password": PASSWORD})).status == 404
    again = await page.call("POST", "/api/updates", body)
    assert again.status == 200 and [one["paused"] for one in (await again.json())["items"]] == [True]


async def test_a_line_says_what_the_node_said_and_what_wants_a_person_comes_first(kit: HubKit) -> None:
    talking, silent = await kit.enrol("UP01"), await kit.enrol("UP02")
    word = msgspec.structs.replace(TOLD, power="low", battery_mv=11_000, sim="up", update="system 1.2.0")
    await talking.send_payload(in_stream(talking, Stream.AUDIT, word, stamp=9 << 16))
    page = await person(kit, Role.COORDINATOR)
    await talking.until(lambda: kit.hub.link.online(talking.node_id))
    found: Any = await page.get("/api/fleet?show=trouble&sort=heard")
    (line,) = found["items"]
    assert (line["site_code"], line["state"], line["backlog_items"]) == ("UP01", "online", 3)
    assert (line["power"], line["battery_mv"], line["sim"], line["staged"]) == ("low", 11_000, "up", "system 1.2.0")
    assert (line["software"], line["bearer"], line["disk_free_mb"]) == ("node 0.1.0", "udp", 900)
    assert found["counts"]["nodes"] == 2 and found["counts"]["never"] == 1
    everything: Any = await page.get("/api/fleet?sort=heard")
    assert [one["site_code"] for one in everything["items"]] == ["UP02", "UP01"], "never heard comes first"
    named: Any = await page.get("/api/fleet?q=up02&district=Sitapur")
    assert [one["node_id"] for one in named["items"]] == [silent.node_id]
    assert (await page.call("GET", "/api/fleet?sort=name")).status == 400


def many_nodes(connection: Connection, keys: Keyring, count: int = 10_000) -> None:
    """As many nodes as a state has, or ``count``, each with its word."""
    column = dict.fromkeys(("hint", "device_public", "log_public", "records_public"), bytes(32))
    rows = [
        {
            **column,
            "node_id": number.to_bytes(8).hex(),
            "site_code": f"S{number:05d}",
            "site_name": f"Centre {number}",
            "district": f"District {number % 38}",
            "demo": False,
            "psk_sealed": keys.protect(bytes(32), f"psk {number.to_bytes(8).hex()}"),
            "unlock_sealed": b"",
            "enrolled_ms": 1,
            "seen_ms": 1,
            "revoked_ms": 0,
            "told_key_ms": 0,
            "block": f"Block {number % 534}",
            "told_on_call_ms": 0,
        }
        for number in range(count)
    ]
    connection.execute(insert(nodes), rows)
    word = msgspec.msgpack.encode(TOLD)
    connection.execute(insert(node_told), [{"node_id": row["node_id"], "stamp": 9 << 16, "told": word} for row in rows])


def of_all(connection: Connection) -> list[fleet.Line]:
    return fleet.lines(connection, lambda node_id: 5.0, lambda node_id: True, 1)


async def test_ten_thousand_nodes_leave_the_hub_a_page_at_a_time(kit: HubKit) -> None:
    await kit.hub.store.write(lambda connection: many_nodes(connection, kit.hub.keys))
    found = await kit.hub.store.read(of_all)
    page = fleet.page(found, fleet.Question(q="block 7", sort=fleet.Sort.BACKLOG, offset=40, limit=50), 1)
    assert page.counts.nodes == 10_000 and len(page.items) == 50 and page.total > 100
    last = fleet.page(found, fleet.Question(offset=1_000_000, limit=50), 1)
    assert (last.offset, len(last.items)) == (9_999, 1), "a page beyond the end is the last one"
