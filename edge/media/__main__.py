"""``python -m edge.media``: one attempt of one call; JSON lines on stdin and stdout, JSON log on stderr."""

import asyncio
import contextlib
import ctypes
import json
import logging
import os
import signal
import sys
import threading
import time


class JsonLines(logging.Formatter):
    """One JSON object a record."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as a line."""
        entry = {"t": round(time.time(), 3), "level": record.levelname.lower(), "room": "media", "from": record.name}
        entry["message"] = record.getMessage()
        if record.exc_info:
            entry["error"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=False)


def die_with_the_node() -> None:
    """Let Linux kill this process when the node dies, even if a codec holds the interpreter (prctl(2))."""
    set_parent_death_signal = 1
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(set_parent_death_signal, int(signal.SIGKILL), 0, 0, 0)


async def _serve() -> None:
    from edge.media.worker import Worker

    await Worker(asyncio.get_running_loop()).run()


def main() -> None:
    """Run until the call is over."""
    die_with_the_node()
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    for talkative in ("aiortc", "aioice", "libav"):
        logging.getLogger(talkative).setLevel(logging.WARNING)
    asyncio.run(_serve())
    # GStreamer and codec threads that hang must not keep a process of a finished call alive.
    threading.Timer(0.5, os._exit, (0,)).start()


if __name__ == "__main__":
    main()
