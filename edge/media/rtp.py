"""Bytes of RTP packets and lines of SDP that the WAN leg handles itself: pure.

RTP per RFC 3550, one-byte header extensions per RFC 8285, redundant audio per RFC 2198, Opus in
SDP per RFC 7587.
"""

import re
import struct
from collections import deque

from msgspec import Struct

from edge.media import opus

OPUS_PT = 111
RED_PT = 63
VP8_PT = 96
H264_PT, H264_RTX_PT = 102, 103
TWCC_ID = 1
TWCC_URI = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"
OPUS_CLOCK_HZ = 48_000
FRAME_SAMPLES = 2_880
"""60 ms at 48 kHz."""
_LONGEST_RED_OFFSET = (1 << 14) - 1
_LONGEST_RED_BLOCK = (1 << 10) - 1
_MOST_RED_BLOCKS = 8
_RED_MEMORY = 64
"""Packets within which a repeated one is known again."""


_H264_LINES = (
    f"a=rtpmap:{H264_PT} H264/90000",
    f"a=fmtp:{H264_PT} level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f",
    *(f"a=rtcp-fb:{H264_PT} {what}" for what in ("nack", "nack pli", "ccm fir", "transport-cc")),
    f"a=rtpmap:{H264_RTX_PT} rtx/90000",
    f"a=fmtp:{H264_RTX_PT} apt={H264_PT}",
)


class Packet(Struct, frozen=True):
    """A parsed RTP packet."""

    payload_type: int
    sequence: int
    timestamp: int
    payload: bytes


def parse(data: bytes) -> Packet | None:
    """The packet in ``data``; None when it is no RTP."""
    if len(data) < 12 or data[0] >> 6 != 2:
        return None
    start = _payload_start(data)
    end = len(data) - (data[-1] if data[0] & 0x20 else 0)
    if start > end:
        return None
    sequence, timestamp = struct.unpack_from("!HI", data, 2)
    return Packet(data[1] & 0x7F, sequence, timestamp, data[start:end])


def is_reported(head: bytes) -> bool:
    """Whether a datagram of ours, by its first two bytes, is sound or picture that transport-wide feedback reports.

    Not reported are what is sent again, our own feedback (RFC 5761 tells it apart) and the data channel.
    """
    return len(head) > 1 and head[0] >> 6 == 2 and head[1] & 0x7F in (OPUS_PT, RED_PT, VP8_PT, H264_PT)


class OpusPacketizer:
    """Opus frames → RTP packets with room for the transport-wide sequence number.

    With ``red``, each packet repeats the one before. Of two frames a packet, the first waits for the second.
    Frames of at most two bytes are silence (DTX); the first of a pause is sent, so that the receiver knows, the rest
    are not. It has a packet of its own: a browser knows a pause by the packet's size, and within a larger one it goes
    unseen, and 165 ms of sound are made up instead.
    """

    def __init__(self, ssrc: int, sequence: int, timestamp: int) -> None:
        self.ssrc = ssrc
        self._sequence = sequence & 0xFFFF
        self._offset = timestamp
        self._expected: int | None = None
        self._previous: tuple[int, bytes] | None = None
        self._pausing = False
        self._waiting: tuple[int, bytes, bool] | None = None
        """A frame that the next one will travel with: timestamp, frame, whether it ends a pause."""

    def packets(self, frame: bytes, position: int, *, red: bool, frames: int = 1) -> list[bytes]:
        """What to send now that a frame begins ``position`` samples (48 kHz) into the call: mostly one packet or none.

        ``frames`` is how many go into one packet, 1 or 2.
        """
        timestamp = (self._offset + self._steady(position)) & 0xFFFFFFFF
        silent = len(frame) <= 2
        if silent and self._pausing:
            self._previous = None
            return []
        starts_talk = self._pausing and not silent
        self._pausing = silent
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            joined = None
            if not silent and (timestamp - waiting[0]) & 0xFFFFFFFF == FRAME_SAMPLES:
                joined = opus.join(waiting[1], frame)
            if joined is not None:
                return [self._write(joined, waiting[0], red=red, starts_talk=waiting[2])]
            before = [self._write(waiting[1], waiting[0], red=red, starts_talk=waiting[2])]
            return [*before, self._write(frame, timestamp, red=red, starts_talk=starts_talk)]
        if frames > 1 and not silent:
            self._waiting = (timestamp, frame, starts_talk)
            return []
        return [self._write(frame, timestamp, red=red, starts_talk=starts_talk)]

    def _write(self, frame: bytes, timestamp: int, *, red: bool, starts_talk: bool) -> bytes:
        payload_type, payload = OPUS_PT, frame
        previous, self._previous = self._previous, (timestamp, frame)
        if red:
            payload_type, payload = RED_PT, _redundant(frame, timestamp, previous)
        header = struct.pack(
            "!BBHII", 0x90, payload_type | (0x80 if starts_talk else 0), self._sequence, timestamp, self.ssrc
        )
        self._sequence = (self._sequence + 1) & 0xFFFF
        return header + b"\xbe\xde\x00\x01" + bytes([TWCC_ID << 4 | 1, 0, 0, 0]) + payload

    def _steady(self, position: int) -> int:
        """Frames follow each other without a seam: a capture clock that trembles would be heard as loss."""
        expected = position if self._expected is None else self._expected
        expected += int((position - expected) / FRAME_SAMPLES) * FRAME_SAMPLES
        self._expected = expected + FRAME_SAMPLES
        return expected


