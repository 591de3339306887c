"""What every random layer of this room shares, and how its ranges are written."""

from typing import Any

import keras
from keras import ops

from keras_practices._core.validation import check_integer
from keras_practices._core.validation import check_number
from keras_practices._core.validation import type_error
from keras_practices._core.validation import value_error

WAVEFORMS = "waveforms of shape (batch, samples) or (batch, samples, channels)"


class RandomLayer(keras.layers.Layer):
    """Changes each row of a batch by its own draw while training; nothing afterwards.

    A subclass writes `_augment`. It works in float32 at least: half precision can
    hold a sample, but not the sum of the squares of a second of samples.

    Args:
        seed: Integer or None. Same seed, same draws.
        **kwargs: Arguments of `keras.layers.Layer`.
    """

    _expected = WAVEFORMS
    _ranks: tuple[int, ...] = (2, 3)

    def __init__(self, seed: int | None = None, **kwargs: Any):
        super().__init__(**kwargs)
        self.seed = None if seed is None else check_integer(self, "seed", seed)
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, inputs, training=False):
        """Returns `inputs`, changed at random if `training` is true."""
        x = ops.cast(inputs, self.compute_dtype)
        if not training:
            return x
        wide = keras.backend.result_type(self.compute_dtype, "float32")
        return ops.cast(self._augment(ops.cast(x, wide)), self.compute_dtype)

    def build(self, input_shape):
        """Checks the shape of what the layer is to change."""
        if len(input_shape) not in self._ranks:
            raise value_error(self, "inputs", self._expected, tuple(input_shape))

    def compute_output_shape(self, input_shape):
        """Returns the shape of the inputs."""
        return input_shape

    def get_config(self):
        """Returns the arguments."""
        return {**super().get_config(), "seed": self.seed}

    def _augment(self, x):
        raise NotImplementedError

    def _draw(self, x, low, high):
        """Returns one number a row between `low` and `high`, of as many axes as `x`."""
        shape = (ops.shape(x)[0],) + (1,) * (len(x.shape) - 1)
        share = keras.random.uniform(shape, dtype=x.dtype, seed=self.seed_generator)
        return low + (high - low) * share

    def _draw_integer(self, x, high):
        """Returns one integer a row from 0 to `high`, an integer or a tensor of them.

        The bound may be known in a running step only, so the draw is a share of it.
        """
        count = ops.cast(high, x.dtype) + 1.0
        drawn = ops.cast(ops.floor(self._draw(x, 0.0, 1.0) * count), "int32")
        # A share next to 1 can be rounded up to it.
        return ops.minimum(drawn, ops.cast(high, "int32"))


def checked_range(owner, name, value, **bounds):
    """Returns `(low, high)` from such a pair, or from one number that is both.

    Args:
        owner: Object that a message begins with.
        name: Name of the argument.
        value: What was received.
        **bounds: `low`, `high`, `closed` and `advice` of `check_number`.

    Raises:
        TypeError: neither a number nor a pair of numbers.
        ValueError: a number out of bounds, or the lower one is the higher.
    """
    pair = tuple(value) if isinstance(value, list | tuple) else (value, value)
    if len(pair) != 2:
        expected = "a pair (low, high), or one number"
        raise type_error(owner, name, expected, value)
    low, high = (float(check_number(owner, name, end, **bounds)) for end in pair)
    if low > high:
        raise value_error(owner, name, "a pair (low, high) with low <= high", value)
    return low, high
