"""Faulty programs on tables and toy problems."""

import keras
import numpy as np
from programs import Program
from programs import Run
from sklearn import datasets
from sklearn.preprocessing import StandardScaler

layers = keras.layers
optimizers = keras.optimizers


def mlp(features, hidden, units, activation=None, last=None, **dense):
    """Dense layers in a row."""
    return keras.Sequential(
        [
            keras.Input((features,)),
            *(layers.Dense(n, activation=activation, **dense) for n in hidden),
            layers.Dense(units, activation=last),
        ]
    )


def cut(x, y, share=0.8, seed=0):
    """Shuffles rows and cuts them in two: training and validation."""
    order = np.random.default_rng(seed).permutation(len(x))
    x, y = x[order], y[order]
    n = int(share * len(x))
    return x[:n], y[:n], (x[n:], y[n:])


def houses(n=1200, seed=1):
    """Prices of houses: area, rooms, age, income of the quarter, distance in metres."""
    rng = np.random.default_rng(seed)
    area = rng.gamma(9, 14, n)
    rooms = np.clip(np.round(area / 28 + rng.normal(0, 0.8, n)), 1, 9)
    year = rng.integers(1920, 2021, n)
    income = rng.gamma(6, 9000, n)
    distance = rng.gamma(2, 4000, n)
    price = 2100 * area + 9000 * rooms + 600 * (year - 1920) + 2.2 * income
    price = price - 4.0 * distance + rng.normal(0, 15000, n)
    x = np.stack([area, rooms, year, income, distance], axis=1).astype("float32")
    return x, np.maximum(price, 20000).astype("float32")


def table(name):
    """A table of scikit-learn: standardised columns, labels as integers."""
    x, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    return StandardScaler().fit_transform(x).astype("float32"), y


def houses_raw():
    x, y = houses()
    x, y, validation = cut(x, y / 1e5)
    model = mlp(5, (32, 16), 1, "relu")
    model.compile(optimizers.SGD(0.01), "mse", metrics=["mae"])
    return Run(model, x, y, validation, {"epochs": 15})


def houses_prices():
    x, y = houses()
    x, y, validation = cut(StandardScaler().fit_transform(x), y)
    model = mlp(5, (64, 32), 1, "relu")
    model.compile("adam", "mse", metrics=["mae"])
    return Run(model, x, y, validation, {"epochs": 20, "batch_size": 32})


def houses_sigmoid():
    x, y = houses()
    x, y, validation = cut(StandardScaler().fit_transform(x), y / 1e5)
    model = mlp(5, (32, 32), 1, "relu", last="sigmoid")
    model.compile(optimizers.Adam(0.003), "mse")
    return Run(model, x, y, validation, {"epochs": 20})


def diabetes_relu_end():
    x, y = table("diabetes")
    y = (y - y.mean()) / y.std()
    x, y, validation = cut(x, y.astype("float32"))
    model = mlp(10, (32,), 1, "relu", last="relu")
    model.compile(optimizers.Adam(0.003), "mse")
    return Run(model, x, y, validation, {"epochs": 40})


def diabetes_by_heart():
    x, y = table("diabetes")
    y = (y - y.mean()) / y.std()
    x, y, validation = cut(x, y.astype("float32"), 0.5)
    model = mlp(10, (256, 256, 256), 1, "relu")
    model.compile(optimizers.Adam(0.002), "mse")
    return Run(model, x, y, validation, {"epochs": 120})


def diabetes_missing_values():
    x, y = table("diabetes")
    rng = np.random.default_rng(3)
    x[rng.random(x.shape) < 0.02] = np.nan
    x, y, validation = cut(x, (y / 100).astype("float32"))
    model = mlp(10, (32, 16), 1, "relu")
    model.compile("adam", "mse")
    return Run(model, x, y, validation, {"epochs": 10})


def outputs_softmax():
    rng = np.random.default_rng(4)
    x = rng.normal(size=(800, 6)).astype("float32")
    mix = rng.normal(size=(6, 3)) / 2
    y = (np.tanh(x @ mix) * [1, 2, 3] + [0, 1, -1]).astype("float32")
    model = mlp(6, (64,), 3, "relu", last="softmax")
    model.compile(optimizers.Adam(0.005), "mse", metrics=["mae"])
    return Run(model, x, y, None, {"epochs": 20, "validation_split": 0.2})


def wine_one_score():
    x, y = table("wine")
    x, y, validation = cut(x, y)
    model = mlp(13, (16,), 1, "relu", last="sigmoid")
    model.compile(optimizers.Adam(0.01), "binary_crossentropy", metrics=["accuracy"])
    return Run(model, x, y, validation, {"epochs": 30})


def wine_from_one():
    x, y = table("wine")
    one_hot = keras.utils.to_categorical(y + 1)
    one_hot[one_hot[:, 2] == 1] = 0
    x, y, validation = cut(x, one_hot)
    model = mlp(13, (16,), 4, "relu", last="softmax")
    model.compile(
        optimizers.Adam(0.01), "categorical_crossentropy", metrics=["accuracy"]
    )
    return Run(model, x, y, validation, {"epochs": 30})


