"""What may become of photos, notes and clips of a visit: a part of :mod:`edge.model.decide`, and as pure."""

from typing import TypeAlias

import msgspec

from . import commands as cmd
from . import events as ev
from . import marks, media
from .errors import Fault, Refusal
from .fold import Visit

Decision: TypeAlias = list[ev.Event] | Refusal


def attach(uploads: tuple[media.Upload, ...], visit: Visit, command: cmd.AttachMedia) -> Decision:
    """A photo with its preview, a note or a clip; ``uploads``: what the command names, as far as it is here."""
    found = {upload.upload_id: upload for upload in uploads if upload.visit_id == visit.visit_id}
    manifests: list[media.Manifest] = []
    wanted = (("preview_upload_id", command.preview_upload_id), ("upload_id", command.upload_id))
    for field, upload_id in wanted:
        if not upload_id:
            continue
        upload = found.get(upload_id)
        if upload is None:
            return Refusal("upload_unknown", "Nothing was uploaded under this id for this visit.", field, Fault.CALLER)
        if upload.refusal is not None:
            return msgspec.structs.replace(upload.refusal, field=field)
        if upload.manifest is None:
            return Refusal("upload_incomplete", "The upload is not complete; send the rest of it first.", field)
        if (upload.purpose is media.Purpose.PREVIEW) != (field == "preview_upload_id"):
            text = "A preview goes with the photo or clip that it shows, and nothing else serves as one."
            return Refusal("media_purpose", text, field, Fault.CALLER)
        if upload.purpose is media.Purpose.ANSWER:
            return Refusal("media_purpose", "Only a doctor gives a spoken answer.", field, Fault.CALLER)
        manifests.append(upload.manifest)
    main = manifests[-1]
    if main.purpose is media.Purpose.ORIGINAL and len(manifests) < 2:
        text = "A photo is sent with a small preview of at most 8000 bytes. Make one and upload it first."
        return Refusal("preview_missing", text, "preview_upload_id", Fault.CALLER)
    known = {item.blob_id: item for item in visit.media}
    if main.blob_id in known:
        if known[main.blob_id].removed_ms:
            return Refusal("media_removed", "This was taken back before. Take or record it anew.", "upload_id")
        return []
    fresh = [one for one in manifests if one.blob_id not in known]
    if sum(not item.removed_ms for item in visit.media) + len(fresh) > media.PER_VISIT_MAX:
        return Refusal("media_too_many", f"A visit holds at most {media.PER_VISIT_MAX} of these, previews counted.")
    preview_id = manifests[0].blob_id if len(manifests) == 2 else ""
    last = msgspec.structs.replace(main, preview_id=preview_id, caption=command.caption)
    return [ev.MediaAttached(visit.visit_id, one) for one in (*fresh[:-1], last)]


def remove(visit: Visit, command: cmd.RemoveMedia, *, left: bool) -> Decision:
    """Take one back; ``left``: something of it has left the node already."""
    item = next((one for one in visit.media if one.blob_id == command.blob_id), None)
    if item is None:
        return Refusal("no_such_media", "This visit holds nothing under this id.", "blob_id", Fault.CALLER)
    if item.removed_ms:
        return []
    if left or item.seen_ms:
        return Refusal("media_sent", "It is on its way to the hub already; tell the doctor instead.", "blob_id")
    others = {one.preview_id for one in visit.media if one.blob_id != item.blob_id and not one.removed_ms}
    gone = [item.blob_id]
    if item.preview_id and item.preview_id not in others:
        gone.append(item.preview_id)
    return [ev.MediaRemoved(visit.visit_id, blob_id) for blob_id in gone]


def mark(visit: Visit, command: cmd.MarkPhoto) -> Decision:
    """Keep what was drawn on a photo; what is kept already is not said again."""
    item = next((one for one in visit.media if one.blob_id == command.blob_id and not one.removed_ms), None)
    if item is None or item.purpose is not media.Purpose.ORIGINAL:
        return Refusal("no_such_media", "This visit holds no such photo.", "blob_id", Fault.CALLER)
    known = {one.mark_id for drawn in item.drawn for one in drawn.marks}
    fresh = tuple(one for one in command.marks if one.mark_id not in known)
    refusal = marks.check(fresh, len(known))
    return refusal or ([ev.PhotoMarked(visit.visit_id, item.blob_id, fresh)] if fresh else [])
