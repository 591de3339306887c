"""Healthy programs on texts and time series."""

import keras
import numpy as np
from healthy_data import halves
from healthy_data import rng
from healthy_data import series
from healthy_data import tokens
from keras import layers
from keras import ops
from programs import Program
from programs import Run

SPARSE = "sparse_categorical_crossentropy"


def masked_gru():
    train, held = halves(*tokens())
    model = keras.Sequential(
        [
            keras.Input((24,), dtype="int32"),
            layers.Embedding(120, 16, mask_zero=True),
            layers.GRU(16),
            layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile(keras.optimizers.Adam(0.01), "binary_crossentropy")
    return Run(model, *train, held, {"epochs": 8})


def mean_of_words():
    train, held = halves(*tokens(seed=31))
    model = keras.Sequential(
        [
            keras.Input((24,), dtype="int32"),
            layers.Embedding(120, 16),
            layers.GlobalAveragePooling1D(),
            layers.Dense(16, activation="relu"),
            layers.Dense(1),
        ]
    )
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.003), loss)
    return Run(model, *train, held, {"epochs": 15})


def word_counts():
    x, y = tokens(seed=32)
    counts = np.stack([np.bincount(row[row > 0], minlength=120) for row in x])
    model = keras.Sequential(
        [
            keras.Input((120,)),
            layers.Dense(16, activation="relu"),
            layers.Dropout(0.5),
            layers.Dense(2, activation="softmax"),
        ]
    )
    model.compile("adam", SPARSE, metrics=["accuracy"])
    train, held = halves(counts.astype("float32"), y)
    return Run(model, *train, held, {"epochs": 15, "batch_size": 16})


def pretrained_words_frozen():
    x, y = tokens(seed=33)
    # Vectors as a corpus gives them: words of one group lie near each other.
    groups = np.digitize(np.arange(120), [1, 2, 21, 40])
    vectors = rng(33).normal(size=(5, 16))[groups] + rng(34).normal(0, 0.3, (120, 16))
    words = layers.Embedding(120, 16, trainable=False)
    words.build()
    words.set_weights([vectors])
    start = keras.Input((24,), dtype="int32")
    h = layers.Conv1D(32, 3, activation="relu")(words(start))
    weight = layers.Softmax(axis=1)(layers.Dense(1)(h))
    h = ops.sum(h * weight, axis=1)
    model = keras.Model(start, layers.Dense(2, activation="softmax")(h))
    model.compile(keras.optimizers.Adam(0.005), SPARSE, metrics=["accuracy"])
    train, held = halves(x, y)
    return Run(model, *train, held, {"epochs": 10})


class Places(layers.Layer):
    """Adds fixed sines of the place to token vectors."""

    def call(self, x):
        place = np.arange(x.shape[1])[:, None] / 10 ** (np.arange(x.shape[2]) / 8)
        return x + ops.cast(np.sin(place) / 2, x.dtype)


def small_transformer():
    r = rng(35)
    x = r.integers(1, 12, (1600, 10)).astype("int32")
    start = keras.Input((10,), dtype="int32")
    h = Places()(layers.Embedding(12, 32)(start))
    for _ in range(2):
        a = layers.MultiHeadAttention(4, 8)(h, h)
        h = layers.LayerNormalization(epsilon=1e-6)(layers.Add()([h, a]))
        a = layers.Dense(32)(layers.Dense(64, activation="relu")(h))
        h = layers.LayerNormalization(epsilon=1e-6)(layers.Add()([h, a]))
    model = keras.Model(start, layers.Dense(12, activation="softmax")(h))
    model.compile(keras.optimizers.Adam(0.003), SPARSE, metrics=["accuracy"])
    # Each place is to name the larger one of its word and of the word before.
    y = np.maximum(x, np.roll(x, 1, 1))
    train, held = halves(x, y)
    return Run(model, *train, held, {"epochs": 20})


