import types

import keras
import numpy as np
from keras import layers

from keras_practices.measures.graph import measure_graph
from keras_practices.measures.graph_nodes import describe
from keras_practices.measures.graph_nodes import fan_in


def nodes_of(model, sample=None):
    return measure_graph(model, sample)["graph"]["nodes"]


def rows(shape):
    """What a graph needs of a sample: its first rows."""
    array = np.ones(shape, dtype="float32")
    return types.SimpleNamespace(head=lambda count: (array[:count], None, None))


def read(node, *keys):
    return tuple(node[key] for key in keys)


def test_a_sequential_model_is_a_chain():
    model = keras.Sequential(
        [
            keras.Input((6, 6, 1)),
            layers.Conv2D(4, 3, activation="relu", name="conv"),
            layers.MaxPooling2D(name="pool"),
            layers.Flatten(name="flat"),
            layers.Dropout(0.3, name="drop"),
            layers.Dense(5, name="mid"),
            layers.BatchNormalization(name="bn"),
            layers.Activation("tanh", name="act"),
            layers.Dense(2, activation="softmax", name="head"),
        ]
    )
    found = nodes_of(model)
    assert [node["name"] for node in found] == [layer.name for layer in model.layers]
    kinds = [node["kind"] for node in found]
    assert kinds == ["kernel", "pool-max", *["neutral"] * 2, "kernel", "neutral"] + [
        "activation",
        "kernel",
    ]
    assert [node["inputs"] for node in found] == [[n] for n in range(-1, 7)]
    assert [node["outputs"] for node in found] == [[n] for n in range(1, 8)] + [[]]
    assert [node["depth"] for node in found] == [1, 1, 1, 1, 2, 2, 2, 3]
    assert [node["hidden"] for node in found] == [True] * 7 + [False]
    assert [node["gives"] for node in found] == [[]] * 7 + [[0]]
    conv, drop, mid, bn, act, head = (found[n] for n in (0, 3, 4, 5, 6, 7))
    assert read(conv, "activation", "units", "width_in") == ("relu", 4, 1)
    assert drop["rate"] == 0.3
    assert read(mid, "activation", "units", "width_in") == ("linear", 5, 16)
    assert bn["norm"] == "batch"
    assert act["activation"] == "tanh"
    assert read(head, "activation", "units") == ("softmax", 2)
    graph = measure_graph(model)["graph"]
    assert (graph["source"], graph["depth"]) == ("graph", 3)


def test_branches_functions_and_nested_models():
    inner_in = keras.Input((8,))
    inner = keras.Model(inner_in, layers.Dense(8, name="deep")(inner_in), name="inner")
    start = keras.Input((3,))
    first = layers.Dense(8, activation="relu", name="first")(start)
    scaled = keras.ops.relu(inner(first)) * 2.0
    joined = layers.Add(name="add")([scaled, first])
    left = layers.Dense(1, name="left")(joined)
    right = layers.Dense(4, activation="softmax", name="right")(joined)
    model = keras.Model(start, [right, left])
    found = nodes_of(model)
    names = [node["name"] for node in found]
    assert "inner" not in names
    at = {name: place for place, name in enumerate(names)}
    assert found[at["first"]]["outputs"] == sorted([at["deep"], at["add"]])
    deep = found[at["deep"]]
    assert deep["inputs"] == [at["first"]]
    (relu,) = deep["outputs"]
    assert read(found[relu], "kind", "activation") == ("activation", "relu")
    (times,) = found[relu]["outputs"]
    assert found[times]["kind"] == "neutral"
    add = found[at["add"]]
    assert sorted(add["inputs"]) == sorted([times, at["first"]])
    assert add["kind"] == "merge"
    assert found[at["right"]]["gives"] == [0]
    assert found[at["left"]]["gives"] == [1]
    assert measure_graph(model)["graph"]["depth"] == 3
    assert all(feed < place for place, n in enumerate(found) for feed in n["inputs"])


