"""A bucket passes the same kit as the folder; moto's server is the store. Signatures are AWS's own example."""

import json
import urllib.request
from collections.abc import Callable, Coroutine, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from moto.server import ThreadedMotoServer

from edge.model.errors import BadInput
from hub.shelf import Shelf, ShelfFailed
from hub.shelf_s3 import S3Keys, S3Shelf, load_keys, signed_headers
from tests.kits import shelf as kit

KEYS = S3Keys("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}/photos"
    urllib.request.urlopen(urllib.request.Request(url, method="PUT"), timeout=10).close()
    yield url
    server.stop()


@pytest.mark.parametrize("rule", kit.ALL, ids=lambda rule: rule.__name__)
async def test_a_bucket_is_a_shelf(bucket: str, rule: Callable[[Shelf], Coroutine[None, None, None]]) -> None:
    shelf = S3Shelf(bucket, KEYS)
    try:
        await rule(shelf)
    finally:
        await shelf.close()


async def test_a_store_that_is_away_or_has_no_such_bucket_is_said_to_have_failed(bucket: str) -> None:
    for url in ("http://127.0.0.1:9/photos", bucket.replace("photos", "nowhere")):
        shelf = S3Shelf(url, KEYS)
        with pytest.raises(ShelfFailed):
            await shelf.put("node/blob", b"x")
        await shelf.close()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_store_that_leads_elsewhere_has_kept_nothing(status: int) -> None:
    """303 turns a PUT into a GET, and the page that comes then says 200."""

    async def answer(request: web.Request) -> web.Response:
        if request.path.startswith("/photos"):
            return web.Response(status=status, headers={"Location": "/welcome"})
        return web.Response(text="Log in to this network.")

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    server = TestServer(app)
    await server.start_server()
    shelf = S3Shelf(str(server.make_url("/photos")), KEYS)
    try:
        with pytest.raises(ShelfFailed):
            await shelf.put("node/blob", b"x")
        with pytest.raises(ShelfFailed):
            await shelf.read("node/blob", 0, 1)
    finally:
        await shelf.close()
        await server.close()


def test_a_signature_is_that_of_the_published_example() -> None:
    """AWS S3 documentation, "Signature Calculations: Examples", GET Object with a Range."""
    keys = S3Keys("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    headers = signed_headers(
        keys,
        "GET",
        "examplebucket.s3.amazonaws.com",
        "/test.txt",
        empty,
        datetime(2013, 5, 24, tzinfo=UTC),
        {"range": "bytes=0-9"},
    )
    assert headers["authorization"].endswith(
        "Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
    )


@pytest.mark.parametrize("url", ["", "s3://bucket", "https://host", "https://host/a/b", "https://host/a?x=1"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(BadInput):
        S3Shelf(url, KEYS)


def test_keys_come_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    path.write_text(json.dumps({"access_key": "a", "secret_key": "b", "region": "ap-south-1"}))
    assert load_keys(path) == S3Keys("a", "b", "ap-south-1")
    assert "b" not in repr(load_keys(path)).replace("S3Keys", "")
    path.write_text("{}")
    with pytest.raises(BadInput):
        load_keys(path)
