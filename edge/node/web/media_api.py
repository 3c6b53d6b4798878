"""Photos, notes and clips over HTTP: uploads that can be resumed, and content that lies here."""

from typing import Annotated

from aiohttp import web
from msgspec import Meta, Struct

from edge.model.errors import NotFound, Refusal, Refused
from edge.model.media import Manifest, Purpose, Upload
from edge.node.clinic import Clinic
from edge.node.media import MediaDesk
from edge.web.ranges import send_bytes, send_content
from edge.web.routes import BINARY, AnyRoute, Call, Route

Offset = Annotated[str, Meta(pattern="^[0-9]{1,9}$(?!\\n)")]


class NewUpload(Struct, frozen=True, forbid_unknown_fields=True):
    purpose: Purpose
    size_bytes: Annotated[int, Meta(ge=1, le=1 << 30)]


class UploadState(Struct, frozen=True):
    upload_id: str
    size_bytes: int
    held_bytes: int
    """Durable here; go on at this offset."""
    blob_id: str
    """Its name once it is whole and good; empty before."""
    refusal: Refusal | None
    """Why it will never be attached."""


class AnswerState(Struct, frozen=True):
    answer_id: str
    at_ms: int
    doctor_id: str
    parts_here: int
    parts: int
    whole: bool
    """It can be played."""


class AnswerList(Struct, frozen=True):
    items: tuple[AnswerState, ...]


class MediaApi:
    """Handlers over one node's media desk."""

    def __init__(self, clinic: Clinic, desk: MediaDesk) -> None:
        self._clinic = clinic
        self._desk = desk

    def routes(self) -> tuple[AnyRoute, ...]:
        upload = "/api/visits/{visit_id}/uploads/{upload_id}"
        return (
            Route("PUT", upload, self.put_upload, body=NewUpload, reply=UploadState, errors=(409, 423)),
            Route(
                "PUT",
                upload + "/parts/{offset}",
                self.put_part,
                body=bytes,
                body_media=BINARY,
                reply=UploadState,
                params={"offset": Offset},
                errors=(409, 423),
            ),
            Route("DELETE", upload, self.delete_upload, errors=(423,)),
            Route(
                "GET",
                "/api/visits/{visit_id}/media/{blob_id}",
                self.get_blob,
                reply=bytes,
                reply_media=BINARY,
                errors=(416, 423),
            ),
            Route("GET", "/api/visits/{visit_id}/answers", self.get_answers, reply=AnswerList, errors=(423,)),
            Route(
                "GET",
                "/api/visits/{visit_id}/answers/{answer_id}",
                self.get_answer,
                reply=bytes,
                reply_media=BINARY,
                errors=(409, 416, 423),
            ),
        )

    async def put_upload(self, call: Call[NewUpload, None]) -> UploadState:
        """Begin an upload, or see how far it has come; the same again changes nothing."""
        wanted = Upload(call.path["upload_id"], call.path["visit_id"], call.body.purpose, call.body.size_bytes, 0)
        return _state(await self._desk.begin(wanted))

    async def put_part(self, call: Call[bytes, None]) -> UploadState:
        """The next bytes of an upload, at most 256 KiB; the answer means that they are durable."""
        offset = int(call.path["offset"])
        return _state(await self._desk.put_part(call.path["visit_id"], call.path["upload_id"], offset, call.body))

    async def delete_upload(self, call: Call[None, None]) -> None:
        """Forget an upload that is attached to nothing."""
        await self._desk.drop(call.path["visit_id"], call.path["upload_id"])

    async def get_blob(self, call: Call[None, None]) -> web.StreamResponse:
        """The bytes of what is attached, as the type that they are. Takes one Range."""
        shown = await self._desk.open(call.path["visit_id"], call.path["blob_id"])
        await self._clinic.accessed(call.subject, "read_media", call.path["blob_id"])
        manifest: Manifest = shown.manifest
        media_type = manifest.facts.media_type.value
        name = f"{manifest.blob_id}.{media_type.partition('/')[2]}"
        return await send_content(call.request, manifest.size_bytes, media_type, name, shown.read)

    async def get_answers(self, call: Call[None, None]) -> AnswerList:
        """What doctors have said into their microphones for a visit, and whether it is here."""
        visit = await self._clinic.visit(call.path["visit_id"])
        found = await self._clinic.store.read(lambda views: views.answers(visit))
        return AnswerList(
            tuple(
                AnswerState(
                    *(said.answer_id, said.at_ms, said.doctor_id), one.parts_here, one.parts, one.content is not None
                )
                for said, one in zip(visit.answers, found, strict=True)
            )
        )

    async def get_answer(self, call: Call[None, None]) -> web.StreamResponse:
        """A doctor's spoken answer. Takes one Range."""
        visit, answer_id = await self._clinic.visit(call.path["visit_id"]), call.path["answer_id"]
        found = await self._clinic.store.read(lambda views: views.answers(visit))
        pairs = zip(visit.answers, found, strict=True)
        said, one = next(((said, one) for said, one in pairs if one.answer_id == answer_id), (None, None))
        if said is None or one is None:
            raise NotFound("There is no such answer here.")
        content = one.content
        if content is None:
            text = f"{one.parts_here} of {one.parts} parts are here. It can be played later."
            raise Refused(text, code="media_not_whole")
        await self._clinic.accessed(call.subject, "read_media", answer_id)
        return await send_bytes(call.request, content, said.media_type.value, answer_id)


def _state(upload: Upload) -> UploadState:
    return UploadState(
        upload.upload_id,
        upload.size_bytes,
        upload.held_bytes,
        upload.manifest.blob_id if upload.manifest is not None else "",
        upload.refusal,
    )
