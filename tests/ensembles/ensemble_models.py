"""Small members whose predictions are known."""

import keras
import numpy as np

ROWS, FEATURES, CLASSES = 40, 4, 3
X = np.random.default_rng(0).normal(size=(ROWS, FEATURES)).astype("float32")
Y = np.random.default_rng(1).integers(CLASSES, size=ROWS)


def softmax(z):
    z = np.asarray(z, "float64")
    powers = np.exp(z - z.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def sigmoid(z):
    return 1 / (1 + np.exp(-np.asarray(z, "float64")))


def dense(units=CLASSES, activation="softmax", loss=None, hidden=5, metrics=None):
    """A functional model; `loss` is a Keras loss, or None for one not compiled."""
    inputs = keras.Input((FEATURES,))
    x = keras.layers.Dense(hidden, activation="relu")(inputs)
    x = keras.layers.BatchNormalization()(x)
    model = keras.Model(inputs, keras.layers.Dense(units, activation=activation)(x))
    # Far from uniform, so that the ways to combine differ.
    kernel = model.layers[-1].kernel
    kernel.assign(3 * keras.ops.convert_to_tensor(kernel))
    if loss is not None:
        model.compile("sgd", loss, metrics=metrics)
    return model


def categorical(from_logits=False):
    return keras.losses.SparseCategoricalCrossentropy(from_logits=from_logits)


def table_member(logits):
    """A member that gives row `i` of `logits` for the input `i`."""
    rows, classes = logits.shape
    model = keras.Sequential(
        [
            keras.Input((), dtype="int32"),
            keras.layers.Embedding(rows, classes),
        ]
    )
    model.set_weights([np.asarray(logits, "float32")])
    return model
