"""What an image does without: it is nothing that a node loads, and what only that needed goes with it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from images.builder import loads, prune, sbom, unloaded
from tests.kits.clinic import ROOT

LIBRARY = Path("usr/lib/x86_64-linux-gnu")


def library(root: Path, place: str, *needs: str) -> Path:
    """A shared library that is linked with others of the same tree, as ``gcc`` makes one."""
    path = root / LIBRARY / place
    path.parent.mkdir(parents=True, exist_ok=True)
    argv = [
        "gcc",
        "-shared",
        "-nostdlib",
        "-Wl,--no-as-needed",
        f"-Wl,-soname,{path.name}",
        "-xc",
        "/dev/null",
        "-xnone",
    ]
    subprocess.run([*argv, *(str(root / LIBRARY / name) for name in needs), "-o", path], check=True)
    return path


def test_what_a_program_is_linked_with_is_read_from_its_file(tmp_path: Path) -> None:
    shell = shutil.which("sh")
    assert shell is not None
    assert loads.needed(Path(shell).resolve().read_bytes()) == {"libc.so.6"}
    library(tmp_path, "libdeep.so.2")
    assert loads.needed(library(tmp_path, "libbig.so.1", "libdeep.so.2").read_bytes()) == {"libdeep.so.2"}
    assert loads.needed(b"#!/bin/sh\n") == frozenset()
    assert loads.named(b"\0libgstapp-1.0.so.0,libgst.so.0\0libx\0") == {"libgstapp-1.0.so.0", "libgst.so.0"}


def test_libraries_go_with_the_last_that_needs_them_and_no_others(tmp_path: Path) -> None:
    for name in ("libdeep.so.2", "libshared.so.1", "libbound.so.1", "libbyname.so.1"):
        library(tmp_path, name)
    library(tmp_path, "libbig.so.1", "libdeep.so.2", "libshared.so.1")
    (tmp_path / LIBRARY / "libbig.so").symlink_to("libbig.so.1")
    library(tmp_path, "gstreamer-1.0/libgstflite.so", "libbig.so.1", "libbound.so.1")
    library(tmp_path, "gstreamer-1.0/libgstvpx.so", "libshared.so.1")
    (tmp_path / LIBRARY / "girepository-1.0").mkdir()
    (tmp_path / LIBRARY / "girepository-1.0/Bound-1.0.typelib").write_bytes(b"GOBJ\0libbound.so.1\0")
    prune.prune(tmp_path, "amd64", lambda _: None)
    left = {path.name for path in (tmp_path / LIBRARY).rglob("*.so*")}
    assert left == {"libgstvpx.so", "libshared.so.1", "libbound.so.1", "libbyname.so.1"}


def test_the_plug_ins_that_stay_bring_every_element_of_calls_and_clips(tmp_path: Path) -> None:
    plugins = tmp_path / "plugins"
    plugins.mkdir()
    for name in unloaded.PLUGINS:
        for path in Path("/usr/lib").glob(f"*-linux-gnu/gstreamer-1.0/libgst{name}.so"):
            (plugins / path.name).symlink_to(path)
    ask = (
        "from edge.media.pipeline import load_gst; g = load_gst().Gst; "
        f"print([n for n in {unloaded.ELEMENTS} if g.ElementFactory.find(n) is None])"
    )
    env = {"GST_PLUGIN_SYSTEM_PATH_1_0": str(plugins), "GST_REGISTRY": str(tmp_path / "registry")}
    done = subprocess.run(
        [sys.executable, "-c", ask], cwd=ROOT, env={**os.environ, **env}, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_a_package_of_which_only_the_papers_are_left_is_not_listed(tmp_path: Path) -> None:
    info = tmp_path / "var/lib/dpkg/info"
    info.mkdir(parents=True)
    entry = "Package: {0}\nStatus: install ok installed\nVersion: 1\nArchitecture: amd64\n"
    names = ("libgone", "libhere", "meta")
    (info.parent / "status").write_text("\n".join(entry.format(name) for name in names))
    for name, file in (("libgone", "/usr/lib/libgone.so.1"), ("libhere", "/usr/lib/libhere.so.1"), ("meta", "")):
        doc = f"/usr/share/doc/{name}"
        (info / f"{name}.list").write_text(
            "\n".join(filter(None, ("/.", "/usr", "/usr/lib", file, doc, f"{doc}/copyright")))
        )
        (tmp_path / doc[1:]).mkdir(parents=True)
        (tmp_path / doc[1:] / "copyright").write_text("Copyright: none\n")
    (tmp_path / "usr/lib").mkdir()
    (tmp_path / "usr/lib/libhere.so.1").touch()
    assert [one.name for one in sbom.look(tmp_path)] == ["libhere", "meta"]
