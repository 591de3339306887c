"""Correlation between predicted and true classes."""

from typing import Any

from keras import ops

from keras_practices._core.registration import register
from keras_practices.metrics.class_counts import ClassCounts
from keras_practices.metrics.class_counts import divided
from keras_practices.metrics.class_counts import sums_of_others


@register
class MatthewsCorrelation(ClassCounts):
    """Correlation between true and predicted class: 1 perfect, 0 chance.

    Unlike accuracy it stays at 0 for a model that always names the most frequent
    class, whatever the share of that class. For more than two classes it is Gorodkin's
    R_K. Where all labels, or all predictions, are of one class it is 0.

    Args:
        num_classes: Integer of at least 2.
        from_logits: Bool. Matters for models of one output unit: class 1 is a score
            above 0 instead of above 0.5.
        name: Name in the logs.
        dtype: Dtype of the computation; float32 at least.

    Call arguments:
        y_true: Classes, integers `(…)` or `(…, 1)`, or one-hot `(…, K)`. Rows with
            a class outside 0 … K - 1 are left out.
        y_pred: Scores `(…, K)`; for two classes also one score, `(…)` or `(…, 1)`;
            or integer classes.
        sample_weight: Weight of each row, or of each class; None counts 1.

    Returns:
        `result()`: scalar in [-1, 1].

    Raises:
        TypeError, ValueError: an argument of the wrong kind or out of range; shapes
            that do not fit `num_classes`.

    State:
        Two float32 matrices of K times K; counts stay right above 2**24.

    Example:

    >>> metric = MatthewsCorrelation(num_classes=2)
    >>> metric.update_state([0, 0, 1, 1], np.array([0.1, 0.2, 0.3, 0.9]))
    >>> round(float(metric.result()), 4)
    0.5774

    References:
        Matthews, "Comparison of the predicted and observed secondary structure of T4
        phage lysozyme", 1975; Gorodkin, "Comparing two K-category assignments by a
        K-category correlation coefficient", 2004.
    """

    def __init__(
        self,
        num_classes: int,
        *,
        from_logits: bool = False,
        name: str | None = "matthews_correlation",
        dtype: Any = None,
    ):
        super().__init__(num_classes, from_logits=from_logits, name=name, dtype=dtype)

    def result(self):
        """Returns the correlation so far, a scalar; 0 before the first row."""
        shares = self.shares()
        true, predicted = ops.sum(shares, axis=1), ops.sum(shares, axis=0)
        wrong = ops.sum(shares * (1.0 - ops.eye(self.num_classes, dtype=shares.dtype)))
        by_chance = ops.sum(true * sums_of_others(predicted))
        spread_true = ops.sum(true * sums_of_others(true))
        spread_predicted = ops.sum(predicted * sums_of_others(predicted))
        # Roots before the product: two rare classes would underflow together.
        spread = ops.sqrt(spread_true) * ops.sqrt(spread_predicted)
        return divided(by_chance - wrong, spread)
