"""What the people in the room are told of the USB sticks in this node: one line, however many there are. Pure."""

from edge.sync.bearers.usb import DEFAULT_SECONDS

from .live import StickPush


class StickLine:
    """As long as any stick is at work nobody may pull one, so the line says busy; the worst end is told last."""

    def __init__(self) -> None:
        self._busy: dict[str, tuple[StickPush, float]] = {}
        self._failed: StickPush | None = None

    def heard(self, stick: str, told: StickPush, now_s: float) -> StickPush:
        """The line, after ``stick`` (where it is mounted) stands like this. An empty one is whichever is there."""
        was_busy = bool(self._busy) if not stick else stick in self._busy
        if stick:
            self._busy.pop(stick, None)
        else:
            self._busy.clear()
        if was_busy and told.stage == "out":  # whoever was at work on it was stopped before the end
            told = StickPush("failed", code="stick_gone")
        if told.stage == "busy":
            self._busy[stick] = (told, now_s)
        elif told.stage == "failed":
            self._failed = told
        # Of a courier that was killed nothing more is heard; it would have given up by then.
        self._busy = {name: one for name, one in self._busy.items() if now_s - one[1] < DEFAULT_SECONDS}
        if self._busy:
            at_work = [one for one, _ in self._busy.values()]
            return StickPush("busy", sum(one.written for one in at_work), sum(one.total for one in at_work))
        line, self._failed = self._failed or told, None
        return line
