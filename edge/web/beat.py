"""What a page's channel says when there is nothing to say, so that the page notices a connection that died silently.

A router that restarts or a server that loses power says no goodbye, and a browser shows its scripts no pings.
A page that has heard beats and then hears nothing for a while opens its channel again (``edge/ui/lib/live.js``).
"""

import asyncio

BEAT_S = 15.0
BEAT = '{"type":"beat"}'


async def next_or_beat(waiting: asyncio.Queue[str], beat_s: float = BEAT_S) -> str:
    """The next text, or a beat when none came for ``beat_s``. Called off, it takes no text away."""
    try:
        async with asyncio.timeout(beat_s):
            return await waiting.get()
    except TimeoutError:
        return BEAT
