"""What a search does when things go wrong."""

import contextlib
import errno
import os

import keras
import numpy as np
import pytest

from keras_practices.errors import SearchFailedError
from keras_practices.search_record import SearchRecord
from keras_practices.tuners import RandomSearch
from keras_practices.tuners.strategy import RandomStrategy

pytestmark = pytest.mark.once

X = np.random.default_rng(0).normal(size=(16, 2)).astype("float32")
Y = X.sum(axis=1, keepdims=True)


class Function(RandomSearch):
    """Tunes `function(number, value)` of the hyperparameter x in [0, 1]."""

    def run_trial(self, trial, *args, **kwargs):
        hp = trial.hyperparameters
        return self.function(int(trial.trial_id), hp.Float("x", 0.0, 1.0))


def tuner_in(folder, function=lambda number, x: x, **arguments):
    settings = {
        "objective": "score_loss",
        "max_trials": 6,
        "seed": 1,
        "directory": folder,
        "project_name": "search",
        **arguments,
    }
    tuner = Function(**settings)
    tuner.function = function
    return tuner


def model_tuner(folder, build, **arguments):
    settings = {"max_trials": 5, "seed": 1, "directory": folder, **arguments}
    return RandomSearch(build, "val_loss", project_name="search", **settings)


def compiled(units=1):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(units)])
    model.compile("sgd", "mse")
    return model


def statuses(tuner):
    return [one.status for one in SearchRecord.load(tuner.folder).trials.values()]


def test_single_failures_end_nothing(tmp_path):
    def function(number, x):
        if number % 2:
            raise ValueError(f"trial {number} is odd")
        return float("nan") if number == 2 else x

    tuner = tuner_in(tmp_path, function)
    tuner.search(verbose=0)
    good, early, bad = "completed", "ended-early", "failed"
    assert statuses(tuner) == [good, bad, early, bad, good, bad]
    record = SearchRecord.load(tuner.folder)
    assert "trial 3 is odd" in record.trials[3].error
    error = tuner.folder / "stage-1/trial-00003/attempt-0/error.txt"
    assert error.read_text() == record.trials[3].error
    assert "not finite" in record.trials[2].reason
    assert [one.trial for one in record.ranked] == sorted(
        (0, 4), key=lambda number: record.trials[number].score
    )
    trial = tuner.oracle.get_trial("00003")
    assert (trial.status, "is odd" in trial.message) == ("FAILED", True)


def test_all_fail(tmp_path):
    def function(number, x):
        raise ValueError("always")

    tuner = tuner_in(tmp_path, function, max_consecutive_failed_trials=2)
    with pytest.raises(SearchFailedError, match="2 trials in a row.*always") as raised:
        tuner.search(verbose=0)
    for number in range(2):
        path = tuner.folder / f"stage-1/trial-0000{number}/attempt-0/error.txt"
        assert str(path) in str(raised.value)
        assert "ValueError: always" in path.read_text()
    # Corrected, the search goes on behind them.
    tuner_in(tmp_path).search(verbose=0)
    assert statuses(tuner) == ["failed"] * 2 + ["completed"] * 4


def test_retries_have_folders_of_their_own(tmp_path):
    calls = []

    def function(number, x):
        calls.append(np.random.default_rng(None) is not None and np.random.random())
        if len(calls) < 3:
            raise ValueError("not yet")
        return x

    tuner = tuner_in(tmp_path, function, max_trials=1, max_retries_per_trial=2)
    tuner.search(verbose=0)
    assert len(set(calls)) == 3  # other seeds: the same would fail again
    (result,) = SearchRecord.load(tuner.folder).trials.values()
    assert (result.status, result.attempt) == ("completed", 2)


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda hp: None, "must return a compiled keras.Model.*NoneType"),
        (lambda hp: keras.Sequential([keras.layers.Dense(1)]), "without compiling"),
    ],
)
def test_a_build_that_gives_no_model_is_found_at_once(tmp_path, build, words):
    with pytest.raises(SearchFailedError, match=words):
        model_tuner(tmp_path, build)


def test_an_objective_that_is_not_in_the_logs(tmp_path):
    tuner = model_tuner(tmp_path, lambda hp: compiled(), max_trials=1)
    with pytest.raises(SearchFailedError, match="'val_loss'.*epoch 1.*has 'loss'"):
        tuner.search(X, Y, epochs=50, verbose=0)
    assert statuses(tuner) == []
    tuner.search(X, Y, epochs=1, validation_split=0.5, verbose=0)
    assert statuses(tuner) == ["completed"]


def test_a_model_that_is_too_large_is_not_trained(tmp_path):
    sizes = iter([1, 9, 9, 9, 9, 1])  # the first one finds the space
    tuner = model_tuner(
        tmp_path, lambda hp: compiled(next(sizes)), max_model_size=20, ends_early=False
    )
    tuner.search(X, np.zeros((16, 1)), validation_split=0.5, verbose=0)
    assert statuses(tuner) == ["ended-early"] * 4 + ["completed"]
    reason = SearchRecord.load(tuner.folder).trials[0].reason
    assert "27 trainable weights" in reason


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"objective": "other_loss"}, 'objective: there {"name": "score_loss"}'),
        ({"executions_per_trial": 2}, 'settings: there {"executions": 1}'),
    ],
)
def test_two_searches_on_one_folder(tmp_path, arguments, words):
    tuner_in(tmp_path).search(verbose=0)
    with pytest.raises(ValueError, match="another search") as raised:
        tuner_in(tmp_path, **arguments)
    assert words in str(raised.value)
    tuner_in(tmp_path, overwrite=True, **arguments)
    assert not (tmp_path / "search/search.json").exists()


