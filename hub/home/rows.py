"""Accounts, codes, passes, sessions, families and counts of patients at home, in the database.

Everything runs inside a transaction of the store. A wrong guess has to stay counted, so nothing here raises after it
has counted one. Numbers lie sealed; what is looked up lies as an HMAC.
"""

import hashlib
import hmac
from collections.abc import Iterable

from msgspec import Struct
from sqlalchemy import Connection, delete, select, update

from edge.model.clock import day_of, day_start_ms
from edge.model.errors import NotFound
from edge.web.sessions import Session

from .. import views
from ..keys import Keyring
from ..store.dialect import Row, add_row, insert_new, lock, put_row
from ..store.schema import visits
from ..store.schema_home import (
    home_accounts,
    home_codes,
    home_commands,
    home_counts,
    home_devices,
    home_messages,
    home_passes,
    home_people,
    home_serials,
    home_sessions,
)
from . import codes
from .codes import Limit
from .sites import is_home

SESSION_IDLE_MS = 12 * codes.HOUR_MS
SESSION_MAX_MS = 24 * codes.HOUR_MS
COMMANDS_KEPT_MS = 7 * codes.DAY_MS


class Account(Struct, frozen=True):
    """A telephone number that was proved."""

    account_id: str
    number: str
    centre: str
    """The sub-centre that was chosen: a node's id; "" for none."""
    language: str

    def __repr__(self) -> str:
        return f"Account({self.account_id})"


def pepper(keys: Keyring) -> bytes:
    """The key of every HMAC here."""
    return hashlib.sha256(b"upk1 home pepper" + keys.data).digest()


