"""Clips over HTTP: a recording that was uploaded becomes a clip of its visit."""

from msgspec import Struct

from edge.media.clip import RECORDED_MOST_S
from edge.model.records import ShortText
from edge.node.clips import Attached, ClipDesk
from edge.web.routes import AnyRoute, Call, Route


class MakeClip(Struct, frozen=True, forbid_unknown_fields=True):
    caption: ShortText = ""


class ClipRecording(Struct, frozen=True):
    most_s: float
    """It stops by itself after so long."""


class ClipApi:
    """Handlers over one node's clips."""

    def __init__(self, desk: ClipDesk) -> None:
        self._desk = desk

    def routes(self) -> list[AnyRoute]:
        """The table."""
        upload, own = "/api/visits/{visit_id}/uploads/{upload_id}/clip", "/api/visits/{visit_id}/clips/{recording_id}"
        return [
            Route("POST", upload, self.post_clip, MakeClip, Attached, errors=(409, 423)),
            Route("POST", own, self.post_recording, None, ClipRecording, errors=(409, 423)),
            Route("POST", own + "/stop", self.post_stop, None, Attached, errors=(409, 423)),
            Route("DELETE", own, self.delete_recording, errors=(423,)),
        ]

    async def post_clip(self, call: Call[MakeClip, None]) -> Attached:
        """Make a recording small and attach it, with a preview; some seconds. Asked again it is made once."""
        visit_id, upload_id = call.path["visit_id"], call.path["upload_id"]
        return await self._desk.make(visit_id, upload_id, call.body.caption, call.subject)

    async def post_recording(self, call: Call[None, None]) -> ClipRecording:
        """Record with the node's own camera; the reply means that it has begun."""
        await self._desk.begin(call.path["visit_id"], call.path["recording_id"], call.subject)
        return ClipRecording(RECORDED_MOST_S)

    async def post_stop(self, call: Call[None, None]) -> Attached:
        """End a recording; the reply means that its clip is attached."""
        return await self._desk.stop(call.path["visit_id"], call.path["recording_id"], call.subject)

    async def delete_recording(self, call: Call[None, None]) -> None:
        """Forget a recording that has not ended."""
        await self._desk.cancel(call.path["visit_id"], call.path["recording_id"])
