"""Zero mean and unit variance, with the statistics of the training part only."""

import numpy as np

from keras_practices._core.registration import register
from keras_practices.data.training_normalization import TrainingNormalization


@register
class Standardization(TrainingNormalization):
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
    >>> layer.adapt(kp.data.Part(x, np.zeros(2), role="train"))
    >>> keras.ops.convert_to_numpy(layer(x)).tolist()
    [[-1.0, 0.0], [1.0, 0.0]]

    References:
        CS231n, "Neural Networks Part 2", data preprocessing ("the mean must be
        computed only over the training data").
    """

    def _location_and_scale(self, x, reduced):
        constant = x.max(axis=reduced) == x.min(axis=reduced)
        return x.mean(axis=reduced), np.where(constant, 1.0, x.std(axis=reduced))
