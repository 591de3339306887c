"""The bias with which an untrained model already knows how frequent classes are."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_practices._core.registration import register
from keras_practices._core.validation import check_choice
from keras_practices._core.validation import check_integer
from keras_practices._core.validation import type_error
from keras_practices._core.validation import value_error

_KINDS = ("softmax", "sigmoid", "regression")


@register
class PriorBias(keras.initializers.Initializer):
    """Gives a bias the values that `prior_bias` found.

    Args:
        values: List of floats, one a unit.

    Raises:
        ValueError: no finite numbers; when called, a shape of another size.

    Example:

    >>> keras.ops.convert_to_numpy(PriorBias([0.5, 2.0])((2,))).tolist()
    [0.5, 2.0]
    """

    def __init__(self, values: Sequence[float]):
        array = np.asarray(values, "float64")
        if array.ndim != 1 or not np.isfinite(array).all():
            raise value_error(self, "values", "a list of finite numbers", values)
        self.values = array.tolist()

    def __call__(self, shape, dtype=None):
        """Returns the values as a tensor of the given shape and dtype."""
        if tuple(shape) != (len(self.values),):
            advice = "Labels and units of the last layer do not fit each other."
            expected = f"({len(self.values)},), one entry for each value"
            raise value_error(self, "shape", expected, tuple(shape), advice)
        return ops.convert_to_tensor(self.values, dtype or keras.config.floatx())

    def get_config(self):
        """Returns the configuration: exactly the constructor's arguments."""
        return {"values": self.values}


def prior_bias(
    y: Any,
    kind: str | None = None,
    *,
    num_classes: int | None = None,
    sample_weight: Any = None,
) -> PriorBias:
    """Returns an initializer for the bias of the last layer, made from the labels.

    With it, and small weights, the first loss is that of always answering with the
    class frequencies (with the mean, in regression); the first steps need not learn
    them, which with rare classes takes long. Use it as `bias_initializer`, or on a
    built model as `layer.bias.assign(prior_bias(y).values)`.

    Args:
        y: Training labels. Softmax: integer classes, any shape, or one-hot
            `(…, K)`. Sigmoid: 0 and 1, `(rows,)`, or one column a label
            `(rows, K)`. Regression: numbers `(rows,)` or `(rows, K)`.
        kind: What stands after the last layer (or in the loss, `from_logits`):
            `"softmax"`: log of the class shares; `"sigmoid"`: their logit;
            `"regression"`: the mean. None finds it in `y`: fractions are regression;
            rows with a single 1 are softmax; other 0s and 1s are sigmoid; other
            integers from 0 up are softmax. Say it for two classes as integers under
            a softmax, and for counts.
        num_classes: Integer of at least 2, or None for the largest class plus one.
            For softmax with integers.
        sample_weight: Array, one weight of 0 or more a row; as in `fit`.

    Returns:
        `PriorBias` with one value a unit, in `.values`. A class without rows counts
        as half a row, so that its logarithm is finite.

    Raises:
        ValueError: labels that do not fit `kind` or are not finite, classes of
            `num_classes` or above, weights that do not fit.
        TypeError: labels that are not numbers.

    Example:

    >>> bias = prior_bias([0, 0, 0, 1], kind="sigmoid")  # log(0.25 / 0.75)
    >>> [round(value, 4) for value in bias.values]
    [-1.0986]
    >>> layer = keras.layers.Dense(1, "sigmoid", bias_initializer=bias)

    References:
        Karpathy, "A Recipe for Training Neural Networks", 2019 ("init well"); Lin et
        al., "Focal Loss for Dense Object Detection", ICCV 2017, section 4.1.
    """
    labels = _numbers("y", y)
    if labels.ndim == 0 or labels.size == 0:
        raise value_error("prior_bias", "y", "labels of one row or more", labels.shape)
    if kind is None:
        kind = _kind_of(labels, num_classes)
    check_choice("prior_bias", "kind", kind, _KINDS)
    if num_classes is not None:
        check_integer("prior_bias", "num_classes", num_classes, low=2)
    if kind == "softmax":
        counts = _class_counts(labels, num_classes, sample_weight)
        return PriorBias(np.log(counts / counts.sum()))
    table = labels.reshape(-1, labels.shape[-1] if labels.ndim > 1 else 1)
    weights = _weights(sample_weight, len(labels), len(table))
    total = weights.sum()
    means = weights @ table / total
    if kind == "regression":
        return PriorBias(means)
    if not _is_binary(labels):
        expected = "0 and 1 only, of a sigmoid"
        raise value_error("prior_bias", "y", expected, _some(labels))
    least = 0.5 / len(table)
    shares = np.clip(means, least, 1 - least)
    return PriorBias(np.log(shares) - np.log1p(-shares))


def _numbers(name, values):
    array = np.asarray(values)
    if array.dtype.kind not in "fiub":
        raise type_error("prior_bias", name, "an array of numbers", values)
    array = array.astype("float64")
    if not np.isfinite(array).all():
        count = int((~np.isfinite(array)).sum())
        received = f"{count} of {array.size} values not finite"
        raise value_error("prior_bias", name, "finite", received)
    return array


def _some(labels):
    return np.unique(labels)[:5].tolist()


def _is_binary(labels):
    return bool(np.isin(labels, (0, 1)).all())


def _is_one_hot(labels):
    if labels.ndim < 2 or labels.shape[-1] < 2 or not _is_binary(labels):
        return False
    return bool((labels.sum(axis=-1) == 1).all())


def _kind_of(labels, num_classes):
    if (labels != np.round(labels)).any() or labels.min() < 0:
        return "regression"
    if num_classes is not None or _is_one_hot(labels) or not _is_binary(labels):
        return "softmax"
    return "sigmoid"


def _class_counts(labels, num_classes, sample_weight):
    """Returns the weight of each class, of an empty one that of half a row."""
    rows = len(labels)
    if _is_one_hot(labels) and num_classes in (None, labels.shape[-1]):
        classes, size = labels.argmax(axis=-1).ravel(), labels.shape[-1]
    else:
        classes, size = labels.ravel(), num_classes or int(labels.max()) + 1
    if (
        (classes != np.round(classes)).any()
        or classes.min() < 0
        or classes.max() >= size
    ):
        expected = f"integer classes 0 … {size - 1}, or one-hot"
        raise value_error("prior_bias", "y", expected, _some(labels))
    weights = _weights(sample_weight, rows, len(classes))
    counts = np.bincount(classes.astype(int), weights, minlength=max(size, 2))
    return np.maximum(counts, 0.5 * weights.mean())


def _weights(sample_weight, rows, entries):
    """Returns one weight for each entry, of which every row has the same number."""
    if sample_weight is None:
        return np.ones(entries)
    weights = _numbers("sample_weight", sample_weight).ravel()
    if weights.size != rows or weights.min() < 0 or weights.sum() == 0:
        expected = f"{rows} weights of 0 or more, not all 0"
        raise value_error("prior_bias", "sample_weight", expected, sample_weight)
    return np.repeat(weights, entries // rows)
