import dataclasses
import json
import sys

import keras_tuner
import numpy as np
import optuna
import pytest
from toy_space import SPACE
from toy_space import badness
from toy_space import make_space
from toy_space import search

from keras_practices.search_record import FAILED
from keras_practices.search_record import TrialResult
from keras_practices.tuners.bayesian_strategy import BayesianStrategy
from keras_practices.tuners.strategy import RandomStrategy
from keras_practices.tuners.strategy import draw

pytestmark = pytest.mark.once


@pytest.fixture(scope="module")
def results():
    return search(BayesianStrategy(24, "min", seed=1))


def test_it_beats_chance():
    """Mean of the last ten points of each of three searches, beside random ones."""

    def late(strategy):
        found = search(strategy)
        return np.mean([badness(found[trial].values) for trial in range(15, 25)])

    own = [late(BayesianStrategy(25, "min", seed)) for seed in range(3)]
    chance = [late(RandomStrategy(25, seed)) for seed in range(20)]
    assert np.mean(own) < 0.7 * np.mean(chance)


def test_to_maximize_is_to_minimize_the_negative(results):
    negative = {
        trial: dataclasses.replace(one, score=-one.score)
        for trial, one in results.items()
    }
    low = BayesianStrategy(30, "min", seed=1)
    high = BayesianStrategy(30, "max", seed=1)
    expected = low.proposal(SPACE, 24, results)
    assert high.proposal(SPACE, 24, negative) == expected
    assert high.proposal(SPACE, 24, results) != expected


def test_the_first_points_are_random(results):
    for trial in range(10):
        assert results[trial].values == draw(SPACE, 1, trial)
    assert results[10].values != draw(SPACE, 1, 10)


def test_the_same_results_give_the_same_point(results):
    strategy = BayesianStrategy(30, "min", seed=1)
    np.random.seed(3)
    verbosity = optuna.logging.get_verbosity()
    first = strategy.proposal(SPACE, 24, results)
    after = np.random.random()
    np.random.seed(3)
    assert after == np.random.random()
    assert optuna.logging.get_verbosity() == verbosity
    again = BayesianStrategy(30, "min", seed=1)
    assert again.proposal(SPACE, 24, dict(reversed(results.items()))) == first
    assert BayesianStrategy(30, "min", seed=2).proposal(SPACE, 24, results) != first
    assert strategy.proposal(SPACE, 25, results).values != first.values


def test_points_are_of_the_space(results):
    for one in results.values():
        values = one.values
        assert 1e-5 <= values["rate"] <= 1.0
        assert values["width"] in range(8, 65)
        assert round(values["dropout"] * 10, 6) in range(8)
        assert values["depth"] == 2
        assert ("momentum" in values) == (values["optimizer"] == "sgd")
        assert json.loads(json.dumps(values)) == values


def line():
    hp = keras_tuner.HyperParameters()
    hp.Float("x", 0.0, 1.0)
    return hp


def proposed(strategy, results, running=None):
    """Points that many seeds would propose after these results."""
    return np.array(
        [
            strategy(seed).proposal(line(), 10, results, running).values["x"]
            for seed in range(25)
        ]
    )


def test_it_keeps_away_from_failures_and_from_what_runs():
    """Good at both ends of a line; one end fails, or is being tried already."""
    values = np.linspace(0.02, 0.98, 20)
    results = {
        trial: TrialResult(trial, {"x": x}, score=min(x, 1 - x))
        for trial, x in enumerate(values)
    }

    def strategy(seed):
        return BayesianStrategy(100, "min", seed, startup_trials=1)

    plain = proposed(strategy, results)
    assert np.mean(plain < 0.5) == pytest.approx(0.5, abs=0.35)
    failed = {
        100 + k: TrialResult(100 + k, {"x": 0.01 * k}, status=FAILED) for k in range(12)
    }
    away = proposed(strategy, {**results, **failed})
    assert np.mean(away < 0.12) < np.mean(plain < 0.12) / 2
    busy = {trial: one.values for trial, one in failed.items()}
    assert np.array_equal(proposed(strategy, results, busy), away)


def test_where_nothing_has_a_score_it_draws():
    strategy = BayesianStrategy(30, "min", seed=1, startup_trials=2)
    failed = {k: TrialResult(k, draw(SPACE, 1, k), status=FAILED) for k in range(5)}
    assert strategy.proposal(SPACE, 5, failed).values == draw(SPACE, 1, 5)


def test_a_space_that_has_grown(results):
    grown = make_space()
    grown.Float("decay", 1e-6, 1e-2, sampling="log")
    strategy = BayesianStrategy(30, "min", seed=1)
    values = strategy.proposal(grown, 24, results).values
    assert 1e-6 <= values["decay"] <= 1e-2


def test_a_gaussian_process_finds_the_valley():
    pytest.importorskip("torch")
    results = {
        trial: TrialResult(trial, {"x": x}, score=(x - 0.3) ** 2)
        for trial, x in enumerate([0.0, 0.15, 0.5, 0.75, 1.0])
    }
    strategy = BayesianStrategy(10, "min", seed=1, startup_trials=2, sampler="gp")
    found = strategy.proposal(line(), 5, results).values["x"]
    assert found == pytest.approx(0.3, abs=0.12)


def test_it_ends():
    assert BayesianStrategy(3, "min", seed=1).proposal(SPACE, 3, {}) is None


@pytest.mark.parametrize(
    ("arguments", "error", "name"),
    [
        ({"max_trials": 0}, ValueError, "max_trials"),
        ({"direction": "up"}, ValueError, "direction"),
        ({"seed": -1}, ValueError, "seed"),
        ({"startup_trials": 0}, ValueError, "startup_trials"),
        ({"startup_trials": 2.5}, TypeError, "startup_trials"),
        ({"sampler": "cma"}, ValueError, "sampler"),
    ],
)
def test_bad_arguments(arguments, error, name):
    settings = {"max_trials": 3, "direction": "min", "seed": 1, **arguments}
    with pytest.raises(error, match=f"argument `{name}`"):
        BayesianStrategy(**settings)


def test_configuration_is_plain():
    config = BayesianStrategy(3, "max", 1, 2, "tpe").get_config()
    assert json.loads(json.dumps(config)) == config
    assert BayesianStrategy(**config).get_config() == config


def test_without_optuna_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(ImportError, match=r"pip install keras-practices\[search\]"):
        BayesianStrategy(3, "min", seed=1)
