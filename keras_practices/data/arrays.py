"""One array, or a dict or list of them: checked, counted, and cut by rows."""

import hashlib

import keras
import numpy as np

from keras_practices._core.validation import type_error
from keras_practices._core.validation import value_error

_EXPECTED = "an array, or a dict or list of arrays,"


def checked_pair(owner, x, y):
    """Returns `x` and `y` as NumPy arrays of one length, in their own structure.

    Args:
        owner: Object or name that a message begins with.
        x: Array, dict of arrays or list of arrays.
        y: The same.

    Returns:
        `(x, y)`; what was a NumPy array is not copied.

    Raises:
        TypeError: something in them is no array, or holds Python objects.
        ValueError: no rows, or not the same number of them everywhere.
    """
    x, y = _as_arrays(owner, "x", x), _as_arrays(owner, "y", y)
    rows = rows_of(x)
    if rows == 0:
        raise value_error(owner, "x", f"{_EXPECTED} with at least one row", x)
    for name, data in (("x", x), ("y", y)):
        for label, array in leaves(data):
            if len(array) != rows:
                first, _ = leaves(x)[0]
                raise value_error(
                    owner,
                    f"{name}{label}",
                    f"of {rows} rows, as x{first} is",
                    array.shape,
                    "Each row of x needs its row of y.",
                )
    return x, y


def leaves(data):
    """Returns `(label, array)` of every array, dicts in the order of their keys."""
    if isinstance(data, dict):
        return [(f"[{key!r}]", data[key]) for key in sorted(data)]
    if isinstance(data, list):
        return [(f"[{place}]", array) for place, array in enumerate(data)]
    return [("", data)]


def rows_of(data):
    """Returns the number of rows."""
    return len(leaves(data)[0][1])


def take(data, rows):
    """Returns the given rows in the same structure."""
    return _mapped(data, lambda label, array: array[rows])


def fingerprint(*items):
    """Returns 16 hexadecimal digits that stand for the content of arrays."""
    digest = hashlib.sha256()
    for item in items:
        for label, array in leaves(item):
            array = np.ascontiguousarray(array)
            digest.update(f"{label}{array.dtype}{array.shape}".encode())
            digest.update(array.tobytes())
    return digest.hexdigest()[:16]


def _mapped(data, function):
    if isinstance(data, dict):
        return {key: function(f"[{key!r}]", data[key]) for key in data}
    mapped = [function(label, array) for label, array in leaves(data)]
    return mapped if isinstance(data, list) else mapped[0]


def _as_arrays(owner, name, data):
    if isinstance(data, tuple) and type(data) is tuple:
        data = list(data)
    if isinstance(data, dict | list) and not data:
        raise value_error(owner, name, f"{_EXPECTED} that is not empty", data)
    return _mapped(data, lambda label, leaf: _as_array(owner, f"{name}{label}", leaf))


def _as_array(owner, name, leaf):
    if isinstance(leaf, int | float | str | list | tuple | dict) or leaf is None:
        advice = "Nested lists are ambiguous: pass np.asarray(...) of one input."
        raise type_error(owner, name, _EXPECTED[:-1], leaf, advice)
    if keras.ops.is_tensor(leaf):
        leaf = keras.ops.convert_to_numpy(leaf)
    array = np.asarray(leaf)
    if array.dtype == object or array.ndim == 0:
        raise type_error(
            owner,
            name,
            "an array of numbers with a row for each sample",
            leaf if array.ndim == 0 else array.dtype,
            "Give every row the same shape and convert it to numbers.",
        )
    return array