def test_another_space_is_refused(tmp_path):
    def build(low):
        return lambda hp: compiled(hp.Int("units", low, 5))

    model_tuner(tmp_path, build(1), max_trials=1).search(
        X, np.zeros((16, 1)), validation_split=0.5, verbose=0
    )
    with pytest.raises(ValueError, match="hyperparameter 'units'.*low.*1.*low.*2"):
        model_tuner(tmp_path, build(2))


def test_a_search_of_keras_tuner_itself_is_refused(tmp_path):
    (tmp_path / "search").mkdir()
    (tmp_path / "search/oracle.json").write_text("{}")
    with pytest.raises(ValueError, match="keras-tuner's own"):
        tuner_in(tmp_path)


def test_a_second_process_is_refused(tmp_path):
    def function(number, x):
        with pytest.raises(RuntimeError, match="Another process searches"):
            tuner_in(tmp_path).search(verbose=0)
        return x

    tuner = tuner_in(tmp_path, function, max_trials=1)
    tuner.search(verbose=0)
    assert statuses(tuner) == ["completed"]


def test_a_callback_that_cannot_be_copied(tmp_path):
    callback = keras.callbacks.Callback()
    callback.handle = open(os.devnull)
    with callback.handle, pytest.raises(TypeError, match="argument `callbacks`"):
        tuner_in(tmp_path).search(callbacks=[callback], verbose=0)


def test_a_hyperparameter_more_leaves_the_others_as_they_are(tmp_path):
    names = ("x", "y")
    points = []
    for count in (1, 2):
        tuner = tuner_in(tmp_path / str(count))
        for name in names[:count]:
            tuner.oracle.hyperparameters.Float(name, 0.0, 1.0)
        strategy = RandomStrategy(3, 7)
        space = tuner.oracle.get_space()
        points.append([strategy.proposal(space, n, {}).values["x"] for n in range(3)])
    assert points[0] == points[1]


@pytest.mark.parametrize(
    ("arguments", "error", "name"),
    [
        ({"executions_per_trial": 0}, ValueError, "executions_per_trial"),
        ({"keep_checkpoints": -1}, ValueError, "keep_checkpoints"),
        ({"max_disk_gb": 0}, ValueError, "max_disk_gb"),
        ({"max_disk_gb": "1"}, TypeError, "max_disk_gb"),
        ({"max_retries_per_trial": -1}, ValueError, "max_retries_per_trial"),
        (
            {"max_consecutive_failed_trials": 0},
            ValueError,
            "max_consecutive_failed_trials",
        ),
        ({"cross_validation": 1}, ValueError, "cross_validation"),
        ({"preprocess": abs}, ValueError, "preprocess"),
        ({"pruner": object()}, ValueError, "pruner"),
    ],
)
def test_bad_arguments_of_a_search(tmp_path, arguments, error, name):
    with pytest.raises(error, match=f"argument `{name}`"):
        tuner_in(tmp_path, **arguments)
    assert list(tmp_path.iterdir()) == []


class Killed(BaseException):
    """Stands for a kill: nothing in the library catches it."""


@contextlib.contextmanager
def faulty(monkeypatch, place, fault):
    """Lets the `place`-th write of a search fail; yields the count of writes."""
    count = [0]

    def failing(function, writes=lambda *args, **kwargs: True):
        def call(*args, **kwargs):
            if writes(*args, **kwargs):
                count[0] += 1
                if count[0] == place:
                    if function is original_open:
                        function(*args, **kwargs).close()  # it is there, and empty
                    raise fault
            return function(*args, **kwargs)

        return call

    def opens_for_writing(path, mode="r", *args, **kwargs):
        return "search" in str(path) and set(mode) & set("wa")

    original_open = open
    with monkeypatch.context() as patch:
        for name in ("link", "replace", "mkdir"):
            patch.setattr(os, name, failing(getattr(os, name)))
        patch.setattr("builtins.open", failing(open, opens_for_writing))
        yield count


def results(folder):
    table = SearchRecord.load(folder / "search").trials
    return {k: (one.values, one.score, one.status) for k, one in table.items()}


@pytest.mark.filterwarnings("ignore:The disk of the search:UserWarning")
@pytest.mark.parametrize("fault", [Killed(), OSError(errno.ENOSPC, "full")])
def test_a_fault_at_every_write(tmp_path, monkeypatch, fault):
    def run(folder, place):
        with faulty(monkeypatch, place, fault) as count:
            with contextlib.suppress(Killed, OSError):
                tuner_in(folder, max_trials=2).search(verbose=0)
        return count[0]

    writes = run(tmp_path / "whole", 0)
    whole = results(tmp_path / "whole")
    assert len(whole) == 2
    assert writes >= 10
    for place in range(1, writes + 1):
        folder = tmp_path / str(place)
        run(folder, place)
        tuner_in(folder, max_trials=2).search(verbose=0)
        assert results(folder) == whole
