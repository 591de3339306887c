"""Higher or lower, at the same speed."""

import math
from typing import Any

from keras import ops

from keras_practices._core.registration import register
from keras_practices.augmentation.phase_vocoder import read_at_speed
from keras_practices.augmentation.phase_vocoder import stretched
from keras_practices.augmentation.random_layer import checked_range
from keras_practices.augmentation.time_stretch import VocoderLayer


@register
class PitchShift(VocoderLayer):
    """Gives each waveform a pitch of its own and keeps its speed.

    A phase vocoder makes it longer by the factor that reading it faster then takes
    back. Tones that would come to lie above half the sampling rate are left out.
    All channels of a waveform get the same pitch. Outside training nothing happens.

    Args:
        semitones: Pair (low, high) between -24 and 24, or one number for always the
            same: 12 is an octave up, and a factor of 2 in frequency.
        frame_length: Integer, a multiple of 4 and at least 64, as in `TimeStretch`.
        seed: Integer or None. Same seed, same pitches.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: Waveforms, `(batch, samples)` or `(batch, samples, channels)`.
        training: Bool. The pitch changes only when true.

    Returns:
        Float tensor of the shape of `inputs`.

    Raises:
        TypeError, ValueError: bad arguments; inputs of another rank.

    Example:

    >>> wave = np.sin(0.3 * np.arange(2000.0))[None]
    >>> higher = PitchShift(semitones=12, frame_length=256)(wave, training=True)
    >>> higher = keras.ops.convert_to_numpy(higher)[0]
    >>> int(abs(np.fft.rfft(higher[400:1600])).argmax())  # 2 * 57.3
    115

    References:
        Laroche and Dolson, "Improved phase vocoder time-scale modification of audio",
        1999, IEEE Transactions on Speech and Audio Processing 7;
        Salamon and Bello, "Deep convolutional neural networks and data augmentation
        for environmental sound classification", 2017, IEEE Signal Processing Letters.
    """

    def __init__(
        self,
        semitones: float | tuple[float, float] = (-2.0, 2.0),
        frame_length: int = 1024,
        seed: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(frame_length, seed=seed, **kwargs)
        bounds = {"low": -24, "high": 24}
        self.semitones = checked_range(self, "semitones", semitones, **bounds)

    def _changed(self, waves):
        factor = ops.power(2.0, self._draw(waves, *self.semitones) / 12.0)
        count = ops.shape(waves)[2]
        # As long as the highest pitch of the range needs: one shape for all rows. In
        # whole numbers, because the count may be a tensor.
        longest = math.ceil(1024 * 2 ** (self.semitones[1] / 12))
        length = (count * longest + 1023) // 1024 + self.frame_length
        longer = stretched(waves, 1.0 / factor, length, self.frame_length)
        return read_at_speed(longer, factor, count)

    def get_config(self):
        """Returns the arguments."""
        return {**super().get_config(), "semitones": self.semitones}
