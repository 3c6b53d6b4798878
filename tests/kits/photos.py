"""Attaching a photo as the tablet does, over HTTP, and asking both sides how far it has come. Blocking."""

import json

from tests.kits.client import ApiError, Client, dig, items, text
from tests.kits.visit import fresh_id

PART_BYTES = 256 * 1024


def upload(nurse: Client, visit_id: str, purpose: str, content: bytes) -> tuple[str, str]:
    """Upload what is not there yet: (upload id, blob id). Raises ApiError."""
    upload_id = fresh_id()
    state = nurse.put(f"/api/visits/{visit_id}/uploads/{upload_id}", {"purpose": purpose, "size_bytes": len(content)})
    for at in range(0, len(content), PART_BYTES):
        status, raw = nurse.raw(
            "PUT",
            f"/api/visits/{visit_id}/uploads/{upload_id}/parts/{at}",
            content[at : at + PART_BYTES],
            {"Content-Type": "application/octet-stream"},
        )
        if status != 200:
            raise ApiError(status, raw)
        state = json.loads(raw)
    return upload_id, text(state, "blob_id")


def attach(nurse: Client, visit_id: str, photo: bytes, preview: bytes) -> tuple[str, str]:
    """A photo with its preview: blob ids of both. Raises ApiError."""
    small, small_id = upload(nurse, visit_id, "preview", preview)
    large, large_id = upload(nurse, visit_id, "original", photo)
    command = {
        "type": "attach_media",
        "command_id": fresh_id(),
        "visit_id": visit_id,
        "upload_id": large,
        "preview_upload_id": small,
    }
    nurse.post("/api/commands", command)
    return large_id, small_id


def lines(nurse: Client, visit_id: str) -> dict[str, str]:
    """Blob id → how far it has come, as the nurse is told."""
    sync = items(nurse.get(f"/api/visits/{visit_id}"), "sync")
    return {text(one, "subject"): text(one, "state") for one in sync if dig(one, "item") == "attachment"}


def at_hub(doctor: Client, visit_id: str, blob_id: str) -> tuple[str, int, int]:
    """(state, parts here, parts) of a blob as the doctor is told; ("absent", 0, 0) before its manifest came."""
    try:
        found = items(doctor.get(f"/api/visits/{visit_id}/media"), "items")
    except ApiError as error:
        if error.status == 404:
            return "absent", 0, 0
        raise
    for one in found:
        if dig(one, "blob_id") == blob_id:
            here, parts = dig(one, "parts_here"), dig(one, "parts")
            assert isinstance(here, int)
            assert isinstance(parts, int)
            return text(one, "state"), here, parts
    return "absent", 0, 0


def content(client: Client, visit_id: str, blob_id: str) -> bytes:
    """The bytes that a page would show. Raises ApiError."""
    status, raw = client.raw("GET", f"/api/visits/{visit_id}/media/{blob_id}")
    if status != 200:
        raise ApiError(status, raw)
    return raw
