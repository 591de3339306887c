import numpy as np
import pytest
from keras import ops

from keras_practices.augmentation import TimeShift

RNG = np.random.default_rng(0)


def moved(layer, waves):
    return ops.convert_to_numpy(layer(waves, training=True))


def shifts_of(waves, outputs):
    """The whole shift that makes `np.roll` of each waveform its output."""
    length = waves.shape[1]
    found = []
    for wave, output in zip(waves, outputs, strict=True):
        fits = [s for s in range(length) if (np.roll(wave, s, axis=0) == output).all()]
        assert len(fits) == 1
        found.append((fits[0] + length // 2) % length - length // 2)
    return np.array(found)


@pytest.mark.parametrize("channels", [(), (2,)])
def test_wrapping_is_numpy_roll(channels):
    waves = RNG.normal(size=(30, 20, *channels)).astype("float32")
    shifts = shifts_of(waves, moved(TimeShift(0.25, seed=1), waves))
    assert abs(shifts).max() <= 5
    assert len(set(shifts)) > 3


def test_all_whole_shifts_are_equally_likely():
    count = 3300
    waves = np.repeat(np.eye(1, 20, 10, dtype="float32"), count, axis=0)
    outputs = moved(TimeShift(0.25, seed=2), waves)
    shifts = outputs.argmax(axis=1) - 10
    assert set(shifts) == set(range(-5, 6))
    shares = np.array([(shifts == shift).mean() for shift in range(-5, 6)])
    p = 1 / 11
    assert abs(shares - p).max() < 5 * np.sqrt(p * (1 - p) / count)


@pytest.mark.parametrize("channels", [(), (3,)])
def test_zero_leaves_a_silent_gap(channels):
    waves = RNG.uniform(1, 2, size=(40, 12, *channels)).astype("float32")
    outputs = moved(TimeShift(1.0, "zero", seed=3), waves)
    rolled = moved(TimeShift(1.0, "wrap", seed=3), waves)
    for wave, output, other in zip(waves, outputs, rolled, strict=True):
        silent = (output == 0).reshape(12, -1)
        count = silent[:, 0].sum()
        assert (silent.all(axis=1) == silent.any(axis=1)).all()
        late = np.concatenate([np.zeros_like(wave[:count]), wave[: 12 - count]])
        early = np.concatenate([wave[count:], np.zeros_like(wave[:count])])
        assert (output == late).all() or (output == early).all()
        assert (np.where(output == 0, other, output) == other).all()


def test_share_zero_moves_nothing():
    waves = RNG.normal(size=(3, 8)).astype("float32")
    np.testing.assert_array_equal(moved(TimeShift(0.0), waves), waves)


@pytest.mark.parametrize(
    ("arguments", "error", "name"),
    [
        ({"share": 1.1}, ValueError, "share"),
        ({"share": "half"}, TypeError, "share"),
        ({"mode": "reflect"}, ValueError, "mode"),
    ],
)
def test_bad_arguments_are_named(arguments, error, name):
    with pytest.raises(error, match=f"TimeShift: argument `{name}`"):
        TimeShift(**arguments)
