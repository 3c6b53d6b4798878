"""ESC/POS: dots as a print job, and what the printer says of itself. One job, without I/O; time is an argument.

Commands as in Epson's ESC/POS reference, which the cheap 58 and 80 mm printers follow: ``ESC @`` (initialise),
``GS v 0`` (raster), ``ESC d`` (feed), ``GS V 66`` (cut), ``DLE EOT n`` (status at once, also while it is off line) and
``GS r 1`` (paper sensor, answered when everything before it was printed). Written from memory of that reference and not
tried on a real printer - verify.
"""

from collections.abc import Sequence
from enum import StrEnum

from .raster import Raster

INIT = b"\x1b@"
FEED = b"\x1bd\x04"
CUT = b"\x1dVB\x00"
"""Printers without a knife feed the paper to the edge."""
ASK = (b"\x10\x04\x01", b"\x10\x04\x02", b"\x10\x04\x04")
"""Printer status, why it is off line, paper sensor."""
DONE_MARK = b"\x1dr\x01"
BAND_ROWS = 24
"""3 mm. A question may stand between two bands and never within one, where it would be dots."""
ANSWER_S = 1.5
"""A printer that says nothing for so long is taken for one that never does."""
TAKE_S = 25.0
"""A printer that takes nothing for so long is off, or stopped for a reason that it does not say."""
ASK_AGAIN_S = 1.0
END_S = 45.0
"""From the last byte to the answer that all is printed: a slip of half a metre at 50 mm/s, four times over."""


class Outcome(StrEnum):
    """How a job ended."""

    PRINTED = "printed"
    SENT = "sent"
    """Everything was taken, but the printer never says how it stands: a person has to look."""
    PAPER_OUT = "paper_out"
    COVER_OPEN = "cover_open"
    PRINTER_ERROR = "printer_error"
    """Knife or head: it says that it cannot go on."""
    OFFLINE = "printer_offline"
    """It says that it is off line, and not why: its feed button, usually."""
    NO_PRINTER = "no_printer"
    """Nothing is plugged in there, or the line was lost."""
    STUCK = "printer_stuck"
    """It takes no data: switched off, or its cable is loose."""


def job_of(raster: Raster, copies: int = 1) -> list[bytes]:
    """What prints a picture, feeds and cuts, in whole commands."""
    across = raster.width // 8
    page = []
    for top in range(0, raster.height, BAND_ROWS):
        rows = raster.rows[top * across : (top + BAND_ROWS) * across]
        size = across.to_bytes(2, "little") + (len(rows) // across).to_bytes(2, "little")
        page.append(b"\x1dv0\x00" + size + _harmless(rows))
    return [INIT, *[*page, FEED + CUT] * copies]


def _harmless(rows: bytes) -> bytes:
    """Dots that a printer would take for a command to be obeyed at once (``DLE EOT``, ``DLE DC4``: a question, the
    cash drawer, power off) get one dot more."""
    return rows.replace(b"\x10\x04", b"\x11\x04").replace(b"\x10\x14", b"\x11\x14")


def trouble_in(n: int, answer: int) -> Outcome | None:
    """What an answer to ``DLE EOT n`` complains of."""
    match n:
        case 2 if answer & 0x20:
            return Outcome.PAPER_OUT
        case 2 if answer & 0x04:
            return Outcome.COVER_OPEN
        case 2 if answer & 0x40:
            return Outcome.PRINTER_ERROR
        case 4 if answer & 0x60 == 0x60:
            return Outcome.PAPER_OUT
        case 1 if answer & 0x08:
            return Outcome.OFFLINE
        case _:
            return None


class Job:
    """One job on its way. Ask :meth:`bytes_to_send` after every call; :attr:`outcome` ends it."""

    def __init__(self, pieces: Sequence[bytes], now_s: float) -> None:
        """``pieces``: whole commands, of :func:`job_of`."""
        self.outcome: Outcome | None = None
        self._pieces = list(reversed(pieces))
        self._asked: list[int] = []
        self._told: dict[int, int] = {}
        self._hears = False
        """Whether the printer has answered anything."""
        self._begun = self._marked = False
        self._out = b""
        self._ask()
        self._until_s = now_s + ANSWER_S
        self._end_s = 0.0

    def bytes_to_send(self) -> bytes:
        """What is to be written now; call :meth:`sent` when the line has taken it."""
        out, self._out = self._out, b""
        return out

    def timer(self) -> float:
        """When :meth:`expire` wants to be called."""
        return self._until_s

    def sent(self, now_s: float) -> None:
        """The line has taken everything."""
        if self.outcome is not None or not self._begun:
            return
        if self._pieces:
            self._next(now_s)
        elif not self._marked:
            self._marked = True
            if not self._hears:
                self.outcome = Outcome.SENT
                return
            self._out = DONE_MARK
            self._end_s, self._until_s = now_s + END_S, now_s + ASK_AGAIN_S

    def receive(self, data: bytes, now_s: float) -> None:
        """What the printer says."""
        for byte in data:
            if byte & 0x93 == 0x12 and self._asked:
                self._hears = True
                self._told[self._asked.pop(0)] = byte
            elif byte & 0x90 == 0 and self._marked and self._hears and self.outcome is None:
                self.outcome = Outcome.PAPER_OUT if byte & 0x0C == 0x0C else Outcome.PRINTED
        if not self._asked and self._told and self.outcome is None:
            found = [trouble for n in (2, 4, 1) if (trouble := trouble_in(n, self._told.get(n, 0)))]
            self._told.clear()
            if found:
                self.outcome = found[0]
            elif not self._begun:
                self._next(now_s)

    def expire(self, now_s: float) -> None:
        """The time that :meth:`timer` named has come."""
        if self.outcome is not None or now_s < self._until_s:
            return
        if not self._begun:
            self._asked.clear()
            self._told.clear()
            self._next(now_s)  # it never answers: many cheap ones do not
        elif not self._marked:
            self.outcome = Outcome.STUCK
        elif now_s >= self._end_s:
            self.outcome = Outcome.SENT
        else:
            if not self._asked:
                self._ask()
            self._until_s = now_s + ASK_AGAIN_S

    def _ask(self) -> None:
        self._out += b"".join(ASK)
        self._asked += [1, 2, 4]

    def _next(self, now_s: float) -> None:
        self._begun = True
        self._out = self._pieces.pop()
        if self._hears and not self._asked:
            self._ask()
        self._until_s = now_s + TAKE_S
