"""The panel and power board, where one is fitted."""

from .base import CheckGrade, Facts, Finding, ok

GRAVE = frozenset({"battery_low", "panel_absent", "panel_silent"})


def check(facts: Facts) -> Finding:
    """What the board's own report finds wrong."""
    if not facts.panel_fitted or not facts.panel_faults:
        return ok("panel", "" if facts.panel_fitted else "—")
    return Finding(
        "panel",
        CheckGrade.FAIL if GRAVE & set(facts.panel_faults) else CheckGrade.WARN,
        ", ".join(facts.panel_faults),
        "पैनल बोर्ड या बैटरी में गड़बड़ी है। तार और बिजली देखें; ./run node panel status से पूरी बात देखें।",
        "Something is wrong with the panel board or the battery. Look at cable and mains; see ./run node panel status.",
    )
