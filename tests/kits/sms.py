"""GSM modems and a network for tests: SIM slots, a service centre that delays, loses, doubles and reorders, CMS errors.

:class:`SimModem` and :class:`Network` take time as an argument; :class:`PtyModems` puts modems behind pseudo-terminals,
so that the adapter and foreign programs (gammu) can use them. Speaks 27.005 as far as those need it.
"""

import asyncio
import contextlib
import heapq
import os
import random
import time
import tty
from collections import deque
from pathlib import Path

from edge.sync import sms_pdu
from edge.sync.sms_pdu import Deliver, StatusReport

CENTRE = "+910000000000"


class Network:
    """A service centre. Everything random comes from the seed."""

    def __init__(self, seed: int = 1, *, delay_s: float = 3.0, jitter_s: float = 0.0) -> None:
        self.draw = random.Random(seed)
        self.delay_s, self.jitter_s = delay_s, jitter_s
        self.loss = 0.0
        self.doubling = 0.0
        self.reports = True
        """Many networks bring none."""
        self.modems: dict[str, SimModem] = {}
        self.submitted: list[sms_pdu.Submit] = []
        self.start_ms = 1_790_000_000_000
        self._flying: list[tuple[float, int, str, bytes, bool]] = []
        self._count = 0

    def submit(self, sender: str, message: sms_pdu.Submit, now: float) -> None:
        self.submitted.append(message)
        if self.draw.random() < self.loss:
            return
        sent_ms = self.start_ms + int(now * 1000)
        pdu = sms_pdu.encode_deliver(Deliver(sender, message.user_data, message.header, message.dcs, sent_ms))
        for _ in range(2 if self.draw.random() < self.doubling else 1):
            self._fly(message.number, pdu, False, now)
        if message.report and self.reports:
            self.report(sender, StatusReport(message.reference, message.number, 0), now + self.delay_s)

    def report(self, number: str, report: StatusReport, now: float) -> None:
        """Tell the sender what became of a message."""
        self._fly(number, sms_pdu.encode_report(report, self.start_ms + int(now * 1000)), True, now)

    def inject(self, number: str, message: Deliver, now: float) -> None:
        """An SMS from outside."""
        self._fly(number, sms_pdu.encode_deliver(message), False, now)

    def _fly(self, number: str, pdu: bytes, report: bool, now: float) -> None:
        self._count += 1
        at = now + self.delay_s + self.draw.random() * self.jitter_s
        heapq.heappush(self._flying, (at, self._count, number, pdu, report))

    def step(self, now: float) -> None:
        """Hand over what is due; what a full SIM does not take comes later."""
        while self._flying and self._flying[0][0] <= now:
            _, _, number, pdu, report = heapq.heappop(self._flying)
            modem = self.modems.get(number)
            if modem is not None and not modem.hand_over(pdu, report=report):
                self._fly(number, pdu, report, now)

    def next_s(self) -> float | None:
        return self._flying[0][0] if self._flying else None


