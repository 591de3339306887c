"""Weights that give each class the same say, and leave the scale of the loss."""

from typing import Any

import keras
import numpy as np

from keras_practices._core.validation import check_integer
from keras_practices._core.validation import type_error
from keras_practices._core.validation import value_error
from keras_practices.data.part import Part
from keras_practices.data.targets import as_classes


def class_weights(
    y: Any, *, kind: str = "auto", ignore_class: int | None = None
) -> Any:
    """Weights of the classes in inverse proportion to their rows.

    The weight of a class is `rows / (classes * its rows)`, as in scikit-learn. Over
    all rows the mean weight is 1, so loss and learning rate keep their scale (weights
    such as 10 for everything multiply both).

    For `model.fit(class_weight=...)`, with one output and one class a row. Keras
    refuses class weights for several outputs, and takes multi-label rows for one-hot
    ones without a word: use `sample_weights` there. `val_loss` is never weighted by
    them.

    Args:
        y: Training targets: class numbers or one-hot, one a row or one a position
            (`(rows, height, width)`, `(rows, height, width, 1)`, `(rows, ...,
            classes)`); 0 and 1 of several labels `(rows, labels)`; or a dict or list
            of such arrays.
        kind: `"auto"`, `"classes"`, `"one-hot"` or `"multi-label"`. `"auto"` takes a
            last axis with a single 1 for one-hot, other 0s and 1s of shape `(rows,
            labels)` for multi-label, the rest for classes.
        ignore_class: Class that is not counted (unlabelled pixels), or None.

    Returns:
        Dict from class to weight; of multi-label targets a dict from label to the
        weights of 0 and 1; of a dict or list the same of each. A class without rows
        has no weight.

    Raises:
        TypeError: no numbers, or a `Part` in the place of its `y`.
        ValueError: soft labels, no rows, targets not of the kind that was named.

    Example:

    >>> class_weights(np.array([0, 0, 0, 1]))
    {0: 0.6666666666666666, 1: 2.0}

    References:
        King and Zeng, "Logistic Regression in Rare Events Data", 2001, Political
        Analysis 9.
    """

    def weigh(name, y):
        classes, found = as_classes("class_weights", name, y, kind)
        if found != "multi-label":
            return _weights("class_weights", name, classes, ignore_class)
        return {
            label: _weights("class_weights", name, classes[..., label], ignore_class)
            for label in range(classes.shape[-1])
        }

    return _mapped("class_weights", y, weigh, ignore_class)


def sample_weights(
    y: Any, *, kind: str = "auto", ignore_class: int | None = None
) -> Any:
    """Weights of rows or positions that give each class the same say.

    For `model.fit(sample_weight=...)`, with any kind and number of outputs. The mean
    weight is 1, so the loss keeps its scale.

    A row with several labels gets the mean of the weights of its labels' values, each
    label weighed by itself: the loss of such a row is one number, and so is its
    weight.

    Args:
        y: Training targets, as for `class_weights`.
        kind: As for `class_weights`.
        ignore_class: Class that gets weight 0, or None; the mean is 1 over the rest.

    Returns:
        Float32 array of shape `(rows,)`, or of the shape of the positions of dense
        targets, without the axis of classes; of a dict or list the same of each, as
        `fit` takes them.

    Raises:
        TypeError: no numbers, or a `Part` in the place of its `y`.
        ValueError: soft labels, no rows, targets not of the kind that was named.

    Example:

    >>> sample_weights(np.array([0, 0, 0, 1])).round(2)
    array([0.67, 0.67, 0.67, 2.  ], dtype=float32)
    >>> weights = sample_weights({"animal": np.eye(2), "mask": np.ones((2, 4, 4, 1))})
    >>> {name: array.shape for name, array in weights.items()}
    {'animal': (2,), 'mask': (2, 4, 4)}

    References:
        King and Zeng, "Logistic Regression in Rare Events Data", 2001, Political
        Analysis 9.
    """

    def spread(name, classes):
        weights = _weights("sample_weights", name, classes, ignore_class)
        values = np.array(sorted(weights))
        table = np.array([weights[value] for value in values.tolist()], np.float32)
        if ignore_class is None:
            return table[np.searchsorted(values, classes)]
        places = np.searchsorted(values, classes).clip(max=len(values) - 1)
        return np.where(classes == ignore_class, np.float32(0), table[places])

    def weigh(name, y):
        classes, found = as_classes("sample_weights", name, y, kind)
        if found != "multi-label":
            return spread(name, classes)
        total = np.zeros(classes.shape[:-1], np.float64)
        for label in range(classes.shape[-1]):
            total += spread(name, classes[..., label])
        return (total / classes.shape[-1]).astype(np.float32)

    return _mapped("sample_weights", y, weigh, ignore_class)


def _weights(owner, name, classes, ignore_class):
    """Returns `{class: weight}`, of mean 1 over what is counted."""
    if ignore_class is not None:
        classes = classes[classes != ignore_class]
    if not classes.size:
        received = f"all {ignore_class}"
        raise value_error(owner, name, "of more than the ignored class", received)
    values, counts = np.unique(classes, return_counts=True)
    weights = classes.size / (len(values) * counts)
    return dict(zip(values.tolist(), weights.tolist(), strict=True))


def _mapped(owner, y, function, ignore_class):
    """Applies `function(name, array)` to every array of targets."""
    if isinstance(y, Part):
        raise type_error(owner, "y", "targets", y, "Pass part.y.")
    if ignore_class is not None:
        check_integer(owner, "ignore_class", ignore_class)
    if isinstance(y, dict):
        return {key: function(f"y[{key!r}]", _array(one)) for key, one in y.items()}
    if isinstance(y, list | tuple) and not all(np.isscalar(one) for one in y):
        return [function(f"y[{place}]", _array(one)) for place, one in enumerate(y)]
    return function("y", _array(y))


def _array(y):
    return keras.ops.convert_to_numpy(y) if keras.ops.is_tensor(y) else np.asarray(y)
