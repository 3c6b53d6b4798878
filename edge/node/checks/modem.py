"""The SMS modem, where one is fitted."""

from .base import CheckGrade, Facts, Finding, ok


def check(facts: Facts) -> Finding:
    """Whether it is up, and what is left of the day's cap."""
    if not facts.modem_fitted:
        return ok("modem", "—")
    value = f"{facts.sms_used}/{facts.sms_cap}"
    if not facts.modem_up:
        return Finding(
            "modem",
            CheckGrade.FAIL,
            facts.modem_trouble or value,
            "एसएमएस मॉडेम काम नहीं कर रहा। सिम, पिन, सिग्नल और तार देखें।",
            "The SMS modem does not work. Look at SIM, PIN, signal and cable.",
        )
    if facts.modem_trouble or facts.sms_used >= facts.sms_cap:
        return Finding(
            "modem",
            CheckGrade.WARN,
            facts.modem_trouble or value,
            "आज के एसएमएस ख़त्म हो गए हैं या मॉडेम ने शिकायत की है। रिचार्ज और सीमा देखें।",
            "The day's SMS are used up, or the modem complained. Look at the recharge and the cap.",
        )
    return ok("modem", value)
