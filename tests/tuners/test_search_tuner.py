"""Searches with real models: what they leave behind, and what they go on from."""

import json

import keras
import numpy as np
import pytest

from keras_practices.search_record import SearchRecord
from keras_practices.tuners import RandomSearch
from keras_practices.tuners import SearchTuner
from keras_practices.tuners import learning_rate
from keras_practices.tuners.strategy import WAIT
from keras_practices.tuners.strategy import Proposal
from keras_practices.tuners.strategy import Strategy

RNG = np.random.default_rng(0)
X = RNG.normal(size=(128, 2)).astype("float32")
Y = X.sum(axis=1, keepdims=True)
FIT = {"validation_data": (X[:32], Y[:32]), "batch_size": 32, "verbose": 0}


def build(hp):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile(
        keras.optimizers.SGD(learning_rate(hp, low=1e-3)), "mse", metrics=["mae"]
    )
    return model


class Continue(Strategy):
    """Trials 0 and 1 are trained for 2 epochs; the better one goes on to epoch 5."""

    def proposal(self, space, trial, results, running=None):
        if trial < 2:
            return Proposal(trial, {"learning_rate": 0.01 + trial / 20}, epochs=2)
        if trial > 2:
            return None
        if not {0, 1} <= set(results):
            return WAIT
        best = min((results[0], results[1]), key=lambda one: one.score)
        return Proposal(2, best.values, stage=2, epochs=5, continues=best.trial)

    def get_config(self):
        return {}


@pytest.fixture(scope="module")
def staged(tmp_path_factory):
    tuner = SearchTuner(
        build,
        "val_loss",
        lambda seed, direction: Continue(),
        seed=1,
        keep_checkpoints=1,
        directory=tmp_path_factory.mktemp("staged"),
        project_name="search",
    )
    tuner.search(X, Y, **FIT)
    return tuner


