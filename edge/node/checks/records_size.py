"""How large the records have grown, against the room that is left for them."""

from .base import CheckGrade, Facts, Finding, ok

WARN_SHARE = 0.5


def check(facts: Facts) -> Finding:
    """Size of the records; they must fit once more on the card, to be compacted or copied."""
    value = f"{facts.records_bytes // 1_000_000} MB"
    if facts.records_bytes <= WARN_SHARE * (facts.records_bytes + facts.disk_free_bytes):
        return ok("records_size", value)
    return Finding(
        "records_size",
        CheckGrade.WARN,
        value,
        "रिकॉर्ड कार्ड की आधी से ज़्यादा बची जगह ले रहे हैं। बड़ा कार्ड लगाने की तैयारी करें।",
        "The records take more than half of the room that is left. Plan for a larger card.",
    )
