"""The plan for a stick, as properties; and sticks as they are: hostile, torn, full, read-only, pulled out."""

import os
import random
import resource
import shutil
import stat
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.sync import courier
from edge.sync.bearers import usb_stick as plan
from edge.sync.bearers import usb_visit
from edge.sync.bearers.usb import Limits, Stick, StickRefused
from edge.sync.bearers.usb_stick import Folder, ReceiptCopy, UpCopy, Waiting

NODE = b"node-one"


def bundle_of(number: int) -> tuple[bytes, bytes]:
    return number.to_bytes(11, "big"), (number + 1_000).to_bytes(16, "big")


def copy_of(number: int, *, mine: bool = True) -> UpCopy:
    return UpCopy(f"{number:024x}.upk", *bundle_of(number), mine)


def row_of(number: int, level: int) -> courier.Row:
    return courier.Row(*bundle_of(number), level)


numbers = st.lists(st.integers(0, 30), unique=True, max_size=20)
rows = st.lists(st.tuples(st.integers(0, 30), st.sampled_from([0, 1, 2, 0x81])), max_size=20)


def receipts_of(groups: list[list[tuple[int, int]]]) -> list[ReceiptCopy]:
    return [
        ReceiptCopy(f"{at:024x}.upk", NODE, tuple(sorted({row_of(*one) for one in group})))
        for at, group in enumerate(groups)
    ]


@given(numbers, numbers, st.lists(rows, max_size=4), st.booleans())
def test_only_receipted_bundles_of_ours_leave_and_no_receipt_leaves_before_its_bundles(
    mine: list[int], theirs: list[int], groups: list[list[tuple[int, int]]], hold: bool
) -> None:
    copies = [copy_of(number) for number in mine] + [copy_of(number, mine=False) for number in theirs]
    receipts = receipts_of(groups)
    cleaned = plan.clean(copies, receipts, hold=hold)
    told = {(row.bundle_id, row.digest) for receipt in receipts for row in receipt.rows}
    best: dict[tuple[bytes, bytes], int] = {}
    for receipt in receipts:
        for row in receipt.rows:
            best[row.bundle_id, row.digest] = max(best.get((row.bundle_id, row.digest), 0), row.durable)
    left = set()
    for copy in copies:
        key = (copy.bundle_id, copy.digest)
        if copy.name in cleaned.bundles and copy.mine:
            assert key in told
            assert not hold or best[key] in (0, 2)
        elif copy.mine:
            left.add(key)
    assert not {copy.name for copy in copies if not copy.mine} - {copy.name for copy in copies if copy.mine} & set(
        cleaned.bundles
    )
    for receipt in receipts:
        covers = {(row.bundle_id, row.digest) for row in receipt.rows}
        assert (receipt.name in cleaned.receipts) == (not covers & left)


@given(numbers, numbers, st.permutations(range(31)))
def test_every_waiting_bundle_is_on_the_stick_once_afterwards(
    waiting: list[int], there: list[int], order: list[int]
) -> None:
    queue = [Waiting(*bundle_of(number), 100) for number in waiting]
    copies = [copy_of(number) for number in there] + [copy_of(number, mine=False) for number in order[:5]]
    todo = plan.to_write(queue, copies)
    assert todo == [bundle_of(number)[0] for number in waiting if number not in there]
    again = [*copies, *(UpCopy("x", *bundle_of(number), True) for number in waiting if number not in there)]
    assert plan.to_write(queue, again) == []


@given(st.dictionaries(st.sampled_from([b"node-one", b"node-two"]), rows), st.lists(rows, max_size=3))
def test_what_is_receipted_is_not_receipted_again_and_nothing_is_deleted_without(
    taken: dict[bytes, list[tuple[int, int]]], groups: list[list[tuple[int, int]]]
) -> None:
    decided = {node_id: [row_of(*one) for one in group] for node_id, group in taken.items()}
    there = receipts_of(groups)
    names = {
        f"{node_id!r}{number}": (node_id, row) for node_id, group in decided.items() for number, row in enumerate(group)
    }
    for name in plan.receipted(names, there):
        node_id, row = names[name]
        assert any(
            receipt.node_id == node_id
            and (row.bundle_id, row.digest) in {(one.bundle_id, one.digest) for one in receipt.rows}
            for receipt in there
        )
    due = plan.receipts_due(decided, there)
    written = [*there, *(ReceiptCopy(f"new{at}", node_id, group) for at, (node_id, group) in enumerate(due))]
    assert plan.receipts_due(decided, written) == []
    assert sorted(plan.receipted(names, written)) == sorted(names)


def test_a_receipt_never_has_more_rows_than_fit() -> None:
    due = plan.receipts_due({NODE: [row_of(number, 1) for number in range(2_500)]}, [])
    assert [len(group) for _, group in due] == [1_000, 1_000, 500]
    raw = courier.receipt_file(bytes(32), NODE, 1, due[0][1])
    assert len(raw) <= courier.FILE_MAX_BYTES


