"""How good a received picture and received speech are against what was sent: PSNR, SSIM, STOI, and where it lies.

Pure; arrays of samples in, numbers out. Knows no call and no file.
"""

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float64]
Plane = NDArray[np.float64]

_STOI_RATE_HZ = 10_000
_FRAME = 256
_FFT = 512
_BANDS = 15
_LOWEST_BAND_HZ = 150.0
_SEGMENT = 30
_CLIP = 10 ** (15 / 20)
_DYNAMIC_DB = 40.0
_EPS = float(np.finfo(np.float64).eps)


def psnr_db(shown: Plane, source: Plane) -> float:
    """Peak signal-to-noise ratio of two luma planes (0–255) of one shape; 99 for equal ones."""
    error = float(np.mean((shown - source) ** 2))
    return 99.0 if error == 0 else min(10 * float(np.log10(255**2 / error)), 99.0)


def ssim(shown: Plane, source: Plane, window: int = 8) -> float:
    """Mean structural similarity (Wang et al. 2004) of two luma planes, over flat windows of ``window`` pixels."""
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    a, b = _means(shown, window), _means(source, window)
    var_a = _means(shown * shown, window) - a * a
    var_b = _means(source * source, window) - b * b
    both = _means(shown * source, window) - a * b
    index = (2 * a * b + c1) * (2 * both + c2) / ((a * a + b * b + c1) * (var_a + var_b + c2))
    return float(np.mean(index))


