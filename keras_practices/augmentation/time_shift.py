"""Earlier or later."""

from typing import Any

from keras import ops

from keras_practices._core.registration import register
from keras_practices._core.validation import check_choice
from keras_practices._core.validation import check_number
from keras_practices.augmentation.random_layer import RandomLayer


@register
class TimeShift(RandomLayer):
    """Moves each waveform in time by a number of samples of its own.

    The shift is drawn evenly from all whole numbers between `-share` and `share` of
    the length. All channels of a waveform move together. Outside training nothing
    happens.

    Args:
        share: Float in [0, 1]. Longest shift, as a share of the length.
        mode: `"wrap"`: what leaves at one end comes back at the other; `"zero"`: the
            gap is silent.
        seed: Integer or None. Same seed, same shifts.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: Waveforms, `(batch, samples)` or `(batch, samples, channels)`.
        training: Bool. The waveforms are moved only when true.

    Returns:
        Float tensor of the shape of `inputs`.

    Raises:
        TypeError, ValueError: `share` is no number in [0, 1]; another `mode`; inputs
            of another rank.

    Example:

    >>> wave = np.arange(4.0)[None]
    >>> moved = TimeShift(share=0.5, seed=1)(wave, training=True)
    >>> sorted(keras.ops.convert_to_numpy(moved)[0].tolist())
    [0.0, 1.0, 2.0, 3.0]

    References:
        Salamon and Bello, "Deep convolutional neural networks and data augmentation
        for environmental sound classification", 2017, IEEE Signal Processing Letters.
    """

    def __init__(
        self,
        share: float = 0.1,
        mode: str = "wrap",
        seed: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(seed=seed, **kwargs)
        self.share = check_number(self, "share", share, low=0, high=1)
        self.mode = check_choice(self, "mode", mode, ("wrap", "zero"))

    def _augment(self, x):
        length = ops.shape(x)[1]
        longest = ops.cast(ops.floor(ops.cast(length, x.dtype) * self.share), "int32")
        shift = self._draw_integer(x, 2 * longest) - longest
        place = ops.arange(length, dtype="int32")
        place = ops.reshape(place, (1, -1) + (1,) * (len(x.shape) - 2))
        source = ops.broadcast_to(place - shift, ops.shape(x))
        moved = ops.take_along_axis(x, ops.mod(source, length), axis=1)
        if self.mode == "wrap":
            return moved
        inside = ops.logical_and(source >= 0, source < length)
        return ops.where(inside, moved, ops.zeros_like(moved))

    def get_config(self):
        """Returns the arguments."""
        return {**super().get_config(), "share": self.share, "mode": self.mode}
