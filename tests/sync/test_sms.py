"""SMS: seal, contents, PDUs, and two mailers over a bad network on simulated time."""

import json
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.model.errors import UpkendraError
from edge.sync import sms, sms_pdu
from edge.sync.seal import SealRefused
from edge.sync.sms import Ledger, SmsBudget, SmsSealer, Way
from edge.sync.sms_mail import Came, Delivered, GivenUp, Left, Mailer, MailEvent, Sent, SmsNotSent, Unreported
from edge.sync.sms_modem import Modem, Trouble
from tests.kits.sms import Network, SimModem

VECTOR = json.loads((Path(__file__).parents[1] / "vectors" / "sms.json").read_text())
PSK, NODE, BOOT = bytes(range(32)), b"nodenode", b"boot5"
NODE_SIM, HUB_SIM = "+919000000001", "+919000000002"


def test_the_vectors_are_what_the_code_makes_and_opens() -> None:
    vector = {key: bytes.fromhex(value) for key, value in VECTOR.items() if key not in ("number",)}
    for way in Way:
        name = way.value
        assert sms.sms_key(vector["psk"], way) == vector[f"key_{name}"]
        sealer = SmsSealer(vector["psk"], vector["node_id"], way, vector["boot"])
        assert sealer.seal(vector[f"content_{name}"])[1] == vector[f"message_{name}"]
        opened = sms.open_sms(vector["psk"], way, vector[f"message_{name}"])
        assert opened == sms.OpenedSms(vector["boot"] + bytes(3), vector[f"content_{name}"])
        assert sms.encode(sms.decode(opened.content, way)) == opened.content
    assert (
        sms_pdu.encode_submit(sms_pdu.Submit(VECTOR["number"], sms_pdu.split(vector["message_n2h"], 0)[0], report=True))
        == vector["tpdu"]
    )


def test_an_sms_has_28_bytes_over_its_content_and_105_of_it() -> None:
    sealer = SmsSealer(PSK, NODE, Way.UP, BOOT)
    assert len(sealer.seal(b"x" * 104)[1]) == 133 == 28 + 105
    assert [sms.capacity_bytes(parts) for parts in (1, 2, 3, 4)] == [105, 226, 353, 480]
    with pytest.raises(SealRefused, match="four"):
        sealer.seal(bytes(480))


def test_every_changed_byte_and_the_wrong_way_are_refused() -> None:
    _, message = SmsSealer(PSK, NODE, Way.UP, BOOT).seal(b"content\0\0")
    assert sms.open_sms(PSK, Way.UP, message).content == b"content\0\0"
    with pytest.raises(SealRefused):
        sms.open_sms(PSK, Way.DOWN, message)
    for place in range(len(message)):
        broken = bytearray(message)
        broken[place] ^= 1
        with pytest.raises(SealRefused):
            sms.open_sms(PSK, Way.UP, bytes(broken))


def test_no_name_is_given_twice_within_a_boot() -> None:
    sealer = SmsSealer(PSK, NODE, Way.DOWN, BOOT)
    assert len({sealer.seal(b"")[0] for _ in range(50)}) == 50


@given(st.binary(max_size=600))
@settings(max_examples=300, deadline=None)
def test_any_bytes_are_refused_in_order_or_read(data: bytes) -> None:
    for read in (
        lambda: sms.open_sms(PSK, Way.UP, data),
        lambda: sms.decode(data, Way.UP),
        lambda: sms.decode(data, Way.DOWN),
        lambda: sms_pdu.decode_incoming(data),
        lambda: sms_pdu.decode_submit(data),
    ):
        try:
            read()
        except UpkendraError as error:
            assert error.refusal.code
    sms_pdu.part_of(sms_pdu.Deliver("", data, True, 4, 0))


@given(st.lists(st.binary(max_size=40), max_size=20))
@settings(max_examples=200, deadline=None)
def test_any_line_noise_leaves_the_modem_session_alive(pieces: list[bytes]) -> None:
    modem, now = Modem(0.0), 0.0
    sim = SimModem(Network(), NODE_SIM)
    for piece in pieces:
        modem.receive(piece, now)
    for _ in range(600):
        now = max(now, min(modem.get_timer(), now + 1.0))
        modem.tick(now)
        sim.feed(modem.take_output(), now)
        modem.receive(sim.take(), now)
        if modem.next_event() is None and modem.ready:
            break
    assert modem.ready


