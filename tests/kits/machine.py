"""A virtual machine that runs one of our images: UEFI, emulated processor, two network ports, a root shell for tests.

The first port leads to this machine's loopback as 10.0.2.2 (where a hub listens), the second is the clinic's network
with the test as a tablet in it. The shell is part of images for tests alone; qemu has to ask for it. Blocking.

Waits are told in the own seconds of the machine: its clock stands still while its processors wait for one of ours,
so that the same wait is right on a quiet computer and on one that has hardly any time left for it.
"""

import contextlib
import http.client
import json
import os
import re
import secrets
import shutil
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import msgspec

from tests.kits.clinic import free_port
from tests.kits.idle import last_of_groups

FIRMWARE: Final = (
    Path("/usr/share/OVMF/OVMF_CODE_4M.fd"),
    Path("/usr/share/OVMF/OVMF_CODE.fd"),
)
U_BOOT: Final = Path("/usr/lib/u-boot/qemu_arm64/u-boot.bin")
ARM_CPU: Final = "cortex-a72"
"""A Pi 4's."""
HUB_ADDRESS: Final = "10.0.2.2"
CPU: Final = "qemu64"
"""The plainest one that Debian runs on: to emulate the newer ones' wide registers takes twice as long for a hash."""
STICK_SERIAL: Final = "upkendra-stick"
BOOT_S: Final = 600.0
"""Of the own seconds of the machine, of which one lived 97 in the 383 of its start at a load of 12."""
_PLAIN: Final = b"\nPS1=; PS2=; export TERM=dumb SYSTEMD_COLORS=0 SYSTEMD_URLIFY=0; stty -echo -onlcr\n"


class MachineError(Exception):
    """The machine did not do what it should; the message quotes its console."""


class _Stats(msgspec.Struct):
    rd_bytes: int
    wr_bytes: int


class _Drive(msgspec.Struct):
    stats: _Stats
    device: str = ""


