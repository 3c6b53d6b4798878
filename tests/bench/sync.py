"""What sync costs on bad links, with plain tools beside it on the same emulated link and the same seeds."""

import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.bench.consultations import as_json, load_corpus
from tests.bench.rows import Row, at_most
from tests.kits.link import Link, LinkSpec
from tests.sync.test_bearers import certificate

DEFINITIONS = """\
bytes: IP bytes that used the line, both ways, lost ones too, until one second after the last acknowledgement
seconds: from the first packet's call to the last durable acknowledgement at the sender; both sides fsync before it
50: fixed corpus tests/bench/data, whole visits of eleven entries, wording that no dictionary was trained on
cold: a fresh process with nothing but its keys; warm: the link was idle for three seconds; medians over seeds
urgent: from submit to durable at the hub (one clock), every 4 s while 5 MB of photos are under way"""
QUICK_SEEDS, SEEDS, PEER_SEEDS = 2, 20, 5
TAIL_S = 1.0


class Stand:
    """One link with our hub or a peer's server on its right side."""

    def __init__(self, spec: LinkSpec, server: str) -> None:
        self._spec, self._server = spec, server

    def __enter__(self) -> "Stand":
        self._temporary = tempfile.TemporaryDirectory()
        self.folder = Path(self._temporary.name)
        self.link = Link(self._spec).__enter__()
        if self._server == "https-server":
            certificate(self.folder, "hub")
        if self._server == "sshd":
            self._sshd()
        else:
            command = [sys.executable, "-m", "tests.bench.sync_peers", self._server, str(self.folder)]
            self.server = self.link.right.popen(command, stdout=subprocess.PIPE)
            assert self.server.stdout is not None
            self.server.stdout.readline()
        return self

    def __exit__(self, *_: object) -> None:
        self.link.__exit__(None, None, None)
        self._temporary.cleanup()

    def _sshd(self) -> None:
        for name in ("host", "user"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.folder / name)], check=True)
        shutil.copy(self.folder / "user.pub", self.folder / "authorized")
        self.folder.chmod(0o700)
        Path("/run/sshd").mkdir(exist_ok=True)
        options = ["Port=22", f"HostKey={self.folder}/host", f"AuthorizedKeysFile={self.folder}/authorized"]
        options += ["StrictModes=no", "UsePAM=no", "PermitRootLogin=yes", "PidFile=none"]
        self.server = self.link.right.popen(
            ["/usr/sbin/sshd", "-D", *(part for option in options for part in ("-o", option))]
        )
        time.sleep(0.5)

    def bytes_now(self) -> int:
        stats = self.link.stats()
        return stats.uplink.sent_bytes + stats.downlink.sent_bytes

    def client(self, what: str, work: str) -> tuple[float, int, dict[str, float]]:
        """Run a client on the left side: seconds, bytes, and when what was sent."""
        command = [sys.executable, "-m", "tests.bench.sync_peers", what, work]
        client = self.link.left.popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert client.stdin is not None and client.stdout is not None
        before = 0
        if work == "warm":
            client.stdout.readline()
            before = self.bytes_now()
            client.stdin.write(b"\n")
            client.stdin.flush()
        said = json.loads(client.stdout.readline())
        time.sleep(TAIL_S)
        return float(said["seconds"]), self.bytes_now() - before, said.get("sent", {})

    def rsync(self) -> tuple[float, int]:
        """rsync -z of one JSON file a visit over ssh, keys exchanged before."""
        source, target = self.folder / "from", self.folder / "to"
        source.mkdir()
        for number, one in enumerate(load_corpus()):
            (source / f"{number:03d}.json").write_bytes(as_json([one]))
        ssh = f"ssh -i {self.folder}/user -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR"
        began = time.monotonic()
        done = self.link.left.run(
            ["rsync", "-rz", "--fsync", "-e", ssh, f"{source}/", f"root@{self.link.right.address}:{target}/"],
            timeout_s=300,
        )
        took_s = time.monotonic() - began
        if done.returncode != 0:
            raise RuntimeError(f"rsync: {done.stderr.decode()[:200]}")
        return took_s, self.bytes_now()


def fifty(seed: int) -> LinkSpec:
    return LinkSpec.both(rate_kbps=32, rtt_ms=1000, loss_pct=3, seed=seed)


