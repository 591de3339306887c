import keras
import numpy as np
import pytest
from keras import layers

from keras_practices.errors import UsageError
from keras_practices.initializers.lsuv import LSUV

# Outputs are computed in float32 from kernels that are scaled once.
TOLERANCE = 2e-3


def value_of(variable):
    return np.asarray(keras.ops.convert_to_numpy(variable), "float64")


def deviations(model, x, names):
    """Standard deviation of the outputs of layers that have no activation."""
    outputs = [model.get_layer(name).output for name in names]
    values = keras.Model(model.input, outputs)(x)
    return [keras.ops.convert_to_numpy(one).astype("float64").std() for one in values]


def test_convolutions_with_a_residual_connection(tmp_path):
    inputs = keras.Input((6, 6, 3))
    x = layers.Conv2D(8, 3, padding="same", name="a")(inputs)
    y = layers.ReLU()(x)
    y = layers.DepthwiseConv2D(3, padding="same", name="b")(y)
    y = layers.Dropout(0.5)(layers.ReLU()(y))
    y = layers.SeparableConv2D(8, 3, padding="same", name="c")(y)
    x = layers.MaxPooling2D()(layers.ReLU()(layers.Add()([x, y])))
    x = layers.Conv2DTranspose(4, 2, strides=2, name="d")(x)
    x = layers.Flatten()(layers.ReLU()(x))
    model = keras.Model(inputs, layers.Dense(5, name="e")(x))
    data = np.random.default_rng(0).uniform(0, 255, (32, 6, 6, 3)).astype("float32")
    found = LSUV(seed=3)(model, data)
    ends = ["a/kernel", "b/kernel", "c/pointwise_kernel", "d/kernel", "e/kernel"]
    assert list(found) == ends
    assert found["a/kernel"] > 10  # the pixels were not standardized
    after = deviations(model, data, "abcde")
    np.testing.assert_allclose(after, 1.0, rtol=TOLERANCE)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(
        loaded.predict(data, verbose=0), model.predict(data, verbose=0), rtol=1e-5
    )


def test_dense_layers_with_activation_and_bias_against_numpy():
    model = keras.Sequential(
        [
            keras.Input((10,)),
            layers.Dense(20, activation="tanh", bias_initializer="ones"),
            layers.Dense(15, activation=layers.PReLU()),
            layers.Dense(3, activation="softmax"),
        ]
    )
    x = np.random.default_rng(1).normal(2.0, 5.0, (64, 10)).astype("float32")
    found = LSUV(seed=1)(model, x)
    h = x.astype("float64")
    for layer, activate in zip(
        model.layers, (np.tanh, lambda z: np.maximum(z, 0), None), strict=True
    ):
        linear = h @ value_of(layer.kernel)
        np.testing.assert_allclose(linear.std(), 1.0, rtol=1e-4)
        gram = value_of(layer.kernel)
        gram = gram @ gram.T if gram.shape[0] < gram.shape[1] else gram.T @ gram
        expected = np.eye(len(gram)) / found[layer.kernel.path] ** 2
        np.testing.assert_allclose(gram, expected, atol=1e-4 * expected.max())
        h = activate(linear + value_of(layer.bias)) if activate else None
    assert (value_of(model.layers[0].bias) == 1).all()
    assert model.layers[0].activation is keras.activations.tanh
    assert isinstance(model.layers[1].activation, layers.PReLU)


def test_new_data_of_the_same_kind_has_unit_variance():
    # A kernel with orthonormal columns makes independent normals of independent
    # normals, so each sample variance of n x 10 of them has the standard error
    # sqrt(2 / (10 n)); one was divided by, one is measured.
    rng = np.random.default_rng(2)
    model = keras.Sequential([keras.Input((40,)), layers.Dense(10)])
    LSUV(seed=2)(model, rng.normal(0, 3, (500, 40)).astype("float32"))
    outputs = model.predict(rng.normal(0, 3, (1000, 40)).astype("float32"), verbose=0)
    bound = 5 * np.sqrt(2 / 5000 + 2 / 10000)
    assert abs(outputs.astype("float64").var() - 1) < bound


