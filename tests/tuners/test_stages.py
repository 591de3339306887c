import dataclasses
import json

import keras_tuner
import numpy as np
import pytest
import scipy.stats

from keras_practices.search_record import ENDED_EARLY
from keras_practices.search_record import FAILED
from keras_practices.search_record import PRUNED
from keras_practices.search_record import TrialResult
from keras_practices.tuners.box import NARROWEST
from keras_practices.tuners.box import Box
from keras_practices.tuners.stages import Stage
from keras_practices.tuners.stages import StagedStrategy
from keras_practices.tuners.strategy import WAIT
from keras_practices.tuners.strategy import draw
from keras_practices.tuners.strategy import share_of

pytestmark = pytest.mark.once

STAGES = [Stage(1, trials=12), Stage(5, keep=4, trials=10), Stage(20, keep=2)]


def make_space():
    hp = keras_tuner.HyperParameters()
    hp.Float("rate", 1e-5, 1.0, sampling="log")
    hp.Choice("optimizer", ["sgd", "adam"])
    with hp.conditional_scope("optimizer", ["sgd"]):
        hp.Float("momentum", 0.0, 0.99)
    hp.Choice("batch_size", [16, 32, 64, 128])
    hp.Boolean("norm")
    return hp


SPACE = make_space()


def distance(values):
    """A score to minimize: the rate should be 1e-3."""
    return abs(np.log10(values["rate"]) + 3)


def search(strategy, sign=1.0, order=None):
    """Runs it as far as it goes; returns proposals and results."""
    proposals, results = {}, {}
    waiting = list(range(strategy.max_trials)) if order is None else list(order)
    while waiting:
        ready = [(trial, strategy.proposal(SPACE, trial, results)) for trial in waiting]
        ready = [(trial, made) for trial, made in ready if made is not WAIT]
        for trial, made in ready:
            proposals[trial] = made
            score = sign * distance(made.values) / made.epochs
            results[trial] = TrialResult(trial, made.values, score=score)
            waiting.remove(trial)
    return proposals, results


def test_numbers_epochs_and_stages_run_on():
    strategy = StagedStrategy(STAGES, "min", seed=1)
    proposals, _ = search(strategy)
    assert strategy.max_trials == len(proposals) == 28
    made = [proposals[trial] for trial in range(28)]
    assert [one.trial for one in made] == list(range(28))
    assert [one.stage for one in made] == [1] * 12 + [2] * 14 + [3] * 2
    assert [one.epochs for one in made] == [1] * 12 + [5] * 14 + [20] * 2
    assert [one.continues is not None for one in made] == (
        [False] * 12 + [True] * 4 + [False] * 10 + [True] * 2
    )
    assert strategy.proposal(SPACE, 28, {}) is None
    assert len({json.dumps(one.values) for one in made}) == 28 - 6


@pytest.mark.parametrize(("direction", "sign"), [("min", 1.0), ("max", -1.0)])
def test_the_best_are_trained_on(direction, sign):
    strategy = StagedStrategy(STAGES, direction, seed=1)
    proposals, results = search(strategy, sign)
    first = sorted(range(12), key=lambda trial: sign * results[trial].score)
    assert [proposals[trial].continues for trial in range(12, 16)] == first[:4]
    second = sorted(range(12, 26), key=lambda trial: sign * results[trial].score)
    assert [proposals[trial].continues for trial in (26, 27)] == second[:2]
    for trial in (12, 13, 26, 27):
        source = proposals[trial].continues
        assert proposals[trial].values == proposals[source].values


def test_the_first_stage_is_a_random_search():
    strategy = StagedStrategy(STAGES, "min", seed=1)
    for trial in range(12):
        assert strategy.proposal(SPACE, trial, {}).values == draw(SPACE, 1, trial)


def test_any_order_of_workers_gives_the_same_points():
    strategy = StagedStrategy(STAGES, "min", seed=1)
    forward, _ = search(strategy)
    backward, _ = search(strategy, order=reversed(range(28)))
    assert forward == backward
    other, _ = search(StagedStrategy(STAGES, "min", seed=2))
    assert other[0].values != forward[0].values


def test_it_waits_for_the_whole_stage_before():
    strategy = StagedStrategy(STAGES, "min", seed=1)
    _, results = search(strategy)
    for missing in (0, 11):
        partial = {k: v for k, v in results.items() if k < 12 and k != missing}
        assert strategy.proposal(SPACE, 12, partial) is WAIT
        assert strategy.proposal(SPACE, 20, partial) is WAIT
        assert strategy.proposal(SPACE, 3, partial).stage == 1
    whole = {trial: results[trial] for trial in range(12)}
    assert strategy.proposal(SPACE, 20, whole).stage == 2
    assert strategy.proposal(SPACE, 26, whole) is WAIT


@pytest.mark.parametrize(
    "change",
    [
        {"status": FAILED, "score": None},
        {"status": ENDED_EARLY},
        {"status": PRUNED},
        {"score": float("nan")},
    ],
)
def test_what_has_no_future_is_not_trained_on(change):
    strategy = StagedStrategy(STAGES, "min", seed=1)
    _, results = search(strategy)
    best = min(range(12), key=lambda trial: results[trial].score)
    results[best] = dataclasses.replace(results[best], **change)
    kept = [strategy.proposal(SPACE, trial, results) for trial in range(12, 16)]
    assert best not in [one.continues for one in kept]
    assert None not in [one.continues for one in kept]


