"""``python -m tests.bench.make_signal_dictionary``: train the zstd dictionary of call signals that the release ships.

Signals of made-up calls: descriptions as our node and browsers write them, with other names, keys and numbers in each.
Deterministic for one release of zstd. A number that was ever shipped is never trained anew: make the next one instead.
"""

import base64
import random
import sys
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import msgspec
import zstandard

from edge.media.signals import Accept, Answer, Bye, Candidate, IceServer, Offer, Ring, Signal
from edge.sync import data

NUMBER = 2
CALLS = 400
SIZE_BYTES = 6_144
_TWCC = "a=extmap:1 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"
_encode = msgspec.msgpack.Encoder().encode


def signals() -> Iterator[bytes]:
    """As they are packed."""
    for number in range(CALLS):
        for signal in _call(random.Random(f"call {number}")):
            yield _encode(signal)


def _call(rng: random.Random) -> Iterator[Signal]:
    call_id, visit_id = rng.randbytes(10).hex(), rng.randbytes(10).hex()
    place = f"10.{rng.randrange(256)}.{rng.randrange(256)}.{rng.randrange(2, 250)}"
    turn = IceServer(
        (f"turn:{place}:3478?transport=udp", f"turn:{place}:3478?transport=tcp", f"turns:{place}:443?transport=tcp"),
        f"{rng.randrange(10**9, 2 * 10**9)}:{rng.randbytes(10).hex()}", _base64(rng, 20),
    )  # fmt: skip
    yield Ring(call_id, visit_id, "doctor", "Dr", (turn,) if rng.random() < 0.5 else ())
    yield Accept(call_id, "")
    attempt = rng.choice((0, 0, 0, 1))
    yield Offer(call_id, _offer(rng, place), attempt, rng.randbytes(64))
    yield Answer(call_id, _answer(rng, place), attempt)
    host = f"candidate:{_digits(rng)} 1 udp 2122260223 {place} {_port(rng)} typ host generation 0"
    yield Candidate(call_id, f"{host} ufrag {_base64(rng, 3)} network-id 1", 0, attempt)
    yield Candidate(call_id, f"candidate:1 1 udp 2015363327 {place} {_port(rng)} typ host", 0, attempt)
    relay = f"candidate:{_digits(rng)} 1 udp 41885439 {place} {_port(rng)} typ relay raddr {place} rport {_port(rng)}"
    yield Candidate(call_id, f"{relay} generation 0 ufrag {_base64(rng, 3)} network-id 1", 0, attempt)
    yield Candidate(call_id, "", 0, attempt)
    yield Bye(call_id, rng.choice(("hangup", "declined", "busy", "no_answer", "failed", "no_camera")))


def _offer(rng: random.Random, place: str) -> str:
    """As :func:`edge.media.rtp.steer_offer` leaves it."""
    who, sound, picture, again = f"user{_digits(rng)}@host-{rng.randbytes(4).hex()}", *(_digits(rng) for _ in range(3))
    way = _way(rng, 24, 24, "actpass")
    return _joined(
        [
            "v=0", f"o=- {rng.getrandbits(63)} 0 IN IP4 127.0.0.1", "s=-", "t=0 0",
            "a=group:BUNDLE audio0 video1 application2", f"a=msid-semantic: WMS sound-{who} {who}",
            "m=audio 9 UDP/TLS/RTP/SAVPF 63 111", "c=IN IP4 0.0.0.0", "b=AS:16", *way, "a=mid:audio0", _TWCC,
            "a=sendrecv", "a=rtcp-mux", "a=rtcp-rsize", "a=rtpmap:111 OPUS/48000/2", "a=rtcp-fb:111 transport-cc",
            f"a=ssrc:{sound} msid:sound-{who} webrtctransceiver0", f"a=ssrc:{sound} cname:{who}",
            "a=fmtp:111 minptime=60;useinbandfec=0;usedtx=1;maxaveragebitrate=16000;maxplaybackrate=16000;"
            "sprop-maxcapturerate=16000",
            "a=rtpmap:63 red/48000/2", "a=fmtp:63 111/111", "a=ptime:60", "a=maxptime:60",
            "m=video 0 UDP/TLS/RTP/SAVPF 96 97", "c=IN IP4 0.0.0.0", "b=AS:400", *way, "a=bundle-only", "a=mid:video1",
            _TWCC, "a=sendrecv", "a=rtcp-mux", "a=rtcp-rsize", "a=rtpmap:96 VP8/90000", "a=rtcp-fb:96 nack",
            "a=rtcp-fb:96 nack pli", "a=rtcp-fb:96 ccm fir", "a=rtcp-fb:96 transport-cc", "a=rtpmap:97 rtx/90000",
            "a=fmtp:97 apt=96", f"a=ssrc-group:FID {picture} {again}",
            f"a=ssrc:{picture} msid:{who} webrtctransceiver1", f"a=ssrc:{picture} cname:{who}",
            f"a=ssrc:{again} msid:{who} webrtctransceiver1", f"a=ssrc:{again} cname:{who}",
            "a=fmtp:96 x-google-min-bitrate=4;x-google-start-bitrate=20",
            "m=application 0 UDP/DTLS/SCTP webrtc-datachannel", "c=IN IP4 0.0.0.0", *way, "a=bundle-only",
            "a=mid:application2", "a=sctp-port:5000",
        ]
    )  # fmt: skip


