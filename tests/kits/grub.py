"""GRUB without its machine: our own script, in a shell that plays what it calls; the rest means the same there."""

import re
import subprocess

from images.builder import disk

PLAYED = """
load_env() { :; }
save_env() { echo "saved=$ORDER/$A_OK/$A_TRY/$B_OK/$B_TRY"; }
regexp() { :; }
linux() { [ "$1" != "$broken/vmlinuz" ] && echo "kernel=$*"; }
initrd() { :; }
boot() { exit 0; }
reboot() { echo reboot; exit 0; }
cmdpath="(hd0,gpt1)/EFI/BOOT" disk=hd0
"""


def choose(counters: dict[str, str], broken: str = "none") -> tuple[str, dict[str, str]]:
    """(what starts, the counters after it). ``broken``: a partition whose kernel cannot be read."""
    config = (disk.HERE / "grub.cfg").read_text()
    for name, value in counters.items():
        config = re.sub(rf"^set {name}=.*$", f"{name}={value!r}", config, count=1, flags=re.MULTILINE)
    script = PLAYED + f"broken={broken!r}\n" + re.sub(r"\bset (\w+=)", r"\1", config)
    said = subprocess.run(["sh", "-e"], input=script, capture_output=True, text=True, check=True).stdout
    if "upkendra.recovery" in said:
        started = "recovery"
    else:
        found = re.search(r"rauc\.slot=([AB])", said)
        started = found.group(1) if found else said.split()[-1]
    saved = said.split("saved=")[1].splitlines()[0].split("/")
    return started, {**counters, **dict(zip(("ORDER", "A_OK", "A_TRY", "B_OK", "B_TRY"), saved, strict=True))}
