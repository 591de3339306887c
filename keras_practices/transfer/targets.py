"""Targets of a transfer: classes or numbers, and the units that a head needs."""

import dataclasses
from typing import Any

import numpy as np

from keras_practices._core.validation import check_choice
from keras_practices._core.validation import type_error
from keras_practices._core.validation import value_error
from keras_practices.measures.arrays import measure_targets

TASKS = ("auto", "classes", "numbers")


@dataclasses.dataclass
class Targets:
    """What a probe and a head need to know of targets.

    Attributes:
        values: Class numbers (int64), or float64 array `(rows, outputs)`.
        classes: Number of classes, None for numbers.
        one_hot: The targets were given as one-hot rows.
    """

    values: Any
    classes: int | None
    one_hot: bool

    @property
    def outputs(self):
        """Units that a head needs: one a class, or one a number."""
        return self.classes or self.values.shape[1]


def read_targets(owner, y, task="auto"):
    """Returns the `Targets` of an array.

    Raises:
        TypeError, ValueError: no single array of classes or numbers.
    """
    check_choice(owner, "task", task, TASKS)
    if not isinstance(y, np.ndarray):
        received = "None" if y is None else type(y).__name__
        advice = "Give one array of class numbers, one-hot rows or numbers."
        raise type_error(owner, "y", "targets in one array", received, advice)
    if y.dtype.kind not in "biuf":
        advice = "Number the classes from 0."
        raise type_error(owner, "y", "an array of numbers", y.dtype, advice)
    if not np.isfinite(y).all():
        advice = "Some are NaN or infinite: repair or drop those rows."
        raise value_error(owner, "y", "targets that are finite", y.dtype, advice)
    flat = y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y
    if flat.ndim > 2:
        advice = "A plan is for one class or some numbers a row."
        raise value_error(owner, "y", "of shape (rows,) or (rows, n)", y.shape, advice)
    if task == "auto" and flat.dtype.kind == "i" and flat.min() < 0:
        advice = 'Number the classes from 0; for numbers pass task="numbers".'
        raise value_error(owner, "y", "of at least 0", int(flat.min()), advice)
    kind = measure_targets(flat)["kind"]
    if kind == "multi-label" and task != "numbers":
        advice = 'Several classes a row: task="numbers" takes them one by one.'
        raise value_error(owner, "y", "one class a row", y.shape, advice)
    if task == "numbers" or (task == "auto" and _numbers(flat, kind)):
        return Targets(flat.astype(np.float64).reshape(len(y), -1), None, False)
    if kind == "one-hot":
        return Targets(flat.argmax(axis=-1), flat.shape[-1], True)
    return Targets(*_class_numbers(owner, flat), False)


def _numbers(flat, kind):
    if flat.ndim == 2:
        return kind != "one-hot"
    return kind not in ("classes", "binary")


def _class_numbers(owner, flat):
    if flat.ndim != 1 or not (flat == np.round(flat)).all():
        expected = "class numbers or one-hot rows"
        raise value_error(owner, "y", expected, f"{flat.dtype}, shape {flat.shape}")
    if flat.min() < 0:
        advice = "Number the classes from 0."
        raise value_error(owner, "y", "of at least 0", int(flat.min()), advice)
    numbers = flat.astype(np.int64)
    return numbers, int(numbers.max()) + 1
