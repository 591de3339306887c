import numpy as np
import pytest
from keras import ops

from keras_practices.augmentation import Gain

RNG = np.random.default_rng(0)


def decibels(layer, waves):
    louder = np.float64(ops.convert_to_numpy(layer(waves, training=True)))
    return 20 * np.log10(louder / waves)


@pytest.mark.parametrize("db", [-40.0, 0.0, 6.0, 20.0])
def test_a_number_is_the_gain(db):
    found = decibels(Gain(db), RNG.uniform(0.1, 1, (3, 7)).astype("float32"))
    np.testing.assert_allclose(found, db, atol=1e-4)


def test_one_gain_for_all_samples_and_channels():
    found = decibels(Gain((-12.0, 12.0), seed=1), np.ones((5, 50, 2), "float32"))
    assert found.std(axis=(1, 2)).max() < 1e-5
    assert len(np.unique(found[:, 0, 0])) == 5


def test_gains_are_spread_evenly_over_the_range():
    found = decibels(Gain((-6.0, 2.0), seed=2), np.ones((4000, 1), "float32"))
    assert found.min() >= -6 - 1e-4
    assert found.max() <= 2 + 1e-4
    assert abs(found.mean() + 2) < 5 * 8 / np.sqrt(12 * 4000)
    assert abs((found < -4).mean() - 0.25) < 5 * np.sqrt(0.25 * 0.75 / 4000)


@pytest.mark.parametrize(
    ("db", "error"),
    [("6", TypeError), ((6,), TypeError), ((6, -6), ValueError), (500.0, ValueError)],
)
def test_a_bad_range_is_named(db, error):
    with pytest.raises(error, match="Gain: argument `db`"):
        Gain(db)
