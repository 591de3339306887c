"""Sparse initialization: every unit starts with a fixed number of inputs."""

import math

import keras
from keras import ops

from keras_practices._core.randomness import derive_seeds
from keras_practices._core.registration import register
from keras_practices._core.validation import check_integer
from keras_practices._core.validation import check_number
from keras_practices._core.validation import value_error


@register
class SparseNormal(keras.initializers.RandomNormal):
    """Connects each output unit to exactly `connections` inputs, drawn at random.

    All other weights are zero. The strength of a unit's input then does not depend
    on how wide the layer below is, and units start more different from each other.
    Use it for wide dense layers without normalization; with BatchNormalization or a
    fan-in near `connections` it brings nothing.

    The inputs of a unit run over all axes of the kernel but the last:
    `(inputs, units)` for `Dense`, `(rows, columns, channels, filters)` for `Conv2D`.
    A kernel with no more than `connections` inputs a unit is filled completely.

    Args:
        connections: Integer of at least 1. Inbound weights a unit that are not zero.
            CS231n names 10, Martens (2010) used 15.
        stddev: Float above 0, or None. Standard deviation of the weights that are
            not zero. None takes `1 / sqrt(n)` with n the number of such weights a
            unit (`connections`, or the fan-in where that is smaller): inputs of unit
            variance then give sums of unit variance. For ReLU pass
            `(2 / connections) ** 0.5`.
        seed: Integer, `keras.random.SeedGenerator` or None, as in Keras's own
            initializers: an integer (and None) gives one instance the same values at
            every call, a generator gives new ones.

    Returns:
        When called with a shape: tensor of that shape.

    Raises:
        ValueError: `connections` or `stddev` out of range, a shape without axes.
        TypeError: one of them not a number.

    Example:

    >>> kernel = SparseNormal(connections=10, seed=1)((500, 4))
    >>> keras.ops.convert_to_numpy(kernel != 0).sum(axis=0).tolist()
    [10, 10, 10, 10]

    References:
        Martens, "Deep learning via Hessian-free optimization", 2010, section 5
        (15 connections); CS231n, "Neural Networks Part 2", weight initialization
        (sparse initialization; calibrating the variances with 1/sqrt(n)).
        Differs: `stddev` is calibrated, where Martens draws from a unit normal and
        CS231n from a small one.
    """

    def __init__(
        self,
        connections: int = 10,
        stddev: float | None = None,
        seed: int | keras.random.SeedGenerator | None = None,
    ):
        check_integer(self, "connections", connections, low=1)
        if stddev is not None:
            check_number(self, "stddev", stddev, low=0, closed="neither")
        super().__init__(mean=0.0, stddev=stddev, seed=seed)
        self.connections = connections

    def __call__(self, shape, dtype=None):
        """Returns values of the given shape and dtype."""
        shape = tuple(shape)
        if not shape:
            raise value_error(self, "shape", "a shape with at least one axis", shape)
        dtype = dtype or keras.config.floatx()
        units, fan_in = shape[-1], math.prod(shape[:-1])
        count = min(self.connections, fan_in)
        stddev = 1 / math.sqrt(count) if self.stddev is None else self.stddev
        score_seed, value_seed = self._two_seeds()
        # float32: half-precision draws are coarse enough to tie and to hit zero.
        scores = keras.random.uniform((units, fan_in), seed=score_seed, dtype="float32")
        chosen = ops.cast(ops.top_k(scores, count, sorted=False)[1], "int32")
        owners = ops.repeat(ops.arange(units, dtype="int32"), count)
        values = keras.random.normal(
            (units * count,), stddev=stddev, seed=value_seed, dtype="float32"
        )
        places = ops.stack([ops.ravel(chosen), owners], axis=1)
        kernel = ops.scatter(places, values, (fan_in, units))
        return ops.cast(ops.reshape(kernel, shape), dtype)

    def _two_seeds(self):
        """Returns seeds for the choice of inputs and for their weights.

        With one integer for both, the weights would follow from the scores that
        chose them and be neither normal nor centred.
        """
        if isinstance(self.seed, keras.random.SeedGenerator):
            return self.seed, self.seed
        return derive_seeds(int(self.seed), 2)

    def get_config(self):
        """Returns the configuration: exactly the constructor's arguments."""
        config = super().get_config()
        del config["mean"]
        return {**config, "connections": self.connections}
