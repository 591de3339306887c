"""Heads of models with and without a graph, and what is read of them."""

import keras
import numpy as np
import pytest
from keras import layers
from keras import ops

from keras_practices.measures.before import figures_of_outputs
from keras_practices.measures.heads import run_heads
from keras_practices.measures.sample import take_sample

X = np.random.default_rng(0).normal(size=(12, 5)).astype("float32")
Y = np.arange(12) % 3


class Own(keras.Model):
    """Layers are made in another order than they are called in."""

    def __init__(self, end):
        super().__init__()
        self.head = layers.Dense(3, activation="softmax", name="head")
        self.flat = layers.Flatten() if end == "layer" else None
        self.hidden = layers.Dense(4, activation="relu", name="hidden")
        self.end = end

    def call(self, x):
        hidden = self.hidden(x)
        if self.end == "layer":
            return self.flat(self.head(hidden))
        if self.end == "softmax":
            return ops.softmax(ops.add(self.head(hidden), 1.0))
        if self.end == "scores":
            return ops.add(self.head(hidden), 1.0)
        return {"kind": self.head(hidden), "size": hidden}


def built(end):
    model = Own(end)
    model(X[:1])
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model


@pytest.mark.parametrize(
    ("end", "expected"),
    [
        ("layer", ("output", [3], "head", "softmax")),
        ("softmax", ("output", [3], None, "softmax")),
        ("scores", ("output", [3], None, None)),
    ],
)
def test_the_head_of_a_model_without_a_graph_is_the_layer_called_last(end, expected):
    sample = take_sample(X, Y)
    (output,) = figures_of_outputs(built(end), sample)["outputs"]
    found = tuple(output[key] for key in ("name", "shape", "layer", "activation"))
    assert found == expected
    assert output["loss"] == "sparse_categorical_crossentropy"


def test_several_outputs_have_the_names_of_their_keys():
    heads = run_heads(built("both"), take_sample(X, Y))
    assert [(name, layer.name) for name, _, layer in heads] == [
        ("kind", "head"),
        ("size", "hidden"),
    ]
