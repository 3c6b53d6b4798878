"""The schematic keeps its electrical rules, the rules can fail, and firmware and HARDWARE.md say what it says."""

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import msgspec
import pytest

from tests.kits.panel_board import ROOT

FIRMWARE = ROOT / "firmware"
BOARD_C = (FIRMWARE / "panel/app/board.c").read_text()
HARDWARE = (FIRMWARE / "HARDWARE.md").read_text()
NETS_OF_CODE = {
    "BUTTON_PIN": "BUTTON",
    "BUZZER_PIN": "BUZZER",
    "CUT_PIN": "CUT",
    "MAINS_PIN": "MAINS_SENSE",
    "CS_PIN": "LED_CS",
    "MOSI_PIN": "LED_DIN",
    "MISO_PIN": "MISO",
    "SCK_PIN": "LED_CLK",
}


def loaded(path: Path) -> ModuleType:
    """A program of the firmware's folder as a module."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


schematic = loaded(FIRMWARE / "schematic.py")
MADE = schematic.load()


def changed(ref: str, **what: object) -> object:
    """The schematic with a part changed; ``pins`` adds to those that are there."""
    parts = []
    for part in MADE.part:
        if part.ref == ref:
            fresh = dict(what)
            if "pins" in fresh:
                fresh["pins"] = {**part.pins, **fresh["pins"]}  # type: ignore[dict-item]
            part = msgspec.structs.replace(part, **fresh)
        parts.append(part)
    assert parts != MADE.part
    return msgspec.structs.replace(MADE, part=parts)


def without(ref: str) -> object:
    return msgspec.structs.replace(MADE, part=[part for part in MADE.part if part.ref != ref])


def test_the_schematic_keeps_its_electrical_rules() -> None:
    assert schematic.errors_of(MADE) == []


@pytest.mark.parametrize(
    ("spoilt", "complaint"),
    [
        (changed("R1", pins={"1": "NOWHERE"}), "NOWHERE has one pin only"),
        (changed("R1", value=""), "R1 has no value"),
        (changed("U1", pins={"13": "V5"}), "U1.13 is connected but no signal"),
        (changed("U1", pins={"4": "NC"}), "U1.4 must not be left open"),
        (changed("U1", pins={"2": "TXD", "3": "RXD"}), "signal RXD is not on pin 2"),
        (changed("U4", pins={"24": "LED_DIN"}), "LED_DIN has 2 drivers"),
        (changed("U4", pins={"9": "DIG0"}), "DIG0 holds a ground pin"),
        (changed("L1", pins={"1": "GND"}), "U1.20 (AVCC) has no supply"),
        (changed("U2", pins={"VIN": "HOLD6"}), "U2.VIN (HOLD6) has no supply"),
        (changed("C6", near="U1.20"), "U1.7 has no capacitor beside it"),
        (without("R6"), "Q1.G: no resistor to ground holds it off"),
        (without("R5"), "Q1.D (EN): nothing pulls it up"),
        (without("R4"), "RESET: nothing drives or pulls its input"),
        (changed("C1", value="470 µF 10 V"), "C1 (470 µF 10 V) can have 15 V"),
        (changed("C21", value="25 F 2.3 V"), "C21 (25 F 2.3 V) can have 2.5 V"),
        (msgspec.structs.replace(MADE, max_v={**MADE.max_v, "PI_RXD": 5.1}), "J6.2 stands 3.6 V"),
        (msgspec.structs.replace(MADE, part=[*MADE.part, MADE.part[0]]), "J1 is there twice"),
    ],
)
def test_a_rule_that_is_broken_is_named(spoilt: object, complaint: str) -> None:
    assert any(complaint in one for one in schematic.errors_of(spoilt)), schematic.errors_of(spoilt)


def test_a_pin_that_is_neither_connected_nor_marked_unused_is_named() -> None:
    spoilt = [
        msgspec.structs.replace(
            part, pins={pin: net for pin, net in part.pins.items() if (part.ref, pin) != ("U4", "24")}
        )
        for part in MADE.part
    ]
    wrong = schematic.errors_of(msgspec.structs.replace(MADE, part=spoilt))
    assert wrong == ["U4.24 is neither connected nor marked NC"]


def test_the_tables_of_the_manual_are_made_from_the_schematic() -> None:
    assert schematic.manual(MADE) == HARDWARE


def test_the_firmware_uses_the_pins_of_the_schematic() -> None:
    ports = {signal.net: signal.port for signal in MADE.signal}
    defined = dict(re.findall(r"#define (\w+_PIN) (P[BCD]\d)", BOARD_C))
    assert {NETS_OF_CODE[name]: port for name, port in defined.items()} == {
        net: port for net, port in ports.items() if net in NETS_OF_CODE.values()
    }
    channels = re.search(r"enum channel \{ (.*?) \}", (FIRMWARE / "panel/app/board.h").read_text())
    assert channels is not None
    assert channels[1].split(", ") == ["CHANNEL_BATTERY", "CHANNEL_INPUT", "CHANNELS"]
    assert (ports["BATTERY_SENSE"], ports["INPUT_SENSE"]) == ("PC0", "PC1")
    assert (ports["RXD"], ports["TXD"]) == ("PD0", "PD1")


def test_the_firmware_drives_and_pulls_up_as_the_schematic_says() -> None:
    port_of = {**{name: name for name in ("PD0", "PD1")}, **dict(re.findall(r"#define (\w+_PIN) (P[BCD]\d)", BOARD_C))}

    def pins(register: str) -> set[str]:
        line = re.search(rf"^    {register} = \(uint8_t\)\(?(.*?)\)?;", BOARD_C, re.M)
        assert line is not None
        return {port_of[name] for name in re.findall(r"1U << (\w+)", line[1])}

    assert pins("DDRD") | pins("DDRB") == {signal.port for signal in MADE.signal if signal.direction == "out"}
    pulled = {signal.port for signal in MADE.signal if signal.pull_up}
    assert pins("PORTD") | (pins("PORTB") - {"PB2"}) == pulled, "PB2 is an output that starts high"


def test_what_the_firmware_calls_spare_is_open_in_the_schematic() -> None:
    spare = set(re.findall(r"P[BCD]\d", "".join(re.findall(r"#define SPARE_\w \((.*?)\)", BOARD_C))))
    numbers = {"11": "PD5", "13": "PD7", "14": "PB0", "15": "PB1", "25": "PC2", "26": "PC3", "27": "PC4", "28": "PC5"}
    processor = next(part for part in MADE.part if part.ref == "U1")
    assert spare == {port for pin, port in numbers.items() if processor.pins[pin] == "NC"} == set(numbers.values())


def kilo_ohms(ref: str) -> float:
    value = next(part.value for part in MADE.part if part.ref == ref)
    found = re.match(r"([\d.]+) kΩ", value)
    assert found is not None
    return float(found[1])


def test_the_dividers_are_those_that_the_firmware_converts_with() -> None:
    for upper, lower in (("R9", "R10"), ("R13", "R14")):
        ratio = (kilo_ohms(upper) + kilo_ohms(lower)) / kilo_ohms(lower)
        gain = re.search(r"#define GAIN_DEFAULT (\d+)U", (FIRMWARE / "panel/app/gauge.h").read_text())
        assert gain is not None
        assert int(gain[1]) == round(5000 / 1024 * ratio * 256)
    assert 5.1 * kilo_ohms("R2") / (kilo_ohms("R1") + kilo_ohms("R2")) < 3.3 * 1.01


def test_the_hold_up_of_the_manual_is_what_its_capacitors_give() -> None:
    power = (FIRMWARE / "panel/app/power.h").read_text()
    threshold = re.search(r"BATTERY_SHUTDOWN_MV (\d+)U", power)
    hold_up = re.search(r"HOLD_UP_S (\d+)U", power)
    assert threshold is not None and hold_up is not None
    farads = 25 / sum(part.value == "25 F 2.7 V" for part in MADE.part)
    begin_v, end_v = int(threshold[1]) / 1000 - 0.8, 6.5
    energy_j = farads / 2 * (begin_v**2 - end_v**2) * 0.88
    said = re.search(
        r"Load ([\d.]+) W: \*\*([\d.]+) s\*\* new, \*\*([\d.]+) s\*\* when the capacitors have lost 30 %", HARDWARE
    )
    assert said is not None
    load_w, new_s, aged_s = map(float, said.groups())
    assert new_s == pytest.approx(energy_j / load_w, abs=0.06)
    assert aged_s == pytest.approx(0.7 * energy_j / load_w, abs=0.06)
    assert aged_s >= int(hold_up[1]) == 10


def test_the_manual_has_its_chapters_and_the_thresholds_of_the_firmware() -> None:
    chapters = ("Pins", "Schematic", "Fail-safe states", "Power budget and hold-up", "Bill of materials")
    for chapter in (*chapters, "Fuses and lock bits", "Bench checklist", "Only simulated"):
        assert f"## {chapter}" in HARDWARE
    power = (FIRMWARE / "panel/app/power.h").read_text()
    for name in ("WARN", "SHUTDOWN", "CRITICAL"):
        threshold = re.search(rf"BATTERY_{name}_MV (\d+)U", power)
        assert threshold is not None
        assert f"battery below {int(threshold[1]) / 1000:.1f} V" in HARDWARE


def test_the_netlist_for_kicad_is_balanced_and_names_every_pin(tmp_path: Path) -> None:
    text = schematic.kicad(MADE)
    bare = re.sub(r'"(?:[^"\\]|\\.)*"', "", text)
    assert bare.count("(") == bare.count(")")
    connected = sum(net != "NC" for part in MADE.part for net in part.pins.values())
    assert text.count("(node ") == connected
    assert text.count("(comp ") == len(MADE.part)
