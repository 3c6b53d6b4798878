"""Carrying a stick between real processes, as a supervisor would: our own commands and a folder. Blocking."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.kits.client import Json
from tests.kits.clinic import ROOT


class Run:
    """What one courier command did."""

    def __init__(self, code: int, stdout: bytes, stderr: bytes) -> None:
        self.code = code
        self.said = stderr.decode(errors="replace")
        self.summary: dict[str, Json] = json.loads(stdout) if stdout.strip() else {}

    def count(self, name: str) -> int:
        """A number of the summary."""
        value = self.summary[name]
        assert isinstance(value, int)
        return value

    @property
    def complete(self) -> bool:
        return self.summary.get("complete") is True


def carry(
    module: str, data: Path, stick: Path, *options: str, env: Mapping[str, str] | None = None, timeout_s: float = 60
) -> Run:
    """Run ``courier`` of the node (``edge.node``) or the hub (``hub``) on a stick."""
    done = subprocess.run(
        [sys.executable, "-m", module, "courier", "--data", str(data), "--stick", str(stick), *options],
        cwd=ROOT,
        env={**os.environ, **(env or {})},
        capture_output=True,
        timeout=timeout_s,
        check=False,
    )
    return Run(done.returncode, done.stdout, done.stderr)


def files(stick: Path, folder: str) -> list[Path]:
    """Our finished files in a folder of the stick."""
    return sorted((stick / "UPKENDRA" / folder).glob("*.upk"))