def test_a_shared_model_stands_for_each_of_its_calls():
    tower = keras.Sequential([keras.Input((4,)), layers.Dense(3, name="shared")])
    one, two = keras.Input((4,)), keras.Input((4,))
    both = layers.Concatenate()([tower(one), tower(two)])
    found = nodes_of(keras.Model([one, two], layers.Dense(1, name="head")(both)))
    assert [node["name"] for node in found].count("shared") == 2
    assert sorted(found[-2]["inputs"]) == [0, 1]


def test_a_very_deep_model_is_read():
    start = keras.Input((2,))
    again, h = layers.Dense(2), start
    for _ in range(400):
        h = again(h)
    assert measure_graph(keras.Model(start, h))["graph"]["depth"] == 400


class Chain(keras.Model):
    def __init__(self, residual=False, two=False):
        super().__init__()
        self.first = layers.Dense(4, activation="relu", name="first")
        self.drop = layers.Dropout(0.2, name="drop")
        self.middle = layers.Dense(4, name="middle")
        self.head = layers.Dense(2, name="head")
        self.residual = residual
        self.two = two

    def call(self, x):
        h = self.drop(self.first(x))
        h = self.middle(h) + h if self.residual else self.middle(h)
        return [self.head(h), h] if self.two else self.head(h)


def built(model):
    model(np.ones((2, 3), dtype="float32"))
    return model


def test_a_subclassed_chain_is_read_from_a_pass():
    model = built(Chain())
    before = [np.array(w) for w in model.get_weights()]
    graph = measure_graph(model, rows((5, 3)))["graph"]
    found = graph["nodes"]
    assert [n["name"] for n in found] == ["first", "drop", "middle", "head"]
    assert [n["inputs"] for n in found] == [[-1], [0], [1], [2]]
    assert found[-1]["gives"] == [0]
    assert (graph["source"], graph["depth"]) == ("calls", 3)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    assert all("call" not in vars(layer) for layer in (model, *model.layers))


def test_what_is_not_seen_is_left_unread():
    assert measure_graph(built(Chain(residual=True)), rows((5, 3))) == {"graph": None}
    assert measure_graph(built(Chain(two=True)), rows((5, 3))) == {"graph": None}
    assert measure_graph(built(Chain())) == {"graph": None}


def test_kinds_of_layers():
    step = layers.TimeDistributed(layers.Dense(3, activation="relu"), name="each")
    step.build((None, 5, 4))
    found = describe(step, 1)
    assert read(found, "name", "kind", "units") == ("each", "kernel", 3)
    both = layers.Bidirectional(layers.LSTM(6))
    assert read(describe(both, 1), "kind", "units") == ("recurrent", 12)
    assert describe(layers.GRU(7), 1)["units"] == 7
    assert describe(layers.Embedding(9, 5), 1)["kind"] == "embedding"
    assert describe(layers.MultiHeadAttention(2, 2), 2)["kind"] == "merge"
    assert describe(layers.LayerNormalization(), 1)["norm"] == "row"
    assert describe(layers.Activation("linear"), 1)["kind"] == "neutral"
    assert describe(layers.LeakyReLU(), 1)["activation"] == "leaky_relu"
    assert describe(layers.DepthwiseConv2D(3), 1)["part"] == "depthwise"
    assert describe(layers.SeparableConv2D(4, 3), 1)["part"] == "separable"
    assert describe(layers.RandomFlip(), 1)["kind"] == "neutral"
    assert describe(layers.SpatialDropout2D(0.4), 1)["rate"] == 0.4
    assert describe(layers.Lambda(lambda x: x), 1)["kind"] == "other"


def test_products_behind_one_output():
    dense, conv = layers.Dense(3), layers.Conv2D(8, (3, 5))
    back = layers.Conv2DTranspose(8, 4, strides=2)
    dense.build((None, 7))
    conv.build((None, 9, 9, 2))
    back.build((None, 9, 9, 6))
    assert fan_in(dense) == 7
    assert fan_in(conv) == 3 * 5 * 2
    assert fan_in(back) == 4 * 4 // 4 * 6
