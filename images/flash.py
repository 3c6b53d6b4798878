"""The whole way of a card: check, ask, write, read back, provision, receipt. What the technician sees is here."""

import hashlib
import secrets
import sys
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from msgspec import Struct, structs

from edge.model import provisioning
from edge.sync import seal

from . import bmap, cards, fat, receipt, source, write
from .errors import CardRefused

REPORT_EVERY_S = 0.5


class Meter:
    """Progress on stderr: percent, rate, time left. A line rewritten on a terminal, a line for each tenth elsewhere."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._what = ""
        self._began_s = self._said_s = 0.0
        self._tenth = -1
        self._terminal = sys.stderr.isatty()

    def __call__(self, what: str, done: int, total: int) -> None:
        now_s = self._clock()
        if what != self._what:
            self._what, self._began_s, self._said_s, self._tenth = what, now_s, 0.0, -1
        whole = done >= total
        if self._terminal:
            if now_s - self._said_s >= REPORT_EVERY_S or whole:
                self._said_s = now_s
                end = "\n" if whole else ""
                print(f"\r{_line(what, done, total, now_s - self._began_s):<60}", end=end, file=sys.stderr, flush=True)
        elif done * 10 // max(total, 1) > self._tenth:
            self._tenth = done * 10 // max(total, 1)
            print(_line(what, done, total, now_s - self._began_s), file=sys.stderr, flush=True)


def _line(what: str, done: int, total: int, took_s: float) -> str:
    percent = 100 * done // max(total, 1)
    rate = done / took_s if took_s > 0 else 0.0
    left_s = (total - done) / rate if rate > 0 else 0.0
    left = "" if rate <= 0 else f"{left_s:.0f} s left" if left_s < 120 else f"{left_s / 60:.0f} min left"
    return f"{what:>9} {percent:3d} %  {rate / 1e6:6.1f} MB/s  {left}"


class Flashed(Struct, frozen=True):
    """What was done. ``receipt``: its file."""

    card: str
    version: str
    board: str
    written_bytes: int
    took_s: float
    provisioned: bool
    receipt: str


class Card(Struct, frozen=True):
    """What is written to: a card, or a new file."""

    path: Path
    label: str
    serial: str
    size_bytes: int


def card_of(path: Path, image_bytes: int) -> Card:
    """The target, if it may be written. Raises CardRefused."""
    if path.is_block_device():
        block = cards.choose(cards.look(), str(path.resolve()), image_bytes)
        return Card(Path(block.path), block.label, block.serial or "", block.size)
    if path.exists():
        raise CardRefused(
            f"{path} is there already and is no card. A file to write to must not exist yet.", code="target_exists"
        )
    return Card(path, f"file {path.name} {cards.size_text(image_bytes)}", "", image_bytes)


def confirm(card: Card, ask: Callable[[str], str]) -> None:
    """Let the person type what is written on the card. Raises CardRefused."""
    typed = ask(f"All that is on {card.path} is lost. To go on, type: {card.label}\n> ")
    if " ".join(typed.split()).casefold() != card.label.casefold():
        raise CardRefused("That is not what was asked for. Nothing was written.", code="not_confirmed")


def put_on(release: source.Release, path: Path, files: Mapping[str, bytes], meter: source.Progress) -> None:
    """Image and files on the card, both read back. What ends it in between leaves a card that starts nothing.

    The card is held up to the end: a laptop that mounts what it finds would write to the same file system.
    Raises CardRefused, ImageRefused, WriteFailed, OSError.
    """
    with write.opened(path) as fd:
        try:
            with source.unpacked(release) as image:
                write.write(fd, image, release.block_map, meter)
            write.forget_cache(fd)
            write.read_back(fd, release.block_map, meter)
            for name, content in files.items():
                fat.put(path, release.manifest.boot_offset_bytes, content, name)
        except BaseException:
            write.empty(fd, release.block_map.image_bytes)
            raise


def flash(
    release: source.Release,
    target: Path,
    files: Mapping[str, bytes | None],
    ask: Callable[[str], str],
    keys: Path,
    meter: source.Progress,
) -> Flashed:
    """Write a release to a card. ``files``: what is put on it, by name. ``keys``: folder of this laptop's key.

    Raises ImageRefused, CardRefused, BadInput, WriteFailed, OSError.
    """
    content = files.get(provisioning.FILE_NAME)
    wanted = provisioning.parse(content) if content is not None else None
    card = card_of(target, release.manifest.image.size_bytes)
    private = receipt.key_of(keys)
    source.check(release, meter)
    confirm(card, ask)
    if card_of(target, release.manifest.image.size_bytes) != card:
        raise CardRefused("The card was changed meanwhile. Nothing was written; begin again.", code="card_changed")
    began_s = time.monotonic()
    put_on(release, card.path, {name: one for name, one in files.items() if one is not None}, meter)
    took_s = time.monotonic() - began_s
    token = hashlib.sha256(wanted.token.encode()).hexdigest()[:16] if wanted else ""
    paper = receipt.Receipt(
        receipt.FORMAT,
        datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        release.manifest.board,
        release.manifest.version,
        release.manifest_sha256,
        card.label,
        card.serial,
        card.size_bytes,
        release.block_map.mapped_bytes,
        round(took_s, 1),
        wanted.hub if wanted else "",
        token,
        seal.verifier_of(private).hex(),
    )
    path = keys / "receipts" / f"{paper.flashed_at.replace(':', '')}-{secrets.token_hex(4)}.json"
    path.parent.mkdir(exist_ok=True, mode=0o700)
    path.write_bytes(receipt.encode(paper, private))
    return Flashed(
        card.label,
        release.manifest.version,
        release.manifest.board,
        release.block_map.mapped_bytes,
        round(took_s, 1),
        wanted is not None,
        str(path),
    )


class Compared(Struct, frozen=True):
    """What :func:`verify_card` read. ``left_out_bytes``: of the boot partition, where the provisioning file is put."""

    version: str
    compared_bytes: int
    left_out_bytes: int


def verify_card(release: source.Release, target: Path, meter: source.Progress, *, whole: bool) -> Compared:
    """Compare a flashed card, before its first boot, with the release. Raises WriteFailed, OSError.

    ``whole``: the boot partition too, as it is before a provisioning file is put there.
    """
    about, full = release.manifest, release.block_map
    end = about.boot_offset_bytes + about.boot_bytes

    def is_left_out(part: bmap.Range) -> bool:
        start, length = full.span(part)
        return not whole and start < end and start + length > about.boot_offset_bytes

    compared = structs.replace(full, ranges=tuple(part for part in full.ranges if not is_left_out(part)))
    with target.open("rb") as card:
        write.forget_cache(card.fileno())
        write.read_back(card.fileno(), compared, meter)
    return Compared(about.version, compared.mapped_bytes, full.mapped_bytes - compared.mapped_bytes)
