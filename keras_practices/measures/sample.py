"""A bounded number of rows out of anything that `fit` takes."""

import dataclasses
import itertools
from typing import Any

import keras
import numpy as np

from keras_practices._core.validation import type_error
from keras_practices._core.validation import value_error

MAX_ROWS = 2048
MAX_BATCHES = 64


@dataclasses.dataclass
class Sample:
    """Rows in memory, and how they were come by.

    Attributes:
        x: NumPy array, or dict or list of them; leading axis is rows.
        y: The same, or None where there are no targets.
        sample_weight: The same, or None.
        rows: Number of rows in the sample.
        total_rows: Rows of the whole set, None where it cannot be known.
        batch_size: Rows of the first batch, None for arrays.
        batches: Batches that were read, 0 for arrays.
        exhausted: True when an iterator ended while the rows were taken.
        data_is_one_pass: True for an iterator that cannot be read again.
        data: What to train on: the set itself, or for a Python generator one that
            gives the rows that were taken once more.
    """

    x: Any
    y: Any
    sample_weight: Any
    rows: int
    total_rows: int | None
    batch_size: int | None
    batches: int
    exhausted: bool
    data_is_one_pass: bool
    data: Any

    def head(self, rows):
        """Returns `(x, y, sample_weight)` of the first `rows` rows."""
        return tuple(
            None if part is None else keras.tree.map_structure(lambda a: a[:rows], part)
            for part in (self.x, self.y, self.sample_weight)
        )


def take_sample(x, y=None, sample_weight=None, *, owner="check", max_rows=MAX_ROWS):
    """Takes at most `max_rows` rows out of `x`, without changing it.

    Rows of arrays are spread evenly over the whole set, in a fixed random order; rows
    of datasets are its first batches.

    Args:
        x: Array, dict or list of arrays, `tf.data.Dataset`, `PyDataset`, PyTorch
            `DataLoader`, or Python generator of `(x, y[, sample_weight])`.
        y: Targets for arrays.
        sample_weight: Weights for arrays.
        owner: Name for error messages.
        max_rows: Bound on rows.

    Returns:
        A `Sample`.

    Raises:
        TypeError: object arrays, data of an unknown kind, `y` beside a dataset.
        ValueError: no rows, or `x` and `y` of different length.
    """
    if x is None:
        raise type_error(owner, "x", "the inputs that `fit` would get", x)
    if _is_arrays(x):
        return _from_arrays(x, y, sample_weight, owner, max_rows)
    if y is not None:
        raise type_error(
            owner, "y", "None beside a dataset or generator, which brings its own", y
        )
    return _from_batches(x, owner, max_rows)


def _is_arrays(x):
    if isinstance(x, np.ndarray | dict | list | tuple):
        return True
    return hasattr(x, "shape") and (hasattr(x, "__array__") or keras.ops.is_tensor(x))


def as_arrays(part, owner, name):
    """Returns a structure of arrays and tensors as one of NumPy arrays.

    Raises:
        TypeError: an array of dtype object.
    """

    def convert(value):
        if keras.ops.is_tensor(value):
            array = keras.ops.convert_to_numpy(value)
        elif hasattr(value, "detach"):  # a PyTorch tensor on another backend
            array = value.detach().cpu().numpy()
        else:
            array = np.asarray(value)
        if array.dtype == object:
            raise type_error(
                owner,
                name,
                "an array of numbers",
                f"array of dtype object, shape {array.shape}",
                "Rows of unequal length? Pad them, or convert with .astype('float32').",
            )
        return array

    if isinstance(part, list | tuple) and part and np.isscalar(part[0]):
        part = np.asarray(part)
    return keras.tree.map_structure(convert, part)


def row_count(part, owner, name):
    """Returns the number of rows, the same for every array of the structure.

    Raises:
        ValueError: no rows, or arrays of different length.
    """
    lengths = []
    for array in keras.tree.flatten(part):
        if not array.ndim:
            raise value_error(owner, name, "an array of rows", f"the scalar {array}")
        lengths.append(len(array))
    if not lengths or min(lengths) == 0:
        raise value_error(
            owner, name, "data with at least one row", f"{lengths or 'no'} rows"
        )
    if len(set(lengths)) > 1:
        raise value_error(
            owner, name, "arrays of one length", f"lengths {lengths}", "Align them."
        )
    return lengths[0]


