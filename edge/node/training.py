"""A node for practice: made-up patients in a data folder of its own, under keys of its own, and no way to any hub.

Its records can never meet real ones: the folder was never enrolled and never can be, the hub's key in it is one whose
private half nobody has, no bearer is opened and no stick is served. Every page and every paper carries a mark.
"""

import asyncio
import secrets
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from msgspec import Struct

from edge.model import commands as cmd
from edge.model.clock import Instant
from edge.model.decide import Actor
from edge.model.errors import Refused
from edge.model.ids import ID_BYTES, make_id
from edge.model.records import Age, AgeUnit, Gender, Person, Role
from edge.sync import seal

from . import provision
from .config import NODE_FILE, NodeConfig, Site
from .journal import Journal, Secrets

PIN = "123456"
"""Of the practice badge. It opens nothing but made-up patients."""
CODE = "ABHYAS"
PEOPLE = (
    ("अभ्यास राधा देवी", Gender.FEMALE, Age(28), "अभ्यासपुर", "5550100001"),
    ("अभ्यास मोहन लाल", Gender.MALE, Age(61), "अभ्यासपुर", "5550100002"),
    ("अभ्यास सीता कुमारी", Gender.FEMALE, Age(17), "नमूना टोला", "5550100003"),
    ("अभ्यास छोटू", Gender.MALE, Age(8, AgeUnit.MONTHS), "नमूना टोला", "5550100003"),
    ("अभ्यास अब्दुल करीम", Gender.MALE, Age(45), "नमूना टोला", "5550100004"),
    ("अभ्यास गीता देवी", Gender.FEMALE, Age(34), "अभ्यासपुर", "5550100005"),
    ("अभ्यास सत्यनारायण विश्वकर्मा", Gender.MALE, Age(70), "अभ्यासपुर", "5550100006"),
    ("अभ्यास मुन्नी", Gender.FEMALE, Age(5), "अभ्यासपुर", "5550100002"),
)
"""Made up, and named so; numbers that no Indian telephone has."""


class Practice(Struct, frozen=True):
    """How to get into a practice node."""

    staff_id: str
    name: str
    badge: str
    pin: str


def identity() -> tuple[NodeConfig, Secrets]:
    """An identity of its own, and a hub that does not exist."""
    fresh = provision.new_secrets()
    root, sign = (Ed25519PrivateKey.generate().private_bytes_raw() for _ in range(2))
    config = NodeConfig(
        secrets.token_bytes(8),
        secrets.token_bytes(32),
        fresh.device,
        seal.verifier_of(fresh.log),
        seal.public_of(fresh.records),
        seal.verifier_of(root),
        seal.verifier_of(sign),
        (seal.public_of(X25519PrivateKey.generate().private_bytes_raw()),),
        bytes(32),
        "",
        0,
        0,
        Site(CODE, "अभ्यास केंद्र"),
        demo=True,
        training=True,
    )
    return config, Secrets(fresh.log, fresh.records)


async def make_training(folder: Path) -> Practice:
    """Make a practice node in an empty folder. Raises Refused (already_enrolled) for any other."""
    if await asyncio.to_thread((folder / NODE_FILE).exists):
        raise Refused("This folder holds a node already; practice needs a folder of its own.", code="already_enrolled")
    config, keys = identity()
    code = await provision.make_store(folder, config, keys)
    staff, badge = await provision.add_staff(folder, config, (code, ""), "Practice ANM", "अभ्यास दीदी", Role.ANM, PIN)
    actor = Actor(staff.staff_id, staff.role)

    def fill(journal: Journal, at: Instant) -> None:
        for name, gender, age, village, mobile in PEOPLE:
            person = Person(name, gender, village, age, mobile=mobile)
            journal.apply(cmd.RegisterPatient(_new_id(), _new_id(), person), actor, at)

    await provision.with_opened(folder, config, (code, ""), fill)
    return Practice(staff.staff_id, staff.name, badge, PIN)


def _new_id() -> str:
    return make_id(secrets.token_bytes(ID_BYTES))
