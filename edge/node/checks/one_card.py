"""Whether another machine lives on a copy of this node's card."""

from .base import CheckGrade, Facts, Finding, ok

STILL_MS = 3_600_000
"""The hub says it again every ten minutes while both machines speak."""


def check(facts: Facts) -> Finding:
    """What the hub said of it last."""
    if facts.twice_ms is None:
        return ok("one_card")
    now = facts.clock_ms - facts.twice_ms < STILL_MS
    return Finding(
        "one_card",
        CheckGrade.FAIL if now else CheckGrade.WARN,
        "node_twice",
        "इस मशीन के कार्ड की नक़ल कहीं और चल रही है। दोनों एक जैसे टोकन देती हैं। दूसरी मशीन ढूँढकर बंद करें, "
        "उसका कार्ड अलग रखें; कुछ खोया नहीं है। अस्पताल के प्रबंधक को बताएँ।",
        "A copy of this node's card runs somewhere else. Both give the same tokens. Find the other machine, switch it "
        "off and keep its card; nothing is lost. Tell the hospital's administrator.",
    )
