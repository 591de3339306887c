"""Faulty programs on toy problems: made-up classes, XOR, AND, parity, moons."""

import keras
import numpy as np
from faulty_tables import cut
from faulty_tables import mlp
from programs import Program
from programs import Run
from sklearn import datasets

layers = keras.layers
optimizers = keras.optimizers


def made_rare():
    x, y = datasets.make_classification(
        3000, 20, n_informative=6, weights=[0.992], flip_y=0, random_state=2
    )
    x, y, validation = cut(x.astype("float32"), y)
    model = mlp(20, (32,), 1, "relu", last="sigmoid")
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    return Run(model, x, y, validation, {"epochs": 10})


def made_leak():
    x, y = datasets.make_classification(
        900, 20, n_informative=10, flip_y=0.2, random_state=5
    )
    x = x.astype("float32")
    twice = np.random.default_rng(0).integers(0, 900, 1800)
    x, y = x[twice], y[twice]
    model = mlp(20, (128, 128), 1, "relu", last="sigmoid")
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    return Run(model, x, y, None, {"epochs": 30, "validation_split": 0.25})


def xor_linear():
    x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], "float32")
    y = np.array([0, 1, 1, 0], "float32")
    model = keras.Sequential(
        [keras.Input((2,)), layers.Dense(8), layers.Dense(1, "sigmoid")]
    )
    model.compile(optimizers.Adam(0.05), "binary_crossentropy", metrics=["accuracy"])
    return Run(model, x, y, None, {"epochs": 400, "batch_size": 4})


def and_slow():
    x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], "float32")
    y = np.array([0, 0, 0, 1], "float32")
    model = mlp(2, (), 1, last="sigmoid")
    model.compile(optimizers.SGD(0.001), "mse", metrics=["accuracy"])
    return Run(model, x, y, None, {"epochs": 300, "batch_size": 1})


def parity_zeros():
    x = np.array([[(i >> k) & 1 for k in range(4)] for i in range(16)], "float32")
    y = x.sum(axis=1) % 2
    model = mlp(4, (16, 16), 1, "tanh", "sigmoid", kernel_initializer="zeros")
    model.compile(optimizers.Adam(0.02), "binary_crossentropy", metrics=["accuracy"])
    return Run(model, x, y, None, {"epochs": 200, "batch_size": 16})


def moons_momentum():
    x, y = datasets.make_moons(600, noise=0.15, random_state=0)
    x, y, validation = cut(x.astype("float32"), y)
    model = mlp(2, (32, 32), 1, "relu", "sigmoid")
    model.compile(optimizers.SGD(2.0, momentum=0.95), "binary_crossentropy")
    return Run(model, x, y, validation, {"epochs": 20, "batch_size": 16})


def moons_adagrad():
    x, y = datasets.make_moons(600, noise=0.15, random_state=0)
    x, y, validation = cut(x.astype("float32"), y)
    model = mlp(2, (16, 16), 1, "relu", "sigmoid")
    model.compile("adagrad", "binary_crossentropy", metrics=["accuracy"])
    return Run(model, x, y, validation, {"epochs": 20})


SLOW = ("optimizer-settings", "learning-rate-too-low")
FAST = ("learning-rate-too-high", "learning-rate-out-of-range")

TOYS = [
    Program("made-rare", "99 % and no hit.", ("class-imbalance",), made_rare),
    Program(
        "made-leak",
        "Validation is perfect, the test is not.",
        ("validation-overlaps-training",),
        made_leak,
    ),
    Program("xor-linear", "XOR at 50 %.", ("activation-missing",), xor_linear),
    Program("and-slow", "AND is not learned.", ("learning-rate-too-low",), and_slow),
    Program(
        "parity-zeros",
        "The loss is 0.693 for ever.",
        ("initialization-symmetric",),
        parity_zeros,
    ),
    Program("moons-momentum", "Stuck at chance.", FAST, moons_momentum),
    Program("moons-adagrad", "Adagrad does not learn.", SLOW, moons_adagrad),
]
