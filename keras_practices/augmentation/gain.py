"""Louder or softer."""

from typing import Any

from keras import ops

from keras_practices._core.registration import register
from keras_practices.augmentation.random_layer import RandomLayer
from keras_practices.augmentation.random_layer import checked_range


@register
class Gain(RandomLayer):
    """Multiplies each waveform by a loudness of its own, drawn evenly in decibels.

    All channels of a waveform get the same one. Nothing is clipped. Outside training
    nothing happens.

    Args:
        db: Pair (low, high) in decibels, or one number for always the same: -6 halves
            the amplitude, 6 doubles it.
        seed: Integer or None. Same seed, same draws.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: Waveforms, `(batch, samples)` or `(batch, samples, channels)`.
        training: Bool. The gain is applied only when true.

    Returns:
        Float tensor of the shape of `inputs`.

    Raises:
        TypeError, ValueError: `db` is no range; inputs of another rank.

    Example:

    >>> wave = np.ones((1, 4), "float32")
    >>> round(float(Gain(db=-20.0)(wave, training=True)[0, 0]), 6)
    0.1

    References:
        IEC 60027-3: the decibel of a field quantity is 20 log10 of its ratio.
    """

    def __init__(
        self,
        db: float | tuple[float, float] = (-6.0, 6.0),
        seed: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(seed=seed, **kwargs)
        # 10 ** (db / 20) must be a number in float32.
        self.db = checked_range(self, "db", db, low=-400, high=400)
        self.supports_masking = True

    def _augment(self, x):
        return x * ops.power(10.0, self._draw(x, *self.db) / 20.0)

    def get_config(self):
        """Returns the arguments."""
        return {**super().get_config(), "db": self.db}
