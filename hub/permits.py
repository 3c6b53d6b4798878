"""Who may do what at the hub: roles, and for each route the roles that may call it. Data; a test walks all of it.

Deny by default: a route without a line here is for nobody (security.md S3). Reads of records are for doctors; whoever
coordinates, counts or administrates sees no clinical content.
"""

from collections.abc import Iterable
from enum import StrEnum
from typing import Final

from sqlalchemy import Connection, select

from edge.model.errors import Forbidden
from edge.web.routes import AnyRoute

from .store.schema import roles


class Role(StrEnum):
    """What a person is at the hub. An account to which nobody gave another one is a doctor's."""

    DOCTOR = "doctor"
    SPECIALIST = "specialist"
    COORDINATOR = "coordinator"
    """Sees whom nobody took, and gives them to doctors. No clinical content."""
    PHARMACIST = "pharmacist"
    """The list of medicines."""
    VIEWER = "viewer"
    """A district's or the state's figures, nothing about a single patient."""
    ADMINISTRATOR = "administrator"
    """Nodes and the rota. No clinical content."""
    MEDICAL_OFFICER = "medical_officer"
    """Approves lists, rules and terms; takes nothing away from what the person is besides."""


_TREAT = frozenset({Role.DOCTOR, Role.SPECIALIST})
_GIVE = _TREAT | {Role.COORDINATOR}
_MEDICINES = _TREAT | {Role.PHARMACIST, Role.MEDICAL_OFFICER}
_DRAFT = frozenset({Role.ADMINISTRATOR, Role.PHARMACIST, Role.MEDICAL_OFFICER})
"""Who may write a version of the formulary; a medical officer who did not write it approves it."""
_FLEET = frozenset({Role.ADMINISTRATOR, Role.COORDINATOR, Role.DOCTOR, Role.SPECIALIST})
_FIGURES = frozenset({Role.VIEWER, Role.ADMINISTRATOR, Role.COORDINATOR})
_OPEN = frozenset({Role.COORDINATOR, Role.ADMINISTRATOR})
"""Who may let a locked node be opened."""
_ADMIN = frozenset({Role.ADMINISTRATOR})
_KEEP = frozenset({Role.ADMINISTRATOR, Role.COORDINATOR})
"""Who looks after centres: their machines, whom they ring, and when doctors sit."""
_REVIEW = frozenset({Role.ADMINISTRATOR, Role.MEDICAL_OFFICER})
_OFFICER = frozenset({Role.MEDICAL_OFFICER})
"""Who may see a record that she does not treat: to make a copy for the patient, and to note whom she names."""
_ALL = frozenset(Role)
JUST_A_DOCTOR: Final = frozenset({Role.DOCTOR})
"""What an account is to which nobody gave a role."""