# Known PDUs, taken apart by hand after 3GPP TS 23.040.


def test_a_submit_is_what_the_specification_says() -> None:
    tpdu = sms_pdu.encode_submit(sms_pdu.Submit("+46708251358", bytes.fromhex("0605041234408D") + b"hi", report=True))
    assert tpdu.hex() == "7100" + "0b91" + "6407281553f8" + "0004a7" + "09" + "0605041234408d" + "6869"
    back = sms_pdu.decode_submit(tpdu)
    assert (back.number, back.validity_min, back.report, back.header) == ("+46708251358", 24 * 60, True, True)


def test_a_known_text_message_is_recognised_and_is_none_of_ours() -> None:
    pdu = bytes.fromhex("07917283010010F5040BC87238880900F10000993092516195800AE8329BFD4697D9EC37")
    heard = sms_pdu.decode_incoming(pdu)
    assert isinstance(heard, sms_pdu.Deliver)
    assert heard.number == "27838890001"
    assert heard.user_data.hex() == "e8329bfd4697d9ec37"
    assert sms_pdu.part_of(heard) is None
    # A two-digit year of 99 is 2099.
    at = datetime(2099, 3, 29, 15, 16, 59, tzinfo=timezone(timedelta(hours=2)))
    assert heard.sent_ms == at.timestamp() * 1000


def test_a_status_report_tells_what_became_of_a_message() -> None:
    report = sms_pdu.StatusReport(7, "+46708251358", 0)
    pdu = b"\0" + sms_pdu.encode_report(report, 1_790_000_000_000)
    assert pdu.hex()[:22] == "0006070b916407281553f8"
    assert sms_pdu.decode_incoming(pdu) == report
    assert report.delivered
    assert sms_pdu.StatusReport(7, "", 0x45).final


def test_headers_have_the_bytes_of_the_standard() -> None:
    assert sms_pdu.split(b"x" * 133, 5)[0].hex().startswith("060504408d408d78")
    one, two = sms_pdu.split(b"x" * 134, 0xABCD)
    assert one.hex().startswith("0c0504408d408d0804abcd0201")
    assert two.hex() == "0c0504408d408d0804abcd0202" + "78" * 7
    assert [len(piece) for piece in sms_pdu.split(bytes(127 * 4), 1)] == [140] * 4


def test_times_validities_and_numbers_go_there_and_back() -> None:
    assert sms_pdu.decode_time(sms_pdu.encode_time(1_790_000_001_000)) == 1_790_000_001_000
    india = datetime(2026, 11, 23, 23, 40, tzinfo=timezone(timedelta(hours=5, minutes=30)))
    assert sms_pdu.decode_time(bytes.fromhex("62113232040022")) == india.timestamp() * 1000
    assert sms_pdu.decode_time(bytes.fromhex("ffffffffffffff")) == 0
    for minutes in (1, 5, 720, 721, 1440, 4320, 100_000):
        assert sms_pdu.decode_validity(sms_pdu.encode_validity(minutes)) >= minutes
    for bad in ("", "+", "12", "+91x", "1" * 16, "'; DROP"):
        with pytest.raises(sms_pdu.PduRefused):
            sms_pdu.encode_address(bad)


# Two mailers over the network.


