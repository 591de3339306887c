import keras
import numpy as np
import pytest
from keras import layers
from keras import ops

from keras_practices._core.model_layers import all_layers
from keras_practices.measures.capture import activation_name
from keras_practices.measures.capture import captured_calls
from keras_practices.measures.capture import open_layers
from keras_practices.measures.capture import without_noise


class Block(layers.Layer):
    def __init__(self):
        super().__init__()
        self.first = layers.Dense(4, activation="relu")
        self.drop = layers.Dropout(0.5)

    def call(self, x, training=None):
        return self.drop(self.first(x), training=training)


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.block = Block()
        self.head = layers.Dense(2)

    def call(self, x, training=None):
        return self.head(self.block(x, training=training))


class OwnNoise(layers.Layer):
    def __init__(self):
        super().__init__()
        self.chance = keras.random.SeedGenerator(3)

    def call(self, x, training=False):
        drawn = keras.random.normal(ops.shape(x), seed=self.chance)
        return x + drawn if training else x


def untouched(model):
    return all("call" not in layer.__dict__ for layer in all_layers(model))


@pytest.mark.parametrize(
    ("shape", "noisy"),
    [
        ((6,), lambda: layers.Dropout(0.5)),
        ((6,), lambda: layers.GaussianNoise(1.0)),
        ((6,), OwnNoise),
        ((2, 6), lambda: layers.LSTM(2, dropout=0.5)),
        ((8, 8, 1), lambda: layers.RandomFlip()),
        ((8, 8, 1), lambda: layers.RandomBrightness(0.5, value_range=(0, 1))),
    ],
)
def test_noise_is_off_in_training_mode(shape, noisy):
    model = keras.Sequential([keras.Input(shape), noisy()])
    x = ops.convert_to_tensor(np.random.default_rng(0).random((16, *shape), "float32"))

    def run(training):
        return ops.convert_to_numpy(model(x, training=training))

    assert np.abs(run(True) - run(False)).max() > 1e-3, "no noise to switch off"
    with without_noise(model):
        np.testing.assert_allclose(run(True), run(False), atol=1e-6)
    assert np.abs(run(True) - run(False)).max() > 1e-3, "noise is not back"
    assert untouched(model)


def test_batch_norm_keeps_its_training_mode():
    model = keras.Sequential([keras.Input((2,)), layers.BatchNormalization()])
    x = np.array([[10.0, 0.0], [14.0, 2.0]], "float32")
    with without_noise(model), keras.StatelessScope():
        found = ops.convert_to_numpy(model(ops.convert_to_tensor(x), training=True))
    np.testing.assert_allclose(found, [[-1, -1], [1, 1]], atol=2e-3)


def test_calls_are_written_down_in_order():
    model = Subclassed()
    x = ops.ones((3, 5))
    model(x)
    with captured_calls(open_layers(model)) as calls:
        outputs = model(x)
    block, head = model.block, model.head
    assert [call.layer for call in calls] == [block.first, block.drop, head]
    assert calls[-1].outputs is outputs
    assert tuple(calls[0].inputs.shape) == (3, 5)
    assert untouched(model)


def test_layers_are_restored_after_an_exception():
    model = Subclassed()
    model(ops.ones((3, 5)))
    with pytest.raises(KeyError):  # noqa: PT012, the context is what is tested
        with without_noise(model), captured_calls(open_layers(model)) as calls:
            model(ops.ones((3, 5)), training=True)
            raise KeyError
    assert len(calls) == 3
    assert untouched(model)
    model(ops.ones((3, 5)))
    assert len(calls) == 3


def test_a_call_shadowed_by_the_user_is_put_back():
    model = keras.Sequential([keras.Input((3,)), layers.Dense(2)])
    layer = model.layers[0]
    layer.__dict__["call"] = own = lambda inputs: 2 * inputs
    with captured_calls([layer]) as calls:
        layer(ops.ones((1, 3)))
    assert layer.__dict__["call"] is own
    assert len(calls) == 1


def test_nested_and_shared_layers():
    shared = layers.Dense(4, activation="tanh")
    inner = keras.Sequential([keras.Input((4,)), shared, layers.ReLU()])
    inputs = keras.Input((4,))
    model = keras.Model(inputs, layers.Dense(1)(inner(shared(inputs))))
    assert open_layers(model).count(shared) == 1
    with captured_calls(open_layers(model)) as calls:
        model(ops.ones((2, 4)))
    assert sum(call.layer is shared for call in calls) == 2
    assert sum(isinstance(call.layer, layers.ReLU) for call in calls) == 1


def test_built_in_compounds_are_leaves():
    compounds = [
        layers.LSTM(2),
        layers.MultiHeadAttention(2, 4),
        layers.TimeDistributed(layers.Dense(2)),
    ]
    assert open_layers(keras.Sequential(compounds)) == compounds


@pytest.mark.parametrize(
    ("layer", "name"),
    [
        (layers.Dense(1), "linear"),
        (layers.Dense(1, activation="softmax"), "softmax"),
        (layers.Activation("tanh"), "tanh"),
        (layers.ReLU(), "relu"),
        (layers.ReLU(negative_slope=0.1), "leaky_relu"),
        (layers.PReLU(), "leaky_relu"),
        (layers.ELU(), "elu"),
        (layers.Softmax(), "softmax"),
        (layers.LSTM(2), "tanh"),
        (layers.Flatten(), None),
    ],
)
def test_names_of_activations(layer, name):
    assert activation_name(layer) == name