PERMITS: Final[dict[tuple[str, str], frozenset[Role]]] = {
    ("GET", "/api/session"): _ALL,
    ("DELETE", "/api/session"): _ALL,
    ("POST", "/api/own/authenticator"): _ALL,
    ("PUT", "/api/own/login"): _ALL,
    ("GET", "/api/reference"): _ALL,
    ("GET", "/api/queue"): _TREAT,
    ("GET", "/api/visits/{visit_id}"): _TREAT,
    ("POST", "/api/visits/{visit_id}/take"): _TREAT,
    ("POST", "/api/visits/{visit_id}/put-back"): _TREAT,
    ("GET", "/api/visits/{visit_id}/notes"): _TREAT,
    ("PUT", "/api/visits/{visit_id}/notes"): _TREAT,
    ("GET", "/api/visits/{visit_id}/draft"): _TREAT,
    ("PUT", "/api/visits/{visit_id}/draft"): _TREAT,
    ("POST", "/api/visits/{visit_id}/check"): _TREAT,
    ("POST", "/api/visits/{visit_id}/sign"): _TREAT,
    ("POST", "/api/visits/{visit_id}/cancel-prescription"): _TREAT,
    ("POST", "/api/visits/{visit_id}/in-person"): _TREAT,
    ("GET", "/api/visits/{visit_id}/media"): _TREAT,
    ("GET", "/api/visits/{visit_id}/media/{blob_id}"): _TREAT,
    ("POST", "/api/visits/{visit_id}/media/{blob_id}/marks"): _TREAT,
    ("PUT", "/api/visits/{visit_id}/answers/{answer_id}"): _TREAT,
    ("GET", "/api/visits/{visit_id}/answers/{answer_id}"): _TREAT,
    ("POST", "/api/visits/{visit_id}/hand-over"): _GIVE,
    ("GET", "/api/live"): _TREAT,
    ("GET", "/api/ice-servers"): _TREAT,
    ("GET", "/api/nodes"): _FLEET,
    ("GET", "/api/formulary"): _MEDICINES,
    ("GET", "/api/saved-lines"): _TREAT,
    ("PUT", "/api/saved-lines"): _TREAT,
    ("DELETE", "/api/saved-lines/{saved_id}"): _TREAT,
    ("GET", "/api/review"): _MEDICINES,
    ("POST", "/api/review"): frozenset({Role.MEDICAL_OFFICER}),
    ("GET", "/api/sms"): _TREAT | {Role.ADMINISTRATOR},
    ("GET", "/api/early"): _TREAT,
    ("POST", "/api/early/{node_id}/{early_id}/answer"): _TREAT,
    ("GET", "/api/rota"): _TREAT,
    ("PUT", "/api/rota/ready"): _TREAT,
    ("POST", "/api/rota/accept"): _TREAT,
    ("POST", "/api/rota/decline"): _TREAT,
    ("POST", "/api/rota/left"): _TREAT,
    ("GET", "/api/rota/plan"): _KEEP,
    ("POST", "/api/rota/plan/meaning"): _KEEP,
    ("PUT", "/api/rota/plan"): _KEEP,
    ("POST", "/api/rota/plan/undo"): _KEEP,
    ("PUT", "/api/rota/people/{person_id}"): _KEEP,
    ("GET", "/api/thirds"): _TREAT,
    ("GET", "/api/specialists"): _TREAT,
    ("POST", "/api/visits/{visit_id}/thirds"): _TREAT,
    ("POST", "/api/thirds/{third_id}/accept"): frozenset({Role.SPECIALIST}),
    ("POST", "/api/thirds/{third_id}/decline"): frozenset({Role.SPECIALIST}),
    ("POST", "/api/thirds/{third_id}/end"): _TREAT,
    ("GET", "/api/coordination"): _GIVE,
    ("GET", "/api/colleagues"): _GIVE,
    ("GET", "/api/day"): _TREAT | _FIGURES,
    ("GET", "/api/people"): _ADMIN,
    ("POST", "/api/people"): _ADMIN,
    ("POST", "/api/people/{person_id}"): _ADMIN,
    ("GET", "/api/sites"): _ADMIN,
    ("PUT", "/api/sites/{node_id}"): _ADMIN,
    ("POST", "/api/sites/{node_id}/revoke"): _ADMIN,
    ("POST", "/api/sites/{node_id}/tablet-lost"): _ADMIN,
    ("GET", "/api/sites/{node_id}/place"): _ADMIN,
    ("PUT", "/api/sites/{node_id}/place"): _ADMIN,
    ("GET", "/api/sites/{node_id}/staff"): _ADMIN,
    ("PUT", "/api/sites/{node_id}/staff/{staff_id}"): _ADMIN,
    ("POST", "/api/tokens"): _ADMIN,
    ("GET", "/api/lists"): _ADMIN | _MEDICINES,
    ("GET", "/api/lists/formulary"): _ADMIN | _MEDICINES,
    ("POST", "/api/lists/formulary"): _DRAFT,
    ("GET", "/api/lists/formulary/{number}"): _ADMIN | _MEDICINES,
    ("POST", "/api/lists/formulary/{number}"): frozenset({Role.MEDICAL_OFFICER}),
    ("GET", "/api/lists/formulary/{number}/file"): _ADMIN | _MEDICINES,
    ("GET", "/api/fleet"): _KEEP,
    ("GET", "/api/updates"): _ADMIN,
    ("POST", "/api/updates"): _ADMIN,
    ("PUT", "/api/updates/{sha256}"): _ADMIN,
    ("DELETE", "/api/updates/{sha256}"): _ADMIN,
    ("GET", "/api/on-call"): _KEEP,
    ("PUT", "/api/on-call"): _KEEP,
    ("POST", "/api/visits/{visit_id}/break-glass"): frozenset({Role.COORDINATOR}),
    ("GET", "/api/visits/{visit_id}/broken-glass"): frozenset({Role.COORDINATOR}),
    ("GET", "/api/visits/{visit_id}/broken-glass/media"): frozenset({Role.COORDINATOR}),
    ("GET", "/api/visits/{visit_id}/broken-glass/media/{blob_id}"): frozenset({Role.COORDINATOR}),
    ("GET", "/api/glass"): _REVIEW,
    ("POST", "/api/glass/{glass_id}"): _REVIEW,
    ("POST", "/api/copies"): _OFFICER,
    ("POST", "/api/nominees/look"): _OFFICER,
    ("PUT", "/api/nominees"): _OFFICER,
    ("GET", "/api/rights"): _REVIEW,
    ("PUT", "/api/retention/{class}"): _ADMIN,
    ("POST", "/api/erasures/plan"): _REVIEW,
    ("POST", "/api/erasures"): _REVIEW,
    ("POST", "/api/erasures/{erasure_id}"): _REVIEW,
    ("POST", "/api/breach-report"): _ADMIN,
    ("GET", "/api/report"): _FIGURES,
    ("GET", "/api/report.csv"): _FIGURES,
    ("GET", "/api/report.pdf"): _FIGURES,
    ("GET", "/api/unlocks"): _OPEN,
    ("POST", "/api/unlocks/{node_id}"): _OPEN,
}
"""Method and path → who may."""


