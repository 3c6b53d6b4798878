"""Which application the panel board is to run: signed images, the last good one, and what to do about a board that
sits in its loader.

The board heals itself from power cuts but cannot tell a good application from a bad one for longer than three
starts: then it waits in the loader, and this policy gives it the last good application back. Knows no port; the
time is an argument. Only :class:`ImageStore` touches files.
"""

import contextlib
import os
from enum import StrEnum
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from msgspec import Struct

from edge.model.errors import UpkendraError

from .panel import Image, ImageError
from .panel_protocol import Identity

MAGIC = b"UPKF1\0"
SIGNATURE_BYTES = 64
HEADER_BYTES = len(MAGIC) + 2
PROVEN_AFTER_S = 10.0
"""An application that has answered for so long without a gap is the good one from now on."""
AGAIN_AFTER_S = 5.0
"""After an upload that failed for the line's sake."""
WANTED_TRIES = 2


class ImageRefused(UpkendraError):
    """This firmware image is not signed by the release key, or is damaged. Nothing was changed."""

    code = "image_refused"


class SignedImage(Struct, frozen=True):
    """``UPKF1\\0 ‖ version (2 B, little-endian) ‖ application ‖ Ed25519 signature of all before``."""

    image: Image
    raw: bytes

    @classmethod
    def sign(cls, image: Image, private: bytes) -> "SignedImage":
        """Sign an application with the release key (32 B). Raises ImageError."""
        image.check()
        body = MAGIC + image.version.to_bytes(2, "little") + image.data
        return cls(image, body + Ed25519PrivateKey.from_private_bytes(private).sign(body))

    @classmethod
    def verify(cls, raw: bytes, public: bytes) -> "SignedImage":
        """The image in a file, checked against the release key (32 B). Raises ImageRefused."""
        body, signature = raw[:-SIGNATURE_BYTES], raw[-SIGNATURE_BYTES:]
        if len(raw) < HEADER_BYTES + SIGNATURE_BYTES or not body.startswith(MAGIC):
            raise ImageRefused("This file is no firmware image of Upkendra.")
        try:
            Ed25519PublicKey.from_public_bytes(public).verify(signature, body)
        except (InvalidSignature, ValueError):
            raise ImageRefused("The image is not signed by the release key.") from None
        image = Image(body[HEADER_BYTES:], int.from_bytes(body[len(MAGIC) : HEADER_BYTES], "little"))
        try:
            image.check()
        except ImageError as error:
            raise ImageRefused(str(error)) from None
        return cls(image, raw)


