"""The LAN leg: what a tablet gets that connects late or reads slowly."""

import asyncio

from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription

from edge.media.lan import LanLegs


async def test_a_tablet_that_connects_late_gets_a_key_frame_and_nothing_stale() -> None:
    asked: list[int] = []
    fed = 0
    again = asyncio.Event()

    def ask() -> None:
        if asked:
            again.set()
        asked.append(fed)

    legs = LanLegs(ask)
    tablet = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    for kind in ("audio", "video"):
        tablet.addTransceiver(kind, direction="recvonly")
    await tablet.setLocalDescription(await tablet.createOffer())
    answer = await legs.answer("one", tablet.localDescription.sdp)
    assert asked == [0]
    for fed in range(1, 101):  # seconds of picture, while the tablet takes its time
        legs.doctor_video(bytes(40), fed * 66_000_000, key=fed == 1)
    assert asked == [0], "a tablet that shows nothing yet costs the doctor's link nothing"
    await tablet.setRemoteDescription(RTCSessionDescription(answer, "answer"))
    await asyncio.wait_for(again.wait(), 20)
    assert legs.state() == "connected"
    (leg,) = legs._legs.values()
    assert leg.video.needs_key
    for fed in range(101, 161):  # all at once: the sender has no turn in between
        legs.doctor_video(bytes(40), fed * 66_000_000, key=fed == 101)
    assert asked == [0, 100, 131], "asked again when pictures were lost, and once"
    await legs.close()
    await tablet.close()
