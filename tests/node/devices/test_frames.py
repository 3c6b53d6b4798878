"""Every sample frame that a source gives, to the byte."""

import pytest

from edge.node.devices.drivers import astm, beurer, onetouch_easy, onetouch_ultra, sd_codefree
from edge.node.devices.drivers.base import Condition, Driver, Value, Wave
from edge.node.devices.drivers.contec_old import ContecOld
from edge.node.devices.drivers.contec_v7 import KEEP_ALIVE, START, STOP, ContecV7, unpack
from edge.node.devices.drivers.nonin import Nonin2
from edge.node.devices.drivers.nonin_slow import NoninLines
from edge.node.devices.drivers.nonin_spot import Nonin13
from edge.node.devices.drivers.stored import local_ms, time_text
from tests.node.devices.line import NODE_MS

CAPTURED = bytes.fromhex("01E085B396C1E1FFFF")
NONIN = bytes.fromhex("01814300C5 0180434A0E 0180436024 0180439458 01804300C4")
NONIN_NEXT = bytes.fromhex("0181AF0031")
NONIN_UNITS = (bytes.fromhex("0181010083"), bytes.fromhex("01800148CA"), bytes.fromhex("01800161E3"))
HEADER = b"\x021H|\\^&||-7880|Bayer7150^1.05\\0.00^7150-SAM2193|||||||P|1|200305121635\r\x17AE\r\n"
RESULT = b"\x021R|67|^^^Glucose|7.9|mmol/L^P||B||201011281949\r\x1704\r\n"


def values(driver: Driver) -> list[Value]:
    found: list[Value] = []
    while (news := driver.next_news()) is not None:
        found += getattr(news, "values", ())
    return found


def test_contec_v7_the_captured_frame() -> None:
    assert list(unpack(CAPTURED)) == [5, 51, 0x16, 65, 97, 0xFF, 0xFF]
    driver = ContecV7(0.0, NODE_MS)
    assert driver.bytes_to_send() == START == bytes.fromhex("7D 81 A1 80 80 80 80 80 80")
    for place in range(300):
        driver.receive(CAPTURED, place / 60)
    assert set(values(driver)) == {Value("spo2", 97.0), Value("hr", 65.0)}
    driver.receive(CAPTURED, 5.1)
    waves = [news for news in iter(driver.next_news, None) if isinstance(news, Wave)]
    assert waves == [Wave(bytes((51,)))]


def test_contec_v7_other_packages_are_not_values() -> None:
    user = bytes.fromhex("0480F5F3E5F2A0A0A0")
    assert unpack(user) == b"user   "
    driver = ContecV7(0.0, NODE_MS)
    for place in range(400):
        driver.receive(user, place / 60)
    assert values(driver) == []


def test_contec_v7_adds_128_for_a_high_bit() -> None:
    frame = bytes((0x01, 0x80 | 0x08, 0x85, 0xB3, 0x96, 0x80 | 12, 0x80 | 97, 0xFF, 0xFF))
    driver = ContecV7(0.0, NODE_MS)
    for place in range(300):
        driver.receive(frame, place / 60)
    assert Value("hr", 140.0) in values(driver)


def test_contec_v7_is_kept_alive_and_stopped() -> None:
    driver = ContecV7(0.0, NODE_MS)
    driver.bytes_to_send()
    sent = b""
    for tenth in range(200):
        driver.receive(CAPTURED, tenth / 10)
        timer = driver.get_timer()
        if timer is not None and timer <= tenth / 10:
            driver.due(tenth / 10)
        sent += driver.bytes_to_send()
    assert sent == KEEP_ALIVE * 4
    assert driver.stop() == STOP == bytes.fromhex("7D 81 A2 80 80 80 80 80 80")


@pytest.mark.parametrize("pulse", [20, 64, 127, 128, 180, 250])
def test_contec_old_takes_the_eighth_bit_of_the_pulse_from_another_byte(pulse: int) -> None:
    frame = bytes((0x85, 51, (pulse >> 7) << 6 | 6, pulse & 0x7F, 97))
    driver = ContecOld(0.0, NODE_MS)
    for place in range(300):
        driver.receive(frame, place / 60)
    assert set(values(driver)) == {Value("spo2", 97.0), Value("hr", float(pulse))}


