import math

import keras_tuner
import numpy as np
import pytest
import scipy.stats

from keras_practices.tuners import dropout
from keras_practices.tuners import learning_rate
from keras_practices.tuners import log_uniform
from keras_practices.tuners import weight_decay

pytestmark = pytest.mark.once


def parameter(declare):
    hp = keras_tuner.HyperParameters()
    value = declare(hp)
    (found,) = hp.space
    return found, value


@pytest.mark.parametrize(
    ("declare", "name", "low", "high"),
    [
        (lambda hp: log_uniform(hp, "x", 1e-8, 1e3), "x", 1e-8, 1e3),
        (learning_rate, "learning_rate", 1e-5, 1e-1),
        (weight_decay, "weight_decay", 1e-6, 1e-2),
        (lambda hp: learning_rate(hp, "head", low=1e-3, high=1.0), "head", 1e-3, 1.0),
    ],
)
def test_logarithm_is_uniform(declare, name, low, high):
    found, value = parameter(declare)
    assert (found.name, found.sampling) == (name, "log")
    assert value == pytest.approx(math.sqrt(low * high))
    drawn = np.array([found.random_sample(seed) for seed in range(2000)])
    assert low <= drawn.min() < drawn.max() <= high
    place = np.log(drawn / low) / np.log(high / low)
    # Fixed seeds; a uniform sample falls below this once in ten thousand times.
    assert scipy.stats.kstest(place, "uniform").pvalue > 1e-4


def test_dropout_is_uniform_itself():
    found, value = parameter(lambda hp: dropout(hp, low=0.1, high=0.7))
    assert (found.name, found.sampling) == ("dropout", "linear")
    assert value == pytest.approx(0.4)
    drawn = np.array([found.random_sample(seed) for seed in range(2000)])
    assert scipy.stats.kstest(drawn, scipy.stats.uniform(0.1, 0.6).cdf).pvalue > 1e-4


@pytest.mark.parametrize(
    ("declare", "error", "message"),
    [
        (lambda hp: log_uniform(hp, "x", 0.0, 1.0), ValueError, "argument `low`.*zero"),
        (lambda hp: log_uniform(hp, "x", -1.0, 1.0), ValueError, "argument `low`"),
        (lambda hp: log_uniform(hp, "x", 1.0, 0.0), ValueError, "argument `high`"),
        (lambda hp: log_uniform(hp, "x", 1.0, 1.0), ValueError, "argument `high`"),
        (lambda hp: log_uniform(hp, "x", "1e-3", 1), TypeError, "argument `low`"),
        (lambda hp: log_uniform(hp, 3, 1e-3, 1.0), TypeError, "argument `name`"),
        (lambda hp: log_uniform(None, "x", 1e-3, 1.0), TypeError, "argument `hp`"),
        (lambda hp: learning_rate(hp, low=0.0), ValueError, "argument `low`"),
        (lambda hp: weight_decay(hp, high=1e-9), ValueError, "argument `high`"),
        (lambda hp: dropout(hp, high=1.0), ValueError, "argument `high`"),
        (lambda hp: dropout(hp, low=-0.1), ValueError, "argument `low`"),
        (lambda hp: dropout(hp, low=True), TypeError, "argument `low`"),
    ],
)
def test_bad_arguments(declare, error, message):
    with pytest.raises(error, match=message):
        declare(keras_tuner.HyperParameters())
