"""The head that the targets ask for, tried in the place of a model's own."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_practices.checks import preflight
from keras_practices.measures import before
from keras_practices.measures.other_head import other_head
from keras_practices.measures.sample import take_sample
from keras_practices.measures.side_state import snapshot
from keras_practices.measures.trials import measure_tiny_subset
from keras_practices.rules import run_rules

RNG = np.random.default_rng(0)
CLASSES = np.arange(60) % 3
X = (RNG.normal(size=(60, 4)) + 3 * np.eye(4)[CLASSES]).astype("float32")
ONE_HOT = np.eye(3, dtype="float32")[CLASSES]
NUMBERS = (X[:, :1] * 2 - 5).astype("float32")


def model_with(units, activation, loss):
    hidden = layers.Dense(16, activation="tanh")
    head = layers.Dense(units, activation=activation)
    model = keras.Sequential([keras.Input((4,)), hidden, head])
    model.compile(keras.optimizers.Adam(0.05), loss)
    return model


def found_for(model, y):
    sample = take_sample(X, y)
    outputs = before.figures_of_outputs(model, sample)["outputs"]
    return other_head(model, outputs, sample.y)


@pytest.mark.parametrize(
    ("units", "activation", "loss", "y", "name"),
    [
        (3, None, "sparse_categorical_crossentropy", CLASSES, "SparseCategorical"),
        (3, "relu", "categorical_crossentropy", ONE_HOT, "Categorical"),
        (3, "softmax", "mse", ONE_HOT, "Categorical"),
        (1, None, "binary_crossentropy", CLASSES[:, None] % 2, "Binary"),
        (1, "softmax", "binary_crossentropy", CLASSES % 2, "Binary"),
        (1, "relu", "mse", NUMBERS, "MeanSquaredError"),
        (1, "sigmoid", "mae", NUMBERS[:, 0], "MeanSquaredError"),
    ],
)
def test_the_targets_choose_the_head_and_it_learns(units, activation, loss, y, name):
    keras.utils.set_random_seed(0)
    model = model_with(units, activation, loss)
    words, within = found_for(model, y)
    assert name in words
    before_it = snapshot(model)
    activation_before = model.layers[-1].activation
    trial = measure_tiny_subset(
        model, take_sample(X, y), rows=20, steps=150, within=within
    )
    assert trial["best_loss"] < 0.2 * trial["first_loss"]
    assert model.layers[-1].activation is activation_before
    assert "compute_loss" not in model.__dict__
    after = snapshot(model)
    assert all((after[key] == value).all() for key, value in before_it.items())


@pytest.mark.parametrize(
    ("units", "activation", "loss", "y"),
    [
        (3, "softmax", "sparse_categorical_crossentropy", CLASSES),
        (
            3,
            None,
            keras.losses.CategoricalCrossentropy(from_logits=True),
            ONE_HOT,
        ),
        (1, "sigmoid", "binary_crossentropy", CLASSES % 2),
        (1, None, "mse", NUMBERS),
        (2, "softmax", "sparse_categorical_crossentropy", CLASSES),  # too few units
        (4, None, "mse", NUMBERS),  # targets of another width
    ],
)
def test_a_head_that_fits_or_cannot_be_told_is_left(units, activation, loss, y):
    assert found_for(model_with(units, activation, loss), y) is None


def test_a_model_without_a_readable_last_layer_is_left():
    inputs = keras.Input((4,))
    outputs = keras.ops.softmax(layers.Dense(3)(inputs))
    model = keras.Model(inputs, outputs)
    model.compile("adam", "mse")
    assert found_for(model, ONE_HOT) is None


def test_it_is_tried_where_the_tiny_subset_is_not_fitted():
    model = model_with(1, "relu", "mse")
    y = NUMBERS - NUMBERS.max() - 3.0  # below zero, where a relu gives nothing
    result = preflight(model, take_sample(X, y))
    tried = {one["change"]: one for one in result.figures["tiny_changes"]}
    head = tried["a linear last layer and MeanSquaredError()"]
    assert head["best_loss"] < 0.2 * head["first_loss"]
    rules = {one.rule: one for one in run_rules(result.figures, stages=("before",))}
    assert "linear last layer" in rules["cannot-overfit-tiny-subset"].advice
