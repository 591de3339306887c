"""The multi-class support vector machine loss of the notes."""

from typing import Any

import keras
from keras import ops

from keras_practices._core.registration import register
from keras_practices._core.validation import check_number
from keras_practices._core.validation import value_error


@register
class MulticlassHinge(keras.losses.Loss):
    """Sum over the wrong classes of `max(0, score - score of the true one + margin)`.

    Keras's `CategoricalHinge` looks at the highest wrong class alone; this is the loss
    of Weston and Watkins, which every wrong class within the margin adds to. Scores
    near zero give `margin * (K - 1)` for `K` classes.

    Args:
        margin: Float above 0. How much higher the true class must score.
        reduction: As for every Keras loss.
        name: Name of the loss.
        dtype: Dtype of the computation, or None.

    Call arguments:
        y_true: Classes, integers of shape `(…)` or `(…, 1)`; or one-hot, `(…, K)`.
        y_pred: Scores of a linear last layer, shape `(…, K)`, `K` of at least 2.

    Raises:
        TypeError, ValueError: `margin` is no number above 0; scores of one class.

    Example:

    >>> import numpy as np
    >>> loss = MulticlassHinge()
    >>> float(loss(np.array([0, 3]), np.zeros((2, 10), "float32")))
    9.0

    References:
        CS231n, Linear classification: "Multiclass Support Vector Machine loss"; Weston
        and Watkins, "Support vector machines for multi-class pattern recognition"
        (1999).
    """

    def __init__(
        self,
        margin: float = 1.0,
        reduction: str | None = "sum_over_batch_size",
        name: str = "multiclass_hinge",
        dtype: Any = None,
    ):
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        self.margin = check_number(self, "margin", margin, low=0, closed="neither")

    def call(self, y_true, y_pred):
        """Returns the loss of each row, of the shape of `y_pred` without classes."""
        y_pred = ops.convert_to_tensor(y_pred)
        y_true = ops.convert_to_tensor(y_true)
        classes = y_pred.shape[-1]
        if classes < 2:
            expected = "scores of two or more classes, shape (…, K)"
            raise value_error(self, "y_pred", expected, tuple(y_pred.shape))
        if tuple(y_true.shape[1:]) != tuple(y_pred.shape[1:]):
            if len(y_true.shape) == len(y_pred.shape):
                y_true = ops.squeeze(y_true, -1)
            y_true = ops.one_hot(ops.cast(y_true, "int32"), classes, dtype=y_pred.dtype)
        y_true = ops.cast(y_true, y_pred.dtype)
        true_score = ops.sum(y_true * y_pred, axis=-1, keepdims=True)
        terms = ops.maximum(0.0, y_pred - true_score + self.margin)
        return ops.sum((1.0 - y_true) * terms, axis=-1)

    def get_config(self):
        """Returns the arguments."""
        return {**super().get_config(), "margin": self.margin}
