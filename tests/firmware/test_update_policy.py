"""Which application the board gets: signatures, the last good one, and never a loop without an end."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge.node.devices.panel import Image
from edge.node.devices.panel_protocol import Identity
from edge.node.devices.panel_update import ImageRefused, ImageStore, SignedImage, UpdatePolicy, Verdict

GOOD = Image(b"good" * 50, 1)
WANTED = Image(b"want" * 50, 2)


def running(image: Image, mode: int = 0) -> Identity:
    return Identity(1, mode, image.version, image.crc, 1, 5, 1)


@pytest.fixture(name="key")
def release_key(tmp_path: Path) -> bytes:
    """The private release key; its public half is installed in ``tmp_path``."""
    private = Ed25519PrivateKey.generate()
    (tmp_path / "release.pub").write_text(private.public_key().public_bytes_raw().hex() + "\n")
    return private.private_bytes_raw()


def test_an_image_with_any_bit_changed_is_refused(tmp_path: Path, key: bytes) -> None:
    raw = SignedImage.sign(GOOD, key).raw
    store = ImageStore(tmp_path)
    assert store.want(raw) == GOOD
    for at in (0, 5, 6, 8, 100, len(raw) - 64, len(raw) - 1):
        with pytest.raises(ImageRefused):
            store.want(raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :])
    for cut in (0, 7, 71, len(raw) - 1):
        with pytest.raises(ImageRefused):
            store.want(raw[:cut])
    assert store.load("wanted") == GOOD


def test_an_image_of_another_key_or_without_an_installed_key_is_refused(tmp_path: Path, key: bytes) -> None:
    other = Ed25519PrivateKey.generate().private_bytes_raw()
    with pytest.raises(ImageRefused):
        ImageStore(tmp_path).want(SignedImage.sign(GOOD, other).raw)
    (tmp_path / "release.pub").unlink()
    with pytest.raises(ImageRefused) as refused:
        ImageStore(tmp_path).want(SignedImage.sign(GOOD, key).raw)
    assert refused.value.refusal.code == "no_release_key"


def test_an_older_image_is_refused_unless_it_is_asked_for(tmp_path: Path, key: bytes) -> None:
    store = ImageStore(tmp_path)
    store.want(SignedImage.sign(WANTED, key).raw)
    store.promote()
    old = SignedImage.sign(GOOD, key).raw
    with pytest.raises(ImageRefused) as refused:
        store.want(old)
    assert refused.value.refusal.code == "image_older"
    assert store.load("wanted") is None
    assert store.want(SignedImage.sign(WANTED, key).raw) == WANTED, "the same again is no step back"
    assert store.want(old, older=True) == GOOD
    with pytest.raises(ImageRefused):
        store.check(SignedImage.sign(WANTED, key).raw, running_version=3)


def test_an_image_that_was_changed_on_the_disk_is_not_loaded(tmp_path: Path, key: bytes) -> None:
    store = ImageStore(tmp_path)
    store.want(SignedImage.sign(GOOD, key).raw)
    store.promote()
    assert store.load("good") == GOOD
    raw = bytearray((tmp_path / "good.img").read_bytes())
    raw[20] ^= 4
    (tmp_path / "good.img").write_bytes(raw)
    assert store.load("good") is None


def test_a_signed_image_that_the_loader_could_not_take_is_refused(tmp_path: Path, key: bytes) -> None:
    body = b"UPKF1\0" + (3).to_bytes(2, "little") + bytes(15_233)
    raw = body + Ed25519PrivateKey.from_private_bytes(key).sign(body)
    with pytest.raises(ImageRefused):
        ImageStore(tmp_path).want(raw)


def test_a_new_application_becomes_the_good_one_once_it_has_answered_for_a_while() -> None:
    policy = UpdatePolicy(GOOD, None)
    policy.found(running(GOOD), 0)
    assert policy.next_upload(1) is None
    policy.want(WANTED)
    assert policy.next_upload(2) is WANTED
    assert policy.next_upload(2) is None, "one at a time"
    policy.found(running(WANTED), 5)
    assert policy.ended(True, 5) is None
    assert policy.restarted() is None, "the start after the update"
    assert policy.next_upload(6) is None
    assert policy.alive(10) is None
    assert policy.alive(16) is Verdict.PROMOTE
    assert policy.good is WANTED
    assert policy.next_upload(27) is None


def test_an_application_that_does_not_start_is_replaced_by_the_good_one_at_once() -> None:
    policy = UpdatePolicy(GOOD, WANTED)
    policy.found(running(GOOD), 0)
    assert policy.next_upload(0) is WANTED
    policy.found(running(WANTED, mode=1), 9)
    assert policy.ended(False, 9) is Verdict.DISCARD
    assert policy.next_upload(9) is GOOD


def test_an_application_that_restarts_again_and_again_is_replaced_by_the_good_one() -> None:
    policy = UpdatePolicy(GOOD, WANTED)
    policy.found(running(GOOD), 0)
    assert policy.next_upload(0) is WANTED
    policy.found(running(WANTED), 5)
    policy.ended(True, 5)
    assert policy.restarted() is None
    assert policy.restarted() is Verdict.DISCARD
    assert policy.next_upload(8) is GOOD


def test_an_application_that_falls_silent_on_trial_is_replaced_when_the_board_is_back() -> None:
    policy = UpdatePolicy(GOOD, WANTED)
    policy.found(running(GOOD), 0)
    policy.next_upload(0)
    policy.found(running(WANTED), 5)
    policy.ended(True, 5)
    assert policy.lost(12) is Verdict.DISCARD
    assert policy.next_upload(13) is None, "nobody is there"
    policy.found(running(WANTED), 14)
    assert policy.next_upload(14) is GOOD


def test_a_bad_line_is_tried_again_after_a_pause_and_not_for_ever() -> None:
    policy = UpdatePolicy(GOOD, WANTED)
    policy.found(running(GOOD, mode=1), 0)
    assert policy.next_upload(0) is WANTED
    assert policy.ended(False, 1) is None
    assert policy.next_upload(2) is None
    assert policy.next_upload(7) is WANTED
    assert policy.ended(False, 8) is Verdict.DISCARD
    assert policy.next_upload(8) is GOOD
    assert policy.ended(False, 9) is None
    assert policy.next_upload(15) is GOOD, "the good one as often as it takes"


def test_a_board_in_its_loader_without_any_image_is_left_alone() -> None:
    policy = UpdatePolicy(None, None)
    policy.found(running(GOOD, mode=1), 0)
    assert policy.next_upload(100) is None
