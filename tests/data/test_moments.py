import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_practices.data import moments
from keras_practices.data.moments import Moments
from keras_practices.data.principal_axes import principal_axes

pytestmark = pytest.mark.once


def finished(x, pieces, owner="Test"):
    found = Moments(owner, x.shape[1])
    for piece in np.split(x, pieces):
        found.update(piece)
    assert found.rows == len(x)
    mean, covariance = found.finish()
    lower = np.tril(covariance)
    return mean, lower + np.tril(lower, -1).T


@given(
    pieces=st.lists(st.integers(0, 40), max_size=5),
    center=st.floats(-1e6, 1e6),
    scale=st.floats(1e-3, 1e3),
    chunk=st.integers(1, 50),
    seed=st.integers(0, 99),
)
def test_any_pieces_and_chunks_give_the_covariance(pieces, center, scale, chunk, seed):
    rng = np.random.default_rng(seed)
    x = center + scale * rng.normal(size=(40, 3)) @ rng.normal(size=(3, 3))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(moments, "_CHUNK_ROWS", chunk)
        mean, covariance = finished(x, sorted(pieces))
    np.testing.assert_allclose(mean, x.mean(axis=0), rtol=1e-12, atol=1e-12 * scale)
    expected = np.cov(x.T)
    np.testing.assert_allclose(covariance, expected, atol=1e-9 * expected.max())


def test_a_mean_far_from_zero_costs_no_digits():
    rng = np.random.default_rng(0)
    # Exact in float64, so that only the arithmetic can lose digits.
    x = rng.integers(-8, 8, size=(1000, 4)) / 16
    _, near = finished(x, [100, 500])
    _, far = finished(x + 2.0**36, [100, 500])
    np.testing.assert_allclose(far, near, rtol=1e-9, atol=1e-12)
    shifted = x + 2.0**36  # the formula that this is not
    naive = shifted.T @ shifted / 1000 - np.outer(shifted.mean(0), shifted.mean(0))
    assert np.abs(naive - near).max() > 1


def test_a_constant_feature_has_a_variance_of_exactly_zero():
    x = np.random.default_rng(1).normal(size=(300, 3))
    x[:, 1] = 0.1
    _, covariance = finished(x, [7, 100])
    assert (covariance[1] == 0).all()
    assert (covariance[:, 1] == 0).all()


@pytest.mark.parametrize("dtype", ["uint8", "int64", "bool", "float16", "float32"])
def test_dtypes(dtype):
    x = np.random.default_rng(2).integers(0, 2, size=(60, 4)).astype(dtype)
    _, covariance = finished(x, [31])
    np.testing.assert_allclose(covariance, np.cov(x.astype("float64").T), rtol=1e-12)


def peak_of(rows, features):
    """Largest memory, in bytes, of the moments and axes of a stream of rows."""
    rng = np.random.default_rng(4)
    tracemalloc.start()
    found = Moments("Test", features)
    for _ in range(rows // 100):
        found.update(rng.standard_normal((100, features), "float32"))
    _, covariance = found.finish()
    holder = [covariance]
    del covariance
    principal_axes(holder)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def test_memory_does_not_grow_with_the_rows():
    features, piece = 128, 100 * 128 * 4
    small, large = (peak_of(rows, features) for rows in (10_000, 80_000))
    # A chunk in float64, three matrices of the features, one piece of the stream;
    # the rows themselves are 41 MB in float32.
    chunk = 16 * 2**20
    assert large <= chunk + 3 * 8 * features**2 + 2 * piece + 2**20
    assert large <= small + 2**16


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite(bad):
    x = np.ones((50, 2))
    x[20, 1] = bad
    with pytest.raises(ValueError, match="argument `data`.*finite.*rows 0 to 50"):
        finished(x, [])
