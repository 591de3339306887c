"""The tuners that the strategies of stages, samplers and annealing come to."""

import json

import keras
import numpy as np
import pytest

from keras_practices.search_record import SearchRecord
from keras_practices.tuners import learning_rate
from keras_practices.tuners.bayesian_search import BayesianSearch
from keras_practices.tuners.genetic_search import AnnealedGeneticSearch
from keras_practices.tuners.staged_search import StagedRandomSearch
from keras_practices.tuners.stages import Stage
from keras_practices.tuners.strategy import draw

# keras-tuner 1.4.8 asks threads for their names in the old way.
pytestmark = pytest.mark.filterwarnings(
    "ignore:currentThread:DeprecationWarning", "ignore:getName:DeprecationWarning"
)

RNG = np.random.default_rng(0)
X = RNG.normal(size=(32, 2)).astype("float32")
Y = X.sum(axis=1, keepdims=True)
STAGES = [Stage(1, trials=4), Stage(3, keep=2, trials=2), Stage(4, keep=1)]


def build(hp):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    rate = learning_rate(hp, low=1e-3)
    model.compile(keras.optimizers.SGD(rate), "mse")
    return model


def tuner_in(folder, kind=StagedRandomSearch, **arguments):
    settings = {"objective": "val_loss", "seed": 5, **arguments}
    return kind(build, directory=folder, project_name="search", **settings)


def search(tuner):
    tuner.search(X, Y, validation_data=(X, Y), batch_size=16, verbose=0)
    return SearchRecord.load(tuner.folder)


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    tuner = tuner_in(tmp_path_factory.mktemp("staged"), stages=STAGES)
    return tuner, search(tuner)


def test_stages_on_disk(searched):
    tuner, record = searched
    assert sorted(record.trials) == list(range(9))
    stages = {number: one.stage for number, one in record.trials.items()}
    assert list(stages.values()) == [1] * 4 + [2] * 4 + [3]
    epochs = [one.epochs for _, one in sorted(record.trials.items())]
    assert epochs == [1] * 4 + [3] * 4 + [4]
    for stage, count in ((1, 4), (2, 4), (3, 1)):
        assert len(list((tuner.folder / f"stage-{stage}").iterdir())) == count


def test_the_best_are_trained_on_from_where_they_stood(searched):
    tuner, record = searched
    trials = record.trials
    best = sorted(range(4), key=lambda number: trials[number].score)
    assert [trials[4].continues, trials[5].continues] == best[:2]
    assert trials[6].continues is trials[7].continues is None
    second = min(range(4, 8), key=lambda number: trials[number].score)
    assert trials[8].continues == second
    for number in (4, 5, 8):
        source = trials[trials[number].continues]
        assert trials[number].values == source.values
        # Gradient descent on a line at a rate below 0.1: every epoch is a step down.
        assert trials[number].score < source.score
        (path,) = tuner.folder.glob(f"stage-*/trial-{number:05d}/attempt-0/stats.jsonl")
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        expected = range(source.epochs + 1, trials[number].epochs + 1)
        assert [line["epoch"] for line in lines] == list(expected)


def test_the_best_model_is_that_of_the_last_stage(searched):
    tuner, record = searched
    best = tuner.get_best_models()[0].evaluate(X, Y, verbose=0)
    assert record.ranked[0].trial == 8
    assert best == pytest.approx(record.trials[8].score, rel=1e-4)


@pytest.mark.once
def test_a_killed_search_goes_on_within_its_stage(searched, tmp_path):
    _, whole = searched

    class Stop(keras.callbacks.Callback):
        begun = 0

        def on_train_begin(self, logs=None):
            Stop.begun += 1
            if Stop.begun == 6:
                raise KeyboardInterrupt

    tuner = tuner_in(tmp_path, stages=STAGES)
    with pytest.raises(KeyboardInterrupt):
        tuner.search(
            X, Y, validation_data=(X, Y), batch_size=16, verbose=0, callbacks=[Stop()]
        )
    assert len(SearchRecord.load(tuner.folder).trials) == 5
    resumed = search(tuner_in(tmp_path, stages=STAGES))
    for number, one in whole.trials.items():
        assert resumed.trials[number].values == one.values
        assert resumed.trials[number].score == pytest.approx(one.score, rel=1e-5)


def test_other_stages_are_refused_in_its_folder(searched):
    tuner, _ = searched
    with pytest.raises(ValueError, match="stages"):
        tuner_in(tuner.folder.parent, stages=[*STAGES, Stage(9, keep=1)])


@pytest.mark.once
@pytest.mark.parametrize("kind", [BayesianSearch, AnnealedGeneticSearch])
def test_the_other_searches_repeat(kind, tmp_path):
    extra = {"startup_trials": 2} if kind is BayesianSearch else {"explore_first": 0.5}
    found = []
    for name in ("a", "b"):
        tuner = tuner_in(tmp_path / name, kind, max_trials=4, **extra)
        record = search(tuner)
        found.append([one.values for _, one in sorted(record.trials.items())])
    assert found[0] == found[1]
    assert len({json.dumps(values) for values in found[0]}) == 4
    assert found[0][0] == draw(tuner.oracle.get_space(), 5, 0)
    assert record.strategy["name"] != "RandomStrategy"


@pytest.mark.once
@pytest.mark.parametrize(
    ("kind", "arguments", "error", "name"),
    [
        (StagedRandomSearch, {"stages": []}, ValueError, "stages"),
        (StagedRandomSearch, {"stages": [(1, 2)]}, TypeError, "stages"),
        (StagedRandomSearch, {"seed": -1}, ValueError, "seed"),
        (BayesianSearch, {"max_trials": 0}, ValueError, "max_trials"),
        (BayesianSearch, {"sampler": "cma"}, ValueError, "sampler"),
        (BayesianSearch, {"startup_trials": 0}, ValueError, "startup_trials"),
        (AnnealedGeneticSearch, {"max_trials": 1.5}, TypeError, "max_trials"),
        (AnnealedGeneticSearch, {"step_last": 0.5}, ValueError, "step_last"),
        (AnnealedGeneticSearch, {"explore_first": 2}, ValueError, "explore_first"),
    ],
)
def test_bad_arguments(tmp_path, kind, arguments, error, name):
    with pytest.raises(error, match=f"argument `{name}`"):
        tuner_in(tmp_path, kind, **arguments)
    assert list(tmp_path.iterdir()) == []
