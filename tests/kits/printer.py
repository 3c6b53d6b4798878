"""A thermal printer on a pseudo-terminal: draws what it is sent, and says how it stands when it is asked.

Speaks the part of ESC/POS that :mod:`edge.node.printing.escpos` uses, read from the other side. A byte that it does not
know is kept in ``wrong``: a real one would print it as a letter.
"""

import os
import threading
import tty
from types import TracebackType

HEAD = {80: 576, 58: 384}


class Paper:
    """What came out, cut into pieces; one row is a list of bits as one integer."""

    def __init__(self, dots: int) -> None:
        self.dots = dots
        self.pieces: list[list[bytes]] = []
        self._rows: list[bytes] = []

    def draw(self, across: int, rows: bytes) -> None:
        """Rows of a raster; what is wider than the head is cut off, as it is on paper."""
        whole = self.dots // 8
        for start in range(0, len(rows), across):
            self._rows.append(rows[start : start + across][:whole].ljust(whole, b"\0"))

    def cut(self) -> None:
        self.pieces.append(self._rows)
        self._rows = []


class ThermalPrinter:
    """The printer's own side of the line."""

    def __init__(self, roll_mm: int = 80, *, mute: bool = False) -> None:
        """``mute``: never answers, as many cheap ones."""
        self.paper = Paper(HEAD[roll_mm])
        self.mute = mute
        self.paper_out = self.cover_open = False
        self.runs_out_after = -1
        """Rows after which the roll ends; -1: never."""
        self.wrong = bytearray()
        self.marks = 0
        self._buffer = bytearray()
        self._left = 0
        self._drawn = 0

    def take(self, data: bytes) -> bytes:
        """Bytes from the node; what the printer answers."""
        self._buffer += data
        out = bytearray()
        while (used := self._step(out)) > 0:
            del self._buffer[:used]
        return b"" if self.mute else bytes(out)

    def _step(self, out: bytearray) -> int:
        """Do the first command that is here; its length, 0 when it is not whole yet."""
        have = self._buffer
        for start, size in (
            (b"\x10\x04", 3),
            (b"\x1b@", 2),
            (b"\x1bd", 3),
            (b"\x1dV", 4),
            (b"\x1dr", 3),
            (b"\x1dv0", 8),
        ):
            if start.startswith(have[: len(start)]) and len(have) < size:
                return 0
            if have.startswith(start):
                break
        else:
            if have:
                self.wrong.append(have[0])
            return min(1, len(have))
        if start == b"\x10\x04":
            out.append(self._status(have[2]))
        elif start == b"\x1dr":
            if self._off_line():
                return self._real_time(out)  # answered in its turn: not while the paper is out
            self.marks += 1
            out.append(0)
        elif start == b"\x1dV":
            if self._off_line():
                return self._real_time(out)
            self.paper.cut()
        elif start == b"\x1dv0":
            across, rows = int.from_bytes(have[4:6], "little"), int.from_bytes(have[6:8], "little")
            whole = 8 + across * rows
            if len(have) < whole or self._off_line():
                return self._real_time(out)
            self.paper.draw(across, bytes(have[8:whole]))
            self._drawn += rows
            if 0 <= self.runs_out_after <= self._drawn:
                self.paper_out = True
            return whole
        return size

    def _real_time(self, out: bytearray) -> int:
        """What is answered at once although the printer stands: it lies at the end of what came."""
        while len(self._buffer) >= 3 and self._buffer[-3:-1] == b"\x10\x04" and self._off_line():
            asked = self._buffer[-9:] if self._buffer[-9:-7] == b"\x10\x04" else self._buffer[-3:]
            out += bytes(self._status(asked[at + 2]) for at in range(0, len(asked), 3))
            del self._buffer[-len(asked) :]
        return 0

    def _off_line(self) -> bool:
        return self.paper_out or self.cover_open

    def _status(self, n: int) -> int:
        match n:
            case 1:
                return 0x12 | (0x08 if self._off_line() else 0)
            case 2:
                return 0x12 | (0x04 if self.cover_open else 0) | (0x20 if self.paper_out else 0)
            case 4:
                return 0x12 | (0x60 if self.paper_out else 0)
            case _:
                return 0x12


class PrinterOnPty:
    """The printer behind a pseudo-terminal, in a thread of its own."""

    def __init__(self, printer: ThermalPrinter) -> None:
        self.printer = printer
        self._ours, theirs = os.openpty()
        tty.setraw(theirs)
        self.path = os.ttyname(theirs)
        self._theirs = theirs  # held open, so that a line that is closed does not end the terminal
        self._thread = threading.Thread(target=self._work, daemon=True)

    def __enter__(self) -> "PrinterOnPty":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._theirs)
        self._thread.join(5.0)
        os.close(self._ours)

    def _work(self) -> None:
        while True:
            try:
                data = os.read(self._ours, 4096)
            except OSError:
                return
            if not data:
                return
            if answer := self.printer.take(data):
                os.write(self._ours, answer)
