"""Lists of what is revoked and offers of updates: vectors, forgery, any bytes at all; payloads on sticks that lie."""

import contextlib
import json
import time
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.sync import courier, hubkey, release, revocation, seal
from edge.sync.bearers.usb import Limits, Stick, StickRefused
from edge.sync.bearers.usb_payload import is_whole, open_payload, write_payload
from edge.sync.bearers.usb_stick import Folder, part_name, payload_name

VECTORS = json.loads((Path(__file__).parent.parent / "vectors" / "courier.json").read_text())
SIGN, OTHER, UPDATE = bytes(range(32)), bytes(range(1, 33)), bytes(range(2, 34))
PUBLIC = seal.verifier_of(SIGN)
HUB = courier.hub_of(PUBLIC)
NODE = b"node-one"
CONTENT = revocation.Content(5, bytes(16), (b"d" * 16,), ("s" * 16,), hubkey.HubKey(7, bytes(32), bytes(64)))


def vector(name: str) -> bytes:
    return bytes.fromhex(VECTORS[name])


def a_release(content: bytes, version: str = "1.2.0", target: str = "amd64") -> release.Release:
    return release.parse_release(described(content, version, target))


def described(content: bytes, version: str = "1.2.0", target: str = "amd64") -> bytes:
    blocks = [content[at : at + release.BLOCK_BYTES] for at in range(0, len(content), release.BLOCK_BYTES)]
    return release.describe("system", version, target, blocks)


def test_the_vectors_of_lists_and_offers_hold() -> None:
    public = seal.verifier_of(vector("hub_sign_private"))
    lists = courier.parse(vector("revoked"))
    assert isinstance(lists, courier.RevokedFile)
    told = revocation.parse_list(lists.lists[0])
    assert revocation.check_list(told, vector("node_id"), public, 0)
    assert (told.number, told.content.revoked_ms, told.content.staff) == (9, 1_790_000_000_000, ("0123456789abcdef",))
    assert told.content.machine == revocation.machine_of(seal.verifier_of(vector("device_private")))
    offer = courier.parse(vector("update"))
    assert isinstance(offer, courier.UpdateFile)
    courier.check_update(offer, public)
    release.check_release(offer.release, offer.release_signature, seal.verifier_of(vector("update_private")))
    assert release.parse_release(offer.release) == a_release(vector("update_content"))


def test_an_older_list_is_refused_by_its_number_and_the_same_one_is_nothing_new() -> None:
    raw = revocation.sign_list(SIGN, NODE, 5, 1, CONTENT)
    told = revocation.parse_list(raw)
    assert told.content == CONTENT
    assert revocation.check_list(told, NODE, PUBLIC, 4)
    assert not revocation.check_list(told, NODE, PUBLIC, 5)
    with pytest.raises(revocation.RevocationRefused) as refused:
        revocation.check_list(told, NODE, PUBLIC, 6)
    assert refused.value.refusal.code == "courier_older"


def test_a_list_of_another_signer_for_another_node_or_altered_anywhere_is_refused() -> None:
    raw = revocation.sign_list(SIGN, NODE, 5, 1, CONTENT)
    for wrong, code in (
        (revocation.sign_list(OTHER, NODE, 5, 1, CONTENT), "courier_signature"),
        (revocation.sign_list(SIGN, b"node-two", 5, 1, CONTENT), "courier_not_ours"),
    ):
        with pytest.raises(revocation.RevocationRefused) as refused:
            revocation.check_list(revocation.parse_list(wrong), NODE, PUBLIC, 0)
        assert refused.value.refusal.code == code
    for at in range(len(raw)):
        with pytest.raises(revocation.RevocationRefused):
            revocation.check_list(
                revocation.parse_list(raw[:at] + bytes((raw[at] ^ 1,)) + raw[at + 1 :]), NODE, PUBLIC, 0
            )


def test_a_later_release_may_append_to_a_list() -> None:
    longer = [*msgspec.to_builtins(CONTENT, builtin_types=(bytes,)), "more"]
    whole = NODE + (5).to_bytes(8, "big") + (1).to_bytes(8, "big") + msgspec.msgpack.encode(longer)
    raw = whole + seal.sign(SIGN, b"upk1 revoked" + whole)
    assert revocation.check_list(revocation.parse_list(raw), NODE, PUBLIC, 0)


