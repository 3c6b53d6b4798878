"""The thermal printer, where one is fitted."""

from .base import CheckGrade, Facts, Finding, ok


def check(facts: Facts) -> Finding:
    """Whether the last job was printed. The PDF can always be printed instead."""
    if not facts.printer_fitted or not facts.printer_trouble:
        return ok("printer", "" if facts.printer_fitted else "—")
    return Finding(
        "printer",
        CheckGrade.WARN,
        facts.printer_trouble,
        "पर्ची वाला प्रिंटर नहीं छाप रहा। चालू है या नहीं, काग़ज़, ढक्कन और तार देखें; फिर पर्ची दोबारा छापें।",
        "The slip printer does not print. Look at its switch, paper, cover and cable; then print the slip again.",
    )
