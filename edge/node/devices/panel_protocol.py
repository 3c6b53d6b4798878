"""Messages of the panel link. Made by firmware/generate.py from firmware/protocol.toml; do not edit."""

from typing import ClassVar

from msgspec import Struct

VERSION = 1
BAUD = 38400
FRAME_MAX = 48
EVENT_REPEAT_MS = 500
HEARTBEAT_MS = 1000
HEARTBEAT_MISSED = 30


class Hello(Struct, frozen=True):
    """Who are you? The node asks after every open of the port; a greeting at reset would be lost."""

    CODE: ClassVar[int] = 0x01
    LAYOUT: ClassVar[str] = "<"
    TAIL: ClassVar[str] = ""


class Identity(Struct, frozen=True):
    """Answer to hello. In the loader `mode` is 1."""

    CODE: ClassVar[int] = 0x41
    LAYOUT: ClassVar[str] = "<BBHHBIH"
    TAIL: ClassVar[str] = ""
    protocol: int
    """Version of this table."""
    mode: int
    """0 application, 1 loader."""
    app_version: int
    """Version of the application in bank A, 0 if none is valid."""
    app_crc: int
    """CRC of bank A."""
    reset_cause: int
    """MCUSR at reset: 1 power, 2 pin, 4 brown-out, 8 watchdog."""
    uptime_s: int
    """Seconds since power came, kept over resets of the processor, whose time in the loader it leaves out; 0 in the
    loader."""
    boots: int
    """Count of power-ups: with the same one, uptime_s never went back; 0 in the loader."""


class Heartbeat(Struct, frozen=True):
    """The node lives and its store answers. Also confirms a freshly updated application."""

    CODE: ClassVar[int] = 0x02
    LAYOUT: ClassVar[str] = "<B"
    TAIL: ClassVar[str] = ""
    flags: int
    """Bit 0: an update of the node runs, do not power-cycle; bit 1: the node ends in order and comes back, wait as
    after power-up."""


class Status(Struct, frozen=True):
    """Answer to every heartbeat, with its sequence."""

    CODE: ClassVar[int] = 0x42
    LAYOUT: ClassVar[str] = "<HHBIBHHH"
    TAIL: ClassVar[str] = ""
    battery_mv: int
    """Filtered battery voltage, mV."""
    input_mv: int
    """Filtered input voltage, mV."""
    flags: int
    """Bit 0 mains, 1 battery low, 2 shutdown asked, 3 button down, 4 an update of the node is known, 5 no heartbeat
    since power-up or since the node took its leave."""
    uptime_s: int
    """Seconds since power came."""
    power_state: int
    """0 on, 1 warned, 2 shutdown asked, 3 shutdown acknowledged, 4 off."""
    bad_frames: int
    """Frames refused since reset."""
    unknown: int
    """Well-formed messages of unknown type since reset."""
    stack_free: int
    """Bytes of RAM never touched by the stack."""


class Show(Struct, frozen=True):
    """Show a token on the eight digits; answered by done."""

    CODE: ClassVar[int] = 0x03
    LAYOUT: ClassVar[str] = "<"
    TAIL: ClassVar[str] = "text"
    text: bytes
    """Up to 8 characters 0-9 A-F H L P U - and blank, right aligned; bit 7 lights the point."""


class Buzz(Struct, frozen=True):
    """Sound a pattern; answered by done."""

    CODE: ClassVar[int] = 0x04
    LAYOUT: ClassVar[str] = "<B"
    TAIL: ClassVar[str] = ""
    pattern: int
    """0 silence, 1 next patient, 2 emergency, 3 error, 4 acknowledge."""


class Done(Struct, frozen=True):
    """The command with this sequence number was carried out, or why not."""

    CODE: ClassVar[int] = 0x43
    LAYOUT: ClassVar[str] = "<BB"
    TAIL: ClassVar[str] = ""
    command: int
    """Sequence number of the command."""
    result: int
    """0 done, 1 bad value, 2 not now, 3 bank full, 4 bad check sum, 5 write failed."""


class Event(Struct, frozen=True):
    """Something happened. Repeated every event_repeat_ms until event_ack."""

    CODE: ClassVar[int] = 0x44
    LAYOUT: ClassVar[str] = "<HBHI"
    TAIL: ClassVar[str] = ""
    number: int
    """Counts events since power came, over resets."""
    kind: int
    """1 call next, 2 recall, 3 mains lost, 4 mains back, 5 battery low, 6 shutdown asked, 7 Pi power-cycled, 8 woke
    by timer, 9 woke by mains, 10 processor restarted."""
    value: int
    """Battery in mV for power events, MCUSR for 10, else 0."""
    uptime_s: int
    """When."""