def _redundant(frame: bytes, timestamp: int, previous: tuple[int, bytes] | None) -> bytes:
    if previous is not None:
        distance = (timestamp - previous[0]) & 0xFFFFFFFF
        if distance <= _LONGEST_RED_OFFSET and len(previous[1]) <= _LONGEST_RED_BLOCK:
            word = 1 << 31 | OPUS_PT << 24 | distance << 10 | len(previous[1])
            return struct.pack("!IB", word, OPUS_PT) + previous[1] + frame
    return bytes([OPUS_PT]) + frame


class RedReader:
    """What a browser sends as redundant audio (RFC 2198), as plain Opus packets of the same stream.

    A packet that was lost is made from what the next one repeats of it: plain, without the header extension, so that
    nothing counts it as received on the way. Everything else passes as it came.
    """

    def __init__(self) -> None:
        self._seen: deque[int] = deque(maxlen=_RED_MEMORY)

    def packets(self, data: bytes) -> list[bytes] | None:
        """What stands in the place of this packet, in the order of the sound; None: it may pass as it is."""
        packet = parse(data)
        if packet is None or packet.payload_type not in (OPUS_PT, RED_PT):
            return None
        first = not self._seen
        if packet.sequence in self._seen:
            return []  # it came late, or twice: what it says is there already
        self._seen.append(packet.sequence)
        if packet.payload_type == OPUS_PT:
            return None
        blocks = _blocks(packet.payload)
        if not blocks:
            return []
        made = []
        for place, (back, frame) in enumerate(blocks[:-1]):
            sequence = (packet.sequence - (len(blocks) - 1 - place)) & 0xFFFF
            if first or sequence in self._seen or len(frame) <= 2:
                continue
            self._seen.append(sequence)
            timestamp = (packet.timestamp - back) & 0xFFFFFFFF
            made.append(struct.pack("!BBHI", 0x80, OPUS_PT, sequence, timestamp) + data[8:12] + frame)
        head = bytes([data[0] & ~0x20, data[1] & 0x80 | OPUS_PT]) + data[2 : _payload_start(data)]
        return [*made, head + blocks[-1][1]]


def _payload_start(data: bytes) -> int:
    """Behind the header, its sources and its extension; what is cut off there counts as zero."""
    start = 12 + 4 * (data[0] & 0x0F)
    if data[0] & 0x10:
        start += 4 + 4 * int.from_bytes(data[start + 2 : start + 4], "big")
    return start


def _blocks(payload: bytes) -> list[tuple[int, bytes]]:
    """Timestamp distance and frame of each Opus block, the newest last; empty when it breaks the rules."""
    heads: list[tuple[int, int]] = []
    place = 0
    while place < len(payload) and payload[place] & 0x80:
        if place + 4 > len(payload) or payload[place] & 0x7F != OPUS_PT or len(heads) == _MOST_RED_BLOCKS:
            return []
        word = int.from_bytes(payload[place : place + 4], "big")
        heads.append((word >> 10 & _LONGEST_RED_OFFSET, word & _LONGEST_RED_BLOCK))
        place += 4
    if place >= len(payload) or payload[place] != OPUS_PT:
        return []
    place += 1
    blocks = []
    for back, size in heads:
        blocks.append((back, payload[place : place + size]))
        place += size
    return [*blocks, (0, payload[place:])] if place < len(payload) else []


