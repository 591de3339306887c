import dataclasses
import json

import keras_tuner
import numpy as np
import pytest
from toy_space import SPACE
from toy_space import badness
from toy_space import search

from keras_practices.search_record import FAILED
from keras_practices.search_record import TrialResult
from keras_practices.tuners.genetic_strategy import AnnealedGeneticStrategy
from keras_practices.tuners.genetic_strategy import distances
from keras_practices.tuners.strategy import RandomStrategy
from keras_practices.tuners.strategy import draw

pytestmark = pytest.mark.once


def square():
    hp = keras_tuner.HyperParameters()
    hp.Float("x", 0.0, 1.0)
    hp.Float("y", 0.0, 1.0)
    return hp


@pytest.fixture(scope="module")
def results():
    return search(AnnealedGeneticStrategy(40, "min", seed=1))


def test_it_beats_chance():
    """Mean of the last ten points of each of four searches, beside random ones."""

    def late(strategy):
        found = search(strategy)
        return np.mean([badness(found[trial].values) for trial in range(20, 30)])

    own = [late(AnnealedGeneticStrategy(30, "min", seed)) for seed in range(4)]
    chance = [late(RandomStrategy(30, seed)) for seed in range(20)]
    assert np.mean(own) < 0.6 * np.mean(chance)


def test_to_maximize_is_to_minimize_the_negative(results):
    negative = {
        trial: dataclasses.replace(one, score=-one.score)
        for trial, one in results.items()
    }
    low = AnnealedGeneticStrategy(50, "min", seed=1)
    high = AnnealedGeneticStrategy(50, "max", seed=1)
    for trial in (40, 45, 49):
        expected = low.proposal(SPACE, trial, results)
        assert high.proposal(SPACE, trial, negative) == expected
    assert high.proposal(SPACE, 49, results) != low.proposal(SPACE, 49, results)


def test_the_same_results_give_the_same_point(results):
    strategy = AnnealedGeneticStrategy(50, "min", seed=1)
    for trial in (40, 45, 49):
        first = strategy.proposal(SPACE, trial, results)
        shuffled = dict(reversed(results.items()))
        assert strategy.proposal(SPACE, trial, shuffled) == first
        other = AnnealedGeneticStrategy(50, "min", seed=2)
        assert other.proposal(SPACE, trial, results) != first


def test_points_are_of_the_space_and_new(results):
    seen = [one.values for one in results.values()]
    assert len({json.dumps(values, sort_keys=True) for values in seen}) == 40
    for values in seen:
        assert 1e-5 <= values["rate"] <= 1.0
        assert round(values["dropout"] * 10, 6) in range(8)
        assert values["depth"] == 2
        assert ("momentum" in values) == (values["optimizer"] == "sgd")
        assert json.loads(json.dumps(values)) == values


def test_exploring_finds_the_hole():
    """A square full of points but around (0.7, 0.4)."""
    grid = [(x, y) for x in np.arange(0, 1, 0.1) for y in np.arange(0, 1, 0.1)]
    kept = [(x, y) for x, y in grid if (x - 0.7) ** 2 + (y - 0.4) ** 2 > 0.3**2]
    results = {
        k: TrialResult(k, {"x": float(x), "y": float(y)}, score=1.0)
        for k, (x, y) in enumerate(kept)
    }
    strategy = AnnealedGeneticStrategy(500, "min", 1, explore_first=1, explore_last=1)
    found = strategy.proposal(square(), len(kept), results).values
    assert np.hypot(found["x"] - 0.7, found["y"] - 0.4) < 0.1
    running = {400: {"x": 0.7, "y": 0.4}}
    other = strategy.proposal(square(), len(kept), results, running).values
    assert np.hypot(other["x"] - 0.7, other["y"] - 0.4) > 0.1


def test_exploring_fills_the_square_better_than_chance():
    """The largest hole after 30 points, measured on a fine grid."""

    def hole(strategy):
        results = {}
        for trial in range(30):
            values = strategy.proposal(square(), trial, results).values
            results[trial] = TrialResult(trial, values, score=0.0)
        points = np.array([list(one.values.values()) for one in results.values()])
        grid = np.stack(np.meshgrid(*[np.linspace(0, 1, 40)] * 2), -1).reshape(-1, 2)
        return np.linalg.norm(grid[:, None] - points, axis=2).min(axis=1).max()

    explorer = [
        hole(AnnealedGeneticStrategy(30, "min", seed, explore_last=1.0))
        for seed in range(4)
    ]
    chance = [hole(RandomStrategy(30, seed)) for seed in range(20)]
    # Five standard errors of the twenty: the smaller mean is no luck.
    error = np.std(chance) / np.sqrt(20)
    assert np.mean(explorer) < np.mean(chance) - 5 * error


