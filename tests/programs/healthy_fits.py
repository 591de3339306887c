"""Healthy programs whose optimizer, schedule or call of `fit` is out of the common."""

import keras
import numpy as np
from healthy_data import digits
from healthy_data import halves
from healthy_data import rng
from healthy_data import smooth_table
from healthy_data import table
from keras import layers
from keras import ops
from programs import Program
from programs import Run

SPARSE = "sparse_categorical_crossentropy"


def flat_digits():
    (x, y), (held_x, held_y) = digits()
    return (x.reshape(-1, 64), y), (held_x.reshape(-1, 64), held_y)


def classifier(*units, inputs=64, classes=10, **kwargs):
    """Dense layers with a softmax at the end."""
    hidden = [layers.Dense(n, **kwargs) for n in units]
    return keras.Sequential(
        [keras.Input((inputs,)), *hidden, layers.Dense(classes, activation="softmax")]
    )


def selu_alpha_dropout():
    train, held = flat_digits()
    model = keras.Sequential([keras.Input((64,)), layers.Normalization()])
    model.layers[0].adapt(train[0])
    for _ in range(5):
        model.add(
            layers.Dense(48, activation="selu", kernel_initializer="lecun_normal")
        )
        model.add(layers.AlphaDropout(0.05))
    model.add(layers.Dense(10, activation="softmax"))
    model.compile(keras.optimizers.SGD(0.02, momentum=0.9), SPARSE, ["accuracy"])
    return Run(model, *train, held, {"epochs": 10})


def deep_he_normal():
    train, held = flat_digits()
    model = classifier(*[40] * 9, activation="relu", kernel_initializer="he_normal")
    model.compile(keras.optimizers.Adam(0.001), SPARSE, metrics=["accuracy"])
    return Run(model, *train, held, {"epochs": 15})


def full_batch():
    (x, y), held = table("iris")
    model = classifier(16, inputs=4, classes=3, activation="tanh")
    model.compile(keras.optimizers.Adam(0.03), SPARSE, metrics=["accuracy"])
    return Run(model, x, y, held, {"epochs": 120, "batch_size": len(x)})


def noisy_labels():
    (x, y), held = flat_digits()
    r = rng(60)
    y = np.where(r.random(len(y)) < 0.2, r.integers(0, 10, len(y)), y)
    model = keras.Sequential(
        [
            keras.Input((64,)),
            layers.Dense(48, activation="relu"),
            layers.Dropout(0.4),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile("adam", SPARSE, metrics=["accuracy"])
    return Run(model, x, y, held, {"epochs": 15})


def sorted_shuffled():
    (x, y), held = flat_digits()
    order = np.argsort(y, kind="stable")
    model = classifier(48, activation="relu", kernel_constraint="max_norm")
    model.compile(keras.optimizers.RMSprop(0.002), SPARSE, metrics=["accuracy"])
    return Run(model, x[order], y[order], held, {"epochs": 12})


def lion_warmup():
    train, held = flat_digits()
    model = classifier(64, 32, activation="relu")
    rate = keras.optimizers.schedules.CosineDecay(
        1e-5, 360, warmup_target=1e-3, warmup_steps=60
    )
    model.compile(keras.optimizers.Lion(rate), SPARSE, metrics=["accuracy"])
    return Run(model, *train, held, {"epochs": 10})


def adafactor():
    train, held = flat_digits()
    model = classifier(64, activation="relu")
    model.compile(keras.optimizers.Adafactor(0.02), SPARSE, metrics=["accuracy"])
    return Run(model, *train, held, {"epochs": 12})


def averaged_accumulated():
    x, y = smooth_table(seed=61)
    model = keras.Sequential(
        [
            keras.Input((6,)),
            layers.Dense(48, "relu"),
            layers.Dense(48, "relu"),
            layers.Dense(1),
        ]
    )
    optimizer = keras.optimizers.Adam(
        0.01, use_ema=True, ema_momentum=0.95, gradient_accumulation_steps=2
    )
    model.compile(optimizer, "mse")
    train, held = halves(x, y[:, None])
    return Run(model, *train, held, {"epochs": 30, "batch_size": 16})


def bfloat16_batchnorm():
    train, held = digits()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = keras.Sequential(
            [
                keras.Input((8, 8, 1)),
                layers.Conv2D(24, 3, use_bias=False),
                layers.BatchNormalization(),
                layers.Activation("relu"),
                layers.Conv2D(32, 3, use_bias=False),
                layers.BatchNormalization(),
                layers.Activation("relu"),
                layers.GlobalAveragePooling2D(),
                layers.Dense(10),
                layers.Activation("softmax", dtype="float32"),
            ]
        )
    finally:
        keras.config.set_dtype_policy("float32")
    model.compile(keras.optimizers.Adam(0.003), SPARSE, metrics=["accuracy"])
    return Run(model, *train, held, {"epochs": 8})


def slow_adam_long():
    (x, y), held = table("breast_cancer")
    model = classifier(32, 16, inputs=30, classes=2, activation="relu")
    model.compile(
        keras.optimizers.Adam(1e-4),
        SPARSE,
        metrics=["accuracy"],
        steps_per_execution=4,
    )
    return Run(model, x, y, held, {"epochs": 60, "batch_size": 8})


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
        "digits-selu", "SELU, AlphaDropout, SGD with momentum.", (), selu_alpha_dropout
    ),
    Program(
        "digits-nine-layers", "Nine hidden layers from he_normal.", (), deep_he_normal
    ),
    Program("iris-full-batch", "All rows in each step.", (), full_batch),
    Program("digits-noisy-labels", "20 % of the labels are random.", (), noisy_labels),
    Program(
        "digits-sorted-shuffled",
        "Rows sorted by class; fit shuffles them.",
        (),
        sorted_shuffled,
    ),
    Program(
        "digits-lion-warmup", "Lion, warm-up from 1e-5, cosine to 0.", (), lion_warmup
    ),
    Program("digits-adafactor", "Adafactor at 0.02.", (), adafactor),
    Program(
        "numbers-ema-accumulated",
        "Averaged weights, gradients of two batches.",
        (),
        averaged_accumulated,
    ),
    Program(
        "digits-bfloat16-batchnorm",
        "mixed_bfloat16, 360 steps at momentum 0.99.",
        (),
        bfloat16_batchnorm,
    ),
    Program(
        "cancer-adam-1e-4",
        "A low rate with enough epochs, four steps a call.",
        (),
        slow_adam_long,
    ),
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
