"""Which sub-centre is meant: words in Hindi or in Latin letters against names, blocks, districts and villages, by their
sound (docs/decisions/0025). The browser reckons distances itself, so that nobody's position comes here.
"""

import asyncio
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from msgspec import Struct

from edge.model.spelling import sound_keys, words_of

from ..directory import NodeDirectory, Site
from ..places import NOWHERE, Place, all_places
from ..store.engine import Store

SHOWN: Final = 50
PLACED: Final = 500
"""So many with coordinates at most, for distances: more than a district has."""
KEPT_S: Final = 5.0
_WORDS: Final = 6


class Group(Struct, frozen=True):
    """A district, or a block of the district that was chosen."""

    name: str
    count: int


class Centre(Struct, frozen=True):
    """A sub-centre with a nurse, for whoever has no telephone of this kind."""

    node_id: str
    name: str
    district: str
    block: str
    place: Place


class Centres(Struct, frozen=True):
    """What fits a question."""

    items: tuple[Centre, ...]
    more: int
    """So many fit besides."""
    districts: tuple[Group, ...]
    blocks: tuple[Group, ...]
    """Of the district; empty while none is chosen."""
    placed: int
    """Of those that fit, so many have coordinates."""


class _Known(Struct, frozen=True):
    centre: Centre
    code: str
    keys: tuple[tuple[str, int], ...]
    """Keys of the name (0), the villages (1), the block (2), the district (3): what is meant first comes first."""


class Finder:
    """All centres of a hub. Keys of a centre are made again only when something of it was changed."""

    def __init__(self) -> None:
        self._known: dict[str, _Known] = {}
        self._order: list[_Known] = []
        self._keys: list[tuple[str, int, int]] = []
        """Sorted: a key, how far it is from the name, and the place of its centre in the order."""
        self._districts: tuple[Group, ...] = ()

    def know(self, sites: Iterable[Site], places: Mapping[str, Place]) -> None:
        """Take over which centres there are."""
        fresh = {site.node_id: self._know(site, places.get(site.node_id, NOWHERE)) for site in sites}
        if fresh == self._known:
            return
        order = sorted(fresh.values(), key=lambda one: (one.centre.district, one.centre.block, one.centre.name))
        self._known, self._order = fresh, order
        self._keys = sorted((key, far, at) for at, one in enumerate(order) for key, far in one.keys)
        self._districts = _groups(one.centre.district for one in order)

    def _know(self, site: Site, place: Place) -> _Known:
        centre = Centre(site.node_id, site.site_name, site.district, site.block, place)
        before, code = self._known.get(site.node_id), site.site_code.casefold()
        if before is not None and before.centre == centre and before.code == code:
            return before
        texts = (site.site_name, place.villages, site.block, site.district)
        keys = {key: far for far, text in reversed(tuple(enumerate(texts))) for key in _keys(text)}
        return _Known(centre, code, tuple(keys.items()))

    def find(self, text: str = "", district: str = "", block: str = "", *, placed: bool = False) -> Centres:
        """Centres that fit all words, the district and the block. ``placed``: those with coordinates."""
        order = self._ranked(text) if text.strip() else self._order
        near = [one for one in order if district in ("", one.centre.district)]
        blocks = _groups(one.centre.block for one in self._order if one.centre.district == district)
        near = [one for one in near if block in ("", one.centre.block)]
        with_place = [one for one in near if one.centre.place.lat is not None]
        shown = with_place[:PLACED] if placed else near[:SHOWN]
        rest = len(with_place if placed else near) - len(shown)
        return Centres(tuple(one.centre for one in shown), rest, self._districts, blocks, len(with_place))

    def _ranked(self, text: str) -> list[_Known]:
        code = text.strip().casefold()
        far = {at: 0 for at, one in enumerate(self._order) if one.code.startswith(code)}
        words = words_of(text)[:_WORDS]
        sums: dict[int, int] | None = None
        for word in words:
            found = self._begun(word)
            sums = found if sums is None else {at: sums[at] + found[at] for at in sums.keys() & found.keys()}
        far = (sums or {}) | far
        return [self._order[at] for at in sorted(far, key=lambda at: (far[at], at))]

    def _begun(self, word: str) -> dict[int, int]:
        """Centres of which a word sounds as if it began so, and how far that word is from the name."""
        best: dict[int, int] = {}
        for key in sound_keys(word):
            for index in range(bisect_left(self._keys, (key, 0, 0)), len(self._keys)):
                known, far, at = self._keys[index]
                if not known.startswith(key):
                    break
                best[at] = min(far, best.get(at, far))
        return best


class CentreBook:
    """The centres of a running hub, as they were within the last seconds."""

    def __init__(self, store: Store, directory: NodeDirectory, monotonic_s: Callable[[], float]) -> None:
        self._store, self._directory, self._monotonic_s = store, directory, monotonic_s
        self._finder = Finder()
        self._read_s = float("-inf")
        self._one = asyncio.Lock()

    async def find(self, text: str, district: str, block: str, *, placed: bool) -> Centres:
        """See :meth:`Finder.find`. One question after the other: anybody may ask, and calls go before."""
        async with self._one:
            if self._monotonic_s() - self._read_s >= KEPT_S:
                places = await self._store.read(all_places)
                await asyncio.to_thread(self._finder.know, self._sites(), places)
                self._read_s = self._monotonic_s()
            return await asyncio.to_thread(self._finder.find, text, district, block, placed=placed)

    def _sites(self) -> list[Site]:
        found = []
        for node_id in self._directory.node_ids():
            record = self._directory.by_id(node_id)
            if record is not None and not record.revoked:
                found.append(self._directory.site(node_id.hex()))
        return found


def _keys(text: str) -> frozenset[str]:
    return frozenset(key for word in words_of(text) for key in sound_keys(word))


def _groups(names: Iterable[str]) -> tuple[Group, ...]:
    return tuple(Group(name, count) for name, count in sorted(Counter(names).items()) if name)
