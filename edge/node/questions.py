"""Guided questions for a complaint, from a file that a clinician has reviewed: none is shipped.

The facts behind this program hold no such questions, so none is made up here. ``questions.json`` in the data folder is
shown when it names who reviewed it and when, and every complaint in it is one of the list; else nothing of it is.
Answers become lines of the complaint's notes, in the reviewed words; no rule reads them.
"""

import logging
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from edge.model.clock import iso_day
from edge.model.records import Code, ShortText
from edge.model.reference import reference
from edge.web.logs import say

logger = logging.getLogger("edge.node")

FILE = "questions.json"
LARGEST_BYTES = 200_000
MOST = 8
"""Questions a complaint: more are not asked of anybody who waits."""
Words = Annotated[ShortText, Meta(min_length=1)]


class Option(Struct, frozen=True, forbid_unknown_fields=True):
    """One answer to tap."""

    id: Code
    hi: Words
    en: Words


class Question(Struct, frozen=True, forbid_unknown_fields=True):
    """One question in both languages."""

    id: Code
    hi: Words
    en: Words
    kind: Annotated[str, Meta(pattern="^(yes_no|choice|number)$(?!\\n)")]
    options: Annotated[tuple[Option, ...], Meta(max_length=8)] = ()
    """For ``choice``."""
    unit: ShortText = ""
    """For ``number``."""


class Guided(Struct, frozen=True, forbid_unknown_fields=True):
    """The file, and what the tablet is told."""

    version: Words
    reviewed_by: Words
    """The clinician who answers for the questions, with the registration number."""
    reviewed_on: str
    """YYYY-MM-DD."""
    complaints: dict[Code, Annotated[tuple[Question, ...], Meta(min_length=1, max_length=MOST)]] = {}


NONE = Guided("none", "nobody", "")


def load(folder: Path) -> Guided:
    """The reviewed questions of a data folder; :data:`NONE` without them. Blocking."""
    found, why = read(folder)
    if why:
        say(logger, "questions_refused", logging.WARNING, why=why)
    return found


def read(folder: Path) -> tuple[Guided, str]:
    """The same, with why a file that lies there is not shown: a code of docs/runbooks/technician.md. Blocking."""
    path = folder / FILE
    try:
        if path.stat().st_size > LARGEST_BYTES:
            return NONE, "too_large"
        found = msgspec.json.decode(path.read_bytes(), type=Guided)
    except FileNotFoundError:
        return NONE, ""
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return NONE, "unreadable"
    why = wrong(found)
    return (NONE, why) if why else (found, "")


def wrong(guided: Guided) -> str:
    """Why a file is not shown, as a code; empty when it is."""
    if iso_day(guided.reviewed_on) is None:
        return "review_day"
    known = {one.id for one in reference().complaints}
    if not guided.complaints.keys() <= known:
        return "unknown_complaint"
    for questions in guided.complaints.values():
        if len({one.id for one in questions}) < len(questions) or len({one.hi for one in questions}) < len(questions):
            return "asked_twice"
        if any((one.kind == "choice") != bool(one.options) for one in questions):
            return "options"
    return ""
