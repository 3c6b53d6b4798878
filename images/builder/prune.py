"""Takes out of a tree what a node never loads, and asks the tree for what it has to load. Blocking."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final

from . import loads, unloaded
from .tools import BuildFailed, chroot

PLUGIN: Final = "libgst"
REGISTRY: Final = "/var/cache/gstreamer-registry"
"""Of this check alone."""
IMPORTS: Final = (
    *("edge.node.__main__", "edge.media.__main__", "images.appliance.__main__", "edge.slips.typeset_worker"),
    *("sqlcipher3", "typst", "av", "aiortc", "zeroconf"),
)
"""What a node's processes begin with, and what they import later."""

Say = Callable[[str], None]


def prune(root: Path, board: str, say: Say) -> None:
    """Take out what the patterns name, and the libraries that it alone was linked with. Raises BuildFailed, OSError."""
    before = loads.of_tree(root)
    libraries = _libraries(root)
    linked = {libraries[name] for path, names in before.items() for name in names if libraries.get(name, path) != path}
    plugins = before.keys() - linked
    gone_bytes = sum(map(_remove, _unwanted(root, board)))
    left = {path for path in plugins if path.exists()}
    for path in sorted(_reached(plugins, before, libraries) - _reached(left, before, libraries)):
        gone_bytes += _remove(path)
    for path in root.glob(f"{unloaded.LIBRARY}/*.so*"):
        if path.is_symlink() and not path.exists():
            path.unlink()
    for modules in sorted(root.glob(unloaded.MODULES)):
        chroot(root, "depmod", modules.parent.name)
    say(f"tree: {gone_bytes >> 20} MiB taken out that nothing loads")


def _unwanted(root: Path, board: str) -> list[Path]:
    found = {path for pattern in unloaded.patterns(board) for path in root.glob(pattern)}
    stay = {f"{PLUGIN}{name}.so" for name in unloaded.PLUGINS}
    found |= {path for path in root.glob(f"{unloaded.LIBRARY}/gstreamer-1.0/{PLUGIN}*.so") if path.name not in stay}
    return sorted(found)


def _remove(path: Path) -> int:
    if path.is_dir() and not path.is_symlink():
        size_bytes = sum(one.lstat().st_size for one in path.rglob("*") if not one.is_dir())
        shutil.rmtree(path)
        return size_bytes
    if not path.is_symlink() and not path.exists():
        return 0  # with its folder, or with what it was a link to
    size_bytes = path.lstat().st_size
    path.unlink()
    return size_bytes


def _libraries(root: Path) -> dict[str, Path]:
    """The system's libraries by each name that leads to them."""
    return {path.name: path.resolve() for path in root.glob(f"{unloaded.LIBRARY}/*.so*") if path.exists()}


def _reached(begin: set[Path], links: dict[Path, frozenset[str]], libraries: dict[str, Path]) -> set[Path]:
    """Libraries that these programs, plug-ins and bindings need, and what the libraries need. Pure.

    A library that nothing is linked with is none: it is loaded by its name, or by nobody.
    """
    found: set[Path] = set()
    todo = list(begin)
    while todo:
        for name in links[todo.pop()]:
            library = libraries.get(name)
            if library in links and library not in found:
                found.add(library)
                todo.append(library)
    return found


def check(root: Path, say: Say) -> None:
    """Whether all that is left finds its libraries, and a node's programs and elements load. Raises BuildFailed."""
    say("tree: what a node loads")
    there = {path.name for path in root.rglob("*.so*")}
    missing = {
        f"{path.relative_to(root)} needs {name}"
        for path, names in loads.of_tree(root).items()
        if path.suffix != ".typelib"
        for name in names - there
    }
    if missing:
        raise BuildFailed("; ".join(sorted(missing)[:20]))
    script = (
        "import importlib, sys; sys.path.insert(0, '/opt/upkendra'); "
        f"[*map(importlib.import_module, {IMPORTS})]; "
        "from edge.media.pipeline import load_gst; make = load_gst().Gst.ElementFactory.make; "
        f"sys.exit(' '.join(name for name in {unloaded.ELEMENTS} if make(name) is None) or 0)"
    )
    env = {"GST_REGISTRY": REGISTRY}
    try:
        chroot(root, "/opt/upkendra/.venv/bin/python", "-B", "-c", script, env=env)
    finally:
        (root / REGISTRY[1:]).unlink(missing_ok=True)
