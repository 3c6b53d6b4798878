"""Made-up whole text consultations as a node records them: the events from registration to the token.

Draws from the reference lists of ``edge.model.data`` and from the words it is given. ``TRAINING`` words
train the dictionary; ``CORPUS`` words, which share nothing with them, make the fixed corpus under
``tests/bench/data``, so that no byte count flatters itself. Deterministic. Nobody here is real: mobile numbers
begin with 5550. Knows no link.
"""

import random
import sys
from pathlib import Path

import msgspec
from msgspec import Struct

from edge.model import events as ev
from edge.model.clock import next_stamp
from edge.model.ids import ID_BYTES, make_id
from edge.model.records import Age, Allergies, Complaint, Gender, History, Person, Reading, Vitals
from edge.model.reference import reference
from edge.model.triage import triage

CORPUS_FILE = Path(__file__).parent / "data" / "consultations.json"
CONSULTATIONS = 50
START_MS = 1_795_000_000_000
DAY_MS = 86_400_000


class Words(Struct, frozen=True):
    """Free wording: what a dictionary cannot know when it was not trained on it."""

    given: tuple[str, ...]
    family: tuple[str, ...]
    villages: tuple[str, ...]
    notes: tuple[str, ...]
    site: str
    actor: str


TRAINING = Words(
    ("अनीता", "रेखा", "सीमा", "मोहन", "राजू", "विकास", "Kavita", "Imran", "Suresh", "Meena"),
    ("कुमारी", "देवी", "कुमार", "प्रसाद", "Demo", "Namuna", "Sample"),
    ("नमूनापुर", "कल्पनापुर", "परीक्षा टोला", "उदाहरण नगर", "नया डेमो टोला"),
    ("", "", "रात में ज़्यादा", "took paracetamol at home", "खाना कम खा रहे हैं", "no relief from home remedies"),
    "DM01",
    "anm1",
)
CORPUS = Words(
    ("पुष्पा", "किरण", "बबलू", "शकीला", "गोविंद", "लालती", "Farida", "Bhola", "Rukmini", "Dinesh", "Jhunjhun", "Tetri"),
    ("यादव", "महतो", "खातून", "पासवान", "Ansari", "Murmu", "Besra", "ठाकुर"),
    ("पिपरा घाट", "Chandanpur Tok", "बरगद टोली", "Lohar Basti", "नदी पार", "Semra Khurd", "महुआ चौक"),
    (
        "",
        "",
        "",
        "तीन दिन से काम पर नहीं गए, पैर में सूजन भी बताई",
        "Works at a brick kiln, worse in the evenings, drinks well water",
        "पड़ोस के दो बच्चों को भी यही तकलीफ़ है",
        "Bought two white tablets from the village shop, names not known",
        "सुबह उठते ही चक्कर, बैठने पर ठीक हो जाता है",
    ),
    "BR27",
    "n.kumari",
)
_RANGES = {
    "sbp": (96, 164),
    "dbp": (60, 100),
    "hr": (62, 108),
    "rr": (14, 24),
    "temp_c": (36.4, 39.2),
    "spo2": (94, 100),
    "weight_kg": (38, 78),
}


