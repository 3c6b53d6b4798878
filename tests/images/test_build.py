"""The parts of a build that need neither Debian's packages nor minutes."""

import hashlib
import json
import os
import subprocess
import time
from pathlib import Path
from random import Random

import pytest
from cryptography import x509

from images import keys
from images.builder import base, bundle, disk, sbom
from images.builder import recipe as recipes
from images.builder import tree as trees
from images.builder.recipe import MIB, Recipe
from images.builder.tools import BuildFailed, run
from tests.kits.clinic import ROOT

EPOCH_S = 1_795_651_200
SMALL = Recipe(
    "amd64", "grub", "amd64", "none", (), (), recipes._slots(40 * MIB, 40 * MIB, 8 * MIB, 16 * MIB), for_tests=True
)


def tree(folder: Path) -> Path:
    """A folder with files, a link and a program, made at different times and in different order."""
    for name in sorted(("etc", "usr/bin", "var"), key=lambda _: os.urandom(4)):
        (folder / name).mkdir(parents=True)
    for name in sorted(("etc/a", "usr/bin/b", "etc/c"), key=lambda _: os.urandom(4)):
        (folder / name).write_text(name * 3000)
    (folder / "usr/bin/b").chmod(0o755)
    (folder / "etc/link").symlink_to("a")
    return folder


def test_the_same_tree_gives_the_same_file_systems(tmp_path: Path) -> None:
    sums = []
    for number in range(2):
        here = tmp_path / str(number)
        here.mkdir()
        disk.erofs(tree(here / "tree"), here / "root", EPOCH_S)
        files: dict[str, Path | bytes] = {"EFI/upkendra/grubenv": b"x" * 1024, "kernel": here / "tree/etc/a"}
        disk.fat(files, here / "fat", SMALL.slot("UPK-ESP"), EPOCH_S)
        sums.append([hashlib.sha256((here / name).read_bytes()).hexdigest() for name in ("root", "fat")])
        time.sleep(2.1 * (1 - number))  # FAT counts time in steps of two seconds: the second must be another one
    assert sums[0] == sums[1]


def test_an_image_has_its_partitions_where_the_recipe_says(tmp_path: Path) -> None:
    part = tmp_path / "part"
    part.write_bytes(b"root" * 1000)
    image = tmp_path / "image"
    disk.assemble(SMALL, {"UPK-ROOT-A": part}, image)
    told = json.loads(run(["sfdisk", "--json", image]))["partitiontable"]
    assert [row["name"] for row in told["partitions"]] == [slot.label for slot in SMALL.slots]
    for row, slot in zip(told["partitions"], SMALL.slots, strict=True):
        assert row["start"] * 512 == SMALL.offset_bytes(slot.label)
        assert row["size"] * 512 == slot.size_bytes
        assert row["uuid"].lower() == slot.uuid
    with image.open("rb") as file:
        file.seek(SMALL.offset_bytes("UPK-ROOT-A"))
        assert file.read(4000) == part.read_bytes()
    assert image.stat().st_blocks * 512 < 2 * MIB, "holes stay holes"
    part.write_bytes(bytes(9 * MIB))
    with pytest.raises(BuildFailed, match="has room for"):
        disk.assemble(SMALL, {"UPK-ROOT-A": part}, image)


def test_the_images_python_gets_what_the_lock_says_for_it_and_nothing_of_the_hubs() -> None:
    without = recipes.recipe("amd64", ci=False).without
    lines = base.requirements((ROOT / "requirements.lock").read_text(), without).splitlines()
    names = [line.split("==")[0].lower() for line in lines]
    assert "aiohttp" in names
    assert "msgspec" in names
    assert not {"sqlalchemy", "psycopg", "pip", "alembic"} & set(names)
    assert len(names) == len(set(names)), "one version each: the one for this Python"
    assert all("--hash=sha256:" in line and ";" not in line for line in lines)


def test_the_lists_tell_what_packages_say_of_themselves(tmp_path: Path) -> None:
    (tmp_path / "var/lib/dpkg").mkdir(parents=True)
    status = "Package: {}\nStatus: {} ok installed\nArchitecture: amd64\nVersion: 1:2.0+x\nSource: src (1)\n"
    rows = [status.format("told", "install"), status.format("silent", "install")]
    gone = status.format("gone", "deinstall").replace("ok installed", "ok config-files")
    (tmp_path / "var/lib/dpkg/status").write_text("\n".join((*rows, gone)))
    doc = tmp_path / "usr/share/doc/told"
    doc.mkdir(parents=True)
    told = (
        "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\nFiles: *\nLicense: MIT\n text\n"
    )
    (doc / "copyright").write_text(told)
    site = tmp_path / "opt/upkendra/.venv/lib/python3.13/site-packages/x-1.dist-info"
    site.mkdir(parents=True)
    (site / "METADATA").write_text("Metadata-Version: 2.4\nName: x\nVersion: 1\nLicense-Expression: Apache-2.0\n\n")
    found = sbom.look(tmp_path)
    assert [(one.name, one.licences) for one in found] == [
        ("silent", (sbom.NOT_TOLD,)),
        ("told", ("MIT",)),
        ("x", ("Apache-2.0",)),
    ]
    bill = json.loads(sbom.cyclonedx(found, "amd64", "1"))
    assert bill["components"][1]["purl"] == "pkg:deb/debian/told@1%3A2.0%2Bx?arch=amd64&distro=trixie"
    assert sbom.cyclonedx(found, "amd64", "1") == sbom.cyclonedx(sbom.look(tmp_path), "amd64", "1")
    assert b"told\t1:2.0+x\tMIT\n" in sbom.licences(found)


