"""Four small networks, a wide and a tiny one, and rows for them, to measure costs on.

The rows are random numbers of the right shape: a cost does not depend on what the
pixels show, and nothing has to be downloaded.
"""

import dataclasses
from collections.abc import Callable

import keras
import numpy as np

CLASSES = 10
WORDS = 1000
LENGTH = 64


@dataclasses.dataclass(frozen=True)
class Network:
    """A model and the shape of its rows.

    Args:
        name: What the command line calls it.
        batch: Rows a step.
        shape: Shape of one row.
        build: Function that returns the model, not compiled.
        words: Size of the vocabulary where a row is a text, None for real numbers.
    """

    name: str
    batch: int
    shape: tuple[int, ...]
    build: Callable[[], keras.Model]
    words: int | None = None

    def compiled(self):
        """Returns a new model with Adam, cross-entropy and one metric."""
        model = self.build()
        model.compile(
            optimizer=keras.optimizers.Adam(1e-3),
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=["accuracy"],
        )
        return model

    def rows(self, count):
        """Returns `(x, y)` with `count` rows, the same at every call."""
        random = np.random.default_rng(0)
        y = random.integers(0, CLASSES, size=count, dtype="int32")
        shape = (count, *self.shape)
        if self.words:
            return random.integers(0, self.words, size=shape, dtype="int32"), y
        return random.standard_normal(size=shape, dtype="float32"), y


def mlp():
    return keras.Sequential(
        [
            keras.Input((784,)),
            keras.layers.Dense(512, activation="relu"),
            keras.layers.Dense(512, activation="relu"),
            keras.layers.Dense(CLASSES),
        ],
        name="mlp",
    )


def convnet():
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            keras.layers.Conv2D(32, 3, activation="relu"),
            keras.layers.MaxPooling2D(),
            keras.layers.Conv2D(64, 3, activation="relu"),
            keras.layers.MaxPooling2D(),
            keras.layers.Flatten(),
            keras.layers.Dense(128, activation="relu"),
            keras.layers.Dense(CLASSES),
        ],
        name="convnet",
    )


def _normalized(x, filters, size=3, strides=1):
    convolution = keras.layers.Conv2D(
        filters,
        size,
        strides,
        padding="same",
        use_bias=False,
        kernel_initializer="he_normal",
    )
    return keras.layers.BatchNormalization()(convolution(x))


def resnet20():
    """ResNet-20 for CIFAR (He et al. 2015, section 4.2)."""
    inputs = keras.Input((32, 32, 3))
    x = keras.layers.ReLU()(_normalized(inputs, 16))
    for filters in (16, 32, 64):
        for block in range(3):
            strides = 2 if filters > 16 and block == 0 else 1
            inner = keras.layers.ReLU()(_normalized(x, filters, strides=strides))
            inner = _normalized(inner, filters)
            if strides > 1:
                x = _normalized(x, filters, size=1, strides=strides)
            x = keras.layers.ReLU()(keras.layers.Add()([x, inner]))
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, keras.layers.Dense(CLASSES)(x), name="resnet20")


class Positions(keras.layers.Layer):
    """Adds a learned vector to each place of a text."""

    def build(self, shape):
        """Makes one vector a place."""
        self.table = self.add_weight(shape=shape[1:], initializer="random_normal")

    def call(self, x):
        """Adds the vectors."""
        return x + self.table


def transformer():
    """Two pre-norm blocks, four heads, width 64."""
    inputs = keras.Input((LENGTH,), dtype="int32")
    x = Positions()(keras.layers.Embedding(WORDS, 64)(inputs))
    for _ in range(2):
        inner = keras.layers.LayerNormalization()(x)
        inner = keras.layers.MultiHeadAttention(4, 16, dropout=0.1)(inner, inner)
        x = keras.layers.Add()([x, keras.layers.Dropout(0.1)(inner)])
        inner = keras.layers.LayerNormalization()(x)
        inner = keras.layers.Dense(256, activation="gelu")(inner)
        inner = keras.layers.Dense(64)(inner)
        x = keras.layers.Add()([x, keras.layers.Dropout(0.1)(inner)])
    x = keras.layers.GlobalAveragePooling1D()(keras.layers.LayerNormalization()(x))
    return keras.Model(inputs, keras.layers.Dense(CLASSES)(x), name="transformer")


def wide():
    """Twelve million weights, to measure memory on: 47 MB."""
    hidden = [keras.layers.Dense(1024, activation="relu") for _ in range(12)]
    return keras.Sequential(
        [keras.Input((784,)), *hidden, keras.layers.Dense(CLASSES)], name="wide"
    )


def tiny():
    """As little work a step as can be, for trainings of very many steps."""
    return keras.Sequential(
        [
            keras.Input((8,)),
            keras.layers.Dense(8, activation="relu"),
            keras.layers.Dense(CLASSES),
        ],
        name="tiny",
    )


NETWORKS = {
    network.name: network
    for network in (
        Network("mlp", 128, (784,), mlp),
        Network("convnet", 64, (28, 28, 1), convnet),
        Network("resnet20", 64, (32, 32, 3), resnet20),
        Network("transformer", 32, (LENGTH,), transformer, words=WORDS),
        Network("wide", 128, (784,), wide),
        Network("tiny", 8, (8,), tiny),
    )
}