def spend(connection: Connection, limits: Iterable[Limit], now_ms: int) -> int:
    """Count one try against all limits; seconds to wait when one of them is used up, and then none is counted.

    Adds in the database, so that no try of another process is lost.
    """
    counted: list[Limit] = []
    for limit in limits:
        key, ends_ms = window_of(limit, now_ms)
        counted.append(limit)
        row: Row = {"key": key, "count": limit.weight, "ends_ms": ends_ms}
        if add_row(connection, home_counts, row, "count") > limit.most:
            give_back(connection, counted, now_ms)
            return max(1, (ends_ms - now_ms + 999) // 1000)
    return 0


def count_of(connection: Connection, limit: Limit, now_ms: int) -> int:
    """How much of a limit is used up."""
    key, _ = window_of(limit, now_ms)
    return connection.execute(select(home_counts.c.count).where(home_counts.c.key == key)).scalar() or 0


def give_back(connection: Connection, limits: Iterable[Limit], now_ms: int) -> None:
    """The try was a good one."""
    for limit in limits:
        key, _ = window_of(limit, now_ms)
        counted = (home_counts.c.key == key) & (home_counts.c.count >= limit.weight)
        connection.execute(update(home_counts).where(counted).values(count=home_counts.c.count - limit.weight))


def window_of(limit: Limit, now_ms: int) -> tuple[bytes, int]:
    """Under which key a limit is counted now, and when that ends."""
    number = now_ms // limit.window_ms
    name = limit.window_ms.to_bytes(8, "big") + number.to_bytes(8, "big")
    return hashlib.sha256(limit.key + name).digest(), (number + 1) * limit.window_ms


# -- proving a number ----------------------------------------------------------------------------------


def put_pass(
    connection: Connection, keys: Keyring, account: Account, visit_id: str, token: str, letters: str, now_ms: int
) -> None:
    """The pass that goes with today's token, until the Indian day ends."""
    key = pepper(keys)
    row: Row = {
        "visit_id": visit_id,
        "number_mac": codes.mac(key, "number", account.number),
        "token": token,
        "pass_mac": codes.mac(key, "pass", account.number, token, letters),
        "pass_sealed": keys.protect(letters.encode(), f"pass {visit_id}"),
        "expires_ms": day_start_ms(day_of(now_ms) + 1),
        "guesses": 0,
    }
    put_row(connection, home_passes, row)


def pass_of(connection: Connection, keys: Keyring, visit_id: str, now_ms: int) -> str:
    """The letters that belong to a visit's token of today; "" when it has none."""
    mine = (home_passes.c.visit_id == visit_id) & (home_passes.c.expires_ms > now_ms)
    sealed = connection.execute(select(home_passes.c.pass_sealed).where(mine)).scalar()
    return keys.reveal(bytes(sealed), f"pass {visit_id}").decode() if sealed is not None else ""


def prove_pass(connection: Connection, keys: Keyring, number: str, token: str, letters: str, now_ms: int) -> bool:
    """Whether this is the pass of the number's token of today. Counts the guess."""
    key = pepper(keys)
    mine = (
        (home_passes.c.number_mac == codes.mac(key, "number", number))
        & (home_passes.c.token == token)
        & (home_passes.c.expires_ms > now_ms)
    )
    open_ = mine & (home_passes.c.guesses < codes.PASS_GUESSES)
    counted = connection.execute(update(home_passes).where(open_).values(guesses=home_passes.c.guesses + 1))
    if counted.rowcount == 0:
        return False
    held = connection.execute(select(home_passes.c.pass_mac).where(mine)).scalars().all()
    wanted = codes.mac(key, "pass", number, token, letters)
    if not any(hmac.compare_digest(bytes(one), wanted) for one in held):
        return False
    connection.execute(update(home_passes).where(mine).values(guesses=0))
    return True


# -- accounts and sessions -----------------------------------------------------------------------------


def account_of_number(
    connection: Connection, keys: Keyring, number: str, fresh_id: str, language: str, now_ms: int
) -> Account:
    """The account of a number that was just proved; a new one under ``fresh_id`` the first time."""
    number_mac = codes.mac(pepper(keys), "number", number)
    row: Row = {
        "account_id": fresh_id,
        "number_mac": number_mac,
        "number_sealed": keys.protect(number.encode(), f"home {fresh_id}"),
        "centre": "",
        "language": language,
        "made_ms": now_ms,
    }
    insert_new(connection, home_accounts, row)
    known = connection.execute(
        select(home_accounts.c.account_id).where(home_accounts.c.number_mac == number_mac)
    ).scalar_one()
    return load_account(connection, keys, known)


def load_account(connection: Connection, keys: Keyring, account_id: str) -> Account:
    """An account. Raises NotFound."""
    row = connection.execute(select(home_accounts).where(home_accounts.c.account_id == account_id)).first()
    if row is None:
        raise NotFound("There is no such account.")
    number = keys.reveal(bytes(row.number_sealed), f"home {row.account_id}").decode()
    return Account(row.account_id, number, row.centre, row.language)


def put_choice(connection: Connection, account_id: str, centre: str, language: str) -> None:
    """Which sub-centre and language the account has chosen."""
    mine = home_accounts.c.account_id == account_id
    connection.execute(update(home_accounts).where(mine).values(centre=centre, language=language))


def open_session(connection: Connection, account_id: str, session: Session, now_ms: int) -> None:
    row: Row = {
        "token_hash": _hash(session.token),
        "csrf": session.csrf,
        "account_id": account_id,
        "started_ms": now_ms,
        "used_ms": now_ms,
    }
    connection.execute(home_sessions.insert().values(dict(row)))


def find_session(connection: Connection, token: str, now_ms: int) -> tuple[Session, int] | None:
    """A session that goes on, and when it was used last."""
    row = connection.execute(select(home_sessions).where(home_sessions.c.token_hash == _hash(token))).first()
    if row is None or now_ms - row.used_ms > SESSION_IDLE_MS or now_ms - row.started_ms > SESSION_MAX_MS:
        return None
    return Session(token, row.csrf, row.account_id, row.started_ms / 1000), row.used_ms


def touch_session(connection: Connection, token: str, now_ms: int) -> None:
    mine = home_sessions.c.token_hash == _hash(token)
    connection.execute(update(home_sessions).where(mine).values(used_ms=now_ms))


def end_session(connection: Connection, token: str) -> None:
    connection.execute(delete(home_sessions).where(home_sessions.c.token_hash == _hash(token)))


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def forget(connection: Connection, now_ms: int) -> None:
    """What is over: counts, codes, passes, sessions, commands."""
    connection.execute(delete(home_counts).where(home_counts.c.ends_ms < now_ms))
    connection.execute(delete(home_codes).where(home_codes.c.expires_ms < now_ms))
    connection.execute(delete(home_passes).where(home_passes.c.expires_ms < now_ms))
    over = (home_sessions.c.used_ms < now_ms - SESSION_IDLE_MS) | (home_sessions.c.started_ms < now_ms - SESSION_MAX_MS)
    connection.execute(delete(home_sessions).where(over))
    connection.execute(delete(home_devices).where(home_devices.c.proved_ms < now_ms - codes.DEVICE_MS))
    connection.execute(delete(home_commands).where(home_commands.c.at_ms < now_ms - COMMANDS_KEPT_MS))


# -- whose is what -------------------------------------------------------------------------------------


def people_of(connection: Connection, account_id: str) -> list[str]:
    """Ids of the people of an account, in the order in which they came."""
    rows = connection.execute(
        select(home_people.c.patient_id)
        .where(home_people.c.account_id == account_id)
        .order_by(home_people.c.added_ms, home_people.c.patient_id)
    )
    return [row.patient_id for row in rows]


def add_person(connection: Connection, account_id: str, patient_id: str, now_ms: int) -> None:
    row: Row = {"account_id": account_id, "patient_id": patient_id, "added_ms": now_ms}
    insert_new(connection, home_people, row)


def visit_of(connection: Connection, account_id: str, visit_id: str) -> views.Owned | None:
    """A visit of a person of this account, begun at home; None for any other, whether or not there is one."""
    found = views.load_visit(connection, visit_id)
    if found is None or found.visit.patient_id not in people_of(connection, account_id):
        return None
    return found if is_home(connection, found.node_id) else None


def accounts_of_patient(connection: Connection, patient_id: str) -> list[str]:
    rows = connection.execute(select(home_people.c.account_id).where(home_people.c.patient_id == patient_id))
    return [row.account_id for row in rows]


def visit_ids_of(connection: Connection, patient_ids: Iterable[str]) -> list[str]:
    """All visits of these people, the newest first."""
    wanted = sorted(set(patient_ids))
    rows = connection.execute(
        select(visits.c.visit_id).where(visits.c.patient_id.in_(wanted)).order_by(visits.c.arrived_ms.desc())
    )
    return [row.visit_id for row in rows]


# -- numbers that are given --------------------------------------------------------------------------


def serial(connection: Connection, name: str) -> int:
    """The last number that was given under a name: ``people``, or the tokens of an Indian day."""
    return int(connection.execute(select(home_serials.c.serial).where(home_serials.c.name == name)).scalar() or 0)


def hold_serial(connection: Connection, name: str) -> None:
    """Have a name's numbers alone until the transaction ends: nobody else is given the same one."""
    lock(connection, f"serial {name}")


def put_serial(connection: Connection, name: str, number: int) -> None:
    put_row(connection, home_serials, {"name": name, "serial": number})


def day_name(now_ms: int) -> str:
    """Under which name the tokens of today are counted."""
    return f"day {day_of(now_ms)}"


# -- commands and messages -----------------------------------------------------------------------------


def done(connection: Connection, command_id: str) -> tuple[str, bytes] | None:
    """Whose command this was, and the hash of it; None for one that is new."""
    row = connection.execute(select(home_commands).where(home_commands.c.command_id == command_id)).first()
    return None if row is None else (row.account_id, bytes(row.body_hash))


def note_done(connection: Connection, command_id: str, account_id: str, body_hash: bytes, now_ms: int) -> None:
    row: Row = {"command_id": command_id, "account_id": account_id, "body_hash": body_hash, "at_ms": now_ms}
    connection.execute(home_commands.insert().values(dict(row)))


def note_message(connection: Connection, visit_id: str, kind: str, mark: str, now_ms: int) -> bool:
    """Whether this message about a visit is to be sent: once for each ``mark``."""
    return insert_new(connection, home_messages, {"visit_id": visit_id, "kind": kind, "mark": mark, "at_ms": now_ms})
