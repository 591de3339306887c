"""Runs a training script as it is, with every `fit` in it diagnosed."""

import contextlib
import inspect
import os
import runpy
import sys
from collections.abc import Callable
from collections.abc import Iterator
from typing import Any

import keras

from keras_practices.diagnosis import diagnose
from keras_practices.errors import KerasPracticesError
from keras_practices.report import Report


@contextlib.contextmanager
def diagnosed_fits(
    tell: Callable[[Report], None],
    *,
    refused: Callable[[KerasPracticesError], None] = lambda error: None,
    **options: Any,
) -> Iterator[None]:
    """Within it, `model.fit(…)` of every model is `diagnose(model, …)`.

    The `fit` returns and raises what it would have. One inside another's (a model that
    trains another while it trains) is left alone.

    Args:
        tell: Called with the report of each `fit`.
        refused: Called with the error where `diagnose` does not take the arguments;
            `fit` then gets them as they are.
        **options: Arguments of `diagnose`, such as `budget_seconds`.

    Example:

    >>> import numpy as np
    >>> x = np.random.default_rng(0).normal(size=(64, 4))
    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    >>> model.compile(keras.optimizers.SGD(0.1), "mse")
    >>> reports = []
    >>> with diagnosed_fits(reports.append):
    ...     history = model.fit(x, x[:, :1], epochs=20, verbose=0)
    >>> reports[0].ok
    True
    """
    original, own = keras.Model.fit, keras.Model.__dict__.get("fit")
    signature = inspect.signature(original)
    busy = False

    def fit(model, *args, **kwargs):
        nonlocal busy
        if busy:
            return original(model, *args, **kwargs)
        busy = True
        try:
            given = dict(signature.bind(model, *args, **kwargs).arguments)
            del given["self"]
            x, y = given.pop("x", None), given.pop("y", None)
            report = diagnose(model, x, y, **options, **given)
        except KerasPracticesError as error:
            refused(error)
            return original(model, *args, **kwargs)
        finally:
            busy = False
        tell(report)
        if report.raised is not None:
            raise report.raised
        return report.history

    keras.Model.fit = fit
    try:
        yield
    finally:
        if own is None:
            del keras.Model.fit
        else:
            keras.Model.fit = own


def run_script(path: str, arguments: list[str]) -> None:
    """Runs a Python file as `python path arguments…` would, in this process.

    Args:
        path: The file.
        arguments: What the file finds in `sys.argv[1:]`.
    """
    kept = sys.argv, sys.path
    sys.argv = [path, *arguments]
    sys.path = [os.path.dirname(os.path.abspath(path)), *sys.path]
    try:
        runpy.run_path(path, run_name="__main__")
    finally:
        sys.argv, sys.path = kept
