"""Whether a text names a substance that is prohibited by tele: in Latin or Devanagari letters, as people spell it.

Names are those of ``data/drug_lists.json`` (Schedule X, NDPS). A word is compared by its consonants as they sound, and
by its vowels where the consonants are few or where an ordinary word has the same ones. Pure.
"""

import re
import unicodedata
from functools import cache, lru_cache
from typing import Final

from msgspec import Struct

from .data import load

_SPELLINGS: Final = {"phenobarbitone": "phenobarbital", "amphetamines": "amphetamine"}
_LONG: Final = 4
"""So many consonants tell a substance by themselves; with fewer the vowels count too."""
_ORDINARY: Final = frozenset({"fntnl", "mtdn"})
"""Consonants of ordinary words (fontanelle, मतदान) that substances (fentanyl, methadone) have too."""
_CONSONANTS: Final = dict(
    zip(
        "कखगघङचछजझञटठडढणतथदधनपफबभमरलवशषसहळ",
        "kkggncc" + "jjnttddnttddnpfbbmrlvssshl",
        strict=True,
    )
)
_VOWELS: Final = dict.fromkeys("अआऑओऔउऊाॉोौुूैऐ", "a") | dict.fromkeys("इईएऍिीेॅऋृय", "i")
_LATIN: Final = (
    *((r"ph", "f"), (r"ch", "k"), (r"th", "t"), (r"c(?=[eiy])", "s"), (r"[cq]", "k"), (r"x", "ks"), (r"z", "j")),
    *((r"sh", "s"), (r"[bdgjkt]h", lambda m: m.group(0)[0]), (r"w", "v"), (r"[eiy]", "i"), (r"[ou]", "a")),
)
_VIRAMA: Final = "\u094d"
_IGNORED: Final = re.compile("[\u0300-\u036f\u200b-\u200d\u2060\ufeff\u00ad\u093c]")


class _Names(Struct, frozen=True):
    names: tuple[str, ...]


class _Prohibited(Struct, frozen=True):
    schedule_x: _Names
    ndps_common_in_phc: _Names


class _Lists(Struct, frozen=True):
    PROHIBITED: _Prohibited


class _DrugLists(Struct, frozen=True):
    lists: _Lists


@cache
def prohibited_names() -> frozenset[str]:
    """The names in the lists, in small letters."""
    lists = load("drug_lists", _DrugLists).lists.PROHIBITED
    names = (*lists.schedule_x.names, *lists.ndps_common_in_phc.names)
    return frozenset(name.split(" (")[0].lower() for name in names)


def is_prohibited_name(text: str) -> bool:
    """Whether a text holds a substance of Schedule X or the NDPS list, also within a combination, in either script."""
    plain = _IGNORED.sub("", unicodedata.normalize("NFKD", text)).lower()
    return any(_is_prohibited(word) for word in re.findall(r"[a-z]+|[\u0900-\u0963\u0970-\u097f]+", plain))


@lru_cache(4096)
def _is_prohibited(word: str) -> bool:
    if word.isascii() and _SPELLINGS.get(word, word) in prohibited_names():
        return True
    consonants, vowels = _sound(word)
    if consonants not in _sounds():
        return False
    return (len(consonants) >= _LONG and consonants not in _ORDINARY) or vowels in _sounds()[consonants]


@cache
def _sounds() -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    for name in (*prohibited_names(), *_SPELLINGS):
        consonants, vowels = _sound(name)
        found.setdefault(consonants, set()).add(vowels)
    return {consonants: frozenset(vowels) for consonants, vowels in found.items()}


def _sound(word: str) -> tuple[str, str]:
    """The consonants of a word, and all of it with its vowels as two kinds (a, i), without the last one."""
    sound = _from_latin(word) if word.isascii() else _from_devanagari(word)
    sound = re.sub(r"m(?=[bp])", "n", re.sub(r"([^ai])\1+", r"\1", sound))
    sound = re.sub(r"[ai]*([ai])", r"\1", sound).rstrip("ai")
    return re.sub("[ai]", "", sound), sound


def _from_latin(word: str) -> str:
    for written, heard in _LATIN:
        word = re.sub(written, heard, word)
    return word


def _from_devanagari(word: str) -> str:
    heard = []
    for number, letter in enumerate(word):
        after = word[number + 1 : number + 2]
        if letter in "ंँ":
            heard.append("n")
        elif letter in _CONSONANTS:
            bare = after == _VIRAMA or after in _VOWELS
            heard.append(_CONSONANTS[letter] + ("" if bare else "a"))
        else:
            heard.append(_VOWELS.get(letter, ""))
    return "".join(heard)
