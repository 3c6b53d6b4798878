"""What a visit holds of photos, notes, clips and spoken answers, and what was drawn on them: one event after another.

A part of :mod:`edge.model.fold`, and as pure. Marks on a photo may be folded before the entry that attached it.
"""

from collections.abc import Callable

import msgspec

from . import events as ev
from .marks import Mark
from .media import MediaType, Purpose, chunk_count


class Drawn(msgspec.Struct, frozen=True):
    """What one person drew on a photo and kept at one time."""

    at_ms: int
    by: str
    """Staff id, or doctor id."""
    doctor: bool
    marks: tuple[Mark, ...]


class SpokenAnswer(msgspec.Struct, frozen=True):
    """A doctor's spoken answer; its sound has come when all parts are here."""

    answer_id: str
    doctor_id: str
    at_ms: int
    media_type: MediaType
    duration_ms: int
    """0: the recording does not say."""
    size_bytes: int
    parts: int


class MediaItem(msgspec.Struct, frozen=True):
    """A photo, preview, voice note or clip of a visit."""

    blob_id: str
    purpose: Purpose = Purpose.PREVIEW
    media_type: MediaType = MediaType.JPEG
    size_bytes: int = 0
    """0 while the entry that attached it has not been folded."""
    chunks: int = 0
    width_px: int = 0
    height_px: int = 0
    duration_ms: int = 0
    preview_id: str = ""
    caption: str = ""
    at_ms: int = 0
    by: str = ""
    removed_ms: int = 0
    seen_ms: int = 0
    """When a doctor opened or played it first; 0 before."""
    drawn: tuple[Drawn, ...] = ()
    """Marks over the photo, in the order of time; the photo itself never changes."""


def media_changes(
    media: tuple[MediaItem, ...], early: tuple[MediaItem, ...], event: ev.Event | ev.Unknown, at_ms: int, actor: str
) -> dict[str, object] | None:
    """What an event changes in ``media`` and ``early_media`` of a visit; None: nothing, or it is of another matter."""
    both = (media, early)
    match event:
        case ev.MediaAttached(_, manifest):
            if any(item.blob_id == manifest.blob_id for item in media):
                return None
            waiting = {item.blob_id: item for item in early}
            mark = waiting.pop(manifest.blob_id, MediaItem(manifest.blob_id))
            item = MediaItem(
                manifest.blob_id,
                manifest.purpose,
                manifest.facts.media_type,
                manifest.size_bytes,
                chunk_count(manifest.size_bytes),
                manifest.facts.width_px,
                manifest.facts.height_px,
                manifest.facts.duration_ms,
                manifest.preview_id,
                manifest.caption,
                at_ms,
                actor,
                mark.removed_ms,
                mark.seen_ms,
                mark.drawn,
            )
            ordered = sorted((*media, item), key=lambda one: (one.at_ms, one.blob_id))
            return {"media": tuple(ordered), "early_media": tuple(waiting.values())}
        case ev.MediaRemoved(_, blob_id):
            return _mark_media(both, blob_id, lambda item: {"removed_ms": earliest(item.removed_ms, at_ms)})
        case ev.MediaSeen(_, blob_id):
            return _mark_media(both, blob_id, lambda item: {"seen_ms": earliest(item.seen_ms, at_ms)})
        case ev.PhotoMarked(_, blob_id, marks):
            drawn = Drawn(at_ms, actor, False, marks)
            return _mark_media(both, blob_id, lambda item: {"drawn": _with(item.drawn, drawn)})
        case ev.DoctorMarked(_, blob_id, doctor_id, marks):
            drawn = Drawn(at_ms, doctor_id, True, marks)
            return _mark_media(both, blob_id, lambda item: {"drawn": _with(item.drawn, drawn)})
        case _:
            return None


def answer_changes(
    answers: tuple[SpokenAnswer, ...], event: ev.Event | ev.Unknown, at_ms: int
) -> dict[str, object] | None:
    """What an event changes in the spoken answers of a visit."""
    if not isinstance(event, ev.AnswerSpoken) or any(one.answer_id == event.answer_id for one in answers):
        return None
    fresh = SpokenAnswer(
        *(event.answer_id, event.doctor_id, at_ms, event.facts.media_type, event.facts.duration_ms),
        event.size_bytes,
        event.parts,
    )
    return {"answers": tuple(sorted((*answers, fresh), key=lambda one: (one.at_ms, one.answer_id)))}


def _with(known: tuple[Drawn, ...], drawn: Drawn) -> tuple[Drawn, ...]:
    if drawn in known:
        return known
    return tuple(sorted((*known, drawn), key=lambda one: (one.at_ms, one.by, one.marks[0].mark_id)))


def _mark_media(
    both: tuple[tuple[MediaItem, ...], tuple[MediaItem, ...]],
    blob_id: str,
    marks: Callable[[MediaItem], dict[str, object]],
) -> dict[str, object]:
    """Set marks on a blob; one that is not attached yet waits in ``early_media``."""
    media, early = both
    if any(item.blob_id == blob_id for item in media):
        field, items = "media", media
    else:
        field, items = "early_media", early
        if all(item.blob_id != blob_id for item in items):
            items = tuple(sorted((*items, MediaItem(blob_id)), key=lambda item: item.blob_id))
    return {
        field: tuple(
            msgspec.structs.replace(item, **marks(item)) if item.blob_id == blob_id else item for item in items
        )
    }


def earliest(known_ms: int, at_ms: int) -> int:
    """The earlier of two times, where 0 means "not yet"."""
    return min(known_ms, at_ms) if known_ms else at_ms
