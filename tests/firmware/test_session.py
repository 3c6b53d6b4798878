"""The codec, and the node's session over a line that loses, repeats and spoils, against a small model of the board."""

import binascii
from collections import deque

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Struct

from edge.node.devices import panel_protocol as table
from edge.node.devices.panel import (
    SILENT_AFTER_S,
    BoardEvent,
    BoardFound,
    BoardLost,
    CommandDone,
    Image,
    PanelSession,
    UploadEnded,
)
from edge.node.devices.panel_desk import faults_of
from edge.node.devices.panel_link import FrameReader, Message, encode_frame
from edge.node.devices.panel_port import PanelHealth, PanelState

SIZES = {"B": 255, "H": 65_535, "I": 2**32 - 1}


def messages(kind: type[Struct]) -> st.SearchStrategy[Struct]:
    """Any message of a type whose values fit."""
    layout: str = kind.LAYOUT.removeprefix("<")  # type: ignore[attr-defined]
    tail: str = kind.TAIL  # type: ignore[attr-defined]
    names = [name for name in kind.__struct_fields__ if name != tail]
    fields: dict[str, st.SearchStrategy[object]] = {
        name: st.integers(0, SIZES[letter]) for name, letter in zip(names, layout, strict=True)
    }
    if tail:
        fields[tail] = st.binary(max_size=32)
    return st.builds(kind, **fields)


any_message = st.sampled_from([*table.TO_BOARD.values(), *table.TO_NODE.values()]).flatmap(messages)


@given(st.lists(st.tuples(st.integers(0, 255), any_message), max_size=20), st.data())
def test_what_is_encoded_is_heard_whatever_the_pieces(said: list[tuple[int, Struct]], data: st.DataObject) -> None:
    line = b"".join(encode_frame(sequence, message) for sequence, message in said)
    reader = FrameReader({**table.TO_BOARD, **table.TO_NODE})
    heard: list[tuple[int, Message]] = []
    while line:
        size = data.draw(st.integers(1, len(line)))
        heard += reader.feed(line[:size])
        line = line[size:]
    assert heard == said
    assert (reader.bad_frames, reader.unknown) == (0, 0)


