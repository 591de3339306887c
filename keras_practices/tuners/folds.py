"""The rows a search validates on: fixed once, told apart by a fingerprint."""

import hashlib
import math
import numbers
from collections.abc import Callable
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from keras_practices._core.validation import check_integer
from keras_practices._core.validation import type_error
from keras_practices._core.validation import value_error

_ROWS = ("x", "y", "sample_weight")


class Folds:
    """Splits the rows of `search` in k ways.

    Args:
        owner: Object that messages begin with.
        splitter: Integer of at least 2, a splitter of scikit-learn's, or a list of
            pairs `(training rows, validation rows)`.
        preprocess: Function of the training rows that returns a function of rows, or
            None.
        seed: Integer. Shuffles, where `splitter` is an integer.
    """

    def __init__(
        self,
        owner: Any,
        splitter: Any,
        preprocess: Callable[[Any], Callable[[Any], Any]] | None,
        seed: int,
    ):
        self._owner = owner
        self._splitter = splitter
        self._preprocess = preprocess
        self._seed = seed
        self._pairs: list[tuple[Any, Any]] = []
        self.fingerprint: str | None = None

    def fix(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Decides on the rows of every fold, before the first trial.

        Args:
            args: Positional arguments of `search`.
            kwargs: Its named arguments.
        """
        for name in ("validation_data", "validation_split"):
            if kwargs.get(name):
                raise value_error(
                    self._owner,
                    name,
                    "left out of `search` with cross_validation, which splits x and y",
                    type(kwargs[name]).__name__,
                )
        rows, _ = _take_rows(args, kwargs)
        x, y = rows.get("x"), rows.get("y")
        count = _count(x)
        if count is None or (y is not None and _count(y) != count):
            raise type_error(
                self._owner,
                "x",
                "an array, and `y` one of as many rows, with cross_validation",
                type(x).__name__,
            )
        self._pairs = [
            (np.asarray(fit), np.asarray(held))
            for fit, held in self._split(count, _labels(y))
        ]
        if not self._pairs or not all(a.size and b.size for a, b in self._pairs):
            raise value_error(
                self._owner, "cross_validation", "folds with rows", self._splitter
            )
        self.fingerprint = fingerprint(
            [part for part in (*rows.values(), self._pairs) if part is not None]
        )

    @property
    def count(self) -> int:
        """How many folds there are."""
        return len(self._pairs)

    def fits(
        self, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yields the number and the arguments of `fit` of every fold.

        What `preprocess` learns, it learns anew from the training rows of the fold.
        """
        rows, rest = _take_rows(args, kwargs)
        for number, (fit, held) in enumerate(self._pairs):
            training = {name: _pick(part, fit) for name, part in rows.items()}
            validation = {name: _pick(part, held) for name, part in rows.items()}
            if self._preprocess is not None:
                fitted = self._preprocess(training["x"])
                training["x"] = _plain(fitted(training["x"]))
                validation["x"] = _plain(fitted(validation["x"]))
            data = tuple(validation[name] for name in _ROWS if name in validation)
            yield number, {**rest, **training, "validation_data": data}

    def _split(self, count, labels):
        splitter = self._splitter
        # Inside: it loads slowly.
        from sklearn import model_selection

        if isinstance(splitter, numbers.Integral):
            kind = model_selection.KFold
            if labels is not None and np.bincount(labels).max() >= splitter:
                present = np.bincount(labels)
                if present[present > 0].min() >= splitter:
                    kind = model_selection.StratifiedKFold
            if splitter > count:
                raise value_error(
                    self._owner,
                    "cross_validation",
                    f"at most the number of rows, {count}",
                    splitter,
                )
            splitter = kind(splitter, shuffle=True, random_state=self._seed % 2**32)
        if hasattr(splitter, "split"):
            places = np.zeros((count, 1))
            return splitter.split(places, labels)
        return splitter


def check_splitter(owner: Any, value: Any) -> None:
    """Refuses what is no way to split rows."""
    if isinstance(value, numbers.Integral):
        check_integer(owner, "cross_validation", value, low=2)
    elif isinstance(value, str) or not hasattr(value, "split"):
        if isinstance(value, list):
            return
        raise type_error(
            owner,
            "cross_validation",
            "an integer, a splitter of scikit-learn's, or a list of pairs of rows",
            value,
        )


def fingerprint_of_fold(args: tuple[Any, ...], kwargs: dict[str, Any]) -> str | None:
    """Returns what tells validation rows apart.

    Args:
        args: Positional arguments of `search`.
        kwargs: Its named arguments.

    Returns:
        A text, or None where there is no validation or it is no array: a dataset may
        give other rows each time.
    """
    held = kwargs.get("validation_data")
    if held is None and kwargs.get("validation_split"):
        rows, _ = _take_rows(args, kwargs)
        count = _count(rows.get("x"))
        if count is None:
            return None
        # Keras takes the last rows, in their order.
        first = math.floor(count * (1.0 - kwargs["validation_split"]))
        held = [_pick(part, slice(first, None)) for part in rows.values()]
    if not isinstance(held, list | tuple):
        return None
    parts = [part for part in held if part is not None]
    return fingerprint(parts) if all(map(is_array, _leaves(parts))) else None


def given_rows(args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """Returns `x`, `y` and `sample_weight` of a call of `fit`, those that there are."""
    return _take_rows(args, kwargs)[0]


def fingerprint(parts: Any) -> str:
    """Returns a hash of arrays: their types, shapes and bytes."""
    found = hashlib.blake2b(digest_size=16)
    for leaf in _leaves(parts):
        array = _to_numpy(leaf)
        found.update(f"{array.dtype.str}{array.shape}".encode())
        if array.dtype.hasobject:
            found.update(repr(array.tolist()).encode())
        else:
            found.update(np.ascontiguousarray(array).data)
    return found.hexdigest()


def _take_rows(args, kwargs):
    rest = dict(kwargs)
    rows = dict(zip(("x", "y"), args, strict=False))
    for name in _ROWS:
        if name in rest:
            rows[name] = rest.pop(name)
    return {name: part for name, part in rows.items() if part is not None}, rest


def _pick(part, rows):
    return keras.tree.map_structure(lambda leaf: _to_numpy(leaf)[rows], part)


def _plain(part):
    return keras.tree.map_structure(_to_numpy, part)


def _count(part):
    if part is None:
        return None
    leaves = _leaves(part)
    if not leaves or not all(map(is_array, leaves)):
        return None
    counts = {int(leaf.shape[0]) for leaf in leaves if len(leaf.shape)}
    return counts.pop() if len(counts) == 1 else None


def _labels(y):
    """Class numbers, where the targets are such, else None."""
    if y is None or not is_array(y):
        return None
    array = _to_numpy(y)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    whole = array.ndim == 1 and np.issubdtype(array.dtype, np.integer)
    return array if whole and array.min() >= 0 else None


def _leaves(part):
    return keras.tree.flatten(part)


def is_array(leaf: Any) -> bool:
    """Whether something has rows that can be picked."""
    return hasattr(leaf, "shape") and hasattr(leaf, "dtype") or hasattr(leaf, "iloc")


def _to_numpy(leaf):
    if isinstance(leaf, np.ndarray):
        return leaf
    if hasattr(leaf, "iloc"):  # pandas
        return np.asarray(leaf)
    return keras.ops.convert_to_numpy(leaf)
