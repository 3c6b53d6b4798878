"""The medical devices that this node was told of."""

from .base import CheckGrade, Facts, Finding, ok


def check(facts: Facts) -> Finding:
    """Whether they are plugged in. A meter that lies in its drawer is no failure: values can be typed."""
    if not facts.devices_absent:
        return ok("devices", ", ".join(facts.devices) or "—")
    return Finding(
        "devices",
        CheckGrade.WARN,
        ", ".join(facts.devices_absent),
        "जाँच की मशीन का तार नहीं मिला। तार लगाएँ; तब तक नाप हाथ से लिखें।",
        "A medical device's cable is not plugged in. Plug it in; until then write the value by hand.",
    )
