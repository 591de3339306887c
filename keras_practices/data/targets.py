"""Targets as class numbers: which kind they are, and which class stands where."""

import numpy as np

from keras_practices._core.validation import check_choice
from keras_practices._core.validation import type_error
from keras_practices._core.validation import value_error

KINDS = ("auto", "classes", "one-hot", "multi-label")


def as_classes(owner, name, y, kind="auto"):
    """Returns `(classes, kind)` of one array of targets.

    Args:
        owner: Object or name that a message begins with.
        name: Name of the targets.
        y: Array of whole numbers, bools or one-hot rows.
        kind: One of `KINDS`. `"auto"` takes a last axis that holds a single 1 for
            one-hot, other 0s and 1s of rank 2 for multi-label, the rest for classes.

    Returns:
        Array of int64 and the kind that was found. One-hot targets have lost their
        last axis, and other targets a last axis of length 1.

    Raises:
        TypeError: no numbers.
        ValueError: fractions, no rows, or not of the kind that was named.
    """
    check_choice(owner, "kind", kind, KINDS)
    if not isinstance(y, np.ndarray) or y.dtype.kind not in "biuf":
        received = getattr(y, "dtype", type(y).__name__)
        advice = "Number the classes, as Keras wants them."
        raise type_error(owner, name, "an array of whole numbers", received, advice)
    if y.size == 0:
        raise value_error(owner, name, "targets of at least one row", y.shape)
    if y.dtype.kind == "f" and not (np.isfinite(y).all() and (y == np.round(y)).all()):
        advice = "Soft labels and regression targets have no classes to count."
        raise value_error(owner, name, "whole numbers", f"dtype {y.dtype}", advice)
    classes = y.astype(np.int64)
    flags = y.ndim > 1 and bool(((classes == 0) | (classes == 1)).all())
    single = flags and y.shape[-1] > 1 and bool((classes.sum(axis=-1) == 1).all())
    if kind == "auto":
        kind = "one-hot" if single else "classes"
        if flags and not single and y.ndim == 2 and y.shape[1] > 1:
            kind = "multi-label"
    if (kind == "one-hot" and not single) or (kind == "multi-label" and not flags):
        raise value_error(owner, name, f"of kind {kind!r}", f"array of shape {y.shape}")
    if kind == "one-hot":
        classes = classes.argmax(axis=-1)
    elif kind == "classes" and y.ndim > 1 and y.shape[-1] == 1:
        classes = classes[..., 0]
    return classes, kind
