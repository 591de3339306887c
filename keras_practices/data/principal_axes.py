"""The directions of largest variance, in little more memory than a covariance."""

import numpy as np

# Columns whose reflections are applied at once, and directions they are applied to:
# enough for the matrix products to be fast, and 3 MiB a copy at 3,072 features.
_PANEL = 128


def principal_axes(holder, count=None):
    """Returns the directions of largest variance, largest first.

    All of them are found in the memory of one and a half covariances.

    Args:
        holder: List of one Float64 array `(features, features)`, Fortran order, lower
            triangle. It is emptied: where nothing else holds the array, its memory is
            free before the directions are made.
        count: How many are wanted, or None for all.

    Returns:
        `(variances, axes)` of shapes `(count,)` and `(count, features)`. Variances
        that float64 cannot tell from zero are zero. The largest entry of each axis is
        positive, as in scikit-learn.
    """
    from scipy.linalg import eigh

    features = len(holder[0])
    if count is None or count >= features:
        variances, vectors = _all_eigenvectors(holder)
    else:
        variances, vectors = eigh(
            holder.pop(),
            subset_by_index=(features - count, features - 1),
            overwrite_a=True,
            check_finite=False,
        )
    variances, axes = variances[::-1], vectors.T[::-1]
    for axis in axes:
        if axis[np.argmax(np.abs(axis))] < 0:
            axis *= -1
    noise = features * np.finfo(np.float64).eps * max(variances[0], 0.0)
    return np.where(variances > noise, variances, 0.0), axes


def _all_eigenvectors(holder):
    """Returns what `scipy.linalg.eigh` does, its three steps done one by one.

    The matrix is turned into a tridiagonal one by reflections. These fill one of its
    triangles only: they are moved to panels, and the square is given away before the
    eigenvectors of the tridiagonal matrix are made and reflected back.
    """
    from scipy.linalg import eigh_tridiagonal
    from scipy.linalg import lapack

    size = len(holder[0])
    space = int(lapack.dsytrd_lwork(size, lower=1)[0])
    reflections, diagonal, below, scales, _ = lapack.dsytrd(
        holder.pop(), lower=1, lwork=space, overwrite_a=1
    )
    panels = []
    for start in range(0, size - 1, _PANEL):
        stop = min(start + _PANEL, size - 1)
        panel = np.asfortranarray(reflections[start + 1 :, start:stop])
        panels.append((start + 1, panel, scales[start:stop]))
    del reflections
    # The default driver needs one more square.
    variances, vectors = eigh_tridiagonal(
        diagonal, below, check_finite=False, lapack_driver="stemr"
    )
    while panels:
        top, panel, scale = panels.pop()
        for left in range(0, size, _PANEL):
            columns = vectors[top:, left : left + _PANEL]
            columns[...] = lapack.dormqr(
                "L", "N", panel, scale, columns, lwork=128 * _PANEL
            )[0]
    return variances, vectors
