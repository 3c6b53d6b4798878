"""A picture as the dots of a thermal printer's head: PNG → one bit a dot. The work is done in a short-lived process
(:mod:`.raster_worker`), so that the decoder's memory never belongs to the node."""

import asyncio
import os
import sys
from pathlib import Path

from msgspec import Struct

from edge.model.errors import UpkendraError

TIMEOUT_S = 30.0
_WORKER = Path(__file__).with_name("raster_worker.py")


class RasterFailed(UpkendraError):
    """The page could not be made into dots: the helper process failed. Try again, or print the PDF."""

    code = "raster_failed"


class Raster(Struct, frozen=True):
    """Dots, row by row from the top; the first dot is the highest bit of a byte, 1 is black."""

    width: int
    """In dots, a multiple of 8."""
    height: int
    rows: bytes


async def raster_of(png: bytes) -> Raster:
    """The dots of a PNG whose width is a multiple of 8. Raises RasterFailed."""
    pipe = asyncio.subprocess.PIPE
    command = (sys.executable, "-I", "-S", str(_WORKER), os.pathsep.join(filter(None, sys.path)))
    try:
        child = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe)
    except OSError:
        raise RasterFailed("The page could not be made into dots.") from None
    try:
        out, _ = await asyncio.wait_for(child.communicate(png), TIMEOUT_S)
    except OSError:
        raise RasterFailed("The page could not be made into dots.") from None
    except TimeoutError:
        raise RasterFailed("The page could not be made into dots in time.") from None
    finally:
        if child.returncode is None:  # too late, or the node stops: it must not outlive the loop
            child.kill()
            await child.communicate()
    if child.returncode != 0 or len(out) < 8:
        raise RasterFailed("The page could not be made into dots.")
    made = Raster(int.from_bytes(out[:4], "big"), int.from_bytes(out[4:8], "big"), out[8:])
    if len(made.rows) != made.width // 8 * made.height:
        raise RasterFailed("The page could not be made into dots.")
    return made
