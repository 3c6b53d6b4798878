"""Spoken prompts: what is read out to a patient, as files that a person can record anew.

``<data>/voice/<prompt>.<language>.wav`` (or ``.mp3``, ``.ogg``) is a recording by a person and goes first;
``<prompt>.<language>.synthetic.wav`` is a placeholder that espeak-ng made, and is said to be one. A prompt is
named by the version of its wording (``tele-1``), so that new words never sound in old recordings. What a doctor wrote
for one patient is read out too, by espeak-ng through pipes, and kept nowhere. Blocking.
"""

import logging
import re
import shutil
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct

from edge.model.reference import reference
from edge.web.logs import say

logger = logging.getLogger("edge.node")

FOLDER = "voice"
FLUENT = Path(__file__).parents[1] / "ui" / "fluent"
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


AID = "aid-"
AID_VERSION = 1
"""One higher when the words of first aid change, so that new words never sound in old recordings."""


def aid_phrases() -> list[Phrase]:
    """First aid in the words of the page, a line each."""
    hindi, english = (_lines_of_page(language) for language in ("hi", "en"))
    return [Phrase(f"{AID}{AID_VERSION}-{number}", words, english[number]) for number, words in hindi.items()]


def _lines_of_page(language: str) -> dict[str, str]:
    page = (FLUENT / f"{language}.ftl").read_text(encoding="utf-8")
    return dict(re.findall(r"^emergency-aid-([0-9]+) = (.+)$", page, re.MULTILINE))


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
    command = [program, "-v", _voice(language), "-s", str(WORDS_A_MINUTE), "-w", str(part)]
    try:
        subprocess.run(command, input=text.encode(), check=True, timeout=TIMEOUT_S, capture_output=True)
        part.replace(path)
    except (OSError, subprocess.SubprocessError):
        part.unlink(missing_ok=True)
        return False
    return True


WORDS_MAX = 400
"""Letters that are read out at once: half a minute, which is 1.3 MB of sound. A page sends a longer text in pieces."""
WAITING_MAX = 4
"""So many tablets wait for the one voice."""
_NOT_SPOKEN = re.compile(r"[^A-Za-z0-9\u0900-\u097f .,:;!?()/%+\n-]+")
_PIPE = subprocess.PIPE
_DATA_AT = 44
"""Where the sound begins in espeak-ng's WAV (RIFF, a 16 byte ``fmt `` and ``data``)."""


def speaks() -> bool:
    """Whether this node can read out."""
    return shutil.which("espeak-ng") is not None


def sound_of(language: str, text: str) -> bytes | None:
    """A WAV of ``text``, or None when nothing here can say it. Through pipes only: the words may be a patient's."""
    program = shutil.which("espeak-ng")
    if program is None:
        return None
    command = [program, "-v", _voice(language), "-s", str(WORDS_A_MINUTE), "--stdout"]
    # [[ would begin phonemes, and what is no letter of these scripts is spelled out, number by number.
    words = _NOT_SPOKEN.sub(" ", text[:WORDS_MAX]).encode()
    try:
        with subprocess.Popen(command, stdin=_PIPE, stdout=_PIPE, stderr=subprocess.DEVNULL) as speaker:
            assert speaker.stdin is not None and speaker.stdout is not None
            alarm = threading.Timer(TIMEOUT_S, speaker.kill)
            alarm.start()
            try:
                speaker.stdin.write(words)
                speaker.stdin.close()
                made = speaker.stdout.read(LARGEST_BYTES)
            finally:
                alarm.cancel()
                speaker.kill()  # of a sound that would never end, the beginning is heard
    except OSError:
        return None
    if len(made) <= _DATA_AT or made[:4] != b"RIFF" or made[36:40] != b"data":
        return None
    # Into a pipe it writes no lengths: a browser would not know when the sound ends.
    lengths = [(len(made) - at - 4).to_bytes(4, "little") for at in (4, 40)]
    return made[:4] + lengths[0] + made[8:40] + lengths[1] + made[_DATA_AT:]


def _voice(language: str) -> str:
    return "en-gb" if language == "en" else language


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
