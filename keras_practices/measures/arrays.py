"""Plain figures of input and target arrays (NumPy, float64)."""

import keras
import numpy as np

# Rows are looked at in pieces of about this many numbers, so that looking at a
# large set for NaN needs megabytes, not a second copy of the set.
_PIECE = 2**22
# Beyond this many numbers the sample has to stand for the set.
_FULL_SCAN = 2**29


def named_arrays(part, default):
    """Returns `{name: array}` of a structure; one array is called `default`."""
    if part is None:
        return {}
    if not isinstance(part, dict | list | tuple):
        return {default: part}
    flat = {}
    pairs = part.items() if isinstance(part, dict) else enumerate(part)
    for key, value in pairs:
        inner = named_arrays(value, "")
        flat.update(
            {f"{default}[{key!r}]{name}": array for name, array in inner.items()}
        )
    return flat


def measure_finite(part, default):
    """Counts entries that are NaN or infinite, and the rows they stand in.

    Args:
        part: Array or structure of arrays, rows first; tensors are converted.
        default: Name for a single array.

    Returns:
        Dict name → `{"rows", "bad_rows", "nan", "inf", "first_bad_row"}` for
        floating arrays; others cannot hold such entries and are left out.
    """
    figures = {}
    for name, array in named_arrays(part, default).items():
        if not hasattr(array, "dtype") or "float" not in str(array.dtype):
            continue
        if keras.ops.is_tensor(array):
            array = keras.ops.convert_to_numpy(array)
        rows = len(array)
        width = max(1, int(np.prod(array.shape[1:], dtype=np.int64)))
        piece = max(1, _PIECE // width)
        nan = inf = bad_rows = 0
        first = None
        for begin in range(0, min(rows, max(1, _FULL_SCAN // width)), piece):
            part_of = np.asarray(array[begin : begin + piece]).reshape(-1, width)
            finite = np.isfinite(part_of)
            if finite.all():
                continue
            bad = np.flatnonzero(~finite.all(axis=1))
            first = begin + int(bad[0]) if first is None else first
            bad_rows += len(bad)
            nan += int(np.isnan(part_of).sum())
            inf += int(np.isinf(part_of).sum())
        figures[name] = {
            "rows": rows,
            "bad_rows": bad_rows,
            "nan": nan,
            "inf": inf,
            "first_bad_row": first,
        }
    return figures


def measure_scale(array):
    """Describes the scale of the features of one array, in float64.

    Args:
        array: Numbers, shape `(rows, …, features)`. Images and sequences are
            described per channel (last axis).

    Returns:
        Dict with `rms` (of all entries), `mean`, `std`, `min`, `max`,
        `largest_feature_std`, `smallest_feature_std` (over features that vary),
        `features`; entries that are not finite are left out.
    """
    flat = np.asarray(array, dtype=np.float64)
    flat = flat.reshape(-1, flat.shape[-1] if flat.ndim > 1 else 1)
    flat = np.where(np.isfinite(flat), flat, np.nan)
    if np.isnan(flat).all():
        return {"features": flat.shape[1], "rms": float("nan")}
    known = flat[:, ~np.isnan(flat).all(axis=0)]
    spread = np.nanstd(known, axis=0)
    varying = spread[spread > 0]
    return {
        "features": int(flat.shape[1]),
        "rms": float(np.sqrt(np.nanmean(known**2))),
        "mean": float(np.nanmean(known)),
        "std": float(np.nanstd(known)),
        "min": float(np.nanmin(known)),
        "max": float(np.nanmax(known)),
        "largest_feature_std": float(varying.max()) if varying.size else 0.0,
        "smallest_feature_std": float(varying.min()) if varying.size else 0.0,
    }


def measure_targets(array):
    """Describes one target array: what kind of task it looks like.

    Args:
        array: Targets, shape `(rows,)` or `(rows, …)`.

    Returns:
        Dict with `shape` (without rows), `kind` (`"one-hot"`, `"binary"`,
        `"multi-label"`, `"classes"` (whole numbers), `"unit-interval"` or
        `"numbers"`), `min`, `max`, `mean`, `variance`, `mean_square`, `distinct`,
        and `priors` (share of each class in order) for class targets.
    """
    array = np.asarray(array)
    flat = array.astype(np.float64)
    finite = flat[np.isfinite(flat)]
    if finite.size == 0:
        return {"shape": list(array.shape[1:]), "kind": "numbers", "distinct": 0}
    whole = bool((finite == np.round(finite)).all())
    values = np.unique(finite[:100_000])
    columns = flat.reshape(len(flat), -1)
    figures = {
        "shape": list(array.shape[1:]),
        "integer_dtype": bool(np.issubdtype(array.dtype, np.integer)),
        "min": float(finite.min()),
        "max": float(finite.max()),
        "mean": float(finite.mean()),
        # Around the mean of each output: what predicting a constant leaves.
        "variance": float(np.nanmean(np.nanvar(columns, axis=0))),
        "mean_square": float(np.mean(finite**2)),
        "distinct": len(values),
    }
    two = whole and set(values) <= {0.0, 1.0}
    wide = flat.ndim >= 2 and flat.shape[-1] > 1
    if two and wide and bool((np.nansum(flat, axis=-1) == 1).all()):
        figures["kind"] = "one-hot"
        shares = flat.reshape(-1, flat.shape[-1]).mean(axis=0)
        figures["priors"] = [float(share) for share in shares]
    elif two:
        figures["kind"] = "multi-label" if wide else "binary"
        figures["priors"] = [1 - figures["mean"], figures["mean"]]
    elif whole and figures["min"] >= 0 and _look_like_classes(array, values, wide):
        figures["kind"] = "classes"
        counts = np.bincount(finite.astype(np.int64).ravel())
        figures["priors"] = [float(count) for count in counts / counts.sum()]
    elif figures["min"] >= 0 and figures["max"] <= 1:
        figures["kind"] = "unit-interval"
    else:
        figures["kind"] = "numbers"
    return figures


def _look_like_classes(array, values, wide):
    """Whole numbers are classes when they repeat and leave few gaps."""
    if wide and not np.issubdtype(array.dtype, np.integer):
        return False
    top = int(values[-1])
    if top > 100_000:
        return False
    return len(values) <= max(2, len(array) // 2) and len(values) >= 0.5 * (top + 1)
