"""The helper process of :mod:`edge.node.printing.raster`: one PNG on stdin, its dots on stdout, then its end.

Run by its path with ``python -I -S`` and the parent's module path as its only argument. The answer is width and height,
4 bytes each, then the rows, one bit a dot. Imports nothing of this project; keeps nothing.
"""

import os
import sys

DARK_BELOW = 140
"""Grey below this is a black dot: thin strokes of Devanagari must not break."""


def main() -> None:
    """Answer the one request on stdin."""
    sys.path.extend(sys.argv[1].split(os.pathsep))
    import av

    picture = av.CodecContext.create("png", "r").decode(av.Packet(sys.stdin.buffer.read()))[0]
    grey = picture.reformat(format="gray")
    plane = grey.planes[0]
    if grey.width % 8:
        raise ValueError("the width is no multiple of 8")
    body, bits = bytes(plane), bytes(0x31 if value < DARK_BELOW else 0x30 for value in range(256))
    out = bytearray(grey.width.to_bytes(4, "big") + grey.height.to_bytes(4, "big"))
    for row in range(grey.height):
        start = row * plane.line_size
        out += int(body[start : start + grey.width].translate(bits), 2).to_bytes(grey.width // 8, "big")
    sys.stdout.buffer.write(out)


if __name__ == "__main__":
    main()
