"""Mistakes inside a layer, a loss or an average of weights, and their repair."""

import keras
import numpy as np
from faulty_images import digits
from faulty_tables import cut
from faulty_tables import houses
from keras import ops
from programs import Program
from programs import Run
from sklearn.preprocessing import StandardScaler

layers = keras.layers
optimizers = keras.optimizers


class Stage(layers.Layer):
    """A dense layer, its normalisation, and an activation that `call` may forget."""

    def __init__(self, units, bends, **kwargs):
        super().__init__(**kwargs)
        self.inner = layers.Dense(units)
        self.scale = layers.BatchNormalization()
        self.bends = bends

    def build(self, shape):
        self.inner.build(shape)
        self.scale.build(self.inner.compute_output_shape(shape))
        super().build(shape)

    def call(self, x, training=None):
        z = self.scale(self.inner(x), training=training)
        return ops.silu(z) if self.bends else z

    def compute_output_shape(self, shape):
        return self.inner.compute_output_shape(shape)


def rings(bends):
    rng = np.random.default_rng(4)
    radius = rng.uniform(0, 3, 1200)
    angle = rng.uniform(0, 2 * np.pi, 1200)
    x = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    x, y, validation = cut(x.astype("float32"), (radius.astype(int) % 2))
    model = keras.Sequential([keras.Input((2,)), Stage(48, bends), Stage(48, bends)])
    model.add(layers.Dense(1, "sigmoid"))
    model.compile(optimizers.Adam(0.01), "binary_crossentropy", metrics=["accuracy"])
    return Run(model, x, y, validation, {"epochs": 15})


def digits_code(strength):
    x, _ = digits()
    x = (x.reshape(len(x), -1) / x.max()).astype("float32")
    x, _, validation = cut(x, x)
    model = keras.Sequential([keras.Input((64,))])
    penalty = keras.regularizers.L1(strength)
    model.add(layers.Dense(40, "relu", activity_regularizer=penalty))
    model.add(layers.Dense(64, "sigmoid"))
    model.compile(optimizers.Adam(0.005), "mse")
    return Run(model, x, x, (validation[0], validation[0]), {"epochs": 20})


def mask_of_bright_parts(loss):
    rng = np.random.default_rng(7)
    smooth = rng.normal(size=(500, 6, 6, 1)).repeat(4, axis=1).repeat(4, axis=2)
    masks = (smooth > 0.6).astype("float32")
    x = (smooth + 0.4 * rng.normal(size=smooth.shape)).astype("float32")
    x, masks, validation = cut(x, masks)
    conv = {"padding": "same", "activation": "relu"}
    model = keras.Sequential([keras.Input((24, 24, 1)), layers.Conv2D(8, 3, **conv)])
    model.add(layers.Conv2D(8, 3, **conv))
    model.add(layers.Conv2D(1, 1, activation="sigmoid"))
    model.compile(optimizers.Adam(0.005), loss)
    return Run(model, x, masks, validation, {"epochs": 6})


def overlap(true, predicted):
    """Intersection over union, by row."""
    both = ops.sum(true * predicted, axis=(1, 2, 3))
    either = ops.sum(true + predicted, axis=(1, 2, 3)) - both
    return (both + 1) / (either + 1)


def houses_average(momentum):
    x, y = houses(1200)
    y = (y - y.mean()) / y.std()
    x, y, validation = cut(StandardScaler().fit_transform(x).astype("float32"), y)
    model = keras.Sequential([keras.Input((5,)), layers.Dense(32, "relu")])
    model.add(layers.Dense(1))
    optimizer = optimizers.Adam(0.01, use_ema=True, ema_momentum=momentum)
    model.compile(optimizer, "mse")
    return Run(model, x, y, validation, {"epochs": 10})


INSIDE = [
    Program(
        "rings-blocks-linear",
        "Two blocks of my own, coin flips.",
        ("activation-missing",),
        lambda: rings(False),
    ),
    Program(
        "digits-code-silent",
        "The sparse code is all zeros.",
        ("regularization-dominates",),
        lambda: digits_code(0.3),
    ),
    Program(
        "masks-overlap-lowered",
        "The overlap goes to zero.",
        ("loss-uphill",),
        lambda: mask_of_bright_parts(overlap),
    ),
    Program(
        "houses-average-slow",
        "Curves are fine, predictions are not.",
        ("optimizer-settings",),
        lambda: houses_average(0.9999),
    ),
]
SOUND = [
    Program("rings-blocks", "Blocks of my own.", (), lambda: rings(True)),
    Program("digits-code", "A sparse code.", (), lambda: digits_code(1e-6)),
    Program(
        "masks-overlap",
        "One less the overlap.",
        (),
        lambda: mask_of_bright_parts(lambda y, p: 1 - overlap(y, p)),
    ),
    Program("houses-average", "An average.", (), lambda: houses_average(0.97)),
]
