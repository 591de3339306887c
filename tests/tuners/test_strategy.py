import json

import keras_tuner
import numpy as np
import pytest
import scipy.stats

from keras_practices.tuners.strategy import RandomStrategy
from keras_practices.tuners.strategy import draw
from keras_practices.tuners.strategy import fits
from keras_practices.tuners.strategy import is_ordered
from keras_practices.tuners.strategy import option_count
from keras_practices.tuners.strategy import share_of
from keras_practices.tuners.strategy import value_at

pytestmark = pytest.mark.once


def space_of(*declare):
    hp = keras_tuner.HyperParameters()
    for one in declare:
        one(hp)
    return hp


def parameter(declare):
    return space_of(declare).space[0]


def branches():
    hp = keras_tuner.HyperParameters()
    hp.Choice("optimizer", ["sgd", "adam"])
    with hp.conditional_scope("optimizer", ["sgd"]):
        hp.Float("momentum", 0.0, 0.99)
    hp.Float("rate", 1e-4, 1.0, sampling="log")
    return hp


STEPPED = [
    lambda hp: hp.Float("x", 0.0, 1.0, step=0.1),
    lambda hp: hp.Float("x", 0.001, 10.0, step=10, sampling="log"),
    lambda hp: hp.Int("x", 2, 32, step=2, sampling="log"),
    lambda hp: hp.Float("x", 1.0, 8.0, step=2, sampling="reverse_log"),
    lambda hp: hp.Int("x", 6, 13, step=3),
    lambda hp: hp.Int("x", 1, 3),
    lambda hp: hp.Choice("x", [16, 32, 64]),
    lambda hp: hp.Choice("x", ["a", "b", "c", "d"]),
    lambda hp: hp.Boolean("x"),
    lambda hp: hp.Fixed("x", 7),
]


@pytest.mark.parametrize("declare", STEPPED)
def test_each_of_several_values_has_its_equal_part(declare):
    """keras-tuner's own `value_to_prob` puts 0.9 with step 0.1 where 0.8 lies."""
    one = parameter(declare)
    count = option_count(one)
    values = [value_at(one, (place + 0.5) / count) for place in range(count)]
    assert len(set(values)) == count
    for place, value in enumerate(values):
        assert share_of(one, value) == pytest.approx((place + 0.5) / count)
        for edge in (place + 0.01, place + 0.99):
            assert value_at(one, edge / count) == value


@pytest.mark.parametrize(
    ("declare", "expected"),
    [
        (lambda hp: hp.Float("x", -1.0, 3.0), lambda u: -1 + 4 * u),
        (
            lambda hp: hp.Float("x", 1e-5, 1e-1, sampling="log"),
            lambda u: 10 ** (4 * u - 5),
        ),
        (
            lambda hp: hp.Float("x", 0.9, 0.999, sampling="reverse_log"),
            lambda u: 1.899 - 0.9 * (0.999 / 0.9) ** (1 - u),
        ),
    ],
)
def test_shares_follow_the_scale(declare, expected):
    one = parameter(declare)
    assert option_count(one) is None
    for share in (0.0, 0.2, 0.5, 0.93):
        value = value_at(one, share)
        assert value == pytest.approx(expected(share))
        assert share_of(one, value) == pytest.approx(share, abs=1e-9)
    for share in (-0.1, 0.0, 1.0, 1.1):
        assert one.min_value <= value_at(one, share) <= one.max_value


def test_integers_on_a_log_scale_lie_densely():
    one = parameter(lambda hp: hp.Int("x", 1, 1000, sampling="log"))
    assert option_count(one) is None
    assert {value_at(one, share) for share in (0.0, 1.0)} == {1, 1000}
    assert value_at(one, share_of(one, 537)) == 537


def test_what_is_ordered():
    ordered = [is_ordered(parameter(declare)) for declare in STEPPED]
    assert ordered == [True] * 7 + [False] * 3


def test_draws_are_uniform_and_independent():
    hp = space_of(
        lambda hp: hp.Float("a", 0.0, 1.0), lambda hp: hp.Float("b", 0.0, 1.0)
    )
    drawn = [draw(hp, 3, trial) for trial in range(2000)]
    a, b = (np.array([point[name] for point in drawn]) for name in "ab")
    # Fixed seeds; a uniform sample falls below this once in ten thousand times.
    assert scipy.stats.kstest(a, "uniform").pvalue > 1e-4
    assert scipy.stats.kstest(b, "uniform").pvalue > 1e-4
    assert abs(np.corrcoef(a, b)[0, 1]) < 5 / np.sqrt(2000)


def test_a_parameter_more_leaves_the_others_as_they_were():
    few = branches()
    more = branches()
    more.Float("decay", 0.0, 1.0)
    for trial in range(20):
        point = draw(more, 1, trial)
        assert point.pop("decay") <= 1.0
        assert point == draw(few, 1, trial)


def test_conditions_decide_what_a_point_has():
    drawn = [draw(branches(), 1, trial) for trial in range(50)]
    assert {point["optimizer"] for point in drawn} == {"sgd", "adam"}
    for point in drawn:
        assert ("momentum" in point) == (point["optimizer"] == "sgd")
        assert json.loads(json.dumps(point)) == point


def test_values_of_another_branch_do_not_fit():
    number = parameter(lambda hp: hp.Float("x", 0.0, 1.0))
    kind = parameter(lambda hp: hp.Choice("x", ["a", "b"]))
    assert fits(number, {"x": 0.5})
    assert fits(kind, {"x": "a"})
    for one, point in [
        (number, {}),
        (number, {"x": 2.0}),
        (number, {"x": "a"}),
        (kind, {"x": 0.5}),
    ]:
        assert not fits(one, point)


def test_random_strategy_ends():
    strategy = RandomStrategy(2, seed=3)
    assert strategy.proposal(branches(), 1, {}).trial == 1
    assert strategy.proposal(branches(), 2, {}) is None
    assert strategy.get_config() == {"max_trials": 2, "seed": 3}
