"""The first process inside the kernel of :mod:`tests.kits.fat`: mounts the stick, runs the commands, powers off.

Runs with the system's Python, so it knows nothing of ours. Argument: the job, a JSON file; ``result.json`` beside it
tells what each command did.
"""

import ctypes
import json
import os
import platform
import subprocess
import sys
import time
import traceback
from pathlib import Path

MODULES = (
    "fs/fat/fat",
    "fs/fat/vfat",
    "fs/nls/nls_cp437",
    "fs/nls/nls_ascii",
    "fs/nls/nls_iso8859-1",
    "fs/nls/nls_utf8",
    "drivers/md/dm-mod",
    "drivers/md/dm-zero",
)
FINIT_MODULE = 313
"""Of x86-64; User-mode Linux has no other 64-bit machine."""
COMPRESSED = 4
"""MODULE_INIT_COMPRESSED_FILE."""
DEVICE = "/dev/ubda"


def load(libc: ctypes.CDLL) -> None:
    """Load what mounting needs; what is built in is no file."""
    base = Path("/usr/lib/uml/modules") / platform.release() / "kernel"
    for module in MODULES:
        found = next(base.glob(f"{module}.ko*"), None)
        if found is not None:
            handle = os.open(found, os.O_RDONLY)
            libc.syscall(FINIT_MODULE, handle, b"", 0 if found.suffix == ".ko" else COMPRESSED)
            os.close(handle)


def fitted(table: "list[str]") -> str:
    """The device to mount: the image, or what a device-mapper table makes of it (``zero`` forgets, ``error`` fails)."""
    if not table:
        return DEVICE
    text = "\n".join(table).replace("{device}", DEVICE)
    subprocess.run(["dmsetup", "create", "stick", "--noudevsync", "--noudevrules"], input=text, text=True, check=True)
    return "/dev/dm-0"


def main() -> None:
    job_path = Path(sys.argv[1])
    job = json.loads(job_path.read_text())
    os.environ["PATH"] = "/usr/sbin:/usr/bin:/sbin:/bin"
    libc = ctypes.CDLL(None, use_errno=True)
    subprocess.run(["mount", "-t", "proc", "proc", "/proc"], check=True)
    load(libc)
    stick = job_path.with_name("stick")
    stick.mkdir()
    device = fitted(job["table"])
    subprocess.run(["mount", "-t", "vfat", "-o", job["options"], device, str(stick)], check=True)
    results = []
    for command in job["commands"]:
        argv = [word.replace("{stick}", str(stick)) for word in command]
        done = subprocess.run(
            argv, cwd=job["cwd"], env=job["env"], capture_output=True, check=False, stdin=subprocess.DEVNULL
        )
        out, said = (stream.decode(errors="replace") for stream in (done.stdout, done.stderr))
        results.append({"code": done.returncode, "out": out, "said": said})
    if not job["power_cut"]:
        subprocess.run(["umount", str(stick)], check=True)
    job_path.with_name("result.json").write_text(json.dumps(results))


try:
    main()
except BaseException:
    traceback.print_exc()
finally:
    Path("/proc/sysrq-trigger").write_text("o")
    time.sleep(60)