class EventAck(Struct, frozen=True):
    """The node has stored this event."""

    CODE: ClassVar[int] = 0x05
    LAYOUT: ClassVar[str] = "<H"
    TAIL: ClassVar[str] = ""
    number: int
    """Number of the event."""


class ShutdownAck(Struct, frozen=True):
    """The node has fsynced everything and halts; cut the power in so many seconds."""

    CODE: ClassVar[int] = 0x06
    LAYOUT: ClassVar[str] = "<BI"
    TAIL: ClassVar[str] = ""
    cut_in_s: int
    """5 to 250 s."""
    wake_in_s: int
    """Switch on again after so many seconds, 0: on mains or button only."""


class Calibrate(Struct, frozen=True):
    """Store the gain of a channel: the voltage that a meter reads now. Answered by done."""

    CODE: ClassVar[int] = 0x07
    LAYOUT: ClassVar[str] = "<BH"
    TAIL: ClassVar[str] = ""
    channel: int
    """0 battery, 1 input."""
    true_mv: int
    """What the meter reads, mV."""


class LogRead(Struct, frozen=True):
    """Read a record of the event log in EEPROM; answered by log_record."""

    CODE: ClassVar[int] = 0x08
    LAYOUT: ClassVar[str] = "<B"
    TAIL: ClassVar[str] = ""
    back: int
    """0 the newest, 1 the one before …."""


class LogRecord(Struct, frozen=True):
    """Answer to log_read; kind 0 when there is none."""

    CODE: ClassVar[int] = 0x45
    LAYOUT: ClassVar[str] = "<BBHIH"
    TAIL: ClassVar[str] = ""
    back: int
    """As asked."""
    kind: int
    """Kind of the event."""
    value: int
    """As in event."""
    uptime_s: int
    """When."""
    boots: int
    """Count of power-ups at that time."""


class EnterLoader(Struct, frozen=True):
    """Leave the application and stay in the loader. Answered by identity once there."""

    CODE: ClassVar[int] = 0x10
    LAYOUT: ClassVar[str] = "<H"
    TAIL: ClassVar[str] = ""
    magic: int
    """0x4C55."""


class UploadBegin(Struct, frozen=True):
    """Loader: bank B becomes invalid and takes a new image. Answered by done."""

    CODE: ClassVar[int] = 0x11
    LAYOUT: ClassVar[str] = "<HHH"
    TAIL: ClassVar[str] = ""
    length: int
    """Bytes, 128 to 15232."""
    crc: int
    """CRC-16/CCITT-FALSE of the image."""
    version: int
    """Version of the image, not 0."""


class UploadData(Struct, frozen=True):
    """Loader: 32 bytes of the image, in order within a page; the fourth chunk writes the page. Answered by done."""

    CODE: ClassVar[int] = 0x12
    LAYOUT: ClassVar[str] = "<H"
    TAIL: ClassVar[str] = "data"
    chunk: int
    """Chunk number; offset = 32 × chunk."""
    data: bytes
    """32 bytes, padded with 0xFF."""


class UploadCommit(Struct, frozen=True):
    """Loader: check bank B, write its meta page, copy it into bank A and start it. Answered by done before the
    copy."""

    CODE: ClassVar[int] = 0x13
    LAYOUT: ClassVar[str] = "<"
    TAIL: ClassVar[str] = ""


class Start(Struct, frozen=True):
    """Loader: leave the loader and start bank A if it is valid. Answered by done."""

    CODE: ClassVar[int] = 0x14
    LAYOUT: ClassVar[str] = "<"
    TAIL: ClassVar[str] = ""


TO_BOARD: dict[int, type[Struct]] = {
    Hello.CODE: Hello,
    Heartbeat.CODE: Heartbeat,
    Show.CODE: Show,
    Buzz.CODE: Buzz,
    EventAck.CODE: EventAck,
    ShutdownAck.CODE: ShutdownAck,
    Calibrate.CODE: Calibrate,
    LogRead.CODE: LogRead,
    EnterLoader.CODE: EnterLoader,
    UploadBegin.CODE: UploadBegin,
    UploadData.CODE: UploadData,
    UploadCommit.CODE: UploadCommit,
    Start.CODE: Start,
}

TO_NODE: dict[int, type[Struct]] = {
    Identity.CODE: Identity,
    Status.CODE: Status,
    Done.CODE: Done,
    Event.CODE: Event,
    LogRecord.CODE: LogRecord,
}
