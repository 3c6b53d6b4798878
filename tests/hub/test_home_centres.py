"""Finding a sub-centre: by sound in both scripts, by district and block, with what the administrator says of it."""

import asyncio
from collections.abc import AsyncIterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.directory import Site
from hub.home.centres import PLACED, SHOWN, Finder
from hub.permits import Role
from hub.places import Place

from .home_kit import Telephone
from .kit import PASSWORD, HubKit
from .test_office import post, said
from .test_permits import person

SITES = (
    Site("01" * 8, "GA01", "उप-स्वास्थ्य केंद्र रामपुर", "Gaya", block="Bodh Gaya"),
    Site("02" * 8, "GA02", "Lakshmipur", "Gaya", block="Manpur"),
    Site("03" * 8, "NA01", "Rampur Chauram", "Nawada", block="Rajauli"),
)
PLACES = {
    "02" * 8: Place(villages="रामनगर, Chainpur", phone="0631 555 0100", lat=24.79, lon=85.0),
    "03" * 8: Place(days="012345", opens="09:00", closes="16:00"),
}


def finder() -> Finder:
    found = Finder()
    found.know(SITES, PLACES)
    return found


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("rampur", ["01", "03"]),
        ("रामपुर", ["01", "03"]),
        ("ram", ["01", "03", "02"]),
        ("laxmipur", ["02"]),
        ("लछमीपुर", ["02"]),
        ("ramnagar", ["02"]),
        ("चैनपुर", ["02"]),
        ("गया", ["01", "02"]),
        ("gaya rampur", ["01"]),
        ("ga0", ["01", "02"]),
        ("NA01", ["03"]),
        ("108", []),
        ("<>", []),
        ("Patna", []),
        ("  ", ["01", "02", "03"]),
    ],
)
def test_a_centre_is_found_by_the_sound_of_its_name_village_block_or_district(text: str, codes: list[str]) -> None:
    assert [one.node_id[:2] for one in finder().find(text).items] == codes


def test_district_and_block_narrow_and_say_how_many_there_are() -> None:
    found = finder().find(district="Gaya")
    assert [one.node_id[:2] for one in found.items] == ["01", "02"]
    assert [(one.name, one.count) for one in found.districts] == [("Gaya", 2), ("Nawada", 1)]
    assert [(one.name, one.count) for one in found.blocks] == [("Bodh Gaya", 1), ("Manpur", 1)]
    assert [one.node_id[:2] for one in finder().find(district="Gaya", block="Manpur").items] == ["02"]
    assert (found.placed, found.more) == (1, 0)
    assert [one.node_id[:2] for one in finder().find(placed=True).items] == ["02"]


def test_of_ten_thousand_only_so_many_are_sent_and_the_rest_is_counted() -> None:
    many = Finder()
    place = Place(lat=25.0, lon=85.0)
    sites = [Site(f"{n:016x}", f"S{n}", f"Rampur {n}", f"D{n % 38}") for n in range(10_000)]
    many.know(sites, {site.node_id: place for site in sites})
    assert (len(many.find("rampur").items), many.find("rampur").more) == (SHOWN, 10_000 - SHOWN)
    assert len(many.find("rampur", placed=True).items) == PLACED
    assert len(many.find(district="D3", placed=True).items) == 264
    many.know(sites[:1], {})
    assert (len(many.find("rampur").items), many.find().placed) == (1, 0)


@given(st.text(max_size=60))
def test_whatever_is_typed_is_answered(text: str) -> None:
    found = finder().find(text)
    assert len(found.items) <= len(SITES)
    assert found.more == 0


@pytest.fixture
async def home(tmp_path: Path, database: str) -> AsyncIterator[HubKit]:
    kit = await (await asyncio.to_thread(HubKit, tmp_path / "hub", database, messages=StringIO())).start()
    yield kit
    await kit.stop()


async def test_what_the_administrator_says_of_a_centre_is_found_without_a_log_in_and_written_down(
    home: HubKit,
) -> None:
    node = await home.enrol("UP01")
    page = await person(home, Role.ADMINISTRATOR)
    path = f"/api/sites/{node.node_id}/place"
    place = {"villages": "चैनपुर", "phone": "05862 555 010", "days": "012345", "opens": "09:00", "closes": "16:00"}
    backwards = {"days": "0", "opens": "16:00", "closes": "09:00"}
    for wrong in ({"lat": 25.0}, {"opens": "09:00"}, backwards, {"days": "10"}):
        assert (await post(page, path, {**wrong}, "PUT"))[0] == 400
    assert (await post(page, f"/api/sites/{'00' * 8}/place", place, "PUT"))[0] == 404
    assert (await post(page, path, {**place, "lat": 27.57, "lon": 80.68}, "PUT"))[0] == 200
    assert (await page.get(path))["villages"] == "चैनपुर"
    anybody = Telephone(home)
    found = await anybody.get("/home/api/centres?q=chainpur")
    items: Any = found["items"]
    assert [(one["node_id"], one["place"]["phone"], one["place"]["lat"]) for one in items] == [
        (node.node_id, "05862 555 010", 27.57)
    ]
    assert await said(home, "site_place_set") == [("administrator", "site_place_set", node.node_id)]
    assert (await post(page, f"/api/sites/{node.node_id}/revoke", {"password": PASSWORD}))[0] == 200
    home.clock.pass_s(10)
    assert (await anybody.get("/home/api/centres?q=chainpur"))["items"] == []
