"""Which class is taken for which."""

from typing import Any

import numpy as np
from keras import ops

from keras_practices._core.registration import register
from keras_practices._core.validation import check_choice
from keras_practices.metrics.class_counts import ClassCounts
from keras_practices.metrics.class_counts import divided


@register
class ConfusionMatrix(ClassCounts):
    """Counts rows by true class (matrix rows) and predicted class (columns).

    In `fit` and `evaluate` its result is a matrix, not a number. Keras 3.15 lets it
    pass: `History` and the dict of `evaluate` hold NumPy arrays, `CSVLogger` writes it
    as text, the progress bar shows the mean entry. Keras's `TensorBoard` callback
    stops the training over it ("Expected scalar shape"), so do not combine the two:
    `MatthewsCorrelation` and `CohenKappa` are one-figure summaries of the same counts
    that every callback can take, and `evaluate` with this metric gives the matrix.

    Args:
        num_classes: Integer of at least 2.
        normalize: None: counts (sums of weights). `"true"`: each row sums to 1, the
            diagonal is the recall; `"pred"`: each column does, the diagonal is the
            precision; `"all"`: the whole matrix does. A class that never occurred
            keeps zeros.
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
        `result()`: float tensor `(K, K)`. `counts()`: the counts as a float64 array.

    Raises:
        TypeError, ValueError: an argument of the wrong kind or out of range; shapes
            that do not fit `num_classes`.

    State:
        Two float32 matrices of K times K; counts stay right above 2**24.

    Example:

    >>> metric = ConfusionMatrix(num_classes=2)
    >>> metric.update_state([0, 0, 1, 1], np.array([0.1, 0.2, 0.3, 0.9]))
    >>> metric.counts().tolist()
    [[2.0, 0.0], [1.0, 1.0]]

    References:
        scikit-learn, `sklearn.metrics.confusion_matrix`, whose layout this is.
    """

    def __init__(
        self,
        num_classes: int,
        normalize: str | None = None,
        *,
        from_logits: bool = False,
        name: str | None = "confusion_matrix",
        dtype: Any = None,
    ):
        check_choice(self, "normalize", normalize, (None, "true", "pred", "all"))
        super().__init__(num_classes, from_logits=from_logits, name=name, dtype=dtype)
        self.normalize = normalize

    def result(self):
        """Returns the matrix so far, float, of shape `(K, K)`."""
        if self.normalize is None:
            return self._counts.value()
        shares = self.shares()
        if self.normalize == "all":
            return shares
        axis = 1 if self.normalize == "true" else 0
        return divided(shares, ops.sum(shares, axis=axis, keepdims=True))

    def counts(self) -> np.ndarray:
        """Returns the counts so far as a float64 array, not rounded to float32."""
        return self._counts.exact()

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {**super().get_config(), "normalize": self.normalize}
