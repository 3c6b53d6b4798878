"""A thousand strangers who connect and say nothing: a process of ours bounds what each costs."""

import subprocess
import sys

from tests.kits.clinic import ROOT

CROWD = """
import asyncio, resource, socket, ssl, sys
from pathlib import Path
from edge.web import process
from hub import keys

resource.setrlimit(resource.RLIMIT_NOFILE, (256, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
process.prepare()

def size_kib():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() // 1024

async def main():
    folder = Path(sys.argv[1])
    keys.init_keys(folder)
    context = keys.load_keys(folder).tls_context()
    server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0, ssl=context)
    address, before = server.sockets[0].getsockname(), size_kib()
    crowd = []
    for _ in range(400):
        one = socket.socket()
        one.setblocking(False)
        one.connect_ex(address)
        crowd.append(one)
        await asyncio.sleep(0)
    while len(list(Path("/proc/self/fd").iterdir())) < 800:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.1)
    print(*resource.getrlimit(resource.RLIMIT_NOFILE), (size_kib() - before) // 400)

asyncio.run(main())
"""


def test_a_process_that_serves_takes_many_silent_connections_and_little_memory_for_each(tmp_path: object) -> None:
    told = subprocess.run(
        [sys.executable, "-c", CROWD, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    files, hard, each_kib = map(int, told.stdout.split())
    assert files == min(hard, 65_536) or hard < 0
    assert each_kib < 128