WITH_A_GIVEN_LOGIN: Final = frozenset(
    {
        ("GET", "/api/session"),
        ("DELETE", "/api/session"),
        ("POST", "/api/own/authenticator"),
        ("PUT", "/api/own/login"),
    }
)
"""All that a session may do whose log-in somebody else has seen (:mod:`hub.own_login`)."""


def roles_of(connection: Connection, person_id: str) -> frozenset[Role]:
    """What a person is: the roles that were given, and doctor when none but medical officer was."""
    rows = connection.execute(select(roles.c.role).where(roles.c.person_id == person_id))
    return _meant(row.role for row in rows)


def all_roles(connection: Connection) -> dict[str, frozenset[Role]]:
    """What everybody is to whom a role was given; the others are doctors."""
    given: dict[str, list[str]] = {}
    for row in connection.execute(select(roles.c.person_id, roles.c.role)):
        given.setdefault(row.person_id, []).append(row.role)
    return {person_id: _meant(names) for person_id, names in given.items()}


def _meant(names: Iterable[str]) -> frozenset[Role]:
    found = frozenset(Role(name) for name in names if name in _VALUES)
    return found if found - {Role.MEDICAL_OFFICER} else found | JUST_A_DOCTOR


def no_doctors(connection: Connection) -> frozenset[str]:
    """Accounts that are no doctor's: nothing about them is published to nodes."""
    return frozenset(person for person, held in all_roles(connection).items() if not held & _TREAT)


def need_permit(route: AnyRoute, held: frozenset[Role], *, given: bool = False) -> None:
    """Raise Forbidden unless one of the roles may call the route. ``given``: the log-in is known to somebody else."""
    if given and (route.method, route.path) not in WITH_A_GIVEN_LOGIN:
        raise Forbidden("Choose your own password first: somebody else has seen this one.")
    if not held & PERMITS.get((route.method, route.path), frozenset()):
        raise Forbidden("Your role does not allow this. Ask the administrator.")


_VALUES = frozenset(role.value for role in Role)
