"""Layers of one's own, told apart by what they do to made-up numbers."""

import keras
import pytest
from keras import layers
from keras import ops

from keras_practices.measures.graph import measure_graph
from keras_practices.rules.architecture import activation_missing


class Block(layers.Layer):
    def __init__(self, units=8, activation=None, rate=0.0, **kwargs):
        super().__init__(**kwargs)
        self.dense = layers.Dense(units)
        self.bend = keras.activations.get(activation)
        self.drop = layers.Dropout(rate)

    def build(self, shape):
        self.dense.build(shape)
        super().build(shape)

    def call(self, x, training=None):
        return self.drop(self.bend(self.dense(x)), training=training)


class Table(layers.Layer):
    """A matrix of weights that meets each feature by itself."""

    def __init__(self, joined, **kwargs):
        super().__init__(**kwargs)
        self.joined = joined

    def build(self, shape):
        self.table = self.add_weight(shape=shape[1:], initializer="random_normal")

    def call(self, x):
        return self.joined(x, self.table)


class Broken(Table):
    def call(self, x):
        raise RuntimeError("made for data only")


def kind_of(layer, shape=(6,), dtype="float32"):
    x = keras.Input(shape, dtype=dtype)
    if isinstance(layer, Broken):
        layer.build((None, *shape))
        layer.compute_output_spec = lambda x, **_: keras.KerasTensor(x.shape)
    model = keras.Model(x, layer(x))
    (node,) = measure_graph(model)["graph"]["nodes"]
    return node["kind"]


@pytest.mark.parametrize("shape", [(6,), (None, 6)])
def test_a_product_is_a_kernel(shape):
    assert kind_of(Block(), shape) == "kernel"
    assert kind_of(Block(rate=0.5), shape) == "kernel"


@pytest.mark.parametrize(
    "activation", ["relu", "tanh", "gelu", "silu", "hard_tanh", "leaky_relu", "softmax"]
)
def test_whatever_bends_is_none(activation):
    block = Block(activation=activation)
    block.dense.kernel_initializer = keras.initializers.RandomNormal(stddev=0.01)
    assert kind_of(block) == "other"


def test_offsets_factors_and_what_cannot_be_run_are_none():
    shape = (4, 6)
    assert kind_of(Table(ops.add), shape) == "other"
    assert kind_of(Table(ops.multiply), shape) == "other"
    assert kind_of(Table(lambda x, t: ops.take(t, x, axis=0)), (3,), "int32") == "other"
    assert kind_of(Broken(ops.add), shape) == "other"


def test_half_precision_is_rough_and_still_linear():
    assert kind_of(Block(dtype="mixed_bfloat16")) == "kernel"
    assert kind_of(Block(dtype="mixed_bfloat16", activation="relu")) == "other"


@pytest.mark.parametrize(("activation", "expected"), [(None, [2]), ("relu", [])])
def test_blocks_that_never_bend_are_found(activation, expected):
    model = keras.Sequential(
        [keras.Input((6,)), Block(activation=activation), Block(16, activation)]
    )
    model.add(layers.Dense(1, activation="sigmoid"))
    found = list(activation_missing(measure_graph(model)))
    assert [len(one.evidence["layers"]) for one in found] == expected
    assert all("`call`" in one.advice for one in found)
