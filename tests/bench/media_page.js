// What a page's call sends and receives, frame by frame, for the bench: runs before the page's own code, changes none of it.
// With window.__recordLight it keeps neither sound nor pictures. Moments (Unix ms), getStats twice a second, the number burnt into each picture, a luma plane twice a second, all sound.
(() => {
  const BLOCKS = 20, PICTURE_EVERY_MS = 500, STATS_EVERY_MS = 500;
  const now = () => performance.timeOrigin + performance.now();
  const record = { moments: [], stats: [], frames: { received: [], sent: [] }, pictures: [], stills: [], sound: { received: [], sent: [] } };
  window.__record = record;
  const note = (what) => record.moments.push([now(), what]);
  const peers = [];

  const numberIn = (luma, stride, width, height) => {
    const bits = [], y = Math.min(Math.floor(width / BLOCKS / 2), height - 1);
    for (let block = 0; block < BLOCKS; block += 1) {
      const x = Math.floor(((block + 0.5) * width) / BLOCKS);
      let sum = 0;
      for (let dx = -1; dx <= 1; dx += 1) sum += luma[y * stride + x + dx];
      bits.push(sum / 3 > 127 ? 1 : 0);
    }
    if (bits[0] !== 1 || bits[1] !== 0 || bits[BLOCKS - 1] !== 1) return -1;
    const data = bits.slice(2, 18);
    if (data.reduce((a, b) => a + b, 0) % 2 !== bits[18]) return -1;
    let value = 0, bit = 0;
    for (const one of data) { bit ^= one; value = value * 2 + bit; }
    return value;
  };

  const base64 = (bytes) => {
    let text = "";
    for (let at = 0; at < bytes.length; at += 32768) text += String.fromCharCode(...bytes.subarray(at, at + 32768));
    return btoa(text);
  };

  const watchPicture = async (track, way) => {
    const reader = new MediaStreamTrackProcessor({ track, maxBufferSize: 8 }).readable.getReader();
    let kept = 0;
    for (;;) {
      const { done, value: frame } = await reader.read();
      if (done) return;
      const at = now(), width = frame.visibleRect.width, height = frame.visibleRect.height;
      const planes = new Uint8Array(frame.allocationSize());
      const [luma] = await frame.copyTo(planes);
      frame.close();
      const number = numberIn(planes.subarray(luma.offset), luma.stride, width, height);
      record.frames[way].push([Math.round(at * 10) / 10, number, width, height]);
      if (way === "received" && number >= 0 && !window.__recordLight && at - kept >= PICTURE_EVERY_MS) {
        kept = at;
        const rows = new Uint8Array(width * height);
        for (let y = 0; y < height; y += 1) {
          rows.set(planes.subarray(luma.offset + y * luma.stride, luma.offset + y * luma.stride + width), y * width);
        }
        record.pictures.push({ at, number, width, height, rows });
      }
    }
  };

  const watchSound = async (track, way) => {
    const store = { rate: 48000, marks: [], chunks: [], samples: 0 };
    record.sound[way].push(store);
    const reader = new MediaStreamTrackProcessor({ track, maxBufferSize: 100 }).readable.getReader();
    for (let count = 0; ; count += 1) {
      const { done, value: data } = await reader.read();
      if (done) return;
      store.rate = data.sampleRate;
      const floats = new Float32Array(data.numberOfFrames);
      data.copyTo(floats, { planeIndex: 0, format: "f32-planar" });
      data.close();
      const whole = new Int16Array(floats.length);
      for (let i = 0; i < floats.length; i += 1) whole[i] = Math.max(-1, Math.min(1, floats[i])) * 32767;
      store.chunks.push(whole);
      store.samples += whole.length;
      if (count % 10 === 0) store.marks.push([Math.round(now() * 10) / 10, store.samples]);
    }
  };

  const watch = (track, way) => {
    if (window.__recordLight && track.kind === "audio") return;
    const work = track.kind === "video" ? watchPicture : watchSound;
    work(track, way).catch((error) => note(`watching ${way} ${track.kind} failed: ${error}`));
  };

  /** Whole stills of edge/media/aside.py: "S", version, number, place, count, age; then the content. */
  const watchStills = (channel) => {
    let number = -1, came = new Set(), bytes = 0;
    channel.addEventListener("message", ({ data }) => {
      const size = data.byteLength ?? data.size ?? 0;
      if (!(data instanceof ArrayBuffer) || size <= 8) return;
      const view = new DataView(data);
      if (view.getUint8(0) !== 0x53) return;
      if (view.getUint16(2) !== number) { number = view.getUint16(2); came = new Set(); bytes = 0; }
      if (came.has(view.getUint8(4))) return;
      came.add(view.getUint8(4));
      bytes += size - 8;
      if (came.size === view.getUint8(5)) record.stills.push([now(), bytes, view.getUint16(6) * 10]);
    });
  };

  const WANTED = {
    "inbound-rtp": ["kind", "bytesReceived", "headerBytesReceived", "packetsReceived", "packetsLost", "framesDecoded",
      "freezeCount", "totalFreezesDuration", "frameWidth", "frameHeight", "totalSamplesReceived", "concealedSamples",
      "silentConcealedSamples", "totalAudioEnergy", "jitterBufferDelay", "jitterBufferEmittedCount", "fecPacketsReceived",
      "retransmittedPacketsReceived", "keyFramesDecoded", "pliCount", "nackCount"],
    "outbound-rtp": ["kind", "bytesSent", "packetsSent", "framesSent", "targetBitrate", "frameWidth", "frameHeight"],
    "candidate-pair": ["nominated", "currentRoundTripTime", "availableOutgoingBitrate", "bytesReceived", "bytesSent"],
    "data-channel": ["label", "messagesReceived", "bytesReceived", "messagesSent", "bytesSent"],
  };
  setInterval(async () => {
    for (const [index, peer] of peers.entries()) {
      if (peer.connectionState === "closed") continue;
      const at = now(), entries = [];
      for (const entry of (await peer.getStats()).values()) {
        const names = WANTED[entry.type];
        if (names) entries.push(Object.fromEntries([["type", entry.type], ...names.filter((name) => entry[name] !== undefined).map((name) => [name, entry[name]])]));
      }
      record.stats.push({ at, peer: index, state: peer.connectionState, entries });
    }
  }, STATS_EVERY_MS);

  const Native = window.RTCPeerConnection;
  window.RTCPeerConnection = class extends Native {
    constructor(...given) {
      super(...given);
      peers.push(this);
      note("connection made");
      this.addEventListener("iceconnectionstatechange", () => note(`ice ${this.iceConnectionState}`));
      this.addEventListener("connectionstatechange", () => note(`media ${this.connectionState}`));
      this.addEventListener("datachannel", ({ channel }) => watchStills(channel));
      this.addEventListener("track", ({ track }) => watch(track, "received"));
    }
    async setLocalDescription(...given) { note("describes itself"); return super.setLocalDescription(...given); }
    async setRemoteDescription(...given) { note("hears the other"); return super.setRemoteDescription(...given); }
  };

  const devices = navigator.mediaDevices;
  if (devices) {
    const open = devices.getUserMedia.bind(devices);
    devices.getUserMedia = async (wanted) => {
      const stream = await open(wanted);
      for (const track of stream.getTracks()) watch(track, "sent");
      return stream;
    };
  }

  window.__recordNow = () => ({ moments: record.moments, stats: record.stats, frames: record.frames, stills: record.stills });
  window.__recordSound = (way) => record.sound[way].map(({ rate, marks, chunks, samples }) => {
    const whole = new Int16Array(samples);
    let at = 0;
    for (const chunk of chunks) { if (at + chunk.length > samples) break; whole.set(chunk, at); at += chunk.length; }
    return { rate, marks, pcm: base64(new Uint8Array(whole.buffer, 0, at * 2)) };
  });
  window.__recordPictures = () => record.pictures.map(({ rows, ...rest }) => ({ ...rest, luma: base64(rows) }));
})();
