"""Emergency mode at a node that nobody has opened: what is recorded, where it lies, how it gets into the records."""

import asyncio
import errno
import secrets
from pathlib import Path

import msgspec
import pytest

from edge.model import events as ev
from edge.node import emergency
from edge.node.config import EMERGENCY_FILE
from edge.node.journal import Journal
from edge.sync import locked, seal
from edge.sync.log import Stream
from tests.node.hubside import HubSide
from tests.node.kit import MOBILE, NAME, Provisioned, Served, Tablet, contents, new_id, provisioned
from tests.node.test_link import at_hub, prescription, until

VECTORS = Path(__file__).parents[1] / "vectors" / "locked.json"


@pytest.fixture
async def setup(tmp_path: Path) -> Provisioned:
    return await provisioned(tmp_path / "data")


class Case:
    """What a tablet does with an emergency."""

    def __init__(self, tablet: Tablet) -> None:
        self.tablet = tablet
        self.visit, self.key = "", secrets.token_hex(16)

    async def open(self, name: str = NAME) -> dict[str, object]:
        body = {"case": self.key, "name": name, "gender": "female", "age": {"value": 40}}
        status, page = await self.tablet.call("POST", "/api/emergency", body)
        assert status == 200, page
        self.visit = str(part(page, "visit", "visit_id"))
        return page

    async def say(self, kind: str, **fields: object) -> tuple[int, dict[str, object]]:
        command = {"type": kind, "command_id": new_id(), "visit_id": self.visit, **fields}
        return await self.tablet.call("POST", f"/api/emergency/{self.visit}/commands?case={self.key}", command)

    async def measure(self, **values: float) -> dict[str, object]:
        readings = [{"vital": vital, "value": value} for vital, value in values.items()]
        status, page = await self.say("record_vitals", vitals={"readings": readings, "avpu": "P"})
        assert status == 200, page
        return page

    async def page(self) -> dict[str, object]:
        return await self.tablet.get(f"/api/emergency/{self.visit}?case={self.key}")


def part(page: dict[str, object], *path: str) -> object:
    found: object = page
    for name in path:
        assert isinstance(found, dict)
        found = found[name]
    return found


async def merged(tablet: Tablet, visit: str) -> list[dict[str, object]]:
    """The queue's rows of one visit."""
    items = (await tablet.get("/api/queue"))["items"]
    assert isinstance(items, list)
    return [row for row in items if row["visit"]["visit_id"] == visit]


async def test_a_red_patient_has_a_token_and_vitals_without_any_log_in_and_nothing_readable_on_the_card(
    setup: Provisioned,
) -> None:
    async with Served(setup) as served:
        case = Case(served.tablet)
        page = await case.open()
        assert part(page, "visit", "triage", "colour") == "red" or part(page, "visit", "staff_colour") == "red"
        assert part(page, "visit", "token") == "BR-RMP-E-001"
        assert (page["locked"], page["at_hub"]) == (True, False)
        assert await case.open() == page, "sent again it is the same case"
        page = await case.measure(spo2=82, hr=140)
        rounds = part(page, "visit", "vitals")
        assert isinstance(rounds, list) and len(rounds) == 1
        status, refusal = await case.say("record_vitals", vitals={"readings": [{"vital": "spo2", "value": 900}]})
        assert status in (400, 409), refusal
        everything = await asyncio.to_thread(contents, setup.folder)
        assert NAME.encode() not in everything and MOBILE.encode() not in everything
        assert served.node.clinic.locked


async def test_a_tablet_that_says_it_again_before_it_is_on_the_disk_is_answered_alike(setup: Provisioned) -> None:
    async with Served(setup) as served:
        case = Case(served.tablet)
        pages = await asyncio.gather(*(case.open() for _ in range(3)))
        assert pages[0] == pages[1] == pages[2]
        assert part(pages[0], "visit", "token") == "BR-RMP-E-001"