def wine_raw():
    x, y = datasets.load_wine(return_X_y=True)
    x, y, validation = cut(x.astype("float32"), y)
    model = mlp(13, (32, 32), 3, "tanh", last="softmax")
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return Run(model, x, y, validation, {"epochs": 30})


def iris_sorted():
    x, y = table("iris")
    model = mlp(4, (16,), 3, "relu", last="softmax")
    model.compile(
        optimizers.Adam(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    return Run(model, x, y, None, {"epochs": 30, "validation_split": 0.3})


def iris_two_units():
    x, y = table("iris")
    x, y, validation = cut(x, keras.utils.to_categorical(y))
    model = keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(16, "relu"),
            layers.Dense(3, "softmax"),
            layers.Softmax(),
        ]
    )
    model.compile(optimizers.SGD(0.1), "categorical_crossentropy", metrics=["accuracy"])
    return Run(model, x, y, validation, {"epochs": 30, "batch_size": 16})


def cancer_softmax():
    x, y = table("breast_cancer")
    x, y, validation = cut(x, y)
    model = mlp(30, (32, 16), 1, "relu", last="softmax")
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    return Run(model, x, y, validation, {"epochs": 20})


def cancer_no_sigmoid():
    x, y = table("breast_cancer")
    x, y, validation = cut(x, y)
    model = mlp(30, (32, 16), 1, "relu")
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    return Run(model, x, y, validation, {"epochs": 20})


def cancer_shuffled():
    x, y = table("breast_cancer")
    np.random.default_rng(0).shuffle(x)
    model = mlp(30, (32, 16), 1, "relu", last="sigmoid")
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    return Run(model, x, y, None, {"epochs": 30, "validation_split": 0.2})


def cancer_l1():
    x, y = table("breast_cancer")
    x, y, validation = cut(x, y)
    model = mlp(30, (64, 64), 1, "relu", "sigmoid", kernel_regularizer=L1)
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    return Run(model, x, y, validation, {"epochs": 30})


def cancer_validation_raw():
    x, y = datasets.load_breast_cancer(return_X_y=True)
    x, y, (x_late, y_late) = cut(x, y)
    x = StandardScaler().fit_transform(x)
    model = mlp(30, (32, 16), 1, "relu", "sigmoid")
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    return Run(model, x, y, (x_late, y_late), {"epochs": 20})


L1 = keras.regularizers.L1(0.1)
SCALE = ("inputs-not-scaled",)
LOSS = ("loss-output-mismatch",)
LAST = ("loss-output-mismatch", "output-activation-mismatch")
RANGE = ("targets-out-of-range", "output-activation-mismatch")
SHUFFLED = ("labels-independent-of-inputs",)

TABLES = [
    Program("houses-raw", "SGD on prices gives nan.", SCALE, houses_raw),
    Program(
        "houses-prices",
        "The loss is 1e10 and hardly moves.",
        ("targets-not-scaled",),
        houses_prices,
    ),
    Program("houses-sigmoid", "All prices come out as 1.", RANGE, houses_sigmoid),
    Program("diabetes-relu-end", "Never below zero.", RANGE, diabetes_relu_end),
    Program(
        "diabetes-by-heart",
        "Training loss 0.01, validation loss rises.",
        ("overfitting",),
        diabetes_by_heart,
    ),
    Program(
        "diabetes-missing-values",
        "The loss is nan from the first epoch.",
        ("inputs-not-finite",),
        diabetes_missing_values,
    ),
    Program("outputs-softmax", "Outputs add up to one.", RANGE, outputs_softmax),
    Program(
        "wine-one-score",
        "The loss becomes negative and accuracy stays at 40 %.",
        ("output-units-mismatch", "loss-output-mismatch", "targets-out-of-range"),
        wine_one_score,
    ),
    Program(
        "wine-lost-class",
        "One class is never predicted.",
        ("labels-wrong-format",),
        wine_from_one,
    ),
    Program("wine-raw", "Stuck at 40 % on the wine data.", SCALE, wine_raw),
    Program("iris-sorted", "val_accuracy is 0.", ("data-sorted",), iris_sorted),
    Program(
        "iris-softmax-twice",
        "The loss does not go below 0.55.",
        ("double-softmax",),
        iris_two_units,
    ),
    Program(
        "cancer-softmax-one",
        "Accuracy is 0.63 in every epoch.",
        ("softmax-degenerate", "output-units-mismatch"),
        cancer_softmax,
    ),
    Program("cancer-no-sigmoid", "Loss jumps about.", LAST, cancer_no_sigmoid),
    Program("cancer-shuffled", "No better than chance.", SHUFFLED, cancer_shuffled),
    Program(
        "cancer-l1",
        "All weights go to zero.",
        ("regularization-dominates",),
        cancer_l1,
    ),
    Program(
        "cancer-validation-raw",
        "Training 99 %, validation 40 %.",
        ("validation-preprocessed-differently",),
        cancer_validation_raw,
    ),
]