@pytest.mark.parametrize(
    ("first", "more", "condition"),
    [
        (0x95, 0x06, Condition.NO_FINGER),
        (0x85, 0x16, Condition.NO_FINGER),
        (0x85, 0x26, Condition.SEARCHING),
    ],
)
def test_contec_old_flags(first: int, more: int, condition: Condition) -> None:
    driver = ContecOld(0.0, NODE_MS)
    for place in range(300):
        driver.receive(bytes((first, 51, more, 65, 97)), place / 60)
    assert values(driver) == []
    assert driver.condition is condition


def test_nonin_format_2_the_captured_packet() -> None:
    for frame in (*(NONIN[at : at + 5] for at in range(0, 25, 5)), NONIN_NEXT, *NONIN_UNITS):
        assert sum(frame[:4]) & 0xFF == frame[4]
        assert Nonin2._status(frame) is not None
    rest = b"".join(bytes((1, 0x80, 0x43, 0, 0xC4)) for _ in range(20))
    driver = Nonin2(0.0, NODE_MS)
    for place in range(15):
        driver.receive(NONIN + rest, place / 3)
    driver.receive(NONIN_NEXT, 5.0)
    assert set(values(driver)) == {Value("spo2", 96.0), Value("hr", 74.0)}


def test_nonin_unit_test_frames_make_a_packet() -> None:
    first, second, third = NONIN_UNITS
    rest = b"".join(bytes((1, 0x80, 1, 0, 0x82)) for _ in range(22))
    driver = Nonin2(0.0, NODE_MS)
    for place in range(15):
        driver.receive(first + second + third + rest, place / 3)
    assert set(values(driver)) == {Value("spo2", 97.0), Value("hr", 72.0)}


def test_nonin_lines() -> None:
    driver = NoninLines(0.0, NODE_MS)
    for second in range(6):
        driver.receive(b"SPO2=097 HR=072\r\n", float(second))
    assert set(values(driver)) == {Value("spo2", 97.0), Value("hr", 72.0)}


@pytest.mark.parametrize("century", [b"\x14\x1a\x0b\x18\x0a\x1e\x00\x00", b"\x20\x26\x11\x24\x10\x30\x00\x00"])
def test_nonin_format_13_is_acknowledged_and_a_wrong_sum_is_not(century: bytes) -> None:
    data = century + b"\x02\x00" + b"\x00\x48" + b"\x00\x61"
    frame = b"\x00\x02\x00\x0d\x00\x0e" + data + bytes((sum(data) & 0xFF, 3))
    driver = Nonin13(0.0, NODE_MS)
    driver.receive(frame[:-2] + bytes((frame[-2] ^ 1, 3)), 0.0)
    assert driver.bytes_to_send() == b"\x15"
    assert values(driver) == []
    driver.receive(frame, 0.1)
    assert driver.bytes_to_send() == b"\x06"
    assert set(values(driver)) == {Value("spo2", 97.0), Value("hr", 72.0)}


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (b"?P02.00.01   /  /   034C", "?P02.00.01   /  /  "),
        (b'@ "TKF8EA0RT" 031D', '@ "TKF8EA0RT"'),
        (b'F "TUE","08/12/14","15:40:16   " 060B', 'F "TUE","08/12/14","15:40:16   "'),
        (b'P 001,"TKF8EA0RT","MG/DL " 05CD', 'P 001,"TKF8EA0RT","MG/DL "'),
        (b'P "SAT","08/09/14","17:21:48   ","  091 ", 00 0831', 'P "SAT","08/09/14","17:21:48   ","  091 ", 00'),
    ],
)
def test_onetouch_ultra_captured_lines(line: bytes, text: str) -> None:
    assert onetouch_ultra.checked(line) == text
    assert onetouch_ultra.checked(line[:-1] + bytes((line[-1] ^ 1,))) is None


def summed(text: str) -> bytes:
    return f"{text} {sum(text.encode()) & 0xFFFF:04X}".encode()


def test_onetouch_ultra_records() -> None:
    stored = onetouch_ultra.OneTouchUltra._stored(b'P "SAT","08/09/14","17:21:48   ","  091 ", 00 0831')
    assert stored is not None
    assert stored.values == (Value("rbs_mgdl", 91.0),)
    assert time_text(stored.at_ms) == "2014-08-09T17:21"
    of = onetouch_ultra.OneTouchUltra._stored
    assert of(summed('P "SAT","08/09/14","17:21:48   ","  123 ","N","00", 00')) is not None
    assert of(summed('P "SAT","08/09/14","17:21:48   ","C 123 ","N","00", 00')) is None
    assert of(summed('P "SAT","08/09/14","17:21:48   ","  123?", 00')) is None
    assert of(summed('P "SAT","08/09/14","17:21:48   "," HIGH ", 00')) is None
    assert of(summed('P "SUN","08/09/14","17:21:48   ","  091 ", 00')) is None
    assert of(summed('P "SAT","08/09/14","17:21:48   ","  012 ", 00')) is None


