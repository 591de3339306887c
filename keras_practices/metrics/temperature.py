"""One number that makes a trained model's probabilities honest."""

from typing import Any

import numpy as np

from keras_practices._core.validation import type_error
from keras_practices._core.validation import value_error
from keras_practices.errors import UsageError

# 1/T is looked for in this range; beyond it the probabilities are all 0 or 1, or all
# the same, within any precision.
_LOWEST, _HIGHEST = 1e-4, 1e4


def fit_temperature(logits: Any, y: Any, sample_weight: Any = None) -> float:
    """Returns the temperature T for which `softmax(logits / T)` fits labels best.

    It is the T of the lowest mean negative log-likelihood, found in float64 as the
    one root of its derivative. Above 1 the model was too sure of itself, as trained
    networks mostly are. The class that is named for a row does not change, so accuracy
    stays as it is. Fit it on validation data: on the training data a model is nearly
    always right, and T comes out too low.

    To have it in the model, put `keras.layers.Rescaling(1 / T)` between the logits
    and the softmax or sigmoid.

    Args:
        logits: Array `(…, K)`, or of one unit with a sigmoid `(…, 1)` or `(rows,)`.
            Scores before the softmax, not probabilities (of which the logarithm is
            as good).
        y: Integer classes `(…)` or `(…, 1)`, or one-hot, or probabilities, `(…, K)`.
        sample_weight: Array with one weight of 0 or more a row, or None.

    Returns:
        Float above 0.

    Raises:
        ValueError: shapes that do not fit, classes outside 0 … K - 1, numbers that
            are not finite, negative weights.
        TypeError: not numbers.
        RuntimeError: no T is best: every row is classified right, and lower is always
            better; or the logits say nothing of the labels, and higher is.

    Example:

    >>> logits = np.array([[4.0, 0.0], [4.0, 0.0], [4.0, 0.0], [0.0, 4.0]])
    >>> round(fit_temperature(logits, [0, 0, 1, 1]), 3)  # 3 of 4 right: 4 / ln 3
    3.641

    References:
        Guo et al., "On Calibration of Modern Neural Networks", ICML 2017, section
        4.2 (temperature scaling).
    """
    from scipy.optimize import brentq
    from scipy.special import softmax

    scores = _scores(logits)
    targets = _targets(y, scores)
    weights = _weights(sample_weight, len(scores))
    scores = scores - scores.max(axis=1, keepdims=True)

    def slope(log_inverse):
        # Of the mean loss by 1/T: expected score minus score of the label. It grows
        # with 1/T (the loss is convex in it), so there is one root at most.
        probabilities = softmax(np.exp(log_inverse) * scores, axis=1)
        return float(weights @ ((probabilities - targets) * scores).sum(axis=1))

    low, high = np.log(_LOWEST), np.log(_HIGHEST)
    if slope(high) <= 0:
        raise UsageError(
            "fit_temperature: every row is classified right, so the likelihood rises "
            "for ever as T falls to 0. Pass validation data, or more of it."
        )
    if slope(low) >= 0:
        raise UsageError(
            "fit_temperature: the logits say nothing of the labels, so the likelihood "
            "rises for ever with T. Check that rows of logits and y belong together."
        )
    return float(np.exp(-brentq(slope, low, high, xtol=1e-12, rtol=1e-12)))


def _numbers(name, values):
    array = np.asarray(values)
    if array.dtype.kind not in "fiub":
        raise type_error("fit_temperature", name, "an array of numbers", values)
    array = array.astype("float64")
    if not np.isfinite(array).all():
        count = int((~np.isfinite(array)).sum())
        received = f"{count} of {array.size} values not finite"
        raise value_error("fit_temperature", name, "finite", received)
    return array


def _scores(logits):
    """Returns logits as rows of two or more scores."""
    scores = _numbers("logits", logits)
    if scores.ndim == 0 or scores.size == 0:
        expected = "of shape (…, K), (…, 1) or (rows,), with rows"
        raise value_error("fit_temperature", "logits", expected, scores.shape)
    if scores.ndim == 1:
        scores = scores[:, None]
    scores = scores.reshape(-1, scores.shape[-1])
    if scores.shape[1] == 1:  # the sigmoid of s is the softmax of (0, s)
        scores = np.concatenate([np.zeros_like(scores), scores], axis=1)
    return scores


def _targets(y, scores):
    """Returns labels as rows of probabilities."""
    rows, size = scores.shape
    targets = _numbers("y", y)
    if targets.size == rows:
        classes = targets.reshape(rows)
        if not np.isin(classes, np.arange(size)).all():
            expected = f"of classes 0 … {size - 1}"
            received = sorted(set(classes) - set(range(size)))[:5]
            raise value_error("fit_temperature", "y", expected, received)
        return np.eye(size)[classes.astype(int)]
    if targets.size != rows * size or targets.shape[-1] != size:
        expected = f"{rows} classes, or {rows} rows of {size} probabilities"
        raise value_error("fit_temperature", "y", expected, targets.shape)
    return targets.reshape(rows, size)


def _weights(sample_weight, rows):
    if sample_weight is None:
        return np.full(rows, 1.0 / rows)
    weights = _numbers("sample_weight", sample_weight).ravel()
    if weights.size != rows or weights.min() < 0 or weights.sum() == 0:
        expected = f"{rows} weights of 0 or more, not all 0"
        raise value_error("fit_temperature", "sample_weight", expected, sample_weight)
    return weights / weights.sum()
