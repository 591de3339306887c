"""Rows in the coordinates of their largest variance, fewer of them if wanted."""

from typing import Any

from keras import ops

from keras_practices._core.registration import register
from keras_practices.data.principal import PrincipalLayer


@register
class PCA(PrincipalLayer):
    """Principal components of the training part, as a layer of the model.

    Subtracts the mean of the training rows and turns them into the directions of
    largest variance, of which only the first `n_components` are kept. Learned in one
    pass over arrays or datasets, in float64, with memory for the covariance only;
    equal to scikit-learn's `PCA`, signs included. It learns from training data alone:
    see `adapt`, which is called once, before `fit`.

    Args:
        n_components: Integer, float or None. How many components are kept; a float in
            (0, 1) keeps as many as hold more than that share of the variance; None
            keeps all: as many as features or rows, whichever are fewer (as many as
            features where the layer was put into a model before `adapt`).
        **kwargs: Arguments of `keras.layers.Layer`. It calculates in float32, also
            under mixed precision; with `dtype="float64"` the statistics are kept in
            float64, and TensorFlow calculates in it.

    Attributes:
        mean: Array `(features,)`.
        components: Array `(components, features)` of unit vectors.
        explained_variance: Array `(components,)`, largest first.
        explained_variance_ratio: Array `(components,)`, shares of the whole.

    Call arguments:
        inputs: Numbers of shape `(rows, ...)`, as in the data that was adapted to;
            images are flattened.

    Returns:
        Float tensor of shape `(rows, components)`.

    Raises:
        ValueError: `n_components` out of range or more than features.
        TypeError: `n_components` is no number.
        RuntimeError: called before `adapt`; put into a model before `adapt` while
            `n_components` is a share.

    Example:

    >>> from keras_practices.data import Part
    >>> x = np.array([[1.0, 1.0], [3.0, 3.0], [5.0, 5.0]])
    >>> layer = PCA(n_components=1)
    >>> layer.adapt(Part(x, np.zeros(3), role="train"))
    >>> layer.explained_variance.tolist(), layer.explained_variance_ratio.tolist()
    ([8.0], [1.0])
    >>> np.round(keras.ops.convert_to_numpy(layer.inverse(layer(x))), 4).tolist()
    [[1.0, 1.0], [3.0, 3.0], [5.0, 5.0]]

    References:
        CS231n, "Neural Networks Part 2", data preprocessing (PCA); Jolliffe,
        "Principal Component Analysis", 2002.
    """

    def __init__(self, n_components: int | float | None = None, **kwargs: Any):
        super().__init__(n_components, **kwargs)

    def compute_output_shape(self, input_shape):
        """Returns `(rows, components)`."""
        return (input_shape[0], self._kept)

    def _from_centred(self, rows):
        return ops.matmul(rows, ops.transpose(self._axes))

    def _to_centred(self, rows):
        return ops.matmul(rows, self._axes)
