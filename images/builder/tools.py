"""Running the programs that images are made with, with words for what goes wrong."""

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from edge.model.errors import Fault, UpkendraError

SAID_BYTES = 3000


class BuildFailed(UpkendraError):
    """A step of the build did not work; the message quotes what the program said."""

    code = "build_failed"
    fault = Fault.STATE


def run(
    argv: Sequence[str | Path], *, env: Mapping[str, str] | None = None, stdin: bytes = b"", timeout_s: float = 1800
) -> bytes:
    """What the program printed. Raises BuildFailed."""
    words = [str(word) for word in argv]
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    try:
        done = subprocess.run(
            words,
            input=stdin,
            capture_output=True,
            check=False,
            timeout=timeout_s,
            env={**os.environ, "PATH": path, "LC_ALL": "C.UTF-8", **(env or {})},
        )
    except FileNotFoundError:
        raise BuildFailed(f"{words[0]} is not installed.", code="build_tool_missing") from None
    except subprocess.TimeoutExpired:
        raise BuildFailed(f"{words[0]} did not end in {timeout_s:.0f} seconds.") from None
    if done.returncode != 0:
        said = (done.stderr or done.stdout).decode(errors="replace")[-SAID_BYTES:]
        raise BuildFailed(f"{words[0]}: {said}")
    return done.stdout


def chroot(root: Path, *argv: str, env: Mapping[str, str] | None = None) -> bytes:
    """Run a program of the image in the image. Raises BuildFailed."""
    return run(["chroot", root, *argv], env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", **(env or {})})


def link_or_copy(source: Path, place: Path) -> None:
    """The same file at another place; a copy where that is on another disk."""
    try:
        place.hardlink_to(source)
    except OSError:
        shutil.copyfile(source, place)
