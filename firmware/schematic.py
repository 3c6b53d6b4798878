"""The schematic of the panel board: its electrical rules, and the tables of HARDWARE.md made from schematic.toml.

``python firmware/schematic.py`` checks the rules and writes the tables; with ``--check`` it only says whether rules
and tables hold; ``--kicad FILE`` writes the netlist for KiCad's board editor. Knows the circuit as a graph of pins and
nets, nothing of its places on a board.
"""

import argparse
import re
import sys
import tomllib
from collections import defaultdict
from enum import StrEnum
from pathlib import Path

import msgspec
from msgspec import Struct

HERE = Path(__file__).parent
SOURCE = HERE / "schematic.toml"
MANUAL = HERE / "HARDWARE.md"
GROUND_NET, UNUSED = "GND", "NC"
LOGIC_V = 5.1
"""Highest voltage of a net that the table does not name: one that the 5 V parts drive."""
UNRATED_V = 5.5
"""A capacitor on a net above this has to name its own voltage."""


class Pin(StrEnum):
    """What a pin is, electrically."""

    PASSIVE = "passive"
    INPUT = "input"
    OUTPUT = "output"
    OPEN = "open"
    """Open drain or collector: pulls down only."""
    POWER_IN = "power_in"
    POWER_OUT = "power_out"
    GROUND = "ground"
    SPARE = "spare"
    """Connected to nothing, on purpose."""


class Kind(Struct, frozen=True):
    """A kind of part. ``pins``: type of each; ``max_v``: what they stand; ``flows``: supply passes from pin to pin."""

    pins: dict[str, Pin]
    footprint: str
    max_v: dict[str, float] = {}
    flows: tuple[tuple[str, str], ...] = ()
    controls: str = ""
    """The pin of a transistor that must not float."""


TWO = {"1": Pin.PASSIVE, "2": Pin.PASSIVE}
BOTH_WAYS = (("1", "2"), ("2", "1"))
DIODE = {"A": Pin.PASSIVE, "K": Pin.PASSIVE}
FORWARD = (("A", "K"),)
BUCK = {"VIN": Pin.POWER_IN, "GND": Pin.GROUND, "VOUT": Pin.POWER_OUT}
MAX7219_OUT = ("2", "3", "5", "6", "7", "8", "10", "11", "14", "15", "16", "17", "20", "21", "22", "23", "24")
AVR = {str(number): Pin.SPARE for number in range(1, 29)} | {
    "1": Pin.INPUT, "7": Pin.POWER_IN, "8": Pin.GROUND, "9": Pin.INPUT, "10": Pin.OUTPUT, "20": Pin.POWER_IN,
    "21": Pin.PASSIVE, "22": Pin.GROUND,
}  # fmt: skip

KINDS = {
    "resistor": Kind(TWO, "Resistor_THT:R_Axial_DIN0207_L6.3mm_D2.5mm_P10.16mm_Horizontal"),
    "capacitor": Kind(TWO, "Capacitor_THT:C_Disc_D5.0mm_W2.5mm_P5.00mm"),
    "inductor": Kind(TWO, "Inductor_THT:L_Axial_L5.3mm_D2.2mm_P10.16mm_Horizontal_Vishay_IM-1", flows=BOTH_WAYS),
    "fuse": Kind(TWO, "Fuse:Fuseholder_Cylinder-5x20mm_Schurter_0031_8201_Horizontal_Open", flows=BOTH_WAYS),
    "crystal": Kind(TWO, "Crystal:Crystal_HC49-4H_Vertical"),
    "buzzer": Kind(TWO, "Buzzer_Beeper:Buzzer_12x9.5RM7.6"),
    "switch": Kind(TWO, "Connector_JST:JST_XH_B2B-XH-A_1x02_P2.50mm_Vertical"),
    "diode": Kind(DIODE, "Diode_THT:D_DO-201AD_P15.24mm_Horizontal", flows=FORWARD),
    "zener": Kind(DIODE, "Diode_THT:D_DO-35_SOD27_P7.62mm_Horizontal"),
    "suppressor": Kind(DIODE, "Diode_SMD:D_SMB"),
    "source": Kind({"1": Pin.POWER_OUT, "2": Pin.GROUND}, "TerminalBlock:TerminalBlock_bornier-2_P5.08mm"),
    "load": Kind(
        {"1": Pin.POWER_IN, "2": Pin.POWER_IN, "3": Pin.GROUND, "4": Pin.GROUND},
        "TerminalBlock:TerminalBlock_bornier-4_P5.08mm",
        {"1": 5.25, "2": 5.25},
    ),
    "header": Kind(
        {str(number): Pin.PASSIVE for number in range(1, 7)},
        "Connector_PinHeader_2.54mm:PinHeader_2x03_P2.54mm_Vertical",
    ),
    "pi_uart": Kind(
        {"1": Pin.OUTPUT, "2": Pin.INPUT, "3": Pin.GROUND},
        "Connector_PinHeader_2.54mm:PinHeader_1x03_P2.54mm_Vertical",
        {"2": 3.6},
    ),
    "buck": Kind(BUCK, "Connector_PinHeader_2.54mm:PinHeader_1x04_P2.54mm_Vertical", {"VIN": 23.0}),
    "buck_en": Kind(
        {**BUCK, "EN": Pin.INPUT},
        "Connector_PinHeader_2.54mm:PinHeader_1x06_P2.54mm_Vertical",
        {"VIN": 32.0, "EN": 6.0},
    ),
    "nmos": Kind(
        {"G": Pin.INPUT, "S": Pin.GROUND, "D": Pin.OPEN}, "Package_TO_SOT_SMD:SOT-23", {"D": 60.0}, controls="G"
    ),
    "npn": Kind(
        {"B": Pin.INPUT, "E": Pin.GROUND, "C": Pin.OPEN}, "Package_TO_SOT_SMD:SOT-23", {"C": 45.0}, controls="B"
    ),
    "atmega328p": Kind(AVR, "Package_DIP:DIP-28_W7.62mm_Socket", dict.fromkeys(AVR, 5.5)),
    "max7219": Kind(
        {str(number): Pin.INPUT for number in (1, 12, 13)}
        | {"4": Pin.GROUND, "9": Pin.GROUND, "18": Pin.PASSIVE, "19": Pin.POWER_IN}
        | dict.fromkeys(MAX7219_OUT, Pin.OUTPUT),
        "Package_DIP:DIP-24_W7.62mm_Socket",
        {"1": 5.5, "12": 5.5, "13": 5.5, "19": 5.5},
    ),
    "digits4": Kind({str(number): Pin.PASSIVE for number in range(1, 13)}, "Display_7Segment:CA56-12CGKWA"),
}


