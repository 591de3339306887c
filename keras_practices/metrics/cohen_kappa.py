"""Agreement between predicted and true classes beyond chance."""

from typing import Any

from keras import ops

from keras_practices._core.registration import register
from keras_practices._core.validation import check_choice
from keras_practices.metrics.class_counts import ClassCounts
from keras_practices.metrics.class_counts import divided
from keras_practices.metrics.class_counts import sums_of_others


@register
class CohenKappa(ClassCounts):
    """Share of the disagreement by chance that the model avoids: 1 perfect, 0 chance.

    With `weights`, for classes in an order (stages, grades): a prediction two classes
    off costs more than one that is one class off. Where labels and predictions are
    all of one and the same class there is nothing to agree on beyond chance: 0
    (scikit-learn: NaN).

    Args:
        num_classes: Integer of at least 2.
        weights: None: every wrong class costs the same. `"linear"`: the distance of
            the classes; `"quadratic"`: its square.
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
        `result()`: scalar of at most 1.

    Raises:
        TypeError, ValueError: an argument of the wrong kind or out of range; shapes
            that do not fit `num_classes`.

    State:
        Two float32 matrices of K times K; counts stay right above 2**24.

    Example:

    >>> metric = CohenKappa(num_classes=3, weights="quadratic")
    >>> metric.update_state([0, 1, 2, 2], np.array([0, 1, 2, 1]))
    >>> round(float(metric.result()), 4)
    0.8

    References:
        Cohen, "A coefficient of agreement for nominal scales", 1960; Cohen, "Weighted
        kappa", 1968.
    """

    def __init__(
        self,
        num_classes: int,
        weights: str | None = None,
        *,
        from_logits: bool = False,
        name: str | None = "cohen_kappa",
        dtype: Any = None,
    ):
        check_choice(self, "weights", weights, (None, "linear", "quadratic"))
        super().__init__(num_classes, from_logits=from_logits, name=name, dtype=dtype)
        self.weights = weights

    def result(self):
        """Returns kappa so far, a scalar; 0 before the first row."""
        shares = self.shares()
        true, predicted = ops.sum(shares, axis=1), ops.sum(shares, axis=0)
        costs = self._costs(shares.dtype)
        observed = ops.sum(costs * shares)
        if self.weights is None:
            by_chance = ops.sum(true * sums_of_others(predicted))
        else:
            expected = ops.expand_dims(true, 1) * ops.expand_dims(predicted, 0)
            by_chance = ops.sum(costs * expected)
        return divided(by_chance - observed, by_chance)

    def _costs(self, dtype):
        places = ops.arange(self.num_classes, dtype=dtype)
        distance = ops.expand_dims(places, 0) - ops.expand_dims(places, 1)
        if self.weights is None:
            return ops.cast(distance != 0, dtype)
        if self.weights == "linear":
            return ops.absolute(distance)
        return ops.square(distance)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "weights": self.weights}
