"""What a patient at home can do, without HTTP: prove a number, say who is ill and of what, wait, read the answer.

Every object is looked up through the account: what belongs to somebody else answers like what does not exist. Reads no
clock: it is given one. Photos and slips are :mod:`hub.home.papers`, calls :mod:`hub.home.calls`.
"""

import asyncio
import hashlib
import secrets
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct
from sqlalchemy import Connection

from edge.model import commands as cmd
from edge.model import events as ev
from edge.model import queue
from edge.model.clock import clock_text, day_of, day_text
from edge.model.errors import NotFound, Refusal, Refused, UpkendraError
from edge.model.fold import Patient, Visit
from edge.model.ids import ID_BYTES, make_id
from edge.model.media import Upload
from edge.model.records import OPEN_STATES
from edge.web.refusals import TooManyAttempts, WrongPin
from edge.web.sessions import Session, new_session

from .. import audit, doctors, views
from ..desk import Desk
from ..directory import Site
from ..doctors import Doctor
from . import codes, log, proofs, pushes, rows, sites
from .gateway import LATER_S, SOON_S, Gateway, Kind, Message, hand_over, message
from .proofs import Asked
from .push import Outcome, Pusher, Subscription, point_of
from .rows import Account

if TYPE_CHECKING:
    from ..rota.front import RotaFront

PEOPLE_MAX = 10
PUSHED = (Kind.TURN_NEXT, Kind.MISSED, Kind.ANSWERED)
"""What a browser is told before an SMS goes out."""
TOUCH_MS = 60_000
_encode = msgspec.msgpack.Encoder().encode


class RefusedByModel(UpkendraError):
    """A command that the model refuses, with its own words."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


class Seen(Struct, frozen=True):
    """A visit as its patient sees it."""

    visit: Visit
    patient: Patient
    node_id: str
    place: int
    """1 for the next; 0 for RED and for whoever does not wait."""
    day_pass: str
    """The letters that go with today's token; "" without one."""
    doctor: Doctor | None
    """Who has taken the visit: to be named with qualification and registration before anything begins."""


class _Telling(Struct, frozen=True):
    """A message to an account, and the browsers that it goes to first."""

    message: Message
    account_id: str
    word: str
    due_ms: int
    """When it goes by SMS because no browser has shown it, Unix ms."""
    browsers: tuple[Subscription, ...]


