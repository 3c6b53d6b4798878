"""Writes ``updating.json``: run as ``python -m tests.vectors.make_updating``."""

import json
from pathlib import Path

from edge.sync import updating as up

HERE = Path(__file__).parent
SHA = bytes(range(32))
MESSAGES: dict[str, up.Message] = {
    "ask": up.Ask("rpi"),
    "offers": up.Offers((up.Head(SHA, "system", "1.2.0", 30_000),)),
    "no_offers": up.Offers(()),
    "want_offer": up.WantOffer(SHA),
    "offer": up.Offer(b"an UPDATE file"),
    "want": up.Want(SHA, 16_384, 13_616),
    "piece": up.Piece(SHA[:8], 16_384, b"piece"),
    "gone": up.Gone(SHA),
    "told": up.Told("system", "1.2.0", "coming", 16_384, 30_000, "", ""),
}


def main() -> None:
    fields = {name: up.encode(message).hex() for name, message in MESSAGES.items()}
    (HERE / "updating.json").write_text(json.dumps(fields, indent=2) + "\n")


if __name__ == "__main__":
    main()
