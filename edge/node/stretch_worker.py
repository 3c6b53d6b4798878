"""The helper process of :mod:`edge.node.stretch`: Argon2id of one PIN, then its end.

Run by its path with ``python -I -S`` and the parent's module path as its only argument, so that nothing
but Argon2's own binding is loaded: a nurse waits for each millisecond of its start. One JSON line
``{"pin", "salt", "passes", "memory_kib", "lanes", "length"}`` on stdin, the result as hex on stdout.
Imports nothing of this project; knows no files and keeps nothing.
"""

import json
import os
import sys


def main() -> None:
    """Answer the one request on stdin."""
    sys.path.extend(sys.argv[1].split(os.pathsep))
    from argon2.low_level import Type, hash_secret_raw

    request = json.loads(sys.stdin.buffer.read())
    stretched = hash_secret_raw(
        request["pin"].encode(),
        bytes.fromhex(request["salt"]),
        time_cost=request["passes"],
        memory_cost=request["memory_kib"],
        parallelism=request["lanes"],
        hash_len=request["length"],
        type=Type.ID,
    )
    sys.stdout.write(stretched.hex())


if __name__ == "__main__":
    main()
