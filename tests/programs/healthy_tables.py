"""Healthy programs on tables."""

import keras
import numpy as np
from healthy_data import halves
from healthy_data import rng
from healthy_data import smooth_table
from healthy_data import table
from keras import layers
from keras import ops
from programs import Program
from programs import Run


def dense(inputs, *units, last=1, activation="relu", head=None, **kwargs):
    """A plain network of dense layers."""
    hidden = [layers.Dense(n, activation=activation, **kwargs) for n in units]
    return keras.Sequential(
        [keras.Input((inputs,)), *hidden, layers.Dense(last, activation=head)]
    )


def diabetes_own_units():
    train, held = table("diabetes")
    model = dense(10, 32, 16)
    model.compile(keras.optimizers.Adam(0.01), "mse", metrics=["mae"])
    return Run(model, *train, held, {"epochs": 60, "batch_size": 32})


def wine_wide_to_narrow():
    train, held = table("wine")
    model = dense(13, 32, 8, last=3, head="softmax")
    loss = keras.losses.CategoricalCrossentropy(label_smoothing=0.05)
    model.compile("adam", loss, metrics=["accuracy"])
    y, held_y = (keras.utils.to_categorical(v, 3) for v in (train[1], held[1]))
    return Run(
        model,
        train[0],
        y,
        (held[0], held_y),
        {"epochs": 40, "batch_size": 16},
    )


def cancer_logits_rmsprop():
    (x, y), _ = table("breast_cancer")
    model = dense(30, 24, kernel_regularizer=keras.regularizers.L2(1e-3))
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    model.compile("rmsprop", loss, metrics=[keras.metrics.BinaryAccuracy(threshold=0)])
    return Run(model, x, y, fit={"epochs": 25, "validation_split": 0.2})


def cancer_hinge():
    (x, y), (held_x, held_y) = table("breast_cancer")
    model = dense(30, 16, head="tanh")
    model.compile("adam", "hinge")
    return Run(
        model,
        x,
        2.0 * y[:, None] - 1,
        (held_x, 2.0 * held_y[:, None] - 1),
        {"epochs": 30},
    )


