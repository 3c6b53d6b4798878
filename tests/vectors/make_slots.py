"""Writes ``slots.json`` and ``unlock.json``: run as ``python -m tests.vectors.make_slots``."""

import json
from pathlib import Path

from argon2.low_level import Type, hash_secret_raw

from edge.node.stretch import LANES, MEMORY_KIB, PASSES
from edge.node.unlock import BADGE_BYTES, CODE_BYTES, TABLET_BYTES, WITH_PIN, kek_of, wrap
from edge.sync import frames as fr

HERE = Path(__file__).parent
PIN = "482915"
LENGTHS = {"badge": BADGE_BYTES, "day": TABLET_BYTES, "recovery": CODE_BYTES, "hub": 32}


def main() -> None:
    dmk, salt, nonce = bytes(range(32)), bytes(range(32, 48)), bytes(range(48, 60))
    stretched = hash_secret_raw(PIN.encode(), salt, PASSES, MEMORY_KIB, LANES, 32, Type.ID)
    slots = {}
    for kind, length in LENGTHS.items():
        code, pin = bytes(range(100, 100 + length)), stretched if kind in WITH_PIN else b""
        slot = wrap(kind, code, (salt, pin), nonce, dmk)
        slots[kind] = {
            "code": code.hex(),
            "kek": kek_of(kind, code, pin).hex(),
            "slot_id": slot.slot_id.hex(),
            "wrapped": slot.wrapped.hex(),
        }
    fields = {
        "dmk": dmk.hex(),
        "pin": PIN,
        "salt": salt.hex(),
        "stretched": stretched.hex(),
        "nonce": nonce.hex(),
        "slots": slots,
    }
    request = bytes(range(8))
    told: dict[str, fr.Frame] = {
        "ask": fr.UnlockAsk(request, 0xCAFEF00D),
        "waits": fr.Unlock(request, fr.UNLOCK_WAITS),
        "refused": fr.Unlock(request, fr.UNLOCK_REFUSED),
        "released": fr.Unlock(request, fr.UNLOCK_RELEASED, bytes(range(32))),
    }
    named = {name: fr.encode(frame).hex() for name, frame in told.items()}
    (HERE / "unlock.json").write_text(json.dumps(named, indent=2) + "\n")
    (HERE / "slots.json").write_text(json.dumps(fields, indent=2) + "\n")


if __name__ == "__main__":
    main()
