"""The hub's words about bundles on a disk that refuses for a while: none is lost, none overtakes, none piles up."""

import asyncio
import errno
from collections.abc import Callable

from edge.node.hub_words import HubWords, Word
from edge.sync.link import BundleAcked, Reseal

ONE, TWO, THREE = (bytes([number]) * 16 for number in range(3))


class Disk:
    """Writes unless it is full; of a bundle that it ``hates`` it never does."""

    def __init__(self) -> None:
        self.full = False
        self.hates = b""
        self.written: list[Word] = []
        self.tried = 0

    async def write(self, word: Word) -> None:
        self.tried += 1
        if self.full or word.bundle_id == self.hates:
            raise OSError(errno.ENOSPC, "No space left on device")
        self.written.append(word)


def made(disk: Disk, bundles_max: int = 10) -> HubWords:
    words = HubWords(disk.write, bundles_max)
    words.write_again_s = 0.01
    return words


async def until(met: Callable[[], object]) -> None:
    for _ in range(2000):
        if met():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("it did not come to that")


async def until_empty(words: HubWords) -> None:
    await until(lambda: not words.left)


async def test_words_about_one_bundle_are_written_in_their_order_also_when_the_disk_has_room_again_between() -> None:
    disk = Disk()
    words = made(disk)
    disk.full = True
    await words.take(BundleAcked(ONE, 1))
    await words.take(BundleAcked(TWO, 1))
    disk.full = False
    await words.take(BundleAcked(ONE, 2))
    await words.take(BundleAcked(ONE, 2))
    await words.take(BundleAcked(THREE, 1))
    assert disk.written == [BundleAcked(THREE, 1)], "nothing overtakes, and nothing else waits"
    await until_empty(words)
    assert [one for one in disk.written if one.bundle_id == ONE] == [BundleAcked(ONE, 1), BundleAcked(ONE, 2)]
    assert BundleAcked(TWO, 1) in disk.written
    assert len(disk.written) == 4
    await words.stop()


async def test_a_word_that_is_never_taken_holds_up_no_other() -> None:
    disk = Disk()
    words = made(disk)
    disk.full, disk.hates = True, ONE
    await words.take(Reseal(ONE))
    await words.take(BundleAcked(TWO, 1))
    disk.full = False
    await until(lambda: disk.written)
    assert disk.written == [BundleAcked(TWO, 1)]
    assert words.left == {ONE: [Reseal(ONE)]}
    disk.hates = b""
    await until_empty(words)
    await words.stop()


async def test_while_the_disk_is_full_only_so_many_wait_and_one_is_tried_at_a_time() -> None:
    disk = Disk()
    words = made(disk, bundles_max=5)
    disk.full = True
    for number in range(20):
        await words.take(BundleAcked(bytes([number]) * 16, 1))
    assert len(words.left) == 5
    words.write_again_s, before = 0.05, disk.tried
    await asyncio.sleep(0.2)
    assert disk.tried - before <= 20, "not all of them at each try"
    disk.full = False
    await until_empty(words)
    assert [one.bundle_id[0] for one in sorted(disk.written, key=lambda one: one.bundle_id)] == [0, 1, 2, 3, 4]
    await words.stop()
