"""Photos, notes and clips over HTTP: how far each has come, and their bytes for who may see the record."""

from aiohttp import web
from msgspec import Struct

from edge.web.ranges import begins, send_content
from edge.web.routes import BINARY, AnyRoute, Call, Route

from ..blobs import BlobState
from ..hub import Hub


class MediaList(Struct, frozen=True):
    items: tuple[BlobState, ...]


class MediaApi:
    """Handlers over one hub."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    def routes(self) -> list[AnyRoute]:
        media = "/api/visits/{visit_id}/media"
        return [
            Route("GET", media, self.get_media, None, MediaList),
            Route("GET", media + "/{blob_id}", self.get_blob, None, bytes, reply_media=BINARY, errors=(409, 416)),
        ]

    async def get_media(self, call: Call[None, None]) -> MediaList:
        """How far each photo, note and clip of a visit has come."""
        return MediaList(await self._hub.blobs.states(call.path["visit_id"]))

    async def get_blob(self, call: Call[None, None]) -> web.StreamResponse:
        """The bytes, as the type that they are; while they still come, the beginning of a progressive picture.

        Takes one Range. Written into the audit log; the node hears when somebody looked first.
        """
        look = begins(call.request)
        content = await self._hub.blobs.open(call.path["visit_id"], call.path["blob_id"], call.subject, note=look)
        return await send_content(call.request, content.size_bytes, content.media_type, content.name, content.read)