class ImageStore:
    """``good.img``, ``wanted.img`` and ``release.pub`` (64 hexadecimal digits) in a folder. Blocking."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def public(self) -> bytes:
        """The release key. Raises ImageRefused when none was installed."""
        with contextlib.suppress(OSError, ValueError):
            key = bytes.fromhex((self.folder / "release.pub").read_text().strip())
            if len(key) == 32:
                return key
        raise ImageRefused("No release key is installed here (release.pub).", code="no_release_key")

    def load(self, name: str) -> Image | None:
        """An image that is there and whose signature holds, else None."""
        try:
            return SignedImage.verify((self.folder / f"{name}.img").read_bytes(), self.public()).image
        except (OSError, ImageRefused):
            return None

    def check(self, raw: bytes, running_version: int = 0, *, older: bool = False) -> SignedImage:
        """The signed image, when it may be installed: not one older than what is known to be good or to run, unless
        that is wanted (``older``). Raises ImageRefused.
        """
        signed = SignedImage.verify(raw, self.public())
        good = self.load("good")
        newest = max(running_version, good.version if good is not None else 0)
        if signed.image.version < newest and not older:
            raise ImageRefused(
                f"This is version {signed.image.version}; {newest} is in use. Say --older to go back.",
                code="image_older",
            )
        return signed

    def want(self, raw: bytes, *, older: bool = False) -> Image:
        """Keep an image for the next update, durably, once :meth:`check` lets it pass. Raises ImageRefused."""
        signed = self.check(raw, older=older)
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh = self.folder / "wanted.img.new"
        with fresh.open("wb") as file:
            file.write(raw)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self.folder / "wanted.img")
        self._sync()
        return signed.image

    def promote(self) -> None:
        """The wanted image has proven itself: it is the good one."""
        (self.folder / "wanted.img").replace(self.folder / "good.img")
        self._sync()

    def discard(self) -> None:
        """The wanted image is bad; it is kept aside as ``refused.img`` for whoever asks why."""
        (self.folder / "wanted.img").replace(self.folder / "refused.img")
        self._sync()

    def _sync(self) -> None:
        descriptor = os.open(self.folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


class Holds:
    """``hold`` and ``held`` in a folder: whoever updates the node's system asks by the first that the board does not
    power-cycle a silent node, and the serving node says by the second that the board knows. The board lets go by
    itself after an hour. Blocking.
    """

    def __init__(self, folder: Path) -> None:
        self._hold, self._held = folder / "hold", folder / "held"

    def wanted(self) -> bool:
        return self._hold.exists()

    def held(self) -> bool:
        return self._held.exists()

    def ask(self, wanted: bool) -> None:
        """Ask for it, or no more."""
        self._set(self._held, False)
        self._set(self._hold, wanted)

    def confirm(self, held: bool) -> None:
        self._set(self._held, held)

    @staticmethod
    def _set(path: Path, there: bool) -> None:
        if there:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.touch()
        else:
            path.unlink(missing_ok=True)


class Verdict(StrEnum):
    """What is to be done with the files."""

    PROMOTE = "promote"
    DISCARD = "discard"


class UpdatePolicy:
    """Decides what to upload. Feed it with what the session says; ask :meth:`next_upload` after each step."""

    def __init__(self, good: Image | None, wanted: Image | None) -> None:
        self.good, self.wanted = good, wanted
        self._running: Image | None = None
        self._tries = 0
        self._not_before = 0.0
        self._answers_since: float | None = None
        self._restarts = 0
        self._bad_crc: int | None = None
        self._identity: Identity | None = None

    def want(self, image: Image) -> None:
        """There is a new application."""
        self.wanted, self._tries, self._not_before, self._bad_crc = image, 0, 0.0, None

    def found(self, identity: Identity, now: float) -> None:
        """The board has said who it is."""
        self._identity = identity
        self._answers_since = now if identity.mode == 0 else None

    def lost(self, now: float) -> Verdict | None:
        """The board fell silent. A new application that does so before it has proven itself is a bad one."""
        trial = self._answers_since is not None and self._runs(self.wanted)
        self._identity, self._answers_since = None, None
        return self._condemn() if trial else None

    def restarted(self) -> Verdict | None:
        """The board says that its processor restarted: once after an update is right, twice is a bad application."""
        self._restarts += 1
        return self._condemn() if self._restarts > 1 and self._runs(self.wanted) else None

    def alive(self, now: float) -> Verdict | None:
        """The application has answered a heartbeat."""
        if self._answers_since is None or now - self._answers_since < PROVEN_AFTER_S or not self._runs(self.wanted):
            return None
        self.good, self.wanted = self.wanted, None
        return Verdict.PROMOTE

    def next_upload(self, now: float) -> Image | None:
        """What to upload now, or None. The caller uploads it and tells :meth:`ended`."""
        if self._running is not None or self._identity is None or now < self._not_before:
            return None
        if self.wanted is not None and not self._runs(self.wanted):
            self._running = self.wanted
        elif self._identity.mode == 1:
            self._running = self.wanted or self.good
        elif self._identity.app_crc == self._bad_crc and not self._runs(self.good):
            self._running = self.good
        if self._running is not None:
            self._restarts = 0
        return self._running

    def ended(self, ok: bool, now: float) -> Verdict | None:
        """The upload that was asked for has ended."""
        ran, self._running = self._running, None
        if ok:
            self._not_before = 0.0
            return None
        if ran is not None and ran is self.wanted:
            self._tries += 1
            if self._tries >= WANTED_TRIES or (self._identity is not None and self._identity.app_crc == ran.crc):
                return self._condemn()
        self._not_before = now + AGAIN_AFTER_S
        return None

    def _runs(self, image: Image | None) -> bool:
        return (
            image is not None
            and self._identity is not None
            and self._identity.mode == 0
            and self._identity.app_crc == image.crc
        )

    def _condemn(self) -> Verdict:
        self._bad_crc = self.wanted.crc if self.wanted is not None else None
        self.wanted, self._tries, self._not_before = None, 0, 0.0
        return Verdict.DISCARD
