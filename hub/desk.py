"""What a doctor can do, without HTTP: log in, see the queue, open, take and put back, note.

Every act goes with its audit line in one transaction, and with what the node has to hear. Prescribing
is :mod:`hub.prescriptions`. Reads no clock: it is given one.
"""

import asyncio
import contextlib
import hashlib
import secrets
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from msgspec import Struct
from sqlalchemy import Connection, select, update
from sqlalchemy import Row as Found

from edge.model import events as ev
from edge.model import queue
from edge.model.age import age_text
from edge.model.errors import NotFound, Refused
from edge.model.fold import Patient, Visit
from edge.model.records import OPEN_STATES, VisitState
from edge.web.refusals import TooManyAttempts, WrongPin
from edge.web.sessions import Session, new_session

from . import audit, doctors, down, login_device, nodes, own_login, permits, views
from .directory import NodeDirectory, Site, who_treats_nobody
from .doctors import Doctor, SigningKey
from .keys import Keyring
from .open_visits import SLICE, Line, OpenVisits
from .store.dialect import put_row
from .store.engine import Store
from .store.schema import doctors as accounts
from .store.schema import notes, sessions

SESSION_IDLE_MS = 2 * 3600 * 1000
SESSION_MAX_MS = 12 * 3600 * 1000
TOUCH_MS = 60_000
"""A session's last use is written at most this often."""
LOGINS_AT_ONCE = 8


class Place(Struct, frozen=True):
    """One line of the queue."""

    owned: views.Owned
    patient: Patient | None
    place: int
    waited_s: int


class Opened(Struct, frozen=True):
    """A record as a doctor sees it."""

    owned: views.Owned
    patient: Patient | None
    site: Site
    earlier: tuple[Visit, ...]
    workers: tuple[nodes.Worker, ...] = ()
    """Who works at its node."""


