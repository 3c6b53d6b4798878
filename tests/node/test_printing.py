"""Thermal printing: what comes out of a printer is the slip, dot for dot, and what is wrong with it is said plainly."""

import asyncio
import errno
import io
from pathlib import Path

import pytest
import zxingcpp
from PIL import Image

from edge.model import commands as cmd
from edge.model.errors import BadInput
from edge.node.printing.desk import Kind
from edge.node.printing.escpos import ANSWER_S, END_S, TAKE_S, Job, Outcome, job_of, trouble_in
from edge.node.printing.port import Printer, parse_printer
from edge.node.printing.raster import Raster, RasterFailed, raster_of
from edge.node.printing.raster_worker import DARK_BELOW
from edge.node.printing.run import run_job
from edge.slips.qr import qr_text
from edge.slips.render import ROLLS, render_roll, render_token_roll, token_words
from tests.kits.printer import PrinterOnPty, ThermalPrinter
from tests.node.kit import NAME, Provisioned, Served, new_id, provisioned
from tests.node.test_closing import signed as arrive
from tests.slips.samples import sign


@pytest.fixture
async def setup(tmp_path: Path) -> Provisioned:
    return await provisioned(tmp_path / "data")


def dots_of(png: bytes) -> list[bytes]:
    """The rows that a picture should give, by another library."""
    picture = Image.open(io.BytesIO(png)).convert("RGB").convert("L")
    dark = picture.point(lambda grey: 255 if grey < DARK_BELOW else 0).convert("1")
    return [dark.crop((0, row, dark.width, row + 1)).tobytes() for row in range(dark.height)]


