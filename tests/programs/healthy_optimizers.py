"""Healthy programs whose optimizer, schedule or depth is out of the common."""

import keras
import numpy as np
from healthy_data import digits
from healthy_data import halves
from healthy_data import rng
from healthy_data import smooth_table
from healthy_data import table
from keras import layers
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
    model.compile(keras.optimizers.SGD(0.02, momentum=0.9), SPARSE)
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
    x, y = smooth_table(seed=70)
    model = classifier(32, 32, inputs=6, classes=2, activation="relu")
    model.compile(keras.optimizers.Adafactor(0.02), SPARSE, metrics=["accuracy"])
    train, held = halves(x, (y > 0).astype("int32"))
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
                layers.BatchNormalization(momentum=0.9),
                layers.Activation("relu"),
                layers.Conv2D(32, 3, use_bias=False),
                layers.BatchNormalization(momentum=0.9),
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


OPTIMIZERS = [
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
    Program("halves-adafactor", "Adafactor at 0.02 on a sign.", (), adafactor),
    Program(
        "numbers-ema-accumulated",
        "Averaged weights, gradients of two batches.",
        (),
        averaged_accumulated,
    ),
    Program(
        "digits-bfloat16-batchnorm",
        "mixed_bfloat16, softmax in float32.",
        (),
        bfloat16_batchnorm,
    ),
    Program(
        "cancer-adam-1e-4",
        "A low rate with enough epochs, four steps a call.",
        (),
        slow_adam_long,
    ),
]
