"""Health checks: each grade has its reason, and says what to do in both languages."""

from pathlib import Path

import msgspec
import pytest

import edge.node.checks as package
from edge.node.checks.base import CheckGrade, Facts, Finding
from edge.node.checks.run import CHECKS, look
from edge.node.report import swap_places

T = 1_795_500_000_000
WELL = Facts(
    running=True,
    disk_free_bytes=20_000_000_000,
    disk_bytes=32_000_000_000,
    clock_ms=T,
    clock_trusted=True,
    records_bytes=50_000_000,
    last_ack_age_s=4.0,
    up_s=9_000.0,
    outbox_items=2,
    outbox_oldest_s=30,
    camera="v4l2:/dev/video0",
    panel_fitted=True,
    modem_fitted=True,
    modem_up=True,
    sms_used=3,
    sms_cap=60,
)
OK, WARN, FAIL = CheckGrade.OK, CheckGrade.WARN, CheckGrade.FAIL


def found(check: str, **changes: object) -> Finding:
    facts = msgspec.structs.replace(WELL, **changes)
    return next(one for one in look(facts) if one.check == check)


def test_a_node_that_is_well_has_nothing_to_do() -> None:
    assert [(one.grade, one.do_en, one.do_hi) for one in look(WELL)] == [(OK, "", "")] * len(CHECKS)


@pytest.mark.parametrize(
    ("check", "changes", "grade"),
    [
        ("disk", {"disk_free_bytes": 999_000_000}, WARN),
        ("disk", {"disk_free_bytes": 199_000_000}, FAIL),
        ("records_size", {"records_bytes": 21_000_000_000}, WARN),
        ("clock", {"clock_trusted": False}, WARN),
        ("clock", {"clock_ms": 86_400_000}, FAIL),
        ("last_ack", {"last_ack_age_s": 7 * 3600.0}, WARN),
        ("last_ack", {"last_ack_age_s": None, "up_s": 4 * 86_400.0}, FAIL),
        ("last_ack", {"last_ack_age_s": None, "up_s": 60.0, "silent_before_s": 7 * 3600.0}, WARN),
        ("outbox_age", {"outbox_oldest_s": 90_000}, WARN),
        ("outbox_age", {"outbox_oldest_s": 700_000}, FAIL),
        ("camera", {"camera_there": False}, FAIL),
        ("camera", {"camera_failures": 2}, WARN),
        ("panel", {"panel_faults": ("on_battery",)}, WARN),
        ("panel", {"panel_faults": ("battery_low",)}, FAIL),
        ("printer", {"printer_fitted": True, "printer_trouble": "paper_out"}, WARN),
        ("modem", {"modem_up": False, "modem_trouble": "sms_no_sim"}, FAIL),
        ("modem", {"sms_used": 60}, WARN),
        ("standing", {"revoked": "node_replaced"}, FAIL),
        ("questions", {"questions_refused": "review_day"}, WARN),
        ("swap", {"swap": ("/swapfile",)}, FAIL),
        ("one_card", {"twice_ms": T - 600_000}, FAIL),
        ("one_card", {"twice_ms": T - 7_200_000}, WARN),
    ],
)
def test_what_is_wrong_is_graded_and_says_what_to_do_in_both_languages(
    check: str, changes: dict[str, object], grade: CheckGrade
) -> None:
    finding = found(check, **changes)
    assert finding.grade is grade
    assert finding.do_en.isascii()
    assert any("\u0900" <= letter <= "\u097f" for letter in finding.do_hi)


@pytest.mark.parametrize(
    ("check", "changes"),
    [
        ("last_ack", {"last_ack_age_s": None, "up_s": 60.0}),
        ("last_ack", {"running": False, "last_ack_age_s": None}),
        ("clock", {"running": False, "clock_trusted": False}),
        ("outbox_age", {"outbox_oldest_s": None}),
        ("printer", {"printer_fitted": False, "printer_trouble": "no_printer"}),
        ("panel", {"panel_fitted": False}),
        ("modem", {"modem_fitted": False, "modem_up": False}),
    ],
)
def test_what_cannot_be_known_or_is_not_fitted_is_no_fault(check: str, changes: dict[str, object]) -> None:
    assert found(check, **changes).grade is OK


def test_there_is_one_file_for_each_check() -> None:
    files = {path.stem for path in Path(package.__path__[0]).glob("*.py")} - {"__init__", "base", "run"}
    assert files == {one.check for one in look(WELL)}


def test_swap_on_a_disk_is_found_and_compressed_memory_is_none(tmp_path: Path) -> None:
    head = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"
    (tmp_path / "swaps").write_text(
        head + "/dev/zram0 partition 524284 0 100\n/swapfile file 102396 0 -2\n", encoding="utf-8"
    )
    assert swap_places(tmp_path / "swaps") == ("/swapfile",)
    assert swap_places(tmp_path / "absent") == ()