def test_onetouch_ultraeasy_frames() -> None:
    assert onetouch_easy.frame(8) == bytes.fromhex("02 06 08 03 C2 62")
    assert onetouch_easy.frame(3, bytes.fromhex("05 0D 02")) == bytes.fromhex("02 09 03 05 0D 02 03 08 9F")
    frames = onetouch_easy.Deframer()
    assert frames.feed(bytes.fromhex("02 06 08 03 C2 62"), 0.0) == [(8, b"", bytes.fromhex("02060803C262"))]
    assert frames.feed(bytes.fromhex("02 06 08 03 C2 63"), 0.0) == []
    assert onetouch_easy.OneTouchEasy(0.0, NODE_MS).bytes_to_send() == bytes.fromhex("02 06 08 03 C2 62")


def test_sd_codefree_frames() -> None:
    assert sd_codefree.frame(sd_codefree.HELLO, 0x20) == bytes.fromhex("53 20 04 10 30 20 AA")
    assert sd_codefree.frame(sd_codefree.READY) == bytes.fromhex("53 10 04 10 40 50 AA")
    assert sd_codefree.frame(sd_codefree.FETCH) == bytes.fromhex("53 10 04 10 60 70 AA")
    driver = sd_codefree.SdCodeFree(0.0, NODE_MS)
    assert driver.bytes_to_send() == b""
    driver.receive(bytes.fromhex("00 53 20 04 10 30 20 AA"), 200.0)
    assert driver.bytes_to_send() == bytes.fromhex("53 10 04 10 40 50 AA")
    message = b"\x30\x00\x01" + b"\xaa" * 19
    driver.receive(sd_codefree.frame(message, 0x20), 200.1)
    assert driver.bytes_to_send() == bytes.fromhex("53 10 04 10 60 70 AA")


def test_contour_captured_frames() -> None:
    assert astm.text_of(HEADER) == (1, HEADER[2:-5].decode())
    assert astm.text_of(RESULT) == (1, RESULT[2:-5].decode())
    assert astm.text_of(b"\x021G\r\x179C\r\n") == (1, "G\r")
    assert astm.text_of(RESULT.replace(b"7.9", b"7.8")) is None
    driver = astm.ContourAstm(0.0, NODE_MS)
    stored = driver._stored(RESULT[2:-5].decode().rstrip("\r").split("|"), RESULT)
    assert stored is not None
    assert stored.values == (Value("rbs_mgdl", 142.0),)
    assert time_text(stored.at_ms) == "2010-11-28T19:49"


def test_contour_a_session_of_captured_frames_is_acknowledged_and_too_old_to_be_taken() -> None:
    driver = astm.ContourAstm(0.0, NODE_MS)
    driver.bytes_to_send()
    driver.receive(b"\x05", 0.1)
    assert driver.bytes_to_send() == b"\x06"
    driver.receive(HEADER, 0.2)
    assert driver.bytes_to_send() == b"\x06"
    body = RESULT[1:-4].replace(b"1R", b"2R")
    driver.receive(b"\x02" + body + b"%02X\r\n" % (sum(body) & 0xFF), 0.3)
    assert driver.bytes_to_send() == b"\x06"
    driver.receive(b"\x04", 0.4)
    assert values(driver) == []
    assert driver.condition is Condition.NO_RECORD


def test_beurer_the_synthetic_record() -> None:
    stored = beurer.decode(bytes.fromhex("AC 6E 32 48 09 1E 0C 15 0D"))
    assert stored is not None
    assert stored.values == (Value("sbp", 135.0), Value("dbp", 75.0), Value("hr", 72.0))
    assert stored.at_ms == local_ms(2013, 9, 30, 12, 21)
    assert beurer.decode(bytes.fromhex("A9 6E 32 48 09 1E 0C 15 0D")) is None
    assert beurer.decode(bytes.fromhex("AC 32 6E 48 09 1E 0C 15 0D")) is None
    assert beurer.decode(bytes.fromhex("AC 6E 32 48 02 1E 0C 15 0D")) is None
    assert beurer.BeurerBm(0.0, NODE_MS).bytes_to_send() == b"\xaa"