def causal_letters():
    r = rng(36)
    words = ["the ", "cat ", "sat ", "on ", "mat ", "a ", "dog ", "ran ", "far "]
    text = "".join(words[k] for k in r.integers(0, len(words), 3000))
    letters = sorted(set(text))
    codes = np.array([letters.index(c) for c in text], "int32")
    rows = np.lib.stride_tricks.sliding_window_view(codes, 17)[::5]
    model = keras.Sequential(
        [
            keras.Input((16,), dtype="int32"),
            layers.Embedding(len(letters), 12),
            layers.LSTM(48, return_sequences=True),
            layers.Dense(len(letters)),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.01), loss, metrics=["accuracy"])
    train, held = halves(rows[:, :-1].copy(), rows[:, 1:].copy())
    return Run(model, *train, held, {"epochs": 12})


def series_in_order():
    x, y = series(drift=0.6)
    model = keras.Sequential(
        [
            keras.Input((20, 1)),
            layers.LSTM(24),
            layers.Dense(1),
        ]
    )
    model.compile(keras.optimizers.Adam(0.005), "mse")
    return Run(model, x, y, fit={"epochs": 12, "validation_split": 0.2})


def dilated_convolutions():
    train, held = halves(*series(seed=38))
    start = keras.Input((20, 1))
    h = layers.Conv1D(16, 1)(start)
    for dilation in (1, 2, 4):
        a = layers.Conv1D(
            16, 3, dilation_rate=dilation, padding="causal", activation="tanh"
        )(h)
        b = layers.Conv1D(
            16, 3, dilation_rate=dilation, padding="causal", activation="sigmoid"
        )(h)
        h = layers.Add()([h, layers.Conv1D(16, 1)(layers.Multiply()([a, b]))])
    model = keras.Model(start, layers.Dense(1)(h[:, -1]))
    model.compile(keras.optimizers.Adam(0.003), "mae")
    return Run(model, *train, held, {"epochs": 15})


def all_steps_bidirectional():
    r = rng(39)
    x = r.normal(size=(800, 15, 2)).astype("float32")
    # Sum of the first column up to each step, from where the second one is positive.
    y = np.cumsum(x[..., 0] * (x[..., 1] > 0), axis=1)[..., None] / 2
    start = keras.Input((15, 2))
    h = layers.Bidirectional(layers.GRU(24, return_sequences=True))(start)
    model = keras.Model(start, layers.TimeDistributed(layers.Dense(1))(h))
    model.compile(keras.optimizers.Adam(0.01), "mse")
    train, held = halves(x, y)
    return Run(model, *train, held, {"epochs": 25})


def loads_in_kilowatts():
    x, y = series(seed=40)
    x, y = 60 + 20 * x, 60 + 20 * y
    model = keras.Sequential(
        [
            keras.Input((20, 1)),
            layers.Rescaling(1 / 20, offset=-3),
            layers.Flatten(),
            layers.Dense(32, activation="relu"),
            layers.Dense(1),
        ]
    )
    model.compile(keras.optimizers.Adam(0.01), "mse", metrics=["mae"])
    train, held = halves(x, y)
    return Run(model, *train, held, {"epochs": 30})


SEQUENCES = [
    Program("reviews-masked-gru", "Padded token ids, masked, one GRU.", (), masked_gru),
    Program(
        "reviews-mean-of-words", "Mean of the vectors of the words.", (), mean_of_words
    ),
    Program(
        "reviews-word-counts", "Sparse counts of words, dropout 0.5.", (), word_counts
    ),
    Program(
        "reviews-vectors-frozen",
        "Pretrained word vectors stay as they are.",
        (),
        pretrained_words_frozen,
    ),
    Program(
        "tokens-small-transformer",
        "A word for each place, two blocks of attention.",
        (),
        small_transformer,
    ),
    Program(
        "letters-lstm",
        "Next letters; the loss has a floor above 0.",
        (),
        causal_letters,
    ),
    Program(
        "series-in-order-drift",
        "The last fifth validates; the level rises.",
        (),
        series_in_order,
    ),
    Program(
        "series-gated-dilated",
        "Gated causal convolutions, absolute error.",
        (),
        dilated_convolutions,
    ),
    Program(
        "series-every-step",
        "A number for every step, both directions.",
        (),
        all_steps_bidirectional,
    ),
    Program(
        "series-kilowatts",
        "Inputs scaled in the model, targets about 60.",
        (),
        loads_in_kilowatts,
    ),
]
