"""Rows whose features are uncorrelated and of equal variance."""

from typing import Any

from keras import ops

from keras_practices._core.registration import register
from keras_practices._core.validation import check_choice
from keras_practices._core.validation import check_number
from keras_practices.data.principal import PrincipalLayer


@register
class Whitening(PrincipalLayer):
    """Whitening by the covariance of the training part, as a layer of the model.

    Subtracts the mean of the training rows, turns them into the directions of largest
    variance and divides each by the square root of its variance plus `epsilon`.
    `method="zca"` turns them back afterwards: of all ways to whiten, the one whose
    output is nearest to the input, so that images stay images. Learned as in `PCA`,
    from training data alone, by one call of `adapt` before `fit`.

    A direction without variance in training (a constant feature, fewer rows than
    features) is only centred: its variance counts as 1, as in `Standardization`.
    Divided by its own, any later change of it would be blown up by `epsilon ** -0.5`.

    Args:
        method: `"pca"` or `"zca"`.
        n_components: Integer, float in (0, 1) or None: how many directions are kept,
            as in `PCA`. With `"zca"` the output lies in their span.
        epsilon: Float of at least 0, in squared units of the inputs. Added to each
            variance: the larger, the less are the directions of least variance (noise,
            in images) enlarged. 1e-5 suits inputs of about unit scale; of 0 to 255,
            choose one near 1.
        **kwargs: Arguments of `keras.layers.Layer`; on `dtype` see `PCA`.

    Attributes:
        mean: Array `(features,)`.
        components: Array `(components, features)` of unit vectors.
        explained_variance: Array `(components,)`, before whitening, largest first.
        explained_variance_ratio: Array `(components,)`, shares of the whole.

    Call arguments:
        inputs: Numbers of shape `(rows, ...)`, as in the data that was adapted to.

    Returns:
        Float tensor: of shape `(rows, components)` with `"pca"`, of the shape of
        `inputs` with `"zca"`. Variances have the divisor `rows - 1`, as in
        scikit-learn's `PCA(whiten=True)`.

    Raises:
        ValueError: another `method`, a number out of range.
        TypeError: a number of the wrong kind.
        RuntimeError: called before `adapt`.

    Example:

    >>> from keras_practices.data import Part
    >>> x = np.random.default_rng(0).normal(size=(100, 2)) @ [[2.0, 1.0], [0.0, 1.0]]
    >>> layer = Whitening("zca")
    >>> layer.adapt(Part(x, np.zeros(100), role="train"))
    >>> white = keras.ops.convert_to_numpy(layer(x))
    >>> np.allclose(np.cov(white.T), np.eye(2), atol=1e-3)
    True

    References:
        CS231n, "Neural Networks Part 2", data preprocessing (whitening); Bell and
        Sejnowski, "The 'independent components' of natural scenes are edge filters",
        1997, Vision Research 37 (ZCA); Kessy, Lewin and Strimmer, "Optimal Whitening
        and Decorrelation", 2018, The American Statistician 72.
    """

    def __init__(
        self,
        method: str = "pca",
        *,
        n_components: int | float | None = None,
        epsilon: float = 1e-5,
        **kwargs: Any,
    ):
        super().__init__(n_components, **kwargs)
        self.method = check_choice(self, "method", method, ("pca", "zca"))
        self.epsilon = check_number(self, "epsilon", epsilon, low=0)

    def compute_output_shape(self, input_shape):
        """Returns `(rows, components)`, or the shape of the input with `"zca"`."""
        if self.method == "zca":
            return tuple(input_shape)
        return (input_shape[0], self._kept)

    def get_config(self):
        """Returns the arguments."""
        config = super().get_config()
        return {**config, "method": self.method, "epsilon": self.epsilon}

    def _from_centred(self, rows):
        white = ops.matmul(rows, ops.transpose(self._axes)) / self._deviations()
        if self.method == "pca":
            return white
        white = ops.matmul(white, self._axes)
        return ops.reshape(white, (-1, *self.input_spec.shape[1:]))

    def _to_centred(self, rows):
        if self.method == "zca":
            rows = ops.matmul(rows, ops.transpose(self._axes))
        return ops.matmul(rows * self._deviations(), self._axes)

    def _deviations(self):
        variance = ops.convert_to_tensor(self._variance)
        counted = ops.where(variance > 0, variance, ops.ones_like(variance))
        return ops.sqrt(counted + self.epsilon)
