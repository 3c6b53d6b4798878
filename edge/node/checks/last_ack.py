"""When the hub last answered."""

from .base import CheckGrade, Facts, Finding, ok

WARN_S, FAIL_S = 6 * 3600.0, 3 * 86_400.0


def check(facts: Facts) -> Finding:
    """Age of the hub's last sign of life; when there was none since the start, what the node was silent before too."""
    if not facts.running:
        return ok("last_ack")
    age_s = facts.silent_before_s + facts.up_s if facts.last_ack_age_s is None else facts.last_ack_age_s
    value = f"{int(age_s)} s"
    if age_s < WARN_S:
        return ok("last_ack", value)
    return Finding(
        "last_ack",
        CheckGrade.FAIL if age_s >= FAIL_S else CheckGrade.WARN,
        value,
        "अस्पताल से बहुत देर से संपर्क नहीं है। सिम का रिचार्ज, एंटीना और राउटर देखें, या USB स्टिक से जानकारी भेजें।",
        "The hub was not heard for long. Look at the SIM's recharge, the aerial and the router, or send a USB stick.",
    )
