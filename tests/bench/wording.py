"""Words that train the codec's model, and words that try it. No list shares a word with the fixed corpus.

``TRAINING`` and ``prose`` are what a clinic writes in general: names, villages, remarks, and the texts that the
program itself ships. ``OTHER`` is a second set of wording that nothing was trained on.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path

from .consultations import CORPUS, Words

_ROOT = Path(__file__).parents[2]


def _split(words: str) -> tuple[str, ...]:
    return tuple(words.split())


TRAINING = Words(
    _split(
        """अनीता रेखा सीमा मोहन राजू विकास सुनीता गीता रमेश सुरेश महेश राम श्याम लक्ष्मी सरस्वती पार्वती राधा कृष्णा मीना
        मंजू अंजू संजय विजय अजय राजेश मुकेश प्रमोद विनोद अशोक अनिल सुनील कमला विमला निर्मला शांति सावित्री उर्मिला आशा
        उषा ममता कविता पूजा प्रियंका नीतू रीना बीना सोनू मोनू छोटू मुन्नी गुड़िया रानी राजकुमारी चंदा तारा जमुना
        गंगा हरि शिव शंकर बिरजू कल्लू मुन्ना इमरान सलमा रुखसाना नसीम अब्दुल करीम फ़ातिमा शबाना
        Kavita Imran Suresh Meena Sunita Geeta Ramesh Mahesh Anita Rekha Seema Mohan Raju Vikas Lakshmi Radha
        Manju Sanjay Vijay Ajay Rajesh Mukesh Pramod Vinod Ashok Anil Sunil Kamla Nirmala Shanti Asha Usha Mamta
        Pooja Priyanka Salma Abdul Fatima Shabana Arjun Deepak Santosh Manoj Ravi Kumar Babita Sangeeta Sarita
        Birsa Sona Phulmani Budhni Lalita Savita Parvati"""
    ),
    _split(
        """कुमारी देवी कुमार प्रसाद सिंह शर्मा वर्मा गुप्ता मिश्रा तिवारी पांडे चौधरी राम दास साह मंडल मांझी बेगम खान
        शेख राय झा पटेल मुंडा उरांव सोरेन लाल बाई Devi Kumar Kumari Singh Sharma Verma Gupta Prasad Das Sah
        Mandal Khan Begum Sheikh Rai Patel Soren Munda Oraon Demo Namuna Sample Bai Ram Chaudhary"""
    ),
    (
        "नमूनापुर", "कल्पनापुर", "परीक्षा टोला", "उदाहरण नगर", "नया डेमो टोला", "रामपुर", "सीतापुर खुर्द", "बड़ा गाँव",
        "छोटकी टोली", "पुरानी बस्ती", "हरिजन टोला", "मठिया", "नयागाँव", "शिवपुर कलाँ", "बाज़ार चौक", "स्टेशन रोड",
        "माधोपुर", "लक्ष्मीपुर", "गोपालगंज", "किशनपुर घाट", "पहाड़ी टोला", "मंदिर के पास", "तालाब के पास", "जोगिया डीह",
        "Rampur", "Sitapur Khurd", "Bada Gaon", "Naya Tola", "Purani Basti", "Madhopur", "Shivpur Kalan",
        "Station Road",
        "Mathia", "Harinagar", "Lakshmipur", "Kishanpur", "Gopalpur", "Ward 4", "Jogia Tola", "Belwa", "Kusumdih",
    ),
    (
        "", "", "", "", "रात में ज़्यादा", "took paracetamol at home", "खाना कम खा रहे हैं", "no relief from home remedies",
        "दो दिन से दवा ले रहे हैं, आराम नहीं", "बुखार शाम को बढ़ता है", "पहले भी ऐसा हुआ था", "गाँव में और लोग भी बीमार हैं",
        "बच्चा दूध कम पी रहा है", "उल्टी के बाद कमज़ोरी, पानी पी रहे हैं", "चलने पर साँस फूलती है", "काम करते समय गिर गए थे",
        "घर पर काढ़ा पिया, फ़ायदा नहीं हुआ", "पेट में जलन, खाने के बाद बढ़ती है", "दर्द कमर से पैर तक जाता है",
        "नींद नहीं आती, घबराहट रहती है", "मासिक समय पर नहीं", "पेशाब में जलन और बार बार जाना पड़ता है",
        "दवा बंद कर दी थी, बीपी की दवा पंद्रह दिन से नहीं ली", "हाथ में सूजन है और लाली भी है",
        "Pain goes from the back to the leg", "Fever comes every evening with chills",
        "Has stopped the blood pressure tablets",
        "Was seen at the block hospital last month", "Cough at night, no blood",
        "Drinks less than usual, passes little urine",
        "Wife had the same last week", "Fell from a bicycle, can walk",
        "Itching at night, others in the house have it too",
        "Not sleeping well", "Ate outside food yesterday", "Took an injection from a local practitioner",
        "Feels giddy when standing up", "Burning after meals for some days", "Works in the field all day",
    ),
    "DM01",
    "anm1",
)  # fmt: skip
"""Sites and actors vary besides: see ``SITES`` and ``STAFF``."""

SITES = ("DM01", "UP12", "JH04", "MP33", "RJ07", "CG15", "OD02", "NMP01", "WB21", "AS09")
STAFF = (
    "anm1", "anm2", "sunita", "r.devi", "s.sharma", "asha.d", "cho1", "m.singh", "geeta", "p.verma", "k.bai", "anita.k",
    "pharm1", "l.das", "meena.s", "j.kujur", "t.oraon", "v.patel",
)  # fmt: skip

OTHER = Words(
    _split("जगदीश फूलवती मनोरमा नंदकिशोर Zubeda Harish Chameli Lakhan दुलारी ओमप्रकाश बसंती Sukhram Gulab इंदु"),
    _split("बघेल Kurmi नायक Tigga Rathore मेघवाल Khatik भील"),
    ("सोनबरसा", "Amarpura", "डोंगरी पारा", "Karanjia", "ढाणी खेतान", "Tilaiya Dih", "चिरई गोड़ा"),
    (
        "",
        "",
        "कल से आँख लाल है और पानी बहता है, रोशनी चुभती है",
        "Slipped near the hand pump, left wrist hurts, no wound",
        "तीन हफ़्ते से खाँसी, वज़न घट गया, घर में टीबी का मरीज़ रहा है",
        "बिच्छू ने डंक मारा, पैर सुन्न",
        "Second child, last delivery by operation at the district hospital",
        "Took half a strip of brown capsules, then vomited twice",
    ),
    "RJ44",
    "b.rathore",
)
_LETTERS = re.compile(r"[^\n\r]{3,200}")


def prose() -> Iterator[str]:
    """Lines in Hindi and English that the program ships, but none with a name of the corpus or of ``OTHER``."""
    for file in sorted((_ROOT / "edge/ui/fluent").glob("*.ftl")):
        for line in file.read_text("utf-8").splitlines():
            said = line.partition("=")[2].strip()
            if said and "{" not in said:
                yield from _fit(said)
    for name in ("complaints", "signs", "history", "terms", "diagnoses", "dosing", "consent"):
        yield from _strings(json.loads((_ROOT / f"edge/model/data/{name}.json").read_text("utf-8")))


def _strings(held: object, under: str = "") -> Iterator[str]:
    if isinstance(held, dict):
        for key, value in held.items():
            yield from _strings(value, key)
    elif isinstance(held, list):
        for value in held:
            yield from _strings(value, under)
    elif isinstance(held, str) and under in ("en", "hi", "title"):
        yield from _fit(held)


def _fit(said: str) -> Iterator[str]:
    names = {
        word
        for words in (CORPUS, OTHER)
        for group in (words.given, words.family, words.villages, (words.site, words.actor))
        for word in group
    }
    if _LETTERS.fullmatch(said) and not any(name in said for name in names):
        yield said
