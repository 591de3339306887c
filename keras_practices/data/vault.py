"""A test set that opens once."""

import datetime
import math
import os
import pathlib
import warnings
from typing import Any
from typing import NoReturn

import keras
import numpy as np

from keras_practices._core.validation import check_integer
from keras_practices._core.validation import check_number
from keras_practices._core.validation import type_error
from keras_practices._core.validation import value_error
from keras_practices.data import ledger as ledgers
from keras_practices.data.arrays import checked_pair
from keras_practices.data.arrays import fingerprint
from keras_practices.data.arrays import rows_of
from keras_practices.data.intervals import mean_interval
from keras_practices.data.row_figures import figures_of_rows
from keras_practices.errors import KerasPracticesWarning
from keras_practices.errors import UsageError
from keras_practices.errors import VaultOpenedError
from keras_practices.errors import first_line


class Vault(tuple):
    """Holds a test set, measures a model on it once, and writes down that it did.

    A test set that is looked at again and again becomes a validation set: models are
    chosen by it and its figure is too good. So `evaluate` works once; each further
    opening needs a written reason. With a ledger this holds over processes: an
    opening of the same data that stands in the file counts.

    The data is not handed out. `model.fit`, `model.evaluate`, unpacking and
    `np.asarray` raise before any training time is spent.

    Args:
        x: Array of shape `(rows, ...)`, or a dict or list of such arrays.
        y: The same, with as many rows.
        ledger: Path of a file, one JSON object a line, or None to remember openings
            only as long as this object lives. One file can serve several vaults.

    Raises:
        TypeError: something is no array, or an array of Python objects.
        ValueError: no rows, or different numbers of rows.

    Example:

    >>> model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    >>> model.compile("sgd", "mse")
    >>> vault = Vault(np.zeros((10, 3)), np.zeros((10, 1)))
    >>> vault.evaluate(model)
    {'loss': 0.0}
    >>> len(vault.openings)
    1

    References:
        CS231n, "Image Classification", validation sets for hyperparameter tuning
        ("evaluate on the test set only a single time, at the very end").
    """

    # An empty tuple, because Keras asks a tuple for its length before it trains,
    # where it would take any other object to be data and look at it later:
    # `fit(x, y, validation_data=vault)` then fails after an epoch.
    def __new__(cls, *args: Any, **kwargs: Any) -> "Vault":
        """Makes the empty tuple."""
        return super().__new__(cls)

    def __init__(self, x: Any, y: Any, *, ledger: str | os.PathLike[str] | None = None):
        self._x, self._y = checked_pair(self, x, y)
        if ledger is not None and not isinstance(ledger, str | os.PathLike):
            raise type_error(self, "ledger", "a path or None", ledger)
        self.ledger = None if ledger is None else pathlib.Path(ledger)
        self._openings: list[dict] = []
        self._fingerprint: str | None = None

    def evaluate(
        self,
        model: keras.Model,
        *,
        reason: str | None = None,
        batch_size: int = 32,
        confidence: float | None = 0.95,
    ) -> dict[str, Any]:
        """Measures a model on the test set and records that the set was opened.

        A test set is a sample, and its figures would be others with other rows. So the
        loss and each metric that is a mean over rows get a confidence interval, see
        `intervals`: Wilson's where each row is right or wrong, a bootstrap over rows
        with a fixed seed otherwise. They hold for rows that are independent of one
        another, and say nothing of what another training of the model would give.
        Metrics such as AUC, models with several outputs and, but for right or wrong,
        fewer than 20 rows get none.

        Args:
            model: A compiled Keras model that has its weights.
            reason: Text, or None. Why the set is opened again; needed from the
                second opening on.
            batch_size: Integer of at least 1. Rows a step.
            confidence: Number in (0, 1): the share of test sets whose interval holds
                the true figure. None for no intervals, which saves the pass over
                the data that they take beside that of `model.evaluate`.

        Returns:
            Dict of the loss and the metrics, as `model.evaluate(return_dict=True)`.

        Raises:
            RuntimeError: the set was opened before and no reason is given; the model
                is not compiled or has no weights yet.
            ValueError: an empty reason, or a ledger that is none.
            OSError: the ledger cannot be written. Nothing has been opened then.
        """
        _check_model(model)
        check_integer(self, "batch_size", batch_size, low=1)
        if confidence is not None:
            check_number(self, "confidence", confidence, 0, 1, closed="neither")
        if reason is not None and not isinstance(reason, str):
            raise type_error(self, "reason", "a text or None", reason)
        if reason is not None and not reason.strip():
            raise value_error(self, "reason", "a text that says why", reason)
        before = self.openings
        if before and reason is None:
            raise VaultOpenedError(_opened_text(before))
        if self.ledger is not None:
            ledgers.check_writable(self.ledger)
        metrics = model.evaluate(
            self._x, self._y, batch_size=batch_size, verbose=0, return_dict=True
        )
        intervals = {}
        if confidence is not None:
            intervals = self._intervals_of(model, metrics, batch_size, confidence)
        weights = [keras.ops.convert_to_numpy(weight) for weight in model.weights]
        opening = {
            "time": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "data": self.fingerprint,
            "rows": rows_of(self._x),
            "model": fingerprint(weights),
            "metrics": {name: _plain(value) for name, value in metrics.items()},
            "intervals": intervals,
            "confidence": confidence,
            "reason": reason,
        }
        self._openings.append(opening)
        if self.ledger is not None:
            ledgers.append(self.ledger, opening)
        return metrics

    @property
    def openings(self) -> list[dict]:
        """Every recorded opening of this data, the first one first.

        Each is a dict of `time` (UTC), `data` and `model` (fingerprints), `rows`,
        `metrics`, `intervals` (name to `[low, high]`), `confidence` and `reason`. In
        a ledger, lines of an older version have no intervals.
        """
        known = []
        if self.ledger is not None:
            lines = ledgers.read(self.ledger)
            known = [line for line in lines if line["data"] == self.fingerprint]
        return known + [dict(line) for line in self._openings if line not in known]

    @property
    def intervals(self) -> dict[str, list[float]]:
        """Confidence intervals of the last opening, name to `[low, high]`."""
        openings = self.openings
        return dict(openings[-1].get("intervals", {})) if openings else {}

    @property
    def fingerprint(self) -> str:
        """Sixteen hexadecimal digits that stand for the data."""
        if self._fingerprint is None:
            self._fingerprint = fingerprint(self._x, self._y)
        return self._fingerprint

    def _intervals_of(self, model, metrics, batch_size, confidence):
        """The set is open: what fails here must not keep that out of the ledger."""
        try:
            found = figures_of_rows(model, self._x, self._y, metrics, batch_size)
            intervals = {}
            for name, (values, offset) in found.items():
                interval = mean_interval(values, confidence)
                if interval is not None:
                    intervals[name] = [offset + bound for bound in interval]
        except Exception as error:
            warnings.warn(
                "Vault: the test set was measured, but its confidence intervals could "
                f"not be computed. {first_line(error)}",
                KerasPracticesWarning,
                stacklevel=3,
            )
            return {}
        return intervals

    def _refuse(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise UsageError(
            "Vault: the test set is not handed out. Train on split.train, choose "
            "between models on split.validation, and measure the final model with "
            "vault.evaluate(model)."
        )

    __iter__ = __len__ = __getitem__ = __array__ = __contains__ = _refuse
    # Keras's data adapters ask an array for its shape before anything else.
    x = y = shape = dtype = property(_refuse, doc="Not handed out: raises.")

    def __bool__(self):
        return True

    __eq__ = object.__eq__
    __ne__ = object.__ne__
    __hash__ = object.__hash__

    def __repr__(self):
        ledger = f", ledger={str(self.ledger)!r}" if self.ledger is not None else ""
        return f"Vault(rows={rows_of(self._x)}{ledger})"


def _check_model(model):
    if not isinstance(model, keras.Model):
        raise type_error("Vault", "model", "a keras.Model", model)
    for is_ready, state, advice in (
        (model.compiled, "compiled", "Call model.compile(...) first."),
        (model.built, "built and trained", "Train it first; it has no weights yet."),
    ):
        if not is_ready:
            raise UsageError(
                f"Vault: argument `model` must be {state}. Received: "
                f"model={model.name!r}. {advice} The test set stays closed."
            )


def _opened_text(openings):
    first = openings[0]
    figures = ", ".join(
        f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in first["metrics"].items()
    )
    times = "once" if len(openings) == 1 else f"{len(openings)} times"
    return (
        f"Vault: this test set has been opened {times}, first at {first['time']} with "
        f"model {first['model']} ({figures}). Choosing by it again would make it a "
        f"validation set. Use split.validation, or write down why it must be opened: "
        f'evaluate(model, reason="...").'
    )


def _plain(value):
    value = np.asarray(value).tolist()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)  # JSON has no word for it
    return value
