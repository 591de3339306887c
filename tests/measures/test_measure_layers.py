import keras
import numpy as np
import pytest
from keras import layers
from keras import ops

from keras_practices.measures.layers import first_kernel
from keras_practices.measures.layers import input_tensors
from keras_practices.measures.layers import measure_first_inputs
from keras_practices.measures.layers import measure_layers
from keras_practices.measures.layers import run_captured
from keras_practices.measures.probe import BINS
from keras_practices.measures.probe import histogram

X = np.array([[2.0, -1.0, 0.5], [-1.0, -2.0, 9.0], [4.0, 0.0, -9.0]], "float32")


def run(model, x=X, training=True):
    tensors = input_tensors(x)
    return run_captured(model, tensors, training=training)[1], tensors


def activation(name):
    dense = layers.Dense(
        3, activation=name, kernel_initializer="identity", name="units"
    )
    model = keras.Sequential([keras.Input((3,)), dense])
    return measure_layers(run(model)[0])["units"]


def test_relu_with_identity_weights_is_exact():
    outputs = np.maximum(X, 0).astype("float64")
    found = activation("relu")
    assert found["units"] == 3
    assert found["zeros"] == pytest.approx((outputs == 0).mean())
    assert found["mean"] == pytest.approx(outputs.mean())
    assert found["std"] == pytest.approx(outputs.std())
    # Only the second unit is zero on all three rows.
    assert found["inactive"] == pytest.approx(1 / 3)
    assert "saturated" not in found


def test_saturated_is_within_a_hundredth_of_the_range():
    outputs = np.tanh(X.astype("float64"))
    expected = (np.abs(outputs) >= 1 - 0.02).mean()
    assert expected == 3 / 9
    assert activation("tanh")["saturated"] == pytest.approx(expected)
    outputs = 1 / (1 + np.exp(-X.astype("float64")))
    expected = ((outputs <= 0.01) | (outputs >= 0.99)).mean()
    assert expected == 2 / 9
    assert activation("sigmoid")["saturated"] == pytest.approx(expected)


def test_channels_of_images_and_shared_layers():
    relu = layers.ReLU(name="shared")
    inputs = keras.Input((2, 2, 3))
    model = keras.Model(inputs, relu(layers.Rescaling(-1.0)(relu(inputs))))
    x = -np.ones((4, 2, 2, 3), "float32")
    x[0, 1, 1, 2] = 5.0
    found = measure_layers(run(model, x)[0])["shared"]
    # A channel that was active in one of the calls is not dead.
    assert found["inactive"] == pytest.approx(2 / 3)
    assert found["zeros"] == pytest.approx(1 - 1 / 96)


def test_histograms_count_finite_entries():
    edges, counts = histogram(np.array([0.0, np.inf, 1.0, 9.0, np.nan]))
    assert sum(counts) == 3
    assert (edges[0], edges[-1], len(edges)) == (0.0, 9.0, BINS + 1)
    assert histogram(np.array([np.nan])) is None


SCALERS = {
    "none": (lambda: [], 100.0),
    "rescaling": (lambda: [layers.Rescaling(0.01)], 1.0),
    "normalization": (
        lambda: [layers.Normalization(mean=0.0, variance=10_000.0)],
        1.0,
    ),
    "batch_norm": (lambda: [layers.BatchNormalization()], 1.0),
    "shape_only": (lambda: [layers.Reshape((2, 1)), layers.Flatten()], 100.0),
}


@pytest.mark.parametrize("scaler", SCALERS)
def test_what_reaches_the_first_kernel(scaler):
    make, rms = SCALERS[scaler]
    head = [layers.Dense(4, name="first"), layers.ReLU(), layers.Dense(1)]
    model = keras.Sequential([keras.Input((2,)), *make(), *head])
    x = np.array([[100.0, -100.0], [-100.0, 100.0]], "float32")
    before = [np.array(weight) for weight in model.get_weights()]
    found = measure_first_inputs(*run(model, x))
    assert list(found) == ["first"]
    assert found["first"]["rms"] == pytest.approx(rms, rel=1e-3)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_two_branches_are_both_first():
    a, b = keras.Input((2,), name="a"), keras.Input((2,), name="b")
    left = layers.Dense(2, name="left")(a)
    right = layers.Dense(2, name="right")(b)
    model = keras.Model([a, b], layers.Dense(1)(layers.Add()([left, right])))
    x = [np.full((3, 2), 3.0, "float32"), np.full((3, 2), 5.0, "float32")]
    found = measure_first_inputs(*run(model, x))
    assert {name: one["rms"] for name, one in found.items()} == {"left": 3, "right": 5}


@pytest.mark.parametrize(
    "layer",
    [
        lambda: layers.SimpleRNN(2, name="first"),
        lambda: layers.MultiHeadAttention(1, 2, name="first"),
        lambda: layers.TimeDistributed(layers.Dense(2), name="first"),
    ],
)
def test_kernels_inside_a_layer_count(layer):
    first, inputs = layer(), keras.Input((4, 2))
    attends = isinstance(first, layers.MultiHeadAttention)
    x = first(inputs, inputs) if attends else first(inputs)
    model = keras.Model(inputs, layers.Dense(1)(x))
    found = measure_first_inputs(*run(model, np.full((3, 4, 2), 90.0, "float32")))
    assert list(found) == ["first"]
    assert found["first"]["rms"] == pytest.approx(90.0)


def test_both_ways_of_a_bidirectional_layer_are_first():
    both = layers.Bidirectional(layers.SimpleRNN(2))
    model = keras.Sequential([keras.Input((4, 2)), both, layers.Dense(1)])
    found = measure_first_inputs(*run(model, np.full((3, 4, 2), 90.0, "float32")))
    assert [one["rms"] for one in found.values()] == [pytest.approx(90.0)] * 2


def test_the_first_kernel_is_found_at_any_depth():
    inner = keras.Sequential(
        [keras.Input((2,)), layers.BatchNormalization(), layers.Dense(3, name="deep")]
    )
    model = keras.Sequential([keras.Input((2,)), inner, layers.Dense(1)])
    name, kernel = first_kernel(model)
    assert name == "deep"
    np.testing.assert_array_equal(kernel, inner.layers[-1].get_weights()[0])
    assert first_kernel(keras.Sequential([keras.Input((2,)), layers.ReLU()])) is None


def test_inputs_keep_whole_numbers_whole():
    found = input_tensors({"ids": np.array([1, 2]), "x": np.array([0.5])})
    assert "int" in keras.backend.standardize_dtype(found["ids"].dtype)
    assert keras.backend.standardize_dtype(found["x"].dtype) == "float32"
    assert ops.convert_to_numpy(found["x"]) == 0.5
