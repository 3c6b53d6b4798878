"""Flashing as the technician does it, the tool as a process: into a file, and onto a real block device as root."""

import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pypdfium2
import pytest
import zxingcpp

from edge.model import provisioning
from images import fat, flash, label, receipt, source, write
from images.errors import CardRefused, WriteFailed
from images.manifest import parse_key

from .kit import BOOT_OFFSET, IMAGE_BYTES, TOKEN, Bench, bench


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return bench(tmp_path_factory.mktemp("release"))


@contextmanager
def block_device(backing: Path) -> Iterator[Path]:
    done = subprocess.run(["losetup", "--find", "--show", backing], capture_output=True, text=True, check=True)
    device = Path(done.stdout.strip())
    try:
        yield device
    finally:
        subprocess.run(["losetup", "--detach", device], check=True)


def sparse(path: Path) -> Path:
    with path.open("wb") as file:
        file.truncate(32 << 20)
    return path


@pytest.fixture
def release(made: Bench) -> source.Release:
    return source.load(made.manifest, parse_key((made.folder / "keys" / "update.pub").read_bytes()))


def provision_file(made: Bench, folder: Path) -> Path:
    path = folder / "site.json"
    ran = made.tool(
        *("provision", "--file", path, "--hub", "https://hub.example.org"),
        *("--ssid", "स्वास्थ्य", "--apn", "airtelgprs.com"),
        stdin=f"{TOKEN.lower()}\ngolghar-42\n",
    )  # fmt: skip
    assert ran.code == 0, ran.said
    return path


def same(image: Path, target: Path) -> bool:
    return target.read_bytes()[:IMAGE_BYTES] == image.read_bytes()


def test_a_card_is_written_read_back_provisioned_and_receipted(made: Bench, tmp_path: Path) -> None:
    target = tmp_path / "card.img"
    site = provision_file(made, tmp_path)
    ran = made.tool("flash", *made.release(), "--target", target, "--provision", site, stdin="FILE  card.img 25.2 MB\n")
    assert ran.code == 0, ran.said
    assert "type: file card.img 25.2 MB" in ran.said
    assert "read back 100 %" in ran.said

    found = provisioning.parse(fat.get(target, BOOT_OFFSET))
    assert found.token == TOKEN
    assert found.wifi.ssid == "स्वास्थ्य"
    assert found.apns == ("airtelgprs.com",)
    content, image = target.read_bytes(), made.image.read_bytes()
    assert content[:BOOT_OFFSET] == image[:BOOT_OFFSET]
    assert content[BOOT_OFFSET + (8 << 20) :] == image[BOOT_OFFSET + (8 << 20) :]

    shown = msgspec.convert(ran.shown, dict[str, object])
    paper = receipt.read(Path(str(shown["receipt"])).read_bytes())
    assert (paper.version, paper.hub) == ("2026.11.1", "https://hub.example.org")
    assert TOKEN not in Path(str(shown["receipt"])).read_text()
    assert made.tool("receipt", str(shown["receipt"])).code == 0

    checked = made.tool("verify", *made.release(), "--target", target)
    assert checked.code == 0, checked.said
    whole = made.tool("verify", *made.release(), "--target", target, "--whole")
    assert whole.refusal == "card_lies", "the boot partition holds the provisioning file now"


@pytest.mark.parametrize("typed", ["", "y\n", "yes\n", "file card.img 99.0 MB\n", "card.img\n"])
def test_without_the_exact_words_nothing_is_written(made: Bench, tmp_path: Path, typed: str) -> None:
    target = tmp_path / "card.img"
    ran = made.tool("flash", *made.release(), "--target", target, stdin=typed)
    assert ran.refusal == "not_confirmed"
    assert not target.exists()


def test_a_file_that_is_there_is_never_written_over(made: Bench, tmp_path: Path) -> None:
    target = tmp_path / "thesis.odt"
    target.write_bytes(b"years of work")
    ran = made.tool("flash", *made.release(), "--target", target, stdin="file thesis.odt 25.2 MB\n")
    assert ran.refusal == "target_exists"
    assert target.read_bytes() == b"years of work"


