"""What waits for the hub, by the age of the oldest."""

from .base import CheckGrade, Facts, Finding, ok

WARN_S, FAIL_S = 86_400, 7 * 86_400


def check(facts: Facts) -> Finding:
    """Age of the oldest entry that the hub has not acknowledged."""
    oldest_s = facts.outbox_oldest_s
    value = f"{facts.outbox_items}" if oldest_s is None else f"{facts.outbox_items}, {oldest_s} s"
    if oldest_s is None or oldest_s < WARN_S:
        return ok("outbox_age", value)
    return Finding(
        "outbox_age",
        CheckGrade.FAIL if oldest_s >= FAIL_S else CheckGrade.WARN,
        value,
        "कुछ जानकारी एक दिन से ज़्यादा समय से यहीं रुकी है। नेटवर्क ठीक करें या USB स्टिक से भेजें।",
        "Some records have waited here for more than a day. Mend the network or carry them on a USB stick.",
    )
