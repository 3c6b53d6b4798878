"""Room on the data partition: without it nothing can be recorded."""

from .base import CheckGrade, Facts, Finding, ok

WARN_BYTES, FAIL_BYTES = 1_000_000_000, 200_000_000
"""A day with photos is about 100 MB at most; below the second the store may refuse to write."""


def check(facts: Facts) -> Finding:
    """Free bytes."""
    value = f"{facts.disk_free_bytes // 1_000_000} MB"
    if facts.disk_free_bytes >= WARN_BYTES:
        return ok("disk", value)
    grade = CheckGrade.FAIL if facts.disk_free_bytes < FAIL_BYTES else CheckGrade.WARN
    return Finding(
        "disk",
        grade,
        value,
        "कार्ड लगभग भर गया है। दूसरी फ़ाइलें हटाएँ या बड़ा कार्ड लगाएँ; इस केंद्र का फ़ोल्डर न छुएँ।",
        "The card is nearly full. Remove other files or fit a larger card; leave this node's folder alone.",
    )
