import numpy as np
import pytest
from spectral import FRAME
from spectral import FREQUENCIES
from spectral import INNER
from spectral import SAMPLES
from spectral import amplitudes
from spectral import burst
from spectral import changed
from spectral import edges
from spectral import peaks
from spectral import peaks_of_librosa
from spectral import tones

from keras_practices.augmentation import TimeStretch

RNG = np.random.default_rng(0)
OTHERS = [pytest.param(one, marks=pytest.mark.once) for one in (0.8, 1.3, 2.0)]


@pytest.mark.parametrize("rate", [0.5, *OTHERS])
def test_pitch_and_loudness_stay(rate):
    found = changed(TimeStretch(rate, FRAME), tones())
    assert found.shape == (4, SAMPLES)
    inner = found[:, 300 : int(min(SAMPLES, SAMPLES / rate)) - 300]
    half_a_bin = 0.5 / inner.shape[1]
    assert abs(peaks(inner) - FREQUENCIES).max() < half_a_bin
    assert abs(amplitudes(inner) - 1).max() < 0.05


@pytest.mark.once
@pytest.mark.parametrize("rate", [0.5, 0.8, 1.3, 2.0])
def test_sounds_begin_and_end_where_they_should(rate):
    found = changed(TimeStretch(rate, 256), burst(600, 1800))[0]
    start, end = edges(found)
    # A hop is 64 samples.
    assert abs(start - 600 / rate) < 64
    assert abs(end - 1800 / rate) < 64


def test_behind_the_end_is_silence():
    found = changed(TimeStretch(2.0, FRAME), tones())
    assert abs(found[:, SAMPLES // 2 + FRAME :]).max() < 1e-3


@pytest.mark.once
def test_rate_one_is_the_identity():
    noise = RNG.normal(size=(2, SAMPLES, 2)).astype("float32")
    np.testing.assert_allclose(
        changed(TimeStretch(1.0, FRAME), noise), noise, atol=1e-3
    )


@pytest.mark.once
def test_channels_run_together():
    noise = RNG.normal(size=(5, 1000, 1)).astype("float32").repeat(2, axis=2)
    found = changed(TimeStretch((0.5, 2.0), 256, seed=1), noise)
    np.testing.assert_allclose(found[..., 0], found[..., 1], atol=1e-4)
    mono = changed(TimeStretch((0.5, 2.0), 256, seed=1), noise[..., 0])
    np.testing.assert_allclose(found[..., 0], mono, atol=1e-4)


@pytest.mark.once
def test_each_row_has_its_own_rate_from_the_range():
    waves = np.repeat(burst(1000, 2000), 60, axis=0)
    found = changed(TimeStretch((0.8, 1.6), 256, seed=2), waves)
    rates = np.array([2000 / edges(row)[1] for row in found])
    # An edge is met to a hop.
    assert rates.min() > 0.8 * (1 - 64 / 1250)
    assert rates.max() < 1.6 * (1 + 64 / 1250)
    assert abs(rates.mean() - 1.2) < 5 * 0.8 / np.sqrt(12 * 60)
    assert rates.std() > 0.1


def test_a_waveform_shorter_than_a_frame():
    found = changed(TimeStretch(1.0, 256), tones()[:, :100])
    np.testing.assert_allclose(found, tones()[:, :100], atol=1e-3)


@pytest.mark.once
def test_silence_stays_silent():
    assert (changed(TimeStretch(0.7, 64), np.zeros((2, 300), "float32")) == 0).all()


@pytest.mark.once
def test_pitch_agrees_with_librosa():
    found = peaks(changed(TimeStretch(0.8, FRAME), tones())[:, INNER])
    apart = abs(found - peaks_of_librosa("time_stretch")).max()
    assert apart < 0.5 / (SAMPLES - 600)


@pytest.mark.parametrize(
    ("arguments", "error", "name"),
    [
        ({"rate": 0}, ValueError, "rate"),
        ({"rate": (1.2, 0.8)}, ValueError, "rate"),
        ({"rate": "fast"}, TypeError, "rate"),
        ({"frame_length": 32}, ValueError, "frame_length"),
        ({"frame_length": 66}, ValueError, "frame_length"),
        ({"frame_length": 64.0}, TypeError, "frame_length"),
    ],
)
def test_bad_arguments_are_named(arguments, error, name):
    with pytest.raises(error, match=f"TimeStretch: argument `{name}`"):
        TimeStretch(**arguments)