class Part(Struct, frozen=True):
    """A part and the net of each of its pins."""

    ref: str
    kind: str
    value: str
    pins: dict[str, str]
    inr: float
    near: str = ""
    """For a capacitor: the supply pin beside which it sits."""


class Signal(Struct, frozen=True):
    """A pin of the processor as the firmware uses it."""

    pin: str
    port: str
    net: str
    direction: str
    what: str
    reset: str
    pull_up: bool = False


class Schematic(Struct, frozen=True):
    """schematic.toml."""

    board_inr: float
    max_v: dict[str, float]
    signal: list[Signal]
    part: list[Part]

    def type_of(self, part: Part, pin: str) -> Pin:
        """The type of a pin; the processor's as the firmware drives them."""
        if part.kind == "atmega328p":
            for signal in self.signal:
                if signal.pin == pin:
                    return Pin.OUTPUT if signal.direction == "out" else Pin.INPUT
        return KINDS[part.kind].pins[pin]

    def nets(self) -> dict[str, list[tuple[Part, str]]]:
        """Every net with its pins."""
        found: defaultdict[str, list[tuple[Part, str]]] = defaultdict(list)
        for part in self.part:
            for pin, net in part.pins.items():
                if net != UNUSED:
                    found[net].append((part, pin))
        return dict(found)

    def volts(self, net: str) -> float:
        return 0.0 if net == GROUND_NET else self.max_v.get(net, LOGIC_V)


def load() -> Schematic:
    """The schematic. Raises msgspec.ValidationError."""
    return msgspec.convert(tomllib.loads(SOURCE.read_text()), Schematic)


def errors_of(made: Schematic) -> list[str]:
    """Electrical rules that do not hold, as sentences."""
    found = _wrong_parts(made)
    if found:
        return found  # the rest would stumble
    nets = made.nets()
    powered = _powered(made, nets)
    for net, pins in nets.items():
        found += _wrong_net(made, net, pins)
    for part in made.part:
        found += _wrong_supply(made, part, powered) + _wrong_control(made, part, nets, powered) + _too_high(made, part)
    unknown = set(made.max_v) - set(nets)
    return found + [f"max_v names the net {net}, which is not there" for net in sorted(unknown)]