class Ends:
    """A node's and a hub's mailer, each with its modem, on simulated time."""

    def __init__(self, network: Network, slots: int = 20) -> None:
        self.network = network
        self.now = 0.0
        self.wall0_ms = 1_790_000_000_000
        self.sims = {number: SimModem(network, number, slots) for number in (NODE_SIM, HUB_SIM)}
        self.mail = {number: Mailer(Modem(0.0), Ledger(SmsBudget()), 9) for number in self.sims}
        self.events: dict[str, list[MailEvent]] = {number: [] for number in self.sims}
        self.keeps = True

    @property
    def wall_ms(self) -> int:
        return self.wall0_ms + int(self.now * 1000)

    def send(self, number: str, message: bytes, *, emergency: bool = False) -> int:
        other = HUB_SIM if number == NODE_SIM else NODE_SIM
        return self.mail[number].submit(message, other, self.now, self.wall_ms, emergency=emergency)

    def came(self, number: str) -> list[bytes]:
        return [event.message for event in self.events[number] if isinstance(event, Came)]

    def go(self, seconds: float) -> None:
        end = self.now + seconds
        while self.now < end:
            self.now = round(self.now + 0.5, 3)
            self.network.step(self.now)
            for number, mailer in self.mail.items():
                mailer.tick(self.now, self.wall_ms)
                for _ in range(12):
                    out = mailer.take_output()
                    self.sims[number].feed(out, self.now)
                    back = self.sims[number].take()
                    mailer.receive(back, self.now, self.wall_ms)
                    while (event := mailer.next_event()) is not None:
                        self.events[number].append(event)
                        if isinstance(event, Came) and self.keeps:
                            mailer.kept(event.slots, self.now)
                    if not out and not back:
                        break


@pytest.mark.parametrize("size", [28, 133, 134, 254, 480])
def test_a_message_of_any_size_arrives_whole_and_leaves_the_sim(size: int) -> None:
    ends = Ends(Network())
    key = ends.send(NODE_SIM, bytes(range(256)) * 2 if size > 508 else (bytes(range(256)) * 2)[:size])
    ends.go(60)
    assert ends.came(HUB_SIM) == [(bytes(range(256)) * 2)[:size]]
    assert Left(key) in ends.events[NODE_SIM]
    assert Delivered(key) in ends.events[NODE_SIM]
    assert not ends.sims[HUB_SIM].memory


def test_without_delivery_reports_nothing_is_kept_for_ever() -> None:
    network = Network()
    network.reports = False
    ends = Ends(network)
    keys = [ends.send(NODE_SIM, bytes([number]) * 20) for number in range(3)]
    ends.go(60)
    assert ends.came(HUB_SIM) == [bytes([number]) * 20 for number in range(3)]
    mail = ends.mail[NODE_SIM]
    assert not [event for event in ends.events[NODE_SIM] if isinstance(event, Unreported)]
    ends.now += 25 * 3600.0
    ends.go(60)
    assert [event.key for event in ends.events[NODE_SIM] if isinstance(event, Unreported)] == keys
    assert (mail._letters, mail._reports) == ({}, {})


def test_a_late_report_is_not_taken_for_another_message_whose_part_has_the_same_number() -> None:
    """The modem numbers parts from 0 to 255: the 257th has the number of the first."""
    network = Network()
    network.reports = False
    ends = Ends(network)
    first = ends.send(NODE_SIM, b"first")
    ends.go(30)
    ends.sims[NODE_SIM]._reference = (ends.sims[NODE_SIM]._reference - 1) % 256
    second = ends.send(NODE_SIM, b"second")
    ends.go(30)
    one, two = network.submitted
    assert one.reference == two.reference
    for other in ("+919999999999", HUB_SIM):
        network.report(NODE_SIM, sms_pdu.StatusReport(one.reference, other, 0), ends.now)
        ends.go(30)
        assert not [event for event in ends.events[NODE_SIM] if isinstance(event, Delivered)]
    network.reports = True
    ends.now += 25 * 3600.0
    ends.go(60)
    third = ends.send(NODE_SIM, b"third")
    ends.go(60)
    assert [event.key for event in ends.events[NODE_SIM] if isinstance(event, Unreported)] == [first, second]
    assert [event.key for event in ends.events[NODE_SIM] if isinstance(event, Delivered)] == [third]


def test_doubled_and_reordered_parts_make_one_message_of_each() -> None:
    network = Network(3, delay_s=1.0, jitter_s=20.0)
    network.doubling = 0.5
    ends = Ends(network)
    messages = [bytes([number]) * 400 for number in range(5)]
    for message in messages:
        ends.send(NODE_SIM, message, emergency=True)  # an hour's number, all of it
    ends.go(200)
    assert set(ends.came(HUB_SIM)) == set(messages)