def differing(one: list[bytes], other: list[bytes]) -> int:
    return sum((int.from_bytes(a) ^ int.from_bytes(b)).bit_count() for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("roll_mm", list(ROLLS))
async def test_the_paper_of_either_width_is_the_slip_dot_for_dot_and_its_code_is_read(roll_mm: int) -> None:
    prescription = sign()
    png = await asyncio.to_thread(render_roll, prescription, roll_mm=roll_mm)
    raster = await raster_of(png)
    assert raster.width == ROLLS[roll_mm]
    with PrinterOnPty(ThermalPrinter(roll_mm)) as there:
        assert await run_job(there.path, job_of(raster, copies=2)) is Outcome.PRINTED
    printer = there.printer
    assert bytes(printer.wrong) == b"" and printer.marks == 1
    first, second = printer.paper.pieces
    assert first == second
    wanted = await asyncio.to_thread(dots_of, png)
    assert len(first) == len(wanted)
    # two libraries may round the grey of an edge differently by one
    assert differing(first, wanted) <= raster.width * raster.height // 2000
    paper = Image.frombytes("1", (raster.width, len(first)), bytes(255 - byte for row in first for byte in row))
    found = zxingcpp.read_barcodes(paper.convert("L"))
    assert [one.text for one in found] == [qr_text(prescription)]


async def test_the_token_fits_either_roll() -> None:
    officer = "श्रीमती सत्यनारायणम्मा वेंकटसुब्रह्मण्यम मिश्र, +91 522 555 0000, grievance.officer@health.example.org"
    words = token_words("014B-1234", "उप-स्वास्थ्य केंद्र नमूनापुर", demo=True, grievance=officer)
    for roll_mm, dots in ROLLS.items():
        raster = await raster_of(await asyncio.to_thread(render_token_roll, words, roll_mm=roll_mm))
        assert raster.width == dots
        margins = [row[:1] + row[-1:] for row in _rows(raster)]
        assert any(row.strip(b"\0") for row in _rows(raster)) and set(margins) == {b"\0\0"}


def _rows(raster: Raster) -> list[bytes]:
    across = raster.width // 8
    return [raster.rows[at : at + across] for at in range(0, len(raster.rows), across)]


async def test_what_is_no_picture_is_refused() -> None:
    with pytest.raises(RasterFailed):
        await raster_of(b"no picture")


BLANK = Raster(384, 2000, bytes(48 * 2000))


def talk(printer: ThermalPrinter) -> Outcome:
    """A job and a printer without a line between them; the clock moves when both wait."""
    now_s = 0.0
    job = Job(job_of(BLANK), now_s)
    while job.outcome is None:
        if out := job.bytes_to_send():
            answer = printer.take(out)
            job.sent(now_s)
            job.receive(answer, now_s)
        else:
            now_s = max(now_s, job.timer())
            job.expire(now_s)
        assert now_s < 1000
    return job.outcome


def test_a_printer_that_stands_says_why_before_a_line_is_drawn() -> None:
    empty = ThermalPrinter(58)
    empty.paper_out = True
    assert talk(empty) is Outcome.PAPER_OUT and empty.paper.pieces == []
    opened = ThermalPrinter(58)
    opened.cover_open = True
    assert talk(opened) is Outcome.COVER_OPEN


@pytest.mark.parametrize("rows", [1, 500, 1999, 2000])
def test_a_roll_that_ends_in_the_middle_is_told(rows: int) -> None:
    printer = ThermalPrinter(58)
    printer.runs_out_after = rows
    assert talk(printer) is Outcome.PAPER_OUT
    assert printer.paper.pieces == []


def test_a_printer_that_never_answers_gets_everything_and_a_person_has_to_look() -> None:
    printer = ThermalPrinter(58, mute=True)
    assert talk(printer) is Outcome.SENT
    assert [len(piece) for piece in printer.paper.pieces] == [2000]


def test_a_line_that_takes_nothing_is_given_up() -> None:
    job = Job(job_of(BLANK), 0.0)
    job.bytes_to_send()
    job.expire(ANSWER_S)
    assert job.bytes_to_send() == job_of(BLANK)[0]
    job.expire(ANSWER_S + TAKE_S - 0.1)
    assert job.outcome is None
    job.expire(ANSWER_S + TAKE_S)
    assert job.outcome is Outcome.STUCK


def test_a_printer_that_falls_silent_at_the_end_is_not_said_to_have_printed() -> None:
    printer = ThermalPrinter(58)
    now_s, job = 0.0, Job(job_of(BLANK), 0.0)
    while job.outcome is None:
        if out := job.bytes_to_send():
            answer = printer.take(out)
            job.sent(now_s)
            if b"\x1dr" not in out and now_s == 0.0:
                job.receive(answer, now_s)
        else:
            now_s = job.timer()
            job.expire(now_s)
    assert job.outcome is Outcome.SENT and now_s >= END_S


def test_noise_on_the_line_is_no_answer() -> None:
    job = Job(job_of(BLANK), 0.0)
    job.receive(bytes([0x00, 0xFF, 0x80, 0x41]), 0.0)
    assert job.outcome is None
    job.receive(b"\x12\x12\x12", 0.1)
    assert job.outcome is None
    assert job.bytes_to_send() == job_of(BLANK)[0] + b"\x10\x04\x01\x10\x04\x02\x10\x04\x04"


def test_dots_that_look_like_a_command_are_never_sent() -> None:
    rows = bytes([0x10, 0x04, 0x01, 0x10, 0x14, 0x02]) * 100
    sent = job_of(Raster(48, 100, rows))
    bands = b"".join(one[8:] for one in sent[1:-1])
    assert len(bands) == len(rows) and b"\x10\x04" not in bands and b"\x10\x14" not in bands
    assert differing([bands], [rows]) == 200


def test_each_bit_of_a_status_has_its_meaning() -> None:
    assert trouble_in(2, 0x12 | 0x24) is Outcome.PAPER_OUT, "paper before cover: it is what is looked for first"
    assert trouble_in(2, 0x12 | 0x40) is Outcome.PRINTER_ERROR
    assert trouble_in(4, 0x12 | 0x0C) is None, "the roll is only near its end"
    assert trouble_in(1, 0x1A) is Outcome.OFFLINE
    assert [trouble_in(n, 0x12) for n in (1, 2, 4)] == [None] * 3


def test_a_printer_is_named_by_its_roll_and_its_port() -> None:
    assert parse_printer("58=/dev/usb/lp0") == Printer(58, "/dev/usb/lp0")
    assert parse_printer("80=/dev/ttyUSB0@9600").port == "/dev/ttyUSB0@9600"
    assert parse_printer("80=tcp:192.168.4.9").roll_mm == 80
    for wrong in ("", "80", "70=/dev/usb/lp0", "80=lp0", "80=tcp:", "80=/dev/ttyUSB0@fast"):
        with pytest.raises(BadInput):
            parse_printer(wrong)


async def ended(served: Served) -> list[dict[str, object]]:
    """The jobs, once none of them waits or is being printed."""
    async with asyncio.timeout(60):
        while True:
            jobs = (await served.tablet.get("/api/printer"))["jobs"]
            assert isinstance(jobs, list)
            if all(job["state"] not in ("waiting", "printing") for job in jobs):
                return jobs
            await asyncio.sleep(0.05)


async def test_a_slip_is_recorded_as_printed_when_the_printer_says_so_and_never_before(setup: Provisioned) -> None:
    printer = ThermalPrinter(80)
    printer.paper_out = True
    with PrinterOnPty(printer) as there:
        async with Served(setup, printer=Printer(80, there.path)) as served:
            tablet = served.tablet
            await tablet.login(setup)
            _, visit = await tablet.register()
            token = await tablet.fill(visit)
            await arrive(served, setup, visit)
            page = await tablet.get(f"/api/visits/{visit}")
            rx = page["visit"]["prescriptions"][0]["prescription_id"]  # type: ignore[index]
            path = f"/api/visits/{visit}/prescriptions/{rx}/print"
            status, job = await tablet.call("POST", path)
            assert (status, job["kind"]) == (200, "slip")
            assert [one["state"] for one in await ended(served)] == ["paper_out"]
            assert (await tablet.get("/api/printer"))["trouble"] == "paper_out"
            page = await tablet.get(f"/api/visits/{visit}")
            assert page["visit"]["prescriptions"][0]["printed_ms"] == 0  # type: ignore[index]
            printer.paper_out = False
            await tablet.call("POST", path)
            assert [one["state"] for one in await ended(served)] == ["printed"]
            page = await tablet.get(f"/api/visits/{visit}")
            assert page["visit"]["prescriptions"][0]["printed_ms"] > 0  # type: ignore[index]
            assert (await tablet.call("POST", f"/api/visits/{visit}/token/print"))[1]["subject"] == token
            states = {str(one["kind"]): one["state"] for one in await ended(served)}
            assert states == {"slip": "printed", "token": "printed"}
            assert len(printer.paper.pieces) == 2 and not printer.wrong
            job_id = (await ended(served))[0]["job_id"]
            assert len((await tablet.call("DELETE", f"/api/printer/jobs/{job_id}"))[1]["jobs"]) == 1  # type: ignore[arg-type]
    assert not [one for one in await asyncio.to_thread(lambda: list(setup.folder.rglob("*"))) if "spool" in one.name]
    assert NAME.encode() not in printer.wrong


async def test_a_page_that_cannot_be_drawn_and_a_record_that_cannot_be_kept_stop_no_other_job(
    setup: Provisioned,
) -> None:
    def torn() -> bytes:
        raise ValueError("no such glyph")

    async def full(command: cmd.Command) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    png = await asyncio.to_thread(lambda: render_token_roll(token_words("014B-1234", ""), roll_mm=80))
    with PrinterOnPty(ThermalPrinter(80)) as there:
        async with Served(setup, printer=Printer(80, there.path)) as served:
            await served.tablet.login(setup)
            desk = served.node.printer
            desk.add(Kind.TOKEN, new_id(), "1", torn, "anm1")
            desk.add(Kind.SLIP, new_id(), "2", lambda: png, full)
            desk.add(Kind.TOKEN, new_id(), "3", lambda: png, "anm1")
            states = {str(one["subject"]): one["state"] for one in await ended(served)}
    assert states == {"1": "printer_error", "2": "printed", "3": "printed"}


async def test_without_a_printer_the_tablet_is_told_and_a_pulled_one_is_named(
    setup: Provisioned, tmp_path: Path
) -> None:
    async with Served(setup) as served:
        await served.tablet.login(setup)
        assert (await served.tablet.get("/api/printer"))["fitted"] is False
        _, visit = await served.tablet.register()
        await served.tablet.fill(visit)
        status, refused = await served.tablet.call("POST", f"/api/visits/{visit}/token/print")
        assert (status, refused["code"]) == (409, "no_printer")
    assert await run_job(str(tmp_path / "not-there"), [b"x"]) is Outcome.NO_PRINTER
    assert await run_job("tcp:127.0.0.1:9", [b"x"]) is Outcome.NO_PRINTER


async def test_a_printer_on_the_network_is_the_same_printer() -> None:
    printer = ThermalPrinter(58)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(700):
            writer.write(printer.take(data))
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    assert await run_job(f"tcp:127.0.0.1:{port}", job_of(BLANK)) is Outcome.PRINTED
    assert [len(piece) for piece in printer.paper.pieces] == [2000]
    server.close()
    await server.wait_closed()