class Desk:
    """The doctors' side of a hub."""

    def __init__(
        self,
        store: Store,
        speaker: down.Speaker,
        directory: NodeDirectory,
        wall_ms: Callable[[], int],
        send_down: Callable[[down.DownBlob], None],
        changed: Callable[[str], None],
    ) -> None:
        """``send_down`` hands a committed blob to the link; ``changed`` tells the consoles of a visit."""
        self.store = store
        self.opened = OpenVisits(store)
        self.speaker = speaker
        self.keys: Keyring = speaker.keys
        self.directory = directory
        self.wall_ms = wall_ms
        self.send_down = send_down
        self.changed = changed
        self.here: Callable[[str], None] = lambda person_id: None
        """Hears whose page asked something."""
        self._unlocked: dict[str, SigningKey] = {}
        self._at_work: set[bytes] = set()
        self._roles: dict[str, frozenset[permits.Role]] = {}
        """Roles of whoever's session was looked up last; asked again each time."""
        self._given: dict[str, bool] = {}
        """Whether somebody else knows the log-in of whoever's session was looked up last; asked again each time."""
        self._hashing = ThreadPoolExecutor(1, thread_name_prefix="hub-argon2")

    def close(self) -> None:
        self._hashing.shutdown()
        self._unlocked.clear()

    # Sessions

    async def login(
        self, user: str, password: str, code: str, address: str, cookie: str = ""
    ) -> tuple[Doctor, Session, str]:
        """Open a session; with what the browser keeps to be known by.

        ``code``: of the authenticator, or a recovery code; ``cookie``: what the browser kept from the last time.
        Raises WrongPin, the same for every mistake, or TooManyAttempts.
        """
        device = login_device.device_of(self.keys, user, cookie)
        counted = (
            (doctors.known_key(user, device),) if device else (doctors.user_key(user), doctors.address_key(address))
        )
        with self._one_check(counted[0]):
            doctor, session = await self._login(user, password, code, counted)
        return doctor, session, login_device.cookie_of(self.keys, user, device or secrets.token_hex(16))

    @contextlib.contextmanager
    def _one_check(self, key: bytes) -> Iterator[None]:
        """Check one password of a name at a time: a wrong one counts before the next is looked at."""
        if key in self._at_work or len(self._at_work) >= LOGINS_AT_ONCE:
            raise TooManyAttempts("Another log-in is being checked. Wait a moment and try again.")
        self._at_work.add(key)
        try:
            yield
        finally:
            self._at_work.discard(key)

    async def _login(self, user: str, password: str, code: str, counted: tuple[bytes, ...]) -> tuple[Doctor, Session]:
        """``counted``: where a mistake is counted, the name before the address."""

        def look(connection: Connection) -> doctors.Account | None:
            for key in counted:
                doctors.check_backoff(connection, key, self.wall_ms())
            return doctors.find_account(connection, user)

        account = await self.store.read(look)
        key = await self._check_password(account, password)
        session = new_session(user, 0.0)

        def accept(connection: Connection) -> Doctor:
            now_ms = self.wall_ms()
            if account is None or key is None:
                raise doctors.wrong_login()
            if own_login.is_code(code):
                right = not account.disabled and own_login.use_code(connection, user, code, now_ms)
            else:
                right = doctors.accept_code(connection, self.keys, account, code, now_ms)
            if not right:
                raise doctors.wrong_login()
            doctors.logged_in(connection, user, now_ms, counted[0])
            connection.execute(
                sessions.insert().values(
                    token_hash=_token_hash(session.token),
                    csrf=session.csrf,
                    doctor_id=user,
                    started_ms=now_ms,
                    used_ms=now_ms,
                )
            )
            return account.doctor

        try:
            doctor = await self.store.write(accept)
        except WrongPin:
            await self.store.write(lambda connection: self._note_failure(connection, user, counted))
            raise
        if key is not None:
            self._unlocked[session.token] = key
        return doctor, session

    def _note_failure(self, connection: Connection, user: str, counted: tuple[bytes, ...]) -> None:
        now_ms = self.wall_ms()
        for key, free in zip(counted, (doctors.FREE_ATTEMPTS, doctors.FREE_AT_ADDRESS), strict=False):
            doctors.note_failure(connection, key, now_ms, free)
        audit.record(connection, now_ms, "", "login_failed", hashlib.sha256(user.encode()).hexdigest()[:16])

    async def _check_password(self, account: doctors.Account | None, password: str) -> SigningKey | None:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._hashing, doctors.check_password, account, password)

    async def find_session(self, token: str, untouched_s: float = 0.0) -> Session | None:
        """The live session behind a cookie; survives a restart of the hub, its signing key does not.

        ``untouched_s``: for how long nobody has touched the page that asks; infinite keeps nothing alive.
        """
        found = await self._look_up(token)
        if found is None:
            return None
        session, used_ms = found
        self.here(session.subject)
        touched_ms = int(max(0.0, self.wall_ms() - untouched_s * 1000))
        if touched_ms - used_ms > TOUCH_MS:
            touch = update(sessions).where(sessions.c.token_hash == _token_hash(token)).values(used_ms=touched_ms)
            self.store.write_later(lambda connection: connection.execute(touch) and None)
        return session

    def roles(self, person_id: str) -> frozenset[permits.Role]:
        """What a person was when the session was looked up, a moment ago."""
        return self._roles.get(person_id, frozenset())

    def must_renew(self, person_id: str) -> bool:
        """Whether somebody else knew this log-in when the session was looked up, a moment ago: nothing else first."""
        return self._given.get(person_id, False)

    async def is_live(self, token: str) -> bool:
        """Whether a session goes on; asking keeps none alive."""
        return await self._look_up(token) is not None

    async def _look_up(self, token: str) -> tuple[Session, int] | None:
        """A live session and when it was used last, Unix ms; one that is over, or of a closed account, goes."""
        this = (sessions.c.token_hash == _token_hash(token)) & (sessions.c.doctor_id == accounts.c.doctor_id)
        query = select(sessions, accounts.c.disabled_ms).where(this)

        def look(connection: Connection) -> tuple[Found[Any] | None, frozenset[permits.Role], bool]:
            row = connection.execute(query).first()
            if row is None:
                return None, frozenset(), False
            return row, permits.roles_of(connection, row.doctor_id), own_login.is_given(connection, row.doctor_id)

        row, held, given = await self.store.read(look)
        if row is None:
            return None
        self._roles[row.doctor_id], self._given[row.doctor_id] = held, given
        now_ms = self.wall_ms()
        over = now_ms - row.used_ms > SESSION_IDLE_MS or now_ms - row.started_ms > SESSION_MAX_MS
        if over or row.disabled_ms:
            await self.logout(token)
            return None
        return Session(token, row.csrf, row.doctor_id, row.started_ms / 1000), row.used_ms

    async def logout(self, token: str) -> None:
        """End a session and forget its signing key."""
        self._unlocked.pop(token, None)
        gone = sessions.delete().where(sessions.c.token_hash == _token_hash(token))
        await self.store.write(lambda connection: connection.execute(gone) and None)

    async def is_logged_in(self, person_id: str) -> bool:
        """Whether a session of this person's goes on, perhaps at another computer."""
        hers = select(sessions.c.csrf).where(sessions.c.doctor_id == person_id)
        return await self.store.read(lambda connection: connection.execute(hers).first() is not None)

    async def forget_sessions(self) -> None:
        """Delete sessions that are over, and their signing keys with them."""
        now_ms = self.wall_ms()
        over = (sessions.c.used_ms < now_ms - SESSION_IDLE_MS) | (sessions.c.started_ms < now_ms - SESSION_MAX_MS)
        if await self.store.read(lambda connection: connection.execute(select(sessions.c.csrf).where(over)).first()):
            await self.store.write(lambda connection: connection.execute(sessions.delete().where(over)) and None)
        if self._unlocked:
            held = {_token_hash(token): token for token in self._unlocked}
            rows = await self.store.read(lambda connection: connection.execute(select(sessions.c.token_hash)).all())
            for hashed in held.keys() - {bytes(row.token_hash) for row in rows}:
                self._unlocked.pop(held[hashed], None)

    async def doctor(self, doctor_id: str) -> Doctor:
        """Who is logged in. Raises NotFound."""
        account = await self.store.read(lambda connection: doctors.find_account(connection, doctor_id))
        if account is None:
            raise NotFound("There is no such doctor.")
        return account.doctor

    def can_sign(self, session: Session) -> bool:
        """Whether the session's signing key is unlocked."""
        return session.token in self._unlocked

    async def signing_key(self, session: Session, password: str) -> SigningKey:
        """The session's signing key, unlocked with ``password`` if need be.

        Raises Refused(password_needed) when it is locked and no password came, Refused(doctor_disabled), WrongPin,
        TooManyAttempts.
        """
        await self.store.read(lambda connection: doctors.need_enabled(connection, session.subject))
        held = self._unlocked.get(session.token)
        if held is not None:
            return held
        if not password:
            raise Refused("Your signing key is locked. Send your password along.", code="password_needed")
        key = self._unlocked[session.token] = await self.need_password(session.subject, password)
        return key

    async def need_password(self, person_id: str, password: str) -> SigningKey:
        """Whether this is the person's password, again. Raises WrongPin, TooManyAttempts."""
        now_ms, mine = self.wall_ms(), doctors.again_key(person_id)

        def look(connection: Connection) -> doctors.Account | None:
            doctors.check_backoff(connection, mine, now_ms)
            return doctors.find_account(connection, person_id)

        with self._one_check(mine):
            key = await self._check_password(await self.store.read(look), password)
            if key is None:
                await self.store.write(lambda connection: doctors.note_failure(connection, mine, now_ms))
                raise doctors.wrong_login()
        return key

    async def draw_authenticator(self, person_id: str, password: str) -> tuple[str, bytes]:
        """A fresh secret and its ticket (:mod:`hub.own_login`). Raises WrongPin, TooManyAttempts."""
        await self.need_password(person_id, password)
        return own_login.draw_authenticator(self.keys, person_id)

    async def renew_login(self, session: Session, old: str, new: str, ticket: bytes, code: str) -> tuple[str, ...]:
        """Replace a person's own password and authenticator; her recovery codes.

        Raises WrongPin, TooManyAttempts, BadInput, Refused(password_short, password_same, totp_wrong).
        """
        person_id = session.subject
        if new == old:
            raise Refused("Choose another password than the one that you have.", code="password_same")
        key = await self.need_password(person_id, old)
        given = await self.store.read(lambda connection: own_login.is_given(connection, person_id))
        private = secrets.token_bytes(32) if given else key.private
        loop = asyncio.get_running_loop()
        wrapped = await loop.run_in_executor(self._hashing, doctors.wrap, person_id, private, new)
        renewal = own_login.Renewal(key.private, wrapped, ticket, code)

        def act(connection: Connection) -> tuple[tuple[str, ...], doctors.Account | None]:
            mine = _token_hash(session.token)
            codes = own_login.renew(connection, self.keys, person_id, renewal, mine, self.wall_ms())
            return codes, doctors.find_account(connection, person_id)

        codes, account = await self.store.write(act)
        if account is not None:
            self._unlocked[session.token] = SigningKey(private, account.certificate)
        return codes

    # Queue and record

    async def queue(self) -> list[Place]:
        """All open visits: those who wait in their order, then those who are being seen."""
        await self.opened.read()
        lines, now_ms = self.opened.lines(), self.wall_ms()
        if len(lines) <= SLICE:
            return _places(lines, now_ms)
        return await asyncio.to_thread(_places, lines, now_ms)

    async def open_record(self, visit_id: str, doctor_id: str) -> Opened:
        """The record, with its audit line; the first time the node hears that it was opened. Raises NotFound.

        No console is told: what changed stands in no queue, and whoever has the record open has read it with the reply.
        """

        def load(connection: Connection) -> tuple[Opened, down.DownBlob | None]:
            now_ms = self.wall_ms()
            owned = need_visit(connection, visit_id)
            audit.record(connection, now_ms, doctor_id, "record_opened", visit_id)
            blob = None
            if not owned.visit.seen_ms:
                seen = ev.VisitSeen(visit_id, doctor_id, tells_denials=True)
                blob = down.speak(connection, self.speaker, owned.node_id, (seen,), doctor_id, now_ms)
                owned = need_visit(connection, visit_id)
            earlier = views.visits_of_patient(connection, owned.visit.patient_id)
            patient = views.load_patient(connection, owned.visit.patient_id)
            workers = nodes.workers(connection, owned.node_id)
            others = tuple(visit for visit in earlier if visit.visit_id != visit_id)
            return Opened(owned, patient, self.directory.site(owned.node_id), others, workers), blob

        opened, blob = await self.store.write(load)
        if blob is not None:
            self.send_down(blob)
        return opened

    async def take(self, visit_id: str, doctor: Doctor) -> Visit:
        """Take a visit: nobody else takes it then. Raises NotFound, Refused(visit_taken, visit_closed)."""

        def act(connection: Connection) -> tuple[Visit, down.DownBlob | None]:
            now_ms = self.wall_ms()
            owned = need_open(connection, visit_id)
            if owned.visit.doctor_name and owned.visit.doctor_id == doctor.doctor_id:
                return owned.visit, None
            if owned.visit.doctor_name:
                raise Refused("Another doctor has taken this visit.", code="visit_taken")
            audit.record(connection, now_ms, doctor.doctor_id, "visit_taken", visit_id)
            event = ev.VisitAssigned(visit_id, doctor.doctor_id, doctor.name)
            blob = down.speak(connection, self.speaker, owned.node_id, (event,), doctor.doctor_id, now_ms)
            return need_visit(connection, visit_id).visit, blob

        visit, blob = await self.store.write(act)
        self.tell(visit_id, blob)
        return visit

    async def put_back(self, visit_id: str, doctor: Doctor) -> Visit:
        """Give a visit back to the queue at its place. Raises NotFound, Refused(visit_not_yours, visit_closed)."""

        def act(connection: Connection) -> tuple[Visit, down.DownBlob]:
            now_ms = self.wall_ms()
            owned = need_open(connection, visit_id)
            if owned.visit.doctor_id != doctor.doctor_id or not owned.visit.doctor_name:
                raise Refused("You have not taken this visit.", code="visit_not_yours")
            audit.record(connection, now_ms, doctor.doctor_id, "visit_put_back", visit_id)
            event = ev.VisitAssigned(visit_id, "", "")
            blob = down.speak(connection, self.speaker, owned.node_id, (event,), doctor.doctor_id, now_ms)
            return need_visit(connection, visit_id).visit, blob

        visit, blob = await self.store.write(act)
        self.tell(visit_id, blob)
        return visit

    async def free_visits(self) -> None:
        """Give back to the queue the open visits of accounts that were closed or are no doctor's any more."""

        def act(connection: Connection) -> list[tuple[str, down.DownBlob]]:
            gone = who_treats_nobody(connection)
            freed = []
            for owned in views.load_open(connection, gone) if gone else ():
                visit = owned.visit
                if visit.doctor_name and visit.doctor_id in gone:
                    event = ev.VisitAssigned(visit.visit_id, "", "")
                    blob = down.speak(
                        connection, self.speaker, owned.node_id, (event,), visit.doctor_id, self.wall_ms()
                    )
                    audit.record(connection, self.wall_ms(), "", "visit_put_back", visit.visit_id)
                    freed.append((visit.visit_id, blob))
            return freed

        for visit_id, blob in await self.store.write(act):
            self.tell(visit_id, blob)

    # Notes

    async def save_note(self, visit_id: str, doctor_id: str, text: str) -> int:
        """Keep a doctor's working note (not yet part of the record); returns when. Raises NotFound."""

        def act(connection: Connection) -> int:
            now_ms = self.wall_ms()
            need_visit(connection, visit_id)
            put_row(connection, notes, {"visit_id": visit_id, "doctor_id": doctor_id, "text": text, "saved_ms": now_ms})
            return now_ms

        return await self.store.write(act)

    async def load_note(self, visit_id: str, doctor_id: str) -> tuple[str, int]:
        """A doctor's own note and when it was saved; empty and 0 when there is none. Raises NotFound."""

        def look(connection: Connection) -> tuple[str, int]:
            need_visit(connection, visit_id)
            row = connection.execute(
                select(notes.c.text, notes.c.saved_ms).where(
                    notes.c.visit_id == visit_id, notes.c.doctor_id == doctor_id
                )
            ).first()
            return (row.text, row.saved_ms) if row else ("", 0)

        return await self.store.read(look)

    def tell(self, visit_id: str, blob: down.DownBlob | None) -> None:
        """After a commit: on to the node, and to the consoles."""
        if blob is not None:
            self.send_down(blob)
            self.changed(visit_id)