def consultation(rng: random.Random, words: Words, number: int) -> list[ev.Event]:
    """Everything of one visit up to its token, in the order in which a nurse enters it."""
    lists = reference()
    patient, visit = make_id(rng.randbytes(ID_BYTES)), make_id(rng.randbytes(ID_BYTES))
    gender = rng.choice((Gender.MALE, Gender.FEMALE, Gender.FEMALE))
    age = rng.randrange(18, 76)
    person = Person(
        f"{rng.choice(words.given)} {rng.choice(words.family)}",
        gender,
        rng.choice(words.villages),
        Age(age),
        relative_name=rng.choice(words.given),
        mobile=f"5550{rng.randrange(10**6):06d}" if rng.random() < 0.7 else "",
    )
    codes = [item.id for item in lists.complaints if item.id != "other"]
    complaints = tuple(
        Complaint(code, "", rng.randrange(1, 8), rng.choice(("day", "day", "day", "week")))
        for code in rng.sample(codes, rng.choice((1, 1, 2, 2, 3)))
    )
    conditions = tuple(item.id for item in lists.conditions if rng.random() < 0.06)
    asked = False if gender is Gender.FEMALE else None
    history = History(conditions, pregnant=asked, post_partum=asked)
    readings = tuple(
        Reading(
            vital, round(rng.uniform(low, high), 1) if vital == "temp_c" else float(rng.randrange(int(low), int(high)))
        )
        for vital, (low, high) in _RANGES.items()
    )
    vitals = Vitals(readings, "A", False)
    signs = tuple(sign.id for sign in lists.signs)
    present = tuple(sign for sign in signs if rng.random() < 0.004)
    absent = tuple(sign for sign in signs if sign not in present)
    days = age * 365
    early = triage(days, gender, history, complaints, Vitals(), present, absent)
    late = triage(days, gender, history, complaints, vitals, present, absent)
    serial = number % 60 + 1
    return [
        ev.PatientRegistered(patient, f"{words.site[:2]}-{words.site}-{number + 1:06d}", person),
        ev.VisitOpened(visit, patient, rng.randbytes(16)),
        ev.ConsentRecorded(visit, "teleconsultation", True, "spoken", "hi", "1"),
        ev.ComplaintsRecorded(visit, complaints, rng.choice(words.notes)),
        ev.HistoryRecorded(visit, history),
        ev.AllergiesRecorded(visit, Allergies(True)),
        ev.SignsAnswered(visit, present, absent),
        ev.Triaged(visit, early),
        ev.VitalsRecorded(visit, vitals),
        ev.Triaged(visit, late),
        ev.TokenIssued(visit, f"{words.site}-{serial:03d}", START_MS // DAY_MS + number // 60, serial),
    ]


def raws(events: list[ev.Event], rng: random.Random, number: int, actor: str) -> tuple[bytes, ...]:
    """The entries' raw bytes, stamped as a nurse's work of some minutes."""
    stamp, wall_ms = 0, START_MS + number * 420_000 + rng.randrange(60_000)
    made = []
    for event in events:
        wall_ms += rng.randrange(4_000, 40_000)
        stamp = next_stamp(stamp, wall_ms)
        made.append(msgspec.msgpack.encode(ev.entry_of(event, stamp, actor)))
    return tuple(made)


class Consultation(Struct, frozen=True):
    """One of the corpus: entries as JSON for people and peers, and the raw bytes of the same entries."""

    entries: list[tuple[int, int, str, msgspec.Raw]]
    """Kind, stamp, actor, event as an object."""
    raw: tuple[bytes, ...]


def make_corpus() -> list[Consultation]:
    """The fixed corpus anew; the file holds exactly this."""
    made = []
    for number in range(CONSULTATIONS):
        rng = random.Random(f"corpus {number}")
        events = consultation(rng, CORPUS, number)
        raw = raws(events, rng, number, CORPUS.actor)
        entries = []
        for event, one in zip(events, raw, strict=True):
            entry = msgspec.msgpack.decode(one, type=ev.Entry)
            named = {name: getattr(event, name) for name in event.__struct_fields__}
            entries.append((entry.kind, entry.stamp, entry.actor, msgspec.Raw(msgspec.json.encode(named))))
        made.append(Consultation(entries, raw))
    return made


def load_corpus() -> list[Consultation]:
    """The fixed corpus. Raises OSError, msgspec.ValidationError."""
    return msgspec.json.decode(CORPUS_FILE.read_bytes(), type=list[Consultation])


def as_json(corpus: list[Consultation]) -> bytes:
    """What a peer sends: the entries as JSON, without our raw bytes."""
    return msgspec.json.encode([one.entries for one in corpus])


if __name__ == "__main__":
    CORPUS_FILE.write_bytes(msgspec.json.encode(make_corpus()) + b"\n")
    sys.stdout.write(f"{CORPUS_FILE.name}: {CORPUS_FILE.stat().st_size} bytes\n")
