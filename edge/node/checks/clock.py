"""The clock: slips carry a date. Order of the records never depends on it."""

from .base import CheckGrade, Facts, Finding, ok

EARLIEST_MS = 1_767_225_600_000
"""2026-01-01: nothing of ours is older."""


def check(facts: Facts) -> Finding:
    """Whether the hub has told the time, and whether it can be true at all."""
    if facts.clock_ms < EARLIEST_MS:
        return Finding(
            "clock",
            CheckGrade.FAIL,
            "",
            "घड़ी बहुत ग़लत है। सही समय लगाएँ, घड़ी की बैटरी बदलें, या इंटरनेट से जोड़ें।",
            "The clock is far off. Set the time, change the clock's battery, or connect to the internet.",
        )
    if facts.running and not facts.clock_trusted:
        return Finding(
            "clock",
            CheckGrade.WARN,
            "",
            "चालू होने के बाद अस्पताल ने समय नहीं बताया है। पर्ची छापने से पहले तारीख़ देख लें।",
            "The hub has not told the time since the start. Look at the date before a slip is printed.",
        )
    return ok("clock")
