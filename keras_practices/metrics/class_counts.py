"""The counts that the class metrics share."""

from typing import Any

import keras
from keras import ops

from keras_practices._core.validation import check_integer
from keras_practices._core.validation import type_error
from keras_practices.metrics.classes import predicted_classes
from keras_practices.metrics.classes import true_classes
from keras_practices.metrics.classes import weights_like
from keras_practices.metrics.long_sum import LongSum


class ClassCounts(keras.metrics.Metric):
    """Sums the sample weights by true and by predicted class."""

    def __init__(
        self,
        num_classes: int,
        *,
        from_logits: bool = False,
        name: str | None = None,
        dtype: Any = None,
    ):
        check_integer(self, "num_classes", num_classes, low=2)
        super().__init__(name=name, dtype=dtype)
        self.num_classes = int(num_classes)
        self.from_logits = check_flag(self, "from_logits", from_logits)
        self._counts = LongSum(self, (self.num_classes, self.num_classes), "counts")

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Adds a batch.

        Args:
            y_true: Classes, integers `(…)` or `(…, 1)`, or one-hot `(…, K)`.
            y_pred: Scores `(…, K)`, one score of class 1, or integer classes.
            sample_weight: Weight of each row or of each class, or None.
        """
        size = self.num_classes
        y_true, y_pred = ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)
        predicted = predicted_classes(self, y_pred, size, self.from_logits)
        true = true_classes(self, y_true, predicted, size)
        weights = weights_like(predicted, sample_weight, self._counts.high.dtype)
        known = (true >= 0) & (true < size) & (predicted >= 0) & (predicted < size)
        # Outside the matrix an index is an error on one backend, silent on another.
        cells = ops.where(known, true * size + predicted, 0)
        # where, not a product: a weight of NaN there must not count either.
        weights = ops.where(known, weights, 0.0)
        # Not a product of one-hot matrices, which accelerators round to 10 bits.
        sums = ops.segment_sum(ops.ravel(weights), ops.ravel(cells), size * size)
        self._counts.add(ops.reshape(sums, (size, size)))

    def shares(self):
        """Returns the matrix of weights, true by predicted, divided by their sum."""
        counts = self._counts.value()
        # Where nothing was counted the shares are zeros.
        return divided(counts, ops.sum(counts))

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {
            **super().get_config(),
            "num_classes": self.num_classes,
            "from_logits": self.from_logits,
        }


def check_flag(owner, name, value):
    """Returns `value` if it is True or False."""
    if not isinstance(value, bool):
        raise type_error(owner, name, "True or False", value)
    return value


def divided(numerator, denominator):
    """Returns the quotient, 0 where the denominator is 0."""
    filled = denominator != 0
    return ops.where(filled, numerator / ops.where(filled, denominator, 1.0), 0.0)


def sums_of_others(shares):
    """Returns for each entry of a vector the sum of all others.

    Not `1 - share`: beside a class that holds nearly all rows that difference has no
    digits left, and the metrics that are made of it would be noise.
    """
    size = shares.shape[0]
    others = 1.0 - ops.eye(size, dtype=shares.dtype)
    return ops.sum(others * ops.expand_dims(shares, 0), axis=1)
