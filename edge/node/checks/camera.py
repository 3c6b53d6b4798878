"""The camera that calls use, where it belongs to the node."""

from .base import CheckGrade, Facts, Finding, ok


def check(facts: Facts) -> Finding:
    """Whether the device is there, and whether calls could open it."""
    kind = facts.camera.partition(":")[0]
    if not facts.camera_there:
        return Finding(
            "camera",
            CheckGrade.FAIL,
            kind,
            "कैमरा नहीं मिला। उसका तार लगाएँ; तब तक टैबलेट का कैमरा चुनें।",
            "The camera is not there. Plug it in; until then use the tablet's camera.",
        )
    if facts.camera_failures:
        return Finding(
            "camera",
            CheckGrade.WARN,
            f"{kind}, {facts.camera_failures}",
            "कॉल में कैमरा या माइक नहीं खुला। दूसरा प्रोग्राम बंद करें, तार बदलें।",
            "A call could not open camera or microphone. Close other programs, change the cable.",
        )
    return ok("camera", kind)
