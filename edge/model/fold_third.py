"""Who came into the calls of a visit as a third person: one event after another. A part of :mod:`edge.model.fold`.

Both events are of the hub's own log, which is folded in its order; an entry that comes again changes nothing.
"""

import msgspec

from . import events as ev


class Third(msgspec.Struct, frozen=True):
    """A specialist in a call of this visit."""

    third_id: str
    call_id: str
    doctor_id: str
    """Who asked."""
    specialist_id: str
    name: str
    registration: str
    qualification: str
    agreed: str
    """``spoken``, or ``emergency``: there was no time to ask."""
    joined_ms: int
    """0: only her leaving is known."""
    left_ms: int = 0
    """0 while she is in it."""
    because: str = ""
    video_s: float = 0.0
    """Seconds in which her browser showed the patient's picture."""
    audio_s: float = 0.0
    concealed_s: float = 0.0


def third_changes(
    thirds: tuple[Third, ...], event: ev.Event | ev.Unknown, at_ms: int
) -> dict[str, tuple[Third, ...]] | None:
    """What an event changes in the third persons of a visit; None: nothing, or it is of another matter."""
    match event:
        case ev.ThirdJoined() | ev.ThirdLeft():
            known = next((one for one in thirds if one.third_id == event.third_id), None)
            before = known or Third(event.third_id, "", "", "", "", "", "", "", 0)
            after = _joined(before, event, at_ms) if isinstance(event, ev.ThirdJoined) else _left(before, event, at_ms)
            if known is None:
                return {"thirds": (*thirds, after)}
            return {"thirds": tuple(after if one is known else one for one in thirds)}
        case _:
            return None


def _joined(third: Third, event: ev.ThirdJoined, at_ms: int) -> Third:
    if third.joined_ms:
        return third
    return msgspec.structs.replace(
        third,
        call_id=event.call_id,
        doctor_id=event.doctor_id,
        specialist_id=event.specialist_id,
        name=event.name,
        registration=event.registration,
        qualification=event.qualification,
        agreed=event.agreed,
        joined_ms=at_ms,
    )


def _left(third: Third, event: ev.ThirdLeft, at_ms: int) -> Third:
    if third.left_ms:
        return third
    return msgspec.structs.replace(
        third,
        left_ms=at_ms,
        because=event.because,
        video_s=event.video_s,
        audio_s=event.audio_s,
        concealed_s=event.concealed_s,
    )
