"""Stochastic pooling: an activation of the window, drawn by its size."""

from typing import Any

import keras
from keras import ops

from keras_practices._core.registration import register
from keras_practices._core.validation import check_choice
from keras_practices._core.validation import check_integer
from keras_practices._core.validation import value_error


@register
class StochasticPooling2D(keras.layers.Layer):
    """Draws one activation of each window, with a probability that is its share.

    In training an activation `a` of a window comes out with probability `a / sum`;
    inference gives the mean of that draw, `sum of a² / sum of a`. Put it behind
    rectified units: negative inputs count as zero, and a window of zeros gives zero.
    The gradient goes to the activation that was drawn, as in max-pooling.

    Args:
        pool_size: Integer of at least 1, or `(rows, columns)`, of a window.
        strides: As `pool_size`, steps between windows; None means `pool_size`.
        padding: `"valid"`, or `"same"`: borders are filled with zeros, which are
            never drawn beside anything positive.
        seed: Integer or None. Same seed, same draws.
        data_format: `"channels_last"`, `"channels_first"` or None, Keras's setting.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: Float tensor of shape `(batch, rows, columns, channels)`, or with the
            channels first; rows and columns known.
        training: Bool. Activations are drawn only when true.

    Returns:
        Tensor of the shape that `keras.layers.MaxPooling2D` gives.

    Raises:
        TypeError, ValueError: bad arguments; inputs of unknown size, or smaller than
            a window without padding.

    Example:

    >>> pictures = np.array([3.0, 1.0, 0.0, 0.0]).reshape(1, 2, 2, 1)
    >>> float(StochasticPooling2D(2)(pictures)[0, 0, 0, 0])  # (9 + 1) / 4
    2.5

    References:
        Zeiler and Fergus, "Stochastic Pooling for Regularization of Deep
        Convolutional Neural Networks", 2013, arXiv:1301.3557.
    """

    def __init__(
        self,
        pool_size: int | tuple[int, int] = 2,
        strides: int | tuple[int, int] | None = None,
        padding: str = "valid",
        seed: int | None = None,
        data_format: str | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.pool_size = self._pair("pool_size", pool_size)
        steps = self.pool_size if strides is None else strides
        self.strides = self._pair("strides", steps)
        self.padding = check_choice(self, "padding", padding, ("valid", "same"))
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.data_format = data_format or keras.config.image_data_format()
        formats = ("channels_last", "channels_first")
        check_choice(self, "data_format", self.data_format, formats)
        self.input_spec = keras.layers.InputSpec(ndim=4)

    def _pair(self, name, value):
        pair = tuple(value) if isinstance(value, list | tuple) else (value, value)
        if len(pair) != 2:
            raise value_error(self, name, "an integer or a pair of integers", value)
        for one in pair:
            check_integer(self, name, one, low=1)
        return pair

    def _geometry(self, shape):
        """Returns `{axis: (window, stride, windows, padding in front, behind)}`."""
        found = {}
        axes = (1, 2) if self.data_format == "channels_last" else (2, 3)
        for axis, window, stride in zip(
            axes, self.pool_size, self.strides, strict=True
        ):
            size = shape[axis]
            same = self.padding == "same"
            if size is None or size < (1 if same else window):
                expected = f"of a known size of at least {window} on axis {axis}"
                raise value_error(self, "inputs", expected, tuple(shape))
            if not same:
                found[axis] = (window, stride, (size - window) // stride + 1, 0, 0)
                continue
            count = -(-size // stride)
            fill = max((count - 1) * stride + window - size, 0)
            found[axis] = (window, stride, count, fill // 2, fill - fill // 2)
        return found

    def call(self, inputs, training=False):
        """Returns what was drawn or, in inference, its mean, for each window."""
        # Sums and squares of float16 would overflow.
        wide = keras.backend.result_type(self.compute_dtype, "float32")
        windows = ops.cast(self._windows(ops.relu(inputs)), wide)
        pooled = self._draw(windows) if training else _mean_draw(windows)
        return ops.cast(pooled, self.compute_dtype)

    def _windows(self, inputs):
        """Returns the places of all windows along a new first axis."""
        geometry = self._geometry(inputs.shape)
        fill = [geometry[axis][3:] if axis in geometry else (0, 0) for axis in range(4)]
        filled = ops.pad(inputs, fill) if any(map(any, fill)) else inputs
        parts = [filled]
        for axis, (window, stride, count, _, _) in geometry.items():
            span = (count - 1) * stride + 1
            before = (slice(None),) * axis
            parts = [
                part[(*before, slice(place, place + span, stride))]
                for part in parts
                for place in range(window)
            ]
        return ops.stack(parts)

    def _draw(self, windows):
        upto = ops.cumsum(windows, axis=0)
        total = upto[-1]
        draws = keras.random.uniform(
            ops.shape(total), dtype=total.dtype, seed=self.seed_generator
        )
        # The first place with a sum above the draw. Where rounding brings the draw up
        # to the total, the first place that reaches it: so a zero is never drawn.
        passed = ops.logical_and(upto <= draws * total, upto < total)
        place = ops.sum(ops.cast(passed, "int32"), axis=0, keepdims=True)
        place = ops.stop_gradient(place)
        return ops.squeeze(ops.take_along_axis(windows, place, axis=0), 0)

    def compute_output_shape(self, input_shape):
        """Returns the shape with the windows in the place of rows and columns."""
        shape = list(input_shape)
        for axis, (_, _, count, _, _) in self._geometry(input_shape).items():
            shape[axis] = count
        return tuple(shape)

    def get_config(self):
        """Returns the arguments."""
        return {
            **super().get_config(),
            "pool_size": self.pool_size,
            "strides": self.strides,
            "padding": self.padding,
            "seed": self.seed,
            "data_format": self.data_format,
        }


def _mean_draw(windows):
    # By the largest, so that no square underflows or overflows.
    largest = ops.max(windows, axis=0, keepdims=True)
    shares = ops.divide_no_nan(windows, largest)
    mean = ops.divide_no_nan(ops.sum(shares**2, axis=0), ops.sum(shares, axis=0))
    return mean * largest[0]
