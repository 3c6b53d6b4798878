"""Photos, notes and clips for tests, made by real encoders: Pillow, and FFmpeg through PyAV."""

import io
import random
from collections.abc import Callable
from fractions import Fraction

import av
import numpy as np
from PIL import Image, PngImagePlugin

PLACE = b"secret-place-26.85N"
"""What a photo of :func:`tagged` tells and must not."""
ORIENTATION, GPS = 0x0112, 0x8825
"""Exif tags."""


def picture(width: int = 160, height: int = 120, seed: int = 1, noise: int = 40) -> Image.Image:
    """A smooth picture with some noise, so that it compresses like a photo."""
    draw = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    base = np.stack([(x * 255 // width), (y * 255 // height), ((x + y) * 255 // (width + height))], axis=-1)
    noisy = np.clip(base + draw.integers(-noise, noise + 1, base.shape), 0, 255)
    return Image.fromarray(noisy.astype(np.uint8), "RGB")


def jpeg(width: int = 160, height: int = 120, seed: int = 1, *, quality: int = 60, progressive: bool = False) -> bytes:
    out = io.BytesIO()
    picture(width, height, seed).save(out, "JPEG", quality=quality, progressive=progressive)
    return out.getvalue()


def jpeg_of(size_bytes: int, seed: int = 1) -> bytes:
    """A progressive photo of nearly (and at most) this size."""
    side = max(16, int((size_bytes / 0.32) ** 0.5))
    for quality in range(90, 5, -5):
        made = jpeg(side, side, seed, quality=quality, progressive=True)
        if size_bytes * 0.7 < len(made) <= size_bytes:
            return made
    raise AssertionError(f"no quality gives {size_bytes} bytes")


def png(width: int = 40, height: int = 30) -> bytes:
    out = io.BytesIO()
    picture(width, height).save(out, "PNG")
    return out.getvalue()


def tagged(form: str, turned: int, size: tuple[int, int] = (160, 120)) -> bytes:
    """A photo as a phone writes it: GPS, serial number, comments, a profile, something behind its end."""
    exif = Image.Exif()
    exif[ORIENTATION] = turned
    exif[0x010F] = PLACE.decode()
    exif.get_ifd(GPS)[1] = "N"
    exif.get_ifd(GPS)[29] = PLACE.decode()
    out = io.BytesIO()
    shown = picture(*size)
    xmp = b"<x:xmpmeta>" + PLACE + b"</x:xmpmeta>"
    if form == "JPEG":
        shown.save(out, form, exif=exif, comment=PLACE, xmp=xmp, progressive=True, icc_profile=b"profile")
        data = out.getvalue()
        photoshop = b"Photoshop 3.0\0" + PLACE
        data = data[:2] + b"\xff\xed" + (len(photoshop) + 2).to_bytes(2, "big") + photoshop + data[2:]
        return data + PLACE
    if form == "PNG":
        texts = PngImagePlugin.PngInfo()
        texts.add_text("Comment", PLACE.decode())
        texts.add_itxt("XML:com.adobe.xmp", xmp.decode(), zip=False)
        shown.save(out, form, exif=exif, pnginfo=texts)
        return out.getvalue() + PLACE
    shown.save(out, form, exif=exif, xmp=xmp, icc_profile=b"profile")
    return out.getvalue()


def webp(width: int = 40, height: int = 30, *, lossless: bool = False) -> bytes:
    out = io.BytesIO()
    picture(width, height).save(out, "WEBP", lossless=lossless)
    return out.getvalue()


def sound(container: str = "ogg", seconds: float = 1.0) -> bytes:
    """Opus in ``ogg`` or ``webm``."""
    out = io.BytesIO()
    with av.open(out, "w", format=container) as file:
        stream = file.add_stream("libopus", rate=48_000)
        stream.bit_rate = 16_000
        stream.layout = "mono"
        draw = np.random.default_rng(3)
        for number in range(int(seconds * 50)):
            tone = np.sin(np.arange(960) * 0.05 + number) * 9_000 + draw.integers(-500, 500, 960)
            frame = av.AudioFrame.from_ndarray(tone.astype(np.int16).reshape(1, -1), format="s16", layout="mono")
            frame.sample_rate = 48_000
            frame.pts = number * 960
            frame.time_base = Fraction(1, 48_000)
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return out.getvalue()


def clip(seconds: float = 1.0, width: int = 160, height: int = 120) -> bytes:
    """VP8 in WebM."""
    out = io.BytesIO()
    with av.open(out, "w", format="webm") as file:
        stream = file.add_stream("libvpx", rate=10)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for number in range(max(1, int(seconds * 10))):
            frame = av.VideoFrame.from_image(picture(width, height, number))
            frame.pts = number
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return out.getvalue()


def reader(data: bytes) -> Callable[[int, int], bytes]:
    """What :func:`edge.model.media_probe.probe` reads through."""
    return lambda offset, length: data[offset : offset + length]


def noise(size_bytes: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(size_bytes)
