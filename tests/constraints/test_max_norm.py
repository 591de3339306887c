import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras import ops

from keras_practices.constraints import MaxNorm


def reference(weights, max_value, axis):
    weights = weights.astype("float64")
    norms = np.sqrt((weights**2).sum(axis=axis, keepdims=True))
    return weights * np.minimum(1.0, max_value / np.maximum(norms, 1e-300))


def project(weights, *arguments, **keywords):
    return ops.convert_to_numpy(MaxNorm(*arguments, **keywords)(weights))


def random_weights(shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


@pytest.mark.parametrize(
    ("shape", "given_axis", "axis"),
    [
        ((6, 4), "auto", (0,)),
        ((3, 2, 4), "auto", (0, 1)),
        ((3, 3, 2, 4), "auto", (0, 1, 2)),
        ((2, 2, 2, 3, 4), "auto", (0, 1, 2, 3)),
        ((7,), "auto", (0,)),
        ((6, 4), 1, (1,)),
        ((3, 3, 4, 2), (0, 1, 3), (0, 1, 3)),
        ((3, 3, 4, 2), [0, 1, -1], (0, 1, 3)),
    ],
    ids=str,
)
def test_equals_the_projection(shape, given_axis, axis):
    weights = random_weights(shape)
    np.testing.assert_allclose(
        project(weights, 0.7, axis=given_axis),
        reference(weights, 0.7, axis),
        rtol=1e-5,
    )


@given(
    max_value=st.floats(1e-3, 1e3), scale=st.floats(1e-6, 1e6), seed=st.integers(0, 99)
)
def test_projection_properties(max_value, scale, seed):
    weights = random_weights((4, 3), seed) * np.float32(scale)
    once = project(weights, max_value)
    twice = project(once, max_value)
    norms = np.linalg.norm(once.astype("float64"), axis=0)
    assert (norms <= max_value * (1 + 1e-6)).all()
    np.testing.assert_allclose(twice, once, rtol=1e-6)
    within = np.linalg.norm(weights.astype("float64"), axis=0) < max_value * (1 - 1e-6)
    np.testing.assert_array_equal(once[:, within], weights[:, within])


def test_zero_weights_stay_zero_and_tiny_ones_do_not_shrink():
    weights = np.zeros((3, 2), "float32")
    weights[:, 1] = 1e-8
    np.testing.assert_array_equal(project(weights, 1.0), weights)


def test_half_precision_does_not_overflow():
    weights = ops.cast(np.full((4, 2), 300.0), "float16")
    projected = ops.convert_to_numpy(MaxNorm(3.0)(weights))
    assert projected.dtype == np.float16
    np.testing.assert_allclose(projected, 1.5, rtol=1e-3)


@pytest.mark.parametrize("axis", ["auto", 0, [0, 1]])
def test_survives_saving(tmp_path, axis):
    layer = keras.layers.Conv2D(2, 1, kernel_constraint=MaxNorm(0.5, axis=axis))
    model = keras.Sequential([keras.Input((2, 2, 1)), layer])
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras").layers[0]
    assert type(loaded.kernel_constraint) is MaxNorm
    assert loaded.kernel_constraint.get_config() == {"max_value": 0.5, "axis": axis}
    assert loaded.kernel.constraint is loaded.kernel_constraint


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("max_value", 0, ValueError),
        ("max_value", -1.0, ValueError),
        ("max_value", float("inf"), ValueError),
        ("max_value", float("nan"), ValueError),
        ("max_value", True, TypeError),
        ("axis", "rows", ValueError),
        ("axis", 0.5, TypeError),
        ("axis", [0, "a"], TypeError),
        ("axis", None, TypeError),
    ],
)
def test_bad_argument_names_it(name, value, error):
    with pytest.raises(error, match=f"MaxNorm: argument `{name}`"):
        MaxNorm(**{name: value})
