"""What the drivers share that ask a meter for its memory: ask, wait, ask again, begin anew. No protocol; pure."""

from abc import abstractmethod
from typing import ClassVar

from .base import Condition, Driver, Live, Result, Value
from .stored import Stored, newest

GLUCOSE_LIMITS = (20, 600)
"""mg/dL; forms.md section 4. Beyond it a meter itself says only HI or LO."""
MGDL_PER_MMOL = 18.016


def glucose(mgdl: int) -> tuple[Value, ...] | None:
    """A blood sugar; None when it is no possible one."""
    if not GLUCOSE_LIMITS[0] <= mgdl <= GLUCOSE_LIMITS[1]:
        return None
    return (Value("rbs_mgdl", float(mgdl)),)


class Meter(Driver):
    """One question at a time. A step that is not answered is asked again; after that everything begins anew."""

    reply_s: ClassVar[float] = 1.5
    """How long an answer may take."""
    tries: ClassVar[int] = 3
    again_s: ClassVar[float] = 5.0
    """After the memory was read without a fresh reading, it is read again so much later."""

    def __init__(self, now: float, local_ms: int) -> None:
        self._question = b""
        self._asked = 0
        self._found: list[Stored] = []
        self._finished = False
        super().__init__(now, local_ms)

    @abstractmethod
    def _begin(self, now: float) -> None:
        """The first question."""

    def _start(self, now: float) -> None:
        self._begin(now)

    def due(self, now: float) -> None:
        if self._finished:
            self._timer = None
            return
        if not self._question or self._asked >= self.tries:
            if self._condition not in (Condition.NO_RECORD,):
                self._set(Condition.WAITING)
            self._restart(now)
        else:
            self._repeat(now)

    def _restart(self, now: float) -> None:
        self._found = []
        self._question = b""
        self._begin(now)

    def _ask(self, question: bytes, now: float) -> None:
        self._question, self._asked = question, 0
        self._repeat(now)

    def _repeat(self, now: float) -> None:
        self._out += self._question
        self._asked += 1
        self._timer = now + self.reply_s

    def _end(self, device_now_ms: int | None, serial: str, now: float) -> None:
        """The memory was read."""
        result: Result | None = newest(self._found, device_now_ms, self._local_now_ms(now), serial)
        self._question = b""
        if result is None or self.condition is Condition.NOISY:
            self._set(Condition.NO_RECORD)
            self._timer = now + self.again_s
            return
        self._finished = True
        self._timer = None
        self._news.append(Live(result.values))
        self._news.append(result)
        self._set(Condition.READY)
