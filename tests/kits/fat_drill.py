"""What the tests of FAT do to a stick from inside: ``python -m tests.kits.fat_drill STICK WORK[, WORK …]``.

Each work prints one JSON line. ``write N SIZE [SEED]`` writes files of ours; ``read`` tells what is whole; ``clean``
deletes what is whole; ``tricks`` lays what other systems leave on a FAT.
"""

import hashlib
import json
import random
import sys
import time
from pathlib import Path

from edge.sync.bearers.usb import Stick, StickRefused
from edge.sync.bearers.usb_stick import Folder


def contents(count: int, size_bytes: int, seed: int = 1) -> list[bytes]:
    """What ``write`` writes, the same in each process."""
    draw = random.Random(seed)
    return [draw.randbytes(size_bytes) for _ in range(count)]


def name_of(raw: bytes) -> str:
    """How the drill tells contents apart."""
    return hashlib.sha256(raw).hexdigest()[:12]


def write(path: Path, raws: list[bytes]) -> dict[str, object]:
    written: list[str] = []
    code = ""
    try:
        with Stick(path, time.monotonic) as stick:
            there = {raw for _, raw in stick.scan(Folder.UP)}
            for raw in raws:
                if raw not in there:
                    stick.write(Folder.UP, raw)
                    written.append(name_of(raw))
    except StickRefused as error:
        code = error.refusal.code
    return {"written": written, "code": code}


def read(path: Path) -> dict[str, object]:
    found: list[str] = []
    code = ""
    try:
        with Stick(path, time.monotonic) as stick:
            found = [name_of(raw) for _, raw in stick.scan(Folder.UP)]
            return {"found": found, "code": code, "counts": dict(stick.counts)}
    except StickRefused as error:
        code = error.refusal.code
    return {"found": found, "code": code, "counts": {}}


def clean(path: Path, most: int) -> dict[str, object]:
    with Stick(path, time.monotonic) as stick:
        names = [name for name, _ in stick.scan(Folder.UP)][:most]
        for name in names:
            stick.delete(Folder.UP, name)
        stick.settle(Folder.UP)
    return {"deleted": len(names)}


def tricks(path: Path, raw: bytes) -> dict[str, object]:
    """Our folder in other letters, a stranger's file under the name that ``raw`` would get, names at the limits."""
    up = path / "upkendra" / "Up"
    up.mkdir(parents=True)
    name = hashlib.sha256(raw).hexdigest()[:24]
    (up / f"{name.upper()}.UPK").write_bytes(b"somebody else's")
    (up / ("n" * 251 + ".upk")).write_bytes(b"long")
    (up / "नमस्ते राम.txt").write_bytes(b"unicode")
    (up / f"{1:024x}.upk").mkdir()
    (up / f"{2:024x}.TMP").write_bytes(b"a draft of ours, as another system shows it")
    return {"names": sorted(one.name for one in up.iterdir())}


def work(path: Path, name: str, numbers: list[int]) -> dict[str, object]:
    match name:
        case "write":
            return write(path, contents(*numbers))
        case "read":
            return read(path)
        case "clean":
            return clean(path, *numbers)
        case "tricks":
            return tricks(path, contents(*numbers)[0])
    raise SystemExit(f"no such work: {name}")


def main() -> None:
    path = Path(sys.argv[1])
    for one in " ".join(sys.argv[2:]).split(","):
        name, *numbers = one.split()
        print(json.dumps(work(path, name, [int(number) for number in numbers])), flush=True)


if __name__ == "__main__":
    main()
