import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras import ops

from keras_practices.augmentation import AddNoise

RNG = np.random.default_rng(0)


def noise_of(layer, waves):
    return np.float64(ops.convert_to_numpy(layer(waves, training=True))) - waves


def snr(waves, noise):
    """Decibels of each waveform, in float64."""
    axes = tuple(range(1, waves.ndim))
    powers = [np.square(np.float64(part)).mean(axes) for part in (waves, noise)]
    return 10 * np.log10(powers[0] / powers[1])


@given(st.floats(-10, 30), st.floats(1e-3, 1e3))
def test_the_ratio_is_met_whatever_the_loudness(decibels, loudness):
    waves = loudness * np.float32(RNG.normal(size=(3, 500, 2)))
    noise = noise_of(AddNoise(decibels, seed=1), waves)
    np.testing.assert_allclose(snr(waves, noise), decibels, atol=1e-3)


def test_ratios_are_spread_evenly_over_the_range():
    waves = np.float32(RNG.normal(size=(2000, 64)))
    found = snr(waves, noise_of(AddNoise((5.0, 25.0), seed=2), waves))
    assert found.min() >= 5.0 - 1e-3
    assert found.max() <= 25.0 + 1e-3
    # An even spread over w has the standard deviation w / sqrt(12).
    assert abs(found.mean() - 15.0) < 5 * 20 / np.sqrt(12 * 2000)
    assert abs((found < 10).mean() - 0.25) < 5 * np.sqrt(0.25 * 0.75 / 2000)


def test_noise_is_white_and_gaussian():
    noise = noise_of(AddNoise(0.0, seed=3), np.ones((40, 1000), "float32"))
    count = noise.size
    assert abs(noise.mean()) < 5 / np.sqrt(count)
    assert abs((noise[:, 1:] * noise[:, :-1]).mean()) < 5 / np.sqrt(count)
    # The fourth moment of a normal variable is 3, its variance 96.
    assert abs((noise**4).mean() - 3) < 5 * np.sqrt(96 / count)


def test_channels_get_noise_of_their_own():
    noise = noise_of(AddNoise(0.0, seed=3), np.ones((4, 5000, 2), "float32"))
    assert abs((noise[..., 0] * noise[..., 1]).mean()) < 5 / np.sqrt(20000)


def test_silence_stays_silent():
    assert (noise_of(AddNoise(10.0), np.zeros((2, 50), "float32")) == 0).all()


@pytest.mark.parametrize(
    ("snr_db", "error"),
    [
        ("loud", TypeError),
        (None, TypeError),
        ((1, 2, 3), TypeError),
        ((20, 10), ValueError),
        ((0, float("nan")), ValueError),
    ],
)
def test_a_bad_range_is_named(snr_db, error):
    with pytest.raises(error, match="AddNoise: argument `snr_db`"):
        AddNoise(snr_db)
