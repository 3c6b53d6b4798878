"""Opus packets taken apart and put together (RFC 6716 section 3.2): pure, and without decoding.

Two packets of 60 ms in one of 120 ms save the second one's headers, which on a thin link cost more than its sound.
"""

MOST_FRAMES = 48
_LONGEST_SHORT = 252
_FRAME_MS = (10.0, 20.0, 40.0, 60.0) * 3 + (10.0, 20.0) * 2 + (2.5, 5.0, 10.0, 20.0) * 4
"""Of each configuration, table 2 of section 3.1."""
_LONGEST_MS = 120.0


def frames_of(packet: bytes) -> list[bytes] | None:
    """The frames of one packet, without its table-of-contents byte; None when it breaks the rules."""
    if not packet:
        return None
    code, body = packet[0] & 3, packet[1:]
    if code == 0:
        return [body]
    if code == 1:
        return [body[: len(body) // 2], body[len(body) // 2 :]] if len(body) % 2 == 0 else None
    if code == 2:
        found = _length(body)
        if found is None or found[0] + found[1] > len(body):
            return None
        size, used = found
        return [body[used : used + size], body[used + size :]]
    return _many(body)


def _many(body: bytes) -> list[bytes] | None:
    """Code 3: a count byte, padding, and frames of one size or of sizes that are written."""
    if not body or not 1 <= (body[0] & 63) <= MOST_FRAMES:
        return None
    count, varies, padded = body[0] & 63, bool(body[0] & 128), bool(body[0] & 64)
    place, padding = 1, 0
    while padded:
        if place >= len(body):
            return None
        padding += min(body[place], 254)
        padded = body[place] == 255
        place += 1
    end = len(body) - padding
    sizes = []
    if varies:
        for _ in range(count - 1):
            found = _length(body[place:])
            if found is None:
                return None
            sizes.append(found[0])
            place += found[1]
        sizes.append(end - place - sum(sizes))
    else:
        if (end - place) % count:
            return None
        sizes = [(end - place) // count] * count
    if min(sizes) < 0 or place + sum(sizes) > end:
        return None
    frames = []
    for size in sizes:
        frames.append(body[place : place + size])
        place += size
    return frames


def _length(data: bytes) -> tuple[int, int] | None:
    """A frame's length and how many bytes it took to write."""
    if not data:
        return None
    if data[0] < _LONGEST_SHORT:
        return data[0], 1
    return (data[1] * 4 + data[0], 2) if len(data) > 1 else None


def _written(size: int) -> bytes:
    return bytes([size]) if size < _LONGEST_SHORT else bytes([252 + size % 4, (size - 252 - size % 4) // 4])


def join(first: bytes, second: bytes) -> bytes | None:
    """Both packets in one; None when that may not be: other configuration, longer than 120 ms, or no Opus."""
    one, two = frames_of(first), frames_of(second)
    if one is None or two is None or first[0] & 0xFC != second[0] & 0xFC:
        return None
    frames = one + two
    if len(frames) * _FRAME_MS[first[0] >> 3] > _LONGEST_MS:
        return None
    head, body = first[0] & 0xFC, b"".join(frames)
    if len(frames) == 2:
        if len(frames[0]) == len(frames[1]):
            return bytes([head | 1]) + body
        return bytes([head | 2]) + _written(len(frames[0])) + body
    sizes = b"".join(_written(len(frame)) for frame in frames[:-1])
    return bytes([head | 3, 128 | len(frames)]) + sizes + body
