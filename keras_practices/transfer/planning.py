"""The matrix of size and similarity, filled in from data."""

import time
from typing import Any

import keras
import numpy as np

from keras_practices._core.validation import check_integer
from keras_practices._core.validation import check_number
from keras_practices._core.validation import type_error
from keras_practices._core.validation import value_error
from keras_practices.errors import UsageError
from keras_practices.measures.sample import take_sample
from keras_practices.transfer.deciding import decide
from keras_practices.transfer.depths import places_of
from keras_practices.transfer.depths import structure_of
from keras_practices.transfer.depths import weights_of
from keras_practices.transfer.measuring import Measured
from keras_practices.transfer.plan_values import Plan
from keras_practices.transfer.probes import smallest_class
from keras_practices.transfer.targets import read_targets

_OWNER = "transfer.plan"
# Fewer numbers than this say nothing of a regression.
_MIN_ROWS = 10


def plan(
    model: keras.Model,
    x: Any,
    y: Any = None,
    *,
    task: str = "auto",
    budget_seconds: float = 60.0,
    max_rows: int = 1000,
    max_places: int = 8,
    learning_rate: float = 1e-3,
    seed: int = 0,
) -> Plan:
    """Measures how a pretrained network fits a new task and plans the transfer.

    The notes decide by two questions: how many rows there are, and how similar the
    tasks. Similarity is measured: linear probes (logistic or ridge regression,
    cross-validated) read the new targets off the network at several depths, off the raw
    inputs, and off a randomly initialised copy. Size is rows a class. Nothing of the
    model is written.

    Args:
        model: Built Keras model with pretrained weights, with or without its old head:
            functional, sequential, with models as layers, or subclassed (which cannot
            be cut).
        x: Training inputs, as `model` takes them: array, dict or list of arrays; or a
            dataset of `(inputs, targets)`.
        y: Targets for arrays: class numbers, one-hot rows, or numbers.
        task: `"classes"`, `"numbers"`, or `"auto"`: by the targets.
        budget_seconds: Seconds after which no further probe is begun. The pretrained
            network at its end, raw inputs and the random copy come first.
        max_rows: Integer of at least 20. Rows that are read.
        max_places: Integer of at least 1. Depths that are probed.
        learning_rate: Rate of the head in the plan, for Adam.
        seed: Integer for folds and random weights.

    Returns:
        A `Plan`; `print` shows it as a table.

    Raises:
        UsageError: the model is not built, or none of its layers can be read.
        TypeError, ValueError: bad arguments, inputs of another shape than the model
            takes, targets of no known form, a class with one row.

    Cost:
        Two forward passes over `max_rows` rows, two more where the network has
        BatchNorm, and up to `2 * max_places + 3` cross-validated probes.

    Example:

    >>> base = keras.Sequential([keras.Input((2,)), keras.layers.Dense(4, "relu")])
    >>> x = np.random.default_rng(0).normal(size=(30, 2))
    >>> found = plan(base, x, (x[:, 0] > 0).astype(int))
    >>> found.classes, found.large
    (2, False)

    References:
        CS231n, "Transfer Learning"; Yosinski et al. (2014), arXiv:1411.1792; Kornblith
        et al. (2019), arXiv:1805.08974; Alain and Bengio, "Understanding intermediate
        layers using linear classifier probes" (2016), arXiv:1610.01644; of statistics
        of BatchNorm from the new rows: Li et al. (2016), arXiv:1603.04779.
    """
    _check(model, budget_seconds, max_rows, max_places, learning_rate, seed)
    begun = time.perf_counter()
    sample = take_sample(x, y, owner=_OWNER, max_rows=max_rows)
    check_inputs(_OWNER, model, sample.x)
    targets = read_targets(_OWNER, sample.y, task)
    _check_rows(targets)
    places = places_of(model, sample, max_places)
    if not places.depths:
        raise UsageError(
            f"{_OWNER}: no layer of {model.name!r} with a kernel gives an output that "
            "can be read. Give a model made of Keras layers."
        )
    measured = Measured(model, places.depths, sample.x, targets, seed)
    measured.take(begun + budget_seconds)
    decided = decide(model, sample, targets, places, measured)
    return Plan(
        **decided,
        classes=targets.classes,
        outputs=targets.outputs,
        learning_rate=float(learning_rate),
        most_places=max_places,
        input_shape=tuple(a.shape[1:] for a in keras.tree.flatten(sample.x)),
        structure=structure_of(model),
        weights=weights_of(model),
        unread=tuple(places.unread),
        seconds=time.perf_counter() - begun,
    )


def check_model(owner, model):
    """Raises where there is no built Keras model."""
    if not isinstance(model, keras.Model):
        raise type_error(owner, "model", "a Keras model", model)
    if not model.built or not model.weights:
        raise UsageError(
            f"{owner}: the model {model.name!r} has no weights yet. Call it once on a "
            "batch, and load the pretrained weights."
        )


def check_inputs(owner, model, x):
    """Raises where inputs have another shape than the model takes."""
    wanted = [tuple(t.shape) for t in getattr(model, "inputs", None) or []]
    given = [array.shape for array in keras.tree.flatten(x)]
    for name, array in zip(range(len(given)), keras.tree.flatten(x), strict=True):
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            advice = "Some are NaN or infinite: repair or drop those rows."
            label = f"finite numbers (input {name})"
            raise value_error(owner, "x", label, f"{array.dtype}", advice)
    if not wanted:
        return
    fits = len(wanted) == len(given) and all(
        len(one) == len(other)
        and all(a in (None, b) for a, b in zip(one[1:], other[1:], strict=True))
        for one, other in zip(wanted, given, strict=True)
    )
    if not fits:
        expected = f"of the shapes that {model.name!r} takes, {wanted}"
        advice = "Resize or reshape the inputs, or put a layer that does in front."
        raise value_error(owner, "x", expected, given, advice)


def _check(model, budget_seconds, max_rows, max_places, learning_rate, seed):
    check_model(_OWNER, model)
    check_number(_OWNER, "budget_seconds", budget_seconds, low=0, closed="right")
    check_integer(_OWNER, "max_rows", max_rows, low=20)
    check_integer(_OWNER, "max_places", max_places, low=1)
    check_number(_OWNER, "learning_rate", learning_rate, low=0, closed="right")
    check_integer(_OWNER, "seed", seed, low=0)


def _check_rows(targets):
    values = targets.values
    if targets.classes is None:
        if len(values) < _MIN_ROWS or values.std() == 0:
            expected = f"at least {_MIN_ROWS} rows of targets that vary"
            raise value_error(_OWNER, "y", expected, f"{len(values)} rows")
        return
    number, rows = smallest_class(values)
    if len(np.unique(values)) < 2:
        raise value_error(
            _OWNER, "y", "of at least two classes", f"class {number} only"
        )
    if rows < 2:
        advice = "A probe is cross-validated: give more rows, or raise max_rows."
        expected = "at least two rows of each class in the sample"
        raise value_error(_OWNER, "y", expected, f"{rows} of class {number}", advice)
