"""All checks, in the order in which people should look at them."""

from collections.abc import Callable

from . import (
    camera,
    clock,
    devices,
    disk,
    last_ack,
    modem,
    one_card,
    outbox_age,
    panel,
    printer,
    questions,
    records_size,
    standing,
    swap,
)
from .base import Facts, Finding

CHECKS: tuple[Callable[[Facts], Finding], ...] = (
    standing.check,
    disk.check,
    records_size.check,
    clock.check,
    last_ack.check,
    outbox_age.check,
    camera.check,
    devices.check,
    printer.check,
    panel.check,
    modem.check,
    one_card.check,
    questions.check,
    swap.check,
)


def look(facts: Facts) -> tuple[Finding, ...]:
    """What every check says."""
    return tuple(check(facts) for check in CHECKS)
