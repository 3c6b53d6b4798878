// A plain call between two pages, as a web site makes it; with `given`, as somebody sets it who knows the link.
(() => {
  const opus = (sdp) => /a=rtpmap:(\d+) opus\/48000/.exec(sdp)?.[1];
  const vp8 = (sdp) => /a=rtpmap:(\d+) VP8\/90000/.exec(sdp)?.[1];

  /** What this side asks the other to send: packets of that length, that bitrate, no packets in pauses. */
  const steer = (sdp, given) => {
    if (!given) return sdp;
    const opusType = opus(sdp), vp8Type = vp8(sdp);
    return sdp
      .replace(new RegExp(`(a=fmtp:${opusType} [^\\r\\n]*)`), `$1;usedtx=1;maxaveragebitrate=${given.audioBps}\r\na=ptime:${given.ptime}\r\na=maxptime:120`)
      .replace(new RegExp(`(a=rtpmap:${vp8Type} VP8/90000)`), `$1\r\na=fmtp:${vp8Type} x-google-min-bitrate=5;x-google-start-bitrate=${Math.max(Math.round(given.videoBps / 1000), 5)}`);
  };

  const limit = async (peer, given) => {
    if (!given) return;
    for (const sender of peer.getSenders()) {
      const parameters = sender.getParameters();
      const [encoding] = parameters.encodings;
      if (!encoding) continue;
      if (sender.track?.kind === "video") {
        Object.assign(encoding, { active: given.videoBps > 0, maxFramerate: given.fps, scaleResolutionDownBy: given.shrink });
        if (given.videoBps > 0) encoding.maxBitrate = given.videoBps;
      } else {
        encoding.maxBitrate = given.audioBps;
      }
      await sender.setParameters(parameters);
    }
  };

  const gathered = async (peer) => {
    if (peer.iceGatheringState !== "complete") {
      await new Promise((done) => {
        peer.addEventListener("icegatheringstatechange", () => { if (peer.iceGatheringState === "complete") done(); });
        setTimeout(done, 3000);
      });
    }
    return peer.localDescription.sdp;
  };

  const begin = async () => {
    const stream = await navigator.mediaDevices.getUserMedia({ audio: true, video: { width: 640, height: 480 } });
    const peer = (window.peer = new RTCPeerConnection());
    for (const track of stream.getTracks()) peer.addTrack(track, stream);
    peer.addEventListener("track", ({ track }) => {
      const element = document.querySelector(track.kind);
      element.srcObject = new MediaStream([track]);
      element.play();
    });
    return peer;
  };

  const prefer = (peer, given) => {
    if (!given?.red) return;
    const codecs = RTCRtpReceiver.getCapabilities("audio").codecs;
    const order = (codec) => ["audio/red", "audio/opus"].indexOf(codec.mimeType);
    const first = codecs.filter((codec) => order(codec) >= 0).sort((a, b) => order(a) - order(b));
    for (const transceiver of peer.getTransceivers()) {
      if (transceiver.sender.track?.kind === "audio") transceiver.setCodecPreferences(first);
    }
  };

  window.offer = async (given) => {
    const peer = await begin();
    window.given = given;
    prefer(peer, given);
    await peer.setLocalDescription();
    return steer(await gathered(peer), given);
  };
  window.answer = async (sdp, given) => {
    const peer = await begin();
    await peer.setRemoteDescription({ type: "offer", sdp });
    prefer(peer, given);
    await limit(peer, given);
    await peer.setLocalDescription();
    const answer = steer(await gathered(peer), given);
    return answer;
  };
  window.accept = async (sdp) => {
    await limit(window.peer, window.given);
    await window.peer.setRemoteDescription({ type: "answer", sdp });
    await limit(window.peer, window.given);
  };
})();
