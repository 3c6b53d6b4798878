"""Attack 11 of SEALING.md, real processes: four of one hub on one database, killed at random, and an old database."""

import contextlib
import random
import select
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from tests.attacks.ground import PATIENCE_S, WholeVisit, drained
from tests.kits.client import Client, dig
from tests.kits.clinic import Clinic, Here, Server, free_port, wait_until
from tests.kits.nats import Nats
from tests.kits.postgres import Postgres

pytestmark = [pytest.mark.waits, pytest.mark.serial, pytest.mark.timeout(420)]
PROCESSES = 4
PACKET_DOWN = 4
HEAD_BYTES = 1 + 4 + 6 + 3
"""Kind, epoch_id4, salt6, ctr3: what must never come twice with another content."""
NODE_SEES = "127.0.0.2"


class Tap:
    """Carries datagrams between the node and the hub's port, and keeps the head of whatever the hub said."""

    def __init__(self, port: int) -> None:
        self._hub = ("127.0.0.1", port)
        self._front = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._front.bind((NODE_SEES, port))
        self._ways: dict[tuple[str, int], socket.socket] = {}
        self._running = True
        self.said: dict[bytes, int] = {}
        """Head → hash of the datagram."""
        self.repeated: list[bytes] = []
        self._thread = threading.Thread(target=self._carry, daemon=True)
        self._thread.start()

    @property
    def salts(self) -> set[bytes]:
        """Of hub processes that have spoken."""
        return {head[5:11] for head in list(self.said)}

    def _carry(self) -> None:
        while self._running:
            back = {way: node for node, way in self._ways.items()}
            ready, _, _ = select.select([self._front, *back], [], [], 0.2)
            for one in ready:
                try:
                    data, address = one.recvfrom(65_536)
                    if one is self._front:
                        self._way(address).sendto(data, self._hub)
                    else:
                        self._note(data)
                        self._front.sendto(data, back[one])
                except OSError:  # nobody listens just now: the datagram is lost, as on any link
                    continue

    def _way(self, node: tuple[str, int]) -> socket.socket:
        if node not in self._ways:
            self._ways[node] = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        return self._ways[node]

    def _note(self, data: bytes) -> None:
        if data[:1] != bytes((PACKET_DOWN,)):
            return
        if self.said.setdefault(data[:HEAD_BYTES], hash(data)) != hash(data):
            self.repeated.append(data[:HEAD_BYTES])

    def close(self) -> None:
        self._running = False
        self._thread.join()
        for way in (self._front, *self._ways.values()):
            way.close()


class Hubs:
    """Four processes; the first one is the clinic's own."""

    def __init__(self, clinic: Clinic, nats: Nats, database: str) -> None:
        self._clinic, self._nats = clinic, nats
        self.servers = [clinic.hub, *(self._make(f"hub{number}", database) for number in range(2, PROCESSES + 1))]
        self.kills = 0

    def _make(self, name: str, database: str) -> Server:
        udp, tls = self._clinic.hub_ports
        command = [sys.executable, "-m", "hub", "serve", "--data", str(self._clinic.hub_data), "--database", database]
        command += ["--http", f"127.0.0.1:{free_port()}", "--udp", str(udp), "--tls", str(tls)]
        command += ["--link-address", "127.0.0.1", "--nats", self._nats.url]
        return Server(name, Here(), command, self._clinic.folder / f"{name}.log")

    def start(self) -> None:
        for server in self.servers:
            if not server.is_running():
                server.start()

    def kill_all(self) -> None:
        for server in self.servers:
            server.kill()

    def move(self, database: str) -> None:
        """The same processes on another database. None may run."""
        self.servers = [self._make(f"hub{number}", database) for number in range(1, PROCESSES + 1)]

    def torment(self, draw: random.Random, over: threading.Event) -> None:
        """Kill one at random, let the others have a moment, start it again; until told."""
        while not over.is_set():
            over.wait(draw.uniform(0.2, 1.5))
            server = draw.choice(self.servers)
            server.kill()
            self.kills += 1
            over.wait(draw.uniform(0.2, 1.0))
            server.start()

    def client(self, number: int, like: Client) -> Client:
        """The session of ``like`` at another process, as behind a proxy."""
        client = Client(self.servers[number].url)
        client._cookies, client.csrf = dict(like._cookies), like.csrf
        return client