def _wrong_parts(made: Schematic) -> list[str]:
    """Pins connected or marked unused, values there, references once."""
    found = []
    refs = [part.ref for part in made.part]
    found += [f"{ref} is there twice" for ref in sorted({ref for ref in refs if refs.count(ref) > 1})]
    for part in made.part:
        kind = KINDS.get(part.kind)
        if kind is None:
            found.append(f"{part.ref}: no such kind: {part.kind}")
            continue
        if not part.value:
            found.append(f"{part.ref} has no value")
        found += [
            f"{part.ref}.{pin} is neither connected nor marked {UNUSED}" for pin in kind.pins if pin not in part.pins
        ]
        found += [f"{part.ref} has no pin {pin}" for pin in part.pins if pin not in kind.pins]
        for pin, net in part.pins.items():
            if net != UNUSED and pin in kind.pins and made.type_of(part, pin) is Pin.SPARE:
                found.append(f"{part.ref}.{pin} is connected but no signal of the firmware")
            if net == UNUSED and pin in kind.pins and made.type_of(part, pin) in (Pin.INPUT, Pin.POWER_IN, Pin.GROUND):
                found.append(f"{part.ref}.{pin} must not be left open")
    processor = next((part for part in made.part if part.kind == "atmega328p"), None)
    for signal in made.signal:
        if processor is None or processor.pins.get(signal.pin) != signal.net:
            found.append(f"signal {signal.net} is not on pin {signal.pin} of the processor")
    return found


def _powered(made: Schematic, nets: dict[str, list[tuple[Part, str]]]) -> set[str]:
    """Nets that a source supplies, through fuses, coils and diodes in their direction."""
    reached = {net for net, pins in nets.items() if any(made.type_of(*one) is Pin.POWER_OUT for one in pins)}
    while True:
        more = {
            part.pins[end]
            for part in made.part
            for start, end in KINDS[part.kind].flows
            if part.pins[start] in reached and part.pins[end] not in reached
        }
        if not more:
            return reached
        reached |= more


def _wrong_net(made: Schematic, net: str, pins: list[tuple[Part, str]]) -> list[str]:
    """One driver at most, every input driven or pulled, no net with a single pin, ground is ground."""
    types = [made.type_of(*one) for one in pins]
    found = []
    if len(pins) < 2:
        found.append(f"{net} has one pin only: {pins[0][0].ref}.{pins[0][1]}")
    drivers = [f"{part.ref}.{pin}" for part, pin in pins if made.type_of(part, pin) in (Pin.OUTPUT, Pin.POWER_OUT)]
    if len(drivers) > 1:
        found.append(f"{net} has {len(drivers)} drivers: {', '.join(drivers)}")
    if Pin.GROUND in types and net != GROUND_NET:
        found.append(f"{net} holds a ground pin")
    if net == GROUND_NET and any(one in (Pin.OUTPUT, Pin.POWER_OUT, Pin.POWER_IN) for one in types):
        found.append("an output or a supply pin lies on ground")
    if Pin.INPUT in types and not drivers and net != GROUND_NET:
        holds = any(part.kind in ("resistor", "crystal") or made.type_of(part, pin) is Pin.OPEN for part, pin in pins)
        if not holds and not any(signal.net == net and signal.pull_up for signal in made.signal):
            found.append(f"{net}: nothing drives or pulls its input")
    return found


def _wrong_supply(made: Schematic, part: Part, powered: set[str]) -> list[str]:
    """Every supply pin is powered and, at an active part, has its own capacitor to ground."""
    found = []
    for pin, net in part.pins.items():
        if made.type_of(part, pin) is not Pin.POWER_IN:
            continue
        if net not in powered:
            found.append(f"{part.ref}.{pin} ({net}) has no supply")
        name = f"{part.ref}.{pin}"
        if part.ref.startswith("U") and not any(
            one.near == name and set(one.pins.values()) == {net, GROUND_NET} for one in made.part
        ):
            found.append(f"{name} has no capacitor beside it")
    if part.near:
        ref, _, pin = part.near.partition(".")
        beside = next((one for one in made.part if one.ref == ref), None)
        if beside is None or beside.pins.get(pin) not in part.pins.values():
            found.append(f"{part.ref} is said to be near {part.near}, and shares no net with it")
    return found


def _wrong_control(
    made: Schematic, part: Part, nets: dict[str, list[tuple[Part, str]]], powered: set[str]
) -> list[str]:
    """A transistor is held off while nothing drives it; what only pulls down has something that pulls up."""
    found = []
    kind = KINDS[part.kind]
    if kind.controls and not _joined(nets, part.pins[kind.controls], {GROUND_NET}, ("resistor",)):
        found.append(f"{part.ref}.{kind.controls}: no resistor to ground holds it off while the processor is in reset")
    for pin, net in part.pins.items():
        if made.type_of(part, pin) is Pin.OPEN and not _joined(nets, net, powered, ("resistor", "buzzer")):
            found.append(f"{part.ref}.{pin} ({net}): nothing pulls it up")
    return found


def _joined(nets: dict[str, list[tuple[Part, str]]], net: str, to: set[str], kinds: tuple[str, ...]) -> bool:
    """Whether a part of these kinds leads from a net to one of others."""
    return any(part.kind in kinds and set(part.pins.values()) - {net} <= to for part, _ in nets[net])