@given(st.binary(max_size=300))
def test_any_bytes_are_a_list_a_release_a_file_or_refused(raw: bytes) -> None:
    for parse in (revocation.parse_list, release.parse_release, courier.parse):
        with contextlib.suppress(courier.CourierRefused):
            parse(raw)


@given(st.lists(st.binary(min_size=1, max_size=3_000), max_size=400), st.integers(0, 10**6))
@settings(max_examples=30, deadline=None)
def test_lists_share_files_in_their_order_and_torn_ones_are_noticed(lists: list[bytes], at: int) -> None:
    files = courier.revoked_files(HUB, lists)
    parsed = [courier.parse(raw) for raw in files]
    assert [one for file in parsed if isinstance(file, courier.RevokedFile) for one in file.lists] == lists
    for raw in files:
        with pytest.raises(courier.CourierRefused):
            courier.parse(raw[: at % len(raw)])


def test_a_release_signed_by_somebody_else_or_altered_is_refused() -> None:
    raw = described(b"system" * 1_000)
    signature = release.sign_release(UPDATE, raw)
    release.check_release(raw, signature, seal.verifier_of(UPDATE))
    for content, signed, key in ((raw, signature, SIGN), (raw + b" ", signature, UPDATE), (raw, bytes(64), UPDATE)):
        with pytest.raises(release.ReleaseRefused) as refused:
            release.check_release(content, signed, seal.verifier_of(key))
        assert refused.value.refusal.code == "update_signature"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "stick"
    made.mkdir()
    return made


CONTENT_OF_UPDATE = bytes(range(256)) * 4096 * 5 + b"the end"
HUB = b"our hub!"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    made = tmp_path / "system.raucb"
    made.write_bytes(CONTENT_OF_UPDATE)
    return made


def nothing(_: int) -> None:
    return


def test_a_payload_is_written_whole_or_gone_on_with(path: Path, source: Path) -> None:
    found = a_release(CONTENT_OF_UPDATE)
    part = path / "UPKENDRA" / "FLEET" / part_name(HUB, found.sha256)
    part.parent.mkdir(parents=True)
    wrong = CONTENT_OF_UPDATE[: 2 << 20] + bytes(3 << 20)
    part.write_bytes(wrong)
    done: list[int] = []
    with Stick(path, time.monotonic) as stick:
        write_payload(stick, HUB, found, source, done.append)
        assert is_whole(stick, found)
        assert list(stick.scan(Folder.FLEET)) == []
        assert stick.payloads == [payload_name(found.sha256)]
        assert stick.counts["junk"] == 0
    assert done == [3, 4, 5, 6]
    assert not part.exists()


def test_a_payload_that_was_altered_cut_or_replaced_by_a_pipe_is_not_whole(path: Path, source: Path) -> None:
    found = a_release(CONTENT_OF_UPDATE)
    with Stick(path, time.monotonic) as stick:
        write_payload(stick, HUB, found, source, nothing)
        lies = path / "UPKENDRA" / "FLEET" / payload_name(found.sha256)
        with lies.open("r+b") as file:
            file.seek(3 << 20)
            file.write(b"!")
        assert not is_whole(stick, found)
        lies.write_bytes(CONTENT_OF_UPDATE[:-1])
        assert not is_whole(stick, found)
        lies.unlink()
        lies.symlink_to(source)
        assert not is_whole(stick, found)
        with open_payload(stick, found) as block:
            assert block is None


def test_a_slow_stick_stops_the_copy_of_a_payload(path: Path, source: Path) -> None:
    clock = iter(range(0, 10_000, 10))
    limits = Limits(seconds=50)
    with pytest.raises(StickRefused) as refused, Stick(path, lambda: float(next(clock)), limits) as stick:
        write_payload(stick, HUB, a_release(CONTENT_OF_UPDATE), source, nothing)
    assert refused.value.refusal.code == "stick_slow"


def test_a_source_that_is_not_what_its_release_says_is_found_out_by_reading_back(path: Path, source: Path) -> None:
    found = a_release(CONTENT_OF_UPDATE)
    source.write_bytes(bytes(len(CONTENT_OF_UPDATE)))
    with Stick(path, time.monotonic) as stick:
        with pytest.raises(StickRefused) as refused:
            write_payload(stick, HUB, found, source, nothing)
        assert refused.value.refusal.code == "stick_untrue"
        assert not list((path / "UPKENDRA" / "FLEET").iterdir())
