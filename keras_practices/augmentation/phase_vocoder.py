"""Waveforms made longer without a new pitch, and read at another speed.

Both take waveforms `(batch, channels, samples)` and one number a row, of shape
`(batch, 1, 1)`, so that each row of a batch has its own.
"""

import math

from keras import ops

# Bands on each side that turn with a peak: the main lobe of the window has two, and a
# tone between two bands is as wide as three.
_REACH = 4
# Samples on each side that the interpolation looks at.
_TAPS = 16
# Where a waveform is read is counted in blocks, because float32 has 24 bits: past
# 131 072 samples it would place a sample to 1/64 only.
_BLOCK = 256


def stretched(x, rate, length, frame_length):
    """Returns `length` samples of waveforms that run `rate` times as fast.

    The phase of each band goes on from frame to frame by as much as it moved in the
    original over one hop; magnitudes are interpolated. Bands beside a peak turn with
    it, or a tone would be weakened by its own sides.

    Args:
        x: Waveforms in float32 or float64.
        rate: Of each row, above 0. What lies behind the end is silence.
        length: Samples of the output, integer or scalar tensor.
        frame_length: Samples of a frame, a multiple of 4; a hop is a quarter.
    """
    hop, margin = frame_length // 4, 4
    # A frame of silence at both ends: mirrored samples are silent then, and so are
    # the edges, where TensorFlow's istft (Keras 3.15) divides by too many windows.
    x = ops.pad(x, [(0, 0), (0, 0), (frame_length, 2 * frame_length)])
    real, imaginary = ops.stft(x, frame_length, hop, frame_length)
    magnitude = ops.sqrt(ops.square(real) + ops.square(imaginary))
    phase = ops.arctan2(imaginary, real)
    padded = length + 2 * frame_length
    frames = ops.arange(1 + (padded + hop - 1) // hop, dtype="int32") - margin
    place = ops.reshape(ops.cast(frames, x.dtype), (1, 1, -1, 1))
    place = ops.maximum(margin + place * ops.expand_dims(rate, -1), 0.0)
    here = ops.floor(place)
    # The last two frames are silent.
    first = ops.minimum(ops.cast(here, "int32"), ops.shape(real)[2] - 2)
    low, high = _frame(magnitude, first), _frame(magnitude, first + 1)
    phase_low, phase_high = _frame(phase, first), _frame(phase, first + 1)
    moved = _turns_left_out(phase_high - phase_low)
    turned = phase_low[:, :, :1] + ops.cumsum(moved, axis=2) - moved - phase_low
    phase = phase_low + _locked(turned, low)
    magnitude = low + (place - here) * (high - low)
    parts = magnitude * ops.cos(phase), magnitude * ops.sin(phase)
    found = ops.istft(parts, frame_length, hop, frame_length, length=padded)
    return found[:, :, frame_length : frame_length + length]


def _turns_left_out(angle):
    """Returns angles in [0, 2 pi): a hop is one hop, so whole turns do not matter.

    And their sum over many frames keeps its digits.
    """
    return ops.mod(angle, 2 * math.pi)


def _locked(turned, magnitude):
    """Returns by how much each band turns: as the next peak within `_REACH` bands.

    Identity phase locking, without the search for the borders between peaks.
    """
    bands = turned.shape[-1]

    def moved(x, by):
        """`x` of the band `by` places further on; nothing from beyond the ends."""
        sides = [(0, 0)] * 3 + [(max(-by, 0), max(by, 0))]
        return ops.pad(x, sides)[..., max(by, 0) : max(by, 0) + bands]

    peak = magnitude > 0
    for by in (-2, -1, 1, 2):
        peak = ops.logical_and(peak, magnitude >= moved(magnitude, by))
    peak = ops.cast(peak, turned.dtype)
    locked, free = turned * peak, 1.0 - peak
    for reach in range(1, _REACH + 1):
        for by in (-reach, reach):
            takes = free * moved(peak, by)
            locked, free = locked + takes * moved(turned, by), free - takes
    return locked + free * turned


def _frame(x, place):
    """Returns the frames of `x` at `place`, `(batch, 1, frames, 1)`."""
    batch, channels, _, bands = ops.shape(x)
    index = ops.broadcast_to(place, (batch, channels, ops.shape(place)[2], bands))
    return ops.take_along_axis(x, index, axis=2)


def read_at_speed(x, speed, length):
    """Returns `length` samples of waveforms that are read at another speed.

    Sample i is the waveform at `i * speed`, by a windowed sinc that lets nothing pass
    which would fold back. The waveforms reach `_TAPS` samples beyond the last place.
    """
    index = ops.arange(length, dtype="int32")
    block = ops.reshape(index // _BLOCK, (1, 1, -1))
    inner = ops.reshape(index % _BLOCK, (1, 1, -1))
    whole = ops.floor(speed * _BLOCK)
    rest = speed * _BLOCK - whole
    place = ops.cast(block, x.dtype) * rest + ops.cast(inner, x.dtype) * speed
    floor = ops.floor(place)
    start = block * ops.cast(whole, "int32") + ops.cast(floor, "int32")
    x = ops.pad(x, [(0, 0), (0, 0), (_TAPS, 0)])
    total, weights = 0.0, 0.0
    for tap, weight in _windowed_sinc(place - floor, ops.minimum(1.0, 1.0 / speed)):
        total = total + weight * _samples(x, start + (tap + _TAPS))
        weights = weights + weight
    return total / weights


def _windowed_sinc(fraction, cutoff):
    """Yields each tap and its weights, up to a factor.

    Sines of differences, so that only products are left to do in the loop.
    """
    angle, window = math.pi * cutoff * fraction, math.pi / _TAPS * fraction
    sine, cosine = ops.sin(angle), ops.cos(angle)
    window_sine, window_cosine = ops.sin(window), ops.cos(window)
    for tap in range(1 - _TAPS, _TAPS + 1):
        step = math.pi * cutoff * tap
        distance = fraction - tap
        # Beside the middle the quotient is its limit, which float32 would lose.
        near = ops.abs(distance) < 1e-3
        wave = sine * ops.cos(step) - cosine * ops.sin(step)
        safe = ops.where(near, ops.ones_like(distance), distance)
        sinc = ops.where(near, math.pi * cutoff + 0.0 * safe, wave / safe)
        hann = math.cos(math.pi * tap / _TAPS), math.sin(math.pi * tap / _TAPS)
        yield tap, sinc * (1.0 + window_cosine * hann[0] + window_sine * hann[1])


def _samples(x, place):
    batch, channels, _ = ops.shape(x)
    index = ops.broadcast_to(place, (batch, channels, ops.shape(place)[2]))
    return ops.take_along_axis(x, index, axis=2)
