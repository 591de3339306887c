"""Models whose steps are too much to write out in NumPy, with data to train them."""

import keras
import numpy as np
from keras import ops

RNG = np.random.default_rng(1)
ROWS = 10
X = RNG.normal(size=(ROWS, 6)).astype("float32")
Y = RNG.normal(size=(ROWS, 3)).astype("float32")
CLASSES = np.eye(3, dtype="float32")[RNG.integers(0, 3, ROWS)]
IMAGES = RNG.normal(size=(ROWS, 6, 6, 2)).astype("float32")
# Five words in sequences of six: all of them stand twice in a batch.
WORDS = RNG.integers(0, 5, size=(ROWS, 6)).astype("int32")
layers = keras.layers


def compiled(model, loss="mse", optimizer=None, **options):
    model.compile(optimizer or keras.optimizers.SGD(0.1), loss, **options)
    return model


def plain(**options):
    model = keras.Sequential(
        [
            keras.Input((6,)),
            layers.Dense(5, activation="relu", name="one"),
            layers.Dense(3, name="two"),
        ]
    )
    return compiled(model, **options)


PLAIN = {"one": "relu", "two": "linear"}


def nested():
    """A model in a model, a layer called twice, a ReLU for two widths, a frozen one."""
    inner_in = keras.Input((6,))
    twice = layers.Dense(6, activation="tanh", name="twice")
    inner = keras.Model(inner_in, twice(twice(inner_in)), name="inner")
    relu = layers.ReLU(name="relu")
    frozen = layers.Dense(4, name="frozen", trainable=False)
    inputs = keras.Input((6,))
    hidden = relu(frozen(relu(inner(inputs))))
    return compiled(keras.Model(inputs, layers.Dense(3, name="last")(hidden)))


NESTED = {"twice": "tanh", "relu": "relu", "frozen": "linear", "last": "linear"}