def test_a_delta_can_be_undone_by_a_node_that_reads_its_own_partition_once(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    near, far = os.urandom(2 * MIB), os.urandom(bundle.SOURCE_WINDOW_BYTES + MIB)
    old.write_bytes(near + far + near[::-1])
    new.write_bytes(far[MIB:] + near + near[::-1])
    bundle.difference(old, new, tmp_path / "delta", hashlib.sha256(new.read_bytes()).hexdigest())
    with pytest.raises(BuildFailed, match="does not make what it should"):
        bundle.difference(old, new, tmp_path / "delta", hashlib.sha256(b"").hexdigest())


def test_a_longer_line_moves_no_other_file(tmp_path: Path) -> None:
    here, draw = tmp_path / "tree", Random(7)
    for folder in range(60):
        (here / f"folder{folder:02}").mkdir(parents=True)
        for name in range(25):
            (here / f"folder{folder:02}/file{name:02}").write_bytes(draw.randbytes(draw.randrange(50, 300)))
    old, new, delta = tmp_path / "old", tmp_path / "new", tmp_path / "delta"
    disk.erofs(here, old, EPOCH_S)
    with (here / "folder07/file07").open("ab") as file:
        file.write(b"# a remark, and a line more\n" * 2)
    disk.erofs(here, new, EPOCH_S)
    bundle.difference(old, new, delta, bundle.part_of(new).sha256)
    assert delta.stat().st_size < 1024


@pytest.mark.root
def test_what_an_image_brings_into_the_data_folder_belongs_to_the_nodes_user(tmp_path: Path) -> None:
    root, panel = tmp_path / "root", tmp_path / "panel"
    for folder in ("etc/rauc", "usr/lib/tmpfiles.d", "var/lib/upkendra", "panel"):
        (root / folder).mkdir(parents=True)
    panel.mkdir()
    (panel / "app.upk").write_bytes(b"signed")
    (panel / "release.pub").write_text("ab" * 32)
    (root / "etc/rauc/system.conf").write_text("@BOARD@ @LOADER@")
    trees._settings(SMALL, root, trees.About("1", tmp_path, b"cd" * 32, b"", panel / "app.upk"))
    (root / "etc/passwd").write_text("root:x:0:0::/:/bin/sh\nupkendra:x:800:800::/:/bin/false\n")
    (root / "etc/group").write_text("root:x:0:\nupkendra:x:800:\n")
    os.chown(root / "var/lib/upkendra", 800, 800)
    subprocess.run(["systemd-tmpfiles", "--create", f"--root={root}"], check=True, capture_output=True)
    for name in ("panel", "panel/release.pub", "updates", "updates/target", "updates/update.pub"):
        assert (root / "var/lib/upkendra" / name).stat().st_uid == 800, name
    assert (root / "var/lib/upkendra/panel/release.pub").read_text() == "ab" * 32


def test_release_keys_are_made_once_and_the_certificate_lasts(tmp_path: Path) -> None:
    keys.make(tmp_path)
    for name in ("update.key", "bundle.key.pem"):
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o600
    certificate = x509.load_pem_x509_certificate((tmp_path / "bundle.cert.pem").read_bytes())
    assert certificate.not_valid_before_utc.year == 2020
    assert certificate.not_valid_after_utc.year == 2049
    with pytest.raises(FileExistsError):
        keys.make(tmp_path)


def test_grubs_settings_are_a_script_that_grub_reads(tmp_path: Path) -> None:
    text = (ROOT / "images/builder/grub.cfg").read_text()
    (tmp_path / "grub.cfg").write_text(text)
    done = subprocess.run(["grub-script-check", tmp_path / "grub.cfg"], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize("name", ["builder/hook.sh", "initramfs/scripts/init-premount/upkendra-recovery"])
def test_our_shell_scripts_parse(name: str) -> None:
    done = subprocess.run(["dash", "-n", ROOT / "images" / name], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
