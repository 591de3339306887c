"""Dropout by the chance to keep a unit, as papers and course notes write it."""

from collections.abc import Sequence
from typing import Any

import keras

from keras_practices._core.registration import register
from keras_practices._core.validation import check_number


@register
class InvertedDropout(keras.layers.Dropout):
    """Keeps each unit with probability `keep_prob` and scales it by `1 / keep_prob`.

    It is `keras.layers.Dropout` with `rate = 1 - keep_prob`: what was scaled while
    training needs no scaling afterwards, so inference is the identity. Use it where
    the recipe you follow gives the chance to *keep*; a `keep_prob` of 0.8 typed into
    Keras's `Dropout(0.8)` drops 80 % instead.

    Args:
        keep_prob: Float in (0, 1]. Chance that a unit is kept; 1 switches the layer
            off.
        noise_shape: Tuple of integers and None, or None. Shape of the mask, as in
            `keras.layers.Dropout`: `(None, 1, None)` drops whole features of
            `(batch, steps, features)`.
        seed: Integer or None. Same seed, same masks.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: Float tensor of any shape.
        training: Bool. Units are dropped only when true.

    Returns:
        Tensor, shape and dtype of `inputs`.

    Raises:
        ValueError: `keep_prob` outside (0, 1].
        TypeError: `keep_prob` not a number.

    Example:

    >>> layer = InvertedDropout(keep_prob=0.8, seed=1)
    >>> float(layer(np.ones((2, 3)), training=False)[0, 0])
    1.0

    References:
        Srivastava et al., "Dropout: A Simple Way to Prevent Neural Networks from
        Overfitting", 2014, JMLR 15; CS231n, "Neural Networks Part 2",
        regularization ("inverted dropout").
    """

    def __init__(
        self,
        keep_prob: float = 0.5,
        noise_shape: Sequence[int | None] | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ):
        check_number(
            self,
            "keep_prob",
            keep_prob,
            low=0,
            high=1,
            closed="right",
            advice="It is the chance to keep a unit, not to drop it.",
        )
        super().__init__(1.0 - keep_prob, noise_shape=noise_shape, seed=seed, **kwargs)
        self.keep_prob = keep_prob

    def get_config(self):
        """Returns the configuration, with `keep_prob` in the place of `rate`."""
        config = super().get_config()
        del config["rate"]
        return {**config, "keep_prob": self.keep_prob}
