"""Making a node: enrolment with a hub, the first keys and the encrypted store, staff and badges.

Used by the command line only. Enrolment trusts the one-time token and no bearer (edge/sync/enrol.py).
"""

import asyncio
import secrets as randomness
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

import aiohttp
import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from edge.model.clock import Instant
from edge.model.errors import BadInput, Refused, UpkendraError
from edge.model.ids import ID_BYTES, make_id
from edge.model.records import Name, Role
from edge.sync import enrol, seal

from .clock import Clock
from .config import NODE_FILE, NodeConfig, Site, save_config
from .journal import SOFTWARE, Journal, Secrets
from .outbox import OutboxDb
from .staff import NewBadge, keep_slot, may_get_badge, new_badge
from .unlock import Attempts, Slots, make_hub_slot, make_recovery, open_with_badge, open_with_recovery
from .views import Staff

T = TypeVar("T")
HTTP_TIMEOUT_S = 30.0
"""Without a byte."""
HTTP_TRIES, HTTP_AGAIN_S = 5, 2.0
REPLY_LIMIT_BYTES = enrol.REPLY_MAX_BYTES


class HubUnreachable(UpkendraError):
    """The hub did not answer. Check its address and the network, then try again with the same token."""

    code = "hub_unreachable"


def new_secrets() -> enrol.EnrolSecrets:
    """Fresh D, L, R and a response key."""
    return enrol.EnrolSecrets(
        Ed25519PrivateKey.generate().private_bytes_raw(),
        Ed25519PrivateKey.generate().private_bytes_raw(),
        X25519PrivateKey.generate().private_bytes_raw(),
        X25519PrivateKey.generate().private_bytes_raw(),
    )


class Enrolled(msgspec.Struct, frozen=True):
    """A node that was just made."""

    config: NodeConfig
    recovery_code: str
    """To be printed once."""
    staff: tuple[Staff, ...] = ()
    """Who worked at the node that this machine replaces."""

    def __repr__(self) -> str:
        return "Enrolled(…)"


async def enrol_node(folder: Path, hub_url: str, token_text: str, language: str = "hi") -> Enrolled:
    """Enrol with a hub and make the store. ``language``: in which the pages begin.

    Raises EnrolRefused, HubUnreachable, Refused (already enrolled).
    """
    if await asyncio.to_thread((folder / NODE_FILE).exists):
        raise Refused("This data folder holds an enrolled node already.", code="already_enrolled")
    host = urlsplit(hub_url).hostname
    if not host:
        raise BadInput("This is no address of a hub: http://host:port is expected.", field="hub")
    token = enrol.parse_token(token_text)
    fresh = new_secrets()
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=HTTP_TIMEOUT_S, sock_read=HTTP_TIMEOUT_S)
    async with aiohttp.ClientSession(base_url=hub_url, timeout=timeout) as http:
        checked = enrol.check_announcement(await _ask(http, "GET", "/enrol/keys", b""), token)
        body = enrol.make_request(token, checked, fresh, SOFTWARE)
        reply = await _ask(http, "POST", "/enrol", body)
    grant, keys = enrol.open_reply(reply, body, fresh, checked)
    config = NodeConfig(
        keys.node_id,
        keys.psk,
        keys.device,
        seal.verifier_of(fresh.log),
        seal.public_of(fresh.records),
        keys.hub_root,
        keys.hub_sign,
        keys.hub_kem,
        keys.tls_fingerprint,
        host,
        grant.udp_port,
        grant.wss_port,
        Site(grant.site_code, grant.site_name, grant.district),
        grant.demo,
        language=language,
    )
    staff = tuple(Staff(one.staff_id, one.name, one.name_hi, one.role, has_pin=False) for one in grant.workers)
    code = await make_store(folder, config, Secrets(fresh.log, fresh.records), staff, grant.unlock)
    return Enrolled(config, code, staff)


async def _ask(http: aiohttp.ClientSession, method: str, path: str, body: bytes) -> bytes:
    """The hub's answer. What does not come is asked for again with the same bytes: the hub gives the same answer to
    them, and to other bytes none, since the token is used up then. Raises EnrolRefused, HubUnreachable.
    """
    for left in reversed(range(HTTP_TRIES)):
        try:
            return await _fetch(http, method, path, body)
        except aiohttp.ClientConnectorError:  # nothing was said
            raise HubUnreachable("The hub did not answer.") from None
        except (aiohttp.ClientError, TimeoutError):
            if left:
                await asyncio.sleep(HTTP_AGAIN_S)
    raise HubUnreachable("The hub did not answer.")


async def _fetch(http: aiohttp.ClientSession, method: str, path: str, body: bytes) -> bytes:
    headers = {"Content-Type": "application/octet-stream"} if body else {}
    async with http.request(method, path, data=body or None, headers=headers, allow_redirects=False) as response:
        content = bytearray()
        async for piece in response.content.iter_any():
            content += piece
            if len(content) > REPLY_LIMIT_BYTES:
                break
        if response.status != 200:
            raise enrol.EnrolRefused("The hub refused the enrolment. Ask for a new token.", code="enrol_refused")
        return bytes(content)