def _answer(rng: random.Random, place: str) -> str:
    """As Chromium writes it."""
    who, sound, picture, again = _base64(rng, 12), *(_digits(rng) for _ in range(3))
    tracks, way = [_uuid(rng), _uuid(rng)], _way(rng, 3, 18, "active")
    return _joined(
        [
            "v=0", f"o=- {rng.getrandbits(63)} 2 IN IP4 127.0.0.1", "s=-", "t=0 0",
            "a=group:BUNDLE audio0 video1 application2", "a=msid-semantic: WMS -",
            "m=audio 9 UDP/TLS/RTP/SAVPF 63 111", "c=IN IP4 0.0.0.0", "a=rtcp:9 IN IP4 0.0.0.0", *way, "a=mid:audio0",
            _TWCC, "a=sendrecv", "a=rtcp-mux", "a=rtcp-rsize", "a=rtpmap:63 red/48000/2", "a=fmtp:63 111/111",
            "a=rtpmap:111 OPUS/48000/2", "a=rtcp-fb:111 transport-cc", "a=fmtp:111 minptime=10;useinbandfec=1",
            f"a=ssrc:{sound} cname:{who}", f"a=ssrc:{sound} msid:- {tracks[0]}",
            "m=video 9 UDP/TLS/RTP/SAVPF 96 97", "c=IN IP4 0.0.0.0", "a=rtcp:9 IN IP4 0.0.0.0", *way, "a=mid:video1",
            _TWCC, "a=sendrecv", "a=rtcp-mux", "a=rtcp-rsize", "a=rtpmap:96 VP8/90000", "a=rtcp-fb:96 transport-cc",
            "a=rtcp-fb:96 ccm fir", "a=rtcp-fb:96 nack", "a=rtcp-fb:96 nack pli", "a=rtpmap:97 rtx/90000",
            "a=fmtp:97 apt=96", f"a=ssrc-group:FID {picture} {again}", f"a=ssrc:{picture} cname:{who}",
            f"a=ssrc:{picture} msid:- {tracks[1]}", f"a=ssrc:{again} cname:{who}", f"a=ssrc:{again} msid:- {tracks[1]}",
            "m=application 9 UDP/DTLS/SCTP webrtc-datachannel", "c=IN IP4 0.0.0.0", *way, "a=mid:application2",
            "a=sctp-port:5000",
        ]
    )  # fmt: skip


def _way(rng: random.Random, name_bytes: int, key_bytes: int, role: str) -> list[str]:
    return [
        f"a=ice-ufrag:{_base64(rng, name_bytes)}", f"a=ice-pwd:{_base64(rng, key_bytes)}", "a=ice-options:trickle",
        f"a=fingerprint:sha-256 {rng.randbytes(32).hex(':').upper()}", f"a=setup:{role}",
    ]  # fmt: skip


def _joined(lines: list[str]) -> str:
    return "".join(f"{line}\r\n" for line in lines)


def _base64(rng: random.Random, size_bytes: int) -> str:
    return base64.b64encode(rng.randbytes(size_bytes)).decode()


def _digits(rng: random.Random) -> str:
    return str(rng.randrange(10**8, 1 << 32))


def _port(rng: random.Random) -> int:
    return rng.randrange(30_000, 65_000)


def _uuid(rng: random.Random) -> str:
    text = rng.randbytes(16).hex()
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


def train() -> bytes:
    """The dictionary."""
    made = zstandard.train_dictionary(SIZE_BYTES, list(signals()), dict_id=NUMBER, level=19)
    return bytes(made.as_bytes())


def main() -> int:
    """Write the file of number :data:`NUMBER`."""
    target = Path(str(resources.files(data))) / f"dictionary-{NUMBER:03d}.bin"
    target.write_bytes(train())
    print(f"{target}: {target.stat().st_size} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
