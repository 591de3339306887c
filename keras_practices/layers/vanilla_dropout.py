"""Dropout as it was first written: nothing is scaled in training."""

from typing import Any

from keras_practices._core.registration import register
from keras_practices.layers.inverted_dropout import InvertedDropout


@register
class VanillaDropout(InvertedDropout):
    """Keeps each unit with probability `keep_prob`; scales by it in inference.

    The first form of dropout: kept units stay as they are in training, so the mean is
    smaller than without dropout, and inference multiplies all units by `keep_prob` to
    make up for it. It is for models and weights of papers that were written so; take
    `InvertedDropout` otherwise, which costs nothing in inference. Between the two lies
    a factor of `1 / keep_prob` in both modes: weights trained with one do not fit the
    other.

    Args:
        keep_prob: Float in (0, 1]. Chance that a unit is kept; 1 switches the layer
            off.
        noise_shape: Tuple of integers and None, or None. Shape of the mask, as in
            `keras.layers.Dropout`.
        seed: Integer or None. Same seed, same masks.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: Float tensor of any shape.
        training: Bool. Units are dropped when true, scaled when false.

    Returns:
        Tensor, shape and dtype of `inputs`.

    Raises:
        ValueError: `keep_prob` outside (0, 1].
        TypeError: `keep_prob` not a number.

    Example:

    >>> layer = VanillaDropout(keep_prob=0.75, seed=1)
    >>> float(layer(np.ones((2, 3)), training=False)[0, 0])
    0.75

    References:
        Srivastava et al., "Dropout: A Simple Way to Prevent Neural Networks from
        Overfitting", 2014, JMLR 15, section 4; CS231n, "Neural Networks Part 2",
        regularization ("vanilla dropout: not recommended implementation").
    """

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Returns the inputs with units dropped, or all of them scaled."""
        return self.keep_prob * super().call(inputs, training=training)
