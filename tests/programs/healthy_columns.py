"""Healthy programs on tables of codes, flags and several columns."""

import keras
import numpy as np
from healthy_data import halves
from healthy_data import rng
from healthy_tables import dense
from keras import layers
from keras import ops
from programs import Program
from programs import Run


def survey_whole_numbers():
    r = rng(12)
    x = r.integers(0, 3, (1500, 6)).astype("float32")
    right = (x[:, 0] > x[:, 1]) ^ (x[:, 2] == 1)
    model = dense(6, 32, 32, last=2, head="softmax")
    model.compile(
        keras.optimizers.Adam(0.005),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    train, held = halves(x, right.astype("int32"))
    return Run(model, *train, held, {"epochs": 25})


def mushrooms_one_hot_inputs():
    r = rng(13)
    codes = r.integers(0, 8, (1800, 10))
    y = ((codes[:, 0] < 3) | (codes[:, 1] == codes[:, 2])).astype("float32")
    x = keras.utils.to_categorical(codes, 8).reshape(1800, 80)
    model = dense(
        80, 64, head="sigmoid", kernel_regularizer=keras.regularizers.L1(1e-5)
    )
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    train, held = halves(x, y)
    return Run(model, *train, held, {"epochs": 12, "batch_size": 16})


def customers_dict_of_inputs():
    r = rng(14)
    city = r.integers(0, 20, 1600).astype("int32")
    income = r.lognormal(10, 0.5, (1600, 1)).astype("float32")
    flags = r.integers(0, 2, (1600, 4)).astype("float32")
    worth = (
        r.normal(size=20)[city] + np.log(income[:, 0]) - 10 + flags @ [1, -1, 0.5, 0]
    )
    norm = layers.Normalization()
    norm.adapt(np.log(income))
    one = keras.Input((), dtype="int32", name="city")
    two = keras.Input((1,), name="income")
    three = keras.Input((4,), name="flags")
    h = [layers.Embedding(20, 6)(one), norm(ops.log(two)), three]
    h = layers.Dense(32, activation="relu")(layers.Concatenate()(h))
    spend = layers.Dense(1, name="spend")(h)
    stays = layers.Dense(1, activation="sigmoid", name="stays")(h)
    model = keras.Model([one, two, three], {"spend": spend, "stays": stays})
    model.compile(
        keras.optimizers.Adam(0.005),
        {"spend": "mse", "stays": "binary_crossentropy"},
        loss_weights={"spend": 1.0, "stays": 0.5},
        metrics={"stays": "accuracy"},
    )
    x = {"city": city, "income": income, "flags": flags}
    spend = (worth + r.normal(0, 0.1, 1600)).astype("float32")
    y = {"spend": spend, "stays": (worth > 0.3).astype("float32")}
    train, held = halves(x, y, worth)
    return Run(model, *train[:2], held[:2], {"epochs": 20})


COLUMNS = [
    Program(
        "survey-duplicate-rows",
        "Six answers of 0–2: rows repeat by chance.",
        (),
        survey_whole_numbers,
    ),
    Program(
        "mushrooms-one-hot",
        "Inputs that are mostly zeros, L1 of 1e-5.",
        (),
        mushrooms_one_hot_inputs,
    ),
    Program(
        "customers-dict",
        "Three named inputs, two named outputs.",
        (),
        customers_dict_of_inputs,
    ),
]
