"""What has to be written after a breach, and to whom, with what the hub knows filled in (security.md B1 to B4, R2).

The audit log says whose records were opened; everything that only a person knows is left as a line to be filled in. No
patient is named in any of them. Not legal advice: the words are ours and were read by no counsel.
"""

import datetime
import io
import zipfile
from enum import StrEnum
from typing import Annotated, Final

from msgspec import Meta, Struct
from sqlalchemy import Connection, select

from edge.model.clock import IST_OFFSET_S, clock_text, day_of, day_text
from edge.model.errors import BadInput

from . import affected, audit
from .affected import Affected
from .store.dialect import Row, put_row
from .store.schema import officers

HOUR_MS: Final = 3_600_000
CERT_IN_MS: Final = 6 * HOUR_MS
"""CERT-In directions: from noticing (security.md B1)."""
BOARD_MS: Final = 72 * HOUR_MS
"""DPDP rules, r.7(2) (security.md B3)."""
BLANK: Final = "________________________"
Line = Annotated[str, Meta(max_length=120, pattern=r"^[^\x00-\x1f\x7f]*$(?!\n)")]


class Role(StrEnum):
    """For what somebody is named."""

    GRIEVANCE = "grievance"
    """Whom patients complain to; shown on their page."""
    INCIDENT = "incident"
    """Point of contact for authorities."""


class Officer(Struct, frozen=True, forbid_unknown_fields=True):
    """Somebody who is named with a way to be reached."""

    name: Annotated[str, Meta(min_length=1, max_length=120, pattern=r"^[^\x00-\x1f\x7f]*\S[^\x00-\x1f\x7f]*$(?!\n)")]
    phone: Line = ""
    email: Line = ""


def put_officer(connection: Connection, role: Role, officer: Officer, now_ms: int) -> None:
    """Name somebody; who was named before is not any more."""
    row: Row = {"role": role.value, "name": officer.name, "phone": officer.phone, "email": officer.email}
    put_row(connection, officers, row)
    audit.record(connection, now_ms, "", "officer_named", role.value)


def load_officer(connection: Connection, role: Role) -> Officer | None:
    """Who is named; None while nobody is."""
    row = connection.execute(select(officers).where(officers.c.role == role.value)).first()
    return None if row is None else Officer(row.name, row.phone, row.email)


def noticed(text: str) -> int:
    """Unix ms of YYYY-MM-DDTHH:MM in India. Raises BadInput."""
    try:
        found = datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M").replace(tzinfo=datetime.UTC)
    except ValueError:
        raise BadInput("When it was noticed looks like 2026-11-26T14:30.", field="noticed") from None
    return int(found.timestamp() - IST_OFFSET_S) * 1000


def _at(ms: int) -> str:
    return f"{day_text(day_of(ms))} {clock_text(ms)} IST"


def _who(officer: Officer | None) -> str:
    if officer is None:
        return f"{BLANK} (hub officer)"
    return ", ".join(part for part in (officer.name, officer.phone, officer.email) if part)


def _extent(found: Affected) -> str:
    places = sorted({f"{one.district or BLANK} / {one.site_code}" for one in found.people})
    whole = "whole" if not found.audit_broken_at else f"BROKEN at line {found.audit_broken_at}: more may be affected"
    listed = sum(not one.opened for one in found.people)
    return (
        f"{len(found.people)} patients, {found.reads} readings of records, {found.at_nodes} of them at centres (by "
        f"what has arrived of their logs); {listed} of the patients stood in a list only (name, age, complaint); audit "
        f"log {whole}.\n"
        f"Lists of expected people opened at centres, of which the logs do not say whom they showed: {found.unsaid}\n"
        f"Visits that were read and are not here any more (erased by law, or never arrived): {found.unknown}\n"
        f"Places: {'; '.join(places) or '-'}"
    )


def reports(
    found: Affected, span: str, noticed_ms: int, grievance: Officer | None, incident: Officer | None
) -> dict[str, str]:
    """File name → text. ``span``: the days that were looked at."""
    facts = f"Noticed: {_at(noticed_ms)}\nDays looked at: {span}\nExtent: {_extent(found)}\n"
    contact = f"Point of contact: {_who(incident)}\nOrganisation: {BLANK}\n"
    return {
        "1-cert-in-6h.txt": f"""TO CERT-In (incident@cert-in.org.in)
INCIDENT REPORT - to be sent by {_at(noticed_ms + CERT_IN_MS)} (6 hours after noticing)

{contact}{facts}
Kind of incident: {BLANK}
Systems affected (names, addresses, versions): {BLANK}
What was seen: {BLANK}
What was done so far: {BLANK}
Logs kept: yes / no, where: {BLANK}
""",
        "2-board-at-once.txt": f"""TO THE DATA PROTECTION BOARD
FIRST NOTICE OF A PERSONAL DATA BREACH - to be sent without delay

{contact}{facts}
Description and nature: {BLANK}
Time and place of the breach: {BLANK}
Likely impact: {BLANK}
""",
        "3-board-72h.txt": f"""TO THE DATA PROTECTION BOARD
DETAILED REPORT OF A PERSONAL DATA BREACH - to be sent by {_at(noticed_ms + BOARD_MS)} (72 hours after noticing)

{contact}{facts}
Facts, circumstances and reasons: {BLANK}
Measures taken or proposed against the risk: {BLANK}
Findings about the person who caused it: {BLANK}
Measures so that it does not happen again: {BLANK}
Notices to affected persons: {BLANK} of {len(found.people)} given; how: {BLANK}
""",
        "4-persons-hi.txt": f"""आपकी जानकारी के बारे में सूचना (इसे पढ़कर सुनाएँ, जो पढ़ न सकें)

क्या हुआ: {BLANK}
कब और कहाँ: {BLANK}
कौन सी जानकारी: {BLANK}
आपके लिए इसका क्या मतलब हो सकता है: {BLANK}
हमने क्या किया: {BLANK}
आप क्या कर सकते हैं: {BLANK}
किससे पूछें: {_who(grievance)}
""",
        "4-persons-en.txt": f"""NOTICE ABOUT YOUR INFORMATION (to be read out to whoever does not read) - without delay

What happened: {BLANK}
When and where: {BLANK}
Which information: {BLANK}
What it may mean for you: {BLANK}
What we did: {BLANK}
What you can do: {BLANK}
Whom to ask: {_who(grievance)}
""",
    }


CSV_NAME: Final = "5-affected.csv"
_ZIP_TIME: Final = (1980, 1, 1, 0, 0, 0)


def files(connection: Connection, found: Affected, span: str, noticed_ms: int) -> dict[str, str]:
    """All of :func:`reports`, with whoever is named, and the list of who was affected: ids and centres, no names."""
    named = (load_officer(connection, role) for role in (Role.GRIEVANCE, Role.INCIDENT))
    out = io.StringIO()
    affected.write_csv(found, out)
    return reports(found, span, noticed_ms, *named) | {CSV_NAME: out.getvalue()}


def zipped(texts: dict[str, str]) -> bytes:
    """The same as one file."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made:
        for name, text in texts.items():
            made.writestr(zipfile.ZipInfo(name, _ZIP_TIME), text, zipfile.ZIP_DEFLATED)
    return out.getvalue()
