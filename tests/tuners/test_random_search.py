import random
import subprocess
import sys

import keras
import keras_tuner
import numpy as np
import pytest

from keras_practices.tuners import RandomSearch
from keras_practices.tuners import learning_rate
from keras_practices.tuners import log_uniform

# keras-tuner 1.4.8 asks threads for their names in the old way.
pytestmark = pytest.mark.filterwarnings(
    "ignore:currentThread:DeprecationWarning", "ignore:getName:DeprecationWarning"
)

RNG = np.random.default_rng(0)
X = RNG.normal(size=(16, 2)).astype("float32")
Y = X.sum(axis=1, keepdims=True)


def build(hp):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    rate = learning_rate(hp)
    log_uniform(hp, "unused", 1e-3, 1e3)
    model.compile(keras.optimizers.SGD(rate), "mse", metrics=["mae"])
    return model


def tuner_in(folder, **arguments):
    settings = {
        "hypermodel": build,
        "objective": "val_loss",
        "max_trials": 2,
        "seed": 5,
        **arguments,
    }
    return RandomSearch(directory=folder, project_name="search", **settings)


def search(tuner):
    tuner.search(X, Y, validation_data=(X, Y), epochs=1, batch_size=8, verbose=0)
    return [
        (trial.hyperparameters.values, trial.score)
        for _, trial in sorted(tuner.oracle.trials.items())
    ]


def test_a_search_repeats(tmp_path):
    """Same values, weights and results; the generators of others do not move."""
    weights, found = [], []

    def noting(hp):
        model = build(hp)
        weights[-1].append(tuple(model.get_weights()[0].ravel().tolist()))
        return model

    for name in ("a", "b"):
        weights.append([])
        random.seed(1)
        np.random.seed(1)
        tuner = tuner_in(
            tmp_path / name,
            hypermodel=noting,
            objective="val_mae",
            max_trials=1,
            executions_per_trial=2,
        )
        weights[-1].clear()  # of the build that finds the space
        found.append(search(tuner))
        after = (random.random(), np.random.random())
        random.seed(1)
        np.random.seed(1)
        assert after == (random.random(), np.random.random())

    assert found[0] == found[1]
    assert weights[0] == weights[1]
    assert len(set(weights[0])) == 2  # one of each execution


def rates_of(folder, seed, count=100):
    oracle = tuner_in(folder, seed=seed, max_trials=count).oracle
    return [
        oracle.populate_space(str(trial))["values"]["learning_rate"]
        for trial in range(count)
    ]


@pytest.mark.once
def test_neighbouring_seeds_share_no_values(tmp_path):
    zero, one, two = (set(rates_of(tmp_path, seed)) for seed in (0, 1, 2))
    assert len(zero) == len(one) == len(two) == 100
    assert not zero & one
    assert not one & two


@pytest.mark.once
def test_zero_is_a_seed_and_none_is_not(tmp_path):
    assert rates_of(tmp_path, 0, 1) == rates_of(tmp_path, 0, 1)
    assert rates_of(tmp_path, None, 1) != rates_of(tmp_path, None, 1)


def test_a_resumed_search_equals_an_uninterrupted_one(tmp_path):
    tuner = tuner_in(tmp_path / "whole")
    whole = search(tuner)
    rates = [values["learning_rate"] for values, _ in whole]
    assert 1e-5 <= min(rates) < max(rates) <= 1e-1
    best = tuner.get_best_models()[0].evaluate(X, Y, verbose=0)[0]
    assert best == pytest.approx(min(score for _, score in whole), rel=1e-5)

    class Stop(keras.callbacks.Callback):
        def __deepcopy__(self, memo):
            return self

        def on_epoch_begin(self, epoch, logs=None):
            if len(broken.oracle.trials) == 2:
                raise KeyboardInterrupt

    broken = tuner_in(tmp_path / "resumed")
    with pytest.raises(KeyboardInterrupt):
        broken.search(
            X, Y, validation_data=(X, Y), batch_size=8, verbose=0, callbacks=[Stop()]
        )
    assert [trial.status for trial in broken.oracle.trials.values()] == [
        "COMPLETED",
        "RUNNING",
    ]
    # Another seed is given; the stored search keeps its own.
    resumed = search(tuner_in(tmp_path / "resumed", seed=99))
    assert resumed == whole


@pytest.mark.once
@pytest.mark.parametrize(
    ("objective", "direction"),
    [
        ("val_loss", "min"),
        ("loss", "min"),
        ("val_mean_absolute_error", "min"),
        ("val_binary_crossentropy", "min"),
        ("val_accuracy", "max"),
        ("val_sparse_categorical_accuracy", "max"),
        ("val_auc", "max"),
        (keras_tuner.Objective("val_f1_score", "max"), "max"),
    ],
)
def test_direction_of_the_objective(tmp_path, objective, direction):
    tuner = tuner_in(tmp_path, objective=objective)
    assert tuner.oracle.objective.direction == direction


@pytest.mark.once
@pytest.mark.parametrize(
    "name",
    [
        "val_f1_score",
        "val_r2_score",
        "val_cosine_similarity",
        "val_precision_at_recall",
        "val_mean_io_u",
        "val_own",
    ],
)
def test_an_unknown_direction_must_be_said(tmp_path, name):
    with pytest.raises(
        ValueError, match=f"argument `objective`.*Objective.{{2}}{name}"
    ):
        tuner_in(tmp_path, objective=["val_loss", name])


@pytest.mark.once
@pytest.mark.parametrize(
    ("arguments", "error", "name"),
    [
        ({"seed": -1}, ValueError, "seed"),
        ({"seed": 1.5}, TypeError, "seed"),
        ({"seed": True}, TypeError, "seed"),
        ({"max_trials": 0}, ValueError, "max_trials"),
        ({"objective": 3}, TypeError, "objective"),
    ],
)
def test_bad_arguments(tmp_path, arguments, error, name):
    with pytest.raises(error, match=f"argument `{name}`"):
        tuner_in(tmp_path, **arguments)
    assert list(tmp_path.iterdir()) == []


def test_a_hypermodel_is_needed(tmp_path):
    with pytest.raises(TypeError, match="argument `hypermodel`"):
        RandomSearch(objective="val_loss", directory=tmp_path)


@pytest.mark.once
def test_without_keras_tuner_the_extra_is_named():
    program = (
        "import sys; sys.modules['keras_tuner'] = None; import keras_practices.tuners"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert "MissingExtraError" in done.stderr
    assert "pip install keras-practices[search]" in done.stderr