def lines_of(folder):
    text = (folder / "attempt-0" / "stats.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


def test_files_of_a_search(staged):
    record = SearchRecord.load(staged.folder)
    assert (record.objective, record.direction, record.seed) == ("val_loss", "min", 1)
    (rate,) = record.space
    assert (rate["name"], rate["kind"], rate["scale"]) == (
        "learning_rate",
        "float",
        "log",
    )
    assert (rate["low"], rate["high"]) == (1e-3, 1e-1)
    assert {
        number: one.status for number, one in record.trials.items()
    } == dict.fromkeys(range(3), "completed")
    for number, one in record.trials.items():
        lines = lines_of(staged.folder / f"stage-{one.stage}/trial-{number:05d}")
        losses = {line["epoch"]: line["val_loss"] for line in lines}
        assert min(losses.values()) == pytest.approx(one.score, rel=1e-6)
        assert losses[one.best_epoch] == min(losses.values())
        assert one.metrics["val_loss"] == one.score
        for line in lines:
            assert line["seconds"] >= 0
            rate = one.values["learning_rate"]
            assert line["learning_rate"] == pytest.approx(rate, rel=1e-6)
    # The worse one of stage 1 has lost its weights; nothing half written is there.
    kept = sorted(path.name for path in staged.folder.rglob("*.h5"))
    better = record.trials[record.trials[2].continues]
    assert kept == sorted(
        f"epoch-{one.best_epoch:04d}_val_loss-{np.float32(one.score)!s}.weights.h5"
        for one in (better, record.trials[2])
    )
    assert not list(staged.folder.rglob("*partial*"))


def test_a_promoted_trial_goes_on_from_the_best_weights(staged):
    record = SearchRecord.load(staged.folder)
    last, source = record.trials[2], record.trials[record.trials[2].continues]
    lines = lines_of(staged.folder / "stage-2/trial-00002")
    assert [line["epoch"] for line in lines] == [3, 4, 5]
    assert (last.stage, last.epochs, last.values) == (2, 5, source.values)
    assert lines[0]["val_loss"] < source.score


def test_the_best_model_is_that_of_the_best_epoch(staged):
    model = staged.get_best_models()[0]
    found = model.evaluate(*FIT["validation_data"], verbose=0, return_dict=True)
    best = SearchRecord.load(staged.folder).ranked[0]
    assert found["loss"] == pytest.approx(best.score, rel=1e-5)
    assert staged.get_best_hyperparameters()[0].values == best.values
    with pytest.raises(RuntimeError, match="weights of trial"):
        staged.get_best_models(3)


def test_a_search_that_is_done_trains_nothing(staged, capsys):
    def never(hp):
        if trained:
            raise AssertionError
        return build(hp)

    trained = False
    again = SearchTuner(
        never,
        "val_loss",
        lambda seed, direction: Continue(),
        directory=staged.directory,
        project_name="search",
    )
    trained = True
    again.search(X, Y, **FIT)
    assert again.seed == 1
    again.results_summary()
    again.search_space_summary()
    said = capsys.readouterr().out
    assert "Trial 00002 summary" in said
    assert "learning_rate (Float)" in said
    with pytest.raises(ValueError, match="fingerprint of the data"):
        again.search(X, Y, **{**FIT, "validation_data": (X[:32], Y[:32] + 1)})


def tuner_in(folder, hypermodel=build, **arguments):
    settings = {"max_trials": 1, "seed": 2, "directory": folder, **arguments}
    return RandomSearch(hypermodel, "val_loss", project_name="search", **settings)


def test_batch_size_and_epochs_are_searched(tmp_path):
    def build_with(hp):
        hp.Fixed("batch_size", 64)
        hp.Fixed("epochs", 3)
        return build(hp)

    steps = []

    class Count(keras.callbacks.Callback):
        def __deepcopy__(self, memo):
            return self

        def on_train_batch_end(self, batch, logs=None):
            steps.append(batch)

    tuner = tuner_in(tmp_path, build_with)
    tuner.search(X, Y, validation_data=(X, Y), verbose=0, callbacks=[Count()])
    assert steps == [0, 1] * 3


def test_cross_validation_trains_a_model_for_each_fold(tmp_path):
    rows = []

    def preprocess(x):
        rows.append(len(x))
        return lambda part: part - x.mean(axis=0)

    tuner = tuner_in(tmp_path, cross_validation=2, preprocess=preprocess)
    tuner.search(X, Y, epochs=1, batch_size=32, verbose=0)
    (result,) = SearchRecord.load(tuner.folder).trials.values()
    assert rows == [64, 64]
    scores = [figures["val_loss"] for figures in result.executions]
    assert len(set(scores)) == 2
    assert result.score == pytest.approx(np.mean(scores))
    folds = [line["fold"] for line in lines_of(tuner.folder / "stage-1/trial-00000")]
    assert folds == [0, 1]
    with pytest.raises(RuntimeError, match="cross_validation keeps none"):
        tuner.get_best_models()


def rate_of(value):
    def build_at(hp):
        hidden = keras.layers.Dense(8, activation="relu")
        model = keras.Sequential([keras.Input((2,)), hidden, keras.layers.Dense(1)])
        model.compile(keras.optimizers.SGD(value), "mse")
        return model

    return build_at


def dead(hp):
    low = keras.initializers.Constant(-50.0)
    hidden = keras.layers.Dense(8, activation="relu", bias_initializer=low)
    model = keras.Sequential([keras.Input((2,)), hidden, keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(1e-3), "mse")
    return model


@pytest.mark.parametrize(
    ("hypermodel", "rule", "most"),
    [
        (rate_of(1e20), "loss-not-finite", 1),
        (rate_of(1e-9), "learning-rate-too-low", 4),
        (dead, "dead-units", 4),
    ],
)
def test_a_hopeless_trial_ends_in_its_first_epochs(tmp_path, hypermodel, rule, most):
    tuner = tuner_in(tmp_path, hypermodel)
    tuner.search(X, Y, validation_data=(X, Y), epochs=8, batch_size=4, verbose=0)
    (result,) = SearchRecord.load(tuner.folder).trials.values()
    assert result.status == "ended-early"
    assert result.reason.startswith(rule)
    assert result.epochs <= most


def test_a_trial_that_learns_is_left_alone(tmp_path):
    tuner = tuner_in(tmp_path, rate_of(0.05))
    tuner.search(X, Y, validation_data=(X, Y), epochs=4, batch_size=32, verbose=0)
    (result,) = SearchRecord.load(tuner.folder).trials.values()
    assert (result.status, result.epochs) == ("completed", 4)
