"""Figures of the inputs: what never changes, and whether two parts look alike."""

import collections

import numpy as np

from keras_practices.measures.arrays import named_arrays

# Rows of each part that are compared, and rows below which nothing is compared.
_ROWS = 500
_MIN_ROWS = 20
# One row that differs makes a column vary: fewer rows say little of a column.
_MIN_CONSTANT_ROWS = 8
# A feature is off scale when its deviations differ by this factor.
OFF_SCALE = 10.0


def measure_features(x):
    """Counts the features that are the same in every row, and rows that are the same.

    Args:
        x: Array or structure of arrays, rows first, of a sample.

    Returns:
        Dict name → `{"rows", "features", "constant" (count), "share", "columns"
        (the first five constant ones), "same_rows" (share of the rows that equal the
        most common one), "table" (bool, two axes), "integer" (bool)}`; inputs of fewer
        than 8 rows, or that are no numbers, are left out.
    """
    figures = {}
    for name, array in named_arrays(x, "inputs").items():
        array = np.asarray(array)
        if array.dtype.kind not in "biuf" or len(array) < _MIN_CONSTANT_ROWS:
            continue
        rows = array.reshape(len(array), -1)
        constant = (rows == rows[0]).all(axis=0)
        if not constant.size:
            continue
        figures[name] = {
            "rows": len(rows),
            "features": int(constant.size),
            "constant": int(constant.sum()),
            "share": float(constant.mean()),
            "columns": [int(place) for place in np.flatnonzero(constant)[:5]],
            "same_rows": _most_common(rows),
            "table": array.ndim == 2,
            "integer": array.dtype.kind in "biu",
        }
    return figures


def _most_common(rows):
    counts = collections.Counter(row.tobytes() for row in rows)
    return max(counts.values()) / len(rows)


def measure_input_shift(x, other):
    """Compares the inputs of validation with those of training.

    Args:
        x: Training inputs: array or structure of arrays, of a sample.
        other: Validation inputs of the same structure, of a sample.

    Returns:
        Dict name → `{"rows", "other_rows", "rms", "other_rms", "off_scale" (share of
        the features whose standard deviations differ by a factor of 10; channels of
        images, None where none varies), "statistics"}`. `statistics` is there for
        images only: name → `{"distance" (Kolmogorov–Smirnov, 0…1), "median",
        "other_median", "effect"}` of row-wise figures; the effect is the difference
        of the medians in standard deviations of the pixels, for `"roughness"` (mean
        step between neighbours) their ratio. Integers that may be names, and parts of
        fewer than 20 rows, are left out.
    """
    others, figures = named_arrays(other, "inputs"), {}
    for name, array in named_arrays(x, "inputs").items():
        if name not in others:
            continue
        first, second = _spread_rows(array), _spread_rows(others[name])
        if first.shape[1:] != second.shape[1:] or not _comparable(first, second):
            continue
        figures[name] = {
            "rows": len(first),
            "other_rows": len(second),
            "rms": float(np.sqrt(np.mean(np.square(first, dtype=np.float64)))),
            "other_rms": float(np.sqrt(np.mean(np.square(second, dtype=np.float64)))),
            "off_scale": _off_scale(first, second),
            "statistics": _compare_images(first, second) if _image(first) else {},
        }
    return figures


def _spread_rows(array):
    array = np.asarray(array)
    count = min(len(array), _ROWS)
    return array[np.linspace(0, len(array) - 1, count).astype(int)]


def _image(array):
    if array.ndim == 4:
        return True
    return array.ndim == 3 and array.shape[1] == array.shape[2] >= 8


def _comparable(first, second):
    for array in (first, second):
        if len(array) < _MIN_ROWS or array.dtype.kind not in "biuf":
            return False
        # Whole numbers in a table or a sequence may be names.
        if array.dtype.kind != "f" and not _image(array):
            return False
        if not np.isfinite(array).all():
            return False
    return True


def _off_scale(first, second):
    spreads = []
    for array in (first, second):
        flat = array.reshape(-1, array.shape[-1] if array.ndim > 1 else 1)
        spreads.append(flat.astype(np.float64).std(axis=0))
    varying = (spreads[0] > 0) & (spreads[1] > 0)
    if not varying.any():
        return None
    ratio = np.abs(np.log10(spreads[0][varying] / spreads[1][varying]))
    return float((ratio >= np.log10(OFF_SCALE)).mean())


def _compare_images(first, second):
    spread = min(float(first.std()), float(second.std()))
    if spread <= 0:
        return {}
    ours, theirs = _row_figures(first), _row_figures(second)
    figures = {}
    for name in ours:
        low, high = sorted((np.median(ours[name]), np.median(theirs[name])))
        if name == "roughness":
            effect = high / max(low, 1e-12)
        else:
            effect = (high - low) / spread
        figures[name] = {
            "distance": _distance(ours[name], theirs[name]),
            "median": float(np.median(ours[name])),
            "other_median": float(np.median(theirs[name])),
            "effect": float(effect),
        }
    return figures


def _row_figures(images):
    images = images.astype(np.float64)
    flat = images.reshape(len(images), -1)
    steps = np.abs(np.diff(images, axis=2)).reshape(len(images), -1)
    figures = {
        "mean": flat.mean(axis=1),
        "deviation": flat.std(axis=1),
        "roughness": steps.mean(axis=1),
    }
    if images.ndim == 4 and images.shape[-1] in (2, 3, 4):
        for channel in range(images.shape[-1]):
            means = images[..., channel].mean(axis=(1, 2))
            figures[f"mean of channel {channel}"] = means
    return figures


def _distance(first, second):
    """Largest gap between two empirical distribution functions."""
    places = np.concatenate([first, second])
    ours = np.searchsorted(np.sort(first), places, side="right") / len(first)
    theirs = np.searchsorted(np.sort(second), places, side="right") / len(second)
    return float(np.abs(ours - theirs).max())
