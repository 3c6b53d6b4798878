"""Prohibited substances are found as people write them, and no ordinary word is taken for one."""

import re
from pathlib import Path

import pytest

from edge.model.substances import is_prohibited_name, prohibited_names

ROOT = Path(__file__).parents[2]
HINDI = [
    "अल्प्राज़ोलम",
    "अल्प्राजोलैम",
    "एल्प्राजोलम",
    "डायजेपाम",
    "डायज़ीपाम",
    "डाइजेपाम",
    "लोराज़ेपाम",
    "लोराजेपम",
    "क्लोनाज़ेपाम",
    "क्लोबाज़म",
    "मिडाज़ोलम",
    "नाइट्राज़ेपाम",
    "क्लोरडायज़ेपॉक्साइड",
    "ज़ोल्पिडेम",
    "फेनोबार्बिटल",
    "फिनोबार्बिटोन",
    "कोडीन",
    "कोडिन",
    "मॉर्फीन",
    "मॉर्फिन",
    "मार्फिन",
    "फेंटानिल",
    "फेंटानील",
    "पेथिडीन",
    "ब्यूप्रेनॉर्फिन",
    "पेंटाज़ोसीन",
    "ट्रामाडोल",
    "ट्रेमाडोल",
    "टेपेंटाडोल",
    "मेथाडोन",
    "एफेड्रिन",
    "एफेड्रीन",
    "केटामिन",
    "केटामाइन",
    "एम्फेटामिन",
    "मेथामफेटामिन",
    "मेप्रोबेमेट",
    "पेंटोबार्बिटल",
    "सेकोबार्बिटल",
    "मिथाइलफेनिडेट",
    "फेनसाइक्लिडिन",
]
LATIN = [
    "alprajolam",
    "alprazolum",
    "diazipam",
    "daizepam",
    "lorazepm",
    "clonazepum",
    "tramadole",
    "tremadol",
    "kodin",
    "codein",
    "morfin",
    "morphin",
    "phentanyl",
    "pethadine",
    "ketamin",
]
ORDINARY = "मतदान कूदना कठिन खाद्यान्न fontanelle fontanel फॉन्टानेल cotton modern"


@pytest.mark.parametrize("name", [*sorted(prohibited_names()), *LATIN, *HINDI])
def test_a_prohibited_substance_is_found_as_people_spell_it(name: str) -> None:
    for words in (name, name.upper(), f"1 tab {name}-5mg", f"({name})", f"रात को {name} लें"):
        assert is_prohibited_name(words), words


def test_signs_that_cannot_be_seen_and_full_width_letters_hide_nothing() -> None:
    for words in ("tra\u200bmadol", "tra\u00admadol", "ट्रामा\u200dडोल", "ｔｒａｍａｄｏｌ", "trámadol"):
        assert is_prohibited_name(words), words


def test_no_word_of_the_pages_the_lists_or_the_documents_is_taken_for_one() -> None:
    allowed = prohibited_names() | {"phenobarbitone"}
    files = [*ROOT.glob("edge/ui/fluent/*.ftl"), *ROOT.glob("edge/model/data/*.json"), *ROOT.glob("docs/**/*.md")]
    words = {word for file in files for word in re.findall(r"[A-Za-z]+|[\u0900-\u097f]+", file.read_text("utf-8"))}
    assert len(words) > 5_000
    found = {word for word in words if is_prohibited_name(word)}
    assert {word.lower() for word in found if word.isascii()} <= allowed
    assert not is_prohibited_name(ORDINARY)
