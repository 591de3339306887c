"""Faster or slower, at the same pitch."""

from typing import Any

from keras import ops

from keras_practices._core.registration import register
from keras_practices._core.validation import check_integer
from keras_practices._core.validation import value_error
from keras_practices.augmentation.phase_vocoder import stretched
from keras_practices.augmentation.random_layer import RandomLayer
from keras_practices.augmentation.random_layer import checked_range


class VocoderLayer(RandomLayer):
    """What `TimeStretch` and `PitchShift` share: frames, and channels in front.

    Args:
        frame_length: Integer, a multiple of 4 and at least 64.
        seed: Integer or None.
        **kwargs: Arguments of `keras.layers.Layer`.
    """

    def __init__(self, frame_length: int, seed: int | None = None, **kwargs: Any):
        super().__init__(seed=seed, **kwargs)
        self.frame_length = check_integer(self, "frame_length", frame_length, low=64)
        if frame_length % 4:
            raise value_error(self, "frame_length", "a multiple of 4", frame_length)

    def _augment(self, x):
        mono = len(x.shape) == 2
        waves = ops.expand_dims(x, 1) if mono else ops.swapaxes(x, 1, 2)
        waves = self._changed(waves)
        waves = ops.squeeze(waves, 1) if mono else ops.swapaxes(waves, 1, 2)
        return ops.reshape(waves, ops.shape(x))

    def _changed(self, waves):
        raise NotImplementedError

    def get_config(self):
        """Returns the arguments."""
        return {**super().get_config(), "frame_length": self.frame_length}


@register
class TimeStretch(VocoderLayer):
    """Lets each waveform run at a speed of its own and keeps its pitch.

    A phase vocoder with phase locking. The number of samples stays: what runs faster
    ends early and is followed by silence, what runs slower is cut at the end. All
    channels of a waveform run at the same speed. Outside training nothing happens.

    Args:
        rate: Pair (low, high) above 0, or one number for always the same: 2 is twice
            as fast.
        frame_length: Integer, a multiple of 4 and at least 64. Samples of a frame of
            the Fourier transform; a hop is a quarter of it. Tones closer than about
            four times the sampling rate over it are not told apart.
        seed: Integer or None. Same seed, same speeds.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: Waveforms, `(batch, samples)` or `(batch, samples, channels)`.
        training: Bool. The speed changes only when true.

    Returns:
        Float tensor of the shape of `inputs`.

    Raises:
        TypeError, ValueError: bad arguments; inputs of another rank.

    Example:

    >>> wave = np.sin(0.3 * np.arange(2000.0))[None]
    >>> faster = TimeStretch(rate=2.0, frame_length=256)(wave, training=True)
    >>> faster = keras.ops.convert_to_numpy(faster)[0]
    >>> int(abs(np.fft.rfft(faster[200:800])).argmax())  # 0.3 * 600 / 2 pi = 28.6
    29
    >>> bool(abs(faster[1300:]).max() < 0.01)
    True

    References:
        Laroche and Dolson, "Improved phase vocoder time-scale modification of audio",
        1999, IEEE Transactions on Speech and Audio Processing 7; Ko et al.,
        "Audio augmentation for speech recognition", 2015, Interspeech.
    """

    def __init__(
        self,
        rate: float | tuple[float, float] = (0.8, 1.25),
        frame_length: int = 1024,
        seed: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(frame_length, seed=seed, **kwargs)
        self.rate = checked_range(self, "rate", rate, low=0, closed="neither")

    def _changed(self, waves):
        rate = self._draw(waves, *self.rate)
        return stretched(waves, rate, ops.shape(waves)[2], self.frame_length)

    def get_config(self):
        """Returns the arguments."""
        return {**super().get_config(), "rate": self.rate}
