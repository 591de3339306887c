import keras
import numpy as np
import pytest
from keras import layers

from keras_practices.measures.updates import kernel_values
from keras_practices.measures.updates import measure_updates


def test_figures_equal_float64():
    random = np.random.default_rng(0)
    old = random.normal(size=(7, 5)).astype("float32")
    new = old + random.normal(scale=1e-3, size=(7, 5)).astype("float32")
    found = measure_updates({"k": old}, {"k": new})["k"]
    old, new = old.astype("float64"), new.astype("float64")
    norm, update = np.sqrt((old**2).sum()), np.sqrt(((new - old) ** 2).sum())
    assert found["weight_norm"] == pytest.approx(norm, rel=1e-12)
    assert found["update_norm"] == pytest.approx(update, rel=1e-12)
    assert found["update_ratio"] == pytest.approx(update / norm, rel=1e-12)
    assert found["finite"] == 1.0


def test_zeros_and_nan_and_what_is_gone():
    zero, broken = np.zeros((2, 2)), np.array([[np.nan, 1.0], [1.0, 1.0]])
    found = measure_updates({"z": zero, "gone": zero}, {"z": broken})
    assert list(found) == ["z"]
    assert found["z"]["update_ratio"] is None
    assert found["z"]["finite"] == 0.75


def test_kernels_only_and_as_copies():
    model = keras.Sequential(
        [keras.Input((3,)), layers.Dense(2), layers.BatchNormalization()]
    )
    kernel = model.layers[0].kernel
    before = kernel_values(model)
    assert list(before) == [kernel.path]
    copy = before[kernel.path].copy()
    kernel.assign(keras.ops.zeros((3, 2)))
    np.testing.assert_array_equal(before[kernel.path], copy)
    (found,) = measure_updates(before, kernel_values(model)).values()
    assert found["update_ratio"] == pytest.approx(1.0)
