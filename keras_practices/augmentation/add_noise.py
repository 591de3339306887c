"""White noise at a signal-to-noise ratio."""

from typing import Any

import keras
from keras import ops

from keras_practices._core.registration import register
from keras_practices.augmentation.random_layer import RandomLayer
from keras_practices.augmentation.random_layer import checked_range


@register
class AddNoise(RandomLayer):
    """Adds white Gaussian noise, of a loudness drawn anew for each waveform.

    The signal-to-noise ratio is drawn evenly in decibels and met exactly: the power
    of the noise is measured, over all samples and channels of one waveform, not only
    expected. A silent waveform stays silent. Outside training nothing happens.

    Args:
        snr_db: Pair (low, high) in decibels, or one number for always the same: 0 is
            noise as loud as the signal, 20 a tenth of its amplitude.
        seed: Integer or None. Same seed, same noise.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: Waveforms, `(batch, samples)` or `(batch, samples, channels)`.
        training: Bool. Noise is added only when true.

    Returns:
        Float tensor of the shape of `inputs`.

    Raises:
        TypeError, ValueError: `snr_db` is no range; inputs of another rank.

    Example:

    >>> layer = AddNoise(snr_db=(10, 30), seed=1)
    >>> wave = np.sin(np.arange(1000.0))[None]
    >>> noise = keras.ops.convert_to_numpy(layer(wave, training=True)) - wave
    >>> bool(10 < 10 * np.log10((wave**2).mean() / (noise**2).mean()) < 30)
    True

    References:
        Ko et al., "A study on data augmentation of reverberant speech for robust
        speech recognition", 2017, ICASSP.
    """

    def __init__(
        self,
        snr_db: float | tuple[float, float] = (10.0, 30.0),
        seed: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(seed=seed, **kwargs)
        self.snr_db = checked_range(self, "snr_db", snr_db)
        self.supports_masking = True

    def _augment(self, x):
        axes = tuple(range(1, len(x.shape)))
        noise = keras.random.normal(
            ops.shape(x), dtype=x.dtype, seed=self.seed_generator
        )
        ratio = ops.power(10.0, -self._draw(x, *self.snr_db) / 20.0)
        loudness = _root_mean_square(x, axes) / _root_mean_square(noise, axes)
        return x + noise * ratio * loudness

    def get_config(self):
        """Returns the arguments."""
        return {**super().get_config(), "snr_db": self.snr_db}


def _root_mean_square(x, axes):
    return ops.sqrt(ops.mean(ops.square(x), axis=axes, keepdims=True))