class Scaled(layers.Layer):
    """A layer of the user's own, with a sub-layer, noise and a weight."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dense = layers.Dense(5, activation="relu", name="inside")
        self.dropout = layers.Dropout(0.4)

    def build(self, shape):
        self.dense.build(shape)
        self.scale = self.add_weight(shape=(5,), initializer="ones", name="scale")
        self.built = True

    def call(self, x, training=None):
        return self.dropout(self.dense(x), training=training) * self.scale


class Odd(layers.Layer):
    """Gives anything but a tensor of numbers."""

    def __init__(self, kind):
        super().__init__(name=kind)
        self.kind = kind
        self.activation = keras.activations.relu

    def call(self, x):
        if self.kind == "dict":
            return {"z": x, "b": ops.relu(x)}
        if self.kind == "tuple":
            return ops.relu(x), x
        if self.kind == "integer":
            return ops.cast(x > 0, "int32")
        return None


class Own(keras.Model):
    """Layers and a weight of its own, in a model that is written as a class."""

    def __init__(self):
        super().__init__()
        self.scaled = Scaled(name="scaled")
        self.last = layers.Dense(3, activation="sigmoid", name="last")
        self.odd = [Odd(kind) for kind in ("dict", "tuple", "integer", "nothing")]

    def build(self, shape):
        self.scaled.build(shape)
        self.last.build((None, 5))
        for layer in self.odd:
            layer.build((None, 3))
        self.shift = self.add_weight(shape=(3,), initializer="ones", name="shift")
        self.built = True

    def call(self, x, training=None):
        x = self.last(self.scaled(x, training=training)) + self.shift
        by_name, by_place, integer, nothing = (layer(x - 1.3) for layer in self.odd)
        return by_name["b"] + by_place[0] + ops.cast(integer, "float32")


def own():
    model = Own()
    model.build((None, 6))
    return compiled(model)


OWN = {"inside": "relu", "last": "sigmoid", "dict": "relu", "tuple": "relu"}


class Silent(keras.Model):
    """A model whose `call` does not know of training; it has two layers of one name."""

    def __init__(self):
        super().__init__()
        self.one = layers.Dense(5, activation="relu", name="same")
        self.two = layers.Dense(3, activation="tanh", name="same")

    def build(self, shape):
        self.one.build(shape)
        self.two.build((None, 5))
        self.built = True

    def call(self, x):
        return self.two(self.one(x))


def recurrent():
    words = keras.Input((6,), dtype="int32")
    vectors = layers.Embedding(7, 4, mask_zero=True, name="words")(words)
    both = layers.Bidirectional(
        layers.LSTM(3, name="lstm"),
        backward_layer=layers.GRU(3, name="gru", go_backwards=True),
    )
    last = layers.Dense(3, name="last")(both(vectors))
    model = keras.Model(words, last)
    return compiled(model, optimizer=keras.optimizers.Adam(0.01, clipnorm=0.05))


RECURRENT = {"forward_lstm": "tanh", "gru": "tanh", "last": "linear"}


def convolution():
    model = keras.Sequential(
        [
            keras.Input((6, 6, 2)),
            # A bias before BatchNorm has a gradient of rounding errors only.
            layers.Conv2D(3, 3, name="conv", use_bias=False),
            layers.BatchNormalization(name="norm"),
            layers.ReLU(name="relu"),
            layers.SpatialDropout2D(0.3),
            layers.Flatten(),
            layers.Dropout(0.3),
            layers.Dense(4, activation="relu", name="hidden"),
            layers.Dense(3, activation="softmax", name="last"),
        ]
    )
    return compiled(model, "categorical_crossentropy")


CONVOLUTION = {
    "conv": "linear",
    "relu": "relu",
    "hidden": "relu",
    "last": "softmax",
}


def two_heads():
    """Two inputs, two outputs with weights, and an optimizer for each group."""
    numbers = keras.Input((6,), name="n")
    words = keras.Input((6,), dtype="int32", name="w")
    vectors = layers.GlobalAveragePooling1D()(layers.Embedding(5, 4, name="e")(words))
    hidden = layers.Dense(4, activation="relu", name="hidden")(numbers)
    hidden = layers.Concatenate()([hidden, vectors])
    heads = {
        "a": layers.Dense(3, name="a")(hidden),
        "b": layers.Dense(1, activation="sigmoid", name="b")(hidden),
    }
    model = keras.Model({"n": numbers, "w": words}, heads)
    groups = keras.optimizers.OptimizerMap(
        keras.optimizers.SGD(0.1), {"hidden/.*": keras.optimizers.Adam(0.01)}
    )
    model.compile(
        keras.optimizers.MultiOptimizer(groups),
        {"a": "mse", "b": "binary_crossentropy"},
        loss_weights={"a": 1.0, "b": 0.5},
    )
    return model


TWO_HEADS = {"hidden": "relu", "a": "linear", "b": "sigmoid"}


class OwnStep(keras.Model):
    """A train step as Keras's guides write it for each backend."""

    def loss_and_state(self, trainable, other, x, y):
        y_pred, other = self.stateless_call(trainable, other, x, training=True)
        return self.compute_loss(x, y, y_pred), other

    def train_step(self, *args):
        name = keras.backend.backend()
        return getattr(self, f"{name}_step")(*args)

    def tensorflow_step(self, data):
        import tensorflow as tf

        x, y = data
        with tf.GradientTape() as tape:
            loss = self.compute_loss(y=y, y_pred=self(x, training=True))
        variables = self.trainable_variables
        self.optimizer.apply(tape.gradient(loss, variables), variables)
        return {"loss": loss}

    def jax_step(self, state, data):
        import jax

        trainable, other, slots, metrics = state
        function = jax.value_and_grad(self.loss_and_state, has_aux=True)
        (loss, other), gradients = function(trainable, other, *data)
        apply = self.optimizer.stateless_apply
        trainable, slots = apply(slots, gradients, trainable)
        return {"loss": loss}, (trainable, other, slots, metrics)

    def torch_step(self, data):
        import torch

        x, y = data
        self.zero_grad()
        loss = self.compute_loss(y=y, y_pred=self(x, training=True))
        loss.backward()
        weights = list(self.trainable_weights)
        with torch.no_grad():
            self.optimizer.apply([v.value.grad for v in weights], weights)
        return {"loss": loss}


def own_step():
    inputs = keras.Input((6,))
    hidden = layers.Dense(5, activation="relu", name="one")(inputs)
    hidden = layers.Dropout(0.3)(hidden)
    return compiled(OwnStep(inputs, layers.Dense(3, name="two")(hidden)))


# Name → (maker, inputs, targets, activations).
MODELS = {
    "nested": (nested, X, Y, NESTED),
    "own layers": (own, X, Y, OWN),
    "recurrent": (recurrent, WORDS, Y, RECURRENT),
    "convolution": (convolution, IMAGES, CLASSES, CONVOLUTION),
    "two heads": (
        two_heads,
        {"n": X, "w": WORDS % 5},
        {"a": Y, "b": (Y[:, :1] > 0).astype("float32")},
        TWO_HEADS,
    ),
    "own step": (own_step, X, Y, PLAIN),
    "eager": (lambda: plain(run_eagerly=True), X, Y, PLAIN),
    "compiled": (lambda: plain(jit_compile=True), X, Y, PLAIN),
}
