"""Who was asked into a call and who came, in the database; and whom one can ask. Holds no clinical text."""

from collections.abc import Callable
from enum import StrEnum
from typing import Any

from msgspec import Struct
from sqlalchemy import Connection, Row, func, or_, select, update

from edge.media.call import Phase as CallPhase

from .permits import Role
from .rota.store import Profile, load_profile
from .store.dialect import insert_new
from .store.schema import calls, doctors, roles, rota_doctors
from .store.schema_office import thirds


class Phase(StrEnum):
    ASKING = "asking"
    """Somebody is being asked."""
    JOINED = "joined"
    OVER = "over"


class Third(Struct, frozen=True):
    """One asking of a specialist into one call, and what came of it."""

    third_id: str
    call_id: str
    visit_id: str
    node_id: str
    doctor_id: str
    """Who asks: the doctor who holds the call."""
    wanted_id: str
    """Only this one, or "" for anybody who fits."""
    speciality: str
    """Only of this one, or ""."""
    asked_id: str
    """Who is being asked, or is in the call."""
    tried: str
    """Who did not come: ids with a space between."""
    agreed: str
    phase: Phase
    began_ms: int
    joined_ms: int = 0
    ended_ms: int = 0
    because: str = ""
    """declined, no_answer, nobody, withdrawn, call_over; of one who was in it: left, sent_away, lost, call_over."""
    video_s: float = 0.0
    audio_s: float = 0.0
    concealed_s: float = 0.0
    frames: int = 0


class Specialist(Struct, frozen=True):
    """Somebody who can be asked into a call."""

    doctor_id: str
    name: str
    qualification: str
    registration: str
    specialities: tuple[str, ...]
    languages: tuple[str, ...]
    ready: bool
    """Said so on the rota."""
    here: bool
    """Has a page open."""
    busy: bool
    """Is in a call, or is being asked into one."""


def add(connection: Connection, third: Third) -> bool:
    """Write a new one; False when its id is taken."""
    return insert_new(connection, thirds, {name: getattr(third, name) for name in Third.__struct_fields__})


def change(connection: Connection, third_id: str, **values: object) -> Third:
    """Change some columns; what it is then."""
    connection.execute(update(thirds).where(thirds.c.third_id == third_id).values(**values))
    changed = load(connection, third_id)
    assert changed is not None
    return changed


def load(connection: Connection, third_id: str) -> Third | None:
    row = connection.execute(select(thirds).where(thirds.c.third_id == third_id)).first()
    return None if row is None else _third(row)


def running(connection: Connection) -> list[Third]:
    """All that are not over."""
    query = select(thirds).where(thirds.c.phase.in_((Phase.ASKING.value, Phase.JOINED.value)))
    return [_third(row) for row in connection.execute(query.order_by(thirds.c.began_ms, thirds.c.third_id))]


def count(connection: Connection, call_id: str) -> int:
    """How many askings a call has seen."""
    return connection.execute(select(func.count()).where(thirds.c.call_id == call_id)).scalar() or 0


def runs(connection: Connection, call_id: str) -> Row[Any] | None:
    """The call, if somebody took it and it is not over."""
    row = connection.execute(select(calls).where(calls.c.call_id == call_id)).first()
    over = row is None or row.phase in (CallPhase.RINGING.value, CallPhase.ENDED.value)
    return None if over else row


def calls_of_her_own(connection: Connection, doctor_id: str) -> int:
    """How many calls that are not over a doctor holds herself."""
    mine = (calls.c.doctor_id == doctor_id, calls.c.phase != CallPhase.ENDED.value)
    return connection.execute(select(func.count()).where(*mine)).scalar() or 0


def specialists(connection: Connection, is_here: Callable[[str], bool]) -> list[Specialist]:
    """All who have the role; who can come at once first."""
    in_call = select(calls.c.doctor_id).where(calls.c.phase != CallPhase.ENDED.value)
    busy = {str(row.doctor_id) for row in connection.execute(in_call)}
    busy |= {one.asked_id for one in running(connection)}
    query = (
        select(doctors, rota_doctors.c.ready_ms)
        .join(roles, roles.c.person_id == doctors.c.doctor_id)
        .join(rota_doctors, rota_doctors.c.doctor_id == doctors.c.doctor_id, isouter=True)
        .where(roles.c.role == Role.SPECIALIST.value, or_(doctors.c.disabled_ms == 0, doctors.c.disabled_ms.is_(None)))
    )
    found = []
    for row in connection.execute(query).all():
        profile: Profile = load_profile(connection, row.doctor_id)
        found.append(
            Specialist(
                *(row.doctor_id, row.name, row.qualification, row.registration),
                profile.specialities,
                profile.languages,
                bool(row.ready_ms),
                is_here(row.doctor_id),
                row.doctor_id in busy,
            )
        )
    return sorted(found, key=lambda one: (not one.here, one.busy, not one.ready, one.name, one.doctor_id))


def _third(row: Row[Any]) -> Third:
    values = row._asdict()
    return Third(**{**values, "phase": Phase(row.phase)})
