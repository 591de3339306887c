import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_practices.data import principal_axes as module
from keras_practices.data.principal_axes import principal_axes

pytestmark = pytest.mark.once


@pytest.mark.parametrize("count", [None, 1, 3, 6])
def test_axes_are_eigenvectors(count):
    rng = np.random.default_rng(3)
    x = rng.normal(size=(100, 6)) @ rng.normal(size=(6, 6))
    covariance = np.cov(x.T)
    variances, axes = principal_axes([np.asfortranarray(covariance)], count)
    assert axes.shape == (count or 6, 6)
    np.testing.assert_allclose(
        variances, np.linalg.eigvalsh(covariance)[::-1][:count], rtol=1e-10
    )
    np.testing.assert_allclose(axes @ axes.T, np.eye(count or 6), atol=1e-12)
    np.testing.assert_allclose(
        covariance @ axes.T, axes.T * variances, atol=1e-11 * variances.max()
    )
    assert (axes[np.arange(len(axes)), np.abs(axes).argmax(axis=1)] > 0).all()


def test_variances_that_are_only_rounding_are_zero():
    axis = np.array([[3.0, 4.0, 12.0]]) / 13
    variances, axes = principal_axes([np.asfortranarray(axis.T @ axis * 1e6)])
    np.testing.assert_allclose(variances, [1e6, 0, 0], rtol=1e-12, atol=0)
    np.testing.assert_allclose(axes @ axes.T, np.eye(3), atol=1e-12)
    variances, _ = principal_axes([np.zeros((3, 3), order="F")])
    assert (variances == 0).all()


@given(
    features=st.integers(1, 40),
    panel=st.integers(1, 50),
    rank=st.integers(1, 40),
    scale=st.sampled_from([1e-12, 1.0, 1e12]),
    seed=st.integers(0, 99),
)
def test_any_panel_gives_the_axes_of_any_covariance(features, panel, rank, scale, seed):
    rng = np.random.default_rng(seed)
    # Some variances equal, some zero, some features constant.
    turn = rng.integers(-2, 3, size=(min(rank, features), features))
    covariance = scale * (turn.T @ turn).astype("float64")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_PANEL", panel)
        variances, axes = principal_axes([covariance.copy(order="F")])
    largest = max(variances[0], 1e-300)
    expected = np.linalg.eigvalsh(covariance)[::-1]
    np.testing.assert_allclose(variances, expected, atol=1e-13 * 40 * largest)
    np.testing.assert_allclose(axes @ axes.T, np.eye(features), atol=1e-12)
    np.testing.assert_allclose(
        axes.T * variances @ axes, covariance, atol=1e-12 * 40 * largest
    )


def test_all_axes_take_the_memory_of_one_and_a_half_covariances():
    features = 1000
    x = np.random.default_rng(5).normal(size=(1500, features))
    tracemalloc.start()
    holder = [np.asfortranarray(np.cov(x.T))]
    tracemalloc.reset_peak()
    principal_axes(holder)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # Reflections fill half a covariance and what their panels of 128 columns stand
    # out over it; three pieces of 128 axes are in work, and LAPACK's own space is of
    # less than 40 columns.
    assert peak <= (1.5 * features + 128 / 2 + 3 * 128 + 40) * features * 8
