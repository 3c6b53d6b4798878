"""What a Raspberry Pi's image starts with: the counters under Linux, U-Boot's script, the card's old table.

The script runs in a shell in which U-Boot's commands are played; under ``--long`` U-Boot itself runs it, in qemu.
"""

import re
import struct
import subprocess
import zlib
from pathlib import Path

import msgspec
import pytest

from images.appliance import ubootenv
from images.builder import disk, uboot
from images.builder import recipe as recipes
from images.builder.recipe import MIB
from images.builder.tools import BuildFailed, run
from tests.kits.machine import ArmMachine

EPOCH_S = 1_795_651_200
SMALL = msgspec.structs.replace(
    recipes.recipe("rpi", ci=True),
    slots=recipes._with_counters(recipes._slots(40 * MIB, 40 * MIB, 8 * MIB, 16 * MIB, recipes.ROOT_ARM64)),
)
PLAYED = """
setenv() { eval "$1=\\${2:-}"; }
setexpr() { if [ "$3" = - ]; then setenv "$1" $(($2 - $4)); else setenv "$1" "$2+$4"; fi; }
virtio() { case "$1" in write) echo "written=$2 at $3: $UPK_TURN/$BOOT_ORDER/$BOOT_A_LEFT/$BOOT_B_LEFT" ;; esac; }
part() { setenv "$5" env; }
env() {
  [ "$1" = import ] || return 0
  sector=$3; shift 4
  case "$sector" in 0x47000000) copy=$copy_1 ;; *) copy=$copy_2 ;; esac
  [ "$copy" != damaged ] || return 1
  UPK_TURN=${copy%%/*}
  [ "$#" -gt 1 ] || return 0
  left=${copy#*/}; BOOT_ORDER=${left%%/*}; left=${left#*/}; BOOT_A_LEFT=${left%%/*}; BOOT_B_LEFT=${left#*/}
}
load() { [ "$2" != "0:$broken" ]; }
booti() { echo "started=$bootargs"; exit 0; }
reset() { echo "started=reset"; exit 0; }
devtype=virtio devnum=0 fdt_addr=0x40000000 filesize=1
"""


def start(first: str, second: str, broken: int = 0) -> tuple[str, str, str]:
    """(what starts, the sector that was written, the counters in it) for two copies as ``turn/order/A left/B left``."""
    given = f"copy_1='{first}' copy_2='{second}' broken={broken}\n"
    script = PLAYED + given + uboot.text(SMALL, "quiet")
    said = subprocess.run(["sh", "-u"], input=script, capture_output=True, text=True, check=True).stdout
    (started,) = re.findall(r"^started=(.*)$", said, re.MULTILINE)
    ((sector, counters),) = re.findall(r"^written=\S+ at (\S+): (.*)$", said, re.MULTILINE)
    if "upkendra.recovery" in started:
        return "recovery", sector, counters
    slot = re.search(r"rauc\.slot=([AB])", started)
    return slot.group(1) if slot else started, sector, counters


FIRST, SECOND = "env", "env+2000"


@pytest.mark.parametrize(
    ("first", "second", "started", "sector", "counters"),
    [
        ("0/A/3/0", "damaged", "A", SECOND, "1/A/2/0"),
        ("damaged", "0/A/3/0", "A", FIRST, "1/A/2/0"),
        ("0/A B/3/3", "1/B A/3/2", "B", FIRST, "2/B A/3/1"),
        ("2/B A/3/1", "1/B A/3/2", "B", SECOND, "0/B A/3/0"),
        ("2/B A/3/1", "0/B A/3/0", "A", FIRST, "1/B A/2/0"),
        ("0/A B/0/0", "2/A B/1/0", "recovery", SECOND, "1/A B/3/3"),
        ("0/B A/0/0", "2/B A/0/1", "recovery", SECOND, "1/B A/3/3"),
        ("damaged", "damaged", "A", FIRST, "0/A B/2/3"),
    ],
)
def test_the_newer_copy_counts_the_older_is_written_and_a_slot_is_tried_thrice(
    first: str, second: str, started: str, sector: str, counters: str
) -> None:
    assert start(first, second) == (started, sector, counters)


def test_after_the_recovery_a_slot_that_rauc_struck_out_comes_last_and_once() -> None:
    assert start("0/A/0/0", "damaged") == ("recovery", SECOND, "1/A B/3/1")
    assert start("0/B/0/0", "damaged") == ("recovery", SECOND, "1/B A/1/3")
    assert start("1/A B/0/1", "damaged") == ("B", SECOND, "2/A B/0/0")
    assert start("0//0/0", "damaged") == ("recovery", SECOND, "1/A B/3/3"), "RAUC may have struck out both"


def test_a_slot_whose_kernel_cannot_be_read_costs_a_try() -> None:
    assert start("0/A B/3/3", "damaged", broken=SMALL.number("UPK-BOOT-A")) == ("reset", SECOND, "1/A B/2/3")


def test_the_script_is_an_image_that_u_boot_takes() -> None:
    made = uboot.image("# says nothing\nboot\n", EPOCH_S)
    magic, crc, time_s, size, _, _, data_crc = struct.unpack(">7I", made[:28])
    assert (magic, time_s, size) == (0x27051956, EPOCH_S, len(made) - 64)
    assert zlib.crc32(made[:4] + bytes(4) + made[8:64]) == crc
    assert zlib.crc32(made[64:]) == data_crc
    assert made[64:] == struct.pack(">II", 5, 0) + b"boot\n"
    script = uboot.text(SMALL, disk.CMDLINE)
    assert "@" not in script
    assert SMALL.slot("UPK-ROOT-B").uuid in script


