"""Fractional max-pooling: smaller by a factor between 1 and 2, over random regions."""

from typing import Any

import keras
from keras import ops

from keras_practices._core.registration import register
from keras_practices._core.validation import check_choice
from keras_practices._core.validation import check_number
from keras_practices._core.validation import type_error
from keras_practices._core.validation import value_error


@register
class FractionalMaxPooling2D(keras.layers.Layer):
    """Takes maxima over regions whose sizes vary, so that the ratio is any number.

    `MaxPooling2D(2)` halves a picture and throws three quarters of it away. With a
    ratio of √2 there are twice as many layers for the same shrinkage, and the random
    borders of the regions are a regulariser. Rows and columns are cut into
    `floor(size / ratio)` stretches, each of `k` or `k + 1` lines with
    `k = floor(size / floor(size / ratio))`. One cut is drawn for each batch, as in
    `tf.nn.fractional_max_pool`. Inference takes the evenly spread cut, always the
    same; the paper's average over random cuts is `predict_mc`.

    Args:
        pooling_ratio: Float of at least 1, or `(ratio of rows, ratio of columns)`.
        pseudo_random: Bool. Where long and short stretches lie: false, in an order
            that is drawn; true, spread evenly from a start that is drawn. Without
            dropout the paper found them alike, beside it random cuts underfit.
        overlapping: Bool. Whether the line on a border belongs to both its regions.
        seed: Integer or None. Same seed, same cuts.
        data_format: `"channels_last"`, `"channels_first"` or None, Keras's setting.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: Float tensor of shape `(batch, rows, columns, channels)`, or with the
            channels first; rows and columns known.
        training: Bool. Cuts are drawn only when true.

    Returns:
        Tensor with `floor(rows / ratio)` rows and `floor(columns / ratio)` columns.

    Raises:
        TypeError, ValueError: bad arguments; inputs of unknown size, or smaller than
            the ratio.

    Example:

    >>> layer = FractionalMaxPooling2D(1.41)
    >>> tuple(layer(np.ones((2, 10, 14, 3))).shape)
    (2, 7, 9, 3)

    References:
        Graham, "Fractional Max-Pooling", 2014, arXiv:1412.6071; CS231n, "Neural
        Networks Part 2", theme of noise in the forward pass.
    """

    def __init__(
        self,
        pooling_ratio: float | tuple[float, float] = 2**0.5,
        pseudo_random: bool = False,
        overlapping: bool = False,
        seed: int | None = None,
        data_format: str | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        ratios: Any = pooling_ratio
        ratios = tuple(ratios) if isinstance(ratios, list | tuple) else (ratios, ratios)
        if len(ratios) != 2:
            expected = "a number or a pair of numbers"
            raise value_error(self, "pooling_ratio", expected, pooling_ratio)
        for ratio in ratios:
            check_number(self, "pooling_ratio", ratio, low=1)
        self.pooling_ratio = ratios
        for name, flag in (
            ("pseudo_random", pseudo_random),
            ("overlapping", overlapping),
        ):
            if not isinstance(flag, bool):
                raise type_error(self, name, "a bool", flag)
        self.pseudo_random = pseudo_random
        self.overlapping = overlapping
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.data_format = data_format or keras.config.image_data_format()
        formats = ("channels_last", "channels_first")
        check_choice(self, "data_format", self.data_format, formats)
        self.input_spec = keras.layers.InputSpec(ndim=4)

    def _axes(self):
        return (1, 2) if self.data_format == "channels_last" else (2, 3)

    def _sizes(self, shape):
        """Yields axis, size and number of stretches, for rows and for columns."""
        for axis, ratio in zip(self._axes(), self.pooling_ratio, strict=True):
            size = shape[axis]
            if size is None or size < ratio:
                expected = f"of a known size of at least {ratio:g} on axis {axis}"
                raise value_error(self, "inputs", expected, tuple(shape))
            yield axis, size, int(size / ratio)

    def call(self, inputs, training=False):
        """Returns the maxima of all regions."""
        outputs = inputs
        for axis, size, count in self._sizes(inputs.shape):
            starts = self._starts(size, count, training)
            outputs = pool_stretches(outputs, starts, axis, self.overlapping)
        return outputs

    def _starts(self, size, count, training):
        """Returns where the stretches start, and the end, as `count + 1` integers."""
        short, long_ones = divmod(size, count)
        if training and not self.pseudo_random:
            draws = keras.random.uniform(
                (count,), dtype="float32", seed=self.seed_generator
            )
            # The ranks are a random permutation, sorted also where draws are equal.
            ranks = ops.argsort(ops.argsort(draws))
            lengths = short + ops.cast(ranks < long_ones, "int32")
            return ops.concatenate([ops.zeros((1,), "int32"), ops.cumsum(lengths)])
        # The paper's start i is ceil(size / count * (i + u)) - 1, u uniform as far as
        # all stretches have length k or k + 1. That is this in whole numbers, with
        # shift = ceil(size * u), and nothing is rounded.
        most = min(2 * count - long_ones, count + long_ones)
        shift = (1 + most) // 2
        if training:
            shift = keras.random.randint((), 1, most + 1, seed=self.seed_generator)
        inner = (ops.arange(1, count) * size + shift + count - 1) // count - 1
        parts = [ops.zeros((1,)), inner, ops.full((1,), size)]
        return ops.concatenate([ops.cast(part, "int32") for part in parts])

    def compute_output_shape(self, input_shape):
        """Returns the shape, known before any draw."""
        shape = list(input_shape)
        for axis, _, count in self._sizes(input_shape):
            shape[axis] = count
        return tuple(shape)

    def get_config(self):
        """Returns the arguments."""
        return {
            **super().get_config(),
            "pooling_ratio": self.pooling_ratio,
            "pseudo_random": self.pseudo_random,
            "overlapping": self.overlapping,
            "seed": self.seed,
            "data_format": self.data_format,
        }


def pool_stretches(inputs, starts, axis, overlapping):
    """Returns the maximum over each stretch of one axis.

    Args:
        inputs: Tensor, the length of `axis` known.
        starts: Integer tensor of `count + 1` places: the starts of stretches that
            are `floor(length / count)` long or one longer, then the length.
        axis: Integer.
        overlapping: Bool. Whether a stretch holds the first line of the next too.

    Returns:
        Tensor with `count` entries on the axis.
    """
    size, count = inputs.shape[axis], starts.shape[0] - 1
    longest = size // count + int(size % count > 0) + int(overlapping)
    last = ops.minimum(starts[1:] - int(not overlapping), size - 1)
    # All stretches have the same number of reads; the short ones read their last line
    # again, which moves no maximum.
    pooled = ops.take(inputs, starts[:-1], axis=axis)
    for step in range(1, longest):
        lines = ops.minimum(starts[:-1] + step, last)
        pooled = ops.maximum(pooled, ops.take(inputs, lines, axis=axis))
    return pooled
