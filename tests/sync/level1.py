"""A node and a hub of protocol level 1, frozen: written from docs/protocol.md, with a frame codec of their own.

They must not import :mod:`edge.sync.frames`, nor change when that does: they stand for a release of three years ago.
Only seals are shared, whose bytes are frozen by vectors of their own. They know FRAG, ACK, PROBE, TIME, PATH, STORED,
DOWN_STORED, STORED_HERE, and pass over types 40 to 7f.
"""

from edge.sync import seal

MESSAGE_MAX = 300 * 1024


def varint(number: int) -> bytes:
    out = b""
    while number > 127:
        out += bytes((number & 127 | 128,))
        number >>= 7
    return out + bytes((number,))


def read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, at


def frag(kind: int, cls: int, message: int, body: bytes) -> bytes:
    """A whole message in one fragment."""
    return bytes((1, kind << 4 | cls)) + varint(message) + varint(0) + varint(len(body)) + varint(len(body)) + body


def ack(salt2: bytes, cursor: int, bitmap: bytes = b"") -> bytes:
    return b"\2" + salt2 + cursor.to_bytes(3, "big") + bytes((0, 0, len(bitmap))) + bitmap


PROBE = b"\3" + bytes(15)
_FIXED = {3: 15, 4: 12, 6: 9, 7: 176, 8: 4, 9: 11, 10: 12, 11: 8}


def parse(plain: bytes) -> list[tuple[int, bytes]]:
    """Frames as (type, the bytes behind it). Raises ValueError for what level 1 cannot read: it drops such a packet."""
    out = []
    at = 0
    while at < len(plain):
        kind, at = plain[at], at + 1
        if kind == 0:
            continue
        start = at
        if kind in (1, 5):
            if kind == 5:
                _, at = read_varint(plain, at + 4)
            at += 1
            for _ in range(3):
                _, at = read_varint(plain, at)
            length, at = read_varint(plain, at)
            at += length
        elif kind == 2:
            at += 8 + plain[at + 7]
        elif kind == 12:
            count, at = plain[at + 1], at + 2
            for _ in range(2 * count):
                _, at = read_varint(plain, at)
        elif kind in _FIXED:
            at += _FIXED[kind]
        elif 0x40 <= kind < 0x80:
            length, at = read_varint(plain, at)
            start, at = at, at + length
        else:
            raise ValueError(f"level 1 knows no frame {kind:#x}")
        if at > len(plain):
            raise ValueError("a frame ends early")
        out.append((kind, plain[start:at]))
    return out


def stored_here(body: bytes) -> list[int]:
    """The message numbers in a STORED_HERE."""
    at, last = 2, 0
    numbers: list[int] = []
    for _ in range(body[1]):
        gap, at = read_varint(body, at)
        more, at = read_varint(body, at)
        numbers += range(last + gap, last + gap + more + 1)
        last += gap + more
    return numbers


class OldNode:
    """Sends bundles, one fragment each, again and again until STORED; echoes challenges; stores downlink."""

    def __init__(self, keys: seal.NodeKeys, run: bytes, log_key: bytes, epsilon: bytes) -> None:
        self.epoch = seal.Epoch.new(keys, run, epsilon, seal.Grade.LOG, log_key)
        self.waiting: dict[bytes, bytes] = {}
        self.stored: set[bytes] = set()
        self.downs: set[int] = set()
        self.unreadable = 0
        self._owed: list[bytes] = []
        self._numbers: dict[bytes, int] = {}
        self._heard = False

    def submit(self, packed: bytes) -> bytes:
        sealed = self.epoch.seal_bundle(packed)
        name = seal.bundle_id(sealed)
        self.waiting[name] = sealed
        self._numbers[name] = len(self._numbers) + 1
        return name

    def receive(self, datagram: bytes) -> None:
        try:
            salt, counter, plain = self.epoch.open_packet(datagram)
        except seal.SealRefused:
            return
        try:
            frames = parse(plain)
        except ValueError:
            self.unreadable += 1
            return
        self._heard = True
        self._owed.append(ack(salt[:2], counter))
        for kind, body in frames:
            if kind == 6 and body[0] == 0:
                self._owed.append(b"\6\1" + body[1:])
            elif kind == 10:
                self.stored.add(body[1:])
                self.waiting.pop(body[1:], None)
            elif kind == 12:
                for number in stored_here(body):
                    for name in [name for name in self.waiting if self._numbers[name] == number]:
                        self.stored.add(name)
                        del self.waiting[name]
            elif kind == 1 and body[0] >> 4 == 2:
                at = 1
                for _ in range(4):
                    _, at = read_varint(body, at)
                seq = body[at : at + 8]
                self.downs.add(int.from_bytes(seq, "big"))
                self._owed.append(b"\13" + seq)

    def datagrams(self) -> list[bytes]:
        owed, self._owed = self._owed, []
        contents = [b"".join(owed) + PROBE] + [
            frag(1, 1, self._numbers[name], sealed) for name, sealed in self.waiting.items()
        ]
        prefix = b"" if self._heard else self.epoch.opening
        return [prefix + self.epoch.seal_packet(content)[1] for content in contents]


class OldHub:
    """Stores whole bundles of one fragment and says so; sends nothing else."""

    def __init__(self, hub: seal.HubKeys, record: seal.NodeRecord, salt: bytes) -> None:
        self._hub, self._record, self._salt = hub, record, salt
        self.epoch: seal.OpenedEpoch | None = None
        self.bundles: dict[bytes, bytes] = {}
        self.unreadable = 0
        self._owed: list[bytes] = []
        self.extra = b""
        """Frames that stand in each packet, of a release that is newer than level 1."""

    def receive(self, datagram: bytes) -> None:
        if datagram[:1] == b"\1":
            if self.epoch is None:
                self.epoch = seal.open_opening(datagram[:176], self._hub, self._record)
            datagram = datagram[176:]
        if self.epoch is None or not datagram:
            return
        try:
            counter, plain = self.epoch.open_packet(datagram)
        except seal.SealRefused:
            return
        try:
            frames = parse(plain)
        except ValueError:
            self.unreadable += 1
            return
        self._owed.append(ack(bytes(2), counter))
        for kind, body in frames:
            if kind == 1 and body[0] >> 4 == 1:
                at = 1
                values = []
                for _ in range(4):
                    value, at = read_varint(body, at)
                    values.append(value)
                if values[1] == 0 and values[2] == values[3]:
                    sealed = body[at:]
                    self.bundles[seal.bundle_id(sealed)] = self.epoch.open_bundle(sealed)
                    self._owed.append(b"\12\1" + seal.bundle_id(sealed))

    def datagrams(self) -> list[bytes]:
        owed, self._owed = self._owed, []
        if not owed or self.epoch is None:
            return []
        return [self.epoch.seal_packet(self._salt, b"".join(owed) + self.extra)[1]]