def test_where_too_few_are_left_new_points_take_their_places():
    strategy = StagedStrategy(STAGES, "min", seed=1)
    results = {
        trial: TrialResult(trial, draw(SPACE, 1, trial), status=FAILED)
        for trial in range(12)
    }
    results[5] = dataclasses.replace(results[5], status="completed", score=1.0)
    made = [strategy.proposal(SPACE, trial, results) for trial in range(12, 26)]
    assert [one.continues for one in made] == [5] + [None] * 13
    # A single point is no box: all come from the whole range.
    assert [one.values for one in made[1:]] == [
        draw(SPACE, 1, trial) for trial in range(13, 26)
    ]


def test_fresh_points_come_from_the_box_but_every_fifth():
    stages = [Stage(1, trials=40), Stage(2, keep=6, trials=500)]
    strategy = StagedStrategy(stages, "min", seed=1)
    results = {}
    for trial in range(40):
        values = draw(SPACE, 1, trial)
        results[trial] = TrialResult(trial, values, score=distance(values))
    best = sorted(results.values(), key=lambda one: one.score)[:6]
    low, high = Box(SPACE, [one.values for one in best]).range_of(SPACE.space[0])
    assert 0.2 < low < 0.4 < high < 0.6  # of 1e-5 to 1 the best, 1e-3, is at 0.4
    shares = np.array(
        [
            share_of(
                SPACE.space[0],
                strategy.proposal(SPACE, trial, results).values["rate"],
            )
            for trial in range(46, 546)
        ]
    )
    near = np.arange(500) % 5 != 4
    assert np.all((shares[near] >= low) & (shares[near] <= high))
    # Fixed seeds; a uniform sample falls below this once in ten thousand times.
    inside = scipy.stats.uniform(low, high - low)
    assert scipy.stats.kstest(shares[near], inside.cdf).pvalue > 1e-4
    assert scipy.stats.kstest(shares[~near], "uniform").pvalue > 1e-4


def points_with(name, values):
    return [{"optimizer": "adam", name: value} for value in values]


@pytest.mark.parametrize(
    ("rates", "expected"),
    [
        # Shares 0.2 and 0.8: the margin is their distance, up to the whole range.
        ([1e-4, 1e-1], (0.0, 1.0)),
        # 0.4, 0.5, 0.6: a half of 0.2 on each side.
        ([1e-3, 10**-2.5, 1e-2], (0.3, 0.7)),
        # All alike: no narrower than a fifth.
        ([1e-3] * 4, (0.4 - NARROWEST / 2, 0.4 + NARROWEST / 2)),
        # At the end of the range it is moved inside.
        ([1e-5] * 4, (0.0, NARROWEST)),
        ([1.0] * 4, (1 - NARROWEST, 1.0)),
        # Known once only, as of a branch: the whole range.
        ([1e-3], (0.0, 1.0)),
    ],
)
def test_the_box_by_hand(rates, expected):
    box = Box(SPACE, points_with("rate", rates))
    assert box.range_of(SPACE.space[0]) == pytest.approx(expected, abs=1e-6)


def test_the_box_holds_the_neighbours_of_a_step():
    batch = next(one for one in SPACE.space if one.name == "batch_size")
    # The second of four, at 0.375; the box is two steps wide.
    box = Box(SPACE, points_with("batch_size", [32] * 4))
    assert box.range_of(batch) == pytest.approx((0.125, 0.625))
    drawn = {Box(SPACE, box.points, seed).value_of(batch) for seed in range(100)}
    assert drawn == {16, 32, 64}


def test_kinds_are_drawn_as_often_as_good_points_have_them():
    norm = next(one for one in SPACE.space if one.name == "norm")
    points = points_with("norm", [True] * 4)
    drawn = [Box(SPACE, points, seed).value_of(norm) for seed in range(1000)]
    expected = 0.5 / 4.5  # never seen counts as half a point
    error = 5 * np.sqrt(expected * (1 - expected) / 1000)
    assert np.mean(np.logical_not(drawn)) == pytest.approx(expected, abs=error)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"epochs": 0, "trials": 1}, ValueError, "argument `epochs`"),
        ({"epochs": 1.5, "trials": 1}, TypeError, "argument `epochs`"),
        ({"epochs": 1}, ValueError, "argument `trials`"),
        ({"epochs": 1, "trials": -1}, ValueError, "argument `trials`"),
        ({"epochs": 1, "keep": "1"}, TypeError, "argument `keep`"),
    ],
)
def test_bad_stage(arguments, error, message):
    with pytest.raises(error, match=message):
        Stage(**arguments)


@pytest.mark.parametrize(
    ("stages", "error", "message"),
    [
        ([], ValueError, "at least one"),
        (Stage(1, trials=1), TypeError, "argument `stages`"),
        ([(1, 2, 3)], TypeError, "argument `stages`"),
        ([Stage(1, keep=1)], ValueError, "first stage has nothing to keep"),
        (
            [Stage(1, trials=2), Stage(2, keep=3)],
            ValueError,
            "Stage 2 keeps 3 of 2 trials",
        ),
        (
            [Stage(3, trials=4), Stage(3, keep=2)],
            ValueError,
            "counts all of them",
        ),
    ],
)
def test_bad_stages(stages, error, message):
    with pytest.raises(error, match=message):
        StagedStrategy(stages, "min", seed=1)


def test_bad_direction_and_seed():
    with pytest.raises(ValueError, match="argument `direction`"):
        StagedStrategy(STAGES, "down", seed=1)
    with pytest.raises(ValueError, match="argument `seed`"):
        StagedStrategy(STAGES, "min", seed=-1)


def test_configuration_is_plain():
    config = StagedStrategy(STAGES, "max", seed=4).get_config()
    assert json.loads(json.dumps(config)) == config
    stages = [Stage(**one) for one in config["stages"]]
    again = StagedStrategy(stages, config["direction"], config["seed"])
    assert again.get_config() == config