class Machine:
    """One machine with one disk. ``with`` ends it."""

    def __init__(self, disk: Path, folder: Path, *, memory_mib: int = 1536) -> None:
        self.disk = disk
        self.folder = folder
        self.https_port = free_port()
        self._memory_mib = memory_mib
        self._process: subprocess.Popen[bytes] | None = None
        self._began_s = 0.0
        self._shell: socket.socket | None = None
        self.console = folder / "console.log"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def start(self) -> None:
        """Switch it on."""
        self.folder.mkdir(parents=True, exist_ok=True)
        shell = self.folder / "shell"
        shell.unlink(missing_ok=True)
        self._began_s = time.monotonic()
        with self.console.open("wb") as console:
            self._process = subprocess.Popen(
                [*self._processor_and_loader(), *self._disk_and_network(), *self._consoles(shell)],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        if os.sched_getscheduler(0) == os.SCHED_IDLE:
            last_of_groups(self._process.pid)

    def _processor_and_loader(self) -> list[str]:
        variables = self.folder / "vars.fd"
        code = next(path for path in FIRMWARE if path.exists())
        if not variables.exists():
            shutil.copyfile(str(code).replace("_CODE", "_VARS"), variables)
        return [
            *("qemu-system-x86_64", "-machine", "q35", "-accel", "tcg,thread=multi,tb-size=512", "-cpu", CPU),
            *("-drive", f"if=pflash,format=raw,unit=0,readonly=on,file={code}"),
            *("-drive", f"if=pflash,format=raw,unit=1,file={variables}"),
        ]

    def _consoles(self, shell: Path) -> list[str]:
        return ["-serial", "stdio", "-serial", f"unix:{shell},server=on,wait=off"]

    def _disk_and_network(self) -> list[str]:
        wan = "user,id=wan"
        lan = (
            "user,id=lan,net=10.42.0.0/24,host=10.42.0.254,dns=10.42.0.253,"
            f"hostfwd=tcp:127.0.0.1:{self.https_port}-10.42.0.1:443"
        )
        return [
            *("-smp", "2", "-m", str(self._memory_mib), "-display", "none", "-nodefaults", "-no-user-config"),
            *("-drive", f"if=none,id=disk,format=raw,cache=writeback,discard=unmap,file={self.disk}"),
            *("-device", "virtio-blk-pci,drive=disk,bootindex=0"),
            *("-netdev", wan, "-device", "virtio-net-pci,netdev=wan,addr=4", "-netdev", lan),
            *("-device", "virtio-net-pci,netdev=lan,addr=5", "-device", "virtio-rng-pci"),
            *("-fw_cfg", "name=opt/upkendra-test-shell,string=1"),
            *("-device", "pcie-root-port,id=socket,chassis=1,addr=6"),
            *("-qmp", f"unix:{self.folder / 'qmp'},server=on,wait=off"),
        ]

    def kill(self) -> None:
        """Pull the plug. What the guest's disk was told to write and acknowledged stays."""
        if self._shell is not None:
            self._shell.close()
            self._shell = None
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def processor_s(self) -> float:
        """What it has used of this machine's processors since it was switched on."""
        assert self._process is not None
        words = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")

    def lived_s(self) -> float:
        """Its own seconds since it was switched on: those of the clock in which it did not wait for a processor.

        Of its threads the one that waited longest counts (proc_pid_schedstat: nanoseconds on a run queue). Raises
        MachineError, OSError: it is off.
        """
        process = self._process
        if process is None:
            raise MachineError("it is off")
        waited_ns = [0]
        for thread in Path(f"/proc/{process.pid}/task").iterdir():
            with contextlib.suppress(OSError):
                waited_ns.append(int((thread / "schedstat").read_text().split()[1]))
        return time.monotonic() - self._began_s - max(waited_ns) / 1e9

    def left(self, timeout_s: float) -> Callable[[], float]:
        """A function that says how many of ``timeout_s`` of its own seconds are left."""
        until_s = self.lived_s() + timeout_s
        return lambda: until_s - self.lived_s()

    def wait(self, ask: Callable[[], bool], what: str, timeout_s: float, pause_s: float = 1.0) -> None:
        """Ask until yes. What it cannot answer counts as no. Raises MachineError."""
        left_s = self.left(timeout_s)
        while True:
            with contextlib.suppress(MachineError, OSError, http.client.HTTPException):
                if ask():
                    return
            if left_s() < 0 or not self.is_running():
                raise MachineError(f"not in {timeout_s:.0f} s of the machine's own: {what}\n{self.said()}")
            time.sleep(pause_s)  # the machine is emulated; asking more often only slows it

    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def said(self, size: int = 3000) -> str:
        """The end of what the console showed."""
        return self.console.read_bytes()[-size:].decode(errors="replace")

    # The socket for sticks. Debian's kernel for virtual machines knows no USB: it is a disk that comes and goes, with a
    # name by which a udev rule of images for tests takes it for a stick.

    def plug(self, stick: Path) -> None:
        """Put a stick in. Raises MachineError."""
        file = {"driver": "file", "filename": str(stick)}
        self._manage("blockdev-add", {"node-name": "stick", "driver": "raw", "file": file})
        device = {"driver": "virtio-blk-pci", "id": "stick", "bus": "socket", "drive": "stick", "serial": STICK_SERIAL}
        self._manage("device_add", device)

    def unplug(self) -> None:
        """Pull it, and wait until the machine let go of it. Raises MachineError."""
        self._manage("device_del", {"id": "stick"}, until="DEVICE_DELETED")
        self._manage("blockdev-del", {"node-name": "stick"})

    def moved_bytes(self) -> int:
        """What was read from its disk and written to it since it was switched on. Raises OSError: it is off."""
        found = msgspec.convert(self._manage("query-blockstats", {}), list[_Drive])
        return sum(one.stats.rd_bytes + one.stats.wr_bytes for one in found if one.device == "disk")

    def _manage(self, command: str, arguments: Mapping[str, object], until: str = "") -> object:
        with socket.socket(socket.AF_UNIX) as monitor:
            monitor.settimeout(120)
            monitor.connect(str(self.folder / "qmp"))
            with monitor.makefile("rw") as line:
                seen: set[str] = set()

                def hear() -> dict[str, object]:
                    if not (said := line.readline()):
                        raise ConnectionError("the machine went away")
                    heard: dict[str, object] = json.loads(said)
                    seen.add(str(heard.get("event", "")))
                    return heard

                hear()
                for words in ({"execute": "qmp_capabilities"}, {"execute": command, "arguments": arguments}):
                    line.write(json.dumps(words) + "\n")
                    line.flush()
                    while "event" in (heard := hear()):
                        pass
                    if "error" in heard:
                        raise MachineError(f"{command}: {heard['error']}")
                while until and until not in seen:
                    hear()
                return heard["return"]

    def wait_said(self, words: str, timeout_s: float = BOOT_S) -> None:
        """Wait until the console of this start shows something. Raises MachineError."""
        self.wait(lambda: words.encode() in self.console.read_bytes(), f"said: {words}", timeout_s)

    # The shell.

    def sh(self, command: str, timeout_s: float = 180.0) -> str:
        """What a command printed in the machine. Raises MachineError when it fails or does not end."""
        code, text = self.run(command, timeout_s)
        if code != 0:
            raise MachineError(f"{command}: exit code {code}: {text[-2000:]}")
        return text

    def run(self, command: str, timeout_s: float = 180.0) -> tuple[int, str]:
        """(exit code, what it printed) of a command in the machine. Raises MachineError, OSError (it went away)."""
        mark = secrets.token_hex(6)
        shell = self._connect()
        begin, end = (f"{word}''{mark}" for word in "be")  # as typed; a terminal that echoes shows no mark by that
        shell.sendall(f"echo {begin}; {{ {command}\n}} 2>&1 </dev/null; echo {end} $?\n".encode())
        left_s = self.left(timeout_s)
        heard = b""
        wanted = f"b{mark}\r?\n(.*?)e{mark} (\\d+)\r?\n".encode()
        while not (found := re.search(wanted, heard, re.DOTALL)):
            if left_s() <= 0 or not self.is_running():
                raise MachineError(f"{command} did not end: {heard[-1000:].decode(errors='replace')}")
            shell.settimeout(5.0)
            try:
                piece = shell.recv(65536)
            except TimeoutError:
                continue
            if not piece:
                raise MachineError("the machine went away")
            heard += piece
        return int(found[2]), found[1].decode(errors="replace").replace("\r\n", "\n").removeprefix("> ")

    def _connect(self) -> socket.socket:
        if self._shell is None:
            shell = socket.socket(socket.AF_UNIX)
            try:
                shell.connect(str(self.folder / "shell"))
            except OSError:
                shell.close()
                raise
            self._shell = shell
        return self._shell

    def wait_shell(self, timeout_s: float = BOOT_S) -> None:
        """Wait until the system is so far that it runs commands. Raises MachineError."""

        def answers() -> bool:
            self._connect().sendall(_PLAIN)
            return self.run("true", 10.0)[0] == 0

        self.wait(answers, "a shell", timeout_s)

    # The clinic's network.

    def connect(self, host: str, port: int, timeout_s: float) -> socket.socket:
        """HTTPS to the node, as a tablet's connection; for :class:`tests.kits.client.Client`."""
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        plain = socket.create_connection(("127.0.0.1", self.https_port), timeout_s)
        return context.wrap_socket(plain)


class ArmMachine(Machine):
    """The same for an image for a Raspberry Pi: U-Boot as its firmware, whose script is the card's own.

    qemu's arm64 machine has one serial port; the shell is on a console of virtio.
    """

    @staticmethod
    def why_not() -> str:
        """Why no such machine can be made here; empty when one can."""
        has_all = U_BOOT.exists() and shutil.which("qemu-system-aarch64") is not None
        return "" if has_all else "qemu for arm64 and its U-Boot are not installed"

    def _processor_and_loader(self) -> list[str]:
        accelerated = ("-accel", "tcg,thread=multi,tb-size=512")
        return ["qemu-system-aarch64", "-machine", "virt", *accelerated, "-cpu", ARM_CPU, "-bios", str(U_BOOT)]

    def _consoles(self, shell: Path) -> list[str]:
        console = ("-chardev", f"socket,id=shell,path={shell},server=on,wait=off")
        return ["-serial", "stdio", "-device", "virtio-serial-pci", *console, "-device", "virtconsole,chardev=shell"]