def _means(plane: Plane, window: int) -> Plane:
    total = np.pad(plane.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    summed = total[window:, window:] - total[:-window, window:] - total[window:, :-window] + total[:-window, :-window]
    means: Plane = summed / window**2
    return means


def resample(sound: Samples, from_hz: int, to_hz: int) -> Samples:
    """The sound at another rate, through its spectrum; what lies above the new half rate is cut off."""
    if from_hz == to_hz or len(sound) == 0:
        return sound
    length = round(len(sound) * to_hz / from_hz)
    spectrum = np.fft.rfft(sound)
    fitted = np.zeros(length // 2 + 1, dtype=complex)
    kept = min(len(spectrum), len(fitted))
    fitted[:kept] = spectrum[:kept]
    result: Samples = np.fft.irfft(fitted, length) * (length / len(sound))
    return result


def place_of(part: Samples, whole: Samples) -> tuple[int, float]:
    """Where in ``whole`` the ``part`` lies best (its first sample), and how well: correlation from 0 to 1."""
    if len(whole) < len(part) or not len(part):
        return 0, 0.0
    scores = likeness(part, whole)
    at = int(np.argmax(scores))
    return at, float(scores[at])


def likeness(part: Samples, whole: Samples) -> Samples:
    """Correlation, 0 to 1, of ``part`` with the stretch of ``whole`` that begins at each sample."""
    size = 1 << (len(whole) + len(part)).bit_length()
    crossed = np.fft.irfft(np.fft.rfft(whole, size) * np.conj(np.fft.rfft(part, size)), size)
    crossed = crossed[: len(whole) - len(part) + 1]
    energy = np.pad((whole * whole).cumsum(), (1, 0))
    beneath = energy[len(part) :] - energy[: -len(part)]
    scores = crossed / np.sqrt(np.maximum(beneath, 1e-6 * float(energy[-1]) + _EPS) * float(part @ part) + _EPS)
    bounded: Samples = np.clip(scores, 0.0, 1.0)
    return bounded


def follow(pieces: list[Samples], whole: Samples, step: int, slack: int) -> tuple[list[int], float]:
    """Where in ``whole`` each of the ``pieces`` lies, which follow each other, if the lag changes little between two.

    The path of lags that is most alike in all (Viterbi 1967), in steps of ``step`` samples, moving at most ``slack``
    steps a piece: a jitter buffer stretches and shortens speech. Gives each piece's first sample and the mean likeness.
    """
    size = len(pieces[0])
    lags = (len(whole) - size * len(pieces)) // step
    if lags < 1:
        return [], 0.0
    best = np.zeros(lags)
    came: list[NDArray[np.intp]] = []
    finest: list[NDArray[np.intp]] = []
    for number, piece in enumerate(pieces):
        stretch = whole[number * size : (number + 1) * size + lags * step - 1]
        alike = likeness(piece, stretch).reshape(lags, step)
        finest.append(alike.argmax(axis=1))
        padded = np.pad(best, slack, constant_values=-1.0)
        near = np.lib.stride_tricks.sliding_window_view(padded, 2 * slack + 1)
        came.append(near.argmax(axis=1) + np.arange(lags) - slack)
        best = near.max(axis=1) + alike.max(axis=1)
    at = int(best.argmax())
    mean = float(best[at]) / len(pieces)
    places = []
    for number in range(len(pieces) - 1, -1, -1):
        places.append(number * size + at * step + int(finest[number][at]))
        at = int(came[number][at])
    return places[::-1], mean


def stoi(sent: Samples, heard: Samples, rate_hz: int) -> float:
    """Short-time objective intelligibility, 0–1 (Taal, Hendriks, Heusdens, Jensen: IEEE TASLP 19(7), 2011).

    Both sounds are of one length and aligned. NaN when less than 0.4 s of it is speech.
    """
    sent, heard = resample(sent, rate_hz, _STOI_RATE_HZ), resample(heard, rate_hz, _STOI_RATE_HZ)
    sent, heard = _without_silence(sent, heard)
    bands = _band_matrix()
    x = np.sqrt(bands @ np.abs(_spectra(sent).T) ** 2)
    y = np.sqrt(bands @ np.abs(_spectra(heard).T) ** 2)
    if x.shape[1] < _SEGMENT:
        return float("nan")
    starts = range(x.shape[1] - _SEGMENT + 1)
    a = np.array([x[:, at : at + _SEGMENT] for at in starts])
    b = np.array([y[:, at : at + _SEGMENT] for at in starts])
    b = b * (_norm(a) / (_norm(b) + _EPS))
    b = np.minimum(b, a * (1 + _CLIP))
    a, b = a - a.mean(axis=2, keepdims=True), b - b.mean(axis=2, keepdims=True)
    matched = a / (_norm(a) + _EPS) * (b / (_norm(b) + _EPS))
    return float(matched.sum() / (matched.shape[0] * matched.shape[1]))


def _norm(segments: Samples) -> Samples:
    norm: Samples = np.linalg.norm(segments, axis=2, keepdims=True)
    return norm


def _window() -> Samples:
    return np.hanning(_FRAME + 2)[1:-1]


def _frames(sound: Samples) -> Samples:
    starts = range(0, len(sound) - _FRAME, _FRAME // 2)
    return np.array([_window() * sound[at : at + _FRAME] for at in starts]).reshape(-1, _FRAME)


def _spectra(sound: Samples) -> NDArray[np.complex128]:
    return np.fft.rfft(_frames(sound), _FFT)


def _without_silence(sent: Samples, heard: Samples) -> tuple[Samples, Samples]:
    x, y = _frames(sent), _frames(heard)
    if not len(x):
        return sent[:0], heard[:0]
    loudness_db = 20 * np.log10(np.linalg.norm(x, axis=1) + _EPS)
    spoken = loudness_db > loudness_db.max() - _DYNAMIC_DB
    return _joined(x[spoken]), _joined(y[spoken])


def _joined(frames: Samples) -> Samples:
    hop = _FRAME // 2
    out = np.zeros((len(frames) - 1) * hop + _FRAME)
    for number, frame in enumerate(frames):
        out[number * hop : number * hop + _FRAME] += frame
    return out


def _band_matrix() -> Samples:
    bins = np.linspace(0, _STOI_RATE_HZ, _FFT + 1)[: _FFT // 2 + 1]
    matrix = np.zeros((_BANDS, len(bins)))
    for band in range(_BANDS):
        low, high = (_LOWEST_BAND_HZ * 2 ** ((2 * band + side) / 6) for side in (-1, 1))
        matrix[band, int(np.argmin((bins - low) ** 2)) : int(np.argmin((bins - high) ** 2))] = 1
    return matrix
