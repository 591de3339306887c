"""Features scaled to a range, by the extremes of the training part only."""

from typing import Any

import numpy as np

from keras_practices._core.registration import register
from keras_practices._core.validation import check_number
from keras_practices._core.validation import type_error
from keras_practices._core.validation import value_error
from keras_practices.data.training_normalization import TrainingNormalization


@register
class MinMaxScaling(TrainingNormalization):
    """Maps smallest and largest value of the training part to the ends of a range.

    For features with hard ends, and for pixels of an unknown range. A single outlier
    decides the scale of its feature: where there may be some, take `Standardization`.
    Values that lie outside the extremes of the training rows go outside the range. A
    feature that is constant in training becomes the lower end. Equal to
    scikit-learn's `MinMaxScaler`.

    Call `adapt` before `fit`. In a model, place it first.

    Args:
        low: Float, what the smallest value becomes.
        high: Float above `low`, what the largest value becomes. `low=-1` centres.
        axis: Integer, tuple of integers or None: the axes that keep extremes of their
            own, as of `Standardization`. None takes one range for everything.
        **kwargs: Further arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: Tensor of the shape of the data that was adapted to.

    Returns:
        Float tensor of the shape of `inputs`.

    Raises:
        TypeError: an end that is no number; in `adapt`, anything but a `Part` with one
            array of numbers.
        ValueError: `high` not above `low`; in `adapt`, another part than the training
            part, or numbers that are not finite.
        RuntimeError: `adapt` called a second time.

    Example:

    >>> x = np.array([[1.0, 5.0], [3.0, 5.0]])
    >>> layer = MinMaxScaling(low=-1.0)
    >>> layer.adapt(kp.data.Part(x, np.zeros(2), role="train"))
    >>> keras.ops.convert_to_numpy(layer(x)).tolist()
    [[-1.0, -1.0], [1.0, -1.0]]

    References:
        CS231n, "Neural Networks Part 2", data preprocessing ("so that the min and max
        along the dimension is -1 and 1 respectively").
    """

    def __init__(
        self,
        low: float = 0.0,
        high: float = 1.0,
        *,
        axis: int | tuple[int, ...] | None = -1,
        **kwargs: Any,
    ):
        check_number(self, "low", low)
        check_number(self, "high", high)
        if high <= low:
            raise value_error(self, "high", f"above low={low!r}", high)
        for name in ("mean", "variance", "invert"):
            if name in kwargs:
                expected = "left out: the extremes come from adapt"
                raise type_error(self, name, expected, kwargs[name])
        super().__init__(axis=axis, **kwargs)
        self.low = low
        self.high = high

    def _location_and_scale(self, x, reduced):
        least, most = x.min(axis=reduced), x.max(axis=reduced)
        scale = np.where(most > least, most - least, 1.0) / (self.high - self.low)
        return least - self.low * scale, scale

    def get_config(self):
        """Returns the arguments."""
        config = super().get_config()
        for name in ("mean", "variance", "invert"):  # as they are in every such layer
            config.pop(name, None)
        return {**config, "low": self.low, "high": self.high}