@given(st.binary(max_size=40), st.integers(0, 5))
def test_a_taken_name_is_passed_over_unless_what_lies_there_is_damaged(raw: bytes, taken: int) -> None:
    names: set[str] = set()
    for _ in range(taken):
        names.add(plan.free_name(raw, names))
    name = plan.free_name(raw, names)
    assert name not in names
    assert plan.is_ours(name)
    assert plan.is_ours(name.upper())
    assert not plan.is_draft(name)
    assert plan.free_name(raw, {*names, name}, {name}) in {name, *names}


# -- the file system -------------------------------------------------------------------------------


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "stick"
    made.mkdir()
    return made


def contents(path: Path, folder: Folder = Folder.UP, limits: Limits = Limits()) -> list[bytes]:  # noqa: B008
    with Stick(path, time.monotonic, limits) as stick:
        return [raw for _, raw in stick.scan(folder)]


def write_all(path: Path, raws: list[bytes], folder: Folder = Folder.UP) -> list[str]:
    with Stick(path, time.monotonic) as stick:
        list(stick.scan(folder))
        return [stick.write(folder, raw) for raw in raws]


def up_folder(path: Path) -> Path:
    folder = path / "UPKENDRA" / "UP"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def test_what_was_written_is_read_again_and_no_draft_is_left(path: Path) -> None:
    raws = [bytes((number,)) * 1_000 for number in range(20)]
    write_all(path, raws)
    assert sorted(contents(path)) == raws
    assert not list(path.rglob("*.tmp"))


def test_links_pipes_folders_and_names_lead_nowhere(path: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"must not be read")
    folder = up_folder(path)
    (folder / ("a" * 24 + ".upk")).symlink_to(secret)
    (folder / ("b" * 24 + ".upk")).mkdir()
    os.mkfifo(folder / ("c" * 24 + ".upk"))
    (folder / ("d" * 24 + ".tmp")).symlink_to(secret)
    for name in ("x;rm -rf ~", "\u202egpj.exe", "a" * 255, "-rf", "CON", "line\nbreak", ".."[:1] + "hidden"):
        (folder / name).write_bytes(b"junk")
    (folder / os.fsdecode(b"\xff\xfe.upk")).write_bytes(b"junk")
    with Stick(path, time.monotonic) as stick:
        assert list(stick.scan(Folder.UP)) == []
        assert stick.counts["junk"] == 12
        stick.write(Folder.UP, b"still works")
    assert secret.read_bytes() == b"must not be read"


