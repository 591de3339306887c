"""Do the probabilities of a model mean what they say?"""

from typing import Any

import keras
import numpy as np
from keras import ops

from keras_practices._core.registration import register
from keras_practices._core.validation import check_integer
from keras_practices._core.validation import value_error
from keras_practices.metrics.class_counts import check_flag
from keras_practices.metrics.class_counts import divided
from keras_practices.metrics.classes import true_classes
from keras_practices.metrics.classes import weights_like
from keras_practices.metrics.long_sum import LongSum


@register
class ExpectedCalibrationError(keras.metrics.Metric):
    """Mean distance between confidence and accuracy: 0 where 80 % sure is 80 % right.

    Rows are binned by the probability of the class that the model names; in each bin
    the mean of that probability is compared with the share of rows that are right,
    and the distances are averaged by the weight of the bins. Of a single sigmoid unit
    the named class is the likelier of the two, so confidences lie in [0.5, 1]: a
    sigmoid and the softmax of two units that say the same get the same figure.

    It is biased upward where bins hold few rows; a few thousand rows are needed for
    15 bins. What is badly calibrated is repaired by `fit_temperature`.

    Args:
        bins: Integer of at least 1. Bins of equal width over (0, 1], each closed on
            the right.
        from_logits: Bool. `y_pred` are logits; a softmax (of one unit a sigmoid) is
            applied.
        name: Name in the logs.
        dtype: Dtype of the computation; float32 at least.

    Call arguments:
        y_true: Classes, integers `(…)` or `(…, 1)`, or one-hot `(…, K)`. Rows with
            a class outside 0 … K - 1 are left out.
        y_pred: Probabilities (or logits) `(…, K)`; of two classes also of class 1
            alone, `(…, 1)` or `(rows,)`.
        sample_weight: Weight of each row, or of each class; None counts 1.

    Returns:
        `result()`: scalar in [0, 1]. `reliability()`: the figures of each bin.

    Raises:
        TypeError, ValueError: an argument of the wrong kind or out of range; shapes
            that do not fit each other.

    State:
        Six float32 vectors, one entry a bin; sums stay right above 2**24 rows.

    Example:

    >>> metric = ExpectedCalibrationError(bins=10)
    >>> metric.update_state([1, 1, 1, 0], np.array([0.85, 0.85, 0.85, 0.85]))
    >>> round(float(metric.result()), 4)  # 85 % sure, 75 % right
    0.1

    References:
        Guo et al., "On Calibration of Modern Neural Networks", ICML 2017, section 2;
        Naeini et al., "Obtaining Well Calibrated Probabilities Using Bayesian
        Binning", AAAI 2015.
    """

    def __init__(
        self,
        bins: int = 15,
        *,
        from_logits: bool = False,
        name: str | None = "expected_calibration_error",
        dtype: Any = None,
    ):
        check_integer(self, "bins", bins, low=1)
        super().__init__(name=name, dtype=dtype)
        self.bins = int(bins)
        self.from_logits = check_flag(self, "from_logits", from_logits)
        self._weight = LongSum(self, (self.bins,), "weight")
        self._sure = LongSum(self, (self.bins,), "confidence")
        self._right = LongSum(self, (self.bins,), "right")

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Adds a batch; see the class for shapes."""
        y_true, y_pred = ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)
        dtype = self._weight.high.dtype
        confidence, named, size = self._named(ops.cast(y_pred, dtype))
        true = true_classes(self, y_true, named, size)
        weights = weights_like(named, sample_weight, dtype)
        weights = ops.where((true >= 0) & (true < size), weights, 0.0)
        places = ops.cast(ops.ceil(confidence * self.bins), "int32") - 1
        places = ops.ravel(ops.clip(places, 0, self.bins - 1))
        right = ops.cast(ops.equal(true, named), dtype)
        for sums, amounts in (
            (self._weight, weights),
            (self._sure, weights * confidence),
            (self._right, weights * right),
        ):
            sums.add(ops.segment_sum(ops.ravel(amounts), places, self.bins))

    def _named(self, scores):
        """Returns confidence, named class and number of classes."""
        rank = len(scores.shape)
        if rank == 0:
            expected = "probabilities of shape (…, K), (…, 1) or (rows,)"
            raise value_error(self, "y_pred", expected, tuple(scores.shape))
        if rank > 1 and scores.shape[-1] > 1:
            if self.from_logits:
                scores = ops.softmax(scores, axis=-1)
            named = ops.cast(ops.argmax(scores, axis=-1), "int32")
            return ops.max(scores, axis=-1), named, scores.shape[-1]
        if rank > 1:
            scores = ops.squeeze(scores, -1)
        if self.from_logits:
            scores = ops.sigmoid(scores)
        return ops.maximum(scores, 1.0 - scores), ops.cast(scores > 0.5, "int32"), 2

    def result(self):
        """Returns the error so far, a scalar; 0 before the first row."""
        # Parts of like size first, so that a small gap keeps its digits.
        gaps = (self._right.high - self._sure.high) + (self._right.low - self._sure.low)
        return divided(ops.sum(ops.absolute(gaps)), ops.sum(self._weight.value()))

    def reliability(self) -> dict[str, np.ndarray]:
        """Returns what a reliability diagram shows, one entry a bin.

        Returns:
            Dict of float64 arrays: `"upper"` (right edge of the bin), `"weight"`,
            `"confidence"` and `"accuracy"` (means; NaN in a bin without rows).
        """
        weight = self._weight.exact()
        filled = np.where(weight > 0, weight, np.nan)
        return {
            "upper": np.arange(1, self.bins + 1) / self.bins,
            "weight": weight,
            "confidence": self._sure.exact() / filled,
            "accuracy": self._right.exact() / filled,
        }

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {
            **super().get_config(),
            "bins": self.bins,
            "from_logits": self.from_logits,
        }
