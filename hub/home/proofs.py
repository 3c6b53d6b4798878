"""One-time codes in the database: who gets one, by which lane, and what a guess costs. Runs inside a transaction.

A code is good at the device that asked for it and nowhere else, so that nobody spends another's guesses. A device that
proved a number has a share of its own; strangers share a few codes an hour for each number, and when those are used up
everybody who asks is meant by one long code, which comes to the owner's telephone whoever made it come.
"""

import hmac
import re
import secrets
from enum import StrEnum
from typing import Final

from msgspec import Struct
from sqlalchemy import ColumnElement, Connection, delete, select, update

from ..keys import Keyring
from ..store.dialect import Row, put_row
from ..store.schema_home import home_codes, home_devices
from . import codes, rows

DEVICE: Final = re.compile(r"[0-9a-f]{32}")


class Lane(StrEnum):
    """How a code was come by."""

    KNOWN = "known"
    FRESH = "fresh"
    SHARED = "shared"


class Asked(Struct, frozen=True):
    """What asking came to."""

    wait_s: int
    """0, or so long until the next may be asked for."""
    code: str
    """To be sent now; "" when one that was sent is meant."""
    digits: int = 0
    good_s: int = 0


def device_of(cookie: str) -> str:
    """The device that a browser says it is; a new one for any other word."""
    return cookie if DEVICE.fullmatch(cookie) else secrets.token_hex(16)


def ask(connection: Connection, keys: Keyring, number: str, device: str, address: str, now_ms: int) -> Asked:
    """A code for a number at a device. ``number`` may be none at all: it is counted as one."""
    key = rows.pepper(keys)
    known = is_known(connection, keys, number, device, now_ms)
    if known and not rows.spend(connection, codes.limits_of_device(key, number, device), now_ms):
        return _give(connection, keys, number, device, Lane.KNOWN, 6, now_ms)
    all_of = codes.limit_of_all(key)
    unproved = rows.count_of(connection, all_of, now_ms)
    proved = rows.count_of(connection, codes.limit_of_proofs(key, address), now_ms)
    wait_s = rows.spend(connection, (codes.limit_at(key, address, unproved, proved), all_of), now_ms)
    if wait_s:
        return Asked(wait_s, "")
    if rows.spend(connection, codes.limits_of_number(key, number), now_ms):
        return _share(connection, keys, number, device, now_ms)
    return _give(connection, keys, number, device, Lane.FRESH, codes.digits_of(unproved), now_ms)


def _give(
    connection: Connection, keys: Keyring, number: str, device: str, lane: Lane, digits: int, now_ms: int
) -> Asked:
    code = codes.code_of(secrets.token_bytes(8), digits)
    code_mac = codes.mac(rows.pepper(keys), "code", number, code)
    _put(connection, keys, number, device, code_mac, lane, now_ms + codes.CODE_LIFE_S * 1000)
    return Asked(0, code, digits, codes.CODE_LIFE_S)


def _share(connection: Connection, keys: Keyring, number: str, device: str, now_ms: int) -> Asked:
    """The code that is good for everybody who asks now."""
    mine = _of(keys, number, "") & (home_codes.c.expires_ms > now_ms)
    row = connection.execute(select(home_codes).where(mine)).first()
    code = ""
    if row is None:
        code = codes.code_of(secrets.token_bytes(8), codes.LONGEST)
        code_mac, until_ms = codes.mac(rows.pepper(keys), "code", number, code), now_ms + codes.SHARED_LIFE_S * 1000
        _put(connection, keys, number, "", code_mac, Lane.SHARED, until_ms)
    else:
        code_mac, until_ms = bytes(row.code_mac), int(row.expires_ms)
    _put(connection, keys, number, device, code_mac, Lane.SHARED, until_ms)
    return Asked(0, code, codes.LONGEST, (until_ms - now_ms) // 1000)


def _put(
    connection: Connection, keys: Keyring, number: str, device: str, code_mac: bytes, lane: Lane, until_ms: int
) -> None:
    number_mac, device_mac = _names(keys, number, device)
    row: Row = {
        "number_mac": number_mac,
        "device_mac": device_mac,
        "code_mac": code_mac,
        "lane": lane.value,
        "expires_ms": until_ms,
        "guesses": 0,
    }
    put_row(connection, home_codes, row)


def _names(keys: Keyring, number: str, device: str) -> tuple[bytes, bytes]:
    key = rows.pepper(keys)
    return codes.mac(key, "number", number), codes.mac(key, "device", device) if device else b""


def _of(keys: Keyring, number: str, device: str) -> ColumnElement[bool]:
    number_mac, device_mac = _names(keys, number, device)
    return (home_codes.c.number_mac == number_mac) & (home_codes.c.device_mac == device_mac)


def has_code(connection: Connection, keys: Keyring, number: str, device: str, now_ms: int) -> bool:
    """Whether this device has asked for a code of the number, and has guesses left: it is looked at without a limit."""
    open_ = (home_codes.c.expires_ms > now_ms) & (home_codes.c.guesses < codes.CODE_GUESSES)
    found = select(home_codes.c.guesses).where(_of(keys, number, device) & open_)
    return bool(device) and connection.execute(found).first() is not None


def prove(
    connection: Connection, keys: Keyring, number: str, device: str, code: str, address: str, now_ms: int
) -> bool:
    """Whether this is the number's code at this device. Counts the guess, and uses the code up when it is right."""
    key, mine = rows.pepper(keys), _of(keys, number, device)
    open_ = mine & (home_codes.c.expires_ms > now_ms) & (home_codes.c.guesses < codes.CODE_GUESSES)
    counted = connection.execute(update(home_codes).where(open_).values(guesses=home_codes.c.guesses + 1))
    if not device or counted.rowcount == 0:
        return False
    held = connection.execute(select(home_codes).where(mine)).one()
    if not hmac.compare_digest(bytes(held.code_mac), codes.mac(key, "code", number, code)):
        return False
    connection.execute(delete(home_codes).where(mine))
    if held.lane != Lane.KNOWN.value:
        rows.give_back(connection, (codes.limit_at(key, address, 0, 0), codes.limit_of_all(key)), now_ms)
    if held.lane == Lane.FRESH.value:
        rows.spend(connection, (codes.limit_of_proofs(key, address),), now_ms)
    if held.lane == Lane.SHARED.value:  # proved once, it is good for nobody else
        connection.execute(delete(home_codes).where(home_codes.c.code_mac == held.code_mac))
    number_mac, device_mac = _names(keys, number, device)
    put_row(connection, home_devices, {"number_mac": number_mac, "device_mac": device_mac, "proved_ms": now_ms})
    return True


def is_known(connection: Connection, keys: Keyring, number: str, device: str, now_ms: int) -> bool:
    """Whether this device proved the number lately."""
    number_mac, device_mac = _names(keys, number, device)
    mine = (home_devices.c.number_mac == number_mac) & (home_devices.c.device_mac == device_mac)
    since = home_devices.c.proved_ms > now_ms - codes.DEVICE_MS
    return bool(device) and connection.execute(select(home_devices.c.proved_ms).where(mine & since)).first() is not None
