"""Writes ``hubkey.json`` and ``holdings.json``: run as ``python -m tests.vectors.make_hubkey``."""

import json
from pathlib import Path

from edge.sync import holdings, hubkey, seal
from edge.sync.frontier import Ranges

HERE = Path(__file__).parent


def main() -> None:
    sign, public = bytes(range(32)), seal.public_of(bytes(range(32, 64)))
    key = hubkey.sign_key(sign, 1_790_000_000_000, public)
    opening, datagram = bytes(176), bytes(176) + bytes(range(64))
    _write(
        "hubkey",
        {
            "hub_sign_public": seal.verifier_of(sign).hex(),
            "made_ms": key.made_ms,
            "kem_public": public.hex(),
            "signature": key.signature.hex(),
            "opening": opening.hex(),
            "datagram": datagram.hex(),
            "answer": hubkey.encode(key, opening, datagram).hex(),
        },
    )
    held = {(bytes(range(8)), 2): Ranges((1, 10), (12, 13)), (bytes(8), 5): Ranges((1, 4))}
    span = holdings.Span(bytes(range(8)), 2, 10, 11)
    _write(
        "holdings",
        {
            "digest": holdings.digest_of(held).hex(),
            "listed": holdings.encode(holdings.describe(held, [(bytes(range(8)), 2)], (7,), whole=False)).hex(),
            "whole": holdings.encode(holdings.describe(held, (), (), whole=True)).hex(),
            "ask_all": holdings.encode(holdings.AskAll()).hex(),
            "wanted": holdings.encode(holdings.Wanted((span,), True)).hex(),
            "notice": holdings.encode(holdings.Notice(holdings.GONE, 3)).hex(),
        },
    )


def _write(name: str, fields: dict[str, str | int]) -> None:
    (HERE / f"{name}.json").write_text(json.dumps(fields, indent=2) + "\n")


if __name__ == "__main__":
    main()
