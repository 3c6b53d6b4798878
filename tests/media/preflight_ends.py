"""The check before a call, on the real way: a hub's endpoint on the right of a link, a node's on the left.

``python -m tests.media.preflight_ends RATE_KBPS RTT_MS LOSS_PCT [TIMES]`` prints a line of JSON for each. Needs root.
"""

import asyncio
import secrets
import subprocess
import sys
import time
from pathlib import Path

from msgspec import json

from edge.media.preflight import Devices, Verdict
from edge.node.preflight import Found, Preflight
from edge.sync import seal
from edge.sync.bearers.runner import HubRunner, NodeRunner
from edge.sync.endpoint import HubEndpoint, NodeEndpoint
from edge.sync.link import HubEvent, NodeEvent
from edge.sync.trains import Plan, TrainTold
from tests.kits.link import Link, LinkSpec
from tests.sync.kit import Keyring

_ROOT = Path(__file__).parents[2]
_KEYS = Keyring()
_LOOK_S = 0.02


async def hub(host: str) -> None:
    """Serve for ever; says its port first."""

    async def heard(event: HubEvent) -> None:
        return None

    now = time.monotonic()
    endpoint = HubEndpoint(_KEYS.hub, _KEYS, now, unix_offset_s=time.time() - now, random=secrets.token_bytes)
    runner = HubRunner(endpoint, (host, 0), heard)
    await runner.start()
    print(runner.udp_port, flush=True)
    await asyncio.Event().wait()


class Lateness:
    """How late this process was for what it meant to do, summed: what a busy machine adds to every time."""

    def __init__(self) -> None:
        self.late_s = 0.0
        self._watching = asyncio.create_task(self._watch())

    async def _watch(self) -> None:
        while True:
            before_s = time.monotonic()
            await asyncio.sleep(_LOOK_S)
            self.late_s += max(time.monotonic() - before_s - _LOOK_S, 0.0)

    def stop(self) -> None:
        self._watching.cancel()


async def node(host: str, port: int, times: int) -> None:
    """Meet the hub, check, and print what was found."""
    waiting: dict[int, asyncio.Future[TrainTold]] = {}

    async def heard(event: NodeEvent) -> None:
        if isinstance(event, TrainTold):
            waiting.pop(event.number).set_result(event)

    endpoint = NodeEndpoint(
        _KEYS.node,
        secrets.token_bytes(8),
        secrets.token_bytes(32),
        seal.Grade.LOG,
        _KEYS.log,
        time.monotonic(),
        random=secrets.token_bytes,
    )
    runner = NodeRunner(endpoint, host, port, 0, b"", heard)

    async def train(plan: Plan, most_s: float) -> TrainTold:
        told: asyncio.Future[TrainTold] = asyncio.get_running_loop().create_future()
        waiting[endpoint.train.begin(plan, time.monotonic(), most_s)] = told
        runner.wake()
        return await told

    await runner.start()
    while not endpoint.link_state(time.monotonic()).online:  # noqa: ASYNC110 - nothing here says it
        await asyncio.sleep(0.05)
    await asyncio.sleep(1.5)  # the meeting's own packets
    for _ in range(times):
        before, lateness = endpoint.meter.today_bytes("udp"), Lateness()
        verdict, found = await Preflight(lambda: endpoint.link_state(time.monotonic()), train, "test").verdict(
            Devices(), 0
        )
        lateness.stop()
        both_bytes = endpoint.meter.today_bytes("udp") - before
        print(json.encode((verdict, found, both_bytes, lateness.late_s)).decode(), flush=True)
    await runner.stop()


def check(spec: LinkSpec, times: int = 1) -> list[tuple[Verdict, Found, int, float]]:
    """Check so many times over a link, with the IP bytes that went both ways and the node's lateness. Blocks."""
    module = [sys.executable, "-m", "tests.media.preflight_ends"]
    with Link(spec) as link:
        serving = link.right.popen([*module, "--hub", link.right.address], stdout=subprocess.PIPE, cwd=_ROOT)
        assert serving.stdout is not None
        port = serving.stdout.readline().decode().strip()
        done = link.left.run([*module, "--node", link.right.address, port, str(times)], timeout_s=60)
        serving.kill()
        serving.wait()
    return [json.decode(line, type=tuple[Verdict, Found, int, float]) for line in done.stdout.splitlines()]


def main(arguments: list[str]) -> None:
    """Command line."""
    if arguments[0] == "--hub":
        asyncio.run(hub(arguments[1]))
    elif arguments[0] == "--node":
        asyncio.run(node(arguments[1], int(arguments[2]), int(arguments[3])))
    else:
        rate, rtt, loss, *rest = map(float, arguments)
        spec = LinkSpec.both(rate_kbps=rate, rtt_ms=rtt, loss_pct=loss)
        for one in check(spec, int(rest[0]) if rest else 1):
            print(json.encode(one).decode())


if __name__ == "__main__":
    main(sys.argv[1:])
