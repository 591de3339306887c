"""Faulty programs on texts, time series, several labels and autoencoders."""

import keras
import numpy as np
from programs import Program
from programs import Run
from sklearn import datasets

layers = keras.layers
optimizers = keras.optimizers
BINARY = "binary_crossentropy"


def texts(n=1000, length=20, words=200, seed=0):
    """Token ids; a text is positive when it has more good words than bad ones."""
    rng = np.random.default_rng(seed)
    x = rng.integers(1, words, (n, length))
    good, bad = (x < 30).sum(axis=1), ((x >= 30) & (x < 60)).sum(axis=1)
    kept = good != bad
    return x[kept].astype("int32"), (good > bad)[kept].astype("int32")


def waves(n=600, length=24, seed=0):
    """Windows of noisy waves, and the value that comes next."""
    rng = np.random.default_rng(seed)
    phase, speed = rng.uniform(0, 6.28, n), rng.uniform(0.15, 0.6, n)
    steps = np.arange(length + 1)
    z = np.sin(phase[:, None] + speed[:, None] * steps)
    z = (z + rng.normal(0, 0.05, z.shape)).astype("float32")
    return z[:, :-1, None], z[:, -1:]


def tags(n=1000, seed=0):
    """Twelve features and five labels that do not exclude each other."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 12)).astype("float32")
    scores = x @ rng.normal(size=(12, 5)) + 0.5 * rng.normal(size=(n, 5))
    return x, (scores > 0).astype("float32")


def reader(last="sigmoid", units=1, core=None):
    """Embedding, a recurrent layer, a dense one."""
    return keras.Sequential(
        [
            keras.Input((20,), dtype="int32"),
            layers.Embedding(200, 16),
            core or layers.LSTM(16),
            layers.Dense(units, last),
        ]
    )


def texts_rate():
    x, y = texts()
    model = reader()
    model.compile(optimizers.SGD(0.001), BINARY, metrics=["accuracy"])
    return Run(model, x, y, None, {"epochs": 5, "validation_split": 0.2})


def texts_softmax_mse():
    x, y = texts()
    model = reader("softmax", 1, layers.GlobalAveragePooling1D())
    model.compile(optimizers.Adam(0.01), "mse", metrics=["accuracy"])
    return Run(model, x, y, None, {"epochs": 8, "validation_split": 0.2})


def texts_sorted():
    x, y = texts()
    order = np.argsort(y, kind="stable")
    model = reader(core=layers.GlobalAveragePooling1D())
    model.compile(optimizers.Adam(0.01), BINARY, metrics=["accuracy"])
    fit = {"epochs": 8, "validation_split": 0.2}
    return Run(model, x[order], y[order], None, fit)


def texts_by_heart():
    x, y = texts(160)
    model = reader(core=layers.Bidirectional(layers.GRU(32)))
    model.compile(optimizers.Adam(0.02), BINARY, metrics=["accuracy"])
    return Run(model, x, y, None, {"epochs": 50, "validation_split": 0.4})


def texts_categorical():
    x, y = texts()
    model = reader("sigmoid", 1, layers.GlobalMaxPooling1D())
    model.compile("adam", "categorical_crossentropy", metrics=["accuracy"])
    return Run(model, x, y[:, None], None, {"epochs": 5, "validation_split": 0.2})


def texts_as_numbers():
    x, y = texts()
    model = keras.Sequential(
        [
            keras.Input((20,)),
            layers.Dense(32, "relu"),
            layers.Dense(16, "relu"),
            layers.Dense(1, "sigmoid"),
        ]
    )
    model.compile(optimizers.SGD(0.01), BINARY, metrics=["accuracy"])
    fit = {"epochs": 8, "validation_split": 0.2}
    return Run(model, x.astype("float32") * 50, y, None, fit)


def waves_in_volts():
    x, y = waves()
    model = keras.Sequential(
        [
            keras.Input((24, 1)),
            layers.LSTM(16),
            layers.Dense(1),
        ]
    )
    model.compile(optimizers.Adam(0.003), "mse")
    x, y = 5000 + 800 * x, 5000 + 800 * y
    return Run(model, x, y, None, {"epochs": 8, "validation_split": 0.2})


def waves_clipped():
    x, y = waves()
    model = keras.Sequential(
        [
            keras.Input((24, 1)),
            layers.Conv1D(16, 5, activation="relu"),
            layers.GlobalAveragePooling1D(),
            layers.Dense(16, "relu"),
            layers.Dense(1),
        ]
    )
    model.compile(optimizers.SGD(0.05, clipnorm=1e-5), "mse")
    return Run(model, x, y, None, {"epochs": 10, "validation_split": 0.2})


def waves_positive():
    x, y = waves()
    model = keras.Sequential(
        [
            keras.Input((24, 1)),
            layers.GRU(16),
            layers.Dense(1, "sigmoid"),
        ]
    )
    model.compile(optimizers.Adam(0.01), "mse")
    return Run(model, x, y, None, {"epochs": 8, "validation_split": 0.2})


def waves_with_gaps():
    x, y = waves()
    y[::40] = np.nan
    model = keras.Sequential(
        [
            keras.Input((24, 1)),
            layers.Conv1D(16, 5, activation="relu"),
            layers.Flatten(),
            layers.Dense(1),
        ]
    )
    model.compile("adam", "mse")
    return Run(model, x, y, None, {"epochs": 5, "validation_split": 0.2})


def waves_one_row():
    x, y = waves()
    model = keras.Sequential(
        [
            keras.Input((24, 1)),
            layers.Flatten(),
            layers.Dense(32, "relu"),
            layers.Dense(1),
        ]
    )
    model.compile(optimizers.SGD(0.15), "mse")
    fit = {"epochs": 2, "batch_size": 1, "validation_split": 0.2}
    return Run(model, x, y, None, fit)


def tags_softmax():
    x, y = tags()
    model = keras.Sequential(
        [
            keras.Input((12,)),
            layers.Dense(32, "relu"),
            layers.Dense(5, "softmax"),
        ]
    )
    model.compile("adam", "categorical_crossentropy", metrics=["accuracy"])
    return Run(model, x, y, None, {"epochs": 15, "validation_split": 0.2})


def tags_sign():
    x, y = tags()
    model = keras.Sequential(
        [
            keras.Input((12,)),
            layers.Dense(32, "relu"),
            layers.Dense(5, "sigmoid"),
        ]
    )
    model.compile(optimizers.SGD(-0.05), BINARY, metrics=["binary_accuracy"])
    return Run(model, x, y, None, {"epochs": 10, "validation_split": 0.2})


def autoencoder(x, width, activation, last, **settings):
    """A dense autoencoder of digits with `width` units in its middle."""
    model = keras.Sequential(
        [
            keras.Input((64,)),
            layers.Dense(48, activation),
            layers.Dense(width, activation),
            layers.Dense(48, activation),
            layers.Dense(64, last),
        ]
    )
    model.compile(**settings)
    return Run(model, x, x, None, {"epochs": 15, "validation_split": 0.2})


def encode_pixels():
    x = datasets.load_digits().data.astype("float32")
    return autoencoder(x, 16, "relu", "sigmoid", optimizer="adam", loss="mse")


def encode_standard():
    x = datasets.load_digits().data.astype("float32")
    x = (x - x.mean(axis=0)) / (x.std(axis=0) + 1e-3)
    return autoencoder(x, 16, "relu", "sigmoid", optimizer="adam", loss=BINARY)


def encode_one_unit():
    x = datasets.load_digits().data.astype("float32") / 16
    return autoencoder(x, 1, "relu", "sigmoid", optimizer="adam", loss=BINARY)


FIT = ("targets-out-of-range", "output-activation-mismatch", "loss-output-mismatch")
LAST = ("loss-output-mismatch", "output-activation-mismatch")
SLOW = ("learning-rate-too-low", "learning-rate-out-of-range")
ONE = ("softmax-degenerate", "output-units-mismatch", "loss-output-mismatch")
SIGN = ("optimizer-settings", "learning-rate-out-of-range")

SEQUENCES = [
    Program("texts-sgd", "An LSTM with SGD stays at 50 %.", SLOW, texts_rate),
    Program("texts-softmax-one", "Always positive.", ONE, texts_softmax_mse),
    Program("texts-sorted", "val_accuracy is 0.", ("data-sorted",), texts_sorted),
    Program("texts-by-heart", "Validation rises.", ("overfitting",), texts_by_heart),
    Program(
        "texts-categorical",
        "The loss is 1e-7 at once and accuracy is 50 %.",
        ("loss-output-mismatch", "output-units-mismatch"),
        texts_categorical,
    ),
    Program(
        "texts-as-numbers",
        "Token numbers into dense layers: nan.",
        ("inputs-not-scaled",),
        texts_as_numbers,
    ),
    Program(
        "waves-volts",
        "The forecast is a flat line near zero.",
        ("inputs-not-scaled", "targets-not-scaled"),
        waves_in_volts,
    ),
    Program("waves-clipped", "Flat loss.", ("optimizer-settings",), waves_clipped),
    Program("waves-sigmoid", "The forecast is never negative.", FIT, waves_positive),
    Program("waves-gaps", "nan.", ("targets-not-finite",), waves_with_gaps),
    Program(
        "waves-one-row",
        "The loss jumps about.",
        ("batch-size-extreme", "noisy-loss", "learning-rate-too-high"),
        waves_one_row,
    ),
    Program("tags-softmax", "Only one label a row.", LAST, tags_softmax),
    Program("tags-sign", "The loss grows.", SIGN, tags_sign),
    Program("encoder-pixels", "All pixels are 1.", FIT, encode_pixels),
    Program("encoder-standard", "The loss becomes negative.", FIT, encode_standard),
    Program(
        "encoder-one-unit",
        "Every digit comes out as the same blur.",
        ("capacity-too-small",),
        encode_one_unit,
    ),
]
