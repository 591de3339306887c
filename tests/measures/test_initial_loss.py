import keras
import numpy as np
import pytest
from keras import layers

from keras_practices.measures.arrays import measure_targets
from keras_practices.measures.initial_loss import chance_loss
from keras_practices.measures.initial_loss import constant_loss
from keras_practices.measures.initial_loss import floor_loss
from keras_practices.measures.initial_loss import measure_draws
from keras_practices.measures.initial_loss import measure_initial_loss
from keras_practices.measures.model_card import measure_outputs
from keras_practices.measures.sample import take_sample

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(40, 3)).astype("float32")
CLASSES = RANDOM.integers(0, 5, 40)
NUMBERS = RANDOM.normal(2.0, 3.0, size=(40, 2)).astype("float32")


def zero_model(units, activation, loss, **options):
    head = layers.Dense(
        units, activation=activation, kernel_initializer="zeros", **options
    )
    model = keras.Sequential([keras.Input((3,)), head])
    model.compile("sgd", loss)
    return model


@pytest.mark.parametrize(
    ("units", "activation", "loss", "y"),
    [
        (5, "softmax", "sparse_categorical_crossentropy", CLASSES),
        (5, "softmax", "categorical_crossentropy", np.eye(5, dtype="f")[CLASSES]),
        (1, "sigmoid", "binary_crossentropy", CLASSES[:, None] % 2),
        (5, None, "categorical_hinge", np.eye(5, dtype="f")[CLASSES]),
        (1, None, "hinge", CLASSES[:, None] % 2 * 2.0 - 1),
        (2, None, "mean_squared_error", NUMBERS),
    ],
)
def test_a_model_of_zeros_begins_at_chance(units, activation, loss, y):
    model = zero_model(units, activation, loss)
    found = measure_initial_loss(model, take_sample(X, y))
    (head,) = measure_outputs(model)
    chance, words = chance_loss(head, measure_targets(y))
    assert found["data_loss"] == pytest.approx(chance, rel=1e-4)
    assert words
    assert found["rows"] == 40


def test_penalty_and_noise_are_kept_apart():
    model = keras.Sequential(
        [
            keras.Input((3,)),
            layers.Dropout(0.9),
            layers.Dense(2, kernel_initializer="ones", kernel_regularizer="l2"),
        ]
    )
    model.compile("sgd", "mse")
    sample = take_sample(X, NUMBERS)
    found = measure_initial_loss(model, sample, rows=16)
    x, y, _ = sample.head(16)
    exact = x.astype("float64").sum(axis=1, keepdims=True) - y
    assert found["data_loss"] == pytest.approx(np.mean(exact**2), rel=1e-4)
    assert found["regularization_loss"] == pytest.approx(0.01 * 6, rel=1e-5)
    assert found["rows"] == 16


def test_penalties_of_activities_are_told_from_losses_that_a_layer_adds():
    class Adds(layers.Layer):
        def call(self, x):
            self.add_loss(7.0 + 0 * keras.ops.sum(x))
            return x

    penalized = layers.Dense(
        2, kernel_initializer="ones", activity_regularizer="l1", name="code"
    )
    inner = keras.Sequential([keras.Input((3,)), penalized], name="inner")
    model = keras.Sequential(
        [keras.Input((3,)), inner, Adds(), layers.Dense(1, kernel_regularizer="l2")]
    )
    model.compile("sgd", "mse")
    sample = take_sample(X, NUMBERS)
    found = measure_initial_loss(model, sample, rows=16)
    sums = np.abs(sample.head(16)[0].astype("float64").sum(axis=1))
    assert found["activity_loss"] == pytest.approx(0.01 * 2 * sums.mean(), rel=1e-4)
    assert found["activity_penalized"] == ["code"]
    assert penalized.activity_regularizer is not None
    plain = zero_model(1, "linear", "mse")
    assert "activity_loss" not in measure_initial_loss(plain, sample)


def test_no_chance_is_known_for_some():
    for head in (
        {"loss": "custom", "shape": [2]},
        {"loss": "sparse_categorical_crossentropy", "shape": None},
        {"loss": "mean_squared_error", "shape": [2]},
    ):
        assert chance_loss(head, {})[0] is None
    number = chance_loss(
        {"loss": "mean_absolute_error", "shape": []}, {"mean_square": 9}
    )
    assert number[0] == 3.0


