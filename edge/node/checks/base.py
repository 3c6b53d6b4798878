"""What a check is given and what it says. Knows no node: facts are measured by :mod:`edge.node.report`."""

from enum import StrEnum

from msgspec import Struct


class CheckGrade(StrEnum):
    """How grave it is."""

    OK = "ok"
    WARN = "warn"
    """Look after it this week."""
    FAIL = "fail"
    """Look after it now."""


class Finding(Struct, frozen=True):
    """What one check says."""

    check: str
    grade: CheckGrade
    value: str = ""
    """What was measured, with its unit; no sentence."""
    do_hi: str = ""
    """What to do, in Hindi; empty when all is well."""
    do_en: str = ""


class Facts(Struct, frozen=True):
    """What was measured. None: cannot be known as things stand (a locked or a stopped node); that is no fault."""

    running: bool
    disk_free_bytes: int
    disk_bytes: int
    clock_ms: int
    clock_trusted: bool
    records_bytes: int
    last_ack_age_s: float | None = None
    """None: the hub was not heard since the start."""
    up_s: float = 0.0
    """Since the start of the node."""
    silent_before_s: float = 0.0
    """How long the hub had not been heard when the node started."""
    outbox_items: int = 0
    outbox_oldest_s: int | None = None
    camera: str = "test"
    """test, tablet, file:… or v4l2:/dev/…"""
    camera_there: bool = True
    """Whether the file or device is there at all."""
    camera_failures: int = 0
    """Call processes since the start that ended because their camera or microphone did not open."""
    devices: tuple[str, ...] = ()
    """Models of the medical devices that this node was told of."""
    devices_absent: tuple[str, ...] = ()
    printer_fitted: bool = False
    printer_trouble: str = ""
    """How the last job of the thermal printer ended when it was not printed (docs/errors.md)."""
    panel_fitted: bool = False
    panel_faults: tuple[str, ...] = ()
    modem_fitted: bool = False
    modem_up: bool = False
    modem_trouble: str = ""
    sms_used: int = 0
    sms_cap: int = 0
    revoked: str = ""
    """Why the hub believes this machine no more, node_revoked or node_replaced; empty when it does."""
    questions_refused: str = ""
    """Why the file of guided questions in the data folder is not shown; empty when it is, or there is none."""
    swap: tuple[str, ...] = ()
    """Where the system puts memory aside that outlives a power cut."""
    twice_ms: int | None = None
    """When the hub said last that two machines speak under this node's name; None: never since the start."""


def ok(check: str, value: str = "") -> Finding:
    """All is well."""
    return Finding(check, CheckGrade.OK, value)
