"""Paper at a node that nobody has opened: the token and the doctor's slip come out of the thermal printer."""

import asyncio
from pathlib import Path

import msgspec
import pytest

from edge.model import events as ev
from edge.model.referral import Referred
from edge.node.emergency import PRINTS_MAX, REFERRALS_MAX
from edge.node.printing.port import parse_printer
from edge.sync import locked
from tests.kits.printer import PrinterOnPty, ThermalPrinter
from tests.node.hubside import HubSide
from tests.node.kit import Provisioned, Served, new_id, provisioned
from tests.node.test_emergency import Case, part
from tests.node.test_link import at_hub, prescription, until


@pytest.fixture
async def setup(tmp_path: Path) -> Provisioned:
    return await provisioned(tmp_path / "data")


async def ask(case: Case, what: str, key: str = "") -> tuple[int, dict[str, object]]:
    return await case.tablet.call("POST", f"/api/emergency/{case.visit}/{what}/print?case={key or case.key}")


def states(page: dict[str, object]) -> dict[str, str]:
    jobs = page["jobs"]
    assert isinstance(jobs, list)
    return {job["kind"]: job["state"] for job in jobs}


async def test_token_and_slip_are_printed_while_locked_and_the_slip_counts_as_printed(setup: Provisioned) -> None:
    with PrinterOnPty(ThermalPrinter(80)) as there:
        printer = await asyncio.to_thread(parse_printer, f"80={there.path}")
        async with HubSide(setup) as hub, Served(at_hub(setup, hub), printer=printer) as served:
            case = Case(served.tablet)
            assert (await case.open())["printer"] is True
            assert (await ask(case, "token"))[0] == 200
            assert (await ask(case, "token", key="0" * 32))[0] == 404, "a case is its tablet's"
            rx = new_id()
            assert (await ask(case, f"slip/{rx}"))[0] == 404, "it has not come"
            signed = msgspec.msgpack.encode(prescription(setup, case.visit, rx))
            answer = locked.Answer(case.visit, "rx_ready", "Dr Anil", rx, signed, "anil")
            await served.node.emergency.heard(locked.encode(answer))
            assert (await ask(case, f"slip/{rx}"))[0] == 200

            async def printed() -> bool:
                return states(await case.page()) == {"token": "printed", "slip": "printed"}

            await until(printed)
            shown = part(await case.page(), "visit", "prescriptions")
            assert isinstance(shown, list)
            assert [one["printed_ms"] > 0 for one in shown] == [True]
            assert len(there.printer.paper.pieces) == 2

            async def told() -> bool:
                return any(isinstance(event, ev.SlipPrinted) and event.prescription_id == rx for event in hub.events())

            await until(told)
            assert served.node.clinic.locked


async def test_who_is_sent_on_while_locked_has_a_slip_and_a_record_that_outlives_the_unlocking(
    setup: Provisioned,
) -> None:
    with PrinterOnPty(ThermalPrinter(80)) as there:
        printer = await asyncio.to_thread(parse_printer, f"80={there.path}")
        async with HubSide(setup) as hub, Served(at_hub(setup, hub), printer=printer) as served:
            case = Case(served.tablet)
            await case.open()
            paper = f"/api/emergency/{case.visit}/referral.pdf?case="
            assert (await ask(case, "referral"))[0] == 404, "nobody was sent on"
            referral = {"to": "district", "urgency": "now", "reason": "SpO2 82"}
            status, page = await case.say("refer", referral=referral, way="108", given="oxygen")
            assert status == 200, page
            made = part(page, "visit", "referrals")
            assert isinstance(made, list) and [(one["to"], one["way"]) for one in made] == [("district", "108")]
            slip = {"made_ms": made[0]["at_ms"], "made_count": made[0]["at_count"]}
            assert (await case.say("take_back_referral", **slip))[0] == 200
            assert (await ask(case, "referral"))[0] == 404, "it was a slip of the finger"
            assert (await case.say("refer", referral=referral, way="108", given="oxygen"))[0] == 200
            assert (await (await served.tablet.http.get(paper + case.key)).read())[:5] == b"%PDF-"
            assert (await served.tablet.call("GET", paper + "0" * 32))[0] == 404, "a case is its tablet's"
            assert (await ask(case, "referral"))[0] == 200

            async def printed() -> bool:
                return states(await case.page()) == {"referral": "printed"}

            await until(printed)
            assert len(there.printer.paper.pieces) == 1
            assert (await case.say("tell_ending", ending="reached", note="by 108"))[0] == 403, (
                "that is told with a log-in"
            )
            again = [await case.say("refer", referral=referral, way="own", given="") for _ in range(REFERRALS_MAX)]
            assert [status for status, _ in again] == [200] * (REFERRALS_MAX - 1) + [409]
            assert again[-1][1]["code"] == "case_full"

            async def told() -> bool:
                return sum(isinstance(event, Referred) for event in hub.events()) == REFERRALS_MAX + 1

            await until(told)
            assert served.node.clinic.locked
            await served.tablet.login(setup)
            visit = part(await served.tablet.get(f"/api/visits/{case.visit}"), "visit")
            assert isinstance(visit, dict)
            assert [one["to"] for one in visit["referrals"]] == ["district"] * REFERRALS_MAX


async def test_nobody_in_the_wifi_uses_up_the_roll(setup: Provisioned) -> None:
    with PrinterOnPty(ThermalPrinter(58)) as there:
        printer = await asyncio.to_thread(parse_printer, f"58={there.path}")
        async with Served(setup, printer=printer) as served:
            case = Case(served.tablet)
            await case.open()

            async def refused() -> bool:
                status, reply = await ask(case, "token")
                return status == 409 and reply["code"] == "printed_often"

            await until(refused)

            async def ended() -> bool:
                return states(await case.page()) == {"token": "printed"}

            await until(ended)
            assert len(there.printer.paper.pieces) <= PRINTS_MAX


async def test_without_a_printer_the_page_says_so_and_printing_is_refused(setup: Provisioned) -> None:
    async with Served(setup) as served:
        case = Case(served.tablet)
        assert (await case.open())["printer"] is False
        status, refusal = await ask(case, "token")
        assert (status, refusal["code"]) == (409, "no_printer")
