"""Versions of releases: which one is later. Pure."""

import re


def is_newer(version: str, than: str) -> bool:
    """Whether a version is later than another: numbers as numbers; a word (rc) comes before the end."""
    return _key(version) > _key(than)


def _key(version: str) -> list[tuple[int, int, str]]:
    parts = re.findall(r"\d+|[A-Za-z]+", version)
    return [*((2, int(part), "") if part.isdigit() else (0, 0, part) for part in parts), (1, 0, "")]
