"""The first layer's kernel, and how smooth its filters are."""

import numpy as np
from keras import ops

from keras_practices.measures.layers import first_kernel

MAX_ENTRIES = 100_000


def measure_filters(model):
    """Reads the first kernel of a model.

    Args:
        model: A built Keras model.

    Returns:
        Dict with `layer`, `shape`, `values` (NumPy array) and `smoothness` (None for a
        kernel that is no image), or None for a model without a kernel or with one of
        more than 100,000 entries.
    """
    found = first_kernel(model)
    if found is None or found[1].size > MAX_ENTRIES:
        return None
    name, values = found
    return {
        "layer": name,
        "shape": values.shape,
        "values": values.astype("float64").round(5),
        "smoothness": smoothness(values),
    }


def smoothness(kernel):
    """Scores how alike neighbouring pixels of a convolution's filters are.

    It is 1 − Σ(difference of neighbours)² / (2 · pairs · variance), over rows and
    columns: von Neumann's ratio, turned so that 0 is white noise (as initial weights
    are) and 1 a constant. Filters are weighted by their variance.

    Args:
        kernel: Array of shape `(height, width, channels in, filters)`.

    Returns:
        Float, or None for another rank, for filters below 3 × 3, and for a kernel
        that is constant or not finite.

    References:
        J. von Neumann, "Distribution of the ratio of the mean square successive
        difference to the variance", 1941. CS231n, Neural Networks Part 3: "First-layer
        visualizations".
    """
    values = np.asarray(ops.convert_to_numpy(kernel), dtype=np.float64)
    if values.ndim != 4 or min(values.shape[:2]) < 3 or not np.isfinite(values).all():
        return None
    centred = values - values.mean(axis=(0, 1))
    pixels = values.shape[0] * values.shape[1]
    # Around a mean that was taken from the same pixels, noise differs by a little
    # less than twice its variance: pixels / (pixels - 1) makes up for it.
    variance = np.sum(centred**2) / (pixels - 1)
    if variance <= 0:
        return None
    differences = [np.diff(values, axis=axis) for axis in (0, 1)]
    pairs = sum(d.shape[0] * d.shape[1] for d in differences)
    return float(1 - sum(np.sum(d**2) for d in differences) / (2 * pairs * variance))