def one(seed: int) -> LinkSpec:
    return LinkSpec.both(rate_kbps=64, rtt_ms=600, seed=seed)


def busy(seed: int) -> LinkSpec:
    return LinkSpec.both(rate_kbps=64, rtt_ms=600, loss_pct=1, seed=seed)


def repeat(
    spec: Callable[[int], LinkSpec], server: str, what: str, work: str, seeds: int
) -> tuple[list[float], list[int]]:
    """Sorted seconds and bytes over the seeds."""
    seconds, sizes = [], []
    for seed in range(1, seeds + 1):
        with Stand(spec(seed), server) as stand:
            took_s, size, _ = stand.client(what, work)
        seconds.append(took_s)
        sizes.append(size)
    return sorted(seconds), sorted(sizes)


def urgent() -> list[float]:
    """Seconds of each urgent visit beside the bulk, sorted."""
    with Stand(busy(1), "hub") as stand:
        _, _, sent = stand.client("node", "urgent")
        time.sleep(3)
        stand.server.terminate()
        assert stand.server.stdout is not None
        durable = {line["bundle"]: line["at"] for line in map(json.loads, stand.server.stdout)}
    return sorted(durable.get(name, float("inf")) - said for name, said in sent.items())


def against(name: str, ours: float, unit: str, peer: float, factor: float) -> Row:
    """A peer's figure over ours, which should be at least ``factor``."""
    ratio = round(peer / ours, 2)
    return Row(name, round(ours, 2), unit, round(peer, 2), round(ours / peer, 3), factor, ratio >= factor)


def run(*, quick: bool = False) -> list[Row]:
    """Measure; prints what the figures mean."""
    print(DEFINITIONS, file=sys.stderr)
    seeds = QUICK_SEEDS if quick else SEEDS
    peer_seeds = QUICK_SEEDS if quick else PEER_SEEDS
    seconds, sizes = repeat(fifty, "hub", "node", "batch", seeds)
    batch_s, batch_bytes = repeat(fifty, "https-server", "https", "batch", peer_seeds)
    middle_s, middle = statistics.median(seconds), statistics.median(sizes)
    rows = [
        at_most("50 visits cold, one bundle", middle, "B", 8_500),
        at_most("50 visits cold, one bundle, median", middle_s, "s", 3.3),
        at_most("50 visits cold, one bundle, 95th percentile", seconds[int(len(seconds) * 0.95)], "s", 6),
        against("50 visits, fewer bytes than the gzip batch by", middle, "B", statistics.median(batch_bytes), 1.5),
        against("50 visits, faster than the gzip batch by", middle_s, "s", statistics.median(batch_s), 1.7),
    ]
    for work, goal in (("warm", 560), ("cold", 750)):
        took, cost = repeat(one, "hub", "node", work, QUICK_SEEDS if quick else PEER_SEEDS)
        rows.append(at_most(f"one visit {work}, 64 kbit/s, 600 ms", statistics.median(cost), "B", goal))
        rows.append(at_most(f"one visit {work}, until acknowledged", statistics.median(took), "s", 1.2))
    if quick:
        return rows
    seconds, sizes = repeat(fifty, "hub", "node", "each", peer_seeds)
    rows += [
        Row("50 visits cold, a bundle a visit", statistics.median(sizes), "B"),
        Row("50 visits cold, a bundle a visit, median", round(statistics.median(seconds), 2), "s"),
    ]
    seconds, sizes = repeat(fifty, "https-server", "https", "each", 2)
    rows += [
        Row("50 visits, HTTPS keep-alive, gzip each", statistics.median(sizes), "B"),
        Row("50 visits, HTTPS keep-alive, median of 2", round(statistics.median(seconds), 2), "s"),
    ]
    if shutil.which("rsync") and Path("/usr/sbin/sshd").exists():
        with Stand(fifty(1), "sshd") as stand:
            took_s, size = stand.rsync()
        rows += [
            Row("50 visits, rsync -z over ssh", size, "B"),
            Row("50 visits, rsync, one run", round(took_s, 2), "s"),
        ]
    waits = urgent()
    return [
        *rows,
        at_most("urgent visit beside 5 MB, median", statistics.median(waits), "s", 1.5),
        at_most("urgent visit beside 5 MB, 95th percentile", waits[int(len(waits) * 0.95)], "s", 2.5),
    ]