class SimModem:
    """One modem with its SIM. ``feed`` bytes, ``take`` what it says."""

    def __init__(self, network: Network, number: str, slots: int = 20) -> None:
        self.network, self.number, self.slots = network, number, slots
        network.modems[number] = self
        self.sim = True
        self.registered = True
        self.silent = False
        self.announces = True
        self.errors: deque[int] = deque()
        """CMS errors for the next messages."""
        self.lost_replies = 0
        """So many messages are sent without the modem saying so."""
        self.memory: dict[int, tuple[int, str]] = {}
        self.commands: list[str] = []
        self._out = bytearray()
        self._line = bytearray()
        self._pdu_bytes: int | None = None
        self._text_to = ""
        self._echo = True
        self._text_mode = False
        self._charset = "GSM"
        self._reference = network.draw.randrange(256)

    def take(self) -> bytes:
        out = bytes(self._out)
        self._out.clear()
        return out

    def say(self, *lines: str) -> None:
        for line in lines:
            self._out += f"\r\n{line}\r\n".encode()

    def hand_over(self, pdu: bytes, *, report: bool) -> bool:
        """From the network. False when there is no room or nobody."""
        if not self.sim or not self.registered:
            return False
        text = (b"\0" + pdu).hex().upper()
        if report:
            self.say(f"+CDS: {len(pdu)}", text)
            return True
        free = next((slot for slot in range(1, self.slots + 1) if slot not in self.memory), None)
        if free is None:
            return False
        self.memory[free] = (0, text)
        if self.announces:
            self.say(f'+CMTI: "SM",{free}')
        return True

    def power_cycle(self) -> None:
        """The modem restarts by itself."""
        self._echo, self._pdu_bytes = True, None
        self._line.clear()
        self.say("RDY")

    def feed(self, data: bytes, now: float) -> None:
        for byte in data:
            if self.silent:
                continue
            if self._pdu_bytes is not None:
                self._body(byte, now)
                continue
            if self._echo:
                self._out.append(byte)
            if byte in b"\r\n":
                line, self._line = self._line.decode("ascii", "replace"), bytearray()
                if line.strip("\x1b\x00 "):
                    self._command(line.strip("\x1b\x00 "), now)
            else:
                self._line.append(byte)

    def _body(self, byte: int, now: float) -> None:
        if byte == 0x1B:
            self._pdu_bytes = None
            self._line.clear()
            self.say("OK")
        elif byte == 0x1A:
            text, size = self._line.decode("ascii", "replace"), self._pdu_bytes
            self._line.clear()
            self._pdu_bytes = None
            assert size is not None
            self._send(text, size, now)
        else:
            self._line.append(byte)

    def _send(self, text: str, size: int, now: float) -> None:
        if self.errors:
            self.say(f"+CMS ERROR: {self.errors.popleft()}")
            return
        if not self.registered:
            self.say("+CMS ERROR: 331")
            return
        pdu = bytes.fromhex(text)
        tpdu = pdu[1 + pdu[0] :]
        if len(tpdu) != size:
            self.say("+CMS ERROR: 304")
            return
        message = sms_pdu.decode_submit(tpdu)
        self._reference = (self._reference + 1) % 256
        fields = {name: getattr(message, name) for name in message.__struct_fields__} | {"reference": self._reference}
        self.network.submit(self.number, sms_pdu.Submit(**fields), now)
        if self.lost_replies:
            self.lost_replies -= 1
            return
        self.say(f"+CMGS: {self._reference}", "OK")

    def _command(self, line: str, now: float) -> None:
        self.commands.append(line)
        name = line.upper()
        if not name.startswith("AT"):
            return
        name = name[2:]
        if not self.sim and name.startswith(("+CPIN", "+CMG", "+CPMS", "+CIMI", "+CSCA")):
            self.say("+CME ERROR: 10" if name.startswith(("+CPIN", "+CIMI")) else "+CMS ERROR: 310")
        elif name.startswith("+CMGS="):
            self._pdu_bytes = int(name.removeprefix("+CMGS="))
            self._out += b"\r\n> "
        elif name.startswith("+CMGL"):
            self._list()
        elif name.startswith("+CMGR="):
            self._read(int(name.removeprefix("+CMGR=")))
        elif name.startswith("+CMGD="):
            self._delete(name.removeprefix("+CMGD="))
        else:
            self._setting(name)

    def _list(self) -> None:
        for slot, (state, text) in sorted(self.memory.items()):
            self.say(f"+CMGL: {slot},{state},,{len(text) // 2 - 1}", text)
            self.memory[slot] = (1, text)
        self.say("OK")

    def _read(self, slot: int) -> None:
        if slot not in self.memory:
            self.say("+CMS ERROR: 321")
            return
        state, text = self.memory[slot]
        self.memory[slot] = (1, text)
        self.say(f"+CMGR: {state},,{len(text) // 2 - 1}", text, "OK")

    def _delete(self, fields: str) -> None:
        slot, _, flag = fields.partition(",")
        if flag not in ("", "0"):
            self.memory.clear()
        elif self.memory.pop(int(slot), None) is None:
            self.say("+CMS ERROR: 321")
            return
        self.say("OK")

    def _setting(self, name: str) -> None:
        used = f'"SM",{len(self.memory)},{self.slots}'
        counts = f"{len(self.memory)},{self.slots}"
        answers = {
            "": (),
            "Z": (),
            "I": ("SimModem",),
            "+CPIN?": ("+CPIN: READY",),
            "+CREG?": (f"+CREG: 0,{1 if self.registered else 2}",),
            "+CPMS?": (f"+CPMS: {used},{used},{used}",),
            "+CPMS=?": ('+CPMS: ("SM"),("SM"),("SM")',),
            "+CSMS?": ("+CSMS: 0,1,1,1",),
            "+CSCA?": (f'+CSCA: "{CENTRE}",145',),
            "+CSCS=?": ('+CSCS: ("GSM","HEX","UCS2")',),
            "+CSCS?": (f'+CSCS: "{self._charset}"',),
            "+CMGF=?": ("+CMGF: (0,1)",),
            "+CMGF?": (f"+CMGF: {int(self._text_mode)}",),
            "+CNMI=?": ("+CNMI: (0,1,2),(0,1,2,3),(0,2),(0,1,2),(0,1)",),
            "+CNMI?": ("+CNMI: 2,1,0,1,0",),
            "+CGMI": ("Upkendra",),
            "+CGMM": ("SIMULATOR",),
            "+CGMR": ("1.0",),
            "+CGSN": ("490154203237518",),
            "+CIMI": ("404000000000001",),
            "+CSQ": ("+CSQ: 15,99",),
            "+CFUN?": ("+CFUN: 1",),
        }
        if name in ("E0", "E1"):
            self._echo = name == "E1"
            self.say("OK")
        elif name.startswith("+CPMS=") and name != "+CPMS=?":
            self.say(f"+CPMS: {counts},{counts},{counts}", "OK")
        elif name in ("+CMGF=0", "+CMGF=1"):
            self._text_mode = name.endswith("1")
            self.say("OK")
        elif name.startswith('+CSCS="'):
            self._charset = name.split('"')[1]
            self.say("OK")
        elif name in answers:
            self.say(*answers[name], "OK")
        elif name.startswith(("+CMEE=", "+CSMS=", "+CNMI=", "+CMMS=", "+CFUN=", "+CREG=", "+CNMA", "+CSCA=")):
            self.say("OK")
        else:
            self.say("ERROR")


