"""Mean and covariance in one pass, and the directions of largest variance."""

import numpy as np

from keras_practices._core.validation import value_error

# Rows are collected up to 8 MiB in float64: enough for the matrix product to be as
# fast as on all rows at once, and small beside the covariance of an image.
_CHUNK_VALUES = 2**20
_CHUNK_ROWS = 2**14


class Moments:
    """Mean and covariance of rows that come in any pieces, each read once.

    Everything is float64. Pieces are merged by the formula of Chan, Golub and LeVeque:
    each is centred by its own mean, so a mean far from zero costs no digits, as it
    does where `n * mean * mean` is subtracted from a sum of products. Rows are taken
    relative to the first row, so that a feature that never changes has a variance of
    exactly zero.

    Memory: `8 * features ** 2` bytes and a chunk of 8 MiB, however many the rows.

    Args:
        owner: Object or name that a message begins with.
        features: Integer of at least 1.

    References:
        Chan, Golub and LeVeque, "Algorithms for Computing the Sample Variance:
        Analysis and Recommendations", 1983, The American Statistician 37.
    """

    def __init__(self, owner, features):
        self._owner = owner
        self._first = None
        self._merged = 0
        self._filled = 0
        self._offset = np.zeros(features)
        size = min(_CHUNK_ROWS, max(1, _CHUNK_VALUES // features))
        self._chunk = np.empty((size, features))
        # Only one triangle is kept up to date: half the work.
        self._scatter = np.zeros((features, features), order="F")

    @property
    def rows(self):
        """Number of rows so far."""
        return self._merged + self._filled

    def update(self, rows):
        """Takes in an array of shape `(rows, features)` of any dtype of numbers."""
        start = 0
        while start < len(rows):
            taken = min(len(rows) - start, len(self._chunk) - self._filled)
            stop = self._filled + taken
            self._chunk[self._filled : stop] = rows[start : start + taken]
            self._filled, start = stop, start + taken
            if self._filled == len(self._chunk):
                self._merge()

    def finish(self):
        """Returns `(mean, covariance)` and gives the memory away.

        Returns:
            Mean of shape `(features,)`; covariance of shape `(features, features)`
            with divisor `rows - 1`, of which only the lower triangle is filled.
        """
        self._merge()
        mean, covariance = self._first + self._offset, self._scatter
        covariance *= 1 / (self._merged - 1)
        self._chunk = self._scatter = None
        return mean, covariance

    def _merge(self):
        """Merges the moments of the chunk with those of the rows before it."""
        from scipy.linalg import blas

        if not self._filled:
            return
        chunk = self._chunk[: self._filled]
        if self._first is None:
            self._first = chunk[0].copy()
        with np.errstate(invalid="ignore"):
            chunk -= self._first
            mean = chunk.mean(axis=0)
        if not np.isfinite(mean).all():
            bad = f"NaN or infinite values among rows {self._merged} to {self.rows}"
            raise value_error(self._owner, "data", "of finite values", bad)
        chunk -= mean
        before, rows = self._merged, self.rows
        step = mean - self._offset
        # The transposed chunk is in the order that BLAS reads: nothing is copied, and
        # the sum is written where it stands.
        self._scatter = blas.dsyrk(
            1.0, chunk.T, beta=1.0, c=self._scatter, lower=1, overwrite_c=1
        )
        if before:
            self._scatter = blas.dsyr(
                before * len(chunk) / rows,
                step,
                a=self._scatter,
                lower=1,
                overwrite_a=1,
            )
        self._offset += step * (len(chunk) / rows)
        self._merged, self._filled = rows, 0


def principal_axes(covariance, count=None):
    """Returns the directions of largest variance, largest first.

    Args:
        covariance: Float64 array `(features, features)`, lower triangle; overwritten.
        count: How many are wanted, or None for all.

    Returns:
        `(variances, axes)` of shapes `(count,)` and `(count, features)`. Variances
        that float64 cannot tell from zero are zero. The largest entry of each axis is
        positive, as in scikit-learn.
    """
    from scipy.linalg import eigh

    features = len(covariance)
    wanted = None
    if count is not None and count < features:
        wanted = (features - count, features - 1)
    variances, vectors = eigh(
        covariance, subset_by_index=wanted, overwrite_a=True, check_finite=False
    )
    variances, axes = variances[::-1], vectors.T[::-1]
    for axis in axes:
        if axis[np.argmax(np.abs(axis))] < 0:
            axis *= -1
    noise = features * np.finfo(np.float64).eps * max(variances[0], 0.0)
    return np.where(variances > noise, variances, 0.0), axes