async def make_store(
    folder: Path, config: NodeConfig, keys: Secrets, staff: tuple[Staff, ...] = (), hub_secret: bytes = b""
) -> str:
    """Make the encrypted store and ``node.json``; the recovery code that opens the store.

    ``hub_secret``: U, by which the hub can open it when a person there has acted; it is kept nowhere here.
    """
    dmk = randomness.token_bytes(32)
    code, slot = await make_recovery(dmk)

    def fill(journal: Journal) -> None:
        journal.keep_secrets(keys)
        for one in staff:
            journal.views.list_staff(one)

    await asyncio.to_thread(_with_records, folder, config, dmk, fill)
    await asyncio.to_thread(Slots(folder).add, slot)
    if hub_secret:
        await asyncio.to_thread(Slots(folder).add, await make_hub_slot(dmk, hub_secret))
    await asyncio.to_thread(save_config, folder, config)
    return code


async def add_staff(
    folder: Path, config: NodeConfig, opener: tuple[str, str], name: str, name_hi: str, role: Role, pin: str
) -> tuple[Staff, str]:
    """Add a staff member: who it is now, and the badge to print once.

    ``opener``: a recovery code with an empty PIN, or a badge with its PIN. Raises WrongPin, BadInput,
    TooManyAttempts.
    """
    for text in (name, name_hi or name):
        try:
            msgspec.convert(text, Name)
        except msgspec.ValidationError:
            raise BadInput("A name has 1 to 80 letters and no < or >.", field="name") from None
    dmk = await _open(folder, Slots(folder), opener)
    staff = Staff(make_id(randomness.token_bytes(ID_BYTES)), name, name_hi or name, role)

    def put(journal: Journal, badge: NewBadge, at: Instant) -> Staff:
        journal.views.put_staff(staff, badge.salt, badge.verifier)
        journal.list_staff(at)
        return staff

    return await _give_badge(folder, config, dmk, (staff.staff_id, pin), put)


async def renew_badge(
    folder: Path, config: NodeConfig, opener: tuple[str, str], staff_id: str, pin: str
) -> tuple[Staff, str]:
    """Give somebody who came back to a replaced node a badge and a PIN: who it is, and the badge to print once.

    ``opener`` as for :func:`add_staff`. Raises NotFound, Refused (has a badge), WrongPin, BadInput, TooManyAttempts.
    """
    dmk = await _open(folder, Slots(folder), opener)
    await asyncio.to_thread(
        _with_records, folder, config, dmk, lambda journal: may_get_badge(journal.views.staff_member(staff_id))
    )
    return await _give_badge(
        folder, config, dmk, (staff_id, pin), lambda journal, badge, at: journal.give_pin(staff_id, badge, at)
    )


async def _give_badge(
    folder: Path,
    config: NodeConfig,
    dmk: bytes,
    owner: tuple[str, str],
    put: Callable[[Journal, NewBadge, Instant], Staff],
) -> tuple[Staff, str]:
    """``owner``: staff id and PIN.

    The badge opens the records before anybody is named as its owner: a cut between leaves one that nobody saw.
    """
    clock = await asyncio.to_thread(Clock, folder, lambda: time.time_ns() // 1_000_000)
    badge = await new_badge(dmk, *owner)
    await asyncio.to_thread(keep_slot, folder, badge)
    staff = await asyncio.to_thread(
        _with_records, folder, config, dmk, lambda journal: put(journal, badge, clock.now())
    )
    return staff, badge.text


async def with_opened(
    folder: Path, config: NodeConfig, opener: tuple[str, str], work: Callable[[Journal, Instant], T]
) -> T:
    """Open the records, do one thing, close them. ``opener`` as above."""
    dmk = await _open(folder, Slots(folder), opener)
    clock = await asyncio.to_thread(Clock, folder, lambda: time.time_ns() // 1_000_000)
    return await asyncio.to_thread(_with_records, folder, config, dmk, lambda journal: work(journal, clock.now()))


async def rebuild_views(folder: Path, config: NodeConfig, opener: tuple[str, str]) -> int:
    """Compute patients and visits anew from the entries; how many visits there are. ``opener`` as above."""
    dmk = await _open(folder, Slots(folder), opener)
    return await asyncio.to_thread(_with_records, folder, config, dmk, Journal.rebuild)


async def _open(folder: Path, slots: Slots, opener: tuple[str, str]) -> bytes:
    """The DMK, by a recovery code with an empty PIN, or a badge with its PIN."""
    known = await asyncio.to_thread(slots.load)
    code, pin = opener
    if not pin:
        return await open_with_recovery(known, code)
    attempts = await asyncio.to_thread(Attempts, folder, time.monotonic)
    return await open_with_badge(known, attempts, code, pin)


def _with_records(folder: Path, config: NodeConfig, dmk: bytes, work: Callable[[Journal], T]) -> T:
    """Open the records beside a node that may be serving, do one thing, and close them again."""
    outbox = OutboxDb(folder)
    try:
        journal = Journal(folder, dmk, config, outbox, randomness.token_bytes(seal.RUN_BYTES))
        try:
            return work(journal)
        finally:
            journal.close()
    finally:
        outbox.close()
