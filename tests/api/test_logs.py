"""What a page may show of the log says nothing of a person, whatever a line was made of."""

import logging

from edge.web.logs import Recent, say

NAME = "Sunita Devi"


def test_lines_for_people_keep_the_template_and_harmless_fields_only() -> None:
    recent = Recent(3)
    logger = logging.Logger("test")
    logger.addHandler(recent)
    logger.warning("patient %s was here", NAME)
    say(logger, "down_refused", logging.WARNING, seq=4, code="format_unknown", patient=NAME)
    try:
        raise ValueError(NAME)
    except ValueError:
        logger.exception("background work failed")
    failed, refused, plain = recent.lines()
    assert (plain.event, plain.fields) == ("patient %s was here", ())
    assert (refused.event, refused.fields) == ("down_refused", (("seq", "4"), ("code", "format_unknown")))
    assert (failed.level, failed.fields) == ("error", (("error", "ValueError"),))


def test_only_the_last_warnings_are_kept_and_nothing_less_grave() -> None:
    recent = Recent(2)
    logger = logging.Logger("test")
    logger.addHandler(recent)
    logger.info("started")
    for name in ("one", "two", "three"):
        logger.warning(name)
    assert [line.event for line in recent.lines()] == ["three", "two"]
