"""Maxout: the largest of several linear units, in the place of a non-linearity."""

from typing import Any

import keras
from keras import ops

from keras_practices._core.registration import register
from keras_practices._core.validation import check_integer
from keras_practices._core.validation import value_error


@register
class Maxout(keras.layers.Layer):
    """Keeps the largest of each group of features.

    A linear layer of `k * num_units` features and this layer are `num_units` maxout
    units of `k` pieces each. A unit neither saturates nor dies, for `k` times the
    weights. Unit `j` is the maximum over features `j`, `j + num_units`,
    `j + 2 * num_units`, …, as in tensorflow-addons.

    Args:
        num_units: Integer of at least 1, a divisor of the number of features. How
            many features are left.
        axis: Integer. Axis of the features, never the batch.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: Tensor of shape `(batch, …, features, …)`.

    Returns:
        Tensor of the same shape with `num_units` in the place of the features.

    Raises:
        TypeError, ValueError: bad `num_units` or `axis`; an axis of unknown length,
            or one that `num_units` does not divide.

    Example:

    >>> inputs = np.array([[1.0, 5.0, 3.0, 2.0]])
    >>> np.asarray(Maxout(2)(inputs)).tolist()
    [[3.0, 5.0]]

    References:
        Goodfellow et al., "Maxout Networks", 2013, arXiv:1302.4389; CS231n, "Neural
        Networks Part 1", commonly used activation functions.
    """

    def __init__(self, num_units: int, axis: int = -1, **kwargs: Any):
        super().__init__(**kwargs)
        self.num_units = check_integer(self, "num_units", num_units, low=1)
        self.axis = check_integer(self, "axis", axis)
        if axis == 0:
            raise value_error(self, "axis", "another axis than that of the batch", axis)

    def _pieces(self, shape):
        rank = len(shape)
        if not -rank < self.axis < rank:
            expected = f"an axis of inputs of shape {tuple(shape)}, not the batch"
            raise value_error(self, "axis", expected, self.axis)
        features = shape[self.axis]
        if features is None or features % self.num_units:
            expected = f"a divisor of the {features} features on axis {self.axis}"
            raise value_error(self, "num_units", expected, self.num_units)
        return features // self.num_units

    def call(self, inputs):
        """Returns the largest feature of each group."""
        pieces = ops.split(inputs, self._pieces(inputs.shape), axis=self.axis)
        return ops.max(ops.stack(pieces), axis=0)

    def compute_output_shape(self, input_shape):
        """Returns the shape with `num_units` features."""
        self._pieces(input_shape)
        shape = list(input_shape)
        shape[self.axis] = self.num_units
        return tuple(shape)

    def get_config(self):
        """Returns the arguments."""
        return {**super().get_config(), "num_units": self.num_units, "axis": self.axis}
