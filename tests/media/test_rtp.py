"""RTP bytes and SDP lines that the WAN leg makes itself."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.media.opus import frames_of, join
from edge.media.rtp import (
    FRAME_SAMPLES,
    H264_PT,
    OPUS_PT,
    RED_PT,
    OpusPacketizer,
    Packet,
    RedReader,
    parse,
    steer_offer,
    takes,
    usable_candidate,
    without_extras,
)

OFFER = "\r\n".join(
    [
        "v=0",
        "m=audio 9 UDP/TLS/RTP/SAVPF 111",
        "c=IN IP4 0.0.0.0",
        "a=rtpmap:111 OPUS/48000/2",
        "m=video 0 UDP/TLS/RTP/SAVPF 96 97",
        "c=IN IP4 0.0.0.0",
        "a=rtpmap:96 VP8/90000",
        "",
    ]
)


def test_packets_count_up_and_have_room_for_the_transport_sequence_number() -> None:
    packetizer = OpusPacketizer(7, 65_535, 100)
    (first,) = packetizer.packets(b"abcd", 0, red=False)
    (second,) = packetizer.packets(b"efgh", FRAME_SAMPLES + 11, red=False)
    assert first[12:20] == bytes.fromhex("bede000111000000")
    one, two = parse(first), parse(second)
    assert one is not None and two is not None
    assert (one.sequence, two.sequence) == (65_535, 0)
    assert (one.payload, two.payload) == (b"abcd", b"efgh")
    assert two.timestamp - one.timestamp == FRAME_SAMPLES, "a trembling capture clock would be heard as loss"


def test_a_real_gap_in_capture_is_a_gap_in_the_timestamps() -> None:
    packetizer = OpusPacketizer(7, 0, 0)
    packetizer.packets(b"abcd", 0, red=False)
    packet = parse(packetizer.packets(b"efgh", 5 * FRAME_SAMPLES + 40, red=False)[0])
    assert packet is not None and packet.timestamp == 5 * FRAME_SAMPLES


def test_redundant_packets_carry_the_frame_before() -> None:
    packetizer = OpusPacketizer(7, 0, 0)
    first = parse(packetizer.packets(b"first", 0, red=True)[0])
    second = parse(packetizer.packets(b"second", FRAME_SAMPLES, red=True)[0])
    assert first is not None and second is not None
    assert first.payload_type == second.payload_type == RED_PT
    assert first.payload == bytes([OPUS_PT]) + b"first"
    (word,) = struct.unpack("!I", second.payload[:4])
    assert (word >> 31, word >> 24 & 127, word >> 10 & 0x3FFF, word & 1023) == (1, OPUS_PT, FRAME_SAMPLES, 5)
    assert second.payload[4:] == bytes([OPUS_PT]) + b"firstsecond"


def test_of_a_pause_only_the_first_frame_is_sent_and_talk_begins_with_a_marker() -> None:
    packetizer = OpusPacketizer(7, 0, 0)
    frames = [b"talk", b"\x08", b"\x08", b"\x08", b"talk"]
    packets = [packetizer.packets(frame, place * FRAME_SAMPLES, red=False) for place, frame in enumerate(frames)]
    assert [len(sent) for sent in packets] == [1, 1, 0, 0, 1]
    assert packets[4][0][1] == 0x80 | OPUS_PT
    parsed = parse(packets[4][0])
    assert parsed is not None and parsed.sequence == 2


TOC_60_MS = bytes([11 << 3])
"""SILK, wideband, 60 ms, one frame (RFC 6716 section 3.1)."""


def test_two_frames_share_one_packet_and_a_pause_keeps_none_back() -> None:
    packetizer = OpusPacketizer(7, 0, 0)
    frames = [b"talk1", b"other", b"three", b"", b"", b"talk!"]
    packets = [
        packetizer.packets(TOC_60_MS + frame, place * FRAME_SAMPLES, red=False, frames=2)
        for place, frame in enumerate(frames)
    ]
    assert [len(sent) for sent in packets] == [0, 1, 0, 2, 0, 0]
    first, second, pause = (parse(sent) for sent in (packets[1][0], *packets[3]))
    assert first is not None and second is not None and pause is not None
    assert frames_of(first.payload) == [b"talk1", b"other"] and first.timestamp == 0
    assert frames_of(second.payload) == [b"three"] and second.timestamp == 2 * FRAME_SAMPLES
    assert pause.payload == TOC_60_MS and pause.timestamp == 3 * FRAME_SAMPLES, "a browser sees a pause by its size"


def test_frames_that_may_not_share_a_packet_are_sent_apart() -> None:
    packetizer = OpusPacketizer(7, 0, 0)
    assert packetizer.packets(TOC_60_MS + b"talk1", 0, red=False, frames=2) == []
    sent = packetizer.packets(bytes([10 << 3]) + b"talk2", FRAME_SAMPLES, red=False, frames=2)
    assert [parsed.payload[1:] for packet in sent if (parsed := parse(packet))] == [b"talk1", b"talk2"]


FRAMES = st.lists(st.binary(max_size=300), min_size=1, max_size=2)


@given(FRAMES, FRAMES, st.sampled_from([8, 9, 13, 31]))
def test_joined_packets_hold_all_frames_in_order(first: list[bytes], second: list[bytes], config: int) -> None:
    def packet(frames: list[bytes]) -> bytes:
        whole = bytes([config << 3]) + frames[0]
        for frame in frames[1:]:
            joined = join(whole, bytes([config << 3]) + frame)
            assert joined is not None
            whole = joined
        return whole

    made = join(packet(first), packet(second))
    assert made is not None and frames_of(made) == first + second


@given(st.binary(max_size=60))
def test_no_bytes_make_the_opus_parser_fail(data: bytes) -> None:
    frames = frames_of(data)
    assert frames is None or sum(map(len, frames)) <= len(data)
    assert join(data, data) is None or frames is not None


@given(st.binary(max_size=60))
def test_no_bytes_make_the_parser_fail(data: bytes) -> None:
    packet = parse(data)
    assert packet is None or len(packet.payload) <= len(data)


def test_the_offer_steers_the_doctors_browser() -> None:
    audio, video = steer_offer(OFFER, audio_bps=12_000, video_as_kbps=400).split("m=")[1:]
    assert "audio 9 UDP/TLS/RTP/SAVPF 63 111\r\n" in audio, "first: the node reads what is repeated"
    for line in ("a=ptime:60", "b=AS:12", "usedtx=1", "maxaveragebitrate=12000", "red/48000", "transport-cc"):
        assert line in audio, line
    assert audio.index("c=IN") < audio.index("b=AS") < audio.index("a=")
    assert "b=AS:400" in video and "transport-cc" in video and "ptime" not in video
    assert "a=fmtp:96 x-google-min-bitrate=4;x-google-start-bitrate=20\r\n" in video


def test_sound_and_picture_are_of_two_streams_so_that_a_late_picture_holds_back_no_sound() -> None:
    streams = "a=ssrc:7 msid:one track\r\na=ssrc:7 cname:one\r\n"
    offer = f"v=0\r\nm=audio 9 X 111\r\na=msid:one track\r\n{streams}m=video 9 X 96\r\na=msid:one track\r\n{streams}"
    audio, video = steer_offer(offer, audio_bps=12_000, video_as_kbps=400).split("m=")[1:]
    assert "a=msid:sound-one track\r\n" in audio and "a=ssrc:7 msid:sound-one track\r\n" in audio
    assert "a=ssrc:7 cname:one\r\n" in audio
    assert "a=msid:one track\r\n" in video and "a=ssrc:7 msid:one track\r\n" in video


def test_the_answer_reaches_webrtcbin_without_extras() -> None:
    steered = steer_offer(OFFER, audio_bps=12_000, video_as_kbps=400)
    plain = without_extras(steered)
    assert "63" not in plain.split("m=")[1].split("\r\n")[0].split(" ")
    assert "red/48000" not in plain and "a=rtpmap:111" in plain


@pytest.mark.parametrize(
    ("formats", "reads"), [("63 111", True), ("111 63", True), ("111", False), ("111 163 6", False)]
)
def test_red_is_read_by_a_browser_that_says_so(formats: str, reads: bool) -> None:
    answer = f"v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF {formats}\r\na=mid:0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96 63\r\n"
    assert takes(answer, "audio", RED_PT) is reads and takes(answer.replace("\r", ""), "audio", RED_PT) is reads
    assert not takes("v=0\r\nm=video 9 UDP/TLS/RTP/SAVPF 63\r\n", "audio", RED_PT)


def test_h264_is_offered_behind_vp8_only_when_the_node_has_it_and_webrtcbin_never_sees_it() -> None:
    plain = steer_offer(OFFER, audio_bps=12_000, video_as_kbps=400)
    offer = steer_offer(OFFER, audio_bps=12_000, video_as_kbps=400, h264=True)
    assert "H264" not in plain and not takes(plain.replace("m=video 0", "m=video 9"), "video", H264_PT)
    assert "m=video 0 UDP/TLS/RTP/SAVPF 96 97 102 103\r\n" in offer
    assert {"a=rtpmap:102 H264/90000", "a=rtpmap:103 rtx/90000", "a=fmtp:103 apt=102"} <= set(offer.split("\r\n"))
    assert "packetization-mode=1" in offer and "profile-level-id=42e01f" in offer
    answer = offer.replace("m=video 0", "m=video 9")
    assert takes(answer, "video", H264_PT)
    assert not takes(offer, "video", H264_PT), "the browser refused the picture"
    assert without_extras(offer) == without_extras(plain)


def test_only_candidates_that_another_machine_can_reach_are_used() -> None:
    def line(address: str, protocol: str = "UDP") -> str:
        return f"candidate:1 1 {protocol} 2015363327 {address} 34100 typ host"

    assert usable_candidate(line("192.0.2.2"))
    assert usable_candidate(line("2001:db8::2"))
    for address in ("127.0.0.1", "169.254.3.4", "fe80::1", "::1", "1f3f.local"):
        assert not usable_candidate(line(address)), address
    assert not usable_candidate(line("192.0.2.2", "TCP"))
    assert not usable_candidate("") and not usable_candidate("nonsense")


def _redundant_packet(
    sequence: int, timestamp: int, blocks: list[tuple[int, bytes]], head: bytes = b"\x90\xbf"
) -> bytes:
    """As a browser writes it: with a header extension, older frames first."""
    header = head + struct.pack("!HII", sequence & 0xFFFF, timestamp & 0xFFFFFFFF, 77)
    heads = b"".join(struct.pack("!I", 1 << 31 | 111 << 24 | back << 10 | len(frame)) for back, frame in blocks[:-1])
    body = heads + bytes([111]) + b"".join(frame for _, frame in blocks)
    return header + b"\xbe\xde\x00\x01\x12\x34\x00\x00" + body


def test_redundant_sound_becomes_plain_and_what_was_lost_is_made_from_the_next() -> None:
    reader = RedReader()
    first = reader.packets(_redundant_packet(65_534, 0xFFFF_F000, [(0, b"one")]))
    assert first is not None and [parse(one) for one in first] == [Packet(111, 65_534, 0xFFFF_F000, b"one")]
    assert first[0][0] == 0x90 and first[0][1] & 0x80, "header, extension and marker stay"
    # 65535 is lost, with the wrap of both counters
    both = reader.packets(_redundant_packet(0, 0xFFFF_F000 + 2 * 2880, [(2880, b"two!"), (0, b"three")]))
    assert both is not None
    made, main = (parse(one) for one in both)
    assert made == Packet(111, 65_535, (0xFFFF_F000 + 2880) & 0xFFFF_FFFF, b"two!")
    assert main is not None and (main.sequence, main.payload) == (0, b"three")
    assert both[0][0] == 0x80 and both[0][8:12] == both[1][8:12], "no extension: it did not come; of the same stream"
    assert reader.packets(_redundant_packet(65_535, 0xFFFF_F000 + 2880, [(0, b"two!")])) == [], "it came late"


def test_nothing_is_made_twice_nor_before_the_first_packet_nor_of_a_pause() -> None:
    reader = RedReader()
    first = reader.packets(_redundant_packet(10, 5760, [(2880, b"older"), (0, b"now")]))
    assert first is not None and len(first) == 1
    again = reader.packets(_redundant_packet(11, 8640, [(2880, b"now"), (0, b"next")]))
    assert again is not None and len(again) == 1
    paused = reader.packets(_redundant_packet(13, 14_400, [(2880, b"\x58"), (0, b"on")]))
    assert paused is not None and len(paused) == 1


def test_plain_sound_and_pictures_pass_and_broken_redundancy_is_dropped() -> None:
    reader = RedReader()
    plain = struct.pack("!BBHII", 0x80, 111, 1, 0, 77) + b"sound"
    assert reader.packets(plain) is None and reader.packets(plain) == []
    assert reader.packets(struct.pack("!BBHII", 0x80, 96, 1, 0, 78) + b"picture") is None
    assert reader.packets(b"") is None
    for body in (b"", b"\xef", b"\xef\x00\x00\x04", bytes([99]) + b"other", bytes([0xEF, 0, 0, 9, 111]) + b"short"):
        broken = reader.packets(struct.pack("!BBHII", 0x80, 63, len(body) + 100, 0, 77) + body)
        assert broken == [], body


@given(st.binary(max_size=80))
def test_no_bytes_make_the_reader_of_redundancy_fail(body: bytes) -> None:
    made = RedReader().packets(struct.pack("!BBHII", 0x80, 63, 5, 0, 77) + body)
    assert made is not None and all(parse(one) is not None for one in made)


def test_what_our_own_packetizer_repeats_the_reader_restores() -> None:
    packetizer, reader = OpusPacketizer(7, 65_530, 0), RedReader()
    frames = [TOC_60_MS + bytes([number]) * 9 for number in range(40)]
    sent = [one for n, frame in enumerate(frames) for one in packetizer.packets(frame, n * FRAME_SAMPLES, red=True)]
    kept = [packet for number, packet in enumerate(sent) if number % 3 != 1]
    got = [parsed for packet in kept for one in reader.packets(packet) or [] if (parsed := parse(one))]
    assert [packet.payload for packet in got] == frames, "every lost one stood in its neighbour"
    assert {packet.payload_type for packet in got} == {111}
