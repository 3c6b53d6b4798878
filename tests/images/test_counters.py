"""Which slot GRUB starts, by its own script: what it calls is played by a shell, in which the rest means the same."""

import pytest

from tests.kits.grub import choose


def start(order: str, a: tuple[int, int], b: tuple[int, int], broken: str = "none") -> tuple[str, str]:
    """(what starts, the counters after it) for slots as (good, tries)."""
    given = {"ORDER": order, "A_OK": a[0], "A_TRY": a[1], "B_OK": b[0], "B_TRY": b[1]}
    started, counters = choose({name: str(value) for name, value in given.items()}, broken)
    return started, "/".join(counters.values())


@pytest.mark.parametrize(
    ("order", "a", "b", "started", "counters"),
    [
        ("A B", (1, 0), (1, 0), "A", "A B/1/1/1/0"),
        ("B A", (1, 0), (1, 1), "B", "B A/1/0/1/2"),
        ("B A", (1, 0), (1, 3), "A", "B A/1/1/1/3"),
        ("B A", (1, 2), (0, 0), "A", "B A/1/3/0/0"),
        ("A B", (1, 3), (1, 3), "recovery", "A B/1/0/1/0"),
        ("B A", (0, 0), (0, 0), "recovery", "B A/1/0/1/0"),
    ],
)
def test_a_slot_is_tried_thrice_then_the_other_then_the_recovery_comes(
    order: str, a: tuple[int, int], b: tuple[int, int], started: str, counters: str
) -> None:
    assert start(order, a, b) == (started, counters)


def test_after_the_recovery_a_slot_that_was_given_up_comes_last_and_once() -> None:
    started, counters = start("B A", (1, 3), (0, 0))
    assert (started, counters) == ("recovery", "A B/1/0/1/2")
    assert start("A B", (1, 0), (1, 2)) == ("A", "A B/1/1/1/2")
    assert start("A B", (1, 3), (1, 2)) == ("B", "A B/1/3/1/3")
    assert start("A B", (1, 3), (1, 3))[0] == "recovery"
    assert start("A B", (0, 0), (1, 3)) == ("recovery", "B A/1/2/1/0")


def test_a_slot_whose_kernel_cannot_be_read_costs_a_try() -> None:
    assert start("A B", (1, 0), (1, 0), broken="(hd0,gpt2)") == ("reboot", "A B/1/1/1/0")
