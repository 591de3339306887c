import numpy as np
import pytest
from keras import ops
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

from keras_practices.augmentation import PitchShift
from keras_practices.augmentation.phase_vocoder import read_at_speed

RNG = np.random.default_rng(0)
OTHERS = [pytest.param(one, marks=pytest.mark.once) for one in (-12, -5, 0.5)]


@pytest.mark.parametrize("semitones", [4, *OTHERS])
def test_pitch_moves_and_loudness_stays(semitones):
    found = changed(PitchShift(semitones, FRAME), tones())
    assert found.shape == (4, SAMPLES)
    expected = FREQUENCIES * 2 ** (semitones / 12)
    half_a_bin = 0.5 / (SAMPLES - 600)
    assert abs(peaks(found[:, INNER]) - expected).max() < half_a_bin
    # Next to half the sampling rate the filter has begun to close.
    clear = expected < 0.4
    assert abs(amplitudes(found[:, INNER])[clear] - 1).max() < 0.05


@pytest.mark.once
def test_pitch_agrees_with_librosa():
    found = peaks(changed(PitchShift(4.0, FRAME), tones())[:, INNER])
    apart = abs(found - peaks_of_librosa("pitch_shift")).max()
    assert apart < 0.5 / (SAMPLES - 600)


@pytest.mark.once
def test_what_would_fold_back_is_left_out():
    found = changed(PitchShift(12, FRAME), tones([0.37, 0.1]))
    loudness = amplitudes(found[:, INNER])
    assert loudness[0] < 0.01
    assert abs(loudness[1] - 1) < 0.05


@pytest.mark.once
@pytest.mark.parametrize("semitones", [-7, 7])
def test_sounds_begin_and_end_where_they_did(semitones):
    found = changed(PitchShift(semitones, 256), burst(600, 1800))[0]
    start, end = edges(found)
    # A hop is 64 samples.
    assert abs(start - 600) < 64
    assert abs(end - 1800) < 64


@pytest.mark.once
def test_zero_is_the_identity():
    noise = RNG.normal(size=(2, SAMPLES, 2)).astype("float32")
    found = changed(PitchShift(0.0, FRAME), noise)
    np.testing.assert_allclose(found, noise, atol=1e-3)


@pytest.mark.once
def test_each_row_has_its_own_pitch_from_the_range():
    waves = np.repeat(tones([0.1]), 60, axis=0)
    found = changed(PitchShift((-6.0, 3.0), FRAME, seed=1), waves)
    semitones = 12 * np.log2(peaks(found[:, INNER]) / 0.1)
    assert semitones.min() > -6.05
    assert semitones.max() < 3.05
    assert abs(semitones.mean() + 1.5) < 5 * 9 / np.sqrt(12 * 60)
    assert semitones.std() > 1


@pytest.mark.once
def test_channels_move_together():
    noise = RNG.normal(size=(4, 600, 1)).astype("float32").repeat(2, axis=2)
    found = changed(PitchShift((-4.0, 4.0), 256, seed=1), noise)
    np.testing.assert_allclose(found[..., 0], found[..., 1], atol=1e-4)


def test_long_waveforms_are_read_as_exactly_as_short_ones():
    """Past 131 072 samples float32 alone would miss a place by 1/64."""
    angle = 2 * np.pi * 0.1 * np.arange(300_000)
    wave = np.sin(angle).astype("float32")[None, None]
    speed = ops.convert_to_tensor(np.full((1, 1, 1), 1.25, "float32"))
    found = ops.convert_to_numpy(
        read_at_speed(ops.convert_to_tensor(wave), speed, 239_000)
    )
    expected = np.sin(2 * np.pi * 0.125 * np.arange(239_000))
    assert abs(found[0, 0] - expected)[20:].max() < 2e-3


@pytest.mark.parametrize(
    ("arguments", "error", "name"),
    [
        ({"semitones": 25}, ValueError, "semitones"),
        ({"semitones": (2, -2)}, ValueError, "semitones"),
        ({"semitones": "up"}, TypeError, "semitones"),
        ({"frame_length": 32}, ValueError, "frame_length"),
    ],
)
def test_bad_arguments_are_named(arguments, error, name):
    with pytest.raises(error, match=f"PitchShift: argument `{name}`"):
        PitchShift(**arguments)