def share_explored(trial, count=150):
    """How often a trial lies far from the one good point that there is."""
    results = {0: TrialResult(0, {"x": 0.5, "y": 0.5}, score=1.0)}
    far = 0
    for seed in range(count):
        strategy = AnnealedGeneticStrategy(101, "min", seed, 0.8, 0.1, 0.02, 0.02)
        values = strategy.proposal(square(), trial, results).values
        far += max(abs(values["x"] - 0.5), abs(values["y"] - 0.5)) > 0.2
    return far / count


@pytest.mark.parametrize(("trial", "expected"), [(0, 0.8), (50, 0.08**0.5), (100, 0.1)])
def test_the_probability_to_explore_falls_geometrically(trial, expected):
    error = 5 * np.sqrt(expected * (1 - expected) / 150)
    assert share_explored(trial) == pytest.approx(expected, abs=error)


def test_the_width_of_mutations_falls():
    results = {0: TrialResult(0, {"x": 0.5, "y": 0.5}, score=1.0)}

    def spread(trial):
        steps = []
        for seed in range(200):
            strategy = AnnealedGeneticStrategy(101, "min", seed, 1e-9, 1e-9, 0.1, 0.01)
            values = strategy.proposal(square(), trial, results).values
            steps += [value - 0.5 for value in values.values() if value != 0.5]
        assert len(steps) >= 200
        return np.std(steps), len(steps)

    for trial, width in ((0, 0.1), (50, 0.1**1.5), (100, 0.01)):
        found, count = spread(trial)
        assert found == pytest.approx(width, rel=5 / np.sqrt(2 * count))


def test_failures_are_no_parents_but_count_as_tried():
    results = {k: TrialResult(k, {"x": 0.5, "y": 0.5}, status=FAILED) for k in range(3)}
    for seed in range(20):
        strategy = AnnealedGeneticStrategy(9, "min", seed, 1e-9, 1e-9)
        values = strategy.proposal(square(), 8, results).values
        assert max(abs(values["x"] - 0.5), abs(values["y"] - 0.5)) > 0.2


def test_a_small_space_is_exhausted_without_an_endless_loop():
    hp = keras_tuner.HyperParameters()
    hp.Boolean("norm")
    strategy = AnnealedGeneticStrategy(8, "min", 1, 1e-9, 1e-9)
    results = {}
    for trial in range(8):
        values = strategy.proposal(hp, trial, results).values
        results[trial] = TrialResult(trial, values, score=float(values["norm"]))
    assert {one.values["norm"] for one in results.values()} == {True, False}


def test_an_empty_space():
    strategy = AnnealedGeneticStrategy(8, "min", 1)
    hp = keras_tuner.HyperParameters()
    done = {0: TrialResult(0, {}, score=1.0)}
    assert strategy.proposal(hp, 1, done).values == {}


def test_distances_by_hand():
    points = [
        {"rate": 1e-4, "optimizer": "adam", "norm": True, "dropout": 0.0, "depth": 2},
        # A quarter of the ring away each way; another kind.
        {"rate": 1e-1, "optimizer": "lion", "norm": True, "dropout": 0.0, "depth": 2},
        # The branch of SGD has one hyperparameter more.
        {
            "rate": 1e-4,
            "optimizer": "sgd",
            "momentum": 0.9,
            "norm": False,
            "dropout": 0.0,
            "depth": 2,
        },
    ]
    found = distances(SPACE, points, points)
    # Shares of the rate: 0.2 and 0.8; the shorter way around is 0.4.
    expected = np.sqrt([0, 0.4**2 + 1, 1 + 0.5**2 + 1])
    assert found[0] == pytest.approx(expected)
    assert found == pytest.approx(found.T)


def test_it_ends_and_begins_at_random():
    strategy = AnnealedGeneticStrategy(3, "min", seed=1)
    assert strategy.proposal(SPACE, 3, {}) is None
    assert strategy.proposal(SPACE, 0, {}).values == draw(SPACE, 1, 0)


@pytest.mark.parametrize(
    ("arguments", "error", "name"),
    [
        ({"max_trials": 0}, ValueError, "max_trials"),
        ({"direction": "up"}, ValueError, "direction"),
        ({"seed": -1}, ValueError, "seed"),
        ({"explore_first": 1.5}, ValueError, "explore_first"),
        ({"explore_last": 0}, ValueError, "explore_last"),
        ({"explore_first": 0.1, "explore_last": 0.2}, ValueError, "explore_last"),
        ({"step_first": "wide"}, TypeError, "step_first"),
        ({"step_last": 0.5}, ValueError, "step_last"),
    ],
)
def test_bad_arguments(arguments, error, name):
    settings = {"max_trials": 3, "direction": "min", "seed": 1, **arguments}
    with pytest.raises(error, match=f"argument `{name}`"):
        AnnealedGeneticStrategy(**settings)


def test_configuration_is_plain():
    config = AnnealedGeneticStrategy(3, "max", 1).get_config()
    assert json.loads(json.dumps(config)) == config
    assert AnnealedGeneticStrategy(**config).get_config() == config