def test_a_power_cut_before_a_message_is_kept_gives_it_again() -> None:
    ends = Ends(Network())
    ends.keeps = False
    ends.send(NODE_SIM, b"a" * 300)
    ends.go(60)
    assert len(ends.sims[HUB_SIM].memory) == 3
    ends.keeps = True
    ends.mail[HUB_SIM].restart(ends.now)
    ends.go(60)
    assert ends.came(HUB_SIM) == [b"a" * 300] * 2
    assert not ends.sims[HUB_SIM].memory


def test_what_could_not_be_kept_is_offered_again_and_what_was_announced_to_nobody_is_found() -> None:
    ends = Ends(Network())
    ends.keeps = False
    ends.sims[HUB_SIM].announces = False
    ends.send(NODE_SIM, b"a" * 30)
    ends.go(90)
    (first,) = [event for event in ends.events[HUB_SIM] if isinstance(event, Came)]
    ends.mail[HUB_SIM].not_kept(first.slots)
    ends.keeps = True
    ends.go(90)
    assert len(ends.came(HUB_SIM)) == 2
    assert not ends.sims[HUB_SIM].memory


def test_a_temporary_error_is_tried_again_with_the_same_bytes() -> None:
    ends = Ends(Network())
    ends.sims[NODE_SIM].errors.extend([42, 500, 47])
    ends.send(NODE_SIM, b"b" * 100)
    ends.go(400)
    assert ends.came(HUB_SIM) == [b"b" * 100]


def test_a_permanent_error_is_told_and_not_repeated() -> None:
    ends = Ends(Network())
    ends.sims[NODE_SIM].errors.append(1)
    key = ends.send(NODE_SIM, b"b" * 300)
    ends.go(400)
    assert GivenUp(key, "cms_1") in ends.events[NODE_SIM]
    assert ends.mail[NODE_SIM].waiting == 0


def test_a_reply_that_is_lost_leads_to_the_same_message_twice_and_counts_twice() -> None:
    ends = Ends(Network())
    ends.sims[NODE_SIM].lost_replies = 1
    ends.send(NODE_SIM, b"c" * 100)
    ends.go(400)
    assert ends.came(HUB_SIM) == [b"c" * 100] * 2
    assert ends.mail[NODE_SIM].ledger.last_day(ends.wall_ms) == 2


def test_without_network_it_waits_and_leaves_when_there_is_one() -> None:
    ends = Ends(Network())
    ends.sims[NODE_SIM].registered = False
    ends.send(NODE_SIM, b"d" * 100, emergency=True)
    ends.go(600)
    assert ends.mail[NODE_SIM].modem.trouble is Trouble.NO_NETWORK
    ends.sims[NODE_SIM].registered = True
    ends.go(200)
    assert ends.came(HUB_SIM) == [b"d" * 100]


def test_without_sim_it_says_so_and_goes_on_when_one_is_put_in() -> None:
    network = Network()
    ends = Ends(network)
    ends.sims[NODE_SIM].sim = False
    ends.go(60)
    assert ends.mail[NODE_SIM].modem.trouble is Trouble.NO_SIM
    ends.sims[NODE_SIM].sim = True
    ends.send(NODE_SIM, b"e" * 20)
    ends.go(60)
    assert ends.came(HUB_SIM) == [b"e" * 20]


def test_a_modem_that_restarts_or_falls_silent_is_set_up_again() -> None:
    ends = Ends(Network())
    ends.go(10)
    ends.sims[NODE_SIM].power_cycle()
    ends.go(10)
    ends.send(NODE_SIM, b"f" * 20)
    ends.go(30)
    ends.sims[NODE_SIM].silent = True
    ends.go(300)
    assert ends.mail[NODE_SIM].modem.trouble is Trouble.SILENT
    ends.sims[NODE_SIM].silent = False
    ends.send(NODE_SIM, b"g" * 20)
    ends.go(120)
    assert ends.came(HUB_SIM) == [b"f" * 20, b"g" * 20]


