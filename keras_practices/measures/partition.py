"""How the rows are parted: classes, order, batches, training and validation."""

import math

import keras
import numpy as np

from keras_practices._core.randomness import restore_rng
from keras_practices.measures.arrays import measure_targets
from keras_practices.measures.features import measure_input_shift
from keras_practices.measures.sample import as_arrays
from keras_practices.measures.sample import take_sample

# More rows than this are not compared one by one.
MAX_HASHED = 200_000
_PIECE = 4096
_MAX_CLASSES = 1000
# Different rows from which on their values say something, and columns looked at.
_FEW_ROWS = 50
# Logarithm of the number of equal pairs that chance gives: one in a million sets.
_SURELY = math.log(1e-6)
_LOOKED_AT = 20


def figures_of_partition(sample, x, y, validation_data, validation_split=0.0):
    """Measures classes and order of the training rows, and validation beside them.

    Args:
        sample: A `Sample` of the training data.
        x: Inputs as `fit` gets them; only arrays are read in full.
        y: Targets as `fit` gets them, None beside a dataset.
        validation_data: As for `fit`; an iterator that can be read once is left alone.
        validation_split: As for `fit`.

    Returns:
        Dict with `class_counts` and `validation_class_counts`
        (`measure_class_counts`), `order` (`measure_order`), `overlap`
        (`measure_overlap`) and `input_shift` (`measure_input_shift`); None for what
        cannot be read.
    """
    arrays = sample.batch_size is None
    x = as_arrays(x, "check", "x") if arrays else sample.x
    y = as_arrays(y, "check", "y") if arrays and y is not None else sample.y
    complete = arrays or sample.exhausted
    figures = {
        "class_counts": measure_class_counts(y, complete=complete),
        "order": measure_order(
            y, batch_size=sample.batch_size, validation_split=validation_split
        ),
        "validation_class_counts": None,
        "overlap": None,
        "input_shift": None,
    }
    held = validation_sample(validation_data)
    if held is None:
        if arrays and validation_split and validation_data is None:
            figures["overlap"] = _overlap_of_split(x, validation_split)
        return figures
    if held.y is not None:
        known = figures["class_counts"] is not None
        counts = measure_class_counts(held.y, known=known)
        figures["validation_class_counts"] = counts
    figures["overlap"] = measure_overlap(x, held.x)
    figures["input_shift"] = measure_input_shift(sample.x, held.x)
    return figures


def _overlap_of_split(x, validation_split):
    """The overlap of the two parts that `fit` cuts the arrays into."""
    rows = len(keras.tree.flatten(x)[0])
    cut = int(rows * (1 - validation_split))
    if not 0 < cut < rows:
        return None
    parts = (slice(0, cut), slice(cut, rows))
    return measure_overlap(
        *(keras.tree.map_structure(lambda a, part=part: a[part], x) for part in parts)
    )


def validation_sample(validation_data):
    """Takes rows out of validation data.

    Args:
        validation_data: As for `fit`: tuple of arrays, dataset, or None.

    Returns:
        A `Sample`; None without validation data, and for an iterator, whose rows
        belong to `fit`.
    """
    if validation_data is None:
        return None
    owner = "validation_data"
    if isinstance(validation_data, tuple | list):
        return take_sample(*validation_data[:3], owner=owner)
    if hasattr(validation_data, "__next__"):
        return None
    with restore_rng():
        return take_sample(validation_data, owner=owner)


def class_labels(y, *, known=False):
    """Returns one class number a row, or None where the targets are no classes.

    Args:
        y: Whole class numbers of shape `(rows,)` or `(rows, 1)`, or one-hot rows; a
            structure that holds one such array.
        known: Bool. Whether whole numbers are known to be classes: a part may hold
            one of them only.
    """
    flat = [array for array in keras.tree.flatten(y) if array is not None]
    if len(flat) != 1:
        return None
    array = np.asarray(flat[0])
    width = int(np.prod(array.shape[1:], dtype=np.int64))
    if array.ndim > 2 or array.dtype.kind not in "biuf" or not width:
        return None
    if width > 1:
        shaped = measure_targets(array[:1000])["kind"] == "one-hot"
        return array.argmax(axis=1) if shaped else None
    if not np.isfinite(array).all() or not (array == np.round(array)).all():
        return None
    if not known and measure_targets(array)["kind"] not in ("binary", "classes"):
        return None
    return array.ravel().astype(np.int64)


def measure_class_counts(y, *, complete=True, known=False):
    """Counts the rows of each class.

    Args:
        y: Targets, see `class_labels`.
        complete: Bool. Whether `y` holds every row of its set.
        known: Bool, see `class_labels`.

    Returns:
        Dict with `rows`, `counts` (class number as text → rows) and `complete`; None
        where the targets are no classes or more than 1,000.
    """
    labels = class_labels(y, known=known)
    if labels is None:
        return None
    values, counts = np.unique(labels, return_counts=True)
    if len(values) > _MAX_CLASSES:
        return None
    pairs = zip(values, counts, strict=True)
    return {
        "rows": len(labels),
        "counts": {str(value): int(count) for value, count in pairs},
        "complete": bool(complete),
    }


