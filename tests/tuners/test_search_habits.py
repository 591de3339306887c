"""What users of keras-tuner are used to, without a model where none is needed."""

import keras
import keras_tuner
import numpy as np
import pytest

from keras_practices.search_record import SearchRecord
from keras_practices.tuners import RandomSearch

pytestmark = pytest.mark.once

X = np.random.default_rng(0).normal(size=(16, 2)).astype("float32")
Y = X.sum(axis=1, keepdims=True)


class Parabola(RandomSearch):
    """keras-tuner's own example: a function is tuned, and no model is there."""

    def run_trial(self, trial, *args, **kwargs):
        x = trial.hyperparameters.Float("x", -1.0, 1.0)
        return self.answer(trial, x * x)

    def answer(self, trial, value):
        return value


class Dictionary(Parabola):
    def answer(self, trial, value):
        return {"val_loss": value, "own": 2 * value}


class Listed(Parabola):
    def answer(self, trial, value):
        return [value, {"val_loss": value}]


class Reported(Parabola):
    def answer(self, trial, value):
        self.oracle.update_trial(trial.trial_id, {"val_loss": value}, step=3)


@pytest.mark.parametrize("kind", [Parabola, Dictionary, Listed, Reported])
def test_a_run_trial_of_ones_own(tmp_path, kind):
    tuner = kind(
        objective="val_loss", max_trials=4, seed=3, directory=tmp_path, project_name="p"
    )
    tuner.search(verbose=0)
    trials = list(tuner.oracle.trials.values())
    points = [trial.hyperparameters.values["x"] for trial in trials]
    assert [trial.score for trial in trials] == [pytest.approx(x * x) for x in points]
    # The first trial finds the space; its point is the default.
    assert len({round(x, 12) for x in points}) == 4
    best = tuner.oracle.get_best_trials(2)
    assert [trial.score for trial in best] == sorted(t.score for t in trials)[:2]
    assert tuner.get_best_hyperparameters()[0].get("x") == min(points, key=abs)
    assert tuner.remaining_trials == 0
    assert [one["name"] for one in SearchRecord.load(tuner.folder).space] == ["x"]
    # A new process finds the space of the trials again, and can be asked for more.
    more = kind(
        objective="val_loss", max_trials=5, directory=tmp_path, project_name="p"
    )
    more.search(verbose=0)
    assert len(more.oracle.trials) == 5
    assert more.oracle.get_trial("00004").hyperparameters.values["x"] not in points


class Hyper(keras_tuner.HyperModel):
    """Conditions, a `fit` with hyperparameters of its own, a figure made after it."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def build(self, hp):
        kind = hp.Choice("kind", ["flat", "deep"])
        model = keras.Sequential([keras.Input((2,))])
        with hp.conditional_scope("kind", ["deep"]):
            if kind == "deep":
                model.add(keras.layers.Dense(hp.Int("units", 2, 4)))
        model.add(keras.layers.Dense(1))
        model.compile("sgd", "mse")
        return model

    def fit(self, hp, model, *args, **kwargs):
        size = hp.Choice("batch_size", [4, 8])
        self.seen.append((size, kwargs["epochs"], len(kwargs["callbacks"])))
        history = model.fit(*args, batch_size=size, **kwargs)
        return {"own": float(history.history["loss"][-1])}


def test_a_hypermodel_with_a_fit_of_its_own(tmp_path, capsys):
    hyper, hooks = Hyper(), []

    class Watching(RandomSearch):
        def on_trial_begin(self, trial):
            hooks.append(("begin", trial.trial_id))

        def on_epoch_end(self, trial, model, epoch, logs=None):
            hooks.append((epoch, "loss" in logs))

        def on_trial_end(self, trial):
            super().on_trial_end(trial)
            hooks.append(("end", trial.score))

    tuner = Watching(
        hyper,
        keras_tuner.Objective("own", "min"),
        max_trials=3,
        seed=0,
        directory=tmp_path,
        project_name="p",
    )
    names = {parameter.name for parameter in tuner.oracle.get_space().space}
    assert names == {"kind", "units"}
    tuner.search(X, Y, epochs=2, callbacks=[keras.callbacks.TerminateOnNaN()])
    assert [(epochs, more > 1) for _, epochs, more in hyper.seen] == [(2, True)] * 3
    scores = [trial.score for trial in tuner.oracle.trials.values()]
    steps = [(0, True), (1, True)]
    assert hooks == [
        item
        for number, score in enumerate(scores)
        for item in [("begin", f"{number:05d}"), *steps, ("end", score)]
    ]
    for trial in tuner.oracle.trials.values():
        values = trial.hyperparameters.values
        assert ("units" in values) == (values["kind"] == "deep")
        assert values["batch_size"] in (4, 8)
    assert "Best own So Far" in capsys.readouterr().out
    # The objective is made after `fit`, so the weights are those of the last epoch.
    assert isinstance(tuner.get_best_models()[0], keras.Sequential)


def test_shapes_that_only_the_data_tell(tmp_path):
    def build(hp):
        model = keras.Sequential([keras.layers.Dense(hp.Int("units", 1, 3))])
        model.compile("sgd", "mse")
        return model

    tuner = RandomSearch(
        build, "loss", max_trials=1, directory=tmp_path, project_name="p"
    )
    tuner.search(X, Y, verbose=0)
    model = tuner.get_best_models()[0]
    best = tuner.oracle.get_best_trials()[0]
    assert model.evaluate(X, Y, verbose=0) < best.score * 1.5
    assert model.predict(X, verbose=0).shape == (16, best.hyperparameters["units"])


def test_hyperparameters_may_be_fixed_from_outside(tmp_path):
    hp = keras_tuner.HyperParameters()
    hp.Fixed("x", 0.5)
    tuner = Parabola(
        objective="val_loss",
        max_trials=1,
        hyperparameters=hp,
        tune_new_entries=False,
        directory=tmp_path,
        project_name="p",
    )
    tuner.search(verbose=0)
    assert tuner.oracle.get_best_trials()[0].score == 0.25
