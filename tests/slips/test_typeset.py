"""The helper process that makes pages: it is replaced when it dies, rests when nobody asks, and quotes nobody."""

import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from edge.slips.typeset import TypesetFailed, Typesetter

PAGE = b"#set page(width: 40mm, height: 20mm)\n#json(bytes(sys.inputs.slip)).name"
WORDS = '{"name": "गीता Devi"}'.encode()


def children(of: int) -> list[int]:
    tasks = Path(f"/proc/{of}/task").iterdir()
    return [int(pid) for task in tasks for pid in (task / "children").read_text().split()]


def test_pages_are_the_same_from_any_thread_and_from_a_process_that_was_replaced() -> None:
    setter, before = Typesetter(), set(children(os.getpid()))
    first = setter.pages(PAGE, WORDS, "pdf", 72)
    assert first[0].startswith(b"%PDF")
    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(lambda _: setter.pages(PAGE, WORDS, "pdf", 72), range(12))) == {first}
    (helper,) = set(children(os.getpid())) - before
    os.kill(helper, signal.SIGKILL)
    assert setter.pages(PAGE, WORDS, "pdf", 72) == first
    setter.close()
    assert set(children(os.getpid())) == before


def test_it_rests_when_nobody_asks() -> None:
    setter = Typesetter(idle_s=0.05)
    before = set(children(os.getpid()))
    setter.pages(PAGE, WORDS, "png", 72)
    gone = threading.Event()

    def look() -> None:
        while set(children(os.getpid())) - before:
            threading.Event().wait(0.02)
        gone.set()

    threading.Thread(target=look, daemon=True).start()
    assert gone.wait(20)
    assert setter.pages(PAGE, WORDS, "png", 72)[0].startswith(b"\x89PNG")
    setter.close()


def test_a_page_that_cannot_be_made_names_no_patient_and_the_next_one_is_made() -> None:
    setter = Typesetter()
    with pytest.raises(TypesetFailed) as refused:
        setter.pages(b"#json(bytes(sys.inputs.slip)).absent", WORDS, "pdf", 72)
    assert "Devi" not in str(refused.value)
    assert setter.pages(PAGE, WORDS, "pdf", 72)
    setter.close()
