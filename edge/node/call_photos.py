"""Photos of a call: sharp ones that the node's own camera takes, and what both sides draw on them while they talk.

A sharp picture becomes a photo of the visit as if the member of staff who took the call had attached it. What is drawn
only passes through here; what is to stay comes as a command of its own. Knows no signal and no state of the call.
"""

import logging
import secrets
from collections import OrderedDict

from edge.media.aside import Drew
from edge.media.signals import SharpTaken
from edge.model.commands import AttachMedia
from edge.model.errors import Refused, UpkendraError
from edge.model.ids import ID_BYTES, make_id
from edge.model.media import Purpose, Upload
from edge.web.logs import say

from .call_running import RunningCall
from .clinic import Clinic
from .live import DrewPush
from .media import MediaDesk

logger = logging.getLogger("edge.node.calls")
STILLS_MAX = 4
"""Sharp pictures whose pieces are still coming."""


class CallPhotos:
    """One node's."""

    def __init__(self, clinic: Clinic, media: MediaDesk) -> None:
        self._clinic = clinic
        self._media = media
        self._coming: OrderedDict[str, dict[Purpose, str]] = OrderedDict()
        """Still → the upload of each part of it."""

    def drew(self, running: RunningCall, drew: Drew) -> None:
        """The doctor draws: every tablet with the photo open shows it."""
        ring = running.ring
        self._clinic.tablets.push(DrewPush(ring.call_id, ring.visit_id, drew.blob_id, drew.mark_id, drew.mark))

    async def taken(self, running: RunningCall, piece: SharpTaken) -> None:
        """A piece of a sharp picture; with the last one of the original it is attached. Never raises."""
        try:
            await self._take(running, piece)
        except UpkendraError as error:
            self._coming.pop(piece.still_id, None)
            say(logger, "sharp_not_kept", logging.WARNING, code=error.refusal.code)
        except OSError as error:
            self._coming.pop(piece.still_id, None)
            say(logger, "sharp_not_kept", logging.WARNING, code=type(error).__name__)

    async def _take(self, running: RunningCall, piece: SharpTaken) -> None:
        visit_id = running.ring.visit_id
        parts = self._coming.setdefault(piece.still_id, {})
        while len(self._coming) > STILLS_MAX:
            self._coming.popitem(last=False)
        upload_id = parts.get(piece.purpose, "")
        if not upload_id:
            upload_id = parts[piece.purpose] = make_id(secrets.token_bytes(ID_BYTES))
            await self._media.begin(Upload(upload_id, visit_id, piece.purpose, piece.size_bytes, 0))
        state = await self._media.put_part(visit_id, upload_id, piece.offset, piece.data)
        if state.refusal is not None:
            raise Refused(state.refusal.message, code=state.refusal.code)
        if piece.purpose is not Purpose.ORIGINAL or state.manifest is None:
            return
        del self._coming[piece.still_id]
        caption = running.ring.doctor_name
        attach = AttachMedia(piece.still_id, visit_id, upload_id, parts.get(Purpose.PREVIEW, ""), caption)
        reply = await self._clinic.command(attach, running.accepted_id)
        await self._media.attached(reply.visit)