@pytest.fixture
def postgres() -> Iterator[Postgres]:
    with Postgres(durable=True) as server:
        yield server


@pytest.fixture
def nats() -> Iterator[Nats]:
    with Nats() as server:
        yield server


def places(url: str) -> dict[tuple[str, bytes, int, int], bytes]:
    with psycopg.connect(url) as connection:
        rows = connection.execute("SELECT node_id, run, stream, seq, raw FROM entries").fetchall()
    return {(row[0], bytes(row[1]), row[2], row[3]): bytes(row[4]) for row in rows}


def down_numbers(url: str) -> set[tuple[str, int]]:
    with psycopg.connect(url) as connection:
        return set(connection.execute("SELECT node_id, seq FROM down").fetchall())


def test_11_four_processes_killed_at_random_and_an_old_database_lose_nothing_and_no_nonce_comes_twice(
    tmp_path: Path, postgres: Postgres, nats: Nats, record_property: Callable[[str, object], None]
) -> None:
    draw, first = random.Random(11), postgres.database()
    options = ("--link-address", "127.0.0.1", "--nats", nats.url)
    clinic = Clinic(tmp_path, database=first, hub_options=options, hub_address=NODE_SEES)
    clinic.folder.mkdir(exist_ok=True)
    with contextlib.ExitStack() as stack:
        stack.callback(clinic.close)
        clinic.make_hub()
        tap = Tap(clinic.hub_ports[0])
        stack.callback(tap.close)
        clinic.make_node()
        hubs = Hubs(clinic, nats, first)
        stack.callback(hubs.kill_all)
        hubs.start()
        doctor, nurse = clinic.doctor_client(), clinic.nurse_client()

        # A nurse works while processes die.
        over = threading.Event()
        tormentor = threading.Thread(target=hubs.torment, args=(draw, over))
        tormentor.start()
        visits = [WholeVisit(clinic, 1100 + number) for number in range(4)]
        for visit in visits:
            visit.token = visit.nurse_side.run(nurse)
            before = hubs.kills
            wait_until(lambda before=before: hubs.kills > before, "the next kill", PATIENCE_S)  # type: ignore[misc]
        over.set()
        tormentor.join()
        hubs.start()

        # Each is seen through another process than the one that the node speaks with.
        for number, visit in enumerate(visits):
            there = hubs.client(number, doctor)
            visit.doctor_side.wait_in_queue(there, PATIENCE_S)
            visit.sign(there)
            visit.finish(nurse, hubs.client((number + 1) % PROCESSES, doctor))
        drained(nurse)
        for number in range(PROCESSES):
            there = hubs.client(number, doctor)
            assert all(visit.is_whole(visit.page_at_hub(there)) for visit in visits)

        # A copy is taken, the work goes on, and the copy comes back.
        hubs.kill_all()
        kept = postgres.database(first)
        old_numbers = down_numbers(kept)
        hubs.start()
        late = WholeVisit(clinic, 1120)
        late.token = late.nurse_side.run(nurse)
        there = hubs.client(2, doctor)
        late.doctor_side.wait_in_queue(there, PATIENCE_S)
        late.sign(there)
        late.finish(nurse, there)
        drained(nurse)
        clinic.node.stop()  # what the hub will ask for belongs to a run that has ended
        clinic.node.start()
        nurse = clinic.nurse_client()
        drained(nurse)
        hubs.kill_all()
        had, numbers = places(first), down_numbers(first)
        hubs.move(kept)
        hubs.start()
        wait_until(lambda: had.items() <= places(kept).items(), "every entry that the lost database held", PATIENCE_S)
        there = hubs.client(3, doctor)
        wait_until(lambda: late.is_whole(late.page_at_hub(there)), "the visit that the copy did not hold", PATIENCE_S)
        assert not (down_numbers(kept) - old_numbers) & numbers, "a down number was given twice"
        status = clinic.command("hub", ["status", "--data", str(clinic.hub_data), "--database", kept])
        assert (dig(status, "audit_broken_at"), dig(status, "quarantined")) == (0, 0)
        for server in hubs.servers:
            server.stop()
        assert tap.repeated == []
        assert len(tap.salts) >= 3, "too few processes spoke to the node for this to say anything"
        record_property(
            "figure",
            f"four hub processes: {hubs.kills} kills, {len(tap.said)} packets under {len(tap.salts)} salts, none twice",
        )