def steer_offer(sdp: str, *, audio_bps: int, video_as_kbps: int, h264: bool = False) -> str:
    """The node's offer with the lines that steer the doctor's browser.

    60 ms of Opus a packet (without it a browser's sound alone fills a thin return path), discontinuous
    transmission, a rate cap, bandwidth lines, and RED both ways: as the first format it says that the node can
    read it. A browser takes the bandwidth line of its sound as the encoder's rate, over ``maxaveragebitrate``: both
    say the same. Chromium sends no picture below 30 kbit/s and begins at 300 unless it is told.
    With ``h264`` it says, behind VP8, that the node may send H.264 (RFC 6184: constrained baseline, packets of mode 1).
    Sound and picture are of two streams (RFC 8830): within one, a browser holds the sound back until the
    picture is there, which here is held back so that losses can be repaired.
    """
    sections = re.split(r"(?=^m=)", sdp.replace("\r\n", "\n"), flags=re.MULTILINE)
    out = [sections[0]]
    for section in sections[1:]:
        lines = [line for line in section.split("\n") if line]
        audio = lines[0].startswith("m=audio")
        if not audio and not lines[0].startswith("m=video"):
            out.append("\n".join(lines) + "\n")
            continue
        if audio:
            lines = [line for line in lines if not re.match(rf"a=(fmtp:{OPUS_PT}|ptime|maxptime)\b", line)]
            lines = [re.sub(r"^(a=(?:ssrc:\d+ )?msid:)", r"\1sound-", line) for line in lines]
            words = lines[0].split(" ")
            lines[0] = " ".join([*words[:3], str(RED_PT), *words[3:]])
            lines += [
                f"a=fmtp:{OPUS_PT} minptime=60;useinbandfec=0;usedtx=1;maxaveragebitrate={audio_bps};"
                "maxplaybackrate=16000;sprop-maxcapturerate=16000",
                f"a=rtpmap:{RED_PT} red/48000/2",
                f"a=fmtp:{RED_PT} {OPUS_PT}/{OPUS_PT}",
                "a=ptime:60",
                "a=maxptime:60",
            ]
            if not any(line.startswith(f"a=rtcp-fb:{OPUS_PT} transport-cc") for line in lines):
                lines.append(f"a=rtcp-fb:{OPUS_PT} transport-cc")
        else:
            lines.append(f"a=fmtp:{VP8_PT} x-google-min-bitrate=4;x-google-start-bitrate=20")
            if not any("transport-cc" in line for line in lines):
                lines.append(f"a=rtcp-fb:{VP8_PT} transport-cc")
            if h264:
                lines[0] += f" {H264_PT} {H264_RTX_PT}"
                lines += _H264_LINES
        place = next((i for i, line in enumerate(lines) if line.startswith("c=")), 0) + 1
        lines.insert(place, f"b=AS:{audio_bps // 1000 if audio else video_as_kbps}")
        out.append("\n".join(lines) + "\n")
    return "".join(out).replace("\n", "\r\n")


def takes(answer: str, media: str, payload_type: int) -> bool:
    """Whether the browser reads a format of ``media`` (``audio``, ``video``): Firefox, for one, reads no RED."""
    section = re.search(rf"(?m)^m={media} [1-9]\d* \S+((?: \d+)+)\r?$", answer)
    return section is not None and str(payload_type) in section[1].split()


def without_extras(answer: str) -> str:
    """The browser's answer without what webrtcbin did not offer itself: RED and H.264."""
    extras = {str(number) for number in (RED_PT, H264_PT, H264_RTX_PT)}
    lines = []
    for line in answer.replace("\r\n", "\n").split("\n"):
        if (about := re.match(r"a=(?:rtpmap|fmtp|rtcp-fb):(\d+)\b", line)) and about[1] in extras:
            continue
        if line.startswith(("m=audio", "m=video")):
            words = line.split(" ")
            line = " ".join(words[:3] + [word for word in words[3:] if word not in extras])
        lines.append(line)
    return "\r\n".join(lines)


def usable_candidate(candidate: str) -> bool:
    """Whether a candidate line can help: UDP, a literal address that other machines reach, no mDNS name."""
    words = candidate.removeprefix("a=").split(" ")
    if len(words) < 8 or not words[0].startswith("candidate:") or words[2].lower() != "udp":
        return False
    address = words[4].lower()
    return not (
        address.endswith(".local")
        or address.startswith(("fe80:", "169.254.", "127."))
        or address in ("::1", "0.0.0.0", "::")
    )
