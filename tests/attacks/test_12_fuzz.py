"""Attack 12 of SEALING.md: a fixed corpus, mutated, through every parser, in a process with bounded memory.

CI runs a fixed number of seeded mutations; ``--long`` runs for five minutes. Each parser must end in a value or a typed
refusal. ``RLIMIT_AS`` gives the process 64 MB above what it has when the parsers are loaded.
"""

import hashlib
import json
import os
import random
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

import msgspec
import pytest

from edge.model.errors import UpkendraError
from edge.sync import (
    bundle,
    courier,
    enrol,
    frames,
    holdings,
    hubkey,
    inbox,
    log,
    release,
    revocation,
    seal,
    signals,
    sms,
)
from tests.sync.kit import Keyring

ROOT = Path(__file__).parents[2]
VECTORS = ROOT / "tests" / "vectors"
MEMORY_BYTES = 64 << 20
ROUNDS = 4_000
LONG_S = 300


@cache
def corpus() -> list[bytes]:
    """Every hexadecimal field of every vector, bombs, and lies about lengths."""
    found: list[bytes] = []
    for path in sorted(VECTORS.glob("*.json")):
        _collect(json.loads(path.read_text()), found)
    bomb = bundle.compress(bytes(64 << 20))
    found.append(seal.pad(bytes((1, 0)) + len(bomb).to_bytes(3, "big") + bomb))
    found.append(b"\x01\x00\xff\xff\xff" + bytes(27))
    found.append(msgspec.msgpack.encode([1] * 1000))
    found.append(b"\xdd\xff\xff\xff\xff")
    found.append(b"\xc6\xff\xff\xff\xff")
    found.append(b"\x91" * 5_000)
    return found


def _collect(value: object, into: list[bytes]) -> None:
    if isinstance(value, dict):
        for one in value.values():
            _collect(one, into)
    elif isinstance(value, list):
        for one in value:
            _collect(one, into)
    elif isinstance(value, str) and len(value) >= 16:
        try:
            into.append(bytes.fromhex(value))
        except ValueError:
            return


def mutate(draw: random.Random, data: bytes, other: bytes) -> bytes:
    """A few small harms."""
    body = bytearray(data)
    for _ in range(draw.randint(0, 4)):
        match draw.randrange(6):
            case 0 if body:
                body[draw.randrange(len(body))] ^= 1 << draw.randrange(8)
            case 1 if body:
                body[draw.randrange(len(body))] = draw.choice((0, 0x7F, 0x80, 0xC0, 0xDD, 0xFF))
            case 2:
                del body[draw.randrange(len(body) + 1) :]
            case 3:
                place = draw.randrange(len(body) + 1)
                body[place:place] = draw.randbytes(draw.randint(1, 16))
            case 4 if other:
                start = draw.randrange(len(other))
                body += other[start : start + draw.randint(1, 200)]
            case _:
                body = bytearray(draw.choice((b"\x01", b"\x02", b"\x05", b"\x07", b"UPKC\x01"))) + body
    return bytes(body)


def _whole(data: bytes) -> bytes:
    """A file of a stick with a sum that fits, of any kind: what the sum keeps away from the readers behind it."""
    raw = courier.MAGIC + bytes((courier.VERSION, data[0] % 8 if data else 0)) + data[1:]
    return raw + hashlib.sha256(raw).digest()[: courier.SUM_BYTES]


def parsers() -> dict[str, Callable[[bytes], object]]:
    """Everything that reads what others wrote."""
    keys = Keyring()
    epoch = seal.Epoch.new(keys.node, bytes(8), bytes(32), seal.Grade.LOG, keys.log)
    opened = seal.open_opening(epoch.opening, keys.hub, keys.record)
    public = seal.verifier_of(keys.sign)
    return {
        "opening": lambda data: seal.open_opening(data, keys.hub, keys.record),
        "bundle": opened.open_bundle,
        "payload": bundle.unpack,
        "authentic bundle": lambda data: inbox.judge(opened.open_bundle(epoch.seal_bundle(data)), seal.Grade.LOG, None),
        "packet up": opened.open_packet,
        "packet down": epoch.open_packet,
        "frames": frames.decode,
        "entry": log.decode_entry,
        "down": lambda data: seal.open_down(data, keys.node_id, keys.records, public),
        "stick": courier.parse,
        "whole file of a stick": lambda data: courier.parse(_whole(data)),
        "list of what is revoked": revocation.parse_list,
        "release": release.parse_release,
        "sms": lambda data: sms.open_sms(keys.node.psk, sms.Way.UP, data),
        "signal": signals.unpack_signal,
        "holdings": holdings.decode,
        "hub key": lambda data: hubkey.decode(data, data[1:5], [data[5:13]]),
        "enrolment": lambda data: enrol.open_request(data, keys.hub),
    }


def fuzz(seed: int, rounds: int, seconds: float) -> tuple[int, list[str]]:
    """Run; how many inputs, and what ended in anything but a value or a refusal."""
    draw, seeds, readers = random.Random(seed), corpus(), parsers()
    bad: list[str] = []
    count = 0
    end_s = time.monotonic() + seconds
    while count < rounds or time.monotonic() < end_s:
        data = mutate(draw, draw.choice(seeds), draw.choice(seeds))
        count += 1
        for name, read in readers.items():
            try:
                read(data)
            except UpkendraError:
                pass
            except Exception as error:
                bad.append(f"{name}: {type(error).__name__} for {data[:200].hex()}")
        if len(bad) > 20:
            break
    return count, bad


def limit_memory() -> None:
    """64 MB above what the process has now."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * os.sysconf("SC_PAGE_SIZE") + MEMORY_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def run(seed: int, rounds: int, seconds: float) -> None:
    code = "from tests.attacks import test_12_fuzz as t; import json; p = t.parsers(); t.corpus(); t.limit_memory(); "
    code += f"print(json.dumps(t.fuzz({seed}, {rounds}, {seconds})))"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, timeout=seconds + 240, check=False
    )
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    count, bad = json.loads(done.stdout)
    assert bad == []
    assert count >= rounds


@pytest.mark.timeout(260)
def test_12_a_fixed_corpus_of_hostile_bytes_is_refused_in_bounded_memory() -> None:
    run(1, ROUNDS, 0)


@pytest.mark.long
@pytest.mark.timeout(LONG_S + 300)
def test_12_five_minutes_of_hostile_bytes_are_refused_in_bounded_memory() -> None:
    run(random.randrange(1 << 30), ROUNDS, LONG_S)


def test_every_test_in_the_table_of_attacks_is_there() -> None:
    text = (ROOT / "docs" / "threat-model.md").read_text().partition("## The fourteen attacks")[2].partition("\n## ")[0]
    rows = [line for line in text.splitlines() if line.startswith("| ") and line[2].isdigit()]
    assert [int(line[2:].split()[0]) for line in rows] == list(range(1, 15))
    for line in rows:
        named = [word for word in line.split("`") if word.startswith("tests/")]
        assert named, line
        for path in named:
            text = (ROOT / path).read_text()
            assert "def test_" in text or "TestCase" in text, path