@given(any_message, st.data())
def test_a_flipped_bit_is_never_another_message(message: Struct, data: st.DataObject) -> None:
    frame = encode_frame(7, message)
    bit = data.draw(st.integers(0, 8 * len(frame) - 1))
    spoilt = bytearray(frame)
    spoilt[bit // 8] ^= 1 << bit % 8
    reader = FrameReader({**table.TO_BOARD, **table.TO_NODE})
    heard = reader.feed(bytes(spoilt) + b"\0" + frame)
    assert heard[-1:] == [(7, message)], "the next one is heard"
    assert len(heard) == 1


@given(st.lists(st.binary(max_size=70)))
def test_nothing_that_comes_over_the_line_raises(blobs: list[bytes]) -> None:
    session = PanelSession(0.0)
    now = 0.0
    for blob in blobs:
        now += 0.01
        session.receive(blob + b"\0", now)
        session.bytes_to_send(now)
        session.get_timer()
        while session.next_news() is not None:
            pass


class ModelBoard:
    """The board as PROTOCOL.md describes it: application and loader, commands once, events until acknowledged."""

    def __init__(self) -> None:
        self.reader = FrameReader(table.TO_BOARD)
        self.mode = 0
        self.image, self.version = b"old" * 50, 1
        self.staged = bytearray()
        self.begun: table.UploadBegin | None = None
        self.next_chunk = 0
        self.last: tuple[int, type[Struct], int] | None = None
        self.carried_out: list[Message] = []
        self.events: deque[table.Event] = deque()
        self.acknowledged: list[int] = []
        self.event_at = 0.0

    def receive(self, data: bytes) -> bytes:
        return b"".join(self.answer(sequence, message) for sequence, message in self.reader.feed(data))

    def say_events(self, now: float) -> bytes:
        if not self.events or now < self.event_at or self.mode:
            return b""
        self.event_at = now + table.EVENT_REPEAT_MS / 1000
        return encode_frame(0, self.events[0])

    def identity(self) -> table.Identity:
        return table.Identity(1, self.mode, self.version, binascii.crc_hqx(self.image, 0xFFFF), 1, 0, 1)

    def answer(self, sequence: int, message: Message) -> bytes:
        match message:
            case table.Hello():
                self.last = None
                return encode_frame(sequence, self.identity())
            case table.EnterLoader():
                self.mode, self.begun = 1, None
                return encode_frame(sequence, self.identity())
            case table.Heartbeat() if self.mode == 0:
                return encode_frame(sequence, table.Status(12_600, 12_600, 1, 5, 0, 0, 0, 1400))
            case table.EventAck(number):
                if self.events and self.events[0].number == number:
                    self.acknowledged.append(self.events.popleft().number)
                    self.event_at = 0.0
                return b""
        if self.mode == 0:
            if self.last is None or self.last[:2] != (sequence, type(message)):
                self.carried_out.append(message)
                self.last = (sequence, type(message), 0)
            return encode_frame(sequence, table.Done(sequence, self.last[2]))
        return encode_frame(sequence, table.Done(sequence, self.load(message)))

    def load(self, message: Message) -> int:
        match message:
            case table.UploadBegin():
                self.begun, self.next_chunk = message, 0
                self.staged.clear()
                return 0
            case table.UploadData(chunk, data):
                if self.begun is not None and chunk + 1 == self.next_chunk:
                    return 0
                if self.begun is None or chunk != self.next_chunk or chunk * 32 >= self.begun.length:
                    return 1
                self.next_chunk += 1
                self.staged += data
                return 0
            case table.UploadCommit():
                if self.begun is None:
                    return 2
                if binascii.crc_hqx(bytes(self.staged[: self.begun.length]), 0xFFFF) != self.begun.crc:
                    return 4
                self.image, self.version = bytes(self.staged[: self.begun.length]), self.begun.version
                self.mode, self.begun = 0, None
                return 0
            case _:
                return 2


class Line:
    """Carries bytes with a delay of 10 ms each way; some pieces are lost, repeated or spoilt as ``fate`` says."""

    def __init__(self, fate: list[int]) -> None:
        self._fate = deque(fate)
        self._moving: deque[tuple[float, bytes]] = deque()

    def put(self, data: bytes, now: float) -> None:
        if not data:
            return
        match self._fate.popleft() if self._fate else 0:
            case 1:
                return
            case 2:
                data = data + data
            case 3:
                data = data[:-2] + bytes([data[-2] ^ 0x10]) + data[-1:]
            case 4:
                data = data[: len(data) // 2]
        self._moving.append((now + 0.01, data))

    def get(self, now: float) -> bytes:
        out = b""
        while self._moving and self._moving[0][0] <= now:
            out += self._moving.popleft()[1]
        return out


def converse(
    session: PanelSession, board: ModelBoard, fates: tuple[list[int], list[int]], seconds: float
) -> list[object]:
    """Lets both talk for so long in steps of 10 ms; everything the session reported."""
    to_board, to_node = Line(fates[0]), Line(fates[1])
    news: list[object] = []
    now = 0.0
    while now < seconds:
        now = round(now + 0.01, 2)
        to_board.put(session.bytes_to_send(now), now)
        to_node.put(board.receive(to_board.get(now)) + board.say_events(now), now)
        session.receive(to_node.get(now), now)
        while (one := session.next_news()) is not None:
            news.append(one)
            if isinstance(one, BoardEvent):
                session.stored(one.number)
    return news


fate = st.lists(st.sampled_from([0, 0, 0, 1, 2, 3, 4]), max_size=60)


@settings(max_examples=60, deadline=None)
@given(fate, fate)
def test_every_event_is_stored_and_every_command_carried_out_once_in_order(there: list[int], back: list[int]) -> None:
    session, board = PanelSession(0.0), ModelBoard()
    board.events.extend(table.Event(number, 1, 0, number) for number in range(1, 5))
    for pattern in (1, 2, 3):
        session.buzz(pattern)
    news = converse(session, board, (there, back), 40.0)
    assert board.acknowledged == [1, 2, 3, 4]
    seen = [one.number for one in news if isinstance(one, BoardEvent)]
    assert seen == [1, 2, 3, 4], "each told once"
    done = [one for one in news if isinstance(one, CommandDone)]
    assert [one.result for one in done if one.result != "no_answer"].count("done") + sum(
        one.result == "no_answer" for one in done
    ) == 3
    heard = [one.pattern for one in board.carried_out if isinstance(one, table.Buzz)]
    assert [pattern for pattern in (1, 2, 3) if pattern in heard] == sorted(set(heard)), "in their order"
    if not any(isinstance(one, BoardLost) for one in news):
        assert len(heard) == len(set(heard)), "each once"
    for one in done:
        if one.result == "done":
            assert isinstance(one.command, table.Buzz)
            assert one.command.pattern in heard


@settings(max_examples=40, deadline=None)
@given(fate, fate, st.binary(min_size=128, max_size=700))
def test_an_upload_over_a_bad_line_ends_with_the_very_image_or_says_that_it_did_not(
    there: list[int], back: list[int], data: bytes
) -> None:
    session, board = PanelSession(0.0), ModelBoard()
    new = Image(data, 2)
    session.upload(new)
    news = converse(session, board, (there, back), 90.0)
    ended = [one for one in news if isinstance(one, UploadEnded)]
    assert len(ended) == 1
    if ended[0].ok:
        assert (board.image, board.version, board.mode) == (data, 2, 0)
    assert session.upload_progress is None


def test_a_board_that_falls_silent_is_reported_once_and_asked_for_again() -> None:
    session, board = PanelSession(0.0), ModelBoard()
    news = converse(session, board, ([], []), 2.0)
    assert sum(isinstance(one, BoardFound) for one in news) == 1
    session.bytes_to_send(2.0 + SILENT_AFTER_S + 0.1)
    assert isinstance(session.next_news(), BoardLost)
    assert session.identity is None
    assert encode_frame(0, table.Hello())[-1:] == session.bytes_to_send(20.0)[-1:]
    assert session.next_news() is None


def test_a_board_that_was_without_power_counts_its_events_anew() -> None:
    session = PanelSession(0.0)
    news = []
    for number, uptime_s in ((1, 5), (1, 5), (2, 90), (1, 3), (1, 3), (2, 4)):
        session.receive(encode_frame(0, table.Event(number, 1, 0, uptime_s)), 1.0)
        session.receive(b"".join(answers(session, 1.0, uptime_s)), 1.01)
        news += events_of(session)
    assert [(one.number, one.uptime_s) for one in news] == [(1, 5), (2, 90), (1, 3), (2, 4)]


def answers(session: PanelSession, now: float, uptime_s: int, flags: int = 1) -> list[bytes]:
    """What a board of that up-time says to everything that the session wants to send now."""
    status = table.Status(12_600, 12_600, flags, uptime_s, 0, 0, 0, 1400)
    heard = FrameReader(table.TO_BOARD).feed(session.bytes_to_send(now))
    return [encode_frame(sequence, status) for sequence, message in heard if isinstance(message, table.Heartbeat)]


def events_of(session: PanelSession) -> list[BoardEvent]:
    news = []
    while (one := session.next_news()) is not None:
        news.append(one)
    return [one for one in news if isinstance(one, BoardEvent)]


def met(uptime_s: int = 100, boots: int = 3) -> PanelSession:
    """A session that knows its board."""
    session = PanelSession(0.0)
    session.receive(encode_frame(1, table.Identity(1, 0, 1, 7, 1, uptime_s, boots)), 0.0)
    session.receive(b"".join(answers(session, 0.0, uptime_s)), 0.01)
    return session


def test_the_age_of_a_press_is_asked_for_after_it_was_heard_whatever_lay_in_the_buffers() -> None:
    session = met(100)
    late = answers(session, 1.0, 101)
    # The process stands still for eight seconds; then it reads all that the board said meanwhile at once.
    press = encode_frame(0, table.Event(1, 1, 0, 101))
    session.receive(late[0] + press * 16, 9.0)
    assert events_of(session) == [], "its age is not known"
    session.receive(b"".join(answers(session, 9.0, 109)), 9.01)
    assert [(one.number, one.age_s) for one in events_of(session)] == [(1, 8)]
    session.receive(press, 9.1)
    session.bytes_to_send(9.1)
    assert events_of(session) == [], "told once"


def test_an_answer_that_was_late_itself_dates_nothing_and_is_asked_for_again() -> None:
    session = met(100)
    press = encode_frame(0, table.Event(1, 1, 0, 100))
    session.receive(press, 0.1)
    late = answers(session, 0.1, 100)
    session.receive(b"".join(late), 8.0)
    assert events_of(session) == []
    session.receive(press, 8.1)
    session.receive(b"".join(answers(session, 8.1, 108)), 8.11)
    assert [one.age_s for one in events_of(session)] == [8]


def test_an_event_of_a_life_before_the_board_lost_its_power_is_not_told() -> None:
    session = met(2)
    session.receive(encode_frame(0, table.Event(9, 1, 0, 5000)), 0.1)
    session.receive(b"".join(answers(session, 0.1, 2)), 0.11)
    assert events_of(session) == []


def test_the_first_event_of_a_new_life_is_told_although_one_like_it_was_known() -> None:
    session = met(0)
    restarted = encode_frame(0, table.Event(1, 10, 1, 0))
    for now in (1.0, 200.0):
        session.receive(encode_frame(1, table.Identity(1, 0, 1, 7, 1, 0, int(now))), now)
        session.receive(restarted, now)
        session.receive(b"".join(answers(session, now, 0)), now + 0.01)
        assert [one.number for one in events_of(session)] == [1]
        session.stored(1)
        session.receive(b"".join(answers(session, now + 20, 20)), now + 20.01)


def test_an_unhealthy_node_dates_an_event_too() -> None:
    session = met(100)
    session.healthy = False
    session.receive(encode_frame(0, table.Event(1, 6, 11_100, 100)), 2.0)
    asked = FrameReader(table.TO_BOARD).feed(session.bytes_to_send(2.0))
    assert asked
    assert all(isinstance(message, table.Hello) for _, message in asked)
    session.receive(b"".join(encode_frame(s, table.Identity(1, 0, 1, 7, 1, 101, 3)) for s, _ in asked), 2.01)
    assert [one.age_s for one in events_of(session)] == [1]


def test_an_announcement_goes_out_at_once_and_stands_only_when_the_board_confirms_it() -> None:
    session = met()
    assert session.announced
    session.announce(updating=True)
    assert not session.announced, "the status heard before says nothing of it"
    assert session.get_timer() <= 0.02
    frames = FrameReader(table.TO_BOARD).feed(session.bytes_to_send(0.02))
    assert [message for _, message in frames if isinstance(message, table.Heartbeat)] == [table.Heartbeat(1)]
    session.receive(encode_frame(frames[-1][0], table.Status(12_600, 12_600, 1, 100, 0, 0, 0, 1400)), 0.03)
    assert not session.announced
    session.receive(b"".join(answers(session, 1.1, 101, flags=1 | 1 << 4)), 1.11)
    assert session.announced
    session.announce(leaving=True)
    session.receive(b"".join(answers(session, 1.2, 101, flags=1 | 1 << 5)), 1.21)
    assert session.announced


def test_a_line_is_noisy_by_what_it_spoils_in_an_hour_and_not_for_ever() -> None:
    day = PanelHealth(PanelState.RUNNING, uptime_s=86_400, mains=True, bad_frames=150, stack_free=1000)
    assert faults_of(day) == ()
    assert faults_of(msgspec.structs.replace(day, uptime_s=600)) == ("panel_line_noisy",)
    assert faults_of(msgspec.structs.replace(day, bad_frames=60_000, mains=False)) == ("on_battery", "panel_line_noisy")


def test_an_unhealthy_node_sends_no_heartbeat() -> None:
    session, board = PanelSession(0.0), ModelBoard()
    converse(session, board, ([], []), 1.0)
    session.healthy = False
    reader = FrameReader(table.TO_BOARD)
    heard = [message for tenth in range(15, 40) for _, message in reader.feed(session.bytes_to_send(tenth / 10))]
    assert heard
    assert not [message for message in heard if isinstance(message, table.Heartbeat)]
