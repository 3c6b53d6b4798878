"""The file of guided questions, where one was put into the data folder."""

from .base import CheckGrade, Facts, Finding, ok


def check(facts: Facts) -> Finding:
    """Whether the questions are shown. Nothing of a file that is not whole and reviewed is."""
    if not facts.questions_refused:
        return ok("questions")
    return Finding(
        "questions",
        CheckGrade.WARN,
        facts.questions_refused,
        "questions.json में ग़लती है, इसलिए पूछने के सवाल नहीं दिखते। जाँची हुई फ़ाइल फिर से रखें।",
        "questions.json has a fault, so no guided questions are shown. Put the reviewed file there again.",
    )