def test_folders_of_ours_that_are_links_or_files_are_refused(path: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (path / "UPKENDRA").symlink_to(outside)
    with pytest.raises(StickRefused) as refused, Stick(path, time.monotonic):
        pass
    assert refused.value.refusal.code == "stick_layout"
    (path / "UPKENDRA").unlink()
    (path / "UPKENDRA").mkdir()
    (path / "UPKENDRA" / "UP").write_bytes(b"a file")
    with pytest.raises(StickRefused) as refused, Stick(path, time.monotonic) as stick:
        stick.write(Folder.UP, b"x")
    assert refused.value.refusal.code == "stick_layout"
    assert list(outside.iterdir()) == []


def test_a_file_that_grows_without_end_is_cut_off_and_a_sparse_giant_costs_nothing(path: Path) -> None:
    giant = up_folder(path) / ("a" * 24 + ".upk")
    with giant.open("wb") as file:
        file.truncate(4 << 40)
    before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert contents(path) == []
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb < 16_000


def test_thousands_of_junk_files_cost_bounded_work(path: Path) -> None:
    folder = up_folder(path)
    for number in range(3_000):
        (folder / f"{number:024x}.upk").write_bytes(b"")
    with Stick(path, time.monotonic, Limits(files=500)) as stick:
        assert len(list(stick.scan(Folder.UP))) == 500
        assert stick.counts["passed_over"] == 2_500
    with Stick(path, time.monotonic, Limits(entries=100)) as stick:
        assert len(list(stick.scan(Folder.UP))) == 100
    (folder / f"{0:024x}.upk").write_bytes(bytes(1_000))
    assert len(contents(path, limits=Limits(read_bytes=1_000))) == 1


def test_strange_names_by_the_thousand_are_counted_and_cost_no_memory(path: Path) -> None:
    folder = up_folder(path)
    for number in range(20_000):
        (folder / f"{number:0200d}").touch()
    before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with Stick(path, time.monotonic) as stick:
        assert list(stick.scan(Folder.UP)) == []
        assert stick.counts["junk"] == 20_000
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb < 4_000


def test_a_folder_where_our_draft_would_stand_is_passed_over(path: Path) -> None:
    raw = b"what we write"
    (name,) = write_all(path, [raw])
    folder = up_folder(path)
    (folder / name).unlink()
    (folder / name.replace(".upk", ".tmp")).mkdir()
    (again,) = write_all(path, [raw])
    assert again != name
    assert contents(path) == [raw]


def test_trees_below_our_folders_are_not_walked(path: Path) -> None:
    deep = up_folder(path)
    for _ in range(60):
        deep = deep / ("d" * 24 + ".upk")
        deep.mkdir()
    with Stick(path, time.monotonic) as stick:
        assert list(stick.scan(Folder.UP)) == []
        assert stick.counts["junk"] == 1


def test_a_visit_that_did_not_look_at_all_does_not_end_with_done() -> None:
    lines: list[str] = []
    usb_visit.tell_end(usb_visit.Carried(complete=True), lines.append)
    assert lines.pop().startswith("Done.")
    usb_visit.tell_end(usb_visit.Carried(code="stick_crowded", passed_over=3), lines.append)
    assert not any(line.startswith("Done") for line in lines)
    assert "Not everything" in lines[0]


def test_a_half_written_file_is_damaged_and_a_whole_one_takes_its_place(path: Path) -> None:
    raw = courier.receipt_file(bytes(32), NODE, 1, [row_of(1, 1)])
    (name,) = write_all(path, [raw])
    torn = up_folder(path) / name
    for size in range(0, len(raw), 11):
        torn.write_bytes(raw[:size] + bytes(len(raw) - size))
        with Stick(path, time.monotonic) as stick:
            for found, content in stick.scan(Folder.UP):
                with pytest.raises(courier.CourierRefused):
                    courier.parse(content)
                stick.mark_damaged(Folder.UP, found)
            assert stick.write(Folder.UP, raw) == name
        assert contents(path) == [raw]


@pytest.mark.parametrize("limits", [Limits(files=1), Limits(read_bytes=1), Limits(entries=1)])
def test_what_lies_beyond_the_limits_of_a_visit_is_not_written_once_more(path: Path, limits: Limits) -> None:
    raws = [bytes((number,)) * 1_000 for number in range(4)]
    write_all(path, raws)
    for _ in range(3):
        with Stick(path, time.monotonic, limits) as stick:
            seen = [content for _, content in stick.scan(Folder.UP)]
            assert stick.counts["passed_over"]
            for raw in raws:
                if raw not in seen:
                    stick.write(Folder.UP, raw)
    assert sorted(contents(path)) == raws


def test_a_file_of_another_under_our_name_is_not_overwritten(path: Path) -> None:
    raw = b"what we write"
    (name,) = write_all(path, [raw])
    (up_folder(path) / name).write_bytes(b"a whole file of somebody else")
    with Stick(path, time.monotonic) as stick:
        list(stick.scan(Folder.UP))
        assert stick.write(Folder.UP, raw) != name
    assert sorted(contents(path)) == [b"a whole file of somebody else", raw]


def test_two_programs_do_not_work_on_one_stick_at_once(path: Path) -> None:
    with Stick(path, time.monotonic), pytest.raises(StickRefused) as refused, Stick(path, time.monotonic):
        pass
    assert refused.value.refusal.code == "stick_busy"
    with Stick(path, time.monotonic):
        pass


@pytest.mark.parametrize("at", ["begun", "filled", "synced", "checked", "renamed", "written", "deleted"])
@pytest.mark.parametrize("times", [1, 2])
def test_a_kill_at_any_step_leaves_only_whole_files_and_the_next_visit_ends_the_work(
    path: Path, at: str, times: int
) -> None:
    raws = [bytes((number,)) * 40_000 for number in range(3)]
    child = os.fork()
    if child == 0:
        os.environ["UPKENDRA_KILL_AT"] = f"usb.{at}:{times}"
        with Stick(path, time.monotonic) as stick:
            list(stick.scan(Folder.UP))
            names = [stick.write(Folder.UP, raw) for raw in raws]
            for name in names[:2]:
                stick.delete(Folder.UP, name)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -9
    there = contents(path)
    assert set(there) <= set(raws)
    assert not list(path.rglob("*.tmp"))
    write_all(path, [raw for raw in raws if raw not in there])
    assert sorted(contents(path)) == raws


def test_a_stick_that_is_not_there_or_goes_away_is_named(path: Path) -> None:
    with pytest.raises(StickRefused) as refused, Stick(path / "nowhere", time.monotonic):
        pass
    assert refused.value.refusal.code == "stick_missing"
    with Stick(path, time.monotonic) as stick:
        list(stick.scan(Folder.UP))
        stick.write(Folder.UP, b"one")
        shutil.rmtree(path)
        with pytest.raises(StickRefused) as refused:
            stick.write(Folder.UP, b"two")
        assert refused.value.refusal.code == "stick_gone"


def test_a_slow_stick_is_given_up(path: Path) -> None:
    clock = iter(range(0, 10_000, 10))
    with Stick(path, lambda: float(next(clock)), Limits(seconds=50)) as stick:
        with pytest.raises(StickRefused) as refused:
            for number in range(20):
                stick.write(Folder.UP, bytes((number,)))
        assert refused.value.refusal.code == "stick_slow"


def test_a_counterfeit_that_forgets_what_was_written_is_found_out(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keep = os.write
    with Stick(path, time.monotonic) as stick:
        monkeypatch.setattr(os, "write", lambda handle, data: keep(handle, bytes(len(data))))
        with pytest.raises(StickRefused) as refused:
            stick.write(Folder.UP, b"words")
    assert refused.value.refusal.code == "stick_untrue"
    assert list(path.rglob("*.tmp")) + list(path.rglob("*.upk")) == []


@pytest.fixture
def small(path: Path) -> Iterator[Path]:
    """A file system of one megabyte."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "upkendra-test", str(path)], check=True)
    try:
        yield path
    finally:
        subprocess.run(["umount", str(path)], check=True)


@pytest.mark.root
def test_a_full_stick_keeps_what_is_whole_and_says_so(small: Path) -> None:
    written = 0
    with Stick(small, time.monotonic) as stick:
        list(stick.scan(Folder.UP))
        with pytest.raises(StickRefused) as refused:
            for number in range(20):
                stick.write(Folder.UP, bytes((number,)) * 100_000)
                written += 1
        assert refused.value.refusal.code == "stick_full"
    assert 5 < written < 11
    assert contents(small) == sorted(contents(small), key=contents(small).index)
    assert all(len(raw) == 100_000 for raw in contents(small))
    assert len(contents(small)) == written
    assert not list(small.rglob("*.tmp"))


@pytest.mark.root
def test_a_write_protected_stick_is_still_read(small: Path) -> None:
    write_all(small, [b"an answer"], Folder.DOWN)
    subprocess.run(["mount", "-o", "remount,ro", str(small)], check=True)
    assert contents(small, Folder.DOWN) == [b"an answer"]
    assert contents(small, Folder.RECEIPTS) == []
    with Stick(small, time.monotonic) as stick:
        with pytest.raises(StickRefused) as refused:
            stick.write(Folder.UP, b"x")
        assert refused.value.refusal.code == "stick_read_only"


# -- hostile sticks --------------------------------------------------------------------------------

NAMES = [f"{number:024x}" for number in range(8)]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(list(Folder)),
            st.one_of(
                st.sampled_from(NAMES).flatmap(lambda stem: st.sampled_from([f"{stem}.upk", f"{stem}.tmp", stem])),
                st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=60),
            ),
            st.sampled_from(["file", "folder", "link", "loop", "pipe", "ours", "torn"]),
            st.binary(max_size=600),
        ),
        max_size=12,
    )
)
@settings(max_examples=60, deadline=None)
def test_any_stick_is_scanned_and_written_to_without_harm(
    tmp_path_factory: pytest.TempPathFactory, things: list[tuple[Folder, str, str, bytes]]
) -> None:
    path = tmp_path_factory.mktemp("hostile")
    outside = path / "outside"
    outside.write_bytes(b"outside")
    made = path / "stick"
    whole = courier.receipt_file(bytes(32), NODE, 1, [row_of(1, 1)])
    kept: set[bytes] = set()
    for folder, name, what, content in things:
        target = made / "UPKENDRA" / folder.value / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if name in (".", "..") or len(name.encode()) > 255 or os.path.lexists(target):
            continue
        match what:
            case "file":
                target.write_bytes(content)
            case "folder":
                target.mkdir()
            case "link":
                target.symlink_to(outside)
            case "loop":
                target.symlink_to(target)
            case "pipe":
                os.mkfifo(target)
            case "ours":
                target.write_bytes(whole)
                if folder is Folder.UP and plan.is_ours(name):
                    kept.add(whole)
            case _:
                target.write_bytes(whole[: len(content)])
    made.mkdir(exist_ok=True)
    fresh = b"fresh" + random.Random(len(things)).randbytes(20)
    with Stick(made, time.monotonic) as stick:
        for folder in (Folder.RECEIPTS, Folder.DOWN, Folder.UP):
            for name, raw in stick.scan(folder):
                try:
                    courier.parse(raw)
                except courier.CourierRefused:
                    stick.mark_damaged(folder, name)
        stick.write(Folder.UP, fresh)
    found = contents(made)
    assert fresh in found
    assert kept <= set(found)
    assert outside.read_bytes() == b"outside"
    assert stat.S_ISREG(outside.lstat().st_mode)
