"""Zero mean and unit variance, with the statistics of the training part only."""

import keras
import numpy as np

from keras_practices._core.registration import register
from keras_practices._core.validation import type_error
from keras_practices._core.validation import value_error
from keras_practices.data.part import Part
from keras_practices.errors import UsageError

_ADVICE = 'Pass split.train, or Part(x, y, role="train") of data that was split before.'


@register
class Standardization(keras.layers.Normalization):
    """Subtracts the mean and divides by the standard deviation of the training part.

    It is `keras.layers.Normalization` that cannot learn from the wrong data: `adapt`
    takes a training `Part` and nothing else, and takes it once. Statistics of all the
    data leak the test set into the model. A feature that is constant in training is
    only centred (its variance counts as 1); Keras would multiply any later change of
    it by ten million. Computed in float64, equal to scikit-learn's `StandardScaler`.

    Call `adapt` before `fit`. In a model, place it first.

    Args:
        axis: Integer, tuple of integers or None: the axes that keep statistics of
            their own. Of images `(rows, height, width, channels)`: -1 (the default)
            takes one mean a channel, `(1, 2, 3)` subtracts the mean image, None takes
            one mean of everything. Of tables `(rows, features)`: -1, one a feature.
        **kwargs: Further arguments of `keras.layers.Normalization`.

    Call arguments:
        inputs: Tensor of the shape of the data that was adapted to.

    Returns:
        Float tensor of the shape of `inputs`.

    Raises:
        TypeError: in `adapt`, anything but a `Part` with one array of numbers.
        ValueError: in `adapt`, another part than the training part, or numbers that
            are not finite.
        RuntimeError: `adapt` called a second time.

    Example:

    >>> x = np.array([[1.0, 5.0], [3.0, 5.0]])
    >>> layer = Standardization()
    >>> layer.adapt(Part(x, np.zeros(2), role="train"))
    >>> keras.ops.convert_to_numpy(layer(x)).tolist()
    [[-1.0, 0.0], [1.0, 0.0]]

    References:
        CS231n, "Neural Networks Part 2", data preprocessing ("the mean must be
        computed only over the training data").
    """

    def adapt(self, part):
        """Learns mean and variance of the training part.

        Args:
            part: `Part` of role `"train"` whose `x` is one array.
        """
        x = self._checked(part)
        super().adapt(x)
        kept = {axis % x.ndim for axis in self.axis}
        reduced = tuple(axis for axis in range(x.ndim) if axis not in kept)
        constant = x.max(axis=reduced) == x.min(axis=reduced)
        variance = keras.ops.convert_to_numpy(self.adapt_variance)
        self.adapt_variance.assign(np.where(constant, 1.0, variance))
        self.count.assign(len(x))
        self.finalize_state()

    def _checked(self, part):
        if not isinstance(part, Part):
            kind = type(part).__name__
            raise type_error(self, "part", "a training Part", kind, _ADVICE)
        if part.role != "train":
            raise value_error(self, "part", "of role 'train'", part, _ADVICE)
        # Keras keeps `count` for old files and saves it with the statistics.
        if self.input_mean is not None or (
            self.built and keras.ops.convert_to_numpy(self.count) > 0
        ):
            raise UsageError(
                "Standardization: it has its statistics already; a second adapt would "
                "replace them without a word. Make a new layer for other data."
            )
        x = part.x
        if not isinstance(x, np.ndarray) or x.dtype.kind not in "fiub":
            kind = getattr(x, "dtype", type(x).__name__)
            advice = "Give every input of a dict or list its own layer."
            raise type_error(self, "part", "with one array of numbers", kind, advice)
        x = x.astype("float64")
        if not np.isfinite(x).all():
            count = int((~np.isfinite(x)).sum())
            advice = (
                f"{count} of {x.size} values are NaN or infinite: repair them first."
            )
            raise value_error(self, "part", "with finite values", part, advice)
        return x
