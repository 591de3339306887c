import math

import keras
import keras_tuner
import numpy as np
import pytest

from keras_practices.errors import SearchFailedError
from keras_practices.errors import UsageError
from keras_practices.tuners.objectives import checked_objective
from keras_practices.tuners.outcomes import combine
from keras_practices.tuners.outcomes import read_outcomes

pytestmark = pytest.mark.once

LOSS = keras_tuner.Objective("val_loss", "min")
ACCURACY = keras_tuner.Objective("val_accuracy", "max")


def history(epochs, **values):
    found = keras.callbacks.History()
    found.epoch, found.history = list(epochs), values
    return found


def read(results, objective=LOSS):
    return read_outcomes(results, objective, "HyperModel.fit")


def test_the_best_epoch_of_a_history():
    (one,) = read(history(range(3), loss=[3, 2, 1], val_loss=[2.0, 0.5, 1.0]))
    assert one.metrics == {"loss": 2.0, "val_loss": 0.5}
    assert (one.best_epoch, one.epochs) == (2, 3)
    (one,) = read(history([5, 6], val_accuracy=[0.5, 0.5]), ACCURACY)
    assert (one.best_epoch, one.epochs) == (6, 7)  # of equals the earlier


def test_what_is_not_finite_is_never_the_best():
    (one,) = read(history(range(3), val_loss=[math.nan, 7.0, -math.inf]))
    assert (one.best_epoch, one.metrics["val_loss"]) == (2, 7.0)
    (one,) = read(history(range(2), val_loss=[math.nan, math.nan]))
    assert math.isnan(one.metrics["val_loss"])


def test_validation_in_some_epochs_only():
    (one,) = read(history(range(6), loss=[6, 5, 4, 3, 2, 1], val_loss=[3, 1, 2]))
    assert (one.best_epoch, one.metrics) == (4, {"loss": 3, "val_loss": 1})


def test_other_shapes_and_the_mean_of_executions():
    results = [
        {"val_loss": np.float32(1.0), "own": 4.0},
        history([0], val_loss=[2.0]),
        3,
    ]
    found = read(results)
    assert [one.metrics["val_loss"] for one in found] == [1.0, 2.0, 3.0]
    mean = combine(found)
    assert mean.metrics == {"val_loss": 2.0}
    assert (mean.best_epoch, mean.epochs) == (1, 1)


def test_several_objectives_are_summed():
    both = keras_tuner.engine.oracle.Oracle(
        checked_objective("test", ["val_loss", "val_accuracy"])
    ).objective
    (one,) = read(history(range(2), val_loss=[1.0, 0.5], val_accuracy=[0.9, 0.2]), both)
    assert one.best_epoch == 1
    assert one.metrics["multi_objective"] == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("results", "words"),
    [
        (None, "must return.*NoneType"),
        ([], "empty list"),
        ("0.3", "must return.*str"),
        (True, "must return.*bool"),
        ({"loss": 1.0}, "'val_loss' is not in.*'loss'"),
        (history([0], loss=[1.0], mae=[2.0]), "'val_loss'.*'loss', 'mae'"),
    ],
)
def test_results_that_no_trial_could_have(results, words):
    with pytest.raises(SearchFailedError, match=words):
        read(results)


def test_a_history_without_an_epoch():
    with pytest.raises(UsageError, match="without an epoch"):
        read(history([]))