def _from_arrays(x, y, sample_weight, owner, max_rows):
    names = ("x", "y", "sample_weight")
    parts = [
        None if part is None else as_arrays(part, owner, name)
        for part, name in zip((x, y, sample_weight), names, strict=True)
    ]
    total = row_count(parts[0], owner, "x")
    for part, name in zip(parts[1:], names[1:], strict=True):
        if part is not None and row_count(part, owner, name) != total:
            raise value_error(
                owner,
                name,
                f"as long as `x` ({total} rows)",
                f"{row_count(part, owner, name)} rows",
                f"Give one row of `{name}` for each row of `x`.",
            )
    spread = np.unique(np.linspace(0, total - 1, min(total, max_rows)).astype(int))
    # In an order of their own: the first rows of a sorted set are of one class.
    rows = np.random.default_rng(0).permutation(spread)
    picked = [
        None if part is None else keras.tree.map_structure(lambda a: a[rows], part)
        for part in parts
    ]
    return Sample(
        *picked, len(rows), total, None, 0, False, False, (x, y, sample_weight)
    )


def _from_batches(source, owner, max_rows):
    one_pass = not isinstance(source, keras.utils.PyDataset) and (
        hasattr(source, "__next__")
    )
    taken, rows, exhausted = [], 0, False
    stream = _iterate(source, owner)
    while rows < max_rows and len(taken) < MAX_BATCHES:
        try:
            batch = next(stream)
        except StopIteration:
            exhausted = True
            break
        taken.append(batch)
        parts = _unpacked(batch, owner)
        rows += row_count(parts[0], owner, "x")
    if not taken:
        raise value_error(
            owner,
            "x",
            "data with at least one batch",
            source,
            "It ended before its first batch. A Python generator can be read once: "
            "make a fresh one for each call.",
        )
    unpacked = [_unpacked(batch, owner) for batch in taken]
    for parts in unpacked:
        count = row_count(parts[0], owner, "x")
        if parts[1] is not None and row_count(parts[1], owner, "y") != count:
            raise value_error(
                owner,
                "x",
                "batches whose inputs and targets have one length",
                f"{count} and {row_count(parts[1], owner, 'y')} rows",
                "Give one target for each input row.",
            )
    # Batches padded to their own longest row cannot be joined with the others.
    widths = [_row_shapes(parts) for parts in unpacked]
    unpacked = [
        parts
        for parts, shapes in zip(unpacked, widths, strict=True)
        if shapes == widths[0]
    ]
    alike = sum(row_count(parts[0], owner, "x") for parts in unpacked)
    joined = [_joined([parts[i] for parts in unpacked], max_rows) for i in range(3)]
    size = row_count(unpacked[0][0], owner, "x")
    total = rows if exhausted else None
    data = _again(taken, stream) if one_pass else source
    kept = min(alike, max_rows)
    return Sample(*joined, kept, total, size, len(taken), exhausted, one_pass, data)


def _again(taken, rest):
    """A Python generator (Keras asks for that type) that begins with `taken`."""
    yield from taken
    yield from rest


def _iterate(source, owner):
    if isinstance(source, keras.utils.PyDataset):
        count = source.num_batches
        numbers = itertools.count() if count is None else range(count)
        return (source[number] for number in numbers)
    if not hasattr(source, "__iter__"):
        raise type_error(
            owner,
            "x",
            "arrays, a tf.data.Dataset, a PyDataset, a DataLoader or a generator",
            source,
        )
    return iter(source)


def _unpacked(batch, owner):
    if isinstance(batch, list):  # a DataLoader gives lists
        batch = tuple(batch)
    x, y, weight = keras.utils.unpack_x_y_sample_weight(batch)
    return tuple(
        None if part is None else as_arrays(part, owner, name)
        for part, name in ((x, "x"), (y, "y"), (weight, "sample_weight"))
    )


def _row_shapes(parts):
    return [array.shape[1:] for array in keras.tree.flatten(parts) if array is not None]


def _joined(parts, max_rows):
    if parts[0] is None:
        return None

    def join(*arrays):
        return np.concatenate(arrays)[:max_rows]

    return keras.tree.map_structure(join, *parts)