@pytest.mark.parametrize(
    ("loss", "y"),
    [
        ("binary_crossentropy", RANDOM.random((40, 5))),
        ("categorical_crossentropy", RANDOM.dirichlet(np.ones(5), 40)),
    ],
)
def test_soft_targets_cannot_be_met_below_their_entropy(loss, y):
    (target,) = keras.ops.convert_to_tensor(y, "float32")[None]
    exact = getattr(keras.losses, loss)(target, target)
    floor = floor_loss({"loss": loss}, y)
    assert floor == pytest.approx(float(keras.ops.mean(exact)), rel=1e-4)
    assert floor > 0.3


def test_floors_of_hard_targets_and_of_unknown_losses():
    one_hot = np.eye(5)[CLASSES]
    assert floor_loss({"loss": "categorical_crossentropy"}, one_hot) == 0
    hard = floor_loss({"loss": "binary_crossentropy"}, one_hot)
    assert hard == pytest.approx(0, abs=1e-9)
    assert floor_loss({"loss": "mean_squared_error"}, NUMBERS) == 0.0
    assert floor_loss({"loss": "poisson"}, NUMBERS) is None


@pytest.mark.parametrize(
    ("loss", "y"),
    [
        ("sparse_categorical_crossentropy", CLASSES),
        ("categorical_crossentropy", np.eye(5)[CLASSES]),
        ("binary_crossentropy", np.eye(5)[CLASSES]),
        ("mean_squared_error", NUMBERS),
        ("mean_absolute_error", NUMBERS),
    ],
)
def test_no_constant_answer_is_better_than_the_best(loss, y):
    found = constant_loss({"loss": loss}, y)
    one_hot = np.eye(5)[CLASSES]
    shares = one_hot.mean(axis=0)
    answers = {
        "mean_squared_error": NUMBERS.mean(axis=0),
        "mean_absolute_error": np.median(NUMBERS, axis=0),
    }
    best = np.broadcast_to(
        answers.get(loss, shares), (40, len(answers.get(loss, shares)))
    )
    function = keras.losses.get(loss)

    def loss_of(answer):
        values = function(np.asarray(y, "float32"), answer.astype("float32"))
        return float(np.mean(keras.ops.convert_to_numpy(values)))

    assert found == pytest.approx(loss_of(best), rel=1e-5)
    other = best + RANDOM.normal(0, 0.02, best.shape[-1])
    if "crossentropy" in loss:
        other = np.clip(other, 0.01, 0.99)
        other = other / other.sum(-1, keepdims=True) if loss[0] in "sc" else other
    assert loss_of(other) > found
    assert constant_loss({"loss": "custom"}, y) is None
    assert constant_loss({"loss": loss}, np.full((4, 2), np.nan)) is None


def test_other_draws_keep_the_spread_and_lose_what_was_trained():
    head = layers.Dense(5, activation="softmax")
    model = keras.Sequential([keras.Input((5,)), head])
    model.compile("sgd", "sparse_categorical_crossentropy")
    y = np.arange(40) % 5
    x = np.eye(5, dtype="float32")[y]
    # Trained on the classes turned by one: sure, and wrong.
    head.kernel.assign(8 * np.roll(np.eye(5), 1, axis=1))
    sample = take_sample(x, y)
    own = measure_initial_loss(model, sample)["data_loss"]
    draws = measure_draws(model, sample)
    assert own == pytest.approx(8.0, rel=0.01)
    assert len(set(draws)) == len(draws) == 3
    assert measure_draws(model, sample) == draws
    assert all(loss < own + 1e-3 for loss in draws)
    np.testing.assert_array_equal(
        keras.ops.convert_to_numpy(head.kernel), 8 * np.roll(np.eye(5), 1, axis=1)
    )


def test_other_draws_of_weights_that_are_too_large_stay_high():
    big = keras.initializers.RandomNormal(stddev=30.0, seed=1)
    head = layers.Dense(5, activation="softmax", kernel_initializer=big)
    model = keras.Sequential([keras.Input((3,)), head])
    model.compile("sgd", "sparse_categorical_crossentropy")
    assert min(measure_draws(model, take_sample(X, CLASSES))) > 5 * np.log(5)
