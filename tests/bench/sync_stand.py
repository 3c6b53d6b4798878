"""One emulated link with our hub or a peer's server on its right side; clients run on the left."""

import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.bench.consultations import as_json, load_corpus
from tests.kits.link import Link, LinkSpec
from tests.sync.test_bearers import certificate

TAIL_S = 1.0
"""Bytes are counted until so long after the last acknowledgement."""


class Stand:
    """One link with our hub or a peer's server on its right side."""

    def __init__(self, spec: LinkSpec, server: str) -> None:
        self._spec, self._server = spec, server

    def __enter__(self) -> "Stand":
        self._temporary = tempfile.TemporaryDirectory()
        self.folder = Path(self._temporary.name)
        self.link = Link(self._spec).__enter__()
        if self._server != "sshd":
            _, self.fingerprint = certificate(self.folder, "hub")
        if self._server == "sshd":
            self._sshd()
        else:
            program = "sync_peers" if self._server in ("hub", "wss-hub", "https-server") else "sync_long_ends"
            command = [sys.executable, "-m", f"tests.bench.{program}", self._server, str(self.folder)]
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
        if work.startswith("warm"):
            client.stdout.readline()
            before = self.bytes_now()
            client.stdin.write(b"\n")
            client.stdin.flush()
        said = json.loads(client.stdout.readline())
        time.sleep(TAIL_S)
        return float(said["seconds"]), self.bytes_now() - before, said.get("sent", {})

    def end(self, *command: str, start: Callable[[], None] = lambda: None) -> dict[str, float]:
        """Run a program of ``sync_long_ends`` on the left side; ``start`` is called at the moment when it begins."""
        argv = [sys.executable, "-m", "tests.bench.sync_long_ends", *command]
        child = self.link.left.popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert child.stdin is not None and child.stdout is not None
        child.stdout.readline()
        start()
        child.stdin.write(b"\n")
        child.stdin.flush()
        return dict(json.loads(child.stdout.readline()))

    def rsync(self) -> tuple[float, int]:
        """rsync -z of one JSON file a visit over ssh, keys exchanged before."""
        source = self.folder / "from"
        source.mkdir()
        for number, one in enumerate(load_corpus()):
            (source / f"{number:03d}.json").write_bytes(as_json([one]))
        began = time.monotonic()
        done = self.link.left.run(self.rsync_command(source, "-rz"), timeout_s=300)
        took_s = time.monotonic() - began
        if done.returncode != 0:
            raise RuntimeError(f"rsync: {done.stderr.decode()[:200]}")
        return took_s, self.bytes_now()

    def rsync_command(self, source: Path, *options: str) -> Sequence[str]:
        """Copy a folder to the right side, fsynced there; arrives in ``self.folder / "to"``."""
        ssh = f"ssh -i {self.folder}/user -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR"
        target = f"root@{self.link.right.address}:{self.folder}/to/"
        return ["rsync", *options, "--fsync", "-e", ssh, f"{source}/", target]
