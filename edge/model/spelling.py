"""How a name sounds, whichever way it is written: सत्यभामा, Satyabhama and satyabama get one key.

Meant for search, so it may call two names alike that are not, and must seldom part two spellings of
one. Keys keep the order of the sounds, so the key of a name's beginning begins the name's key, and a
search can follow the typing. Rules are our own, from how names of Bihar are written in both scripts
(docs/decisions/0025-names-by-their-sound.md). Pure; knows Devanagari and Latin and leaves other
scripts as they are.
"""

import re
import unicodedata
from functools import lru_cache

VERSION = 1
"""Of the rules; keys that were kept under another number are made anew."""

_CONSONANTS = dict(
    zip(
        "कखगघङचछजझञटठडढणतथदधनपफबभमयरलवशषसहळऩऱऴ",
        "kkggnccjjnttddnttddnppbbmyrlbssshlnrl",
        strict=True,
    )
)
"""Breath and place of the tongue are written in too many ways to tell people apart: kh is k, ण is n, w and v are b."""
_VOWELS = {
    "अ": "a",
    "आ": "a",
    "इ": "i",
    "ई": "i",
    "उ": "u",
    "ऊ": "u",
    "ऋ": "ri",
    "ए": "i",
    "ऐ": "ai",
    "ओ": "u",
    "औ": "au",
}
_VOWELS |= {"ऍ": "i", "ऎ": "i", "ऑ": "u", "ऒ": "u"}
_SIGNS = {"ा": "a", "ि": "i", "ी": "i", "ु": "u", "ू": "u", "ृ": "ri", "े": "i", "ै": "ai", "ो": "u", "ौ": "au"}
_SIGNS |= {"ॅ": "i", "ॆ": "i", "ॉ": "u", "ॊ": "u"}
_VIRAMA, _NUKTA, _ANUSVARA, _CANDRABINDU = "\u094d", "\u093c", "\u0902", "\u0901"
_FLAPPED, _NASAL = "R", "N"
"""ड़ and ढ़: some write r, others d. A candrabindu: some write n, others nothing."""

_LATIN = (
    *(
        ("ksh", "ks"),
        ("x", "ks"),
        ("chh", "c"),
        ("ch", "c"),
        ("kh", "k"),
        ("gh", "g"),
        ("jh", "j"),
        ("zh", "j"),
        ("th", "t"),
    ),
    *(("dh", "d"), ("ph", "p"), ("bh", "b"), ("sh", "s"), ("f", "p"), ("v", "b"), ("w", "b")),
    *(("e", "i"), ("o", "u")),
)
_LATIN_RULE = re.compile("|".join(written for written, _ in _LATIN))
_LATIN_SOUND = dict(_LATIN)

_ALSO = (
    (re.compile(r"m(?=[bp])"), "n"),  # Sampat, Sanpat
    (re.compile(r"ks"), "c"),  # Lakshmi, Lachhmi
    (re.compile(r"ks"), "k"),  # Lakshmi, Lakhmi
    (re.compile(r"nh"), "ng"),  # सिंह, Singh
    (re.compile(r"rh"), "r"),  # Barhai, बढ़ई
    (re.compile(r"jn"), "gi"),  # ज्ञान, Jnan, Gyan
    (re.compile(r"ih"), "h"),  # Rehman, Rahman
    (re.compile(r"(?<=.)id$"), "d"),  # Ahmed, Ahmad
    (re.compile(r"(?<=..)[iu](?=r)"), ""),  # Gyanender, Gyanendra
    (re.compile(r"iu$"), "ib"),  # Baldeo, Baldev
    (re.compile(r"^au"), "u"),  # Aurangzeb, Orangzeb
)
"""Where one spelling may sound in two ways, a name has both keys."""
_MOST_KEYS = 6


def words_of(text: str) -> list[str]:
    """The words of a text in small letters: runs of letters with their signs, digits left out."""
    spaced = "".join(char if unicodedata.category(char)[0] in "LM" else " " for char in _plain(text))
    return spaced.split()


def _plain(text: str) -> str:
    """Small letters; accents of Latin letters taken off, Devanagari letters parted from their dots."""
    parted = unicodedata.normalize("NFD", text.replace("'", "").replace("’", "").casefold())
    return "".join(char for char in parted if not "\u0300" <= char <= "\u036f" and char not in "\u200c\u200d")


@lru_cache(maxsize=4096)
def sound_keys(word: str) -> tuple[str, ...]:
    """The keys of one word as :func:`words_of` gives it, the plainest first; never empty for a word with letters."""
    if all("a" <= char <= "z" for char in word):
        sounds = _latin_sounds(word)
    elif all("\u0900" <= char <= "\u097f" for char in word):
        sounds = _devanagari_sounds(word)
    else:
        return (word,)
    key = _joined(sounds)
    found = [key.replace(_FLAPPED, "r").replace(_NASAL, "n")]
    if _FLAPPED in key or _NASAL in key:
        found.append(key.replace(_FLAPPED, "d").replace(_NASAL, ""))
    for pattern, other in _ALSO:
        found += [pattern.sub(other, one) for one in found if pattern.search(one)]
    return tuple(dict.fromkeys(_squeezed(one) or word for one in found))[:_MOST_KEYS]


def _latin_sounds(word: str) -> str:
    """Sounds of a Latin word; a is still there."""
    text = re.sub(r"ow(?![aeiouy])", "u", word.replace("q", "k").replace("z", "j"))  # Chowdhury, Chaudhary
    text = re.sub(r"c(?=[eiy])", "s", text)
    text = _LATIN_RULE.sub(lambda found: _LATIN_SOUND[found[0]], text)
    return _with_y(text)


def _devanagari_sounds(word: str) -> str:
    """Sounds of a Devanagari word, with the a that is not written."""
    out: list[str] = []
    silent = True  # no consonant waits for its a
    for place, char in enumerate(word):
        if char in _CONSONANTS:
            out.append("" if silent else "a")
            out.append(_CONSONANTS[char])
            silent = False
            continue
        if char == _NUKTA:
            if place and word[place - 1] in "डढ":
                out[-1] = _FLAPPED
            continue
        if char == _VIRAMA:
            silent = True
            continue
        if char in _SIGNS or char in _VOWELS:
            out.append("" if silent or char in _SIGNS else "a")
            out.append(_SIGNS.get(char) or _VOWELS[char])
            silent = True
        elif char in (_ANUSVARA, _CANDRABINDU):
            out.append("" if silent else "a")
            labial = word[place + 1 : place + 2] in tuple("पफबभ")
            out.append("m" if labial else _NASAL if char == _CANDRABINDU else "n")
            silent = True
    return _with_y("".join(out))


def _with_y(sounds: str) -> str:
    """y at the beginning is said as j in Bihar (Yadav, Jadav), and elsewhere not told from i."""
    return ("j" + sounds[1:] if sounds.startswith("y") else sounds).replace("y", "i")


def _joined(sounds: str) -> str:
    """Doubled sounds once, then every a left out but the first."""
    once = re.sub(r"([^a])\1+", r"\1", sounds)
    return _squeezed(once[:1] + once[1:].replace("a", ""))


def _squeezed(key: str) -> str:
    """Vowels that came to stand beside their like."""
    return re.sub(r"([iu])\1+", r"\1", key)
