"""HTTP around accounts: who there is, and what an administrator does about one, with her password again."""

import asyncio
import secrets
from collections.abc import Callable
from typing import Annotated, TypeAlias

from msgspec import Meta, Struct
from sqlalchemy import Connection

from edge.model.records import ShortText
from edge.slips.qr import qr_rows
from edge.web.routes import AnyRoute, Call, Route

from .. import accounts, audit, doctors, own_login, review
from ..hub import Hub
from ..permits import Role
from .bodies import Password, User

NAME = r"^[^\x00-\x1f\x7f]*\S[^\x00-\x1f\x7f]*$"
Name = Annotated[str, Meta(min_length=1, max_length=80, pattern=NAME)]
District = Annotated[str, Meta(min_length=1, max_length=80, pattern=NAME)]
PERSON = {"person_id": User}
"""A path's account id; the log-in's own shape."""


class AddPerson(Struct, frozen=True, forbid_unknown_fields=True):
    person_id: Annotated[str, Meta(min_length=1, max_length=60, pattern=r"^[a-z0-9][a-z0-9._-]*$(?!\n)")]
    name: Name
    registration: Name
    """Printed on every slip: look it up in the register first."""
    qualification: Name
    password: Password
    """The administrator's own, again."""
    contact: ShortText = ""


class Reset(Struct, frozen=True, forbid_unknown_fields=True, tag="reset"):
    """New password, authenticator and signing key."""

    password: Password


class Disable(Struct, frozen=True, forbid_unknown_fields=True, tag="disable"):
    """Close the account: its sessions end, its visits go back, its key signs nothing."""

    password: Password


class Enable(Struct, frozen=True, forbid_unknown_fields=True, tag="enable"):
    """Open it again, with the password and the authenticator that it had."""

    password: Password


class SetRoles(Struct, frozen=True, forbid_unknown_fields=True, tag="roles"):
    """What the person is, and whose figures she sees."""

    password: Password
    roles: Annotated[tuple[Role, ...], Meta(max_length=8)]
    """All of them; none, or medical officer alone: a doctor."""
    districts: Annotated[tuple[District, ...], Meta(max_length=100)] = ()


Act: TypeAlias = Reset | Disable | Enable | SetRoles


class People(Struct, frozen=True):
    items: tuple[accounts.Person, ...]


class Secrets(Struct, frozen=True):
    """Shown once and kept nowhere."""

    person_id: str
    password: str
    totp_secret: str
    totp_uri: str
    qr: tuple[str, ...]
    """The modules of ``totp_uri`` as a QR code, a row a string of 0 and 1."""


class Acted(Struct, frozen=True):
    items: tuple[accounts.Person, ...]
    secrets: Secrets | None = None


class PeopleApi:
    """Handlers over one hub."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    def routes(self) -> list[AnyRoute]:
        return [
            Route("GET", "/api/people", self.get_people, None, People),
            Route("POST", "/api/people", self.add_person, AddPerson, Acted, errors=(409, 429)),
            Route("POST", "/api/people/{person_id}", self.act_on_person, Act, Acted, params=PERSON, errors=(409, 429)),
        ]

    async def get_people(self, call: Call[None, None]) -> People:
        """All accounts: what each is, and whether it is open."""

        def load(connection: Connection) -> People:
            audit.record(connection, self._hub.wall_ms(), call.subject, "people_read")
            return People(tuple(accounts.people(connection)))

        return await self._hub.store.write(load)

    async def add_person(self, call: Call[AddPerson, None]) -> Acted:
        """A new account. It is a doctor's until it is given another role."""
        body = call.body
        person = doctors.Doctor(body.person_id, body.name, body.registration, body.qualification, body.contact)
        await self._hub.desk.need_password(call.subject, body.password)
        return await self._with_secrets(
            body.person_id,
            lambda connection, password: doctors.add_doctor(
                connection, self._hub.keys, person, password, self._hub.wall_ms(), call.subject
            ),
        )

    async def act_on_person(self, call: Call[Act, None]) -> Acted:
        """Reset, close, open again, or say what somebody is. Not on oneself."""
        body, who, person_id = call.body, call.subject, call.path["person_id"]
        accounts.need_other(who, person_id)
        await self._hub.desk.need_password(who, body.password)
        if isinstance(body, Reset):
            return await self._with_secrets(
                person_id,
                lambda connection, password: doctors.reset_doctor(
                    connection, self._hub.keys, person_id, password, self._hub.wall_ms(), who
                ),
            )

        def act(connection: Connection) -> Acted:
            now_ms = self._hub.wall_ms()
            if isinstance(body, Disable):
                doctors.disable_doctor(connection, person_id, now_ms, who)
            elif isinstance(body, Enable):
                doctors.enable_doctor(connection, person_id, now_ms, who)
            elif isinstance(body, SetRoles):
                accounts.put_districts(connection, person_id, body.districts, now_ms, who)
                _set_roles(connection, person_id, frozenset(body.roles), now_ms, who)
            return Acted(tuple(accounts.people(connection)))

        return await self._hub.store.write(act)

    async def _with_secrets(self, person_id: str, act: Callable[[Connection, str], str]) -> Acted:
        password = secrets.token_urlsafe(12)

        def work(connection: Connection) -> tuple[str, tuple[accounts.Person, ...]]:
            secret = act(connection, password)
            own_login.give(connection, person_id, self._hub.wall_ms())
            return secret, tuple(accounts.people(connection))

        secret, items = await self._hub.store.write(work)
        uri = doctors.totp_uri(person_id, secret)
        rows = await asyncio.to_thread(qr_rows, uri)
        return Acted(items, Secrets(person_id, password, secret, uri, tuple(rows)))


def _set_roles(connection: Connection, person_id: str, wanted: frozenset[Role], now_ms: int, actor: str) -> None:
    given = {role for role in Role if review.has_role(connection, person_id, role)}
    for role in sorted(given - wanted):
        review.take_role(connection, person_id, role, now_ms, actor)
    treats = {Role.DOCTOR} if wanted - {Role.DOCTOR, Role.MEDICAL_OFFICER} == frozenset() else set()
    for role in sorted(wanted - given - treats):
        review.give_role(connection, person_id, role, now_ms, actor)