class PtyModems:
    """Modems behind pseudo-terminals, run by the event loop in real time."""

    def __init__(self, network: Network, folder: Path) -> None:
        self.network = network
        self._folder = folder
        self._masters: dict[str, int] = {}
        self._waiting: dict[int, bytearray] = {}
        self._ticker: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "PtyModems":
        self._ticker = asyncio.create_task(self._tick())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._ticker is not None
        self._ticker.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._ticker
        for number in list(self._masters):
            self.unplug(number)

    def plug(self, number: str) -> str:
        """The path of a modem's port: a link that stays the same when the modem is plugged in again."""
        master, slave = os.openpty()
        tty.setraw(slave)
        os.set_blocking(master, False)
        link = self._folder / f"modem{number.removeprefix('+')}"
        link.unlink(missing_ok=True)
        link.symlink_to(os.ttyname(slave))
        os.close(slave)
        self._masters[number] = master
        self._waiting[master] = bytearray()
        asyncio.get_running_loop().add_reader(master, self._readable, number, master)
        return str(link)

    def unplug(self, number: str) -> None:
        master = self._masters.pop(number)
        asyncio.get_running_loop().remove_reader(master)
        os.close(master)

    def _readable(self, number: str, master: int) -> None:
        try:
            data = os.read(master, 4096)
        except BlockingIOError:
            return
        except OSError:  # nobody has the other end open: look again with the next tick
            asyncio.get_running_loop().remove_reader(master)
            self._waiting[master].clear()
            return
        self.network.modems[number].feed(data, time.monotonic())
        self._flush()

    def _flush(self) -> None:
        for number, master in self._masters.items():
            waiting = self._waiting[master]
            waiting += self.network.modems[number].take()
            if waiting:
                with contextlib.suppress(OSError):
                    del waiting[: os.write(master, waiting)]

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(0.02)
            self.network.step(time.monotonic())
            self._flush()
            for number, master in list(self._masters.items()):
                asyncio.get_running_loop().add_reader(master, self._readable, number, master)
