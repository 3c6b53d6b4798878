"""What is in a tree: Debian's and Python's packages with versions and licences, as CycloneDX, as a table, as a list.

Licences are what the packages say themselves: Debian's machine-readable copyright files, Python's metadata. What says
nothing machine-readable is told as such; nothing is guessed. A package of which only its papers are left is not listed.
"""

import email.parser
import re
import uuid
from pathlib import Path

import msgspec
from msgspec import Struct

NOT_TOLD = "not machine-readable"
PAPERS = ("/usr/share/doc/", "/usr/share/lintian/")
_SPACE = uuid.UUID("75706b65-6e64-4261-8000-0000000005b0")


class Package(Struct, frozen=True):
    """One installed package."""

    kind: str
    """deb or pypi"""
    name: str
    version: str
    arch: str
    source: str
    licences: tuple[str, ...]

    @property
    def purl(self) -> str:
        """Package URL, by which scanners know it."""
        version = self.version.replace("+", "%2B").replace("~", "~").replace(":", "%3A")
        if self.kind == "deb":
            return f"pkg:deb/debian/{self.name.replace('+', '%2B')}@{version}?arch={self.arch}&distro=trixie"
        return f"pkg:pypi/{self.name}@{version}"


def look(root: Path) -> tuple[Package, ...]:
    """Every package in a tree, in order. Raises OSError. Blocking."""
    return tuple(sorted((*_debian(root), *_python(root)), key=lambda one: (one.kind, one.name, one.version)))


def _debian(root: Path) -> list[Package]:
    found = []
    for block in (root / "var/lib/dpkg/status").read_text("utf-8").split("\n\n"):
        fields = dict(re.findall(r"^([A-Za-z-]+): *(.*)$", block, re.MULTILINE))
        if "install ok installed" not in fields.get("Status", ""):
            continue
        name = fields["Package"]
        if _is_empty(root, name, fields["Architecture"]):
            continue
        source = str(fields.get("Source", name)).split(" ")[0]
        found.append(
            Package("deb", name, fields["Version"], fields["Architecture"], source, _copyright(root, name, source))
        )
    return found


def _is_empty(root: Path, name: str, arch: str) -> bool:
    """Whether a package brought something, and nothing of it but its papers is left."""
    info = root / "var/lib/dpkg/info"
    listing = next((path for path in (info / f"{name}.list", info / f"{name}:{arch}.list") if path.exists()), None)
    if listing is None:
        return False
    paths = [root / line[1:] for line in listing.read_text("utf-8").splitlines() if not line.startswith(PAPERS)]
    files = [path for path in paths if not path.is_dir()]
    return bool(files) and not any(path.is_symlink() or path.exists() for path in files)


def _copyright(root: Path, name: str, source: str) -> tuple[str, ...]:
    doc = root / "usr/share/doc"
    for folder in (name, source):
        path = doc / folder / "copyright"
        if path.is_symlink() or not path.is_file():
            continue
        text = path.read_text("utf-8", "replace")
        if not re.search(r"^Format:.*copyright-format", text, re.MULTILINE):
            return (NOT_TOLD,)
        names = {word.strip() for word in re.findall(r"^License: *(\S[^\n]*)$", text, re.MULTILINE)}
        return tuple(sorted(names)) or (NOT_TOLD,)
    return (NOT_TOLD,)


def _python(root: Path) -> list[Package]:
    found = []
    for path in sorted(root.glob("opt/upkendra/.venv/lib/python3*/site-packages/*.dist-info/METADATA")):
        said = email.parser.Parser().parsestr(path.read_text("utf-8", "replace"))
        licence = str(said.get("License-Expression") or "")
        if not licence:
            classes = [line for line in said.get_all("Classifier", []) if line.startswith("License ::")]
            short = str(said.get("License") or "").strip()
            licence = "; ".join(line.rpartition(" :: ")[2] for line in classes) or (short if len(short) < 60 else "")
        found.append(
            Package("pypi", said["Name"], said["Version"], "any", said["Name"], (licence.strip() or NOT_TOLD,))
        )
    return found


def cyclonedx(packages: tuple[Package, ...], board: str, version: str) -> bytes:
    """A CycloneDX 1.5 bill of materials. The same packages give the same bytes. Pure."""
    components = [
        {
            "type": "library",
            "bom-ref": one.purl,
            "name": one.name,
            "version": one.version,
            "purl": one.purl,
            "licenses": [{"license": {"name": name}} for name in one.licences],
        }
        for one in packages
    ]
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": f"urn:uuid:{uuid.uuid5(_SPACE, board + version + repr(packages))}",
        "version": 1,
        "metadata": {"component": {"type": "operating-system", "name": f"upkendra-{board}", "version": version}},
        "components": components,
    }
    return msgspec.json.format(msgspec.json.encode(document), indent=1) + b"\n"


def table(packages: tuple[Package, ...]) -> bytes:
    """Installed versions: kind, name, version, architecture, source, one line each. Pure."""
    rows = ("\t".join((one.kind, one.name, one.version, one.arch, one.source)) for one in packages)
    return ("\n".join(rows) + "\n").encode()


def licences(packages: tuple[Package, ...]) -> bytes:
    """Licence list: name, version, licences, one line each. Pure."""
    rows = (f"{one.name}\t{one.version}\t{', '.join(one.licences)}" for one in packages)
    return ("\n".join(rows) + "\n").encode()
