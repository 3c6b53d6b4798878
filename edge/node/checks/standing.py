"""Whether the hub still believes this machine, as its newest signed list says."""

from .base import CheckGrade, Facts, Finding, ok


def check(facts: Facts) -> Finding:
    """Revoked, or replaced by another machine: what is recorded here reaches no doctor any more."""
    if not facts.revoked:
        return ok("standing")
    return Finding(
        "standing",
        CheckGrade.FAIL,
        facts.revoked,
        "अस्पताल ने इस मशीन को बंद कर दिया है: यहाँ लिखा हुआ अब डॉक्टर तक नहीं पहुँचता। काम दूसरी मशीन पर करें, "
        "इसे बंद रखें, कुछ मिटाएँ नहीं, और अस्पताल के प्रबंधक को बताएँ।",
        "The hub believes this machine no more: what is recorded here reaches no doctor. Work on another machine, keep "
        "this one switched off, delete nothing, and tell the hospital's administrator.",
    )