def _places(lines: list[Line], now_ms: int) -> list[Place]:
    """Those who wait in their order, then those who are being seen."""
    by_id = {line.owned.visit.visit_id: line for line in lines}
    ordered = queue.order(
        (queue.Waiting(line.owned.visit, line.patient, views.since_ms(line.owned)) for line in lines), now_ms
    )
    waiting = {one.visit.visit_id for one in ordered}
    places = queue.places_of(ordered)
    in_hand = (VisitState.IN_CALL, VisitState.RX_PENDING, VisitState.RX_READY)
    others = [line for visit_id, line in by_id.items() if visit_id not in waiting and line.owned.visit.state in in_hand]
    others.sort(key=lambda line: line.owned.visit.queued_ms)
    found = [by_id[one.visit.visit_id] for one in ordered] + others
    return [
        Place(
            line.owned,
            line.patient,
            places.get(line.owned.visit.visit_id, 0),
            max(now_ms - views.since_ms(line.owned), 0) // 1000,
        )
        for line in found
    ]


def need_visit(connection: Connection, visit_id: str) -> views.Owned:
    """A visit. Raises NotFound."""
    owned = views.load_visit(connection, visit_id)
    if owned is None:
        raise NotFound("There is no such visit here. It may not have arrived yet.")
    return owned


def need_open(connection: Connection, visit_id: str) -> views.Owned:
    """A visit that is not closed. Raises NotFound, Refused(visit_closed)."""
    owned = need_visit(connection, visit_id)
    if owned.visit.state not in OPEN_STATES:
        raise Refused("This visit is closed.", code="visit_closed")
    return owned


def age_of(patient: Patient | None, now_ms: int) -> str:
    """The age as it is shown; empty while the registration has not arrived."""
    return age_text(patient.person, patient.registered_ms, now_ms) if patient else ""


def _token_hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