def test_kernels_that_are_there_are_only_scaled():
    model = keras.Sequential([keras.Input((6,)), layers.Dense(4), layers.Dense(2)])
    before = [value_of(layer.kernel) for layer in model.layers]
    x = np.random.default_rng(3).normal(size=(50, 6)).astype("float32")
    found = LSUV(orthonormal=False)(model, x)
    for layer, old in zip(model.layers, before, strict=True):
        expected = old / found[layer.kernel.path]
        np.testing.assert_allclose(value_of(layer.kernel), expected, rtol=1e-5)


@pytest.mark.once
def test_attention_in_a_subclassed_model_with_a_shared_layer():
    class Own(keras.Model):
        def __init__(self):
            super().__init__()
            self.attention = layers.MultiHeadAttention(2, 4)
            self.shared = layers.Dense(6, activation="relu")

        def call(self, x):
            x = self.shared(self.shared(x))
            return self.attention(x, x)

    x = np.random.default_rng(4).normal(size=(16, 5, 6)).astype("float32")
    model = Own()
    model(x)
    found = LSUV(seed=4)(model, x)
    assert len(found) == 5
    outputs = keras.ops.convert_to_numpy(model(x)).astype("float64")
    np.testing.assert_allclose(outputs.std(), 1.0, rtol=TOLERANCE)
    first = x.astype("float64") @ value_of(model.shared.kernel)
    np.testing.assert_allclose(first.std(), 1.0, rtol=1e-4)


def test_mixed_precision():
    model = keras.Sequential(
        [
            keras.Input((20,)),
            layers.Dense(30, activation="relu", dtype="mixed_float16"),
            layers.Dense(10, dtype="mixed_float16"),
        ]
    )
    x = np.random.default_rng(5).normal(0, 500, (100, 20)).astype("float32")
    LSUV(seed=5)(model, x)
    outputs = model.predict(x, verbose=0)
    assert outputs.dtype == np.float16
    assert abs(outputs.astype("float64").std() - 1) < 0.01  # float16 has 11 bits


def test_seeds():
    def drawn(seed):
        model = keras.Sequential([keras.Input((6,)), layers.Dense(4), layers.Dense(4)])
        LSUV(seed=seed)(model, np.eye(6, dtype="float32"))
        return [value_of(layer.kernel) for layer in model.layers]

    np.testing.assert_array_equal(drawn(7)[0], drawn(7)[0])
    assert (drawn(7)[0] != drawn(8)[0]).any()
    assert (drawn(None)[0] != drawn(None)[0]).any()


def test_outputs_that_do_not_vary_are_named_and_nothing_is_changed():
    model = keras.Sequential([keras.Input((3,)), layers.Dense(4), layers.Dense(2)])
    before = [value_of(weight) for weight in model.weights]
    activation = model.layers[0].activation
    with pytest.raises(ValueError, match="argument `x`.*dense.*vary"):
        LSUV()(model, np.zeros((5, 3), "float32"))
    for old, weight in zip(before, model.weights, strict=True):
        np.testing.assert_array_equal(value_of(weight), old)
    assert model.layers[0].activation is activation


def test_bad_arguments_are_named():
    with pytest.raises(TypeError, match="argument `orthonormal`"):
        LSUV(orthonormal=1)
    with pytest.raises(ValueError, match="argument `seed`"):
        LSUV(seed=-1)
    with pytest.raises(TypeError, match="argument `model`"):
        LSUV()(layers.Dense(2), np.ones((2, 2)))
    with pytest.raises(UsageError, match="not built"):
        LSUV()(keras.Sequential([layers.Dense(2)]), np.ones((2, 2)))
    model = keras.Sequential([keras.Input((4,)), layers.Dense(4)])
    model.layers[0].enable_lora(2)
    with pytest.raises(UsageError, match="LoRA"):
        LSUV()(model, np.ones((2, 4)))
