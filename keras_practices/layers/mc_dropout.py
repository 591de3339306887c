"""Dropout that goes on in inference."""

from collections.abc import Sequence
from typing import Any

import keras

from keras_practices._core.registration import register
from keras_practices._core.validation import check_number


@register
class MCDropout(keras.layers.Dropout):
    """Drops units in inference too, so that every prediction is a draw.

    It is `keras.layers.Dropout` that takes no notice of `training`. Calling a layer
    with `training=True` while a functional model is put together does not do that:
    Keras 3 replaces the flag by that of the model's own call. For a model that has
    ordinary dropout, and for mean and spread at once, use `predict_mc`.

    Args:
        rate: Float in [0, 1]. Share of the units that are dropped.
        noise_shape: As for `keras.layers.Dropout`.
        seed: Integer or None. Same seed, same masks.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: Float tensor of any shape.
        training: Taken, and not read.

    Returns:
        Tensor, shape and dtype of `inputs`.

    Raises:
        ValueError: `rate` outside [0, 1].
        TypeError: `rate` not a number.

    Example:

    >>> layer = MCDropout(0.5, seed=1)
    >>> outputs = np.asarray(layer(np.ones((4, 50)), training=False))
    >>> np.unique(outputs).tolist()
    [0.0, 2.0]

    References:
        Gal and Ghahramani, "Dropout as a Bayesian Approximation", 2016,
        arXiv:1506.02142; Srivastava et al. (2014), section 7.5.
    """

    def __init__(
        self,
        rate: float,
        noise_shape: Sequence[int | None] | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ):
        check_number(self, "rate", rate, low=0, high=1)
        super().__init__(rate, noise_shape=noise_shape, seed=seed, **kwargs)

    def call(self, inputs, training=None):
        """Returns the inputs with units dropped."""
        return super().call(inputs, training=True)
