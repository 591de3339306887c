import hypothesis
import hypothesis.extra.numpy as arrays
import hypothesis.strategies as st
import numpy as np
import pytest

from keras_practices.measures import arrays as module
from keras_practices.measures.arrays import measure_finite
from keras_practices.measures.arrays import measure_scale
from keras_practices.measures.arrays import measure_targets
from keras_practices.measures.arrays import named_arrays

pytestmark = pytest.mark.once

NUMBERS = st.floats(-1e6, 1e6, width=32)


@hypothesis.given(arrays.arrays("float32", (7, 2, 3), elements=NUMBERS))
def test_scale_equals_float64(array):
    found = measure_scale(array)
    exact = array.astype("float64")
    per_channel = exact.reshape(-1, 3).std(axis=0)
    varying = per_channel[per_channel > 0]
    expected = {
        "rms": np.sqrt((exact**2).mean()),
        "mean": exact.mean(),
        "std": exact.std(),
        "min": exact.min(),
        "max": exact.max(),
        "largest_feature_std": varying.max() if len(varying) else 0,
        "smallest_feature_std": varying.min() if len(varying) else 0,
    }
    assert found.pop("features") == 3
    assert set(found) == set(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-9, atol=1e-9)


def test_scale_leaves_out_what_is_not_finite():
    array = np.array([[3.0, np.nan], [-3.0, np.inf], [3.0, np.nan]])
    found = measure_scale(array)
    assert (found["rms"], found["min"], found["max"]) == (3.0, -3.0, 3.0)
    assert np.isnan(measure_scale(np.full((2, 2), np.nan))["rms"])
    assert measure_scale(np.arange(256, dtype="uint8"))["max"] == 255


@hypothesis.given(st.lists(st.sampled_from([0.0, np.nan, np.inf]), min_size=12))
def test_finite_counts_each_entry_and_row(entries):
    array = np.array(entries[: len(entries) // 3 * 3], "float32").reshape(-1, 3)
    found = measure_finite(array, "x")["x"]
    bad = np.flatnonzero(~np.isfinite(array).all(axis=1))
    assert found == {
        "rows": len(array),
        "bad_rows": len(bad),
        "nan": np.isnan(array).sum(),
        "inf": np.isinf(array).sum(),
        "first_bad_row": bad[0] if len(bad) else None,
    }


def test_finite_looks_at_every_piece(monkeypatch):
    monkeypatch.setattr(module, "_PIECE", 8)
    array = np.zeros((50, 2), "float32")
    array[13, 1], array[49] = np.nan, -np.inf
    found = measure_finite(array, "x")["x"]
    assert (found["bad_rows"], found["nan"], found["inf"]) == (2, 1, 2)
    assert found["first_bad_row"] == 13


def test_only_floats_can_hold_nan():
    part = {"a": np.zeros(3, "int32"), "b": [np.array([1.0, np.nan])]}
    found = measure_finite(part, "x")
    assert list(found) == ["x['b'][0]"]
    assert found["x['b'][0]"]["bad_rows"] == 1
    assert measure_finite(None, "y") == {}
    assert list(named_arrays(np.zeros(2), "x")) == ["x"]


RANDOM = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("array", "kind"),
    [
        (np.eye(3)[[0, 1, 2, 2]], "one-hot"),
        (np.array([0, 1, 1, 0]), "binary"),
        (np.array([[1.0], [0.0]]), "binary"),
        (np.array([[1, 1, 0], [0, 0, 0]]), "multi-label"),
        (np.array([0, 1, 2, 2, 1, 0, 2]), "classes"),
        (np.array([1.0, 2.0, 3.0, 3.0, 2.0, 1.0]), "classes"),
        (RANDOM.random((20, 4)), "unit-interval"),
        (RANDOM.normal(size=20), "numbers"),
        (np.array([-1, 1, -1, 1]), "numbers"),
        (np.arange(0, 90_000, 900), "numbers"),
        (np.full(4, np.nan), "numbers"),
    ],
)
def test_kinds_of_targets(array, kind):
    assert measure_targets(array)["kind"] == kind


def test_figures_of_targets_equal_numpy():
    array = RANDOM.normal(3.0, 2.0, size=(50, 2))
    found = measure_targets(array.astype("float32"))
    exact = array.astype("float32").astype("float64")
    assert found["shape"] == [2]
    assert not found["integer_dtype"]
    for name, value in {
        "mean": exact.mean(),
        "variance": exact.var(axis=0).mean(),
        "mean_square": (exact**2).mean(),
        "min": exact.min(),
        "max": exact.max(),
    }.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-9)


def test_priors_are_shares():
    classes = np.array([0, 0, 0, 1, 2, 2, 2, 2])
    expected = [3 / 8, 1 / 8, 4 / 8]
    np.testing.assert_allclose(measure_targets(classes)["priors"], expected)
    np.testing.assert_allclose(measure_targets(np.eye(3)[classes])["priors"], expected)
    np.testing.assert_allclose(measure_targets(classes > 0)["priors"], [3 / 8, 5 / 8])
