"""Memory that the system writes to a disk: records lie open in it."""

from .base import CheckGrade, Facts, Finding, ok


def check(facts: Facts) -> Finding:
    """No swap on a disk; compressed memory (zram) is none."""
    if not facts.swap:
        return ok("swap")
    return Finding(
        "swap",
        CheckGrade.FAIL,
        ", ".join(facts.swap),
        "कंप्यूटर अपनी मेमोरी कार्ड पर लिखता है: मरीज़ की बातें वहाँ खुली रह सकती हैं। swap बंद करें (swapoff -a, /etc/fstab)।",
        "The system writes memory to a disk, where records may lie open. Switch swap off (swapoff -a, /etc/fstab).",
    )