class HomeDesk:
    """The patients' side of a hub."""

    def __init__(
        self,
        desk: Desk,
        front: "RotaFront",
        gateway: Gateway,
        changed: Callable[[str], None],
    ) -> None:
        """``changed`` tells consoles, rota and the patient's own pages of a visit."""
        self.desk = desk
        self.store = desk.store
        self.keys = desk.keys
        self.wall_ms = desk.wall_ms
        self.front = front
        self.gateway = gateway
        self.pusher = Pusher(contact=gateway.push_contact)
        self.changed = changed
        self._sending: set[asyncio.Task[bool]] = set()
        self._closing = asyncio.Event()

    async def close(self) -> None:
        """Let messages that are on their way arrive; what the gateway did not take is not tried again."""
        self._closing.set()
        await self.sent()
        await self.gateway.close()
        await self.pusher.close()

    async def sent(self) -> None:
        """What is on its way has been handed over, or was refused."""
        while self._sending:
            await asyncio.gather(*self._sending, return_exceptions=True)

    # -- proving a number --------------------------------------------------------------------------

    async def ask_code(self, mobile: str, device: str, address: str, language: str) -> Asked:
        """Send a code to a number, or say that one on its way is meant. Tells nothing about whether it is known.

        Raises TooManyAttempts.
        """
        number = codes.number_of(mobile)

        def act(connection: Connection) -> Asked:
            return proofs.ask(connection, self.keys, number or mobile, device, address, self.wall_ms())

        asked = await self.store.write(act)
        not_too_often(asked.wait_s)
        if asked.code and number and (self.gateway.demo or not codes.is_synthetic(number)):
            minutes = str(asked.good_s // 60)
            self.send(message(number, Kind.CODE, language, code=asked.code, minutes=minutes))
        return asked

    async def login(self, mobile: str, proof: str, device: str, address: str, language: str) -> tuple[Account, Session]:
        """Open a session for whoever has the number's code, or the token of its visit of today with its letters.

        Raises WrongPin, the same for every mistake, or TooManyAttempts.
        """
        number = codes.number_of(mobile)
        session = new_session("", 0.0)
        fresh_id = make_id(secrets.token_bytes(ID_BYTES))

        def act(connection: Connection) -> tuple[Account, Session] | int | None:
            now_ms = self.wall_ms()
            proved = self._proves(connection, number or mobile, device, proof, address, now_ms)
            if proved > 0:
                return proved
            if proved < 0 or not number:
                audit.record(connection, now_ms, "", "home_login_failed")
                return None
            account = rows.account_of_number(connection, self.keys, number, fresh_id, language, now_ms)
            opened = msgspec.structs.replace(session, subject=account.account_id)
            rows.open_session(connection, account.account_id, opened, now_ms)
            audit.record(connection, now_ms, account.account_id, "home_login", account.account_id)
            return account, opened

        found = await self.store.write(act)
        if isinstance(found, int):
            not_too_often(found)
        if found is None or isinstance(found, int):
            raise WrongPin("The code or token does not fit this number, or it is over. Ask for a new code.")
        return found

    def _proves(self, connection: Connection, number: str, device: str, proof: str, address: str, now_ms: int) -> int:
        """0 for a good proof, -1 for a bad one, else so many seconds to wait.

        Whoever has asked for a code is never kept waiting by what others at the same address do.
        """
        token, letters = codes.token_and_pass(proof)
        if not token and proofs.has_code(connection, self.keys, number, device, now_ms):
            good = proofs.prove(connection, self.keys, number, device, proof.strip(), address, now_ms)
            return 0 if good else -1
        limits = codes.limits_of_guessing(rows.pepper(self.keys), address)
        if not proofs.is_known(connection, self.keys, number, device, now_ms):
            wait_s = rows.spend(connection, limits, now_ms)
            if wait_s:
                return wait_s
        if not token or not rows.prove_pass(connection, self.keys, number, token, letters, now_ms):
            return -1
        rows.give_back(connection, limits, now_ms)
        return 0

    async def find_session(self, token: str, untouched_s: float = 0.0) -> Session | None:
        """The live session behind a cookie. Waiting is use: ``untouched_s`` counts for nothing."""
        now_ms = self.wall_ms()
        found = await self.store.read(lambda connection: rows.find_session(connection, token, now_ms))
        if found is None:
            return None
        session, used_ms = found
        if now_ms - used_ms > TOUCH_MS:
            self.store.write_later(lambda connection: rows.touch_session(connection, token, now_ms))
        return session

    async def is_live(self, token: str) -> bool:
        """Whether a session goes on; asking keeps none alive."""
        now_ms = self.wall_ms()
        return await self.store.read(lambda connection: rows.find_session(connection, token, now_ms)) is not None

    async def logout(self, token: str) -> None:
        await self.store.write(lambda connection: rows.end_session(connection, token))

    async def account(self, account_id: str) -> Account:
        """Who is logged in. Raises NotFound."""
        return await self.store.read(lambda connection: rows.load_account(connection, self.keys, account_id))

    # -- the family and its visits -----------------------------------------------------------------

    async def family(self, account_id: str) -> tuple[list[Patient], list[Visit]]:
        """The people of an account, and all their visits that were begun at home, the newest first."""

        def look(connection: Connection) -> tuple[list[Patient], list[Visit]]:
            ids = rows.people_of(connection, account_id)
            known = views.load_patients(connection, ids)
            seen = [rows.visit_of(connection, account_id, one) for one in rows.visit_ids_of(connection, ids)]
            return [known[one] for one in ids if one in known], [one.visit for one in seen if one is not None]

        return await self.store.read(look)

    async def choose(self, account_id: str, centre: str, language: str) -> Account:
        """Choose the nearest sub-centre and the language. Raises Refused(no_such_centre)."""
        if centre and (self.desk.directory.site(centre).home or not self.desk.directory.site(centre).site_code):
            raise Refused("There is no such sub-centre. Choose one of the list.", code="no_such_centre", field="centre")

        def act(connection: Connection) -> Account:
            rows.put_choice(connection, account_id, centre, language)
            return rows.load_account(connection, self.keys, account_id)

        return await self.store.write(act)

    async def seen(self, account_id: str, visit_id: str) -> Seen:
        """A visit of this account. Raises NotFound."""

        def look(connection: Connection) -> Seen:
            owned = need_mine(connection, account_id, visit_id)
            patient = views.load_patient(connection, owned.visit.patient_id)
            if patient is None:
                raise NotFound("There is no such visit.")
            letters = rows.pass_of(connection, self.keys, visit_id, self.wall_ms())
            found = doctors.find_account(connection, owned.visit.doctor_id) if owned.visit.doctor_name else None
            doctor = found.doctor if found is not None else None
            return Seen(owned.visit, patient, owned.node_id, 0, letters, doctor)

        seen = await self.store.read(look)
        if not queue.waits(seen.visit):
            return seen
        return msgspec.structs.replace(seen, place=(await self.front.at_home(visit_id)).place)

    async def command(self, account_id: str, command: cmd.Command) -> None:
        """Do what a patient asks, once for each command id.

        Raises RefusedByModel, NotFound, TooManyAttempts, Refused(command_reused, people_many, visit_open_already).
        """
        visit_id = await self.record(account_id, command)
        if visit_id:
            self.changed(visit_id)
        if visit_id and isinstance(command, cmd.IssueToken):
            await self.front.at_home(visit_id, fresh=True)  # so that the wait that is told is one
            await self.tell(visit_id, Kind.GIVEN, codes.mark_of(self.wall_ms()))

    async def record(self, account_id: str, command: cmd.Command, uploads: tuple[Upload, ...] = ()) -> str:
        """As :meth:`command`, and nobody hears of it yet: the visit that has changed, "" for none.

        Raises RefusedByModel, NotFound, TooManyAttempts, Refused(command_reused, people_many, visit_open_already).
        """
        body_hash = hashlib.sha256(_encode([command, [one.upload_id for one in uploads]])).digest()
        limits = codes.limits_of_commands(rows.pepper(self.keys), account_id)
        wait_s = await self.store.write(lambda connection: rows.spend(connection, limits, self.wall_ms()))
        not_too_often(wait_s)

        def act(connection: Connection) -> str | None:
            known = rows.done(connection, command.command_id)
            if known is not None:
                if known != (account_id, body_hash):
                    raise Refused("This command id was used for something else.", code="command_reused")
                return None
            return self._do(connection, account_id, command, uploads, body_hash)

        return await self.store.write(act) or ""

    def _do(
        self,
        connection: Connection,
        account_id: str,
        command: cmd.Command,
        uploads: tuple[Upload, ...],
        body_hash: bytes,
    ) -> str:
        now_ms = self.wall_ms()
        account = rows.load_account(connection, self.keys, account_id)
        family = rows.people_of(connection, account_id)
        site = self._site(connection, account, command, family, now_ms)
        visit_id = str(getattr(command, "visit_id", ""))
        if visit_id and not isinstance(command, cmd.OpenVisit):
            moving = isinstance(command, cmd.MoveVisit | cmd.CloseVisit)
            log.need_room(connection, site.node_id, visit_id, moving=moving)
        said = _with_number(command, account.number)
        decided = log.perform(connection, self.desk.speaker, site, said, uploads, now_ms)
        if isinstance(decided, Refusal):
            raise RefusedByModel(decided)
        rows.note_done(connection, command.command_id, account_id, body_hash, now_ms)
        for event in decided:
            if isinstance(event, ev.PatientRegistered):
                rows.add_person(connection, account_id, event.patient_id, now_ms)
                audit.record(connection, now_ms, account_id, "home_registered", event.patient_id)
            elif isinstance(event, ev.TokenIssued):
                self._give_token(connection, account, event, now_ms)
        return next(filter(None, map(ev.visit_of, decided)), "")

    def _site(
        self, connection: Connection, account: Account, command: cmd.Command, family: list[str], now_ms: int
    ) -> Site:
        """The home site whose log takes a command, after it was made sure that its subject is this account's."""
        if isinstance(command, cmd.AmendPatient | cmd.OpenVisit):
            if command.patient_id not in family:
                raise NotFound("There is no such person.")
            if isinstance(command, cmd.OpenVisit):
                self._may_open(connection, account, command, now_ms)
            return self.desk.directory.site(views.node_of_patient(connection, command.patient_id))
        if not isinstance(command, cmd.RegisterPatient):
            visit_id = str(getattr(command, "visit_id", ""))
            return self.desk.directory.site(need_mine(connection, account.account_id, visit_id).node_id)
        if len(family) >= PEOPLE_MAX:
            raise Refused(f"At most {PEOPLE_MAX} people share a number.", code="people_many")
        if views.node_of_patient(connection, command.patient_id):
            raise Refused("This id is taken.", code="command_reused")
        district = self.desk.directory.site(account.centre).district if account.centre else ""
        site = sites.site_of(connection, district, secrets.token_hex(8), now_ms, demo=self.gateway.demo)
        self.desk.directory.put_site(site)
        return site

    def _may_open(self, connection: Connection, account: Account, command: cmd.OpenVisit, now_ms: int) -> None:
        earlier = views.visits_of_patient(connection, command.patient_id)
        if any(one.state in OPEN_STATES for one in earlier):
            raise Refused("This person has a visit that is not closed. Go on with it.", code="visit_open_already")
        if views.load_visit(connection, command.visit_id) is not None:
            raise Refused("This id is taken.", code="command_reused")
        if command.follow_up_of and command.follow_up_of not in {one.visit_id for one in earlier}:
            raise NotFound("There is no such earlier visit.")
        key = rows.pepper(self.keys)
        not_too_often(rows.spend(connection, codes.limits_of_visits(key, account.account_id), now_ms))

    def _give_token(self, connection: Connection, account: Account, event: ev.TokenIssued, now_ms: int) -> None:
        letters = codes.pass_of(secrets.token_bytes(codes.PASS_LETTERS))
        rows.put_pass(connection, self.keys, account, event.visit_id, event.token, letters, now_ms)

    # -- messages ----------------------------------------------------------------------------------

    def send(self, one: Message) -> None:
        """Hand a message to the gateway; nobody waits for it."""
        again_s = SOON_S if one.kind in (Kind.CODE, Kind.TURN_NEXT) else LATER_S
        self._keep(hand_over(self.gateway, one, again_s, self._closing))

    def _keep(self, sending: Coroutine[None, None, bool]) -> None:
        task = asyncio.get_running_loop().create_task(sending)
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def tell(self, visit_id: str, kind: Kind, mark: str) -> None:
        """Send a message about a visit to everybody who shares its patient: once for each ``mark``."""

        def act(connection: Connection) -> list[_Telling]:
            owned = views.load_visit(connection, visit_id)
            now_ms = self.wall_ms()
            if owned is None or not rows.note_message(connection, visit_id, kind.value, mark, now_ms):
                return []
            told = []
            for account_id in rows.accounts_of_patient(connection, owned.visit.patient_id):
                one = self._message(connection, owned.visit, account_id, kind, now_ms)
                browsers = pushes.of_account(connection, self.keys, account_id) if kind in PUSHED else []
                word = pushes.note(connection, account_id, visit_id, kind.value, now_ms) if browsers else ""
                told.append(_Telling(one, account_id, word, now_ms + pushes.SEEN_WITHIN_MS, tuple(browsers)))
            return told

        for one in await self.store.write(act):
            if one.browsers:
                self._keep(self._push(one))
            else:
                self.send(one.message)

    def _message(self, connection: Connection, visit: Visit, account_id: str, kind: Kind, now_ms: int) -> Message:
        account = rows.load_account(connection, self.keys, account_id)
        return message(account.number, kind, account.language, **self._words(connection, visit, account, kind, now_ms))

    async def _push(self, one: "_Telling") -> bool:
        """To all browsers of an account; by SMS when no service takes it."""
        key = await self.store.write(lambda connection: pushes.own_key(connection, self.keys))
        said = {"word": one.word, "text": one.message.text, "tag": one.message.kind.value}
        plain, now_s = msgspec.json.encode(said), self.wall_ms() // 1000
        outcomes = await asyncio.gather(*(self.pusher.send(key, to, plain, now_s) for to in one.browsers))
        gone = [to for to, outcome in zip(one.browsers, outcomes, strict=True) if outcome is Outcome.GONE]

        def act(connection: Connection) -> bool:
            for to in gone:
                pushes.remove(connection, one.account_id, to.endpoint)
            return Outcome.TAKEN not in outcomes and pushes.claim(connection, one.word, one.due_ms, self.wall_ms())

        return not await self.store.write(act) or await self._by_sms(one.message, one.word)

    async def _by_sms(self, one: Message, word: str) -> bool:
        """What was claimed; it stays open until the gateway has answered, so that a kill doubles it but loses none."""
        done = await hand_over(self.gateway, one, SOON_S, self._closing)
        await self.store.write(lambda connection: pushes.settle(connection, word))
        return done

    async def tell_unseen(self) -> None:
        """By SMS what was pushed and no page has confirmed."""

        def act(connection: Connection) -> list[tuple[Message, str]]:
            now_ms, late = self.wall_ms(), []
            for due in pushes.claim_due(connection, now_ms):
                owned = views.load_visit(connection, due.visit_id)
                if owned is None:
                    pushes.settle(connection, due.word)
                    continue
                one = self._message(connection, owned.visit, due.account_id, Kind(due.kind), now_ms)
                late.append((one, due.word))
            return late

        if await self.store.read(lambda connection: pushes.is_open(connection)):
            for one, word in await self.store.write(act):
                self._keep(self._by_sms(one, word))

    async def push_key(self) -> bytes:
        """The hub's public key: a browser subscribes for it."""
        key = await self.store.write(lambda connection: pushes.own_key(connection, self.keys))
        return point_of(key.public_key())

    async def take_push(self, account_id: str, to: Subscription, *, on: bool) -> None:
        """A browser wants to be told of the account's visits, or no more."""

        def act(connection: Connection) -> None:
            if on:
                pushes.put(connection, self.keys, account_id, to, self.wall_ms())
            else:
                pushes.remove(connection, account_id, to.endpoint)

        await self.store.write(act)

    async def push_seen(self, word: str) -> None:
        """A browser has shown what was pushed. Anybody may say so: a word that was not given writes nothing."""
        if await self.store.read(lambda connection: pushes.is_open(connection, word)):
            await self.store.write(lambda connection: pushes.settle(connection, word))

    def _words(self, connection: Connection, visit: Visit, account: Account, kind: Kind, now_ms: int) -> dict[str, str]:
        number = visit.token or sites.CODE
        if kind is not Kind.GIVEN:
            return {"n": number}
        letters = rows.pass_of(connection, self.keys, visit.visit_id, now_ms)
        return {
            "n": f"{number}-{letters}" if letters else number,
            "t": _when(visit),
            "centre": sites.NAME,
        }


def _with_number(command: cmd.Command, number: str) -> cmd.Command:
    """A person at home is reached by the number that was proved, whatever the page says."""
    if not isinstance(command, cmd.RegisterPatient | cmd.AmendPatient):
        return command
    return msgspec.structs.replace(command, person=msgspec.structs.replace(command.person, mobile=number))


def _when(visit: Visit) -> str:
    """When a turn is expected, as the rota said it last, in Indian time; "–" while it cannot say."""
    told = visit.expected
    if told is None or told.state == "nobody":
        return "–"
    if told.state == "closed":
        return f"{day_text(day_of(told.opens_ms))} {clock_text(told.opens_ms)}" if told.opens_ms else "–"
    first, last = (clock_text(told.at_ms + minutes * 60_000) for minutes in (told.low_min, told.high_min))
    return f"{first}–{last}"


def need_mine(connection: Connection, account_id: str, visit_id: str) -> views.Owned:
    """A visit of this account. Raises NotFound, the same for another's and for none."""
    owned = rows.visit_of(connection, account_id, visit_id)
    if owned is None:
        raise NotFound("There is no such visit.")
    return owned


def not_too_often(wait_s: int) -> None:
    """Raise TooManyAttempts for somebody who has to wait."""
    if wait_s:
        raise TooManyAttempts(f"Too many attempts. Wait {wait_s} s and try again.")