def measure_order(y, *, batch_size=None, validation_split=0.0):
    """Measures how mixed the classes are in the order of the rows.

    Args:
        y: Targets in the order that they come in, see `class_labels`.
        batch_size: Rows of one batch where the data come in batches, else None.
        validation_split: Share of the rows that `fit` would cut off the end.

    Returns:
        Dict with `rows`, `classes`, `changes` (neighbours of different class) and
        `expected_changes` (in random order); `batches`, `batch_classes` (mean number
        of classes in one) and `expected_batch_classes` where there are batches; `tail`
        (see `_tail`) with a split. None where the targets are no classes.
    """
    labels = class_labels(y)
    if labels is None or len(labels) < 2:
        return None
    values, counts = np.unique(labels, return_counts=True)
    shares = counts / counts.sum()
    figures = {
        "rows": len(labels),
        "classes": len(values),
        "changes": int((labels[1:] != labels[:-1]).sum()),
        "expected_changes": float((len(labels) - 1) * (1 - (shares**2).sum())),
        "tail": _tail(labels, validation_split) if validation_split else None,
    }
    if batch_size is not None:
        begins = range(0, len(labels) - batch_size + 1, batch_size)
        found = [len(np.unique(labels[at : at + batch_size])) for at in begins]
        figures["batches"] = len(found)
        figures["batch_classes"] = float(np.mean(found)) if found else None
        figures["expected_batch_classes"] = float(
            (1 - (1 - shares) ** batch_size).sum()
        )
    return figures


def _tail(labels, validation_split):
    """What a split would cut off: rows, classes, and how far it is from the rest."""
    # As Keras cuts: everything from this row on is validation.
    cut = math.floor(len(labels) * (1.0 - validation_split))
    head, tail = labels[:cut], labels[cut:]
    if not len(head) or not len(tail):
        return None
    values = np.unique(labels)
    shares = [(part[:, None] == values).mean(axis=0) for part in (head, tail)]
    unseen = values[(shares[0] == 0) & (shares[1] > 0)]
    return {
        "rows": len(tail),
        "classes": int((shares[1] > 0).sum()),
        "unseen": [int(value) for value in unseen[:20]],
        "unseen_share": float(np.isin(tail, unseen).mean()),
        # Total variation: share of the rows that would have to change their class.
        "distance": float(np.abs(shares[0] - shares[1]).sum() / 2),
    }


def measure_overlap(x, other):
    """Counts validation rows that are exactly rows of training.

    Args:
        x: Training inputs: array or structure of arrays.
        other: Validation inputs of the same structure.

    Returns:
        Dict with `rows`, `validation_rows`, `shared` (validation rows that are among
        the training rows), `share` of them, `twins` (share of training rows that
        are there more than once), `continuous` (bool: a column has nearly as many
        values as there are different rows, so that none is equal by nature) and `wide`
        (bool: so many columns of so many values that rows of independent columns would
        not be equal by chance). None where the two differ in structure.
    """
    ours, theirs = (
        [np.asarray(array) for array in keras.tree.flatten(part)] for part in (x, other)
    )
    shapes = [[array.shape[1:] for array in part] for part in (ours, theirs)]
    if shapes[0] != shapes[1]:
        return None
    numbers = all(array.dtype.kind in "biuf" for array in (*ours, *theirs))
    if not ours or not numbers:
        return None
    dtypes = [
        np.int64 if a.dtype.kind in "biu" and b.dtype.kind in "biu" else np.float32
        for a, b in zip(ours, theirs, strict=True)
    ]
    counts = {}
    for key in _row_keys(ours, dtypes):
        counts[key] = counts.get(key, 0) + 1
    rows = sum(counts.values())
    keys = list(_row_keys(theirs, dtypes))
    shared = sum(key in counts for key in keys)
    return {
        "rows": rows,
        "validation_rows": len(keys),
        "shared": shared,
        "share": shared / len(keys),
        "twins": sum(count for count in counts.values() if count > 1) / rows,
        "continuous": _is_continuous(ours, len(counts)),
        "wide": _is_wide(ours, len(counts)),
    }


def _is_continuous(arrays, different):
    """True where some column of fractions has a value of its own in half the rows."""
    if different < _FEW_ROWS:
        return False
    for array in arrays:
        if array.dtype.kind != "f":
            continue
        columns = array[:MAX_HASHED].reshape(min(len(array), MAX_HASHED), -1)
        step = max(1, columns.shape[1] // _LOOKED_AT)
        for column in columns.T[::step]:
            if 2 * len(np.unique(column[np.isfinite(column)])) > different:
                return True
    return False


def _is_wide(arrays, different):
    """True where equal rows are no chance, columns taken as independent."""
    if different < _FEW_ROWS:
        return False
    equal = 0.0  # logarithm of the chance that two rows are equal
    for array in arrays:
        columns = array[:MAX_HASHED].reshape(min(len(array), MAX_HASHED), -1)
        step = max(1, columns.shape[1] // _LOOKED_AT)
        for column in columns.T[::step]:
            _, counts = np.unique(column, return_counts=True)
            equal += math.log(float(((counts / counts.sum()) ** 2).sum()))
    return equal + 2 * math.log(different) < _SURELY


def _row_keys(arrays, dtypes):
    """One number a row, equal for equal rows."""
    rows = min(len(arrays[0]), MAX_HASHED)
    for begin in range(0, rows, _PIECE):
        end = min(begin + _PIECE, rows)
        pieces = [
            # Zero added: -0.0 and 0.0 are one number of two bit patterns.
            np.ascontiguousarray(array[begin:end].astype(dtype) + dtype(0))
            for array, dtype in zip(arrays, dtypes, strict=True)
        ]
        for row in range(end - begin):
            yield hash(b"".join(piece[row].tobytes() for piece in pieces))
