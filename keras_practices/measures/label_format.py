"""How the targets of each output are written down."""

import keras
import numpy as np

from keras_practices.measures.set_up import pair_outputs

# Shares of the entries that are left out at both ends of a range.
_EDGE = 0.01


def measure_label_format(model, sample, outputs):
    """Describes the coding of the targets of each output.

    Args:
        model: Compiled Keras model, read for the class that its loss ignores.
        sample: A `Sample`.
        outputs: From `measure_outputs`.

    Returns:
        List in the order of `outputs`, None where there are no numbers: `rows`,
        `low` and `high` (1 % and 99 % quantile), `values` (the first ten distinct
        ones), `distinct`, `whole` (bool), `negative` and `zeros` (shares of entries
        below 0 and equal to it), `ignore_class` (None where the loss has none), and for
        targets of shape `(rows, classes)` `zero_rows`, `several_rows` (shares of rows
        of zeros and ones that hold no one, and several) and `one_value` (the entry of
        rows that each hold one value beside zeros).
    """
    ignored = _ignored_class(model)
    figures = []
    for _, array in pair_outputs(outputs, sample.y):
        found = None if array is None else _format_of(np.asarray(array))
        figures.append(None if found is None else {**found, "ignore_class": ignored})
    return figures


def _format_of(array):
    if array.dtype.kind not in "biuf" or not array.size:
        return None
    flat = array.astype(np.float64)
    entries = flat[np.isfinite(flat)]
    if not entries.size:
        return None
    low, high = np.quantile(entries, [_EDGE, 1 - _EDGE])
    values = np.unique(entries[:100_000])
    return {
        "rows": len(array),
        "low": float(low),
        "high": float(high),
        "values": [float(value) for value in values[:10]],
        "distinct": len(values),
        "whole": bool((values == np.round(values)).all()),
        "negative": float((entries < 0).mean()),
        "zeros": float((entries == 0).mean()),
        **(_row_codes(flat) if array.ndim == 2 and array.shape[1] > 1 else {}),
    }


def _row_codes(rows):
    zeros_and_ones = bool(((rows == 0) | (rows == 1)).all())
    ones = (rows != 0).sum(axis=1)
    one_each = bool((ones == 1).all())
    values = np.unique(rows[rows != 0])
    return {
        "zero_rows": float((ones == 0).mean()) if zeros_and_ones else 0.0,
        "several_rows": float((ones > 1).mean()) if zeros_and_ones else 0.0,
        "one_value": float(values[0]) if one_each and len(values) == 1 else None,
    }


def _ignored_class(model):
    for loss in keras.tree.flatten(getattr(model, "loss", None)):
        ignored = getattr(loss, "ignore_class", None)
        if ignored is not None:
            return int(ignored)
    return None
