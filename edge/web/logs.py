"""Structured logs: one JSON object a line on stderr.

Callers pass fields by ``extra={"fields": {...}}``; bodies, names, queries and secrets never belong
there. Tracebacks name files and lines, never the text of an exception that may quote a value.
"""

import json
import logging
import sys
import traceback
from collections.abc import Mapping

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


def start_logging(level: int = logging.INFO) -> None:
    """Send all logging of this process to stderr as JSON lines."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    logging.getLogger("asyncio").setLevel(logging.WARNING)
    logging.getLogger("aiohttp").setLevel(logging.WARNING)


def say(logger: logging.Logger, event: str, level: int = logging.INFO, **fields: LogField) -> None:
    """Log an event with fields. ``event`` is a constant, so that lines can be counted."""
    logger.log(level, event, extra={"fields": fields})
