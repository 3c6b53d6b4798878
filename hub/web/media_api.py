"""Photos, notes and clips over HTTP: how far each has come, and their bytes for who may see the record."""

from aiohttp import web
from msgspec import Struct

from edge.model.marks import Marks
from edge.web.ranges import begins, send_bytes, send_content
from edge.web.routes import BINARY, AnyRoute, Call, Route

from ..answers import Answers
from ..blobs import BlobState, Look
from ..hub import Hub
from ..marks import Marks as MarksDesk
from .bodies import VisitReply


class MediaList(Struct, frozen=True):
    items: tuple[BlobState, ...]


class NewMarks(Struct, frozen=True, forbid_unknown_fields=True):
    marks: Marks


class MediaApi:
    """Handlers over one hub."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._marks = MarksDesk(hub.desk)
        self._answers = Answers(hub.desk)

    def routes(self) -> list[AnyRoute]:
        media = "/api/visits/{visit_id}/media"
        return [
            Route("GET", media, self.get_media, None, MediaList),
            Route("GET", media + "/{blob_id}", self.get_blob, None, bytes, reply_media=BINARY, errors=(409, 416)),
            Route(
                "PUT",
                "/api/visits/{visit_id}/answers/{answer_id}",
                self.put_answer,
                bytes,
                VisitReply,
                body_media=BINARY,
                errors=(409,),
            ),
            Route(
                "GET", "/api/visits/{visit_id}/answers/{answer_id}", self.get_answer, None, bytes, reply_media=BINARY
            ),
            Route("POST", media + "/{blob_id}/marks", self.post_marks, NewMarks, VisitReply, errors=(409,)),
        ]

    async def get_media(self, call: Call[None, None]) -> MediaList:
        """How far each photo, note and clip of a visit has come."""
        return MediaList(await self._hub.blobs.states(call.path["visit_id"]))

    async def get_blob(self, call: Call[None, None]) -> web.StreamResponse:
        """The bytes, as the type that they are; while they still come, the beginning of a progressive picture.

        Takes one Range. Written into the audit log; the node hears when somebody looked first.
        """
        look = Look.NEW if begins(call.request) else Look.RANGE
        content = await self._hub.blobs.open(call.path["visit_id"], call.path["blob_id"], call.subject, look)
        return await send_content(call.request, content.size_bytes, content.media_type, content.name, content.read)

    async def post_marks(self, call: Call[NewMarks, None]) -> VisitReply:
        """Keep what the doctor drew on a photo, beside the photo; the same marks sent again change nothing."""
        path, marks = call.path, call.body.marks
        return VisitReply(await self._marks.keep(path["visit_id"], path["blob_id"], call.subject, marks))

    async def put_answer(self, call: Call[bytes, None]) -> VisitReply:
        """A spoken answer to a visit, as it was recorded; the same again changes nothing."""
        path = call.path
        return VisitReply(await self._answers.speak(path["visit_id"], path["answer_id"], call.subject, call.body))

    async def get_answer(self, call: Call[None, None]) -> web.StreamResponse:
        """A spoken answer that was given. Takes one Range. Written into the audit log."""
        one, content = await self._answers.listen(call.path["visit_id"], call.path["answer_id"], call.subject)
        return await send_bytes(call.request, content, one.media_type.value, one.answer_id)
