"""The helper process of :mod:`edge.slips.typeset`: pages for each request on stdin, until stdin ends.

Run by its path with ``python -I -S``; its arguments are the folders of templates and fonts and the parent's module
path. A request is four frames (length in 4 bytes, then the bytes): template, words as JSON, "pdf" or "png", pixels an
inch. The answer is a count and so many frames; a count of 0 is followed by one frame that says why. Imports nothing of
this project; no network, no clock, no system font; keeps nothing.
"""

import os
import signal
import sys
from typing import IO


def read_frame(stream: IO[bytes]) -> bytes:
    """One frame; empty at the stream's end."""
    size = int.from_bytes(stream.read(4), "big")
    return stream.read(size)


def write_frame(stream: IO[bytes], content: bytes) -> None:
    """One frame."""
    stream.write(len(content).to_bytes(4, "big") + content)


def main() -> None:
    """Answer until there are no more requests."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C at a terminal is for the parent; its end is ours
    templates, fonts, path = sys.argv[1:4]
    sys.path.extend(path.split(os.pathsep))
    import typst

    compiler = typst.Compiler(root=templates, font_paths=[fonts], ignore_system_fonts=True)
    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    why = b"nothing"
    while template := read_frame(requests):
        words, kind, ppi = (read_frame(requests).decode() for _ in range(3))
        try:
            made = compiler.compile(
                input=template,
                format="png" if kind == "png" else "pdf",
                ppi=float(ppi),
                sys_inputs={"slip": words},
                timestamp=0,
                pdf_tags=False,
            )
            pages = [made] if isinstance(made, bytes) else made or []
        except Exception as error:
            pages = []
            why = type(error).__name__.encode()  # its words would quote the slip's
        answers.write(len(pages).to_bytes(4, "big"))
        for page in pages or [why]:
            write_frame(answers, page)
        answers.flush()


if __name__ == "__main__":
    main()