def iris_sigmoid_small_batch():
    (x, y), held = table("iris")
    model = dense(4, 12, last=3, activation="sigmoid", head="softmax")
    model.compile(
        keras.optimizers.SGD(0.1, momentum=0.9),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return Run(model, x, y, held, {"epochs": 40, "batch_size": 4})


def several_numbers_quantiles():
    x, y = smooth_table(seed=4)
    model = dense(6, 32, 32, last=3)
    levels = ops.convert_to_tensor(np.array([0.1, 0.5, 0.9], "float32"))

    def pinball(target, guess):
        off = target - guess
        return ops.mean(ops.maximum(levels * off, (levels - 1) * off), axis=-1)

    model.compile(keras.optimizers.Adam(0.005), pinball)
    train, held = halves(x, np.repeat(y[:, None], 3, 1))
    return Run(model, *train, held, {"epochs": 25})


def house_prices_log_huber():
    x, y = smooth_table(seed=5)
    price = np.exp(11.5 + 0.4 * y)
    model = dense(6, 64, 32, activation="gelu")
    model.compile(keras.optimizers.AdamW(0.003), keras.losses.Huber())
    train, held = halves(x, np.log(price)[:, None])
    return Run(model, *train, held, {"epochs": 40})


def temperature_rescaled_inside():
    x, y = smooth_table(seed=6)
    kelvin = (290 + 12 * y)[:, None]
    model = keras.Sequential(
        [
            keras.Input((6,)),
            layers.Dense(48, activation="relu"),
            layers.Dense(48, activation="relu"),
            layers.Dense(1),
            layers.Rescaling(float(kelvin.std()), float(kelvin.mean())),
        ]
    )
    model.compile(keras.optimizers.Adam(0.003), "mse", metrics=["mae"])
    train, held = halves(x, kelvin)
    return Run(model, *train, held, {"epochs": 30})


def visits_poisson():
    r = rng(7)
    x = r.normal(size=(1600, 5)).astype("float32")
    y = r.poisson(np.exp(1.5 + 0.8 * x[:, 0] - 0.6 * x[:, 1] * (x[:, 2] > 0)))
    model = dense(5, 32, 32, head="exponential")
    model.compile(keras.optimizers.Adam(0.003), "poisson")
    train, held = halves(x, y.astype("float32")[:, None])
    return Run(model, *train, held, {"epochs": 40})


def lifetimes_exponential():
    r = rng(8)
    x = r.uniform(-1, 1, (2000, 4)).astype("float32")
    rate = np.exp(2.5 * x[:, 0] - 2.0 * x[:, 1])
    ended = r.exponential(1 / rate)
    seen = ended < 4
    y = np.stack([np.minimum(ended, 4), seen], 1).astype("float32")
    model = dense(4, 24, 24, activation="tanh")

    def exponential_survival(target, guess):
        time, event = target[:, :1], target[:, 1:]
        return ops.mean(ops.exp(guess) * time - event * guess, axis=-1)

    model.compile(keras.optimizers.Adam(0.01), exponential_survival)
    train, held = halves(x, y)
    return Run(model, *train, held, {"epochs": 25, "batch_size": 64})


def fraud_rare_class():
    r = rng(9)
    y = (r.random(3000) < 0.05).astype("float32")
    x = r.normal(size=(3000, 12)).astype("float32")
    x[:, :4] += 1.6 * y[:, None]
    model = keras.Sequential(
        [
            keras.Input((12,)),
            layers.Dense(32, activation="relu"),
            layers.Dropout(0.5),
            layers.Dense(
                1, "sigmoid", bias_initializer=keras.initializers.Constant(-3)
            ),
        ]
    )
    model.compile("adam", "binary_crossentropy", metrics=[keras.metrics.AUC()])
    train, held = halves(x, y)
    return Run(model, *train, held, {"epochs": 20})


def tags_multi_label():
    r = rng(10)
    x = r.normal(size=(1600, 10)).astype("float32")
    score = x @ r.normal(size=(10, 6)) + 1.5 * np.tanh(2 * x[:, :6])
    y = (score > r.uniform(0, 3, 6)).astype("float32")
    model = dense(10, 64, last=6, head="sigmoid")
    model.compile("adam", "binary_focal_crossentropy", metrics=["binary_accuracy"])
    train, held = halves(x, y)
    return Run(model, *train, held, {"epochs": 30})


def ratings_ordinal():
    r = rng(11)
    x = r.normal(size=(1600, 6)).astype("float32")
    score = 1.5 * x[:, 0] + x[:, 1] * x[:, 2] + r.normal(0, 0.3, 1600)
    stars = np.digitize(score, [-1.5, -0.4, 0.4, 1.5])
    y = (stars[:, None] > np.arange(4)).astype("float32")
    model = dense(6, 48, 24, last=4, head="sigmoid")
    model.compile("nadam", "binary_crossentropy", metrics=["binary_accuracy"])
    train, held = halves(x, y)
    return Run(model, *train, held, {"epochs": 30})


TABLES = [
    Program(
        "diabetes-own-units",
        "Progress of 25–346, learned as it is.",
        (),
        diabetes_own_units,
    ),
    Program(
        "wine-smoothed-labels",
        "Label smoothing keeps the loss above 0.",
        (),
        wine_wide_to_narrow,
    ),
    Program(
        "cancer-logits",
        "A linear unit and a loss from logits.",
        (),
        cancer_logits_rmsprop,
    ),
    Program("cancer-hinge", "Labels of -1 and 1 under a hinge loss.", (), cancer_hinge),
    Program(
        "iris-sigmoid-batch-4",
        "One sigmoid layer, four rows a batch.",
        (),
        iris_sigmoid_small_batch,
    ),
    Program(
        "quantiles-pinball",
        "Three quantiles of one number, own loss.",
        (),
        several_numbers_quantiles,
    ),
    Program(
        "prices-log-huber",
        "Logarithms of prices, about 11.5.",
        (),
        house_prices_log_huber,
    ),
    Program(
        "kelvin-rescaled-inside",
        "Targets near 290, scaled by the last layer.",
        (),
        temperature_rescaled_inside,
    ),
    Program(
        "visits-poisson",
        "Counts, exponential output, Poisson loss.",
        (),
        visits_poisson,
    ),
    Program(
        "lifetimes-exponential",
        "Censored lifetimes, own loss, may be below 0.",
        (),
        lifetimes_exponential,
    ),
    Program(
        "fraud-five-percent",
        "5 % positives, bias set to their share.",
        (),
        fraud_rare_class,
    ),
    Program("tags-multi-label", "Six tags a row, focal loss.", (), tags_multi_label),
    Program("ratings-ordinal", "Five stars as four thresholds.", (), ratings_ordinal),
]