async def test_a_case_that_a_full_disk_refused_is_opened_when_the_tablet_says_it_again(
    setup: Provisioned, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    async with Served(setup) as served:
        case = Case(served.tablet)
        body = {"case": case.key, "name": NAME, "gender": "female", "age": {"value": 40}}
        with monkeypatch.context() as patched:
            patched.setattr(emergency, "write_private", full)
            status, refusal = await served.tablet.call("POST", "/api/emergency", body)
            assert (status, refusal["code"]) == (500, "storage_full")
        assert part(await case.open(), "visit", "token") == "BR-RMP-E-001"


async def test_a_case_is_its_tablets_and_nothing_else_can_be_done_with_it(setup: Provisioned) -> None:
    async with Served(setup) as served:
        case, other = Case(served.tablet), Case(served.tablet)
        await case.open()
        stranger = f"/api/emergency/{case.visit}?case={other.key}"
        assert (await served.tablet.call("GET", stranger))[0] == 404
        assert (await case.say("close_visit", outcome="completed"))[0] == 403
        assert (await case.say("record_vitals", visit_id=new_id(), vitals={}))[0] == 403
        assert (await served.tablet.call("GET", "/api/queue"))[0] in (401, 423)
        body = {"case": other.key, "name": "X", "gender": "male", "age": {"value": 3}}
        status, refusal = await served.tablet.call("POST", "/api/emergency", body)
        assert (status, refusal["code"]) == (409, "too_many_cases"), "within two seconds"


async def test_at_the_unlocking_it_is_in_the_records_once_with_its_token_and_its_log_goes_on(
    setup: Provisioned,
) -> None:
    async with Served(setup) as served:
        await served.tablet.login(setup)
        _, before = await served.tablet.register()
        await served.tablet.fill(before)
    async with Served(setup) as served:
        first = Case(served.tablet)
        await first.open()
        await first.measure(spo2=84)
    async with Served(setup) as served:
        second = Case(served.tablet)
        second.key = first.key
        page = await second.open("Somebody Else")
        assert second.visit != first.visit, "a tablet that says it again to another process opens no visit twice"
        assert part(page, "visit", "token") == "BR-RMP-E-002", "also over a power cut no token is given twice"
        await second.measure(spo2=90)
        assert (await served.tablet.call("GET", f"/api/emergency/{first.visit}?case={first.key}"))[0] == 404
        await served.tablet.login(setup)
        page = await second.page()
        assert (page["locked"], part(page, "visit", "token")) == (False, "BR-RMP-E-002")
        await second.measure(spo2=93)
        for case, rounds in ((first, 1), (second, 2)):
            (row,) = await merged(served.tablet, case.visit)
            assert row["place"] == 0, "RED stands above the queue"
            shown = await served.tablet.get(f"/api/visits/{case.visit}")
            vitals = part(shown, "visit", "vitals")
            assert isinstance(vitals, list) and len(vitals) == rounds
        assert (await merged(served.tablet, before))[0]["place"] == 1
        _, third = await served.tablet.register()
        token = await served.tablet.fill(third)
        assert token == "BR-RMP-003" and await served.node.clinic.store.outbox(lambda outbox: outbox.locked()) == []


async def test_a_kill_between_taking_in_and_dropping_doubles_nothing(setup: Provisioned) -> None:
    async with Served(setup) as served:
        case = Case(served.tablet)
        await case.open()
        rows = await served.node.clinic.store.outbox(lambda outbox: outbox.locked())
        await served.tablet.login(setup)
        clinic = served.node.clinic
        ((_, sealed),) = rows
        ref = served.node.link._endpoint.seal_packed(b"x")
        await clinic.store.outbox(lambda outbox: outbox.add_locked(sealed, ref))
        keys = clinic.secrets
        assert keys is not None
        assert await clinic.store.write(lambda journal: journal.import_locked(keys.records)) == 0
        assert len(await merged(served.tablet, case.visit)) == 1


async def test_what_cannot_be_taken_in_stays_and_stops_no_unlocking(setup: Provisioned) -> None:
    async with Served(setup) as served:
        case = Case(served.tablet)
        await case.open()
        ref = served.node.link._endpoint.seal_packed(b"y")
        await served.node.clinic.store.outbox(lambda outbox: outbox.add_locked(b"damaged", ref))
        await served.tablet.login(setup)
        assert len(await merged(served.tablet, case.visit)) == 1
        assert len(await served.node.clinic.store.outbox(lambda outbox: outbox.locked())) == 1


@pytest.mark.parametrize("torn", [b"", b"{", b"[]"])
async def test_torn_counts_give_no_number_twice(setup: Provisioned, torn: bytes) -> None:
    async with Served(setup) as served:
        await Case(served.tablet).open()
    await asyncio.to_thread((setup.folder / EMERGENCY_FILE).write_bytes, torn)
    async with Served(setup) as served:
        page = await Case(served.tablet).open()
        assert part(page, "visit", "token") != "BR-RMP-E-001"


async def test_the_hub_has_it_at_device_grade_and_again_after_the_unlocking_without_a_fork(setup: Provisioned) -> None:
    async with HubSide(setup) as hub, Served(at_hub(setup, hub)) as served:
        case = Case(served.tablet)
        await case.open()

        async def there() -> bool:
            return (await case.page())["at_hub"] is True

        await until(there)
        assert served.node.clinic.locked and hub.conflicts == 0
        assert any(isinstance(event, ev.TokenIssued) for event in hub.events())
        rx = new_id()
        signed = msgspec.msgpack.encode(prescription(setup, case.visit, rx))
        await served.node.emergency.heard(
            locked.encode(locked.Answer(case.visit, "rx_ready", "Dr Anil", rx, signed, "anil"))
        )
        forged = locked.Answer(case.visit, "rx_ready", "Dr Anil", new_id(), signed[:-3] + b"xyz", "anil")
        await served.node.emergency.heard(locked.encode(forged))
        other = msgspec.msgpack.encode(prescription(setup, new_id(), new_id()))
        await served.node.emergency.heard(
            locked.encode(locked.Answer(case.visit, "rx_ready", "Dr Anil", new_id(), other, "anil"))
        )
        page = await case.page()
        prescriptions = part(page, "visit", "prescriptions")
        assert isinstance(prescriptions, list) and [one["prescription_id"] for one in prescriptions] == [rx]
        status, _ = await case.say("confirm_printed", prescription_id=rx)
        assert status == 200
        hub.say(ev.PrescriptionSigned(case.visit, rx, signed))
        await served.tablet.login(setup)

        async def printed() -> bool:
            shown = part(await served.tablet.get(f"/api/visits/{case.visit}"), "visit", "prescriptions")
            assert isinstance(shown, list)
            return [one["printed_ms"] > 0 for one in shown] == [True]

        await until(printed)
        assert hub.conflicts == 0


def test_messages_and_pieces_are_as_published() -> None:
    vector = msgspec.json.decode(VECTORS.read_bytes())
    piece = locked.Piece(bytes(range(8)), int(Stream.URGENT), 1, (b"entry",))
    opened = locked.open_piece(bytes.fromhex(vector["records"]), bytes(8), bytes.fromhex(vector["piece"]))
    assert opened == piece
    with pytest.raises(seal.SealRefused):
        locked.open_piece(bytes.fromhex(vector["records"]), bytes(range(8)), bytes.fromhex(vector["piece"]))
    visit, rx = "0123456789abcdef", "fedcba9876543210"
    published: dict[str, locked.Message] = {
        "ask": locked.AskAnswers((visit,), (rx,)),
        "answer": locked.Answer(visit, "rx_ready", "Dr Anil", rx, b"signed", "anil"),
    }
    for name, message in published.items():
        assert locked.encode(message).hex() == vector[name]
        assert locked.decode(bytes.fromhex(vector[name])) == message
    for bad in (b"\xc1", b"\xc1\x00", b"\xc1\xff" * 40, locked.MARK + msgspec.msgpack.encode([9, 1])):
        with pytest.raises(locked.LockedRefused):
            locked.decode(bad)


async def test_after_a_piece_that_cannot_be_taken_in_the_log_goes_on_in_another_run(setup: Provisioned) -> None:
    """Its places are taken at the hub: the same run would be a fork."""
    async with Served(setup) as served:
        case = Case(served.tablet)
        await case.open()
        clinic = served.node.clinic
        rows = await clinic.store.outbox(lambda outbox: outbox.locked())
        for row, _ in rows:
            await clinic.store.outbox(lambda outbox, row=row: outbox.drop_locked(row))  # type: ignore[misc]
        ref = served.node.link._endpoint.seal_packed(b"z")
        await clinic.store.outbox(lambda outbox: outbox.add_locked(b"damaged", ref))
        await served.tablet.login(setup)
        _, visit = await served.tablet.register()
        await served.tablet.fill(visit)

        def runs(journal: Journal) -> set[bytes]:
            return {row[0] for row in journal._db.rows("SELECT DISTINCT run FROM entries")}

        assert served.node.clinic.store._run not in await clinic.store.write(runs)