def _too_high(made: Schematic, part: Part) -> list[str]:
    """No pin, and no capacitor, sees more than it stands."""
    found = [
        f"{part.ref}.{pin} stands {limit:g} V, {part.pins[pin]} can have {made.volts(part.pins[pin]):g} V"
        for pin, limit in KINDS[part.kind].max_v.items()
        if part.pins[pin] != UNUSED and made.volts(part.pins[pin]) > limit
    ]
    if part.kind == "capacitor":
        first, second = (made.volts(part.pins[pin]) for pin in ("1", "2"))
        rated = re.search(r"([\d.]+) V", part.value)
        limit = float(rated[1]) if rated else UNRATED_V
        if abs(first - second) > limit:
            found.append(f"{part.ref} ({part.value}) can have {abs(first - second):g} V")
    return found


# -- what is made of it ----------------------------------------------------------------------------------


def natural(text: str) -> tuple[str, int, str]:
    """Orders R2 before R10."""
    letters, digits, rest = re.fullmatch(r"(\D*)(\d*)(.*)", text).groups()  # type: ignore[union-attr]
    return letters, int(digits or 0), rest


def pin_table(made: Schematic) -> str:
    lines = [
        "| pin (DIP-28) | port | direction | net | what | in reset, or with an empty flash |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {one.pin} | {one.port} | {one.direction} | {one.net} | {one.what} | {one.reset} |" for one in made.signal
    ]
    return "\n".join(lines)


def net_table(made: Schematic) -> str:
    nets = made.nets()
    lines = ["| net | at most | pins |", "|---|---|---|"]
    for net in sorted(nets, key=natural):
        pins = sorted((f"{part.ref}.{pin}" for part, pin in nets[net]), key=natural)
        lines.append(f"| {net} | {made.volts(net):g} V | {' '.join(pins)} |")
    return "\n".join(lines)


def bill(made: Schematic) -> str:
    groups: defaultdict[tuple[str, str, float], list[str]] = defaultdict(list)
    for part in made.part:
        groups[part.kind, part.value, part.inr].append(part.ref)
    lines = ["| parts | what | pieces | ₹ each | ₹ |", "|---|---|---|---|---|"]
    for (kind, value, inr), refs in sorted(groups.items(), key=lambda one: natural(one[1][0])):
        what = value if kind in ("atmega328p", "max7219", "digits4", "source", "load", "header") else f"{kind} {value}"
        lines.append(
            f"| {' '.join(sorted(refs, key=natural))} | {what} | {len(refs)} | {inr:g} | {inr * len(refs):g} |"
        )
    total = sum(part.inr for part in made.part) + made.board_inr
    lines += [
        f"| | printed board, two layers | 1 | {made.board_inr:g} | {made.board_inr:g} |",
        f"| | | | sum | {total:,.0f} |",
    ]
    return "\n".join(lines)


TABLES = {"pins": pin_table, "nets": net_table, "bill": bill}


def manual(made: Schematic) -> str:
    """HARDWARE.md as it should be."""
    text = MANUAL.read_text()
    for name, make in TABLES.items():
        begin, end = f"<!-- {name}: begin, made by schematic.py -->", f"<!-- {name}: end -->"
        before, _, rest = text.partition(begin)
        _, found, after = rest.partition(end)
        if not found:
            raise ValueError(f"HARDWARE.md has no place for the table {name}")
        text = f"{before}{begin}\n\n{make(made)}\n\n{end}{after}"
    return text


def kicad(made: Schematic) -> str:
    """The netlist in KiCad's exchange format (version E)."""

    def quoted(value: str) -> str:
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'

    lines = ["(export (version E)", "  (components"]
    for part in made.part:
        footprint = KINDS[part.kind].footprint
        lines.append(
            f"    (comp (ref {quoted(part.ref)}) (value {quoted(part.value)}) (footprint {quoted(footprint)}))"
        )
    lines += ["  )", "  (nets"]
    for code, (net, pins) in enumerate(sorted(made.nets().items()), start=1):
        nodes = " ".join(f"(node (ref {quoted(part.ref)}) (pin {quoted(pin)}))" for part, pin in pins)
        lines.append(f'    (net (code "{code}") (name {quoted(net)}) {nodes})')
    return "\n".join([*lines, "  )", ")", ""])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing, fail when rules or tables do not hold")
    parser.add_argument("--kicad", type=Path, metavar="FILE", help="write the netlist for KiCad")
    options = parser.parse_args()
    made = load()
    wrong = errors_of(made)
    for one in wrong:
        print(one, file=sys.stderr)
    print(f"{len(made.part)} parts, {len(made.nets())} nets, {len(wrong)} errors")
    if options.kicad:
        options.kicad.write_text(kicad(made))
    text = manual(made)
    if MANUAL.read_text() != text:
        if options.check:
            print("out of date: HARDWARE.md; run python firmware/schematic.py", file=sys.stderr)
            return 1
        MANUAL.write_text(text)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