def test_rauc_reads_and_writes_the_counters(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    device = tmp_path / "env"
    uboot.counters(device, 8 * MIB)
    assert ubootenv.main(["set", "BOOT_ORDER", "B A"], device) == 0
    assert ubootenv.main(["set", "BOOT_B_LEFT", "3"], device) == 0
    assert ubootenv.main(["print", "BOOT_ORDER"], device) == 0
    assert ubootenv.main(["set", "BOOT_ORDER", ""], device) == 0
    assert ubootenv.main(["print"], device) == 0
    first, *rest = capsys.readouterr().out.splitlines()
    assert (first, sorted(rest)) == ("BOOT_ORDER=B A", ["BOOT_A_LEFT=3", "BOOT_B_LEFT=3", "BOOT_ORDER="])
    assert ubootenv.main(["set", "BOOT_ORDER"], device) == 0
    assert ubootenv.main(["print", "BOOT_ORDER"], device) == 1
    assert ubootenv.main(["list"], device) == 1
    assert device.stat().st_size == 8 * MIB


def test_a_write_that_was_cut_leaves_the_counters_before_it(tmp_path: Path) -> None:
    device = tmp_path / "env"
    uboot.counters(device, 8 * MIB)
    for number in range(7):
        before = ubootenv.read(device)
        content = device.read_bytes()
        ubootenv.write(device, {**before, "BOOT_A_LEFT": str(number % 3)})
        after = device.read_bytes()
        (at,) = (at for at in (0, ubootenv.APART_BYTES) if content[at : at + 512] != after[at : at + 512])
        torn = after[: at + 8] + content[at + 8 :]
        (tmp_path / "torn").write_bytes(torn)
        assert ubootenv.read(tmp_path / "torn") == before
        assert ubootenv.read(device)["BOOT_A_LEFT"] == str(number % 3)
    with pytest.raises(ValueError, match="do not fit"):
        ubootenv.encode({"X": "x" * ubootenv.SECTOR_BYTES})


def test_a_pi_3_finds_the_first_partition_and_everything_else_finds_all(tmp_path: Path) -> None:
    image = tmp_path / "image"
    disk.assemble(SMALL, {}, image)
    table = image.read_bytes()[446:512]
    kind, start_sector, sectors = struct.unpack("<4xB3xII", table[:16])
    assert (kind, start_sector * 512, sectors * 512) == (0x0C, SMALL.offset_bytes("UPK-ESP"), 40 * MIB)
    assert struct.unpack("<4xB3xII", table[16:32]) == (0xEE, 1, start_sector - 1)
    assert (table[32:64], table[64:]) == (bytes(32), b"\x55\xaa")
    told = msgspec.json.decode(run(["sfdisk", "--json", image]))["partitiontable"]
    assert (told["label"], [row["name"] for row in told["partitions"]]) == ("gpt", [slot.label for slot in SMALL.slots])
    with image.open("r+b") as file:
        file.truncate(image.stat().st_size + 64 * MIB)
    run(["sfdisk", "-q", "--relocate", "gpt-bak-std", image])
    number = str(SMALL.number("UPK-DATA"))
    run(["sfdisk", "-q", "--no-reread", "--no-tell-kernel", "-N", number, image], stdin=b", +\n")
    assert image.read_bytes()[446:512] == table, "what grows the data partition leaves the old table as it is"


def test_an_image_for_nodes_without_a_machines_description_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(BuildFailed, match="bcm2712-rpi-5-b"):
        uboot.files(recipes.recipe("rpi", ci=False), tmp_path, tmp_path, "", EPOCH_S)


@pytest.mark.long
@pytest.mark.machine
@pytest.mark.timeout(900)
def test_u_boot_itself_counts_down_to_the_recovery_with_both_copies(tmp_path: Path) -> None:
    if reason := ArmMachine.why_not():
        pytest.skip(reason)
    esp, env, card = tmp_path / "esp", tmp_path / "env", tmp_path / "card"
    disk.fat({uboot.SCRIPT: uboot.image(uboot.text(SMALL, ""), EPOCH_S)}, esp, SMALL.slot("UPK-ESP"), EPOCH_S)
    uboot.counters(env, SMALL.slot("UPK-ENV").size_bytes)
    ubootenv.write(env, {"BOOT_ORDER": "B A", "BOOT_A_LEFT": "1", "BOOT_B_LEFT": "2"})
    disk.assemble(SMALL, {"UPK-ESP": esp, "UPK-ENV": env}, card)
    with ArmMachine(card, tmp_path / "machine") as machine:
        machine.wait_said("Upkendra: slot none")
        said = machine.console.read_text(errors="replace")
    assert re.findall(r"^Upkendra: slot (\w+)\s*$", said, re.MULTILINE) == ["B", "B", "A", "none"]
    with card.open("rb") as file:
        file.seek(SMALL.offset_bytes("UPK-ENV"))
        env.write_bytes(file.read(SMALL.slot("UPK-ENV").size_bytes))
    assert ubootenv.read(env) == {"BOOT_ORDER": "B A", "BOOT_A_LEFT": "3", "BOOT_B_LEFT": "3"}
