"""A node with many patients: made up of syllables, in both scripts, each with a closed visit, one in five sent on.

Written through the journal as the node itself writes, a thousand events to a transaction, and sealed and
acknowledged as a hub would have, so that what is measured afterwards is a node in use and not a backlog.
"""

import asyncio
import random
import secrets
from pathlib import Path

from edge.model import events as ev
from edge.model.clock import Instant, day_of
from edge.model.ids import ID_BYTES, make_id
from edge.model.records import Age, Gender, Person, Referral, VisitState
from edge.node.config import load_config
from edge.node.journal import Journal
from edge.node.link import new_endpoint
from edge.node.outbox import OutboxDb
from edge.node.unlock import Attempts, Slots, open_with_badge
from edge.sync.link import BundleAcked

AT_ONCE = 1_000
_SYLLABLES, _HINDI = (
    tuple(text.split())
    for text in (
        "ra ma su ni ta de vi ka la sha pu ja go pa ki mi na bi ndu ga ya tri chan dri xmi bha va ri ku man jha ji sar",
        "रा म सु नी ता दे वी क ला श पू जा गो पा कि शो मी ना बि न्दु ग या त्री चं द्रि का क्ष्मी भा वा री कु मन झा जी तें वि",
    )
)
_LAST = ("Devi", "Kumari", "Yadav", "Paswan", "Mahto", "देवी", "कुमारी", "यादव", "पासवान", "महतो", "Khatoon", "खातून")


def _name(rng: random.Random, syllables: tuple[str, ...]) -> str:
    return "".join(rng.choice(syllables) for _ in range(rng.randint(2, 4))).capitalize()


def person(rng: random.Random, villages: list[str]) -> Person:
    """Somebody made up."""
    syllables = rng.choice((_SYLLABLES, _HINDI))
    return Person(
        f"{_name(rng, syllables)} {rng.choice(_LAST)}",
        rng.choice((Gender.FEMALE, Gender.MALE)),
        rng.choice(villages),
        Age(rng.randint(1, 90)),
        relative_name=_name(rng, syllables),
        mobile=f"5550{rng.randrange(10**6):06d}",
    )


def _events(rng: random.Random, patient: int, site: str, day: int, villages: list[str]) -> list[ev.Event]:
    patient_id, visit_id = (make_id(rng.randbytes(ID_BYTES)) for _ in range(2))
    sent = [ev.Referred(visit_id, Referral("phc", "week"), "own")] if patient % 5 == 0 else []
    return [
        ev.PatientRegistered(patient_id, f"{site}-{patient:06d}", person(rng, villages)),
        ev.VisitOpened(visit_id, patient_id, rng.randbytes(16)),
        ev.TokenIssued(visit_id, f"{site}-{patient % 40 + 1:03d}", day, patient % 40 + 1),
        *sent,
        ev.VisitClosed(visit_id, VisitState.COMPLETED, True),
    ]


def _fill(folder: Path, dmk: bytes, patients: int, seed: int, now_ms: int) -> None:
    config, run = load_config(folder), secrets.token_bytes(8)
    endpoint = new_endpoint(config, run)
    outbox = OutboxDb(folder)
    journal = Journal(folder, dmk, config, outbox, run)
    rng = random.Random(seed)
    villages = [_name(rng, _SYLLABLES) + "pur" for _ in range(40)]
    start_ms = now_ms - patients * 600_000
    waiting: list[ev.Event] = []
    for number in range(1, patients + 1):
        at_ms = start_ms + number * 600_000
        waiting += _events(rng, number, config.site.code, day_of(at_ms), villages)
        if len(waiting) >= AT_ONCE or number == patients:
            journal.record(waiting, "", Instant(at_ms, True))
            waiting = []
    for piece in journal.pending():
        sent = journal.sealed(piece, endpoint.seal_packed(endpoint.pack(piece.payload)))
        journal.acknowledged([BundleAcked(sent.ref.bundle_id, 2)], now_ms)
    journal.close()
    outbox.close()


async def _dmk(folder: Path, badge: str, pin: str) -> bytes:
    return await open_with_badge(Slots(folder).load(), Attempts(folder, lambda: 0.0), badge, pin)


def fill(folder: Path, badge: str, pin: str, patients: int, seed: int, now_ms: int) -> None:
    """Write so many patients into the records of a node that is not running."""
    _fill(folder, asyncio.run(_dmk(folder, badge, pin)), patients, seed, now_ms)
