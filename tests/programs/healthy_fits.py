"""Healthy programs whose call of `fit` or step is out of the common."""

import keras
import numpy as np
from healthy_data import digits
from healthy_data import halves
from healthy_data import rng
from healthy_data import smooth_table
from healthy_data import table
from healthy_optimizers import classifier
from healthy_optimizers import flat_digits
from keras import layers
from keras import ops
from programs import Program
from programs import Run

SPARSE = "sparse_categorical_crossentropy"


class Jittered(keras.utils.PyDataset):
    """Digits, each batch with a little noise and its own brightness."""

    def __init__(self, x, y):
        super().__init__()
        self.x, self.y, self.r = x, y, rng(62)

    def __len__(self):
        return len(self.x) // 32

    def __getitem__(self, index):
        rows = slice(32 * index, 32 * index + 32)
        light = self.r.uniform(0.8, 1.2, (32, 1, 1, 1))
        noise = self.r.normal(0, 0.05, (32, 8, 8, 1))
        return (self.x[rows] * light + noise).astype("float32"), self.y[rows]


def augmented_dataset():
    train, held = digits()
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(32, 3, activation="relu"),
            layers.Flatten(),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(keras.optimizers.Adam(0.003), SPARSE, metrics=["accuracy"])
    return Run(model, Jittered(*train), None, held, {"epochs": 8})


def endless_generator():
    w = rng(63).normal(size=(8, 1)) / 2

    def batches(r):
        while True:
            x = r.normal(size=(64, 8)).astype("float32")
            yield x, np.tanh(x @ w) + 0.5 * x[:, :1] * x[:, 1:2]

    model = keras.Sequential(
        [
            keras.Input((8,)),
            layers.Dense(48, "relu"),
            layers.Dense(48, "relu"),
            layers.Dense(1),
        ]
    )
    model.compile(keras.optimizers.Adam(0.003), "mse")
    held = next(batches(rng(64)))
    fit = {"epochs": 12, "steps_per_epoch": 60}
    return Run(model, batches(rng(65)), None, held, fit)


def weighted_classes():
    (x, y), held = table("breast_cancer")
    keep = np.flatnonzero((y == 1) | (rng(66).random(len(y)) < 0.3))
    model = classifier(16, inputs=30, classes=2, activation="relu")
    model.compile("adam", SPARSE, weighted_metrics=["accuracy"])
    fit = {"epochs": 30, "class_weight": {0: 2.5, 1: 0.6}, "batch_size": 16}
    return Run(model, x[keep], y[keep], held, fit)


def weighted_rows():
    x, y = smooth_table(seed=67)
    trust = rng(67).uniform(0.2, 1, len(y)).astype("float32")
    y = y + rng(68).normal(size=len(y)).astype("float32") * (1 - trust) / 2
    model = keras.Sequential(
        [
            keras.Input((6,)),
            layers.Dense(64, "swish"),
            layers.Dense(64, "swish"),
            layers.Dense(1),
        ]
    )
    model.compile(keras.optimizers.Adam(0.005), "mse")
    train, held = halves(x, y, trust)
    fit = {"epochs": 25, "sample_weight": train[2]}
    return Run(model, *train[:2], held, fit)


def goes_on_from_converged():
    train, held = flat_digits()
    model = classifier(48, activation="relu")
    model.compile(keras.optimizers.Adam(0.003), SPARSE)
    model.fit(*train, epochs=10, verbose=0)
    model.compile(keras.optimizers.Adam(1e-5), SPARSE, metrics=["accuracy"])
    return Run(model, *train, held, {"epochs": 5})


def stopped_early():
    train, held = flat_digits()
    model = classifier(64, 64, activation="relu")
    model.compile(keras.optimizers.Adam(0.003), SPARSE, metrics=["accuracy"])
    stop = keras.callbacks.EarlyStopping(patience=3, restore_best_weights=True)
    drop = keras.callbacks.ReduceLROnPlateau(patience=1)
    return Run(model, *train, held, {"epochs": 40, "callbacks": [stop, drop]})


class Critic(keras.Model):
    """Predicts numbers by a step of its own: half squares, half the batch's slope."""

    def __init__(self):
        super().__init__()
        self.hidden = layers.Dense(48, activation="relu")
        self.last = layers.Dense(1)

    def call(self, x):
        return self.last(self.hidden(x))

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, **kwargs):
        return ops.mean(ops.square(y - y_pred)) + 1e-3 * ops.mean(ops.square(y_pred))


def own_compute_loss():
    x, y = smooth_table(seed=69)
    model = Critic()
    model.compile(keras.optimizers.Adam(0.01), jit_compile=True)
    train, held = halves(x, y[:, None])
    return Run(model, *train, held, {"epochs": 25})


FITS = [
    Program(
        "digits-augmented-dataset",
        "A PyDataset with mild noise.",
        (),
        augmented_dataset,
    ),
    Program(
        "numbers-endless-generator", "Fresh rows in each step.", (), endless_generator
    ),
    Program(
        "cancer-class-weight",
        "Weights for classes of unequal size.",
        (),
        weighted_classes,
    ),
    Program("numbers-sample-weight", "Rows weighted by trust.", (), weighted_rows),
    Program(
        "digits-from-converged",
        "The last epochs at 1e-5 gain next to nothing.",
        (),
        goes_on_from_converged,
    ),
    Program(
        "digits-stopped-early",
        "EarlyStopping takes the best weights back.",
        (),
        stopped_early,
    ),
    Program(
        "numbers-own-compute-loss",
        "compute_loss is overridden, compiled by XLA.",
        (),
        own_compute_loss,
    ),
]
