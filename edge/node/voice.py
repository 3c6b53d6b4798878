"""Spoken prompts: what is read out to a patient, as files that a person can record anew.

``<data>/voice/<prompt>.<language>.wav`` (or ``.mp3``, ``.ogg``) is a recording by a person and goes first;
``<prompt>.<language>.synthetic.wav`` is a placeholder that espeak-ng made, and is said to be one. A prompt is
named by the version of its wording (``tele-1``), so that new words never sound in old recordings. Blocking.
"""

import logging
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct

from edge.model.reference import reference
from edge.web.logs import say

logger = logging.getLogger("edge.node")

FOLDER = "voice"
TYPES = {".wav": "audio/wav", ".mp3": "audio/mpeg", ".ogg": "audio/ogg"}
_NAME = re.compile(r"([a-z0-9-]{1,40})\.([a-z]{2,3})(\.synthetic)?\.(?:wav|mp3|ogg)")
WORDS_A_MINUTE = 130
"""Slow, for somebody who hears it for the first time."""
TIMEOUT_S = 20.0
LARGEST_BYTES = 4_000_000
"""A recording that is larger is left out: a minute of plain sound is 2.6 MB."""


class Prompt(Struct, frozen=True):
    """A prompt that can be played."""

    prompt_id: str
    language: str
    path: str
    synthetic: bool
    """Made by a machine; to be recorded anew by a person."""


class Phrase(Struct, frozen=True):
    """Words that a machine can read out until a person has recorded them."""

    prompt_id: str
    hi: str
    en: str


def statements() -> list[Phrase]:
    """The consents, named by the version of their wording."""
    return [Phrase(one.version, one.hi, one.en) for one in reference().consent_statements]


BOARD = "board-"
_DIGITS = ("शून्य", "एक", "दो", "तीन", "चार", "पाँच", "छह", "सात", "आठ", "नौ")


def board_phrases() -> list[Phrase]:
    """What the public board says when it calls a token; the number digit by digit, so that twelve recordings do."""
    english = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
    digits = [Phrase(f"{BOARD}digit-{n}", hi, en) for n, (hi, en) in enumerate(zip(_DIGITS, english, strict=True))]
    token = Phrase(f"{BOARD}token", "टोकन नंबर", "Token number")
    return [token, *digits, Phrase(f"{BOARD}come", "कृपया अंदर आइए", "please come in")]


def make_missing(folder: Path, wanted: Sequence[Phrase]) -> int:
    """Make placeholders in ``folder`` for phrases that have no file; how many. None without espeak-ng."""
    program = shutil.which("espeak-ng")
    if program is None:
        return 0
    folder.mkdir(mode=0o700, exist_ok=True)
    known = {(one.prompt_id, one.language) for one in prompts(folder)}
    made = 0
    for phrase in wanted:
        for language, text in (("hi", phrase.hi), ("en", phrase.en)):
            if (phrase.prompt_id, language) not in known:
                made += _speak(program, language, text, folder / f"{phrase.prompt_id}.{language}.synthetic.wav")
    if made:
        say(logger, "prompts_made", made=made)
    return made


def _speak(program: str, language: str, text: str, path: Path) -> bool:
    part = path.with_suffix(".part")
    voice = "en-gb" if language == "en" else language
    command = [program, "-v", voice, "-s", str(WORDS_A_MINUTE), "-w", str(part)]
    try:
        subprocess.run(command, input=text.encode(), check=True, timeout=TIMEOUT_S, capture_output=True)
        part.replace(path)
    except (OSError, subprocess.SubprocessError):
        part.unlink(missing_ok=True)
        return False
    return True


def prompts(folder: Path, address: str = "/api/prompts") -> list[Prompt]:
    """What can be played: for each prompt and language the recording, else the placeholder."""
    found: dict[tuple[str, str], Prompt] = {}
    for path in sorted(folder.glob("*")) if folder.is_dir() else []:
        name = _NAME.fullmatch(path.name)
        if name is None or not path.is_file() or not 0 < path.stat().st_size <= LARGEST_BYTES:
            continue
        prompt = Prompt(name[1], name[2], f"{address}/{path.name}", name[3] is not None)
        before = found.get((prompt.prompt_id, prompt.language))
        if before is None or before.synthetic:
            found[prompt.prompt_id, prompt.language] = prompt
    return list(found.values())


def read(folder: Path, file: str) -> tuple[bytes, str] | None:
    """(bytes, media type) of a prompt's file; None when there is none of that name."""
    if not _NAME.fullmatch(file):
        return None
    path = folder / file
    try:
        if path.stat().st_size > LARGEST_BYTES:
            return None
        return path.read_bytes(), TYPES[path.suffix]
    except OSError:
        return None
