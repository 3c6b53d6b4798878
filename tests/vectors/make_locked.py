"""Writes ``locked.json``: run as ``python -m tests.vectors.make_locked``. The sealed piece is drawn anew each time."""

import json
from pathlib import Path

from edge.sync import locked, seal
from edge.sync.log import Stream

HERE = Path(__file__).parent


def main() -> None:
    records = bytes(range(32))
    visit, rx = "0123456789abcdef", "fedcba9876543210"
    piece = locked.Piece(bytes(range(8)), int(Stream.URGENT), 1, (b"entry",))
    fields = {
        "records": records.hex(),
        "node_id": bytes(8).hex(),
        "piece": locked.seal_piece(seal.public_of(records), bytes(8), piece).hex(),
        "ask": locked.encode(locked.AskAnswers((visit,), (rx,))).hex(),
        "answer": locked.encode(locked.Answer(visit, "rx_ready", "Dr Anil", rx, b"signed", "anil")).hex(),
    }
    (HERE / "locked.json").write_text(json.dumps(fields, indent=2) + "\n")


if __name__ == "__main__":
    main()
