"""Mean and covariance of rows that come in pieces, in one pass."""

import numpy as np

from keras_practices._core.validation import value_error

# Rows are collected up to 16 MiB in float64: enough for the matrix product to be as
# fast as on all rows at once, and small beside the covariance of an image.
_CHUNK_VALUES = 2**21
_CHUNK_ROWS = 2**14


class Moments:
    """Mean and covariance of rows that come in any pieces, each read once.

    Everything is float64. Pieces are merged by the formula of Chan, Golub and LeVeque:
    each is centred by its own mean, so a mean far from zero costs no digits, as it
    does where `n * mean * mean` is subtracted from a sum of products. Rows are taken
    relative to the first row, so that a feature that never changes has a variance of
    exactly zero.

    Memory: `8 * features ** 2` bytes and a chunk of 16 MiB, however many the rows.

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
        self._size = min(_CHUNK_ROWS, max(1, _CHUNK_VALUES // features))
        # One row more than are collected: see `_merge`.
        self._chunk = np.empty((self._size + 1, features))
        # Only one triangle is kept up to date: half the work.
        self._scatter = np.zeros((features, features), order="F")

    @property
    def rows(self):
        """Number of rows so far."""
        return self._merged + self._filled

    def update(self, rows):
        """Takes in an array of shape `(rows, features)` of any dtype of numbers."""
        if self._first is None and len(rows):
            self._first = rows[0].astype("float64")
        start = 0
        while start < len(rows):
            taken = min(len(rows) - start, self._size - self._filled)
            stop = self._filled + taken
            with np.errstate(invalid="ignore"):
                np.subtract(
                    rows[start : start + taken],
                    self._first,
                    out=self._chunk[self._filled : stop],
                )
            self._filled, start = stop, start + taken
            if self._filled == self._size:
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
        with np.errstate(invalid="ignore"):
            mean = chunk.mean(axis=0)
        if not np.isfinite(mean).all():
            bad = f"NaN or infinite values among rows {self._merged} to {self.rows}"
            raise value_error(self._owner, "data", "of finite values", bad)
        chunk -= mean
        before, rows = self._merged, self.rows
        step = mean - self._offset
        # The distance of the two means counts as one more row: a product less.
        self._chunk[self._filled] = np.sqrt(before * self._filled / rows) * step
        # The transposed chunk is in the order that BLAS reads: nothing is copied, and
        # the sum is written where it stands.
        self._scatter = blas.dsyrk(
            1.0,
            self._chunk[: self._filled + 1].T,
            beta=1.0,
            c=self._scatter,
            lower=1,
            overwrite_c=1,
        )
        self._offset += step * (len(chunk) / rows)
        self._merged, self._filled = rows, 0