@pytest.mark.parametrize("prompted", [False, True])
def test_what_was_being_sent_when_the_port_was_lost_is_sent_again(prompted: bool) -> None:
    """A modem that browns out as it transmits takes its port away in the middle of a message."""
    ends = Ends(Network())
    ends.go(10)
    mail = ends.mail[NODE_SIM]
    ends.send(NODE_SIM, b"k" * 20, emergency=True)
    mail.take_output()
    if prompted:
        mail.receive(b"\r\n> ", ends.now, ends.wall_ms)
    ends.sims[NODE_SIM].power_cycle()
    mail.restart(ends.now)
    ends.go(60)
    assert ends.came(HUB_SIM) == [b"k" * 20]
    assert mail.waiting == 0


def test_a_full_sim_makes_room_for_whole_messages_and_foreign_ones_go() -> None:
    network = Network(delay_s=1.0)
    ends = Ends(network, slots=5)
    for number in range(3):
        half = sms_pdu.split(b"half" * 60, 100 + number)[0]
        network.inject(HUB_SIM, sms_pdu.Deliver("+911111111111", half, True, 4, 0), 0.0)
    for _ in range(4):
        network.inject(HUB_SIM, sms_pdu.Deliver("+911111111112", b"Recharge now", False, 4, 0), 0.0)
    ends.go(60)
    ends.send(NODE_SIM, b"h" * 480)
    ends.go(300)
    assert b"h" * 480 in ends.came(HUB_SIM)
    assert ends.mail[HUB_SIM].foreign == 4


def test_caps_hold_and_keep_a_reserve_for_emergencies() -> None:
    ends = Ends(Network())
    ends.mail[NODE_SIM].ledger.budget = SmsBudget(per_hour=8, per_day=8, reserve=3, cost_paise=25)
    for _ in range(5):
        ends.send(NODE_SIM, bytes(100))
    ends.go(120)
    with pytest.raises(SmsNotSent):
        ends.send(NODE_SIM, bytes(100))
    ends.send(NODE_SIM, bytes(300), emergency=True)
    with pytest.raises(SmsNotSent):
        ends.send(NODE_SIM, bytes(100), emergency=True)
    ends.go(120)
    assert ends.mail[NODE_SIM].ledger.cost_paise(ends.wall_ms) == 200
    assert ends.mail[NODE_SIM].ledger.last_day(ends.wall_ms + 86_400_000) == 0


def test_of_an_hours_sms_too_some_are_kept_for_emergencies() -> None:
    budget = SmsBudget(per_hour=8, per_day=100, reserve=20)
    assert budget.allows(5, 5, 1, emergency=False)
    assert not budget.allows(6, 6, 1, emergency=False)
    assert budget.allows(6, 6, 2, emergency=True)
    assert not budget.allows(8, 8, 1, emergency=True)
    assert SmsBudget(2, 2, 0).allows(1, 1, 1, emergency=False)


def test_2000_bytes_take_16_sms() -> None:
    sent = 0
    left = 2000
    while left:
        size = min(left, 127 * 4)
        sent += len(sms_pdu.split(bytes(size), sent))
        left -= size
    assert sent == 16


def test_a_forged_part_delays_a_message_and_spoils_no_other() -> None:
    puzzle = sms_pdu.Reassembly()
    one, two = (sms_pdu.part_of(sms_pdu.Deliver("+91", piece, True, 4, 0)) for piece in sms_pdu.split(bytes(200), 7))
    assert one is not None
    assert two is not None
    forged = sms_pdu.Part(one.port, b"forged", one.reference, one.total, one.place)
    assert puzzle.add("+91", forged, 1, 0.0) is None
    assert puzzle.add("+91", one, 2, 0.0) is None
    whole = puzzle.add("+91", two, 3, 0.0)
    assert whole is not None
    assert whole.message == bytes(200)
    assert set(whole.slots) == {1, 2, 3}


def test_a_message_has_its_name_until_nothing_more_can_be_heard_of_it() -> None:
    sent = Sent()
    sent.add(1, b"one")
    assert sent.became(Left(1)) == (b"one", "left")
    assert sent.became(Delivered(1)) == (b"one", "delivered")
    assert sent.became(Delivered(1)) is None
    sent.add(2, b"two")
    assert sent.became(GivenUp(2, "sms_timeout")) == (b"two", "sms_timeout")
    sent.add(3, b"three")
    assert sent.became(Unreported(3)) is None
    assert sent.became(Delivered(3)) is None
