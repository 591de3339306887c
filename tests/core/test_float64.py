import contextlib

import keras
import numpy as np
import pytest
from keras import layers
from keras import ops

from keras_practices._core import float64

RNG = np.random.default_rng(0)
X = RNG.normal(size=(5, 4))
Y = RNG.normal(size=(5, 2))


def network(policy=None):
    """A model in a model; nothing between the input and the loss may round."""
    inner = keras.Sequential(
        [keras.Input((6,)), layers.Dense(3, activation="tanh", dtype=policy)]
    )
    inputs = keras.Input((4,))
    hidden = layers.Dense(6, activation="tanh", dtype=policy)(inputs)
    outputs = layers.Dense(2, dtype="float32")(inner(hidden))
    model = keras.Model(inputs, outputs)
    model.compile("sgd", "mse")
    # Makes the loss.
    model.compute_loss(x=None, y=ops.ones((1, 2)), y_pred=ops.ones((1, 2)))
    return model


def weights(model):
    return [ops.convert_to_numpy(v.value).astype("float64") for v in model.variables]


def reference(model):
    x = X.astype("float32").astype("float64")  # what a model makes of its input
    w1, b1, w2, b2, w3, b3 = weights(model)
    hidden = np.tanh(np.tanh(x @ w1 + b1) @ w2 + b2)
    outputs = hidden @ w3 + b3
    return outputs, np.mean((outputs - Y) ** 2)


def run(model):
    values = [ops.convert_to_tensor(w) for w in weights(model)]
    pairs = list(zip(model.variables, values, strict=True))
    with keras.StatelessScope(state_mapping=pairs):
        outputs = model(ops.convert_to_tensor(X.astype("float32").astype("float64")))
        loss = model.compute_loss(x=None, y=ops.convert_to_tensor(Y), y_pred=outputs)
        assert keras.backend.standardize_dtype(loss.dtype) == "float64"
        return ops.convert_to_numpy(outputs), float(ops.convert_to_numpy(loss))


def state(model):
    """Everything that the context may touch."""
    inside = float64._layers(model)
    return {
        "floatx": keras.config.floatx(),
        "result": keras.backend.result_type("float64", "float64"),
        "policies": [id(layer.dtype_policy) for layer in inside],
        "inputs": [t.dtype for x in inside for t in getattr(x, "_inputs", None) or ()],
        "input layers": [getattr(layer, "_dtype", None) for layer in inside],
        "variables": [(v.dtype, v.numpy().tobytes()) for v in model.variables],
        "losses": [(one.dtype, type(one)) for one in float64._losses(model)],
        "ones": str(ops.ones(2).dtype),
    }


@pytest.mark.parametrize("policy", [None, "mixed_float16"])
def test_a_model_computes_in_float64(policy):
    model = network(policy)
    assert float64.why_not(model) is None
    with float64.in_float64(model):
        outputs, loss = run(model)
        assert keras.backend.result_type("float64", "float32") == "float64"
    expected, expected_loss = reference(model)
    np.testing.assert_allclose(outputs, expected, rtol=1e-13, atol=1e-14)
    assert loss == pytest.approx(expected_loss, rel=1e-13)


@pytest.mark.parametrize("error", [None, ValueError, KeyboardInterrupt])
def test_all_is_put_back(error):
    model = network("mixed_float16")
    before = state(model)
    with contextlib.suppress(ValueError, KeyboardInterrupt), float64.in_float64(model):
        assert state(model)["floatx"] == "float64"
        assert state(model)["inputs"] == ["float64", "float64"]
        assert {dtype for dtype, _ in state(model)["losses"]} == {"float64"}
        if error is not None:
            raise error
    assert state(model) == before
    outputs = model.predict(X.astype("float32"), verbose=0)
    assert outputs.dtype == np.float32


def test_an_interrupt_on_the_way_in_puts_all_back(monkeypatch):
    model = network()
    before = state(model)

    def interrupted():
        raise KeyboardInterrupt

    monkeypatch.setattr(float64.backend, "double_precision", interrupted)
    with pytest.raises(KeyboardInterrupt), float64.in_float64(model):
        pass
    assert state(model) == before


def test_whole_numbers_keep_their_dtype():
    model = keras.Sequential([keras.Input((3,), dtype="int32"), layers.Embedding(5, 2)])
    with float64.in_float64(model):
        assert model.inputs[0].dtype == "int32"
        assert model.layers[0].compute_dtype == "float64"


def test_losses_that_a_model_holds_itself():
    class Holder(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = layers.Dense(1)
            self.own = keras.losses.Huber()

    model = Holder()
    with float64.in_float64(model):
        assert model.own.dtype == "float64"
    assert model.own.dtype == "float32"


def test_other_versions_of_keras_are_left_alone(monkeypatch):
    model = network()
    monkeypatch.setattr(keras, "__version__", "3.99.0")
    assert "3.99.0" in float64.why_not(model)


def test_another_way_of_rounding_is_left_alone(monkeypatch):
    model = network()
    monkeypatch.setattr(float64, "_rounding", dict)
    assert "a way we do not know" in float64.why_not(model)


def test_a_quantized_model_is_left_alone():
    model = keras.Sequential([keras.Input((4,)), layers.Dense(2, name="small")])
    model.layers[0].quantize("int8")
    assert float64.why_not(model) == "layer 'small' is quantized"
