"""Small healthy models with everything that has kinks or loops, and their data."""

import keras
import numpy as np
from keras import layers
from keras import ops

RNG = np.random.default_rng(3)
ROWS = 8
X = RNG.normal(size=(ROWS, 6)).astype("float32")
Y = RNG.normal(size=(ROWS, 3)).astype("float32")
LABELS = RNG.integers(0, 3, ROWS)
CLASSES = np.eye(3, dtype="float32")[LABELS]
SIGNS = np.array([1, 1, 1, -1, 1, -1, 1, -1], "float32")
IMAGES = RNG.normal(size=(ROWS, 6, 6, 2)).astype("float32")
# Most pixels are exactly zero, as on black ground.
IMAGES *= RNG.random(IMAGES.shape) < 0.3
SERIES = RNG.normal(size=(ROWS, 4, 3)).astype("float32")
# Zero is a padding word.
WORDS = RNG.integers(0, 5, size=(ROWS, 6)).astype("int32")
SPARSE = "sparse_categorical_crossentropy"


def compiled(model, loss="mse", **options):
    model.compile(keras.optimizers.SGD(0.01), loss, **options)
    return model


def stacked(shape, *parts, dtype=None):
    return keras.Sequential([keras.Input(shape, dtype=dtype), *parts])


def relu():
    parts = [
        layers.Dense(8, activation="relu"),
        layers.Dropout(0.5),
        layers.LeakyReLU(),
        layers.Dense(3, activation="softmax"),
    ]
    return compiled(stacked((6,), *parts), "categorical_crossentropy"), X, CLASSES


def pooled():
    parts = [
        layers.Conv2D(4, 3, activation="relu", kernel_regularizer="l2"),
        layers.MaxPooling2D(2),
        layers.Flatten(),
        layers.Dense(3, activation="softmax", kernel_regularizer="l1"),
    ]
    return compiled(stacked((6, 6, 2), *parts), SPARSE), IMAGES, LABELS


def batch_normalized():
    parts = [
        layers.Conv2D(4, 3, use_bias=False),
        layers.BatchNormalization(),
        layers.ReLU(),
        layers.GlobalAveragePooling2D(),
        layers.Dense(3),
    ]
    scores = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    return compiled(stacked((6, 6, 2), *parts), scores), IMAGES, LABELS


def layer_normalized():
    parts = [layers.Dense(6, activation="gelu"), layers.LayerNormalization()]
    return compiled(stacked((6,), *parts, layers.Dense(3)), "mae"), X, Y


def recurrent():
    parts = [layers.GRU(3), layers.Dense(3)]
    return compiled(stacked((4, 3), *parts)), SERIES, Y


def attentive():
    inputs = keras.Input((4, 3))
    seen = layers.MultiHeadAttention(2, 3, dropout=0.3)(inputs, inputs)
    hidden = layers.LayerNormalization()(inputs + seen)
    answers = layers.Dense(3)(layers.GlobalAveragePooling1D()(hidden))
    return compiled(keras.Model(inputs, answers)), SERIES, Y


def embedded():
    parts = [
        layers.Embedding(7, 4, mask_zero=True),
        layers.LSTM(3),
        layers.Dense(3, activation="softmax"),
    ]
    return compiled(stacked((6,), *parts, dtype="int32"), SPARSE), WORDS, LABELS


def hinged():
    parts = [layers.Dense(5, activation="tanh"), layers.Dense(1)]
    return compiled(stacked((6,), *parts), "hinge"), X, SIGNS


def several():
    inputs = keras.Input((6,), name="numbers")
    hidden = layers.Dense(5, activation="relu")(inputs)
    outputs = {
        "kind": layers.Dense(3, activation="softmax", name="kind")(hidden),
        "size": layers.Dense(3, name="size")(hidden),
    }
    losses = {"kind": SPARSE, "size": keras.losses.Huber()}
    model = compiled(keras.Model(inputs, outputs), losses, metrics={"kind": "accuracy"})
    return model, {"numbers": X}, {"kind": LABELS, "size": Y}


class Residual(keras.Model):
    """Zero-initialised branches and a model in a model, in mixed precision."""

    def __init__(self):
        super().__init__(dtype="mixed_float16")
        self.inner = stacked((6,), layers.Dense(6, activation="relu"))
        self.branch = layers.Dense(6, kernel_initializer="zeros")
        self.head = layers.Dense(3, kernel_initializer="zeros", dtype="float32")

    def call(self, x):
        return self.head(x + self.branch(self.inner(x)))


def residual():
    keras.config.set_dtype_policy("mixed_float16")
    model = Residual()
    keras.config.set_dtype_policy("float32")
    model(X)
    return compiled(model), X, Y


def nested():
    """A frozen model in a model, called on what another layer gives."""
    inner = stacked(
        (5,), layers.Dense(4, activation="elu"), layers.BatchNormalization()
    )
    inner.trainable = False
    inputs = keras.Input((6,))
    outputs = layers.Dense(3)(inner(layers.Dense(5, activation="tanh")(inputs)))
    return compiled(keras.Model(inputs, outputs)), X, Y


HEALTHY = {
    function.__name__: function
    for function in (
        relu,
        pooled,
        batch_normalized,
        layer_normalized,
        recurrent,
        attentive,
        embedded,
        hinged,
        several,
        residual,
        nested,
    )
}


class Wrong(layers.Layer):
    """A square whose gradient is written by hand, off by a share."""

    def __init__(self, share, **kwargs):
        super().__init__(**kwargs)
        self.share = share

    def call(self, x):
        @ops.custom_gradient
        def square(x):
            def grad(*args, upstream=None):
                if upstream is None:
                    (upstream,) = args
                return upstream * 2 * x * (1 + self.share)

            return ops.square(x), grad

        return square(x)


def planted(share):
    """A model whose gradient is off in its first layer, behind `Wrong`."""
    parts = [
        layers.Dense(5, activation="relu", name="early"),
        Wrong(share),
        layers.Dense(3, name="late"),
    ]
    return compiled(stacked((6,), *parts)), X, Y