def test_a_disk_in_use_is_refused_before_anything_is_asked(made: Bench) -> None:
    number = Path("/").stat().st_dev
    found = Path(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}")
    disk = f"/dev/{found.resolve().name}" if found.exists() else "/dev/zero"
    ran = made.tool("flash", *made.release(), "--target", disk, stdin="anything\n")
    assert ran.refusal in ("card_dangerous", "card_is_part", "target_exists", "no_such_card")
    assert "To go on" not in ran.said


def damaged(made: Bench, folder: Path) -> list[str | Path]:
    """A copy of the release that may be spoilt."""
    for file in made.manifest.parent.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    return [folder / made.manifest.name, "--key", made.folder / "keys" / "update.pub"]


@pytest.mark.parametrize(
    ("suffix", "code"),
    [
        (".manifest.json", "manifest_unsigned"),
        (".manifest.sig", "manifest_unsigned"),
        (".bmap", "image_damaged"),
        (".img.zst", "image_damaged"),
    ],
)
@pytest.mark.parametrize("how", ["bit", "short", "empty"])
def test_a_damaged_release_is_refused_before_the_card_is_touched(
    made: Bench, tmp_path: Path, suffix: str, code: str, how: str
) -> None:
    arguments = damaged(made, tmp_path)
    (file,) = tmp_path.glob(f"*{suffix}")
    content = bytearray(file.read_bytes())
    if how == "bit":
        content[len(content) // 2] ^= 4
    file.write_bytes({"bit": bytes(content), "short": bytes(content[:-20]), "empty": b""}[how])
    target = tmp_path / "card.img"
    ran = made.tool("flash", *arguments, "--target", target, stdin="file card.img 25.2 MB\n")
    assert ran.refusal == code
    assert not target.exists()


def test_a_release_signed_by_another_key_is_refused(made: Bench, tmp_path: Path) -> None:
    other = bench(tmp_path)
    ran = made.tool("verify", other.manifest, "--key", made.folder / "keys" / "update.pub")
    assert ran.refusal == "manifest_unsigned"
    assert other.tool("verify", *other.release()).code == 0


def test_a_write_error_in_the_middle_is_told_and_never_called_a_success(made: Bench, tmp_path: Path) -> None:
    target = tmp_path / "card.img"
    ran = made.tool(
        "flash", *made.release(), "--target", target, stdin="file card.img 25.2 MB\n", limit_bytes=IMAGE_BYTES - 4096
    )
    assert ran.code == 1
    assert ran.refusal == "write_failed"
    assert ran.shown is None
    assert not any(target.read_bytes()[:512]), "a card that broke off does not look bootable"
    receipts = made.folder / "config" / "upkendra" / "receipts"
    assert not any("write_failed" in one.read_text() for one in receipts.glob("*"))


def test_a_card_that_gives_back_something_else_is_found(made: Bench, release: source.Release, tmp_path: Path) -> None:
    target = tmp_path / "card.img"
    draw = random.Random(5)
    with write.opened(target) as fd:
        with source.unpacked(release) as image:
            write.write(fd, image, release.block_map, lambda *_: None)
        write.forget_cache(fd)
        write.read_back(fd, release.block_map, lambda *_: None)
        for part in draw.sample(release.block_map.ranges, 3):
            start, length = release.block_map.span(part)
            at = start + draw.randrange(length)
            (byte,) = os.pread(fd, 1, at)
            os.pwrite(fd, bytes([byte ^ 1]), at)
            with pytest.raises(WriteFailed) as caught:
                write.read_back(fd, release.block_map, lambda *_: None)
            assert caught.value.refusal.code == "card_lies"
            os.pwrite(fd, bytes([byte]), at)
        os.ftruncate(fd, IMAGE_BYTES - 8192)  # counterfeit: smaller than it says
        with pytest.raises(WriteFailed, match="ends there"):
            write.read_back(fd, release.block_map, lambda *_: None)
    assert made.tool("verify", *made.release(), "--target", target).refusal == "card_lies"


def test_a_card_that_lies_is_not_left_looking_like_a_good_one(release: source.Release, tmp_path: Path) -> None:
    target = tmp_path / "card.img"

    def spoil(what: str, done: int, total: int) -> None:
        if what == "read back" and done < total:
            with target.open("r+b") as file:
                file.seek(IMAGE_BYTES - 100)
                file.write(b"other bytes")

    with pytest.raises(WriteFailed) as caught:
        flash.put_on(release, target, {}, spoil)
    assert caught.value.refusal.code == "card_lies"
    assert not any(target.read_bytes()[:BOOT_OFFSET]), "no machine starts from it"


@pytest.mark.root
def test_nothing_can_mount_a_card_before_the_files_are_on_it(
    release: source.Release, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "bin"
    folder.mkdir()
    with block_device(sparse(tmp_path / "card")) as device:
        tries = f"{sys.executable} -c \"import os; os.open('{device}', os.O_RDWR | os.O_EXCL)\" 2>/dev/null"
        (folder / "mcopy").write_text(f'#!/bin/sh\n{tries} && touch {tmp_path}/$$.mounted\nexec /usr/bin/mcopy "$@"\n')
        (folder / "mcopy").chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
        flash.put_on(release, device, {"a.txt": b"hello"}, lambda *_: None)
        assert not list(tmp_path.glob("*.mounted")), "it was held"
        assert fat.get(device, BOOT_OFFSET, "a.txt") == b"hello"
        assert list(tmp_path.glob("*.mounted")), "and is not any more"


@pytest.mark.root
def test_a_real_block_device_is_written_held_and_read_back(
    made: Bench, release: source.Release, tmp_path: Path
) -> None:
    backing = sparse(tmp_path / "card")
    with block_device(backing) as device:
        with write.opened(device) as fd:
            with pytest.raises(CardRefused, match="in use"), write.opened(device):
                pass
            with source.unpacked(release) as image:
                write.write(fd, image, release.block_map, lambda *_: None)
            write.forget_cache(fd)
            write.read_back(fd, release.block_map, lambda *_: None)
        assert same(made.image, backing)
        ran = made.tool("flash", *made.release(), "--target", device, stdin="anything\n")
        assert ran.refusal in ("card_dangerous", "no_such_card"), "a loop device is no card"


@pytest.mark.root
def test_a_block_device_that_fails_in_the_middle_is_told(release: source.Release, tmp_path: Path) -> None:
    room = tmp_path / "room"
    room.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", room], check=True)
    try:
        with (
            block_device(sparse(room / "card")) as device,
            write.opened(device) as fd,
            source.unpacked(release) as image,
            pytest.raises(WriteFailed) as caught,
        ):
            write.write(fd, image, release.block_map, lambda *_: None)
    finally:
        subprocess.run(["umount", room], check=True)
    assert caught.value.refusal.code == "write_failed"


def test_the_label_can_be_scanned_and_read(made: Bench, tmp_path: Path) -> None:
    out = tmp_path / "label.pdf"
    ran = made.tool(
        *("label", "--provision", provision_file(made, tmp_path), "--out", out),
        *("--place", "उप स्वास्थ्य केन्द्र, नमूनापुर — Health Sub-Centre Namunapur", "--version", "2026.11.1"),
    )
    assert ran.code == 0, ran.said
    page = pypdfium2.PdfDocument(out)[0]
    assert [round(side / 72 * 25.4) for side in page.get_size()] == [90, 60]
    (code,) = zxingcpp.read_barcodes(page.render(scale=4).to_pil())
    assert "golghar-42" in code.text
    assert "स्वास्थ्य" in code.text
    printed = page.get_textpage().get_text_range()
    assert "golghar-42" in printed
    assert "http://upkendra.lan" in printed, "the address that leads a new tablet through trusting the box"


@pytest.mark.parametrize("place", ["Namunapur " * 12, "उप स्वास्थ्य केन्द्र, नमूनापुर रामानुजपुरम् कलाँ — " * 3])
def test_the_longest_names_stay_on_one_label(place: str) -> None:
    wifi = provisioning.Wifi("M" * 32, "W" * 63)
    pdf = label.render(provisioning.Provisioning(1, "https://h.example", TOKEN, "04711000", wifi), place, "2026.11.27")
    document = pypdfium2.PdfDocument(pdf)
    assert len(document) == 1
    (code,) = zxingcpp.read_barcodes(document[0].render(scale=4).to_pil())
    assert "W" * 63 in code.text
    assert document[0].get_textpage().get_text_range().count("W") >= 63


def test_the_list_for_raspberry_pi_imager_is_made_for_the_pi_only(made: Bench, tmp_path: Path) -> None:
    assert made.tool("os-list", *made.release(), "--url", "https://x/y").refusal == "not_for_imager"
    packed = made.tool(
        *("pack", made.image, "--board", "rpi", "--version", "2026.11.1", "--made-on", "2026-11-26"),
        *("--boot-offset", str(BOOT_OFFSET), "--boot-bytes", str(8 << 20)),
        *("--signing-key", made.folder / "keys" / "update.key", "--out", tmp_path),
    )
    assert packed.code == 0, packed.said
    path = msgspec.convert(packed.shown, dict[str, str])["manifest"]
    ran = made.tool("os-list", path, *made.release()[1:], "--url", "https://example.org/upkendra.img.zst")
    (entry,) = msgspec.convert(ran.shown, dict[str, list[dict[str, object]]])["os_list"]
    assert entry["init_format"] == "none"
    assert entry["extract_size"] == IMAGE_BYTES


def test_the_same_image_is_packed_into_the_same_bytes(made: Bench, tmp_path: Path) -> None:
    again = made.tool(
        *("pack", made.image, "--board", "amd64", "--version", "2026.11.1", "--made-on", "2026-11-26"),
        *("--boot-offset", str(BOOT_OFFSET), "--boot-bytes", str(8 << 20)),
        *("--signing-key", made.folder / "keys" / "update.key", "--out", tmp_path),
    )
    assert again.code == 0
    for file in made.manifest.parent.iterdir():
        assert (tmp_path / file.name).read_bytes() == file.read_bytes(), file.name


def test_provisioning_says_what_is_wrong_and_keeps_secrets_off_the_screen(made: Bench, tmp_path: Path) -> None:
    new: list[str | Path] = ["provision", "--file", tmp_path / "x.json", "--hub", "https://hub.example.org"]
    wrong: list[tuple[list[str | Path], str, str]] = [
        ([*new, "--ssid", "क" * 11], f"{TOKEN}\ngolghar-42\n", "provision_wrong"),
        ([*new, "--ssid", "ok"], f"{TOKEN}\nshort\n", "provision_wrong"),
        ([*new, "--ssid", "ok"], "UPK1-NOPE\ngolghar-42\n", "token_malformed"),
        ([*new, "--ssid", "ok", "--time-zone", "Asia/Kathmandu"], f"{TOKEN}\ngolghar-42\n", "provision_time_zone"),
        (new, f"{TOKEN}\ngolghar-42\n", "bad_input"),
    ]
    for arguments, stdin, code in wrong:
        ran = made.tool(*arguments, stdin=stdin)
        assert ran.code == 1
        assert ran.refusal == code, ran.said
        assert not (tmp_path / "x.json").exists()
        assert "golghar" not in ran.said
    ran = made.tool(*new, "--ssid", "ok", stdin=f"{TOKEN}\n\n")
    assert ran.code == 0
    found = provisioning.parse((tmp_path / "x.json").read_bytes())
    assert len(found.wifi.passphrase) == 14, "one is made"
    assert found.wifi.passphrase not in ran.said + json.dumps(ran.shown)
    assert (tmp_path / "x.json").stat().st_mode & 0o077 == 0
    again = made.tool(*new, "--ssid", "another", stdin=f"{TOKEN}\n\n")
    assert again.refusal == "provision_exists", "what was asked for is not quietly left undone"
    assert made.tool("provision", "--file", tmp_path / "x.json").code == 0
