"""Structured logs: one JSON object a line on stderr.

Callers pass fields by ``extra={"fields": {...}}``; bodies, names, queries and secrets never belong
there. Tracebacks name files and lines, never the text of an exception that may quote a value.
"""

import json
import logging
import sys
import traceback
from collections import deque
from collections.abc import Mapping

from msgspec import Struct

RECENT_MAX = 100
SHOWN_FIELDS = frozenset(
    {"code", "reason", "seq", "bytes", "bearer", "online", "attempt", "bundle", "kind", "emergency"}
)
LogField = str | int | float | bool | None


class JsonFormatter(logging.Formatter):
    """``{"time_ms", "level", "logger", "event", …fields}``."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time_ms": int(record.created * 1000),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
        }
        fields = getattr(record, "fields", None)
        if isinstance(fields, Mapping):
            line.update(fields)
        if record.exc_info and record.exc_info[0] is not None:
            line["error"] = record.exc_info[0].__name__
            frames = traceback.extract_tb(record.exc_info[2])[-8:]
            line["at"] = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
        return json.dumps(line, ensure_ascii=False)


class LogLine(Struct, frozen=True):
    """A line as people may see it on a page: no free text, no visit, nobody's name."""

    time_ms: int
    level: str
    logger: str
    event: str
    fields: tuple[tuple[str, str], ...] = ()


class Recent(logging.Handler):
    """The last warnings and errors of this process, kept in memory."""

    def __init__(self, most: int = RECENT_MAX) -> None:
        super().__init__(logging.WARNING)
        self._lines: deque[LogLine] = deque(maxlen=most)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the template of the message, and of the fields only those that cannot speak of a person."""
        fields = getattr(record, "fields", None)
        shown = [(k, str(v)) for k, v in fields.items() if k in SHOWN_FIELDS] if isinstance(fields, Mapping) else []
        if record.exc_info and record.exc_info[0] is not None:
            shown.append(("error", record.exc_info[0].__name__))
        at_ms = int(record.created * 1000)
        line = LogLine(at_ms, record.levelname.lower(), record.name, str(record.msg), tuple(shown))
        self._lines.append(line)

    def lines(self) -> tuple[LogLine, ...]:
        """The latest first."""
        return tuple(reversed(self._lines))


RECENT = Recent()


def start_logging(level: int = logging.INFO) -> None:
    """Send all logging of this process to stderr as JSON lines."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler, RECENT]
    root.setLevel(level)
    logging.getLogger("asyncio").setLevel(logging.WARNING)
    logging.getLogger("aiohttp").setLevel(logging.WARNING)


def say(logger: logging.Logger, event: str, level: int = logging.INFO, **fields: LogField) -> None:
    """Log an event with fields. ``event`` is a constant, so that lines can be counted."""
    logger.log(level, event, extra={"fields": fields})
